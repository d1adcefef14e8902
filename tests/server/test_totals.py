"""What all clients together may take: places in the table of sessions, and memory."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any

import pytest

from rawsio import Server
from rawsio.limits import Limits
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit
from rawsio.websocket.frames import encode_frame
from tests.raw import Polling

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
POLL = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost:a\r\n\r\n"


def dial(kit: TestKit, address: str) -> Any:
    """Return the client's end of a connection from this address."""
    return kit.dial(address=address)


def answer(kit: TestKit, wire: Any, data: bytes) -> bytes:
    wire.send(data)
    kit.run()
    heard: bytes = wire.recv(65536)
    return heard


@pytest.mark.rule("engineio-v4-handshake-evicted")
def test_an_address_that_fills_the_table_keeps_no_newcomer_out_and_pushes_nobody_out() -> None:
    io = Server(limits=Limits(sessions=50))
    heard = []
    io.on("hi", lambda socket: heard.append(socket.id))
    with TestKit(io) as kit:
        honest = kit.connect()
        polling = kit.client(transports=["polling"]).main
        polling.connect().opening.result(60)
        for _ in range(4):
            wire = dial(kit, "203.0.113.9")
            assert answer(kit, wire, POLL * 50).count(b"HTTP/1.1 200") == 50
            wire.reset()
            kit.run()
        assert io.stats()["sessions"] == io.limits.sessions
        assert answer(kit, dial(kit, "198.51.100.7"), POLL)[9:12] == b"200"
        newcomer = kit.connect()
        for socket in (honest, polling, newcomer):
            assert socket.connected
            socket.emit("hi")
        kit.run()
        assert len(heard) == 3


@pytest.mark.rule("engineio-v4-polling-crowded")
def test_who_posts_and_does_not_poll_is_worked_for_as_far_as_it_polls() -> None:
    io = Server(limits=Limits(unpolled_bytes=100_000))
    asked: list[int] = []

    @io.on("history")
    def history(socket: Any, number: int) -> str:
        asked.append(number)
        return "x" * 30_000

    with TestKit(io) as kit:
        client = Polling(kit)
        client.post(b"40")
        packets = [b'42%d["history",%d]' % (number, number) for number in range(60)]
        answered = client.post(b"\x1e".join(packets))
        assert answered == b""
        assert asked == list(range(4))
        assert io.stats()["memory"]["unpolled"] < 150_000
        heard = b""
        while len(asked) < 60 or b"4359[" not in heard:
            heard += b"\x1e" + client.get()
            kit.advance(0.01)
            assert io.stats()["memory"]["unpolled"] < 400_000
        assert asked == list(range(60))
        numbers = [int(number) for number in re.findall(rb"43([0-9]+)\[", heard)]
        assert numbers == list(range(60))
        assert client.posts.heard().endswith(b"ok")
        assert client.post(b'42["history",60]') == b"ok"


@pytest.mark.rule("layers-memory-shed")
@pytest.mark.parametrize("parser", [None, MsgpackParser()])
def test_what_handlers_hold_that_have_not_ended_is_shed_as_well(parser: Any) -> None:
    io = Server(limits=Limits(memory=5_000_000 if parser is None else 1_500_000), parser=parser)

    @io.on("e")
    async def wait(socket: Any, *values: Any) -> None:
        await asyncio.sleep(1000)

    with TestKit(io) as kit:
        clients = [kit.connect(reconnection=False, parser=parser) for _ in range(6)]
        for client in clients:
            client.emit("e", [[] for _ in range(20_000)])
            kit.advance(0.1)
        assert 0 < sum(client.connected for client in clients) < 6
        assert io.stats()["memory"]["queued"] < io.limits.memory


def _serving(limits: Limits) -> tuple[Server, list[asyncio.Event], list[Any]]:
    """Return a server whose handlers wait for an event, and what they were given."""
    io, gates, began = Server(limits=limits), [asyncio.Event()], list[Any]()

    @io.on("e")
    async def wait(_socket: Any, *values: Any) -> None:
        began.append(values)
        await gates[0].wait()

    return io, gates, began


@pytest.mark.rule("layers-memory-departed")
def test_what_handlers_hold_counts_until_they_end_even_if_their_client_is_gone() -> None:
    io, gates, began = _serving(Limits())
    ended: list[str] = []
    io.on("disconnect", lambda _socket, reason: ended.append(reason))
    with TestKit(io) as kit:
        client = kit.connect(reconnection=False)
        for _ in range(3):
            client.emit("e", "x" * 50_000)
        kit.advance(0.1)
        client.client.close()
        kit.advance(0.1)
        memory = io.stats()["memory"]
        assert (io.stats()["sessions"], memory["queued"]) == (0, 0)
        assert 150_000 < memory["departed"] < 200_000
        assert (len(began), ended) == (1, [])
        gates[0].set()
        kit.advance(2.0)
        assert io.stats()["memory"]["departed"] == 0
        assert (len(began), len(ended)) == (3, 1)


@pytest.mark.rule("layers-memory-departed")
def test_nobody_is_closed_for_those_who_are_gone_but_their_waiting_events_are_dropped() -> None:
    io, gates, began = _serving(Limits(memory=1_000_000))
    ended: list[str] = []
    io.on("disconnect", lambda _socket, reason: ended.append(reason))
    with TestKit(io) as kit:
        honest = kit.connect(reconnection=False)
        for _ in range(6):
            client = kit.connect(reconnection=False)
            for _ in range(3):
                client.emit("e", "x" * 80_000)
            kit.advance(0.1)
            client.client.close()
            kit.advance(0.1)
        honest.emit("other")
        kit.advance(2.0)
        assert honest.connected
        assert io.stats()["memory"]["departed"] < 1_000_000
        gates[0].set()
        kit.advance(2.0)
        assert len(began) < 18
        assert len(ended) == 6
        assert io.stats()["memory"]["departed"] == 0


def _come_and_go(kit: TestKit) -> bool:
    """Start a handler that does not end, and leave; return whether the server let us in."""
    wire = kit.dial()
    heard = answer(kit, wire, UPGRADE)
    if heard.startswith(b"HTTP/1.1 101 "):
        answer(kit, wire, b"".join(encode_frame(1, p, mask=b"abcd") for p in (b"40", b'42["e"]')))
    wire.reset()
    kit.run()
    return heard.startswith(b"HTTP/1.1 101 ")


@pytest.mark.rule("layers-memory-departed", "engineio-v4-handshake-memory")
def test_who_starts_handlers_and_leaves_again_and_again_is_not_let_in_at_last(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io, gates, began = _serving(Limits(memory=300_000))
    with TestKit(io) as kit:
        honest = kit.connect(reconnection=False)
        came = 0
        while _come_and_go(kit):
            came += 1
            assert came < 60
        assert came == len(began) > 40
        assert io.stats()["memory"]["departed"] < 310_000
        (line,) = [r.message for r in caplog.records if "layers-memory-departed" in r.message]
        assert f"handlers of {came} clients that are gone hold" in line
        assert honest.connected
        # Some seconds later nothing has changed; when handlers have ended there is room again.
        kit.advance(5.0)
        assert not _come_and_go(kit)
        gates[0].set()
        kit.advance(2.0)
        assert _come_and_go(kit)
        assert honest.connected


@pytest.mark.rule("layers-memory-departed")
def test_nobody_is_kept_out_for_a_few_handlers_while_those_who_are_here_hold_nearly_all() -> None:
    io, _gates, _began = _serving(Limits(memory=300_000))
    with TestKit(io) as kit:
        for _ in range(3):
            kit.connect(reconnection=False).emit("e", "x" * 96_000)
        kit.advance(0.1)
        assert _come_and_go(kit)
        kit.advance(2.0)
        memory = io.stats()["memory"]
        assert 0 < memory["departed"] < 75_000
        assert memory["total"] > 290_000
        assert _come_and_go(kit)


@pytest.mark.rule("layers-memory-departed")
def test_who_leaves_costs_the_same_however_many_have_left() -> None:
    io, _gates, _began = _serving(Limits())

    def calls() -> int:
        """Return how many functions of Python it takes."""
        counted = 0

        def count(_frame: Any, event: str, _arg: Any) -> None:
            nonlocal counted
            counted += event == "call"

        sys.setprofile(count)
        try:
            assert _come_and_go(kit)
        finally:
            sys.setprofile(None)
        return counted

    with TestKit(io) as kit:
        for _ in range(20):
            _come_and_go(kit)
        few = min(calls() for _ in range(3))
        for _ in range(200):
            _come_and_go(kit)
        assert min(calls() for _ in range(3)) < few + 50
