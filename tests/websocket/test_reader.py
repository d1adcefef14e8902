"""Frames to messages: fragments, limits, UTF-8 as it arrives, and what it costs."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from rawsio.layer import Failed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message, Ping, Pong
from rawsio.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    encode_close,
)
from rawsio.websocket.masking import LONG

from .feeding import KEY, close_sent, feed, frame, work_off

both = pytest.mark.parametrize("role", Role)
SMALL = Limits(message=1000, fragments=10)


def failed(role: Role, wire: bytes, **options: Any) -> tuple[str, int]:
    """Return rule and code of the failure, having seen that the peer is told the same code."""
    outcome = feed(role, wire, **options)
    last = outcome.events[-1]
    assert isinstance(last, Failed), outcome.events
    assert close_sent(role, outcome.output) == last.code
    return last.rule, last.code


@both
@pytest.mark.rule("6455-6.2-unmask", "6455-5.6-data")
@pytest.mark.parametrize("size", [0, 1, 4, 125, 126, 127, 65535, 65536, LONG - 1, LONG, 200_000])
def test_messages_of_every_length_encoding_arrive(role: Role, size: int) -> None:
    for opcode, data in ((TEXT, "x" * size), (BINARY, b"x" * size)):
        wire = frame(role, opcode, b"x" * size) + frame(role, TEXT, b"next")
        layer = WebSocketConnection(role)
        assert layer.receive(wire) + work_off(layer) == [Message(data), Message("next")]
        events: list[Any] = []
        for at in range(0, len(wire), 4999):
            events += layer.receive(wire[at : at + 4999])
        assert events == [Message(data), Message("next")]
        assert layer.buffered == 0


@both
@pytest.mark.rule(
    "6455-5.4-fragments", "6455-5.4-control-between", "6455-5.5.2-pong", "6455-5.4-order"
)
def test_fragments_are_joined_and_control_frames_pass_between(role: Role) -> None:
    wire = (
        frame(role, TEXT, b"Hel", fin=False)
        + frame(role, PING, b"1")
        + frame(role, CONTINUATION, b"", fin=False)
        + frame(role, PONG, b"2")
        + frame(role, CONTINUATION, b"lo")
        + frame(role, BINARY, b"", fin=False)
        + frame(role, CONTINUATION, b"")
    )
    assert feed(role, wire).events == [Ping(b"1"), Pong(b"2"), Message("Hello"), Message(b"")]


@both
@pytest.mark.rule("6455-5.4-continuation", "6455-5.4-interleaved")
def test_fragments_out_of_order_are_refused(role: Role) -> None:
    started = frame(role, TEXT, b"a", fin=False)
    ended = started + frame(role, CONTINUATION, b"b")
    for wire in (
        frame(role, CONTINUATION, b"a"),
        frame(role, CONTINUATION, b"a", fin=False),
        ended + frame(role, CONTINUATION, b"c"),
    ):
        assert failed(role, wire) == ("6455-5.4-continuation", 1002)
    for wire in (
        started + frame(role, TEXT, b"b"),
        started + frame(role, BINARY, b"b", fin=False),
        started + frame(role, PING, b"") + frame(role, TEXT, b""),
    ):
        assert failed(role, wire) == ("6455-5.4-interleaved", 1002)


@both
@pytest.mark.rule("6455-8.1-utf8", "6455-5.4-utf8-fragments")
def test_a_character_may_be_cut_by_fragments(role: Role) -> None:
    text = "\u00e9\u20ac\U0001f600"
    wire = b"".join(
        frame(role, CONTINUATION if n else TEXT, bytes((octet,)), fin=n == len(text.encode()) - 1)
        for n, octet in enumerate(text.encode())
    )
    assert feed(role, wire).events == [Message(text)]


@both
@pytest.mark.rule("6455-5.4-boundaries", "6455-5.4-order")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_is_the_same_whatever_frames_it_comes_in(role: Role, opcode: int) -> None:
    data = "a\u00e9\u20ac\U0001f600z".encode()
    message = Message(data.decode() if opcode == TEXT else data)
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            wire = (
                frame(role, opcode, data[:first], fin=False)
                + frame(role, CONTINUATION, data[first:second], fin=False)
                + frame(role, CONTINUATION, data[second:])
            )
            assert WebSocketConnection(role).receive(wire) == [message]


@both
@pytest.mark.rule("6455-8.1-utf8")
@pytest.mark.parametrize(
    "text",
    [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe2\x82", b"\xe2\x82\x41"],
)
def test_a_text_that_is_not_utf8_is_refused(role: Role, text: bytes) -> None:
    assert failed(role, frame(role, TEXT, text)) == ("6455-8.1-utf8", 1007)
    wire = frame(role, TEXT, text[:1], fin=False) + frame(role, CONTINUATION, text[1:])
    assert failed(role, wire) == ("6455-8.1-utf8", 1007)
    assert feed(role, frame(role, BINARY, text)).events == [Message(text)]


@both
@pytest.mark.rule("6455-8.1-utf8")
def test_bad_text_is_refused_before_the_frame_is_whole(role: Role) -> None:
    header = 6 if role is Role.SERVER else 2
    wire = frame(role, TEXT, b"ab\xc0" + b"c" * 100)
    assert feed(role, wire[: header + 2]).events == []
    assert failed(role, wire[: header + 3]) == ("6455-8.1-utf8", 1007)
    wire = frame(role, TEXT, b"\xed\xa0\x80" + b"c" * 100)
    assert failed(role, wire[: header + 2]) == ("6455-8.1-utf8", 1007)


@both
@pytest.mark.rule("6455-10.4-message")
def test_a_long_message_is_refused_at_its_header(role: Role) -> None:
    mask = b"\x80" if role is Role.SERVER else b"\0"
    assert len(feed(role, frame(role, TEXT, b"x" * 1000), limits=SMALL).events) == 1
    assert failed(role, frame(role, TEXT, b"x" * 1001)[:8], limits=SMALL) == (
        "6455-10.4-message", 1009,
    )  # fmt: skip
    for size in (2**40, 2**63 - 1):
        header = bytes((0x82, 0x7F | mask[0])) + size.to_bytes(8, "big") + KEY
        assert failed(role, header) == ("6455-10.4-message", 1009)
    # The fast paths have the limit too.
    for most in (0, 10, 124, 125, 126, 300):
        limits = Limits(message=most)
        assert len(feed(role, frame(role, TEXT, b"x" * most), limits=limits).events) == 1
        assert failed(role, frame(role, TEXT, b"x" * (most + 1)), limits=limits)[1] == 1009


@both
@pytest.mark.rule("6455-10.4-message", "6455-5.2-length-top-bit")
def test_fragments_are_added_up(role: Role) -> None:
    started = frame(role, BINARY, bytes(600), fin=False)
    good = started + frame(role, CONTINUATION, bytes(400))
    assert feed(role, good, limits=SMALL).events == [Message(bytes(1000))]
    bad = started + frame(role, CONTINUATION, bytes(401))[:8]
    assert failed(role, bad, limits=SMALL) == ("6455-10.4-message", 1009)
    mask = 0x80 if role is Role.SERVER else 0
    for size, rule in (
        (2**63 - 1, "6455-10.4-message"),
        (2**63, "6455-5.2-length-top-bit"),
        (2**64 - 1, "6455-5.2-length-top-bit"),
    ):
        header = bytes((0x80, 0x7F | mask)) + size.to_bytes(8, "big") + KEY
        assert failed(role, started + header, limits=SMALL)[0] == rule


@both
@pytest.mark.rule("6455-5.2-length-minimal")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 5, 124, 125])
def test_a_whole_frame_whose_length_is_not_in_its_shortest_form_is_refused(
    role: Role, opcode: int, size: int
) -> None:
    """The fast paths have this rule too."""
    mask, key = (0x80, KEY) if role is Role.SERVER else (0, b"")
    for field in (b"\x7e" + size.to_bytes(2, "big"), b"\x7f" + size.to_bytes(8, "big")):
        wire = bytes((0x80 | opcode, field[0] | mask)) + field[1:] + key + bytes(size)
        wire += frame(role, TEXT, b"next")
        assert failed(role, wire) == ("6455-5.2-length-minimal", 1002)


@both
@pytest.mark.rule("6455-10.4-fragments")
def test_fragments_are_counted(role: Role) -> None:
    parts = [frame(role, TEXT, b"a", fin=False)] + [frame(role, CONTINUATION, b"b", fin=False)] * 8
    good = b"".join(parts) + frame(role, CONTINUATION, b"c")
    assert feed(role, good * 2, limits=SMALL).events == [Message("abbbbbbbbc")] * 2
    bad = b"".join(parts) + frame(role, CONTINUATION, b"", fin=False) * 2
    assert failed(role, bad, limits=SMALL) == ("6455-10.4-fragments", 1009)


@both
@pytest.mark.rule("6455-5.1-mask", "6455-5.1-server-mask")
def test_masking_is_a_duty_of_clients_alone(role: Role) -> None:
    wire = frame(role.peer, TEXT, b"Hello")
    rule = "6455-5.1-mask" if role is Role.SERVER else "6455-5.1-server-mask"
    assert failed(role, wire) == (rule, 1002)


HEADERS = [
    (b"\x91\x00", "6455-5.2-rsv"),
    (b"\xa1\x00", "6455-5.2-rsv"),
    (b"\xc1\x00", "6455-5.2-rsv1"),
    (b"\x83\x00", "6455-5.2-opcode"),
    (b"\x8b\x00", "6455-5.2-opcode"),
    (b"\x8f\x00", "6455-5.2-opcode"),
    (b"\x09\x00", "6455-5.5-control-fragmented"),
    (b"\x08\x00", "6455-5.5-control-fragmented"),
    (b"\x89\x7e\x00\x7e", "6455-5.5-control-length"),
    (b"\x88\x7f" + bytes(8), "6455-5.5-control-length"),
    (b"\x82\x7e\x00\x7d", "6455-5.2-length-minimal"),
    (b"\x82\x7f" + (65535).to_bytes(8, "big"), "6455-5.2-length-minimal"),
    (b"\x82\x7f" + (2**63).to_bytes(8, "big"), "6455-5.2-length-top-bit"),
]


@both
@pytest.mark.rule(
    "6455-5.2-rsv",
    "6455-5.2-rsv1",
    "6455-5.2-opcode",
    "6455-5.5-control-fragmented",
    "6455-5.5-control-length",
    "6455-7.1.7-fail",
    "6455-7.1.7-nothing-more",
    "6455-7.1.7-report",
    "6455-10.7-validate",
)
@pytest.mark.parametrize(("header", "rule"), HEADERS)
def test_a_wrong_header_ends_the_connection(role: Role, header: bytes, rule: str) -> None:
    if role is Role.SERVER:
        header = header[:1] + bytes((header[1] | 0x80,)) + header[2:] + KEY
    good = frame(role, TEXT, b"first")
    wire = good + header + frame(role, TEXT, b"never")
    outcome = feed(role, wire)
    assert outcome.events[0] == Message("first")
    assert failed(role, wire) == (rule, 1002)
    assert outcome.layer.receive(frame(role, TEXT, b"never")) == []


@both
def test_one_byte_at_a_time_needs_one_buffer(role: Role) -> None:
    size = 5000
    wire = frame(role, BINARY, bytes(size))
    layer = WebSocketConnection(role)
    tracemalloc.start()
    try:
        events: list[Any] = []
        for octet in range(len(wire)):
            events += layer.receive(wire[octet : octet + 1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events == [Message(bytes(size))]
    # The buffer, with its room to grow, and the message that is made of it.
    assert peak < 2.5 * size + 4000, peak


@both
@pytest.mark.rule("6455-10.4-fragments")
@pytest.mark.parametrize("fragments", [1024, 2_000_000])
def test_ten_thousand_empty_fragments_cost_nothing(role: Role, fragments: int) -> None:
    limits = Limits(fragments=fragments)
    layer = WebSocketConnection(role, limits)
    layer.receive(frame(role, TEXT, b"", fin=False))
    block = frame(role, CONTINUATION, b"", fin=False) * 1000
    tracemalloc.start()
    try:
        events: list[Any] = []
        for _ in range(10):
            events += layer.receive(block) + work_off(layer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50_000, peak
    assert len(events) == (1 if fragments == 1024 else 0)
    assert layer.buffered == 0


@pytest.mark.rule("6455-10.4-finite")
def test_the_limits_are_finite_by_default() -> None:
    assert DEFAULT.message <= 16_000_000
    assert DEFAULT.fragments <= 65536
    assert DEFAULT.pongs <= 100
    assert DEFAULT.close_time <= 60


@both
def test_what_waits_is_counted(role: Role) -> None:
    layer = WebSocketConnection(role)
    wire = frame(role, BINARY, bytes(300))
    layer.receive(wire[:3])
    assert layer.buffered == 3
    layer.receive(wire[3:100])
    assert 80 < layer.buffered < 100
    layer.receive(wire[100:] + frame(role, CLOSE, encode_close(1000))[:5])
    assert layer.buffered == (5 if role is Role.SERVER else 0) or role is Role.CLIENT
