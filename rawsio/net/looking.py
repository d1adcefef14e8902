"""Looking at the first bytes of a connection without taking them.

With ``MSG_PEEK`` the bytes stay in the kernel, so whoever gets the connection afterwards reads them
as if it had accepted it.  One look is taken, when the first bytes are there.  A connection that
stays silent for ``seconds`` is given on unseen; so is the one that has waited longest, when more
than ``most`` wait: silent connections hold up nobody.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop_timers import AnyLoop, Cancellable

    Seen = Callable[[socket.socket, bytes], object]

__all__ = ["Looking"]


class Looking:
    """Connections whose first bytes are waited for; ``seen(sock, first)`` gets each, once.

    ``first`` has at most ``size`` bytes, and none where nothing was seen: the peer was silent, has
    ended, or is gone.

    >>> from rawsio.net.loop import Loop
    >>> loop, (here, there) = Loop(), socket.socketpair()
    >>> there.send(b"GET / HTTP/1.1")
    14
    >>> seen = []
    >>> Looking(loop, lambda sock, first: seen.append((first, sock.recv(3))), size=5).look(here)
    >>> seen
    [(b'GET /', b'GET')]
    >>> here.close(); there.close(); loop.close()
    """

    def __init__(
        self, loop: AnyLoop, seen: Seen, *, size: int, seconds: float = 1.0, most: int = 1000
    ) -> None:
        self._loop = loop
        self._seen = seen
        self._size = size
        self._seconds = seconds
        self._most = most
        self._waiting: dict[socket.socket, Cancellable] = {}

    @property
    def waiting(self) -> int:
        """How many connections have said nothing yet."""
        return len(self._waiting)

    def look(self, sock: socket.socket) -> None:
        """Give a connection, which must not block, to ``seen``: at once, or when it has spoken."""
        first = self._peek(sock)
        if first is not None:
            self._seen(sock, first)
            return
        if len(self._waiting) >= self._most:
            self._give_on(next(iter(self._waiting)), b"")
        self._waiting[sock] = self._loop.call_later(self._seconds, self._give_on, sock, b"")
        self._loop.add_reader(sock.fileno(), self._readable, sock)

    def _peek(self, sock: socket.socket) -> bytes | None:
        try:
            return sock.recv(self._size, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:  # whoever gets it will see
            return b""

    def _readable(self, sock: socket.socket) -> None:
        first = self._peek(sock)
        if first is not None:
            self._give_on(sock, first)

    def _give_on(self, sock: socket.socket, first: bytes) -> None:
        self._forget(sock)
        self._seen(sock, first)

    def _forget(self, sock: socket.socket) -> None:
        self._waiting.pop(sock).cancel()
        self._loop.remove_reader(sock.fileno())

    def finish(self, most: int | None = None) -> int:
        """Give on all that wait, or the oldest ``most`` of them; return how many there were."""
        given = 0
        while self._waiting and given != most:
            self._give_on(next(iter(self._waiting)), b"")
            given += 1
        return given

    def sockets(self) -> list[socket.socket]:
        """Return the connections that wait."""
        return list(self._waiting)
