"""Connections in memory, and a selector for them that is also the clock.

Only the ends of the wire are not real.  A :class:`Wire` has the methods of a socket and a
:class:`Switchboard` those of a selector, so streams, and everything above them, run on them
unchanged.  Time stands still while somebody has something to do, and jumps to where a loop wants to
be waited for otherwise.

What is sent arrives at once, unless the receiving end is *held*: then it stays on its way, in the
pieces in which it was sent, until the test calls :meth:`Wire.deliver` for each.  The end of a
direction is the piece ``b""``.  What arrives at a closed end is answered with a reset (``None``),
which is a piece as well, as in TCP.

Nobody listens here: whoever makes a pair hands the ends out.
"""

from __future__ import annotations

import errno
from collections import deque
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = [
    "CAPACITY",
    "PATIENCE",
    "START",
    "DatagramNetwork",
    "MemoryDatagrams",
    "Switchboard",
    "Wire",
]

START = 1000.0
"""What the clock shows at the beginning: not zero, which means "at once" to timers."""

CAPACITY = 131072
"""Bytes that a wire holds before its writer has to wait, as a socket's buffers do."""

PATIENCE = 3600.0
"""Virtual seconds after which waiting is given up: heartbeats alone would go on for ever."""

_FIRST = 1 << 24
"""Descriptors of wires begin where no system has any."""


class Wire:
    """One end of a connection in memory, with those methods of a socket that streams use.

    While ``stalled`` it is never readable.  While ``held``, what is sent to it stays in ``coming``
    until :meth:`deliver`.

    >>> here, there = Switchboard().pair()
    >>> there.held = True
    >>> here.send(b"GET / "), here.send(b"HTTP/1.1")
    (6, 8)
    >>> there.readable, there.deliver(4), there.coming
    (False, b'GET ', (b'/ ', b'HTTP/1.1'))
    >>> there.recv(100)
    b'GET '
    """

    def __init__(self, fd: int) -> None:
        self.peer: Wire = self
        self.stalled = False
        self.held = False
        self._fd = fd
        self._inbox = bytearray()
        self._coming: deque[bytes | None] = deque()
        self.closed = False
        self._ended = False
        self._broken = False
        self._dead = False

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
    def dead(self) -> bool:
        """Whether it was cut: everything is lost, and no end learns it."""
        return self._dead

    @property
    def room(self) -> int:
        """How many bytes the wire takes now."""
        coming = self.peer._coming
        on_the_way = sum(len(piece) for piece in coming if piece) if coming else 0
        return CAPACITY - len(self.peer._inbox) - on_the_way

    @property
    def _in_order(self) -> bool:
        """Whether what is sent to it has to wait: behind other pieces, too."""
        return self.held or len(self._coming) > 0

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
        if self._broken or (self.peer.closed and not self.peer._in_order):
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        room = self.room
        if room <= 0:
            raise BlockingIOError
        taken = bytes(data[:room])
        if self.peer._in_order:
            self.peer._coming.append(taken)
        else:
            self.peer._inbox += taken
        return len(taken)

    def sendmsg(self, parts: Iterable[Any]) -> int:
        """Send several parts."""
        return self.send(b"".join(parts))

    def shutdown(self, _how: int) -> None:
        """End this direction."""
        self._end()

    def close(self) -> None:
        """Close this end."""
        if not self.closed:
            self.closed = True
            self._end()

    def _end(self) -> None:
        if self.peer._in_order and not (self._dead or self._broken):
            self.peer._coming.append(b"")
        else:
            self.peer._ended = True

    # What a test does to it

    @property
    def coming(self) -> tuple[bytes | None, ...]:
        """What is on its way to this end; ``b""`` is the end, ``None`` a reset."""
        return tuple(self._coming)

    def deliver(self, size: int | None = None) -> bytes | None:
        """Let the next piece arrive, or its first ``size`` bytes, and return what arrived.

        ``IndexError`` if nothing is on its way.
        """
        piece = self._coming.popleft()
        if piece is None:
            self._broken = True
            return None
        if size is not None and size < len(piece):
            self._coming.appendleft(piece[size:])
            piece = piece[:size]
        if self.closed:
            if piece and not self._broken:
                self._broken = True
                self.peer._coming.append(None)
        elif piece:
            self._inbox += piece
        else:
            self._ended = True
        return piece

    def reset(self) -> None:
        """Break the connection: both ends learn it at once."""
        self._broken = self.peer._broken = True
        self._coming.clear()
        self.peer._coming.clear()

    def cut(self) -> None:
        """Lose everything from now on: neither end learns it."""
        self._dead = self.peer._dead = True
        self._coming.clear()
        self.peer._coming.clear()


class Switchboard:
    """A selector of wires, and the clock: who waits for longer makes time pass.

    While ``held``, the ends of new connections are held (:class:`Wire`).
    """

    def __init__(self) -> None:
        self.now = START
        self.waited = 0.0
        self._keys: dict[int, SelectorKey] = {}
        self._wires: dict[int, Wire] = {}
        self.held = False
        self._next = _FIRST
        self._many = 64  # wires, at which the closed ones are forgotten

    def time(self) -> float:
        """Return what the clock shows."""
        return self.now

    def pair(self) -> tuple[Wire, Wire]:
        """Return the two ends of a new connection."""
        if len(self._wires) > self._many:
            self._wires = {wire.fileno(): wire for wire in self.wires}
            self._many = 2 * len(self._wires) + 64
        ends = Wire(self._next), Wire(self._next + 1)
        ends[0].join(ends[1])
        ends[0].held = ends[1].held = self.held
        self._wires.update({self._next: ends[0], self._next + 1: ends[1]})
        self._next += 2
        return ends

    @property
    def wires(self) -> list[Wire]:
        """The ends of connections that are open, or to which something is on its way."""
        return [w for w in self._wires.values() if not (w.closed and w.peer.closed) or w._coming]

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
            events = key.events
            mask = EVENT_READ if events & EVENT_READ and wire.readable else 0
            if events & EVENT_WRITE and wire.writable:
                mask |= EVENT_WRITE
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


class DatagramNetwork:
    """Where datagrams go that are sent in memory: in the next turn, to whoever has the port.

    >>> network = DatagramNetwork(lambda fn, *args: fn(*args))
    >>> heard = []
    >>> one = network.open(lambda *datagram: heard.append(datagram), "10.0.0.1", 0, None)
    >>> two = network.open(lambda *one: heard.append(one), "10.0.0.2", 5353, "224.0.0.251")
    >>> two.send(b"hello", one.address), heard
    (True, [(b'hello', ('10.0.0.2', 5353))])
    >>> one.send(b"all", ("224.0.0.251", 5353)), heard[1:]
    (True, [(b'all', ('10.0.0.1', 40000))])
    """

    def __init__(self, call_soon: Callable[..., object]) -> None:
        self._call_soon = call_soon
        self._open: list[MemoryDatagrams] = []
        self._next = 40_000
        self.lose: Callable[[bytes], bool] = lambda _data: False

    def open(
        self, receive: Callable[[bytes, Any], object], host: str, port: int, group: str | None
    ) -> MemoryDatagrams:
        """Return a new socket; ``OSError`` if the port is in use, and not shared by a group."""
        if not port:
            port, self._next = self._next, self._next + 1
        elif any(other.address == (host, port) and not group for other in self._open):
            raise OSError(errno.EADDRINUSE, f"cannot listen on {host}:{port}/udp: it is in use")
        made = MemoryDatagrams(self, receive, (host, port), group)
        self._open.append(made)
        return made

    def send(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """Have a datagram arrive, unless it is to be lost."""
        for other in () if self.lose(data) else self._open:
            if target == other.address or target == (other.group, other.address[1]):
                self._call_soon(other.take, data, source)

    def forget(self, one: MemoryDatagrams) -> None:
        """Take note that a socket is closed."""
        if one in self._open:
            self._open.remove(one)


class MemoryDatagrams:
    """A socket of a :class:`DatagramNetwork`."""

    def __init__(
        self,
        network: DatagramNetwork,
        receive: Callable[[bytes, Any], object],
        address: tuple[str, int],
        group: str | None,
    ) -> None:
        self.address = address
        self.group = group
        self._network: DatagramNetwork | None = network
        self._receive = receive

    def send(self, data: bytes, peer: tuple[str, int]) -> bool:
        """Send a datagram; ``RuntimeError`` after :meth:`close`."""
        if self._network is None:
            raise RuntimeError("these datagrams are closed")
        self._network.send(data, self.address, peer)
        return True

    def take(self, data: bytes, source: tuple[str, int]) -> None:
        """Receive a datagram."""
        if self._network is not None:
            self._receive(data, source)

    def close(self) -> None:
        """Send and receive no more; idempotent."""
        network, self._network = self._network, None
        if network is not None:
            network.forget(self)
