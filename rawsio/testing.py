"""A test kit: a real server and real clients, joined in memory, with a clock that you move.

::

    from rawsio import Server
    from rawsio.testing import TestKit

    io = Server()

    @io.on("chat message")
    def message(socket, text):
        socket.broadcast.emit("chat message", text)
        return "delivered"

    with TestKit(io) as kit:
        ann, bob = kit.connect(), kit.connect()
        assert ann.emit_with_ack("chat message", "hi").result() == "delivered"
        assert bob.receive() == ["chat message", "hi"]
        kit.advance(25.0)                      # a heartbeat goes by, at once

No ports, no threads, no waiting: what happens within an hour of heartbeats takes milliseconds, and
happens in the same order each time.

The one idea: **only the ends of the wire are not real.**  A :class:`Wire` has the methods of a
socket and a :class:`Switchboard` those of a selector, so everything between the two (streams,
HTTP, WebSocket, sessions, handlers) is what runs in production.  Time stands still while there is
something to do, and jumps to the next timer when somebody waits.

What is left out: handlers on an executor's threads and ``async def`` handlers, whose time is the
real one; TLS; the order in which a real network would lose things.
"""

from __future__ import annotations

import errno
from random import Random
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

from rawsio.client import Client
from rawsio.net.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rawsio.client_socket import Socket
    from rawsio.server import Server

__all__ = ["Switchboard", "TestKit", "Wire"]

START = 1000.0
"""What the clock shows at the beginning: not zero, which means "at once" to timers."""

CAPACITY = 65536
"""Bytes that a wire holds before its writer has to wait, as a socket's buffers do."""

PATIENCE = 3600.0
"""Virtual seconds after which waiting is given up: heartbeats alone would go on for ever."""

_FIRST = 1 << 24
"""Descriptors of wires begin where no system has any."""


class Wire:
    """One end of a connection in memory, with those methods of a socket that streams use."""

    def __init__(self, fd: int) -> None:
        self.peer: Wire = self
        self.stalled = False
        self._fd = fd
        self._inbox = bytearray()
        self._ended = False
        self._broken = False
        self._dead = False
        self._closed = False

    def join(self, peer: Wire) -> None:
        """Make two ends one connection."""
        self.peer, peer.peer = peer, self

    # What a selector asks

    @property
    def readable(self) -> bool:
        """Whether ``recv`` has something to say."""
        if self._dead or self.stalled:
            return False
        return self._broken or self._ended or len(self._inbox) > 0

    @property
    def writable(self) -> bool:
        """Whether ``send`` takes something, or raises."""
        return self._broken or self._dead or self.room > 0

    @property
    def room(self) -> int:
        """How many bytes the wire takes now."""
        return CAPACITY - len(self.peer._inbox)

    # What a stream calls

    def fileno(self) -> int:
        """Return a number that names this end."""
        return self._fd

    def gettimeout(self) -> float:
        """Return 0.0: it never blocks."""
        return 0.0

    def setblocking(self, _flag: bool) -> None:  # noqa: FBT001 - as a socket has it
        """Do nothing: it never blocks."""

    def recv(self, size: int) -> bytes:
        """Take bytes; ``b""`` after the peer's end."""
        if self._broken:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if not self._inbox or self._dead:
            if self._ended and not self._dead:
                return b""
            raise BlockingIOError
        data = bytes(self._inbox[:size])
        del self._inbox[:size]
        return data

    def send(self, data: Any) -> int:
        """Send as many bytes as there is room for."""
        if self._dead:
            return len(data)
        if self._broken or self.peer._closed:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if self.room <= 0:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.peer._inbox += taken
        return len(taken)

    def sendmsg(self, parts: Iterable[Any]) -> int:
        """Send several parts."""
        return self.send(b"".join(parts))

    def shutdown(self, _how: int) -> None:
        """End this direction."""
        self.peer._ended = True

    def close(self) -> None:
        """Close this end."""
        self._closed = True
        self.peer._ended = True

    # What a test does to it

    def reset(self) -> None:
        """Break the connection: both ends learn it at once."""
        self._broken = self.peer._broken = True

    def cut(self) -> None:
        """Lose everything from now on: neither end learns it."""
        self._dead = self.peer._dead = True


class Switchboard:
    """A selector of wires, and the clock: who waits for longer makes time pass."""

    def __init__(self) -> None:
        self.now = START
        self.waited = 0.0
        self._keys: dict[int, SelectorKey] = {}
        self._wires: dict[int, Wire] = {}
        self._next = _FIRST

    def time(self) -> float:
        """Return what the clock shows."""
        return self.now

    def pair(self) -> tuple[Wire, Wire]:
        """Return the two ends of a new connection."""
        ends = Wire(self._next), Wire(self._next + 1)
        ends[0].join(ends[1])
        self._wires.update({self._next: ends[0], self._next + 1: ends[1]})
        self._next += 2
        return ends

    def register(self, fd: int, events: int, data: Any = None) -> SelectorKey:
        """Watch a descriptor."""
        key = self._keys[fd] = SelectorKey(fd, fd, events, data)
        return key

    def unregister(self, fd: int) -> SelectorKey:
        """Watch it no longer."""
        return self._keys.pop(fd)

    def modify(self, fd: int, events: int, data: Any = None) -> SelectorKey:
        """Watch it for something else."""
        return self.register(fd, events, data)

    def get_key(self, fd: int) -> SelectorKey:
        """Return how a descriptor is watched; ``KeyError`` if it is not."""
        return self._keys[fd]

    def get_map(self) -> dict[int, SelectorKey]:
        """Return everything that is watched."""
        return self._keys

    def close(self) -> None:
        """Forget everything."""
        self._keys.clear()
        self._wires.clear()

    def ready(self) -> list[tuple[SelectorKey, int]]:
        """Return what could go on now, in the order in which it was registered."""
        found = []
        for fd, key in self._keys.items():
            wire = self._wires.get(fd)
            if wire is None:  # what wakes a loop up that waits: this one never does
                continue
            mask = key.events & EVENT_READ if wire.readable else 0
            mask |= key.events & EVENT_WRITE if wire.writable else 0
            if mask:
                found.append((key, mask))
        return found

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; if nothing is, let the time pass."""
        found = self.ready()
        if not found and timeout:
            self.waited += timeout
            if self.waited > PATIENCE:
                raise RuntimeError(f"{PATIENCE:.0f} virtual seconds, and it did not happen")
            self.now += timeout
        return found


class _Call:
    """A connection on its way; as :class:`rawsio.net.connecting.Connecting`."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TestKit:
    """A server, its clients, and the clock; a context manager.

    ``io`` is a server that serves nobody yet; it stays on the kit's loop.  ``url`` is the address
    that clients give for it.  While ``refusing`` is true, new connections are refused.

    >>> from rawsio import Server
    >>> io = Server()
    >>> @io.on("add")
    ... def add(socket, a, b):
    ...     return a + b
    >>> with TestKit(io) as kit:
    ...     kit.connect().emit_with_ack("add", 1, 2).result()
    3
    """

    __test__ = False  # a class named Test..., but not one of pytest's

    def __init__(self, io: Server, *, url: str = "http://testkit", seed: int = 0) -> None:
        self.board = Switchboard()
        self.loop = Loop(self.board, self.board.time)  # type: ignore[arg-type]  # what it asks for
        self.url = url
        self.refusing = False
        self.clients: list[Client] = []
        self._random = Random(seed)  # noqa: S311 - the same in each run is the point
        self._servers: list[Server] = []
        self.serve(io)

    def serve(self, io: Server) -> None:
        """Let this server take the connections that are made from now on."""
        io._running.move_to(self.loop)
        io.host.random_bytes = self._random.randbytes
        io.host.wall = self.board.time
        self._servers.append(io)

    @property
    def io(self) -> Server:
        """The server that takes new connections."""
        return self._servers[-1]

    # Clients

    def client(self, namespace: str = "/", **options: Any) -> Client:
        """Return a client that does not connect yet; the options are those of :class:`Client`."""
        more = {"random_bytes": self._random.randbytes, "world": self, **options}
        made = Client(self.url + namespace, **more)
        self.clients.append(made)
        return made

    def connect(self, namespace: str = "/", **options: Any) -> Socket:
        """Return a new client's socket, connected; raises what :func:`rawsio.connect` raises."""
        socket: Socket = self.client(namespace, **options).main
        socket.connect().opening.result(PATIENCE)
        self.run()
        return socket

    def connect_tcp(
        self,
        _loop: Any,
        _host: str,
        _port: int,
        done: Callable[[Any], object],
        failed: Callable[[str], object],
    ) -> _Call:
        """Join a client to the server; called by clients."""
        call = _Call()
        self.loop.call_soon(self._join, call, done, failed)
        return call

    def _join(
        self, call: _Call, done: Callable[[Any], object], failed: Callable[[str], object]
    ) -> None:
        if call.cancelled:
            return
        if self.refusing:
            failed("connection refused")
            return
        here, there = self.board.pair()
        self.io._running.accept(None, there, ("testkit", there.fileno()))
        done(here)

    # Time

    @property
    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self.board.now - START

    def run(self) -> None:
        """Let everything happen that can happen now; time does not pass."""
        self.board.waited = 0.0
        while True:
            self.loop.step(0)
            due = self.loop.next_deadline()
            if not self.board.ready() and (due is None or due > self.board.now):
                return

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that happens meanwhile, in its order."""
        end = self.board.now + seconds
        self.run()
        while True:
            due = self.loop.next_deadline()
            if due is None or due > end:
                break
            self.board.now = due
            self.run()
        self.board.now = end
        self.run()

    # What may go wrong

    def wires(self, socket: Socket) -> list[Wire]:
        """Return the client's ends of the connections that a socket has now."""
        return [stream.sock for stream in socket.client._wires.streams]

    def cut(self, socket: Socket, *, silent: bool = False) -> None:
        """Break the connections of a client; ``silent``: nobody learns it but by its clock."""
        for wire in self.wires(socket):
            (wire.cut if silent else wire.reset)()
        self.run()

    def stall(self, socket: Socket) -> None:
        """Let a client read nothing any more, so that what is sent to it piles up."""
        for wire in self.wires(socket):
            wire.stalled = True

    def resume(self, socket: Socket) -> None:
        """Let it read again."""
        for wire in self.wires(socket):
            wire.stalled = False
        self.run()

    # The end

    def close(self) -> None:
        """End clients and servers, and free the loop."""
        if self.loop not in (io.host.loop for io in self._servers if not io.closed):
            return
        for client in self.clients:
            client.close(0.0)
        self.run()
        for io in self._servers:
            io.close(0.0)
        self.run()
        for io in self._servers:
            io._running.closed = True
        self.loop.close()

    def __enter__(self) -> TestKit:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
