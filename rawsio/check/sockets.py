"""The world of real sockets: connections to the target, and a listener for clients.

Nothing here knows a protocol.  A transport never blocks: :meth:`SocketTransport.wait` is where time
passes, and it waits for readiness alone.  Certificates are not verified: what is tested is the
protocol, mostly on a loopback address with a certificate that somebody made a minute ago.
"""

from __future__ import annotations

import select
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["Listener", "SocketTransport", "SocketWorld", "is_loopback"]

CONNECT_TIME = 5.0
"""Seconds that a connection and its TLS handshake may take."""
PIECE = 1 << 18


class SocketTransport:
    """A connected socket as :class:`rawsio.check.talk.Transport` wants it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._again = _would_block(sock)

    def send(self, data: bytes) -> int:
        """Send what can be sent now."""
        try:
            return self.sock.send(data)
        except self._again:
            return 0

    def receive(self) -> bytes | None:
        """Take what is there."""
        try:
            return self.sock.recv(PIECE)
        except self._again:
            return None

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        """Wait until something can be read (or written)."""
        if self.sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLOUT if write else select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def finish(self) -> None:
        """End our direction; behind TLS there is no such thing that every peer understands."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self, *, reset: bool = False) -> None:
        """Close the socket, with a reset if that is wanted."""
        if reset:
            linger = b"\1\0\0\0\0\0\0\0"
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()


def _would_block(sock: socket.socket) -> tuple[type[BaseException], ...]:
    if type(sock) is socket.socket:
        return (BlockingIOError,)
    import ssl

    return (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SocketWorld:
    """Connects to the addresses of a target, with TLS if that is asked for.

    ``addresses`` has the target itself under ``""``, and perhaps ``echo`` and ``engine``.
    """

    def __init__(self, addresses: dict[str, tuple[str, int]], *, secure: bool = False) -> None:
        self.addresses = addresses
        self.context = _context() if secure else None

    def dial(self, where: str = "") -> SocketTransport:
        """Return a new connection; ``OSError`` says why there is none."""
        address = self.addresses.get(where) or self.addresses[""]
        sock = socket.create_connection(address, CONNECT_TIME)
        if self.context is None:
            return SocketTransport(sock)
        try:
            return SocketTransport(self.context.wrap_socket(sock, server_hostname=address[0]))
        except OSError:
            sock.close()
            raise

    def time(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


def _context() -> SSLContext:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Listener:
    """Where clients under test connect to."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.sock = socket.create_server((host, port), backlog=128)
        self.sock.setblocking(False)
        self.address: tuple[str, int] = self.sock.getsockname()[:2]

    def accept(self, seconds: float) -> SocketTransport | None:
        """Return the next connection, ``None`` if there is none in time."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        try:
            return SocketTransport(self.sock.accept()[0])
        except OSError:
            return None

    def close(self) -> None:
        """Listen no more."""
        self.sock.close()


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, by each of its addresses.

    >>> is_loopback("127.0.0.1"), is_loopback("192.0.2.1")
    (True, False)
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(str(item[4][0]).startswith(("127.", "::1")) for item in found)
