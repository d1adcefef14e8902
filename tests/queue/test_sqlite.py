"""The store in a SQLite file keeps the contract of all stores."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from rawsio.queue.sqlite import SQLiteStore

from .contract import Bench, store_tests


class _Folder:
    """A folder with a database that is used again and again: making one takes longer than a test.

    A second connection stays open.  So closing the first one is what the end of a process would
    be: the log stays, and is not copied into the database.
    """

    def __init__(self) -> None:
        # In memory a commit costs no disk: what is tested here is not whether disks work.
        shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self._folder = tempfile.mkdtemp(prefix="rawsio-queue-", dir=shared)
        self.path = f"{self._folder}/jobs.db"
        SQLiteStore(self.path, synchronous="OFF").close()
        self._witness = sqlite3.connect(self.path, isolation_level=None)
        _ALL.append(self)

    def empty(self) -> None:
        """Delete all rows: what is left is as new."""
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in self._witness.execute(tables).fetchall():
            self._witness.execute(f"DELETE FROM {name}")

    def close(self) -> None:
        self._witness.close()
        shutil.rmtree(self._folder)


class _Store(SQLiteStore):
    """A store that gives its folder back when it is closed."""

    def __init__(self, folder: _Folder) -> None:
        self.folder = folder
        super().__init__(folder.path, synchronous="OFF")

    def close(self) -> None:
        super().close()
        _FREE.append(self.folder)


_ALL: list[_Folder] = []
_FREE: list[_Folder] = []


@atexit.register
def _close() -> None:
    for folder in _ALL:
        folder.close()


def make() -> SQLiteStore:
    folder = _FREE.pop() if _FREE else _Folder()
    folder.empty()
    return _Store(folder)


def reopen(store: Any) -> Any:
    """Drop a store as the end of its process would, and open the file again."""
    store.connection.close()
    store.database._lock.release()
    return _Store(store.folder)


BENCH = Bench(make, reopen)
TestStore = store_tests(BENCH)
