"""Messages between processes of one machine that carry an open socket along.

A unix socket of the kind ``SOCK_SEQPACKET`` keeps the borders of messages, and the kernel passes
descriptors with them (``SCM_RIGHTS``): the receiver gets a socket of its own for the same
connection, with what nobody has read of it.  A message has at most :data:`LONGEST` bytes and one
socket.  What the kernel does not take at once waits here, with its socket.
"""

from __future__ import annotations

import errno
import socket
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop_timers import AnyLoop
    from .tcp import TCPStream

__all__ = ["LONGEST", "DescriptorChannel", "channel_pair", "detached", "left_over", "stream_pair"]

LONGEST = 65_536
"""The most bytes of a message."""

_ZERO = bytes(4)
_AT_A_TIME = 64
"""Messages that are read for one event."""
_AGAIN = 0.01
"""Seconds after which is tried again what the kernel has no room for, and will not say when."""
_FULL = (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM)


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """Return two sockets that are connected with each other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def detached(stream: TCPStream) -> socket.socket:
    """Return the connection of a stream, which ends without closing it.

    What the stream has not sent is lost, so there should be nothing.
    """
    sock = stream.sock.dup()
    stream.abort("handed over")
    return sock


def left_over(sock: socket.socket) -> list[tuple[bytes, socket.socket | None]]:
    """Return the messages that nobody has read at an end of a channel whose process is gone.

    >>> here, there = channel_pair()
    >>> here.send(b"a"), here.send(b"b"), left_over(there)
    (1, 1, [(b'a', None), (b'b', None)])
    >>> here.close(), there.close()
    (None, None)
    """
    sock.setblocking(False)  # recv_fds() takes flags, and passes none on
    found: list[tuple[bytes, socket.socket | None]] = []
    while True:
        try:
            data, given = _received(sock)
        except OSError:
            return found
        if not data:
            return found
        found.append((data, given))


def _received(sock: socket.socket) -> tuple[bytes, socket.socket | None]:
    data, descriptors, _flags, _address = socket.recv_fds(sock, LONGEST, 1)
    given = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    return data, given[0] if given else None


class DescriptorChannel:
    """One end of a channel; ``sock`` belongs to it.

    ``received(data, sock)`` is called for each message; ``sock`` is ``None``, or a socket that
    belongs to the function.  ``closed()`` is called once, when the other end is gone.

    >>> from rawsio.net.loop import Loop
    >>> loop, (here, there) = Loop(), channel_pair()
    >>> heard = []
    >>> one = DescriptorChannel(loop, here, print, print)
    >>> other = DescriptorChannel(loop, there, lambda *message: heard.append(message), print)
    >>> one.send(b"hello"); loop.step(0); heard
    [(b'hello', None)]
    >>> one.close(); other.close(); loop.close()
    """

    def __init__(
        self,
        loop: AnyLoop,
        sock: socket.socket,
        received: Callable[[bytes, socket.socket | None], object],
        closed: Callable[[], object],
    ) -> None:
        self.sock = sock
        self._loop = loop
        self._received = received
        self._closed = closed
        self._waiting: deque[tuple[bytes, socket.socket | None]] = deque()
        self._writing = self._over = False
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def unread(self) -> bool:
        """Whether the other end has not read all that was sent: it is busy, or hangs."""
        # Windows has neither, and no channels.
        import fcntl
        import termios

        if self._waiting or self._over:
            return True
        return fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, _ZERO) != _ZERO

    def send(self, data: bytes, sock: socket.socket | None = None) -> None:
        """Send a message, in order; the socket that goes with it is closed here."""
        if len(data) > LONGEST:
            raise ValueError(f"a message has at most {LONGEST} bytes, not {len(data)}")
        if self._over:
            if sock is not None:
                sock.close()
            return
        self._waiting.append((data, sock))
        if not self._writing and len(self._waiting) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._waiting:
            data, sock = self._waiting[0]
            try:
                if sock is None:
                    self.sock.send(data)
                else:
                    socket.send_fds(self.sock, [data], [sock.fileno()])
            except (BlockingIOError, InterruptedError):
                self._wait()
                return
            except OSError as error:
                if error.errno in _FULL:
                    self._loop.call_later(_AGAIN, self._try_again)
                else:
                    self._lose()
                return
            self._waiting.popleft()
            if sock is not None:
                sock.close()
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self.sock.fileno())

    def _wait(self) -> None:
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self.sock.fileno(), self._flush)

    def _try_again(self) -> None:
        if not self._over:
            self._flush()

    def take_back(self) -> list[tuple[bytes, socket.socket | None]]:
        """Return the messages that wait to be sent; they are sent no more."""
        waiting, self._waiting = list(self._waiting), deque()
        return waiting

    def drain(self) -> None:
        """Take all that has come: whoever sent it has ended, and nothing follows."""
        while self._take():
            pass

    def _readable(self) -> None:
        for _ in range(_AT_A_TIME):
            if not self._take():
                return

    def _take(self) -> bool:
        if self._over:
            return False
        try:
            data, given = _received(self.sock)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data, given = b"", None
        if not data:
            self._lose()
            return False
        self._received(data, given)
        return True

    def _lose(self) -> None:
        if not self._over:
            self.close()
            self._loop.call_soon(self._closed)

    def close(self) -> None:
        """Close this end, and what waits to be sent; ``closed`` is not called."""
        if self._over:
            return
        self._over = True
        self._loop.remove_reader(self.sock.fileno())
        if self._writing:
            self._loop.remove_writer(self.sock.fileno())
        self.sock.close()
        while self._waiting:
            _data, sock = self._waiting.popleft()
            if sock is not None:
                sock.close()
