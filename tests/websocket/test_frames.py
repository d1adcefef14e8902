"""Frames: the samples of RFC 6455 section 5.7, every header, and what is wrong with the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import WebSocketError
from rawsio.explain import explain_websocket
from rawsio.layer import Role
from rawsio.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close_code_is_valid,
    decode_close,
    decode_frame,
    decode_header,
    encode_close,
    encode_frame,
    text_frame,
)
from tests.explain.agreement import agrees

KEY = bytes.fromhex("37fa213d")

# RFC 6455 section 5.7: wire, frame, mask
SAMPLES = [
    ("810548656c6c6f", Frame(TEXT, b"Hello"), None),
    ("818537fa213d7f9f4d5158", Frame(TEXT, b"Hello"), KEY),
    ("010348656c", Frame(TEXT, b"Hel", False), None),
    ("80026c6f", Frame(CONTINUATION, b"lo"), None),
    ("890548656c6c6f", Frame(PING, b"Hello"), None),
    ("8a8537fa213d7f9f4d5158", Frame(PONG, b"Hello"), KEY),
    ("827e0100" + "61" * 256, Frame(BINARY, b"a" * 256), None),
    ("827f0000000000010000" + "62" * 65536, Frame(BINARY, b"b" * 65536), None),
]


@pytest.mark.rule("6455-5.2-format", "6455-5.3-bit")
@pytest.mark.parametrize(("wire", "frame", "key"), SAMPLES)
def test_the_samples_of_the_rfc(wire: str, frame: Frame, key: bytes | None) -> None:
    data = bytes.fromhex(wire)
    assert decode_frame(data, 0, key is not None) == (frame, len(data))
    made = encode_frame(frame.opcode, frame.payload, fin=frame.fin, rsv1=frame.rsv1, mask=key)
    assert made == data


frames = st.builds(
    Frame,
    st.sampled_from([CONTINUATION, TEXT, BINARY]),
    st.one_of(st.binary(max_size=20), st.sampled_from([125, 126, 65535, 65536]).map(bytes)),
    st.booleans(),
    st.booleans(),
)


@given(frames, st.one_of(st.none(), st.binary(min_size=4, max_size=4)))
def test_what_is_encoded_is_decoded(frame: Frame, key: bytes | None) -> None:
    wire = encode_frame(frame.opcode, frame.payload, fin=frame.fin, rsv1=frame.rsv1, mask=key)
    assert decode_frame(b"x" + wire + b"y", 1, key is not None) == (frame, 1 + len(wire))
    for size in (*range(min(len(wire), 20)), len(wire) - 1):
        assert decode_frame(wire[:size], 0, key is not None) is None


@pytest.mark.rule("6455-5.2-length-minimal", "6455-5.3-bit")
@pytest.mark.parametrize(
    ("size", "header"),
    [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)],
)
def test_a_length_is_written_in_its_shortest_form(size: int, header: int) -> None:
    assert len(encode_frame(BINARY, bytes(size))) == header + size
    masked = encode_frame(BINARY, bytes(size), mask=KEY)
    assert len(masked) == header + 4 + size
    assert masked[1] == encode_frame(BINARY, bytes(size))[1] | 0x80
    assert text_frame(bytes(size)) == encode_frame(TEXT, bytes(size))


def test_a_header_is_judged_without_its_payload() -> None:
    assert decode_header(b"\x82\x7f" + (2**62).to_bytes(8, "big"), 0, False) == (0x82, 2**62, 10)
    assert decode_header(b"\x82\xff" + (2**62).to_bytes(8, "big") + KEY, 0, True) == (
        0x82, 2**62, 14,
    )  # fmt: skip


def refused(wire: bytes, masked: bool = False) -> str:
    with pytest.raises(WebSocketError) as caught:
        decode_header(wire, 0, masked)
    assert caught.value.code == 1002
    sender = Role.CLIENT if masked else Role.SERVER
    agrees(explain_websocket(wire, sender), caught.value.rule)
    return caught.value.rule


@pytest.mark.rule("6455-5.1-mask")
def test_a_client_that_does_not_mask_is_refused() -> None:
    assert refused(b"\x81\x00", masked=True) == "6455-5.1-mask"


@pytest.mark.rule("6455-5.1-server-mask")
def test_a_server_that_masks_is_refused() -> None:
    assert refused(b"\x81\x80") == "6455-5.1-server-mask"


@pytest.mark.rule(
    "6455-5.2-rsv", "6455-5.2-opcode", "6455-5.5-control-fragmented", "7692-6-rsv1-control"
)
def test_every_first_byte_is_right_or_wrong_for_its_reason() -> None:
    for first in range(256):
        fin, rsv1, others, opcode = first & 0x80, first & 0x40, first & 0x30, first & 0x0F
        if others:
            assert refused(bytes((first, 0))) == "6455-5.2-rsv"
        elif opcode not in (0, 1, 2, 8, 9, 10):
            assert refused(bytes((first, 0))) == "6455-5.2-opcode"
        elif opcode & 8 and not fin:
            assert refused(bytes((first, 0))) == "6455-5.5-control-fragmented"
        elif opcode & 8 and rsv1:
            assert refused(bytes((first, 0))) == "7692-6-rsv1-control"
        else:
            assert decode_header(bytes((first, 0)), 0, False) == (first, 0, 2)


@pytest.mark.rule("6455-5.5-control-length")
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_long_control_frame_is_refused_at_its_second_byte(opcode: int) -> None:
    assert refused(bytes((0x80 | opcode, 126))) == "6455-5.5-control-length"
    assert refused(bytes((0x80 | opcode, 127))) == "6455-5.5-control-length"
    assert refused(bytes((0x80 | opcode, 0x80 | 126)), masked=True) == "6455-5.5-control-length"


@pytest.mark.rule("6455-5.2-length-minimal")
@pytest.mark.parametrize("size", [0, 125])
def test_a_short_length_in_two_bytes_is_refused(size: int) -> None:
    assert refused(b"\x81\x7e" + size.to_bytes(2, "big")) == "6455-5.2-length-minimal"


@pytest.mark.rule("6455-5.2-length-minimal")
@pytest.mark.parametrize("size", [0, 125, 126, 65535])
def test_a_short_length_in_eight_bytes_is_refused(size: int) -> None:
    assert refused(b"\x81\x7f" + size.to_bytes(8, "big")) == "6455-5.2-length-minimal"


@pytest.mark.rule("6455-5.2-length-top-bit")
@pytest.mark.parametrize("size", [2**63, 2**63 + 5, 2**64 - 1])
def test_a_length_with_its_top_bit_is_refused(size: int) -> None:
    assert refused(b"\x81\x7f" + size.to_bytes(8, "big")) == "6455-5.2-length-top-bit"


VALID = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


@pytest.mark.rule("6455-7.4-close-code")
def test_every_close_code_may_be_sent_or_not() -> None:
    assert {code for code in range(65536) if close_code_is_valid(code)} == VALID
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535):
        with pytest.raises(WebSocketError) as caught:
            decode_close(code.to_bytes(2, "big"))
        assert (caught.value.rule, caught.value.code) == ("6455-7.4-close-code", 1002)


@pytest.mark.rule("6455-5.5.1-close-body")
def test_the_body_of_a_close_frame_is_empty_or_has_a_code_and_a_text() -> None:
    assert decode_close(b"") == (1005, "")
    assert decode_close(encode_close(1001, "ab\u20ac")) == (1001, "ab\u20ac")
    with pytest.raises(WebSocketError) as caught:
        decode_close(b"\x03")
    assert (caught.value.rule, caught.value.code) == ("6455-5.5.1-close-body", 1002)
    with pytest.raises(WebSocketError) as caught:
        decode_close(b"\x03\xe8\xff")
    assert (caught.value.rule, caught.value.code) == ("6455-8.1-utf8", 1007)
