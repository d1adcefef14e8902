"""Connecting to a unix socket: it is there or it is not, so nothing has to be waited for."""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .loop_timers import AnyLoop

__all__ = ["UnixConnecting", "connect_unix"]


class UnixConnecting:
    """A connection whose outcome is told in the next turn; made by :func:`connect_unix`."""

    __slots__ = ("_cancelled", "_sock")

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock
        self._cancelled = False

    def tell(
        self, done: Callable[[socket.socket], object], failed: Callable[[str], object], text: str
    ) -> None:
        """Hand the socket over, or the reason why there is none; used by the loop."""
        if self._cancelled:
            return
        sock, self._sock = self._sock, None
        if sock is None:
            failed(text)
        else:
            done(sock)

    def cancel(self) -> None:
        """Give it up; neither function is called any more."""
        self._cancelled = True
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()


def connect_unix(
    loop: AnyLoop,
    path: str,
    done: Callable[[socket.socket], object],
    failed: Callable[[str], object],
) -> UnixConnecting:
    """Connect to the socket at ``path``; in the next turn ``done(sock)`` or ``failed(text)``.

    >>> from rawsio.net.loop import Loop
    >>> loop = Loop()
    >>> connecting = connect_unix(loop, "/nowhere/redis.sock", print, print)
    >>> loop.step(0)
    /nowhere/redis.sock: no such file or directory
    >>> loop.close()
    """
    sock: socket.socket | None = None
    text = ""
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect(path)
    except (AttributeError, OSError) as error:
        if sock is not None:
            sock.close()
            sock = None
        words = getattr(error, "strerror", None) or "this system has no unix sockets"
        text = f"{path}: {words.lower()}"
    connecting = UnixConnecting(sock)
    loop.call_soon(connecting.tell, done, failed, text)
    return connecting
