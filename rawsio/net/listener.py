"""Listening sockets, and accepting from them.

A listener must survive what it cannot change.  Out of descriptors (``EMFILE``), it pauses for a
second and says so once, because a listening socket with somebody in its queue is readable for as
long as nobody accepts, and the loop would spin.  A client that gave up in the queue is skipped.
Above ``limits.connections`` a connection is accepted and closed at once, so that the client learns
it now and not when its patience ends.

Sockets are accepted without waiting, up to 64 for each event, and small writes are not delayed
(``TCP_NODELAY`` is set on the listening socket, whose children inherit it on most systems; the
first child is asked, and where they do not, each one is told).

A failure to listen says where, and what to do about it: the system's own words name neither.

``listen_tcp`` looks a name up before the loop runs, and listens at the first of its addresses that
this machine has.
"""

from __future__ import annotations

import errno
import os
import socket

from rawsio import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .driver import Driver
    from .loop_timers import Cancellable

__all__ = ["BACKLOG", "Listener", "check_address", "connected", "explained", "listen_tcp", "shown"]

_AT_A_TIME = 64
"""Most connections accepted for one event, and for no longer than ``limits.turn_time``."""

_PAUSE = 1.0
"""Seconds without accepting after the system ran out of something."""

BACKLOG = 4096
"""Asked of the system (which has a maximum of its own): a server that restarts meets them all."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_ADVICE = {
    errno.EADDRINUSE: "it is in use: stop who listens there, or choose another (port 0: any free)",
    errno.EACCES: "that is not allowed to this user: choose a port above 1023",
    errno.EADDRNOTAVAIL: "this machine has no such address (0.0.0.0: all that it has)",
}
"""What to do when the system refuses to listen at an address."""

_IP = tuple(getattr(socket, name) for name in ("AF_INET", "AF_INET6") if hasattr(socket, name))


def _nothing() -> bool:
    return False


class Listener:
    """A listening socket, which calls ``on_accept(sock, address)`` for each connection.

    ``listening`` becomes non-blocking and belongs to the listener; the accepted ``sock`` is
    non-blocking and belongs to ``on_accept``.  ``address`` is what the socket family has: for a
    unix socket an empty string.  ``remove()`` is called in the end:
    it removes the file of a unix socket.  ``free()`` is called when the system has run out of
    something, and tells whether there may be more of it now.
    """

    __slots__ = (
        *("driver", "on_accept", "_listening", "_fd", "_delayed", "_retry", "_remove", "_free"),
    )

    def __init__(
        self,
        driver: Driver,
        listening: socket.socket,
        on_accept: Callable[[socket.socket, Any], object],
        *,
        remove: Callable[[], object] | None = None,
        free: Callable[[], bool] = _nothing,
    ) -> None:
        self.driver = driver
        self.on_accept = on_accept
        self._listening = listening
        self._fd = listening.fileno()
        # None: not known yet whether accepted sockets inherit TCP_NODELAY.
        self._delayed: bool | None = None if listening.family in _IP else False
        self._retry: Cancellable | None = None
        self._remove = remove
        self._free = free
        listening.setblocking(False)
        driver.loop.add_reader(self._fd, self._acceptable)

    @property
    def address(self) -> Any:
        """Where it listens: ``(host, port)``, or the path of a unix socket."""
        return shown(self._listening)

    def detach(self) -> socket.socket:
        """Give the listening socket back, still open: for a listener on another loop.

        A path to remove in the end goes with it: it is the new listener's.
        """
        if self._fd >= 0:
            self._pause()
            self._fd = -1
        return self._listening

    def close(self) -> None:
        """Stop listening; calling it again does nothing.  Accepted connections go on."""
        if self._fd < 0:
            return
        self.detach().close()
        if self._remove is not None:
            try:
                self._remove()
            except OSError as error:
                self.driver.log("net", log.INFO, f"the unix socket stays behind: {error}")

    def _acceptable(self) -> None:
        end = self.driver.time() + self.driver.limits.turn_time
        for _ in range(_AT_A_TIME):
            if self._fd < 0 or self.driver.time() > end:
                return  # closed by on_accept, or the others want their turn
            try:
                sock, address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._exhausted(error)
                    return
                continue  # the client gave up in the queue, or the firewall did
            self._accepted(sock, address)

    def _accepted(self, sock: socket.socket, address: Any) -> None:
        driver = self.driver
        if len(driver.streams) >= driver.limits.connections:
            sock.close()
            who = address[0] if isinstance(address, tuple) else "unix"
            message = f"{who}: a connection is refused: limits.connections are open"
            driver.log("net", log.WARNING, message)
            return
        try:
            sock.setblocking(False)
            if self._delayed is not False:
                self._hurry(sock)
            self.on_accept(sock, address)
        except Exception as error:  # noqa: BLE001 - one connection must not stop the others
            sock.close()
            driver.log("net", log.ERROR, "accepting a connection raised an exception", error)

    def _hurry(self, sock: socket.socket) -> None:
        if self._delayed is None:
            self._delayed = not sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if self._delayed:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _exhausted(self, error: OSError) -> None:
        if self._free():
            return  # it is still readable
        self._pause()
        self._retry = self.driver.loop.call_later(_PAUSE, self._resume)
        message = f"accepting is paused for {_PAUSE:.0f} s: {error.strerror}"
        self.driver.log("net", log.ERROR, message)

    def _pause(self) -> None:
        self.driver.loop.remove_reader(self._fd)
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _resume(self) -> None:
        self._retry = None
        self.driver.loop.add_reader(self._fd, self._acceptable)


def listen_tcp(host: str = "127.0.0.1", port: int = 0, *, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens; port 0 lets the system choose one.

    ``host`` is a name or address; ``""`` and ``"::"`` are all addresses of both families where
    the system can.  Raises ``OSError`` (``socket.gaierror`` for a name that has no address), and
    ``TypeError`` or ``ValueError`` for what is no address at all.

    >>> sock = listen_tcp()
    >>> sock.getsockname()[0]
    '127.0.0.1'
    >>> sock.close()
    """
    check_address(host, port)
    try:
        return _listen_tcp(host, port, backlog)
    except OSError as error:
        name = f"[{host}]" if ":" in host else host or "all addresses"
        raise explained(error, f"{name}:{port}") from None
    except UnicodeError:
        raise ValueError(f"the host is a name or an address, not {host[:80]!r}") from None


def check_address(host: Any, port: Any) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no host and port to listen at."""
    if not isinstance(host, str):
        raise TypeError(f"the host is a str, not {host!r} (listen(port=3000) names a port alone)")
    if not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"the port is an int, not {port!r}")
    if not 0 <= port < 65536:
        raise ValueError(f"a port is from 0 (any that is free) to 65535, not {port}")
    if "\0" in host:
        raise ValueError(f"the host is a name or an address, not {host[:80]!r}")
    if host[:1] == "[":
        raise ValueError(f"an IPv6 address is given without brackets, as '::1', not {host[:80]!r}")


def _listen_tcp(host: str, port: int, backlog: int) -> socket.socket:
    both = host in ("", "::") and socket.has_dualstack_ipv6()
    name = "::" if both else host or "0.0.0.0"
    # To load the codec of international names takes longer than all the rest: it is left out for
    # names in which it would find nothing to do, and nothing wrong.
    plain = name.isascii() and len(name) < 64 and ".." not in name
    asked = name.encode() if plain else name
    found = socket.getaddrinfo(asked, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    errors: list[OSError] = []
    for family, kind, protocol, _, address in found:
        try:
            return _listen_at(socket.socket(family, kind, protocol), address, backlog, both=both)
        except OSError as error:  # a name may have addresses of a family that is not there
            errors.append(error)
    raise errors[0]


def _listen_at(sock: socket.socket, address: Any, backlog: int, *, both: bool) -> socket.socket:
    try:
        if os.name == "posix":  # elsewhere it lets two programs have the same port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind(address)
        _listen(sock, backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def explained(error: OSError, where: str, advices: dict[int, str] = _ADVICE) -> OSError:
    """Return the same failure to listen, saying where it was and, by ``errno``, what to do."""
    kind = socket.gaierror if isinstance(error, socket.gaierror) else OSError
    if error.errno is None:
        return OSError(f"cannot listen on {where}: {error}")
    advice = advices.get(error.errno, error.strerror)
    if kind is socket.gaierror:
        advice = f"it is unknown ({error.strerror})"
    return kind(error.errno, f"cannot listen on {where}: {advice}")


def shown(sock: socket.socket) -> Any:
    """Return where a socket is: ``(host, port)`` for IPv4 and IPv6 alike, or a path."""
    address = sock.getsockname()
    return address[:2] if sock.family in _IP else address


def connected(sock: Any) -> bool:
    """Return whether a socket is a connection; ``False`` for one that listens.

    Raises ``TypeError`` for what is no plain socket, and ``ValueError`` for a socket that is no
    stream, or neither listens nor is connected: it would be readable for ever.

    >>> here, there = socket.socketpair()
    >>> connected(here)
    True
    >>> here.close(), there.close()
    (None, None)
    """
    _check_stream(sock)
    accepts = getattr(socket, "SO_ACCEPTCONN", None)
    if accepts is not None and sock.getsockopt(socket.SOL_SOCKET, accepts):
        return False
    try:
        sock.getpeername()
    except OSError:
        if accepts is None:  # a system that cannot be asked
            return False
        raise ValueError(f"the socket does not listen: call listen() of {sock!r} first") from None
    return True


def _check_stream(sock: Any) -> None:
    if isinstance(sock, int) and not isinstance(sock, bool):
        raise TypeError(f"sock: a socket is expected, not {sock} (socket.socket(fileno={sock}))")
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock: a socket that listens, or is connected, is expected, not {sock!r}")
    if hasattr(sock, "getpeercert"):
        raise TypeError("sock: a plain socket is expected, and the ssl.SSLContext as tls=")
    if sock.fileno() < 0:
        raise ValueError("sock: the socket is closed; one that listens is expected")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"sock: a stream socket (SOCK_STREAM) is expected, not {sock!r}")


def _listen(sock: socket.socket, backlog: int) -> None:
    if sock.family in _IP:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.listen(backlog)
