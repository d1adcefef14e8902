"""A connected socket without a layer: bytes in, bytes out, each direction ended by itself.

A :class:`~rawsio.net.tcp.TCPStream` drives a layer, and ends as a protocol does.  A proxy wants the
connection as it is: half-closed for as long as the ends like, and reset when one of them was.  A
:class:`Pipe` gives that, and back-pressure: what cannot be sent waits in it, ``unsent`` says how
much, and its owner pauses whoever it comes from.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .loop_timers import AnyLoop

    class Owner(Protocol):
        """Who is told what a pipe does; ``lost`` and ``closed`` are the last call, once."""

        def received(self, pipe: Pipe, data: bytes, /) -> None:
            """Bytes have come."""

        def ended(self, pipe: Pipe, /) -> None:
            """The peer sends no more."""

        def drained(self, pipe: Pipe, /) -> None:
            """All that was written is sent."""

        def lost(self, pipe: Pipe, reason: str, /, *, reset: bool) -> None:
            """The connection broke; ``reset``: the peer reset it."""

        def closed(self, pipe: Pipe, /) -> None:
            """Both directions have ended."""


__all__ = ["Pipe"]

_SIZE = 65536
_RESETS = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


class Pipe:
    """A connected socket, which becomes non-blocking and belongs to the pipe."""

    def __init__(self, loop: AnyLoop, sock: socket.socket, owner: Owner) -> None:
        self.sock = sock
        self.unsent = 0
        """Bytes that the kernel has not taken yet."""
        self._loop = loop
        self._owner = owner
        self._queue: deque[bytes] = deque()
        self._reading = self._writing = False
        self._ended_in = self._ended_out = self._ending = self._over = False
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def resume(self) -> None:
        """Read, from now on; a new pipe does not."""
        if not (self._reading or self._ended_in or self._over):
            self._reading = True
            self._loop.add_reader(self.sock.fileno(), self._readable)

    def pause(self) -> None:
        """Stop reading until ``resume``."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self.sock.fileno())

    def write(self, data: bytes) -> None:
        """Send bytes, now or when the kernel takes them; nothing after ``end`` or the end."""
        if self._over or self._ending or not data:
            return
        self._queue.append(data)
        self.unsent += len(data)
        if not self._writing:
            self._writable()

    def end(self) -> None:
        """Send no more, once what was written is sent."""
        if not self._ending and not self._over:
            self._ending = True
            self._finish()

    def abort(self, *, reset: bool = False) -> None:
        """Close at once, both directions; ``reset``: with a RST.  The owner is not told."""
        if self._over:
            return
        if reset:
            # Lingering for no time at all is how one asks the system for a RST.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self._close()

    def _readable(self) -> None:
        try:
            data = self.sock.recv(_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._owner.received(self, data)
            return
        self.pause()
        self._ended_in = True
        self._owner.ended(self)
        self._close_if_done()

    def _writable(self) -> None:
        try:
            while self._queue:
                sent = self.sock.send(self._queue[0])
                self.unsent -= sent
                if sent < len(self._queue[0]):
                    self._queue[0] = self._queue[0][sent:]
                    break
                self._queue.popleft()
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._lose(error)
            return
        self._watch()
        self._finish()
        if not self._queue and not self._over:
            self._owner.drained(self)

    def _watch(self) -> None:
        wanted = len(self._queue) > 0
        if wanted and not self._writing:
            self._loop.add_writer(self.sock.fileno(), self._writable)
        elif self._writing and not wanted:
            self._loop.remove_writer(self.sock.fileno())
        self._writing = wanted

    def _finish(self) -> None:
        if self._ending and not self._queue and not self._ended_out:
            self._ended_out = True
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._lose(error)
                return
            self._close_if_done()

    def _close_if_done(self) -> None:
        if self._ended_in and self._ended_out and not self._over:
            self._close()
            self._owner.closed(self)

    def _lose(self, error: OSError) -> None:
        if not self._over:
            self._close()
            reason = error.strerror or str(error)
            self._owner.lost(self, reason, reset=error.errno in _RESETS)

    def _close(self) -> None:
        self._over = True
        self.pause()
        if self._writing:
            self._loop.remove_writer(self.sock.fileno())
            self._writing = False
        self._queue.clear()
        self.unsent = 0
        self.sock.close()
