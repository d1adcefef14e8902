"""Files that are no data: a lock that says who owns a database, and room kept for a full disk.

The lock is advisory (``flock``; ``msvcrt.locking`` on Windows) and on a file of its own beside the
database, so readers of the database are not in its way.  It ends with the process, however that
ends, and the file stays: removing it would let two processes lock two files of the same name.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["FileLock", "Reserve", "identity", "is_folder", "plain_path", "real_path"]


def real_path(path: object) -> str:
    """Return the one name of a file, links resolved."""
    return os.path.realpath(plain_path(path))


def plain_path(path: object, what: str = "the path of a file") -> str:
    """Return a path as text; ``TypeError`` or ``ValueError``, about ``what``, for what is none.

    >>> plain_path("a\\0b")
    Traceback (most recent call last):
    ValueError: the path of a file is the name of one, without NUL, not 'a\\x00b'
    """
    text: Any = None
    if isinstance(path, (str, os.PathLike)) and not isinstance(path, type):
        text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str or a Path, not {path!r}")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        encoded = b""
    if not encoded or b"\0" in encoded:
        raise ValueError(f"{what} is the name of one, without NUL, not {text!r}")
    return text


def is_folder(path: str) -> bool:
    """Tell whether something is a directory."""
    return os.path.isdir(path)


def identity(path: str) -> tuple[int, int] | None:
    """Return what stays the same while a file exists, whatever its name; ``None`` if there is none.

    >>> identity("no such file") is None
    True
    """
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


class FileLock:
    """A lock on a file, held until :meth:`release` or the end of the process.

    Raises ``BlockingIOError``, which says who has it, if somebody else does, ``OSError`` if the
    file cannot be made.
    """

    def __init__(self, path: str) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._descriptor)
        except OSError:
            owner = (
                os.read(self._descriptor, 40).decode("ascii", "replace").strip("\n") or "unknown"
            )
            os.close(self._descriptor)
            if owner == str(os.getpid()):
                raise BlockingIOError(
                    "this process has it open already: close that server or queue first, and wait"
                    " for its end (`closed`)"
                ) from None
            raise BlockingIOError(f"process {owner} owns it") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have it; idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        windows: Any = msvcrt
        # A byte that nobody reads or writes.
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        windows.locking(descriptor, windows.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Reserve:
    """A file of ``size`` bytes that is deleted when the disk is full, so that little things go on.

    A database needs some room even to delete rows.
    """

    def __init__(self, path: str, size: int) -> None:
        self._path = path
        self._size = size
        self.held = False

    def take(self) -> bool:
        """Occupy the room; ``False`` if there is not so much."""
        try:
            # What a process has left behind that was killed is not given away first.
            with open(self._path, "ab") as file:
                # Allocated, where the system can do that: a hole would be no room.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, self._size)
                else:
                    file.write(bytes(max(0, self._size - file.tell())))
        except OSError:
            self.release()
            return False
        self.held = True
        return True

    def free(self) -> float:
        """Return how many bytes are free beside it; infinite where the system does not tell."""
        try:
            found = os.statvfs(os.path.dirname(self._path) or ".")
        except (OSError, AttributeError):  # Windows has no statvfs
            return float("inf")
        return float(found.f_bavail * found.f_frsize)

    def release(self) -> bool:
        """Free the room; ``False`` if there was none to be freed."""
        held, self.held = self.held, False
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return held
