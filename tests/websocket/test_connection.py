"""The connection: pongs, both closing handshakes, ends of streams, time, and what is sent."""

from __future__ import annotations

import os
from array import array
from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.events import Message, Ping, Pong
from rawsio.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    decode_close,
    encode_close,
)

from .feeding import close_sent, feed, frame, frames
from .test_laws import OneMessage

both = pytest.mark.parametrize("role", Role)


def sent(layer: WebSocketConnection, role: Role) -> list[Frame]:
    return frames(role, b"".join(layer.data_to_send()))


# Sending


@both
def test_what_waits_in_the_outbox_is_counted_until_it_is_taken(role: Role) -> None:
    layer = WebSocketConnection(role)
    for event in (Message("h\u00e9"), Message(b"\xff" * 70_000), Ping(b"p")):
        layer.send(event)
        assert layer.waiting == layer.waiting > 0
    waiting = layer.waiting
    assert waiting == len(b"".join(layer.data_to_send())) > 70_000
    assert layer.waiting == 0
    layer.send(Message("x"))
    assert layer.waiting == len(b"".join(layer.data_to_send()))


@both
def test_a_pong_in_the_place_of_another_is_counted_by_its_own_length(role: Role) -> None:
    layer = WebSocketConnection(role, Limits(pongs=1))
    for data in (b"", bytes(125), b"short"):
        layer.receive(frame(role, PING, data))
        layer.send(Message("x"))
        assert layer.waiting > 0
    assert layer.waiting == len(b"".join(layer.data_to_send()))
    # Replaced before anybody asked.
    layer.send(Message("x"))
    assert layer.waiting > 0
    layer.receive(frame(role, PING, b""))
    layer.receive(frame(role, PING, bytes(125)))
    assert layer.waiting == len(b"".join(layer.data_to_send()))


@both
@pytest.mark.rule("6455-6.1-frames", "6455-5.6-data", "6455-5.1-server-mask", "6455-6.1-transmit")
def test_messages_pings_and_pongs_are_sent_as_frames(role: Role) -> None:
    layer = WebSocketConnection(role)
    for event in (Message("h\u00e9"), Message(b"\xff"), Ping(b"p"), Pong(b"q"), Message("")):
        layer.send(event)
    assert sent(layer, role) == [
        Frame(TEXT, "h\u00e9".encode()),
        Frame(BINARY, b"\xff"),
        Frame(PING, b"p"),
        Frame(PONG, b"q"),
        Frame(TEXT, b""),
    ]
    assert layer.data_to_send() == []


@pytest.mark.rule("6455-5.1-mask", "6455-5.3-fresh-key", "6455-10.3-random-key")
def test_a_client_masks_each_frame_with_a_new_key() -> None:
    keys = iter([b"abcd", b"efgh", b"ijkl", b"mnop"])
    layer = WebSocketConnection(
        Role.CLIENT, random_bytes=lambda count: next(keys)[:count], fragment=2
    )
    layer.send(Message("abc"))
    layer.send(Ping())
    layer.send(Closed(1000))
    wire = b"".join(layer.data_to_send())
    assert [wire[n : n + 4] for n in (2, 10, 17, 23)] == [b"abcd", b"efgh", b"ijkl", b"mnop"]
    assert wire[6:8] == bytes((ord("a") ^ ord("a"), ord("b") ^ ord("b")))


@pytest.mark.rule("6455-10.3-random-key", "6455-5.3-fresh-key")
def test_by_default_keys_are_random() -> None:
    assert WebSocketConnection.__init__.__kwdefaults__["random_bytes"] is os.urandom
    layer = WebSocketConnection(Role.CLIENT)
    for _ in range(20):
        layer.send(Ping())
    assert len({wire[2:6] for wire in layer.data_to_send()}) == 20


@both
@pytest.mark.rule("6455-6.1-frames", "6455-5.4-fragments", "6455-5.4-order")
def test_long_messages_are_fragmented_if_wanted(role: Role) -> None:
    layer = WebSocketConnection(role, fragment=4)
    layer.send(Message("abcdefghi"))
    layer.send(Message("abcd"))
    assert sent(layer, role) == [
        Frame(TEXT, b"abcd", False),
        Frame(CONTINUATION, b"efgh", False),
        Frame(CONTINUATION, b"i", True),
        Frame(TEXT, b"abcd"),
    ]
    layer = WebSocketConnection(role, Limits(fragments=3), fragment=1)
    layer.send(Message(b"abcdefgh"))
    assert [f.payload for f in sent(layer, role)] == [b"abc", b"def", b"gh"]


@both
@pytest.mark.rule("6455-10.3-no-change")
def test_bytes_in_other_clothes_are_sent_as_they_were(role: Role) -> None:
    layer = WebSocketConnection(role)
    changing = bytearray(b"ab")
    loose: Any = (changing, memoryview(b"cd"))
    for data in loose:
        layer.send(Message(data))
    changing[:] = b"xy"
    assert [f.payload for f in sent(layer, role)] == [b"ab", b"cd"]


@both
@pytest.mark.rule(
    "6455-5.5-control-length", "6455-7.4-close-code", "6455-8.1-utf8", "6455-5.5.1-close-body"
)
@pytest.mark.parametrize(
    "event",
    [
        Message("\ud800"),
        Ping(bytes(126)),
        Pong(bytes(126)),
        Ping(memoryview(array("I", range(100)))),  # type: ignore[arg-type]
        Closed(1005, "a reason"),
        Closed(1000, "x" * 124),
        Closed(1000, "\u20ac" * 42),
        Closed(1000, "\ud800"),
        *[Closed(code) for code in (0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65536, -1)],
    ],
)
def test_what_the_peer_would_refuse_is_refused_here(role: Role, event: Any) -> None:
    layer = WebSocketConnection(role)
    with pytest.raises(LocalProtocolError):
        layer.send(event)
    assert layer.data_to_send() == []
    layer.send(Message("still open"))


@both
@pytest.mark.rule("6455-5.5-control-length")
def test_the_longest_control_frames_are_sent(role: Role) -> None:
    layer = WebSocketConnection(role)
    for event in (Ping(bytes(125)), Pong(bytes(125)), Closed(1000, "x" * 123)):
        layer.send(event)
    assert [len(f.payload) for f in sent(layer, role)] == [125, 125, 125]


@pytest.mark.rule("6455-7.4.1-1010")
def test_the_close_code_1010_is_a_clients() -> None:
    WebSocketConnection(Role.CLIENT).send(Closed(1010))
    with pytest.raises(LocalProtocolError):
        WebSocketConnection(Role.SERVER).send(Closed(1010))


@both
def test_wrong_types_are_type_errors_and_send_nothing(role: Role) -> None:
    layer = WebSocketConnection(role)
    wrong: tuple[Any, ...] = (
        *(Message(None), Message(5), Ping("x"), Ping([1]), Pong(None)),  # type: ignore[arg-type]
        *(Closed(1000, b"x"), Closed(1000, 7), Closed("1000"), Closed(1000.0), Closed(None)),  # type: ignore[arg-type]
    )
    for event in wrong:
        with pytest.raises(TypeError):
            layer.send(event)
    assert layer.data_to_send() == []


@both
def test_a_prepared_packet_is_sent_as_it_is_where_all_receivers_get_the_same(role: Role) -> None:
    packet = OneMessage("4hello")
    layer = WebSocketConnection(role)
    layer.send_prepared(packet)
    if role is Role.SERVER:
        # Not a copy: a broadcast costs its bytes once.
        assert layer.data_to_send()[0] is packet.frame
    else:
        assert sent(layer, role) == [Frame(TEXT, b"4hello")]
    layer = WebSocketConnection(role, deflate=Agreement(threshold=1))
    layer.send_prepared(packet)
    layer.send_prepared(OneMessage("4hello", compress=False))
    assert [f.rsv1 for f in sent(layer, role)] == [True, False]
    layer.send(Closed(1000))
    with pytest.raises(LocalProtocolError):
        layer.send_prepared(packet)


def test_a_packet_is_put_only_where_a_server_sends_every_message_so() -> None:
    packet = OneMessage("4hello")
    layer = WebSocketConnection(Role.SERVER)
    assert layer.put_prepared(packet) is True
    assert layer.put_text("4hello") is True
    assert layer.data_to_send() == [packet.frame, packet.frame]
    layer.send(Closed(1000))
    layer.data_to_send()
    client = WebSocketConnection(Role.CLIENT)
    for other in (
        layer,
        client,
        WebSocketConnection(Role.SERVER, deflate=Agreement()),
        WebSocketConnection(Role.SERVER, fragment=10),
    ):
        assert other.put_prepared(packet) is False
        if other is not client:
            assert other.put_text("4hello") is False
        assert other.data_to_send() == []
    assert client.put_text("4hello") is True
    assert [frame.payload for frame in sent(client, Role.CLIENT)] == [b"4hello"]


# Pings


@both
@pytest.mark.rule("6455-5.5.2-pong", "6455-5.5.2-soon", "6455-5.5.3-same-data")
@pytest.mark.parametrize("data", [b"", b"Hello", bytes(125)])
def test_a_ping_is_answered_with_its_data(role: Role, data: bytes) -> None:
    outcome = feed(role, frame(role, PING, data))
    assert outcome.events == [Ping(data)]
    assert frames(role, outcome.output) == [Frame(PONG, data)]
    assert outcome.layer.deadline is None


@both
@pytest.mark.rule("6455-5.5.3-unsolicited")
def test_a_pong_that_nobody_asked_for_is_reported_only(role: Role) -> None:
    outcome = feed(role, frame(role, PONG, b"beat"))
    assert outcome.events == [Pong(b"beat")]
    assert outcome.output == b""


@both
@pytest.mark.rule("6455-5.5.3-latest")
def test_a_flood_of_pings_is_answered_by_few_pongs_the_last_of_them_the_latest(role: Role) -> None:
    limits = Limits(pongs=3)
    layer = WebSocketConnection(role, limits)
    layer.receive(b"".join(frame(role, PING, b"%d" % n) for n in range(200)))
    assert [f.payload for f in sent(layer, role)] == [b"0", b"1", b"199"]
    layer.receive(frame(role, PING, b"again"))
    layer.send(Message("between"))
    layer.receive(b"".join(frame(role, PING, b"%d" % n) for n in range(5)))
    assert [f.payload for f in sent(layer, role)] == [b"again", b"between", b"0", b"4"]


# The closing handshake


@pytest.mark.rule(
    "6455-5.5.1-answer", "6455-7.1.1-server-first", "6455-7.1.5-code", "6455-7.1.6-reason",
    "6455-5.5.1-close-tcp",
)  # fmt: skip
@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "bye"), (1001, ""), (1005, ""), (3000, "\u20ac"), (1010, "")]
)
def test_a_server_answers_a_close_frame_and_is_done(code: int, reason: str) -> None:
    outcome = feed(Role.SERVER, frame(Role.SERVER, CLOSE, encode_close(code, reason)))
    assert outcome.events == [Closed(code, reason)]
    assert close_sent(Role.SERVER, outcome.output) == code
    assert outcome.closing is Closing.NOW
    assert outcome.layer.deadline is None


@pytest.mark.rule("6455-5.5.1-answer", "6455-7.1.1-client-waits")
def test_a_client_answers_a_close_frame_and_waits_for_the_server_to_close() -> None:
    layer = WebSocketConnection(Role.CLIENT, Limits(close_time=10.0))
    layer.tick(100.0)
    assert layer.receive(frame(Role.CLIENT, CLOSE, encode_close(1001, "bye"))) == []
    assert close_sent(Role.CLIENT, b"".join(layer.data_to_send())) == 1001
    assert layer.closing is Closing.OPEN
    assert layer.deadline == 0.0
    assert layer.tick(101.0) == []
    assert layer.deadline == 111.0
    assert layer.receive(frame(Role.CLIENT, TEXT, b"ignored")) == []
    assert layer.receive_eof() == [Closed(1001, "bye")]
    assert layer.closing is Closing.NOW
    assert layer.receive_eof() == []
    assert layer.deadline is None


@pytest.mark.rule("6455-7.1.1-client-waits", "6455-5.5.1-close-tcp")
def test_a_client_waits_for_the_end_of_tcp_only_for_a_while() -> None:
    layer = WebSocketConnection(Role.CLIENT, Limits(close_time=10.0))
    layer.receive(frame(Role.CLIENT, CLOSE))
    assert layer.tick(1.0) == []
    assert layer.tick(10.9) == []
    assert layer.tick(11.0) == [Closed(1005, "")]
    assert layer.closing is Closing.NOW


@both
@pytest.mark.rule(
    "6455-7.1.2-start", "6455-7.1.5-code", "6455-7.1.6-reason", "6455-5.5.1-no-data-after-close"
)
def test_we_close_and_the_peer_answers(role: Role) -> None:
    layer = WebSocketConnection(role)
    layer.send(Message("last"))
    layer.send(Closed(4000, "enough"))
    assert [f.payload for f in sent(layer, role)] == [b"last", encode_close(4000, "enough")]
    with pytest.raises(LocalProtocolError):
        layer.send(Message("too late"))
    with pytest.raises(LocalProtocolError):
        layer.send(Closed(1000))
    # What the peer sent before it saw our close frame still counts.
    assert layer.receive(frame(role, TEXT, b"crossing")) == [Message("crossing")]
    assert layer.receive(frame(role, PING, b"?")) == [Ping(b"?")]
    assert [f.opcode for f in sent(layer, role)] == [PONG]
    events = layer.receive(frame(role, CLOSE, encode_close(4000)))
    assert layer.data_to_send() == []
    if role is Role.CLIENT:
        assert events == []
        events = layer.receive_eof()
    assert events == [Closed(4000, "")]
    assert layer.closing is Closing.NOW


@both
@pytest.mark.rule("6455-7.1.2-start")
@pytest.mark.parametrize(
    ("event", "body"),
    [
        (Closed(1005), b""),
        (Closed(1000), b"\x03\xe8"),
        (Closed(1001, "x" * 123), b"\x03\xe9" + b"x" * 123),
    ],
)
def test_a_close_frame_has_a_code_or_nothing(role: Role, event: Closed, body: bytes) -> None:
    layer = WebSocketConnection(role)
    layer.send(event)
    assert sent(layer, role) == [Frame(CLOSE, body)]


@both
@pytest.mark.rule("6455-7.1.1-close-time")
def test_a_peer_that_does_not_answer_our_close_frame_is_left(role: Role) -> None:
    layer = WebSocketConnection(role, Limits(close_time=5.0))
    layer.tick(1000.0)
    assert layer.deadline is None
    layer.send(Closed(1000))
    assert layer.deadline == 0.0
    assert layer.tick(1060.0) == []
    assert layer.deadline == 1065.0
    assert layer.tick(1064.9) == []
    (failed,) = layer.tick(1065.0)
    assert (failed.rule, failed.code) == ("6455-7.1.1-close-time", 1006)
    assert layer.closing is Closing.NOW
    assert layer.tick(2000.0) == []


@both
@pytest.mark.rule("6455-7.1.5-eof", "6455-7.2.1-lost")
@pytest.mark.parametrize("closing", [False, True])
def test_an_end_without_a_close_frame_is_a_failure(role: Role, closing: bool) -> None:
    layer = WebSocketConnection(role)
    if closing:
        layer.send(Closed(1000))
        layer.data_to_send()
    (failed,) = layer.receive_eof()
    assert (failed.rule, failed.code) == ("6455-7.1.5-eof", 1006)
    assert layer.data_to_send() == []
    assert layer.closing is Closing.NOW
    assert layer.receive_eof() == []


@both
@pytest.mark.rule("6455-7.1.5-eof")
def test_an_end_within_a_frame_is_a_failure(role: Role) -> None:
    wire = frame(role, TEXT, b"Hello") + frame(role, TEXT, b"Hello")[:-1]
    outcome = feed(role, wire, eof=True)
    assert outcome.events[0] == Message("Hello")
    assert outcome.events[1].rule == "6455-7.1.5-eof"


@both
@pytest.mark.rule("6455-1.4-data-after-close")
def test_what_follows_a_close_frame_is_ignored(role: Role) -> None:
    for rest in (
        b"\xff\xff\xff" + frame(role, PING, b"x"),
        frame(role, PING, b"x"),
        frame(role, TEXT, b"x") + frame(role, PONG),
        frame(role, CLOSE, encode_close(4000)),
        frame(role, TEXT, b"\xff"),
        frame(role, BINARY, bytes(200))[:5],
    ):
        outcome = feed(role, frame(role, CLOSE, encode_close(1000, "first")) + rest, eof=True)
        assert outcome.events == [Closed(1000, "first")]
        (answer,) = frames(role, outcome.output)
        assert (answer.opcode, answer.payload) == (CLOSE, encode_close(1000))
        assert outcome.layer.buffered == 0


@both
@pytest.mark.rule(
    "6455-7.1.7-close", "6455-7.4-close-code", "6455-5.5.1-close-body", "6455-8.1-utf8"
)
@pytest.mark.parametrize(
    ("body", "rule", "code"),
    [
        (b"\x03", "6455-5.5.1-close-body", 1002),
        (b"\x03\xe8\xff", "6455-8.1-utf8", 1007),
        *[
            (code.to_bytes(2, "big"), "6455-7.4-close-code", 1002)
            for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
        ],
    ],
)
def test_a_bad_close_frame_is_a_failure(role: Role, body: bytes, rule: str, code: int) -> None:
    outcome = feed(role, frame(role, CLOSE, body))
    (failed,) = outcome.events
    assert (failed.rule, failed.code) == (rule, code)
    assert close_sent(role, outcome.output) == code
    assert outcome.closing is Closing.HALF


# An end that comes together with messages


@both
@pytest.mark.rule("6455-5.5.1-soon", "6455-7.1.7-close", "6455-7.1.7-fail")
@pytest.mark.parametrize("end", ["mistake", "close"])
def test_messages_before_an_end_can_still_be_answered(role: Role, end: str) -> None:
    layer = WebSocketConnection(role)
    bad = b"\xff\xff" if end == "mistake" else frame(role, CLOSE, encode_close(1000))
    events = layer.receive(frame(role, TEXT, b"question") + bad)
    assert events == [Message("question")]
    assert layer.deadline == 0.0
    assert layer.closing is Closing.OPEN
    layer.send(Message("answer"))
    events = layer.tick(1.0)
    assert [f.opcode for f in sent(layer, role)] == [TEXT, CLOSE]
    if end == "mistake":
        assert isinstance(events[0], Failed)
        assert layer.closing is Closing.HALF
    elif role is Role.SERVER:
        assert events == [Closed(1000, "")]
    else:
        assert events == []
        assert layer.deadline == 11.0


@both
def test_an_end_that_waits_comes_with_the_next_call_whatever_it_is(role: Role) -> None:
    wire = frame(role, TEXT, b"a") + b"\xff\xff"
    for call in ("receive", "receive_eof"):
        layer = WebSocketConnection(role)
        layer.receive(wire)
        (failed,) = layer.receive(b"more") if call == "receive" else layer.receive_eof()
        assert failed.rule == "6455-5.2-rsv"
        assert layer.receive_eof() == []


@both
def test_an_end_that_waits_crosses_with_our_own(role: Role) -> None:
    layer = WebSocketConnection(role)
    layer.receive(frame(role, TEXT, b"a") + frame(role, CLOSE, encode_close(1001)))
    layer.send(Closed(4000))
    events = layer.tick(1.0) + layer.receive_eof()
    assert events == [Closed(1001, "")]
    assert [decode_close(f.payload)[0] for f in sent(layer, role)] == [4000]


@both
def test_a_close_frame_says_what_was_wrong_but_for_what_is_too_long(role: Role) -> None:
    for data, body in (
        (b"\xff", encode_close(1007, "a text is not valid UTF-8")),
        (b"long", encode_close(1009)),
    ):
        layer = WebSocketConnection(role, Limits(message=3))
        layer.receive(frame(role, TEXT, data))
        assert [f.payload for f in sent(layer, role)] == [body]


@both
@pytest.mark.rule("6455-7.1.7-fail")
def test_a_failure_after_our_close_frame_sends_no_second_one(role: Role) -> None:
    layer = WebSocketConnection(role)
    layer.send(Closed(1000))
    layer.data_to_send()
    (failed,) = layer.receive(b"\xff\xff")
    assert failed.code == 1002
    assert layer.data_to_send() == []


@both
def test_it_always_reads(role: Role) -> None:
    assert WebSocketConnection(role).reading


def test_who_relaxes_keeps_nothing_for_compression_until_the_next_message() -> None:
    layer = WebSocketConnection(Role.SERVER, deflate=Agreement(threshold=1))
    layer.relax()
    kept = []
    for _ in range(2):
        layer.send(Message("hello, hello, hello"))
        assert layer.data_to_send()
        kept.append(layer.contexts)
        layer.relax()
        assert (layer.contexts, layer.held) == (0, 0)
    assert kept[0] == kept[1] > 0
    plain = WebSocketConnection(Role.SERVER)
    plain.relax()
    assert plain.contexts == 0
