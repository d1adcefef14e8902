"""Making TCP connections without waiting for them.

The one idea: a name may have several addresses, of which some lead nowhere, so they are tried one
after the other, and what is reported is one socket or one text: the reason of the last.

What is left out: asking for names without waiting.  The system has no such call; a client that
reconnects asks in its own thread, and numeric addresses and ``localhost`` take no time.
"""

from __future__ import annotations

import socket
from os import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .handles import AnyLoop

__all__ = ["Connecting", "check_ssl", "connect_tcp", "default_tls"]

_PENDING = (BlockingIOError, InterruptedError)


class Connecting:
    """A connection on its way; made by :func:`connect_tcp`."""

    __slots__ = ("_loop", "_addresses", "_done", "_failed", "_sock", "_text", "_cancelled")

    def __init__(
        self,
        loop: AnyLoop,
        addresses: list[Any],
        text: str,
        done: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> None:
        self._loop = loop
        self._addresses = addresses
        self._text = text
        self._done = done
        self._failed = failed
        self._sock: socket.socket | None = None
        self._cancelled = False
        self._try_next()

    def _try_next(self) -> None:
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.pop(0)
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError as error:  # a family that this system does not have
                self._text = _words(error)
                continue
            self._sock = sock
            sock.setblocking(False)
            try:
                sock.connect(address)
            except _PENDING:
                pass
            except OSError as error:
                self._drop(error)
                continue
            self._loop.add_writer(sock.fileno(), self._settled)
            return
        # Later, always: callers have one case only.
        self._loop.call_soon(self._give_up)

    def _settled(self) -> None:
        sock = self._sock
        if sock is None:
            return
        self._loop.remove_writer(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._drop(OSError(code, strerror(code)))
            self._try_next()
            return
        self._sock = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._done(sock)

    def _drop(self, error: OSError) -> None:
        self._text = _words(error)
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _give_up(self) -> None:
        if not self._cancelled:
            self._failed(self._text)

    def cancel(self) -> None:
        """Give it up; neither function is called any more."""
        self._cancelled = True
        self._addresses.clear()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def connect_tcp(
    loop: AnyLoop,
    host: str,
    port: int,
    done: Callable[[socket.socket], object],
    failed: Callable[[str], object],
) -> Connecting:
    """Connect to a host; later ``done(sock)`` or ``failed(text)`` is called, once.

    >>> from rawsio.net.listener import listen_tcp
    >>> from rawsio.net.loop import Loop
    >>> loop, server, made = Loop(), listen_tcp(), []
    >>> connecting = connect_tcp(loop, *server.getsockname(), made.append, print)
    >>> loop.step(1)
    >>> made[0].getpeername() == server.getsockname()
    True
    >>> made[0].close(), server.close(), loop.close()
    (None, None, None)
    """
    addresses: list[Any] = []
    text = "the name has no address"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        text = _words(error)
    except UnicodeError as error:  # a label of the name is empty, or longer than 63 bytes
        text = str(error)
    return Connecting(loop, addresses, text, done, failed)


def check_ssl() -> None:
    """Raise ``RuntimeError`` where Python was built without ``ssl``."""
    try:
        import ssl  # noqa: F401
    except ImportError:
        message = "https needs the module ssl, which this Python was built without"
        raise RuntimeError(message) from None


def default_tls() -> Any:
    """Return an ``ssl.SSLContext`` that trusts whom the system trusts.

    A certificate counts for the names and addresses that it lists as such, never for its common
    name (RFC 9110 section 4.3.4).
    """
    from ssl import HAS_NEVER_CHECK_COMMON_NAME, create_default_context

    context = create_default_context()
    if HAS_NEVER_CHECK_COMMON_NAME:
        # 9110-4.3.4-no-common-name
        context.hostname_checks_common_name = False
    return context
