"""Messages in memory: for queues whose messages need not outlive the process, and for tests.

It does what the store in SQLite does, at once and without a file.  It is also the readable form of
the contract: each operation is a few lines on dictionaries.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import chain, islice, takewhile

from .operations import (
    BLOCKED,
    DEAD,
    DELAYED,
    LEASED,
    READY,
    Bodies,
    Bury,
    Claim,
    Counts,
    Delete,
    Drop,
    Insert,
    Peek,
    Purge,
    Redrive,
    Release,
    Row,
    Sweep,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MemoryStore"]


class _Space:
    """The messages of one queue."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.leases: dict[int, int] = {}
        # Entries of messages that are no longer ready, or delayed, are skipped when met.
        self.ready: list[tuple[int, int]] = []
        self.delayed: list[tuple[int, int]] = []
        self.expiring: list[tuple[int, int]] = []
        self.groups: dict[str, dict[int, None]] = {}
        self.keys: dict[str, tuple[int, int]] = {}
        self.counts = Counts()
        # The last sweep has left something: it may have expired.
        self.unswept = False


class MemoryStore:
    """A store in memory; see :class:`~rawsio.queue.operations.Store`.

    >>> store = MemoryStore()
    >>> store.open("jobs", 5, 0)[0].total
    0
    >>> store.apply([Insert("jobs", b"1", 0), Claim("jobs", 10, 7)])[1][0].body
    b'1'
    """

    durable = False

    def __init__(self) -> None:
        self._spaces: dict[str, _Space] = {}
        self._last = 0
        self._run = 0

    def open(self, queue: str, _max_deliveries: int, _now: int) -> tuple[Counts, int]:
        """Begin to serve a queue; whatever was in an object like this is gone with it."""
        self._run += 1
        space = self._spaces.setdefault(queue, _Space())
        return space.counts.copy(), self._run

    def apply(self, operations: list[Any]) -> list[Any]:
        """Do all operations, in order."""
        return [_DOERS[op.__class__](self, self._spaces[op.queue], op) for op in operations]

    def counts(self, queue: str) -> Counts:
        """Return how a queue stands."""
        space = self._spaces[queue]
        counts, rows = space.counts, space.rows
        self._tidy(space)
        delayed = self._first(space, space.delayed, DELAYED)
        counts.due = None if delayed is None else rows[delayed].due
        while space.expiring and space.expiring[0][1] not in rows:
            heappop(space.expiring)
        counts.expires = space.expiring[0][0] if space.expiring else None
        head = self._first(space, space.ready, READY)
        counts.head = None if head is None else rows[head].published
        return counts.copy()

    @staticmethod
    def _first(space: _Space, heap: list[tuple[int, int]], state: int) -> int | None:
        while heap:
            row = space.rows.get(heap[0][1])
            if row is not None and row.state == state:
                return row.id
            heappop(heap)
        return None

    @staticmethod
    def _tidy(space: _Space) -> None:
        """Rebuild a heap in which most entries are of messages that have left it."""
        rows = space.rows
        for heap, many, state in (
            (space.ready, space.counts.ready, READY),
            (space.delayed, space.counts.delayed, DELAYED),
        ):
            if len(heap) > 2 * many + 64:
                heap[:] = [e for e in heap if e[1] in rows and rows[e[1]].state == state]
                heapify(heap)
        if len(space.expiring) > 2 * len(rows) + 64:
            space.expiring = sorted(e for e in set(space.expiring) if e[1] in rows)

    def close(self) -> None:
        """Nothing has to be let go of."""

    # Moves between states

    def _enter(self, space: _Space, row: Row, state: int) -> None:
        space.counts.move(row.state, state)
        row.state = state
        if state == READY:
            heappush(space.ready, (-row.priority, row.id))
        elif state == DELAYED:
            heappush(space.delayed, (row.due, row.id))

    def _leave_group(self, space: _Space, row: Row, state: int) -> None:
        """A message of a group has left this state for good: the next one may take its place."""
        if row.group is None:
            return
        members = space.groups[row.group]
        del members[row.id]
        if not members:
            del space.groups[row.group]
        elif state != BLOCKED:
            following = space.rows[next(iter(members))]
            self._enter(space, following, DELAYED if following.due else READY)

    def _remove(self, space: _Space, row: Row) -> None:
        space.counts.move(row.state, None)
        space.counts.bytes -= row.size
        del space.rows[row.id]
        space.leases.pop(row.id, None)
        if row.state != DEAD:
            self._leave_group(space, row, row.state)

    def _leased(self, space: _Space, op: Any) -> Row | None:
        return space.rows[op.id] if space.leases.get(op.id) == op.lease else None

    # Operations

    def _insert(self, space: _Space, op: Insert) -> tuple[int, bool] | None:
        if op.key is not None:
            self._forget_keys(space, op.published)
            known = space.keys.get(op.key)
            if known is not None and known[1] > op.published:
                return known[0], True
        if op.known_only:
            return None
        self._last += 1
        size = len(op.body)
        row = Row(self._last, READY, op.body, size, 0, op.published, op.priority, op.due)
        row.expires, row.group, row.key = op.expires, op.group, op.key
        space.rows[row.id] = row
        space.counts.bytes += size
        if op.key is not None:
            space.keys.pop(op.key, None)  # so that the oldest are the first
            space.keys[op.key] = (row.id, op.until)
        if op.expires is not None:
            heappush(space.expiring, (op.expires, row.id))
        state = DELAYED if op.due else READY
        if op.group is not None:
            members = space.groups.setdefault(op.group, {})
            state = BLOCKED if members else state
            members[row.id] = None
        space.counts.move(None, READY)
        self._enter(space, row, state)
        return row.id, False

    def _insert_bodies(self, space: _Space, op: Bodies) -> range:
        first, rows, ready = self._last + 1, space.rows, space.ready
        for number, body in enumerate(op.bodies, first):
            rows[number] = Row(number, READY, body, len(body), 0, op.published)
            heappush(ready, (0, number))
        self._last += len(op.bodies)
        space.counts.ready += len(op.bodies)
        space.counts.bytes += sum(map(len, op.bodies))
        return range(first, self._last + 1)

    def _claim(self, space: _Space, op: Claim) -> list[Row]:
        found: list[Row] = []
        while len(found) < op.count and not space.unswept:
            number = self._first(space, space.ready, READY)
            if number is None:
                break
            heappop(space.ready)
            row = space.rows[number]
            row.deliveries += 1
            space.leases[number] = op.lease
            self._enter(space, row, LEASED)
            found.append(row)
        return found

    def _delete(self, space: _Space, op: Delete) -> bool:
        row = self._leased(space, op)
        if row is not None:
            self._remove(space, row)
        return row is not None

    def _release(self, space: _Space, op: Release) -> bool:
        row = self._leased(space, op)
        if row is None:
            return False
        del space.leases[row.id]
        row.due, row.error = op.due, op.error or row.error
        row.deliveries -= not op.counted
        if row.expires is not None:
            heappush(space.expiring, (row.expires, row.id))
        self._enter(space, row, DELAYED if op.due else READY)
        return True

    def _bury(self, space: _Space, op: Bury) -> bool:
        row = self._leased(space, op)
        if row is None:
            return False
        del space.leases[row.id]
        row.error = op.error
        self._enter(space, row, DEAD)
        self._leave_group(space, row, LEASED)
        return True

    def _drop(self, space: _Space, op: Drop) -> int:
        dead = (
            [row for row in space.rows.values() if row.state == DEAD] if space.counts.dead else []
        )
        others = (row for row in space.rows.values() if row.state < LEASED)
        gone: list[Row] = []
        size = 0
        for row in chain(dead, others):
            if len(gone) >= op.count and size >= op.bytes:
                break
            gone.append(row)
            size += row.size
        for row in gone:
            self._remove(space, row)
        return len(gone)

    def _sweep(self, space: _Space, op: Sweep) -> int:
        rows, expired, due = space.rows, 0, 0
        while space.expiring and space.expiring[0][0] <= op.now and expired < op.count:
            row = rows.get(heappop(space.expiring)[1])
            if row is not None and row.state < LEASED:
                self._remove(space, row)
                expired += 1
        space.unswept = expired == op.count
        while due < op.count:
            first = self._first(space, space.delayed, DELAYED)
            if first is None or rows[first].due > op.now:
                break
            heappop(space.delayed)
            self._enter(space, rows[first], READY)
            due += 1
        return expired

    @staticmethod
    def _forget_keys(space: _Space, now: int) -> None:
        keys = space.keys
        for key in list(islice(takewhile(lambda key: keys[key][1] <= now, keys), 100)):
            del keys[key]

    def _purge(self, space: _Space, op: Purge) -> tuple[int, int]:
        fitting = (r for r in reversed(space.rows.values()) if r.id < op.before)
        gone = [*islice((row for row in fitting if row.state in op.states), op.count)]
        for row in gone:
            self._remove(space, row)
        return (gone[-1].id if gone else 0, len(gone))

    def _redrive(self, space: _Space, op: Redrive) -> int:
        dead = [*islice((row for row in space.rows.values() if row.state == DEAD), op.count)]
        for row in dead:
            row.deliveries = row.due = 0
            members = space.groups.setdefault(row.group, {}) if row.group is not None else None
            self._enter(space, row, BLOCKED if members else READY)
            if members is not None:
                members[row.id] = None
        for group in {row.group for row in dead if row.group is not None}:
            space.groups[group] = dict(sorted(space.groups[group].items()))
        return len(dead)

    def _peek(self, space: _Space, op: Peek) -> list[Row]:
        found: list[Row] = []
        size = 0
        for row in space.rows.values():
            if row.id > op.after and op.state in (None, row.state):
                kept = [getattr(row, name) for name in row.__match_args__]
                found.append(Row(*kept))
                size += row.size
                if len(found) >= op.count or size >= op.room:
                    break
        return found


_DOERS: dict[type, Callable[[MemoryStore, _Space, Any], Any]] = {
    Bodies: MemoryStore._insert_bodies,
    Insert: MemoryStore._insert,
    Claim: MemoryStore._claim,
    Delete: MemoryStore._delete,
    Release: MemoryStore._release,
    Bury: MemoryStore._bury,
    Drop: MemoryStore._drop,
    Sweep: MemoryStore._sweep,
    Purge: MemoryStore._purge,
    Redrive: MemoryStore._redrive,
    Peek: MemoryStore._peek,
}
