"""The store in a SQLite file keeps the contract of all stores."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from rawsio.queue.sqlite import SQLiteStore

from .contract import Bench, store_tests


def make() -> SQLiteStore:
    folder = tempfile.mkdtemp(prefix="rawsio-queue-", dir=_shared_memory())
    return _Removed(folder)


def _shared_memory() -> str | None:
    # Where a commit costs no disk: what is tested here is not whether disks work.
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


class _Removed(SQLiteStore):
    """A store that takes its folder along when it is closed."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(f"{folder}/jobs.db", synchronous="OFF")

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)


def reopen(store: Any) -> Any:
    """Drop a store as the end of its process would, and open the file again."""
    store.connection.close()
    store.database._lock.release()
    return _Removed(store.folder)


BENCH = Bench(make, reopen)
TestStore = store_tests(BENCH)
