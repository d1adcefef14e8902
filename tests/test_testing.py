"""The test kit itself: wires, the clock, and what it can do to a connection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import ConnectionClosed, Limits, Refused, Server
from rawsio.net.memory import CAPACITY
from rawsio.testing import TestKit


@pytest.fixture
def kit() -> Iterator[TestKit]:
    io = Server()

    @io.on("ack")
    def ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
        return args

    with TestKit(io) as made:
        yield made


def test_an_event_is_answered_and_no_time_passes(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"])
    assert socket.emit_with_ack("ack", 1, b"\0").result() == (1, b"\0")
    assert kit.time == 0.0
    assert kit.io.stats()["sockets"] == 1


def test_the_upgrade_takes_the_tenth_of_a_second_that_the_protocol_has(kit: TestKit) -> None:
    socket = kit.connect(transports=["polling", "websocket"])
    assert socket.client.transport == "polling"
    kit.advance(0.1)
    assert socket.client.transport == "websocket"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_a_day_of_heartbeats_goes_by(kit: TestKit, transports: list[str]) -> None:
    socket = kit.connect(transports=transports)
    kit.advance(3600.0)
    assert socket.connected
    assert kit.time == 3600.0


def test_a_reset_is_learnt_at_once_by_both(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"], reconnection=False)
    kit.cut(socket)
    assert not socket.connected
    assert kit.io.stats()["sessions"] == 0


def test_a_silent_cut_is_learnt_from_the_heartbeat(kit: TestKit) -> None:
    reasons: list[str] = []
    kit.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    socket = kit.connect(transports=["websocket"], reconnection=False)
    socket.on("disconnect", lambda reason, _text: reasons.append(reason))
    kit.cut(socket, silent=True)
    kit.advance(44.9)
    assert reasons == []
    kit.advance(0.2)
    assert reasons == ["ping timeout", "ping timeout"]


def test_a_client_that_does_not_read_lets_it_pile_up(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"])
    kit.stall(socket)
    for _ in range(3):
        kit.io.emit("news", "x" * CAPACITY)
    kit.run()
    (server,) = kit.io.sockets.values()
    assert server.conn.buffered_amount > CAPACITY
    kit.resume(socket)
    assert server.conn.buffered_amount == 0
    assert [len(socket.receive()[1]) for _ in range(3)] == [CAPACITY] * 3


def test_a_refusal_and_a_server_that_is_not_there_are_raised(kit: TestKit) -> None:
    @kit.io.of("/secret").use
    def refuse(_socket: Any) -> None:
        raise Refused("not you")

    with pytest.raises(Refused, match="not you"):
        kit.connect("/secret")
    kit.refusing = True
    with pytest.raises(ConnectionClosed, match="http://testkit: connection refused"):
        kit.connect()


def test_another_server_takes_over(kit: TestKit) -> None:
    socket = kit.connect()
    first = kit.io
    kit.serve(Server())
    first.close()
    kit.advance(2.0)
    assert socket.connected
    assert (first.stats()["sockets"], kit.io.stats()["sockets"]) == (0, 1)


def test_waiting_for_what_never_happens_ends(kit: TestKit) -> None:
    socket = kit.connect()
    with pytest.raises(TimeoutError):
        socket.receive(5.0)
    assert kit.time >= 5.0
    with pytest.raises(RuntimeError, match="3600 virtual seconds"):
        socket.receive()


def test_everything_is_the_same_in_each_run() -> None:
    def story() -> list[Any]:
        with TestKit(Server(), seed=1) as kit:
            socket = kit.connect()
            seen: list[Any] = [socket.id]
            kit.cut(socket)
            kit.advance(10.0)
            return [*seen, socket.id, kit.time]

    first, second = story(), story()
    assert first == second


def test_closing_twice_is_closing_once_and_frees_the_server() -> None:
    kit = TestKit(Server(limits=Limits()))
    socket = kit.connect()
    kit.close()
    kit.close()
    assert kit.io.closed
    assert not socket.connected
    kit.io.close()


def test_a_held_wire_shows_every_piece_and_loses_none() -> None:
    with TestKit(Server()) as kit:
        kit.hold()
        socket = kit.client().main.connect()
        kit.run()
        (request,) = kit.coming
        assert request.coming[0] is not None
        assert request.coming[0].startswith(b"GET /socket.io/")
        request.deliver(20)
        kit.run()
        assert not socket.connected
        kit.release()
        assert socket.connected
        assert kit.coming == []
