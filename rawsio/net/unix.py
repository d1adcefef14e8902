"""Listening at a path, and the file that a unix socket is.

A server that dies leaves the file of its socket behind, and nobody can bind there again.  So a
file is replaced if it is a socket that nobody answers; anything else at the path is left alone.

A server that ends removes its own file.  Meanwhile another one may have been started with the
same path (a deployment), or this process may be a child of the one that listens.  So the file is
removed only by the process that made it, and only while it is the same file.
"""

from __future__ import annotations

import errno
import os
import socket
from stat import S_ISSOCK

from .listener import BACKLOG, explained

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SocketFile", "listen_unix"]


class SocketFile:
    """The file of a socket that was just bound to ``path``."""

    __slots__ = ("path", "_identity", "_process")

    def __init__(self, path: str) -> None:
        # The program may change its working directory meanwhile.
        self.path = path if path[:1] in ("", "\0") else os.path.abspath(path)
        self._identity = _identity(path)
        self._process = os.getpid()

    def remove(self) -> None:
        """Remove it, if it is still there and ours.  Raises ``OSError``."""
        if self._process == os.getpid() and _identity(self.path) == self._identity is not None:
            os.unlink(self.path)


def listen_unix(path: Any, *, backlog: int = BACKLOG) -> tuple[socket.socket, SocketFile]:
    """Return a unix socket that listens at ``path``, a ``str`` or ``pathlib.Path``, and its file.

    A socket that was left behind there, and that nobody answers, is replaced.  Raises ``OSError``
    where something else is.
    """
    name = path if isinstance(path, str) else getattr(path, "__fspath__", _no_path)()
    if not isinstance(name, str):
        raise TypeError(f"path: a str or pathlib.Path is expected, not {path!r}")
    if not name or "\0" in name[1:] or not _encodable(name):
        raise ValueError(f"path: the name of a file is expected, not {path!r}")
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(f"cannot listen on {name!r}: this system has no unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(sock, name)
        sock.listen(backlog)
        return sock, SocketFile(name)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            if error.errno is None:
                error = OSError("the path is too long: most systems take 100 bytes")
            raise explained(error, repr(name), _ADVICE) from None
        raise


_ADVICE = {
    errno.EADDRINUSE: "it is in use: stop who listens there, or choose another path",
    errno.EACCES: "this user may not make files there, or not enter the folder",
    errno.EPERM: "this user may not make files there",
    errno.EROFS: "nothing can be written there: choose another path",
    errno.ENOENT: "the folder is not there: make it first",
    errno.ENOTDIR: "a file is where the folder should be",
}
"""What to do when the system refuses to listen at a path."""


def _encodable(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeError:
        return False
    return True


def _no_path() -> None:
    """Stand for the path of what is none."""


def _bind(sock: socket.socket, path: str) -> None:
    try:
        sock.bind(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or path[:1] == "\0" or _is_live(path):
            raise
        os.unlink(path)
        sock.bind(path)


def _is_live(path: str) -> bool:
    """Return whether somebody listens at a path; ``OSError`` if no socket is there."""
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:  # removed since
        return False
    if not S_ISSOCK(kind):
        message = "a file is there that is no socket: choose another path, or remove it"
        raise FileExistsError(errno.EEXIST, message)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a queue that is full would keep us
        return probe.connect_ex(path) not in (errno.ECONNREFUSED, errno.ENOENT)


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from all others; ``None`` if there is none (an abstract name)."""
    if path[:1] in ("", "\0"):
        return None
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
