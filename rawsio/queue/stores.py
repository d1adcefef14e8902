"""The stores of one server: each file is opened once, and shared by all who keep something in it.

Queues and connection state recovery ask for the keeper of a path, and give it back at the end.  The
file is closed when the last of them has done so.  ``synchronous`` is as strict as the strictest of
them asked for.
"""

from __future__ import annotations

from .keeper import Keeper
from .memory import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.runtime import Runtime

    from .sqlite import SQLiteStore

__all__ = ["Stores"]


class Stores:
    """Keepers by the path of their file."""

    def __init__(self) -> None:
        self._keepers: dict[str | None, Keeper] = {}
        self._files: dict[str, SQLiteStore] = {}
        self._users: dict[Keeper, int] = {}

    def take(self, host: Runtime, path: Any, synchronous: str = "FULL") -> Keeper:
        """Return who keeps a file (``None``: the memory), opened if it is new.

        Raises :class:`~rawsio.queue.operations.StoreError`.  Whoever takes gives back.
        """
        name, keeper = self._find(path)
        if keeper is None:
            keeper = self._keepers[name] = self._make(host, name, synchronous)
        elif name is not None:
            self._files[name].demand(synchronous)
        self._users[keeper] = self._users.get(keeper, 0) + 1
        return keeper

    def adopt(self, keeper: Keeper) -> Keeper:
        """Take a keeper that has no file and is shared with nobody; it is given back, too."""
        self._users[keeper] = 1
        return keeper

    def store(self, path: Any) -> SQLiteStore:
        """Return the store of a file that somebody has taken."""
        name, _keeper = self._find(path)
        return self._files[name or ""]

    def _find(self, path: Any) -> tuple[str | None, Keeper | None]:
        if path is None:
            return None, self._keepers.get(None)
        from rawsio.net.files import real_path

        name = real_path(path)
        return name, self._keepers.get(name)

    def _make(self, host: Runtime, name: str | None, synchronous: str) -> Keeper:
        if name is None:
            return Keeper(host, MemoryStore())
        from rawsio.net.worker import Worker

        from .sqlite import SQLiteStore

        store = self._files[name] = SQLiteStore(name, synchronous=synchronous)
        return Keeper(host, store, Worker("rawsio-queue"))

    def give_back(self, keeper: Keeper, done: Callable[[], None]) -> None:
        """Use it no more; ``done()`` when its file is closed, or others still use it."""
        self._users[keeper] -= 1
        if self._users[keeper]:
            done()
            return
        del self._users[keeper]
        for name in [name for name, one in self._keepers.items() if one is keeper]:
            del self._keepers[name]
            self._files.pop(name or "", None)
        keeper.close(done)
