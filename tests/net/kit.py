"""What the tests of net share: a layer that does as it is told, a clock, a counting selector."""

from __future__ import annotations

import gc
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import pytest

from rawsio.layer import Closed, Closing
from rawsio.limits import DEFAULT, Limits
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream

__all__ = [
    "Clock",
    "CountingSelector",
    "Owner",
    "Parrot",
    "WatchedSocket",
    "closed_after",
    "joined",
    "only_new_objects",
    "silent_address",
    "turn_until",
    "unhurried",
]

PATIENCE = 120.0
"""What a test waits for something of the system, in seconds, before it fails."""


def unhurried(limits: Limits = DEFAULT) -> Limits:
    """Return limits by which no turn is long: a machine may stand still in any."""
    return limits.but(turn_time=PATIENCE)


@contextmanager
def silent_address() -> Iterator[tuple[str, int]]:
    """Give an address whose attempts to connect nobody answers (on Linux)."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):  # its queue is full: what comes now is swallowed
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield server.getsockname()


@contextmanager
def only_new_objects() -> Iterator[None]:
    """Have the collector look at nothing that was there before: all of the tests, a second long."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def closed_after(make: Callable[[], Any]) -> Any:
    """Return a fixture that makes something for each test, and closes it afterwards."""

    @pytest.fixture
    def fixture() -> Iterator[Any]:
        made = make()
        yield made
        made.close()

    return fixture


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class CountingSelector(selectors.DefaultSelector):
    """Counts how often it was asked, and how often something was ready."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.woken = 0
        self.modified = 0
        self.timeouts: list[float | None] = []

    def modify(self, *arguments: Any) -> Any:
        self.modified += 1
        return super().modify(*arguments)

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(timeout)
        self.asked += 1
        self.woken += len(ready)
        self.timeouts.append(timeout)
        return ready


class Parrot:
    """A layer whose events are the bytes that came; everything in it can be set by a test."""

    def __init__(self) -> None:
        self.outbox: list[bytes] = []
        self.deadline: float | None = None
        self.closing = Closing.OPEN
        self.reading = True
        self.eof = 0
        self.ticks: list[float] = []
        self.tick_events: list[Any] = []
        self.at_eof = Closing.NOW

    def receive(self, unit: bytes) -> list[Any]:
        return [unit]

    def receive_eof(self) -> list[Any]:
        self.eof += 1
        if self.eof > 1:
            return []
        self.closing = self.at_eof
        return [Closed()]

    def send(self, event: bytes) -> None:
        self.outbox.append(event)

    def data_to_send(self) -> list[bytes]:
        units = self.outbox[:]
        del self.outbox[:]
        return units

    def tick(self, now: float) -> list[Any]:
        self.ticks.append(now)
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
        events, self.tick_events = self.tick_events, []
        return events


class WatchedSocket:
    """A socket that remembers the system calls made with it, and can refuse them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sends: list[int] = []
        self.receives: list[int] = []
        self.fail: dict[str, OSError] = {}
        self.most = 1 << 40

    def __getattr__(self, name: str) -> Any:
        if name in self.fail:
            raise self.fail[name]
        return getattr(self.sock, name)

    def _may(self, name: str) -> None:
        if name in self.fail:
            raise self.fail[name]

    def recv(self, size: int) -> bytes:
        self._may("recv")
        self.receives.append(size)
        return self.sock.recv(size)

    def send(self, data: Any) -> int:
        self._may("send")
        sent = self.sock.send(data[: self.most])
        self.sends.append(sent)
        return sent

    def sendmsg(self, parts: list[Any]) -> int:
        self._may("send")
        joined = b"".join(parts)
        sent = self.sock.send(joined[: self.most])
        self.sends.append(sent)
        return sent


class Owner:
    """The owner of streams: keeps what they report, and does as a test says."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.closed: list[str] = []
        self.marks: list[str] = []
        self.react: Callable[[TCPStream, Any], object] = lambda _stream, _event: None

    def on_events(self, stream: TCPStream, events: list[Any]) -> None:
        for event in events:
            self.events.append(event)
            self.react(stream, event)

    def on_closed(self, _stream: TCPStream, reason: str) -> None:
        self.closed.append(reason)

    def received(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))


class joined:
    """A loop, a driver, and a stream on one end of a socket pair; ``peer`` is the other end."""

    def __init__(
        self,
        limits: Limits = DEFAULT,
        clock: Callable[[], float] | None = None,
        small: bool = False,
    ) -> None:
        self.selector = CountingSelector()
        self.loop = Loop(self.selector, clock) if clock else Loop(self.selector)
        self.driver = Driver(self.loop, limits if clock else unhurried(limits))
        self.lines: list[str] = []
        self.driver.log.sink = lambda *line: self.lines.append(line[2])
        self.loop.log.sink = lambda *line: self.lines.append(line[2])
        ours, self.peer = socket.socketpair()
        if small:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.peer.settimeout(60)
        self.sock = WatchedSocket(ours)
        self.layer = Parrot()
        self.owner = Owner()
        self.stream = TCPStream(
            self.driver, self.sock, self.layer, self.owner.on_events, self.owner.on_closed
        )
        self.stream.on_high = lambda _stream: self.owner.marks.append("high")
        self.stream.on_drain = lambda _stream: self.owner.marks.append("drain")

    def __enter__(self) -> joined:
        self.loop.step(0)
        return self

    def __exit__(self, *_error: object) -> None:
        self.stream.abort()
        self.peer.close()
        self.loop.close()

    def say(self, *units: bytes) -> None:
        """Put units into the layer's outbox, as a handler would."""
        for unit in units:
            self.layer.send(unit)
        self.stream.touch()

    def turns(self, count: int = 5) -> None:
        for _ in range(count):
            self.loop.step(0)

    def peer_reads(self, size: int = 1 << 20) -> bytes:
        """Return what the peer can read now."""
        self.peer.setblocking(False)
        try:
            return self.peer.recv(size)
        except BlockingIOError:
            return b""
        finally:
            self.peer.settimeout(60)


class Steps(Protocol):
    """A loop, a server, a client."""

    def step(self, timeout: float | None = None) -> object: ...


def turn_until(loop: Steps, done: Callable[[], object]) -> None:
    """Make turns until something is so; each waits a little for the system."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "it never came to that"
        loop.step(0.01)
