"""One end of a session: packets, heartbeat, close."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.connection import EngineIOConnection, reason_of
from rawsio.engineio.packets import Message, Opened, encode_open
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.explain import explain_engineio
from rawsio.layer import Closed, Closing, Failed, Role
from tests.explain.agreement import agrees

INTERVAL, TIMEOUT = 25.0, 20.0
OPENED = Opened("a", (), INTERVAL, TIMEOUT, 10**6)


def open_server(now: float = 100.0, **more: Any) -> EngineIOConnection:
    server = EngineIOConnection(Role.SERVER, **more)
    server.send(OPENED)
    assert server.deadline == 0.0
    assert server.tick(now) == []
    server.data_to_send()
    return server


def open_client(now: float = 100.0, **more: Any) -> EngineIOConnection:
    client = EngineIOConnection(Role.CLIENT, **more)
    assert client.receive(encode_open(OPENED)) == [OPENED]
    assert client.tick(now) == []
    return client


def failure(events: list[Any]) -> str:
    (failed,) = events
    assert isinstance(failed, Failed)
    assert failed.layer == "engineio"
    return failed.rule


@pytest.mark.rule("engineio-v4-packet-types")
def test_a_message_is_4_and_its_text_or_the_bytes_themselves() -> None:
    server = open_server()
    server.send(Message("hello"))
    server.send(Message(""))
    server.send(Message(b"\x01\x02"))
    server.send(Message(memoryview(b"xy")))  # type: ignore[arg-type]
    assert server.data_to_send() == ["4hello", "4", b"\x01\x02", b"xy"]
    assert server.receive("4hi") == [Message("hi")]
    assert server.receive("4") == [Message("")]
    assert server.receive(b"\x01") == [Message(b"\x01")]
    assert server.receive(b"") == [Message(b"")]


def test_a_message_is_text_or_bytes_and_nothing_else() -> None:
    server = open_server()
    with pytest.raises(TypeError):
        server.send(Message(5))  # type: ignore[arg-type]
    assert server.data_to_send() == []


@pytest.mark.rule("engineio-v4-payload-base64")
def test_base64_text_is_a_binary_message_on_any_transport() -> None:
    server = open_server()
    assert server.receive("bAQIDBA==") == [Message(b"\x01\x02\x03\x04")]
    assert failure(server.receive("bAQ")) == "engineio-v4-payload-base64"


@pytest.mark.rule("engineio-v4-http-base64")
def test_a_peer_that_asked_for_base64_gets_no_bytes() -> None:
    server = open_server(base64=True)
    server.send(Message(b"\x01\x02\x03\x04"))
    assert server.data_to_send() == ["bAQIDBA=="]
    old = open_server(base64=True, revision=3)
    old.send(Message(b"\x01\x02\x03\x04"))
    assert old.data_to_send() == ["b4AQIDBA=="]


@pytest.mark.rule("engineio-v4-packet-known", "engineio-v4-packet-empty")
@pytest.mark.parametrize("packet", ["7", "9", "a", "٤x", "\x1e", " 4", "5", "-1", "", "{}"])
def test_an_unknown_packet_ends_the_session(packet: str) -> None:
    server = open_server()
    expected = "engineio-v4-packet-known" if packet else "engineio-v4-packet-empty"
    # "5" is no packet of a session, but of the probe before it.
    agrees(explain_engineio(packet, sender=Role.CLIENT), expected if packet != "5" else None)
    assert failure(server.receive(packet)) == expected
    assert server.receive("4more") == []
    assert server.data_to_send() == ["1"]
    assert server.closing is Closing.NOW


@pytest.mark.rule("engineio-v4-handshake-first")
def test_the_open_packet_comes_first_and_once_and_from_the_server() -> None:
    assert failure(EngineIOConnection(Role.CLIENT).receive("4x")) == "engineio-v4-handshake-first"
    assert failure(open_client().receive(encode_open(OPENED))) == "engineio-v4-handshake-first"
    assert failure(open_server().receive(encode_open(OPENED))) == "engineio-v4-handshake-first"


@pytest.mark.rule("engineio-v4-close-packet")
def test_a_close_packet_ends_the_session_at_once() -> None:
    for side in (open_server(), open_client(), EngineIOConnection(Role.CLIENT)):
        assert side.receive("1") == [Closed(0, "transport close")]
        assert side.receive("4x") == []
        assert side.receive_eof() == []
        assert side.data_to_send() == []
        with pytest.raises(LocalProtocolError):
            side.send(Message("x"))


def test_closing_sends_1_behind_what_was_sent_before() -> None:
    server = open_server()
    server.send(Message("last"))
    server.send(Closed(0, "bye"))
    assert server.data_to_send() == ["4last", "1"]
    assert server.deadline is None


@pytest.mark.rule("engineio-v4-heartbeat-interval")
def test_the_server_pings_one_interval_after_the_last_pong() -> None:
    server = open_server(100.0)
    assert server.deadline == 125.0
    assert server.tick(124.9) == []
    assert server.data_to_send() == []
    server.tick(125.0)
    assert server.data_to_send() == ["2"]
    assert server.receive("3") == []
    assert server.deadline == 0.0
    server.tick(130.0)
    assert server.deadline == 155.0


@pytest.mark.rule("engineio-v4-heartbeat-timeout")
def test_a_server_without_a_pong_gives_up_after_the_timeout() -> None:
    server = open_server(100.0)
    server.tick(125.0)
    server.data_to_send()
    assert server.tick(144.9) == []
    events = server.tick(145.0)
    assert failure(events) == "engineio-v4-heartbeat-timeout"
    assert reason_of(events[0]) == "ping timeout"


@pytest.mark.rule("engineio-v4-heartbeat-extended")
@pytest.mark.parametrize("sign", ["4x", b"\x01", "bAQ==", "6"])
def test_another_packet_extends_the_wait_for_a_pong_once(sign: str | bytes) -> None:
    server = open_server(100.0)
    server.tick(125.0)
    server.receive(sign)
    assert server.tick(145.0) == []
    assert server.deadline == 165.0
    server.receive(sign)
    assert failure(server.tick(165.0)) == "engineio-v4-heartbeat-timeout"


@pytest.mark.rule("engineio-v4-heartbeat-held")
def test_who_is_excused_has_one_ping_timeout_more() -> None:
    server = open_server(100.0)
    server.tick(125.0)
    server.excuse()
    assert server.data_to_send() == ["2"]
    assert server.tick(145.0) == []
    assert (server.deadline, server.data_to_send()) == (165.0, ["2"])
    assert failure(server.tick(165.0)) == "engineio-v4-heartbeat-timeout"


def test_a_packet_before_the_ping_extends_nothing() -> None:
    server = open_server(100.0)
    server.receive("4x")
    server.tick(125.0)
    assert failure(server.tick(145.0)) == "engineio-v4-heartbeat-timeout"


def test_the_next_ping_has_its_own_extension() -> None:
    server = open_server(100.0)
    server.tick(125.0)
    server.receive("4x")
    server.tick(145.0)
    server.receive("3")
    server.tick(146.0)
    server.tick(171.0)
    server.receive("4x")
    assert server.tick(191.0) == []
    assert server.deadline == 211.0


@pytest.mark.rule("engineio-v4-heartbeat-unsolicited")
def test_pongs_that_nobody_asked_for_start_no_timer() -> None:
    server = open_server(100.0)
    for _ in range(1000):
        assert server.receive("3") == []
        assert server.receive("6") == []
    assert server.deadline == 125.0
    assert server.data_to_send() == []


@pytest.mark.rule("engineio-v4-heartbeat-direction")
def test_heartbeats_from_the_wrong_side_fail() -> None:
    rule = "engineio-v4-heartbeat-direction"
    assert failure(open_server().receive("2")) == rule
    agrees(explain_engineio("2", sender=Role.CLIENT), rule)
    agrees(explain_engineio("2"), None)
    assert failure(open_client().receive("3")) == rule
    assert failure(open_server(revision=3).receive("3")) == rule
    assert failure(open_client(revision=3).receive("2")) == rule


@pytest.mark.rule("engineio-v4-heartbeat-client")
def test_a_client_answers_pings_and_counts_nothing_else_as_life() -> None:
    client = open_client(100.0)
    assert client.deadline == 145.0
    client.receive("2")
    assert client.data_to_send() == ["3"]
    assert client.deadline == 0.0
    client.tick(130.0)
    assert client.deadline == 175.0
    client.receive("4x")
    assert failure(client.tick(175.0)) == "engineio-v4-heartbeat-timeout"


def test_a_server_that_announces_no_times_is_trusted_to_live() -> None:
    client = EngineIOConnection(Role.CLIENT)
    client.receive('0{"sid":"a","upgrades":[],"pingInterval":0,"pingTimeout":0}')
    client.tick(100.0)
    assert client.deadline is None


@pytest.mark.rule("engineio-v3-heartbeat-reversed")
def test_in_protocol_3_the_client_pings_and_the_server_answers() -> None:
    client, server = open_client(100.0, revision=3), open_server(100.0, revision=3)
    assert (client.deadline, server.deadline) == (125.0, 145.0)
    client.tick(125.0)
    (ping,) = client.data_to_send()
    assert server.receive(ping) == []
    server.tick(125.0)
    (pong,) = server.data_to_send()
    assert (ping, pong, server.deadline) == ("2", "3", 170.0)
    assert client.receive(pong) == []
    client.tick(126.0)
    assert client.deadline == 151.0
    assert failure(server.tick(170.0)) == "engineio-v4-heartbeat-timeout"


@pytest.mark.rule("engineio-v3-packet-binary")
def test_in_protocol_3_a_binary_packet_begins_with_its_type() -> None:
    server = open_server(revision=3)
    server.send(Message(b"\x01\x02"))
    assert server.data_to_send() == [b"\x04\x01\x02"]
    assert server.receive(b"\x04\x01") == [Message(b"\x01")]
    assert server.receive("b4AQ==") == [Message(b"\x01")]
    for wrong in (b"\x02\x01", "b2AQ==", "b"):
        assert failure(open_server(revision=3).receive(wrong)) == "engineio-v3-packet-binary"
        agrees(explain_engineio(wrong, revision=3), "engineio-v3-packet-binary")
    assert failure(open_server(revision=3).receive(b"")) == "engineio-v4-packet-empty"


class Ready:
    def __init__(self, *messages: str | bytes) -> None:
        self.messages = messages
        self.payload = "\x1e".join(message for message in messages if isinstance(message, str))


def test_a_prepared_packet_stands_in_the_outbox_as_it_is() -> None:
    server, ready = open_server(), Ready("x", b"\x01")
    server.send_prepared(ready)
    assert server.data_to_send() == [ready]
    with pytest.raises(LocalProtocolError):
        EngineIOConnection(Role.SERVER).send_prepared(ready)


def test_a_prepared_packet_is_taken_apart_for_a_peer_of_base64() -> None:
    server = open_server(base64=True)
    server.send_prepared(Ready("x", b"\x01"))
    assert server.data_to_send() == ["4x", "bAQ=="]


def test_what_waits_is_measured() -> None:
    server = open_server()
    assert (server.buffered, server.pending) == (0, 0)
    server.send(Message("abc"))
    server.send_prepared(Ready("xy", "z"))
    assert (server.buffered, server.pending) == (8, 2)
    server.send(Message(b"\x01"))
    assert (server.buffered, server.pending) == (9, 3)
    server.data_to_send()
    assert (server.buffered, server.pending) == (0, 0)


def test_the_end_of_the_transport_ends_the_session_once() -> None:
    server = open_server()
    assert server.receive_eof() == [Closed(0, "transport close")]
    assert server.receive_eof() == []
    assert server.fail(EngineIOError("late", "engineio-v4-polling-size")) == []


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Closed(0, "transport close"), "transport close"),
        (Failed("engineio", "engineio-v4-heartbeat-timeout", 3, ""), "ping timeout"),
        (Failed("engineio", "engineio-v4-packet-known", 3, ""), "parse error"),
        (Failed("engineio", "engineio-v4-polling-overlap", 3, ""), "transport error"),
        (Failed("engineio", "engineio-v4-heartbeat-direction", 3, ""), "transport error"),
    ],
)
def test_ends_are_named_as_the_reference_names_them(event: Closed | Failed, reason: str) -> None:
    assert reason_of(event) == reason


HELD = 10**6
"""Bytes of a packet that is not whole: more than ``limits.body_rate`` asks for in a time-out."""


def test_only_what_came_since_the_ping_shows_that_a_client_lives() -> None:
    server = open_server()
    server.hold(HELD)
    assert server.tick(100.0 + INTERVAL) == []
    assert server.tick(100.0 + INTERVAL + TIMEOUT - 0.1) == []
    assert failure(server.tick(100.0 + INTERVAL + TIMEOUT)) == "engineio-v4-heartbeat-timeout"
    server = open_server()
    server.tick(100.0 + INTERVAL)
    server.hold(HELD)
    assert server.tick(100.0 + INTERVAL + TIMEOUT) == []
    assert failure(server.tick(100.0 + INTERVAL + 2 * TIMEOUT)) == "engineio-v4-heartbeat-timeout"


def test_only_what_came_since_the_last_ping_shows_that_a_server_lives() -> None:
    client = EngineIOConnection(Role.CLIENT)
    client.receive(encode_open(OPENED))
    client.hold(HELD)
    assert client.tick(100.0) == []
    assert failure(client.tick(100.0 + INTERVAL + TIMEOUT)) == "engineio-v4-heartbeat-timeout"
    client = open_client()
    client.hold(HELD)
    assert client.tick(100.0 + INTERVAL + TIMEOUT) == []


@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize(("interval", "timeout"), [(25.0, 20.0), (0.0, 0.0)])
def test_to_begin_in_one_step_is_to_send_the_open_packet_and_to_tell_the_time(
    revision: int, interval: float, timeout: float
) -> None:
    times = ("websocket",), interval, timeout, 100
    steps = EngineIOConnection(Role.SERVER, revision=revision)
    steps.send(Opened("a", *times))
    steps.tick(5.0)
    at_once = EngineIOConnection(Role.SERVER, revision=revision)
    at_once.begin("a", times, 5.0)
    for name in EngineIOConnection.__slots__:
        assert getattr(at_once, name) == getattr(steps, name), name
