"""The memory of the whole server: what is counted, and who is closed when it is too much."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rawsio import Server
from rawsio.limits import Limits
from rawsio.server.budget import Budget
from rawsio.testing import TestKit
from rawsio.websocket.connection import WebSocketConnection
from tests.net.test_turns import websocket
from tests.raw import Polling, RawWebSocket

MOST = 1_000_000
SMALL = Limits(memory=MOST)


def held(io: Server, part: str = "total") -> int:
    return int(io.stats()["memory"][part])


def stalled(kit: TestKit) -> Any:
    """Return a client that hears nothing more, and its socket on the server."""
    client = kit.connect()
    socket = list(kit.io.sockets.values())[-1]
    stream: Any = socket.conn.session.transport.link.stream  # type: ignore[attr-defined]
    stream.sock.peer.stalled = True
    return client, socket


def filled(kit: TestKit) -> None:
    """Fill the buffers between the server and everybody."""
    kit.io.emit("fill", "x" * 70_000)
    kit.run()


@pytest.mark.rule("layers-memory-total")
def test_a_server_that_serves_nobody_holds_nothing() -> None:
    io = Server()
    with TestKit(io) as kit:
        kit.connect()
        kit.run()
        kit.close()
    assert held(io) == 0
    assert held(io, "most") == io.limits.memory


@pytest.mark.rule("layers-memory-total")
def test_what_many_wait_for_counts_once() -> None:
    io = Server(limits=SMALL)
    with TestKit(io) as kit:
        for _ in range(20):
            stalled(kit)
        filled(kit)
        before = held(io)
        for _ in range(4):
            io.emit("news", "x" * 100_000)
            kit.run()
        assert held(io) - before == pytest.approx(400_000, rel=0.01)
        assert io.stats()["sessions"] == 20


@pytest.mark.rule("layers-memory-total")
def test_what_many_wait_to_poll_counts_once() -> None:
    io = Server(limits=SMALL)
    with TestKit(io) as kit:
        clients = [Polling(kit) for _ in range(20)]
        for client in clients:
            client.post(b"40")
            client.get()
        for _ in range(4):
            io.emit("news", "x" * 100_000)
            kit.run()
        assert held(io, "unpolled") == pytest.approx(400_000, rel=0.01)
        assert io.stats()["sessions"] == 20
        for client in clients:
            assert len(client.get()) + len(client.get()) > 400_000
        assert held(io, "unpolled") < 100


@pytest.mark.rule("layers-memory-shed")
def test_whoever_holds_the_most_is_closed_and_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server(limits=SMALL)
    ends: list[tuple[str, str]] = []
    io.on("disconnect", lambda socket, reason: ends.append((socket.id, reason)))
    with TestKit(io) as kit:
        honest = kit.connect()
        small, large = stalled(kit)[1], stalled(kit)[1]
        filled(kit)
        for _ in range(9):
            small.emit("news", "s" * 40_000)
            large.emit("news", "l" * 80_000)
            kit.run()
        kit.advance(1)
        assert ends == [(large.id, "transport error")]
        assert held(io) <= MOST
        assert honest.connected
    lines = [r.message for r in caplog.records if "layers-memory-shed" in r.message]
    assert len(lines) == 1
    assert re.match(r"testkit: closed: it holds \d+ bytes of \d+, all together may hold", lines[0])


def fill_bodies(kit: TestKit) -> None:
    """Begin a post of 900 KB, and never end it."""
    wire = kit.dial()
    wire.send(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n")
    for _ in range(17):
        wire.send(b"x" * 50_000)
        kit.run()


def fill_messages(kit: TestKit) -> None:
    client = RawWebSocket(kit)
    client.say("40")
    client.end.wire.send(b"\x01\xff" + (900_000).to_bytes(8, "big") + b"\0\0\0\0")
    for _ in range(17):
        client.end.wire.send(b"x" * 50_000)
        kit.run()


def fill_attachments(kit: TestKit) -> None:
    client = RawWebSocket(kit)
    client.say("40")
    client.say('4510-["e",{"_placeholder":true,"num":0}]', *[b"x" * 60_000] * 9)


def fill_polls(kit: TestKit) -> None:
    client = Polling(kit)
    client.post(b"40")
    client.get()
    for number in range(5):
        client.post(b'421["big",%d]' % number)


def fill_heads(kit: TestKit) -> None:
    for _ in range(80):
        wire = kit.dial()
        wire.send(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 8000 + b"\r\nY: " + b"b" * 7000)
        kit.run()


def fill_sessions(kit: TestKit) -> None:
    fields = b"".join(b"X-%02d: %s\r\n" % (k, b"a" * 150) for k in range(95))
    for _ in range(80):
        wire = kit.dial()
        wire.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n" + fields)
        wire.send(b"\r\n")
        kit.run()
        wire.reset()
        kit.run()


def fill_connects(kit: TestKit) -> None:
    for _ in range(5):
        client = RawWebSocket(kit)
        client.say('40{"a":[' + "[]," * 3300 + "0]}")


WAYS = [
    fill_bodies,
    fill_messages,
    fill_attachments,
    fill_polls,
    fill_heads,
    fill_sessions,
    fill_connects,
]


@pytest.mark.rule("layers-memory-total", "layers-memory-shed")
@pytest.mark.parametrize("fill", WAYS, ids=lambda way: way.__name__)
def test_every_way_to_make_a_server_hold_something_is_bounded(fill: Any) -> None:
    io = Server(limits=SMALL)
    io.on("big", lambda socket, _number: "x" * 150_000)
    ended: list[str] = []
    io.on("disconnect", lambda socket, reason: ended.append(socket.id))
    with TestKit(io) as kit:
        honest = kit.connect()
        for _ in range(4):
            fill(kit)
            kit.advance(0.1)
            assert held(io) <= MOST
        assert honest.connected
        assert honest.id not in ended
        kit.advance(2000)
        assert held(io) < 1000


@pytest.mark.rule("layers-memory-shed")
def test_recovery_forgets_its_oldest_packets_before_a_client_is_closed() -> None:
    io = Server(limits=SMALL, connection_state_recovery=True)
    with TestKit(io) as kit:
        client = kit.connect()
        for _ in range(30):
            io.emit("news", "x" * 100_000)
            kit.run()
            assert client.receive()[0] == "news"
        assert 0 < held(io, "recovery") <= held(io) <= MOST
        assert client.connected
    assert held(io, "recovery") == 0


@pytest.mark.rule("layers-memory-total")
def test_what_waited_for_a_poll_is_not_counted_beside_the_websocket_that_took_it() -> None:
    io = Server(limits=SMALL)
    with TestKit(io) as kit:
        client = kit.client(transports=["polling", "websocket"]).main
        client.connect().opening.result(60)
        for _ in range(3):
            io.emit("news", "x" * 100_000)
        kit.run()
        kit.advance(5)
        assert next(iter(io.sockets.values())).conn.transport == "websocket"
        assert held(io, "unpolled") == 0
        assert held(io) < 10_000  # the heads of the connections that polled
        assert io.net.budget.total < 10_000


@pytest.mark.rule("layers-memory-total", "layers-memory-shed")
def test_what_compression_keeps_is_counted_and_let_go_before_a_client_is_closed() -> None:
    io = Server(limits=SMALL, per_message_deflate=True)
    io.on("echo", lambda socket, text: text)
    with TestKit(io) as kit:
        clients = [kit.connect(per_message_deflate=True) for _ in range(8)]
        for number, client in enumerate(clients):
            text = f"{number} " * 2000
            for _ in range(2):
                assert client.emit_with_ack("echo", text).result() == text
            kit.advance(0.1)
            assert held(io) <= MOST
            assert number or held(io) > 262_144
        assert all(client.connected for client in clients)
        for client in clients:
            assert client.emit_with_ack("echo", "x" * 5000).result() == "x" * 5000


@pytest.mark.rule("layers-memory-total")
def test_the_body_of_a_request_counts_until_its_application_has_answered() -> None:
    gate: list[Any] = []
    seen: list[int] = []

    def app(request: Any) -> Any:
        def pieces() -> Any:
            while not gate:
                yield b""
            yield b"done"

        seen.append(len(request.body))
        return 200, pieces()

    io = Server(app=app)
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + bytes(50000))
        kit.run()
        assert (seen, held(io, "incoming") >= 50_000) == ([50_000], True)
        gate.append(True)
        kit.advance(1)
        assert wire.recv(10_000).endswith(b"done")
        assert held(io) < 1000


def head(n: int) -> bytes:
    fields = b"".join(b"x%d-%d: y\r\n" % (n, m) for m in range(80))
    return b"GET /%d HTTP/1.1\r\nHost: a\r\n%s\r\n" % (n, fields)


@pytest.mark.rule("layers-memory-total")
def test_the_heads_that_may_come_again_count_and_are_let_go_before_a_client_is_closed() -> None:
    io = Server(app=lambda request: str(len(list(request.headers))), limits=SMALL)
    with TestKit(io) as kit:
        wires = [kit.dial() for _ in range(60)]
        for n in range(3):
            for wire in wires:
                wire.send(head(n))
            kit.advance(0.1)
            assert all(wire.recv(10_000).endswith(b"81") for wire in wires)
            assert held(io) <= MOST
        for wire in wires:
            wire.send(head(1))
        kit.run()
        assert all(wire.recv(10_000).endswith(b"81") for wire in wires)


@pytest.mark.rule("layers-memory-total")
def test_the_last_head_of_a_connection_that_is_idle_counts() -> None:
    io = Server(app=lambda request: "done")
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nx: " + b"y" * 8000 + b"\r\n\r\n")
        kit.advance(0.1)
        assert wire.recv(10_000).endswith(b"done")
        assert 8000 < held(io) < 30_000


@pytest.mark.rule("layers-memory-total")
def test_the_sessions_that_recovery_keeps_count_until_they_are_forgotten() -> None:
    io = Server(connection_state_recovery=True)
    with TestKit(io) as kit:
        for _ in range(20):
            RawWebSocket(kit).say("40")
        for wire in kit.board.wires:
            wire.reset()
        kit.run()
        assert held(io, "recovery") >= 20 * 1024
        kit.advance(300)
        RawWebSocket(kit).say("40")
        for wire in kit.board.wires:
            wire.reset()
        kit.run()
        assert held(io, "recovery") < 4000
    assert held(io) == 0


@pytest.mark.rule("layers-memory-total")
def test_the_many_that_were_told_something_are_measured_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    io = Server()
    with TestKit(io) as kit:
        wires = [websocket(kit) for _ in range(400)]
        measured: list[Any] = []

        def dear(layer: WebSocketConnection) -> int:
            kit.board.now += 0.0001
            measured.append(layer)
            return 0

        kit.advance(1.0)
        monkeypatch.setattr(WebSocketConnection, "held", property(dear))
        io.emit("news", 1)
        most = 0
        while len(measured) < len(wires):
            before = len(measured)
            kit.loop.step(0.1)
            most = max(most, len(measured) - before)
        assert len(set(measured)) == len(wires)
        assert most <= 128


@pytest.mark.rule("layers-memory-total")
def test_what_one_waits_to_poll_counts_in_full_and_no_more_when_it_was_polled() -> None:
    io = Server(limits=SMALL)
    with TestKit(io) as kit:
        client = Polling(kit)
        client.post(b"40")
        client.get()
        (socket,) = io.sockets.values()
        for _ in range(10):
            socket.emit("own", "x" * 10_000)
            io.emit("small", "x" * 100)
        kit.run()
        assert held(io, "unpolled") == pytest.approx(101_400, rel=0.01)
        client.get()
        kit.run()
        assert held(io, "unpolled") < 100


@pytest.mark.rule("layers-memory-total")
def test_a_ping_that_waits_to_be_polled_counts_as_its_byte() -> None:
    io = Server(limits=SMALL, ping_interval=5.0)
    with TestKit(io) as kit:
        client = Polling(kit)
        client.post(b"40")
        client.get()
        kit.advance(6.0)
        assert held(io, "unpolled") == 1
        assert client.get().endswith(b"2")


class Clockwork:
    """A host that keeps the timers it is asked for."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.timers = limits, 0

    def time(self) -> float:
        return 0.0

    def call_later(self, _seconds: float, _fn: Any) -> object:
        self.timers += 1
        return object()


@pytest.mark.rule("layers-memory-total")
def test_who_is_busy_is_measured_a_little_later_and_once_for_all() -> None:
    host: Any = Clockwork(SMALL)
    budget = Budget(host, lambda: (), lambda yes: None, lambda: None)
    budget.flushed({})
    assert host.timers == 0
    for _ in range(20):
        target: Any = object()
        budget.flushed({target: False})
    assert host.timers == 1
