"""Frames: every bit, messages joined and inflated, verdicts by the reader (see tests/websocket)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import Field, explain_engineio, explain_websocket, mistake
from rawsio.explain.websocket import CLOSE_CODES, Frames
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import close_code_is_valid, encode_frame

from .agreement import agrees, well_formed
from .strategies import frame_bytes

KEY = bytes.fromhex("37fa213d")


def part(frame: Field, name: str) -> Field:
    (found,) = [field for field in frame.fields if field.name == name]
    return found


def test_the_example_of_the_rfc_is_taken_apart() -> None:
    (frame,) = explain_websocket(bytes.fromhex("818537fa213d7f9f4d5158")).fields
    assert [(f.name, f.value, f.start, f.end) for f in frame.fields] == [
        ("FIN", "1", 0, 1), ("RSV1", "0", 0, 1), ("RSV2, RSV3", "00", 0, 1),
        ("opcode", "0x1", 0, 1), ("MASK", "1", 1, 2), ("length", "5", 1, 2),
        ("masking key", "37fa213d", 2, 6), ("payload", "Hello", 6, 11),
        ("message", "Hello", 6, 11),
    ]  # fmt: skip
    assert part(frame, "payload").data == b"Hello"


def test_fragments_are_joined_at_the_last_one() -> None:
    wire = encode_frame(1, b"Hel", fin=False) + encode_frame(9, b"?") + encode_frame(0, b"lo")
    first, ping, last = explain_websocket(wire, Role.SERVER).fields
    assert first.value == "text, 3 bytes, more follows"
    assert part(ping, "payload").value == "?"
    assert part(last, "message").data == b"Hello"


def test_a_compressed_message_is_inflated_with_the_window_of_the_ones_before() -> None:
    agreement = Agreement()
    compressor = agreement.compressor(Role.CLIENT)
    wire = b"".join(
        encode_frame(1, compressor.compress(b"42[1]" * 9), rsv1=True, mask=KEY) for _ in range(3)
    )
    tree = explain_websocket(wire, deflate=agreement, inside=explain_engineio)
    assert [part(frame, "message").data for frame in tree.fields] == [b"42[1]" * 9] * 3
    assert part(tree.fields[0], "payload").meaning == "compressed"


def test_a_close_code_is_named() -> None:
    (frame,) = explain_websocket(encode_frame(8, b"\x03\xe9bye"), Role.SERVER).fields
    code, reason = part(frame, "payload").fields
    assert (code.value, code.meaning) == ("1001", CLOSE_CODES[1001])
    assert reason.value == "bye"
    assert {code for code in CLOSE_CODES if close_code_is_valid(code)} == {
        code for code in range(3000) if close_code_is_valid(code)
    }


@pytest.mark.parametrize(
    ("wire", "name", "rule"),
    [
        (b"\x81\x00", "MASK", "6455-5.1-mask"),
        (b"\xb1\x80abcd", "RSV2, RSV3", "6455-5.2-rsv"),
        (b"\x83\x80abcd", "opcode", "6455-5.2-opcode"),
        (b"\x09\x80abcd", "FIN", "6455-5.5-control-fragmented"),
        (b"\x81\xfe\x00\x05abcdHello", "extended length", "6455-5.2-length-minimal"),
        (b"\x88\x82\0\0\0\0\x03\xed", "code", "6455-7.4-close-code"),
        (b"\x81\x81\0\0\0\0\xff", "payload", "6455-8.1-utf8"),
    ],
)
def test_a_mistake_is_put_on_the_part_that_it_is_in(wire: bytes, name: str, rule: str) -> None:
    tree = explain_websocket(wire + b"\x81\x80abcd")
    agrees(tree, rule)
    parts = [p for field in tree.fields[0].fields for p in (field, *field.fields)]
    assert [p.name for p in parts if p.wrong] == [name]
    assert tree.fields[1].meaning == "what follows a mistake is not read"


def test_a_frame_that_is_not_whole_is_shown_as_far_as_it_goes() -> None:
    (frame,) = explain_websocket(bytes.fromhex("818537fa213d7f9f")).fields
    assert frame.value == "not whole: text, 5 bytes"
    assert part(frame, "payload").data == b"He"


@given(frame_bytes, st.sampled_from(Role), st.booleans(), st.integers(0, 40))
def test_any_bytes_give_the_same_tree_however_they_are_cut(
    wire: bytes, sender: Role, compressed: bool, cut: int
) -> None:
    deflate = Agreement() if compressed else None
    whole = explain_websocket(wire, sender, deflate=deflate, limits=Limits(message=50))
    well_formed(whole)
    frames = Frames(sender, deflate, limits=Limits(message=50))
    assert frames.feed(wire[:cut]) + frames.feed(wire[cut:]) + frames.end() == whole.fields


def test_frames_behind_a_close_frame_are_shown_and_nothing_is_made_of_them() -> None:
    wire = encode_frame(8, b"\x03\xe8", mask=b"abcd") + encode_frame(1, b"41", mask=b"abcd")
    tree = explain_websocket(wire + b"\xff", Role.CLIENT)
    well_formed(tree)
    close, text, cut = tree.fields
    assert (text.value, text.meaning) == (
        "text, 2 bytes",
        "behind the close frame, which nothing follows",
    )
    assert "message" not in [field.name for field in text.fields]
    assert mistake(tree) is None
    assert (close.value, cut.value) == ("close, 2 bytes", "not whole: opcode 0xf, 0 bytes")
