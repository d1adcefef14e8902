"""Each file is opened once, and closed when the last of its users has given it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rawsio import Server
from rawsio.queue.keeper import Keeper
from rawsio.queue.memory import MemoryStore
from rawsio.queue.operations import StoreError
from rawsio.queue.sqlite import SQLiteStore
from rawsio.queue.stores import Stores


def level(keeper: Any) -> int:
    """Return what SQLite says of ``synchronous`` in a transaction: 1 is NORMAL, 2 is FULL."""
    keeper.store.apply([])
    return int(keeper.store.connection.execute("PRAGMA synchronous").fetchone()[0])


def test_a_file_is_shared_and_closed_by_the_last_who_gives_it_back(tmp_path: Path) -> None:
    stores, host, path = Stores(), Server().host, str(tmp_path / "app.db")
    (tmp_path / "link.db").symlink_to(path)
    first = stores.take(host, path)
    second = stores.take(host, tmp_path / "link.db")
    assert first is second
    assert stores.store(path) is first.store
    done: list[str] = []
    stores.give_back(first, lambda: done.append("first"))
    assert done == ["first"]
    with pytest.raises(StoreError, match="in use"):
        SQLiteStore(path)
    stores.give_back(second, lambda: done.append("second"))
    assert first.worker is not None
    assert first.worker.stop()
    SQLiteStore(path).close()


def test_a_file_is_as_strict_as_the_strictest_user_asks_for(tmp_path: Path) -> None:
    stores, host, path = Stores(), Server().host, tmp_path / "app.db"
    keeper = stores.take(host, path, "NORMAL")
    assert level(keeper) == 1
    stores.take(host, path, "FULL")
    assert level(keeper) == 2
    stores.take(host, path, "NORMAL")
    assert level(keeper) == 2
    with pytest.raises(ValueError, match="synchronous"):
        stores.take(host, path, "HALF")
    for _ in range(3):
        stores.give_back(keeper, lambda: None)


def test_without_a_path_there_is_one_store_in_memory() -> None:
    stores, host = Stores(), Server().host
    keeper = stores.take(host, None)
    assert stores.take(host, None) is keeper
    assert keeper.worker is None


def test_a_keeper_that_was_adopted_is_closed_when_it_is_given_back() -> None:
    stores, host = Stores(), Server().host
    store = MemoryStore()
    keeper = stores.adopt(Keeper(host, store))
    assert stores.take(host, None) is not keeper
    done: list[str] = []
    stores.give_back(keeper, lambda: done.append("closed"))
    assert done == ["closed"]
