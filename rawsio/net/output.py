"""Files that grow: private, bounded, and a disk that is full is said once.

A recording must never stop what it records.  So an error of the file system is told to whoever
wants to know, once, and from then on nothing is written.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST", "Output"]

MOST = 1_000_000_000
"""Bytes after which a file is full: it is renamed to ``NAME.1``, and a new one begun."""


class Output:
    """A file that is written to, private to its owner (mode 600), at most ``most`` bytes long.

    ``begin()`` gives what every file begins with.  ``failed(text)`` is called once, when the file
    system refuses.  The path ``-`` is standard output, which is not bounded.
    """

    def __init__(
        self,
        path: str,
        begin: Callable[[], bytes],
        failed: Callable[[str], object],
        most: int = MOST,
    ) -> None:
        self.path = path
        self._begin = begin
        self._failed = failed
        self._most = most
        self._fd = -1
        self._size = 0
        self._over = False
        self._open()

    def _open(self) -> None:
        try:
            if self.path == "-":
                self._fd = os.dup(1)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
                self._fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            self._fail(error)
            return
        self._size = 0
        self._put(self._begin())

    def write(self, data: bytes) -> None:
        """Write, at once; in a new file if this one is full."""
        if self._over:
            return
        if self._size + len(data) > self._most and self.path != "-":
            self.close()
            try:
                os.replace(self.path, self.path + ".1")
            except OSError as error:
                self._fail(error)
                return
            self._over = False
            self._open()
        self._put(data)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and not self._over:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._fail(error)
        self._size += len(data)

    def _fail(self, error: OSError) -> None:
        self.close()
        words = error.strerror or str(error)
        self._failed(f"{self.path}: {words}: nothing more is recorded there")

    def close(self) -> None:
        """Close the file; nothing is written any more."""
        self._over = True
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
