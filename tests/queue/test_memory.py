"""The store in memory keeps the contract of all stores."""

from __future__ import annotations

from rawsio.queue.memory import MemoryStore
from rawsio.queue.operations import Claim, Delete, Insert, Purge

from .contract import Bench, store_tests

BENCH = Bench(MemoryStore)
TestStore = store_tests(BENCH)


def test_what_is_purged_for_ever_leaves_nothing_behind() -> None:
    store = MemoryStore()
    store.open("jobs", 3, 0)
    store.apply([Insert("jobs", b"first", 0, priority=9)])
    for turn in range(300):
        inserts = [Insert("jobs", b"1", 0, expires=turn + 10**9) for _ in range(10)]
        first = store.apply(inserts)[0][0]
        assert store.apply([Purge("jobs", (0,), 100)])[0][1] >= 10
        store.apply([Insert("jobs", b"first", 0, priority=9)])
        store.counts("jobs")
        assert first
    space = store._spaces["jobs"]
    assert len(space.ready) + len(space.delayed) + len(space.expiring) < 500


def test_keys_are_forgotten_when_their_time_is_over() -> None:
    store = MemoryStore()
    store.open("jobs", 3, 0)
    for now in range(1000):
        store.apply([Insert("jobs", b"1", now, key=str(now), until=now + 10)])
        ((row,),) = store.apply([Claim("jobs", 1, now)])
        store.apply([Delete("jobs", row.id, now, 1)])
    assert len(store._spaces["jobs"].keys) <= 11
