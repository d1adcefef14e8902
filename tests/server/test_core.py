"""A server without sockets, and hosts that run it."""

from __future__ import annotations

import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from rawsio import Server
from rawsio.server.core import Stage
from rawsio.stack import ServerStack
from rawsio.testing import TestKit

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def frame(text: str) -> bytes:
    """Return a masked text frame, whose key changes nothing."""
    data = text.encode()
    return bytes((0x81, 0x80 | len(data))) + bytes(4) + data


class Turns:
    """The least that a runtime needs of a loop: a clock, callbacks and timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.owner = threading.get_ident()
        self.soon: deque[Callable[[], object]] = deque()
        self.later: list[tuple[float, Callable[[], object]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, fn: Callable[..., object], *args: Any) -> None:
        self.soon.append(lambda: fn(*args))

    call_soon_threadsafe = call_soon

    def call_later(self, seconds: float, fn: Callable[..., object], *args: Any) -> Any:
        entry = (self.now + seconds, lambda: fn(*args))
        self.later.append(entry)

        class Handle:
            def cancel(_self) -> None:
                if entry in self.later:
                    self.later.remove(entry)

        return Handle()

    def run(self) -> None:
        for entry in sorted(self.later, key=lambda entry: entry[0]):
            if entry[0] <= self.now and entry in self.later:
                self.later.remove(entry)
                entry[1]()
        while self.soon:
            self.soon.popleft()()


class Memory:
    """A host without sockets: bytes are given to it, and taken from it."""

    def __init__(self, io: Server) -> None:
        self.core = io.core
        self.loop = Turns()
        self.sessions: dict[Any, None] = {}
        self.stacks: dict[ServerStack, bytearray] = {}
        self.done: list[str] = []
        self.core.runtime.attach(self.loop)
        self.core.start(self)

    @property
    def connections(self) -> int:
        return len(self.stacks)

    def serve(self) -> None:
        self.done.append("serve")

    def touch(self, session: Any) -> None:
        self.sessions[session] = None

    def see_to(self, session: Any) -> None:
        """All are looked at in each turn."""

    def forget(self, session: Any) -> None:
        self.sessions.pop(session, None)

    def refuse(self) -> None:
        self.done.append("refuse")

    def part(self) -> None:
        self.done.append("part")
        for stack in self.stacks:
            stack.close(1001)

    def abort(self) -> None:
        for stack in list(self.stacks):
            self.end(stack)

    def finished(self) -> None:
        self.done.append("finished")

    # For the test

    def connect(self) -> ServerStack:
        stack = self.core.new_stack("10.0.0.1")
        self.stacks[stack] = bytearray()
        return stack

    def give(self, stack: ServerStack, data: bytes) -> bytes:
        """Let bytes arrive, and everything happen; return what is sent."""
        early = stack.tick(self.loop.now)
        self.core.router.receive(stack, early + stack.receive(data))
        self.turn()
        sent, self.stacks[stack] = bytes(self.stacks[stack]), bytearray()
        return sent

    def turn(self) -> None:
        for _ in range(3):
            self.loop.run()
            for session in list(self.sessions):
                session.flush()
                if session.deadline is not None and session.deadline <= self.loop.now:
                    session.tick(self.loop.now)
            for stack in self.stacks:
                if stack.deadline == 0.0:
                    self.core.router.receive(stack, stack.tick(self.loop.now))
                self.stacks[stack] += b"".join(stack.data_to_send())

    def end(self, stack: ServerStack) -> None:
        del self.stacks[stack]
        self.core.lost(stack)


def test_a_host_needs_no_sockets() -> None:
    io = Server()
    io.on("add", lambda _socket, a, b: a + b)
    host = Memory(io)
    assert host.done == ["serve"]
    wire = host.connect()
    assert host.give(wire, UPGRADE).startswith(b"HTTP/1.1 101 ")
    assert b"40" in host.give(wire, frame("40"))
    assert host.give(wire, frame('421["add",2,3]')) == b"\x81\x06431[5]"
    io.emit("news", 1)
    assert host.give(wire, b"").endswith(b'42["news",1]')


def test_a_heartbeat_comes_with_the_time_that_the_host_gives() -> None:
    host = Memory(Server(ping_interval=5.0))
    wire = host.connect()
    host.give(wire, UPGRADE)
    host.give(wire, frame("40"))
    host.loop.now += 4.0
    assert host.give(wire, b"") == b""
    host.loop.now += 1.5
    assert host.give(wire, b"") == b"\x81\x012"


def test_the_end_goes_through_its_stages() -> None:
    io = Server()
    reasons: list[str] = []
    io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    host = Memory(io)
    wire = host.connect()
    host.give(wire, UPGRADE)
    host.give(wire, frame("40"))
    io.core.close(1.0)
    host.turn()
    assert reasons == ["server shutting down"]
    assert host.done == ["serve", "refuse", "part"]
    assert io.core.stage is Stage.PARTING
    host.end(wire)
    assert host.done[-1] == "finished"
    assert not io.closed
    io.core.end()
    assert io.closed


def test_who_is_left_is_cut_off_when_the_time_is_over() -> None:
    io = Server()
    host = Memory(io)
    host.connect()
    io.core.close(2.0)
    host.turn()
    assert host.connections == 1
    host.loop.now += 2.1
    host.turn()
    assert host.connections == 0
    assert host.done[-1] == "finished"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc")
def test_a_server_that_was_made_has_no_descriptor_and_no_thread() -> None:
    before, threads = descriptors(), threading.active_count()
    io = Server()
    io.on("chat", lambda socket, text: text)
    io.emit("news", 1)
    io.every(1.0, print)
    io.of("/chat").emit("news")
    io.stats()
    assert (descriptors(), threading.active_count()) == (before, threads)
    assert not io.host.attached
    io.step(0)
    assert descriptors() > before
    io.close(0)
    while not io.closed:
        io.step(0)
    assert descriptors() == before


FORKED = Server()
"""A server of this module: made at import, as applications do."""
FORKED.on("pid", lambda _socket: os.getpid())


def serve_in_child(report: int) -> None:
    """Serve one client, woken by a thread; report the sockets of the wake-up."""
    before = {os.readlink(f"/proc/self/fd/{fd}") for fd in _open()}
    address = FORKED.listen()
    FORKED.step(0)
    made = [os.readlink(f"/proc/self/fd/{fd}") for fd in _open()]
    own = [name for name in made if name not in before]
    answers: list[bytes] = []

    def ask() -> None:
        with socket.create_connection(address, 60) as client:
            client.sendall(UPGRADE + frame("40") + frame('421["pid"]'))
            data = b""
            while b"431[" not in data:
                data += client.recv(65536)
        answers.append(data)
        FORKED.close(0)

    asking = threading.Thread(target=ask)
    asking.start()
    while not FORKED.closed:
        FORKED.step(20)
    asking.join()
    assert f"431[{os.getpid()}]".encode() in answers[0]
    assert any("eventpoll" in name for name in own)
    os.write(report, " ".join(name for name in own if name.startswith("socket:")).encode() + b"\n")


def _open() -> list[int]:
    names = os.listdir("/proc/self/fd")
    return [int(name) for name in names if os.path.islink(f"/proc/self/fd/{name}")]


@pytest.mark.rule("layers-loop-fork")
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_each_of_four_children_has_a_selector_and_a_wake_up_of_its_own() -> None:
    reading, writing = os.pipe()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                serve_in_child(writing)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    os.close(writing)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    with os.fdopen(reading) as report:
        sockets = [line.split() for line in report]
    assert codes == [0] * 4
    assert [len(names) for names in sockets] == [3] * 4  # the wake-up's two, and the listening one
    assert len({name for names in sockets for name in names}) == 12
    assert not FORKED.host.attached


def test_a_server_that_has_clients_stays_on_its_loop() -> None:
    io = Server()
    address = io.listen()
    with socket.create_connection(address, 60) as client:
        client.sendall(b"GET / HT")
        while not io.stats()["connections"]:
            io.step(1)
        with pytest.raises(RuntimeError, match="cannot move to another loop"):
            io.net.start()
    io.close(0)
    while not io.closed:
        io.step(1)


def test_a_connection_that_another_one_ends_is_asked_nothing_more() -> None:
    with TestKit(Server()) as kit:
        for _ in range(3):
            kit.connect(transports=["websocket"])
        stacks = kit.io.net.stacks()
        first = next(stacks)
        for stream in list(kit.io.net.driver.streams):
            if stream is not first.stream:
                stream.abort("it ends with another one")
        assert list(stacks) == []
