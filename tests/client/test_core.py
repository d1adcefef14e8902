"""A client without sockets, and a host of its own that runs it."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from rawsio import Client, Server
from rawsio.client.core import ClientState
from rawsio.client.stack import ClientStack
from rawsio.testing import TestKit


class Memory:
    """A host without sockets: it keeps the stacks that sessions want, and joins them by hand."""

    def __init__(self, client: Client) -> None:
        self.core = client.core
        self.stacks: list[tuple[Any, ClientStack]] = []
        self.touched: list[Any] = []
        self.paused: list[bool] = []
        self.core.start(self)

    def dial(self, session: Any) -> ClientStack:
        stack = ClientStack(
            self.core.address.authority,
            self.core.headers,
            random_bytes=self.core.runtime.random_bytes,
        )
        self.stacks.append((session, stack))
        return stack

    def touch(self, session: Any) -> None:
        self.touched.append(session)

    def pause(self, paused: bool) -> None:
        self.paused.append(paused)

    def turn(self) -> bytes:
        """Flush the sessions that were touched; return what the last connection sends."""
        touched, self.touched = self.touched, []
        for session in touched:
            session.flush()
        return b"".join(self.stacks[-1][1].data_to_send())

    def give(self, data: bytes) -> bytes:
        session, stack = self.stacks[-1]
        self.core.take(session, session.receive(stack, stack.tick(1.0) + stack.receive(data)))
        return self.turn()

    def use(self, kind: str) -> None:
        """Speak by the connection that carries out such an exchange."""
        self.stacks.sort(key=lambda pair: getattr(pair[1].exchange, "kind", "") == kind)

    def tick(self, now: float) -> None:
        """Let time pass: tick as a driver would."""
        session, stack = self.stacks[-1]
        stack.tick(now)
        deadline = session.deadline
        if deadline is not None and deadline <= now:
            self.core.take(session, session.tick(now))


OPENED = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":9999}'


@pytest.mark.rule("engineio-v4-heartbeat-upload")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_long_message_of_the_server_over_a_slow_line_is_no_silence(transport: Any) -> None:
    client = Client("http://example", transports=[transport], random_bytes=bytes)
    host = Memory(client)
    heard: list[int] = []
    client.main.on("news", lambda text: heard.append(len(text)))
    client.main.connect()
    host.turn()
    joined, news = '40{"sid":"b"}', '42["news","' + "x" * 50_000 + '"]'
    if transport == "websocket":
        host.give(SWITCHED)
        host.give(frame(OPENED))
        host.give(frame(joined))
        data = b"\x81\x7e" + len(news).to_bytes(2, "big") + news.encode()
    else:
        host.give(answered(OPENED))
        host.use("post")
        host.give(answered("ok"))
        host.use("poll")
        host.give(answered(joined))
        data = answered(news)
    host.tick(2.0)
    for turn, start in enumerate(range(0, len(data), 6000)):
        host.tick(10.0 * turn + 10.0)
        host.give(data[start : start + 6000])
    assert heard == [50_000]
    assert client.connected
    host.tick(1000.0)
    assert not client.connected


def answered(text: str) -> bytes:
    """Return an answer as a server sends it."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
)


def test_a_host_needs_no_sockets() -> None:
    client = Client("http://example/admin", transports=["websocket"], random_bytes=bytes)
    host = Memory(client)
    heard: list[Any] = []
    client.main.on("connect", lambda: heard.append("connect"))
    client.main.on("news", heard.append)
    client.main.connect()
    assert client.state is ClientState.OPENING
    asked = host.turn()
    assert asked.startswith(b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n")
    host.give(SWITCHED)
    said = host.give(frame(OPENED))
    assert said.endswith(b"40/admin,")
    host.give(frame('40/admin,{"sid":"b"}') + frame('42/admin,["news",1]'))
    assert heard == ["connect", 1]
    assert (client.state, client.connected, client.transport) == (
        ClientState.OPEN,
        True,
        "websocket",
    )


def frame(text: str) -> bytes:
    """Return a frame as a server sends it."""
    data = text.encode()
    return bytes((0x81, len(data))) + data


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc")
def test_a_client_that_was_made_has_no_descriptor_and_no_thread() -> None:
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    client = Client("http://127.0.0.1:9")
    client.main.on("news", print)
    client.main.emit("early", 1)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)
    assert not client.host.attached
    client.step(0)
    assert len(os.listdir("/proc/self/fd")) > before
    client.close(0)
    while not client.closed:
        client.step(0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_was_asked_before_it_runs_is_done_then() -> None:
    io = Server()
    heard: list[Any] = []
    io.on("early", lambda _socket, value: heard.append(value))
    with TestKit(io) as kit:
        client = kit.client()
        client.main.emit("early", 1)
        client.main.connect()
        kit.run()
    assert heard == [1]


def test_who_steps_ends_when_the_server_has_its_goodbye_and_not_before() -> None:
    ends: list[str] = []
    io = Server()
    io.on("disconnect", lambda _socket, reason: ends.append(reason))
    with TestKit(io) as kit:
        client = kit.client()
        client.main.connect()
        kit.run()
        client.close(5)
        client.step(0)
        assert not client.closed
        kit.run()
        assert client.closed
        assert ends == ["transport close"]


class Counted(ClientStack):
    """Counts how often it is told to close."""

    closes = 0

    def close(self, code: int = 1005, reason: str = "") -> None:
        self.closes += 1
        super().close(code, reason)


class Counting(Memory):
    """Counts how often each connection is told to close."""

    def dial(self, session: Any) -> ClientStack:
        stack = Counted(self.core.address.authority, random_bytes=bytes)
        self.stacks.append((session, stack))
        return stack


def test_a_websocket_whose_probe_failed_is_closed_once_and_forgotten() -> None:
    client = Client("http://example", transports=["polling", "websocket"], random_bytes=bytes)
    host = Counting(client)
    client.main.connect()
    host.turn()
    host.give(answered(OPENED.replace('"upgrades":[]', '"upgrades":["websocket"]')))
    host.use("websocket")
    assert host.give(SWITCHED).endswith(b"2probe")
    session, candidate = host.stacks[-1]
    host.give(frame("3not it"))
    assert candidate not in session.stacks
    host.use("post")
    host.give(answered("ok"))
    host.use("poll")
    host.give(answered('40{"sid":"b"}'))
    assert (client.connected, client.transport) == (True, "polling")
    assert isinstance(candidate, Counted)
    assert candidate.closes == 1
