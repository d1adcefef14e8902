"""Messages in a SQLite file, by the ``sqlite3`` of the standard library.

What makes it fast: messages that are not ready are in no index that a claim looks at, bodies longer
than 1 KiB are in a table of their own (a claim and a release rewrite the row), and a run of
publishes is one statement (:mod:`rawsio.queue.rows`).  Counts are kept in memory and put back when
a transaction is undone.  The file itself is :mod:`rawsio.queue.database`.
"""

from __future__ import annotations

from itertools import groupby

from .database import DAMAGED, TICK, Database, translate
from .operations import (
    BLOCKED,
    DEAD,
    DELAYED,
    INTERRUPTED,
    LEASED,
    READY,
    STATES,
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
    StoreError,
    Sweep,
    Write,
)
from .rows import COLUMNS, INLINE, STATEMENT, are_short, insert_bodies, insert_messages, read_rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["SQLiteStore"]

_DELETES = (256, 32, 4, 1)
"""How many messages a statement deletes."""


class _NotLeasedError(Exception):
    """Of several messages to be deleted at once, one is not leased: they go one by one."""


class SQLiteStore:
    """A store in a file; see :class:`~rawsio.queue.operations.Store`.

    The arguments are those of :class:`~rawsio.queue.database.Database`.
    """

    durable = True

    def __init__(self, path: str, *, synchronous: str = "FULL") -> None:
        self.database = Database(path, synchronous)
        self.connection = self.database.connection
        self._counts: dict[str, Counts] = {}
        self._saved: dict[str, Counts] = {}
        self._ids: dict[str, int] = {}
        # When the next message of a queue was published: true until others than new ones move.
        self._heads: dict[str, int] = {}
        self._unswept: set[str] = set()  # what the last sweep has left may have expired

    def demand(self, synchronous: str) -> None:
        """Be at least as strict as this from now on; between two transactions."""
        self.database.demand(synchronous)

    def set_up(self, work: Callable[[Any], Any]) -> Any:
        """Return ``work(connection)``, done in a transaction, before there is a writer's thread."""
        return self._transact(lambda: work(self.connection))

    # The contract

    def open(self, queue: str, max_deliveries: int, now: int) -> tuple[Counts, int]:
        """Begin to serve a queue."""
        try:
            run = self._transact(lambda: self._open(queue, max_deliveries, now))
        except (IndexError, TypeError) as error:  # values that nothing here writes
            raise StoreError(f"{self.database.path}: {DAMAGED} ({error})") from None
        return self.counts(queue), run

    def _open(self, queue: str, max_deliveries: int, now: int) -> int:
        execute = self.connection.execute
        self._set_clock(now)
        execute("INSERT OR IGNORE INTO rawsio_queue (name) VALUES (?)", (queue,))
        found = execute("SELECT id FROM rawsio_queue WHERE name = ?", (queue,)).fetchone()
        number = self._ids[queue] = found[0]
        dead = execute(
            "SELECT id, grp FROM rawsio_message WHERE queue = ? AND state = 3 AND deliveries >= ?",
            (number, max_deliveries),
        ).fetchall()
        execute(
            "UPDATE rawsio_message SET state = 4, error = ?"
            " WHERE queue = ? AND state = 3 AND deliveries >= ?",
            (INTERRUPTED, number, max_deliveries),
        )
        execute(
            "UPDATE rawsio_message SET state = 0, error = ? WHERE queue = ? AND state = 3",
            (INTERRUPTED, number),
        )
        self._count(queue)
        for _id, group in dead:
            self._promote(queue, group)
        self.database.run += 1
        self.database.note("run", self.database.run)
        return self.database.run

    def _set_clock(self, now: int) -> None:
        """If the system's clock was set back, let what is to come be as far away as it was."""
        self._heads.clear()
        execute, back = self.connection.execute, self.database.clock - now
        if back > TICK:
            execute("UPDATE rawsio_message SET due = max(1, due - ?) WHERE due > 0", (back,))
            execute("UPDATE rawsio_message SET expires = expires - ? WHERE expires > 0", (back,))
            execute("UPDATE rawsio_key SET until = until - ?", (back,))
            for name in self._counts:
                self._count(name)
        self.database.clock = now
        self.database.note("clock", now)

    def _count(self, queue: str) -> None:
        counts = self._counts[queue] = Counts()
        found = self.connection.execute(
            "SELECT state, count(*), sum(size) FROM rawsio_message WHERE queue = ? GROUP BY state",
            (self._ids[queue],),
        )
        for state, count, size in found.fetchall():
            setattr(counts, STATES[state], count)
            counts.bytes += size
        self._look_ahead(queue)

    def _look_ahead(self, queue: str) -> None:
        counts, number = self._counts[queue], self._ids[queue]
        execute = self.connection.execute
        sql = "SELECT min(due) FROM rawsio_message WHERE queue = ? AND state = 1"
        counts.due = execute(sql, (number,)).fetchone()[0] if counts.delayed else None
        sql = (
            "SELECT min(expires) FROM rawsio_message"
            " WHERE queue = ? AND expires IS NOT NULL AND state < 3"
        )
        counts.expires = execute(sql, (number,)).fetchone()[0]

    def counts(self, queue: str) -> Counts:
        """Return how a queue stands."""
        counts = self._counts[queue]
        if not counts.ready:
            self._heads.pop(queue, None)
        elif queue not in self._heads:
            sql = (
                "SELECT published FROM rawsio_message WHERE queue = ? AND state = 0"
                " ORDER BY rank, id LIMIT 1"
            )
            try:
                found = self.connection.execute(sql, (self._ids[queue],)).fetchone()
            except self.database.error as error:
                raise translate(error, self.database.path) from None
            self._heads[queue] = found[0]
        counts.head = self._heads.get(queue)
        return counts.copy()

    def apply(self, operations: list[Any]) -> list[Any]:
        """Do all operations in one transaction."""
        sizes = [len(op.body) for op in operations if op.__class__ is Insert]
        sizes += [sum(map(len, op.bodies)) for op in operations if op.__class__ is Bodies]
        writes = [op for op in operations if op.__class__ is Write]
        sizes += [op.size for op in writes if op.size]
        self.database.sync = any(op.sync for op in writes)
        if sizes and not self.database.has_room(sum(sizes)):
            raise StoreError(f"no room left on the disk of {self.database.path}", full=True)
        try:
            if len(operations) == 1 and self._is_a_statement(operations[0]):
                return [self._insert_alone(operations[0])]
            return list(self._transact(lambda: self._do(operations)))
        except _NotLeasedError:
            return list(self._transact(lambda: self._do(operations, careful=True)))
        except StoreError as error:
            if not error.full:
                raise
            self.database.make_room()
            if sizes:
                raise
        return list(self._transact(lambda: self._do(operations)))

    def _do(self, operations: list[Any], *, careful: bool = False) -> list[Any]:
        results: list[Any] = []
        for (kind, queue), run in groupby(operations, key=_kind):
            if kind is Insert:
                results += self._insert(queue, list(run))
                continue
            if kind is not Peek and kind is not Bodies:
                self._heads.pop(queue, None)
            if kind is Delete and not careful:
                results += self._delete_many(queue, list(run))
            else:
                results += [_DOERS[kind](self, op) for op in run]
        return results

    def _transact(self, work: Callable[[], Any]) -> Any:
        self.begin()
        try:
            result = work()
            self.database.commit()
        except BaseException as error:
            self.rollback()
            if isinstance(error, Exception) and isinstance(error, self.database.error):
                raise translate(error, self.database.path) from None
            raise
        return result

    def _write(self, op: Write) -> None:
        self.connection.executemany(op.sql, op.rows)

    # A transaction of the application's

    def begin(self) -> None:
        """Begin a transaction."""
        self._saved = {name: counts.copy() for name, counts in self._counts.items()}
        self.database.begin()

    def rollback(self) -> None:
        """Undo everything since :meth:`begin`."""
        self._counts = self._saved
        self._heads.clear()
        self.database.rollback()

    def commit(self, operations: list[Any]) -> bool:
        """Do these and commit; if a message is not leased any more, undo all: ``False``."""
        self._heads.clear()
        try:
            done = all(self._delete(op) for op in operations)
            if done:
                self.database.commit()
            else:
                self.rollback()
        except self.database.error as error:
            self.rollback()
            raise translate(error, self.database.path) from None
        return done

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    # Operations

    def _is_a_statement(self, op: Any) -> bool:
        # One that can be a transaction by itself.
        if op.__class__ is not Bodies or len(op.bodies) > STATEMENT or not are_short(op.bodies):
            return False
        return self.database.takes_a_statement(len(op.bodies), op.published)

    def _insert_alone(self, op: Bodies) -> Sequence[int]:
        # A statement is a transaction by itself.  Each of BEGIN and COMMIT is one more, and gives
        # the interpreter to the loop, which may keep it for a turn.
        try:
            ids = self._insert_run(op)
        except self.database.error as error:
            raise translate(error, self.database.path) from None
        self.database.committed()
        return ids

    def _insert_bodies(self, op: Bodies) -> Sequence[int]:
        if not are_short(op.bodies):
            inserts = [Insert(op.queue, body, op.published) for body in op.bodies]
            return [found[0] for found in self._insert(op.queue, inserts) if found]
        self.database.expect(len(op.bodies), op.published)
        return self._insert_run(op)

    def _insert_run(self, op: Bodies) -> Sequence[int]:
        queue, first, many = op.queue, self.database.next_id, len(op.bodies)
        insert_bodies(self.connection, first, self._ids[queue], op.published, op.bodies)
        counts = self._counts[queue]
        counts.ready += many
        counts.bytes += sum(map(len, op.bodies))
        self.database.next_id = first + many
        return range(first, first + many)

    def _insert(self, queue: str, inserts: list[Insert]) -> list[tuple[int, bool] | None]:
        self.database.expect(len(inserts), inserts[0].published)
        self._heads.pop(queue, None)
        results: list[tuple[int, bool] | None] = []
        rows: list[tuple[Any, ...]] = []
        bodies: list[tuple[Any, ...]] = []
        number = before = self.database.next_id
        size = 0
        for op in inserts:
            known = None if op.key is None else self._known(op)
            if known is not None or op.known_only:
                results.append(None if known is None else (known, True))
                continue
            if op.group is not None:  # the statement about its group has to see those before it
                insert_messages(self.connection, rows, bodies)
            rows.append(self._row(queue, op, number, bodies))
            results.append((number, False))
            number += 1
            size += len(op.body)
        insert_messages(self.connection, rows, bodies)
        counts = self._counts[queue]
        counts.ready += number - before
        counts.bytes += size
        self.database.next_id = number
        return results

    def _row(
        self, queue: str, op: Insert, number: int, bodies: list[tuple[Any, ...]]
    ) -> tuple[Any, ...]:
        """Return the row of a new message; what is special about it is counted here."""
        state = DELAYED if op.due else READY
        if op.group is not None and self._group_head(queue, op.group):
            state = BLOCKED
        if op.key is not None:
            self._remember(op, number)
        body: bytes | None = op.body
        size = len(op.body)
        if size > INLINE:
            bodies.append((number, body))
            body = None
        if state or op.expires is not None:
            self._count_special(queue, op, state)
        place = (number, self._ids[queue], state, -op.priority, op.due)
        return (*place, op.published, op.expires, op.group, op.key, size, body)

    def _count_special(self, queue: str, op: Insert, state: int) -> None:
        """Count a message that is more than ready, as which it will be counted."""
        counts = self._counts[queue]
        counts.move(READY, state)
        self._note_times(counts, op.due if state == DELAYED else 0, op.expires)

    @staticmethod
    def _note_times(counts: Counts, due: int, expires: int | None = None) -> None:
        if due:
            counts.due = due if counts.due is None else min(due, counts.due)
        if expires is not None:
            counts.expires = expires if counts.expires is None else min(expires, counts.expires)

    def _known(self, op: Insert) -> int | None:
        found = self.connection.execute(
            "SELECT id FROM rawsio_key WHERE queue = ? AND key = ? AND until > ?",
            (self._ids[op.queue], op.key, op.published),
        ).fetchone()
        return None if found is None else int(found[0])

    def _remember(self, op: Insert, number: int) -> None:
        execute = self.connection.execute
        execute(
            "DELETE FROM rawsio_key WHERE (queue, key) IN"
            " (SELECT queue, key FROM rawsio_key WHERE until <= ? LIMIT 2)",
            (op.published,),
        )
        execute(
            "INSERT OR REPLACE INTO rawsio_key VALUES (?, ?, ?, ?)",
            (self._ids[op.queue], op.key, number, op.until),
        )

    def _group_head(self, queue: str, group: str) -> Any:
        """Return the first message of a group that is no dead letter: (id, state, due)."""
        return self.connection.execute(
            "SELECT id, state, due FROM rawsio_message"
            " WHERE queue = ? AND grp = ? AND state < 4 ORDER BY id LIMIT 1",
            (self._ids[queue], group),
        ).fetchone()

    def _promote(self, queue: str, group: str | None) -> None:
        """The message of a group whose turn it was is gone: the next one's turn has come."""
        head = None if group is None else self._group_head(queue, group)
        if head is None or head[1] != BLOCKED:
            return
        number, state, due = head
        after = DELAYED if due else READY
        self.connection.execute("UPDATE rawsio_message SET state = ? WHERE id = ?", (after, number))
        counts = self._counts[queue]
        counts.move(state, after)
        self._note_times(counts, due)

    def _claim(self, op: Claim) -> list[Row]:
        if op.queue in self._unswept:
            return []
        execute, chosen = self.connection.execute, (self._ids[op.queue], op.count)
        found = execute(
            f"SELECT {COLUMNS} FROM rawsio_message WHERE queue = ? AND state = 0"
            " ORDER BY rank, id LIMIT ?",
            chosen,
        ).fetchall()
        rows = [Row(*values) for values in found]
        for row in rows:
            row.state = LEASED
            row.deliveries += 1
        if rows:
            execute(
                "UPDATE rawsio_message SET state = 3, lease = ?, deliveries = deliveries + 1"
                " WHERE id IN (SELECT id FROM rawsio_message WHERE queue = ? AND state = 0"
                " ORDER BY rank, id LIMIT ?)",
                (op.lease, *chosen),
            )
        self._fetch_bodies(rows)
        self._counts[op.queue].move(READY, LEASED, len(rows))
        return rows

    def _fetch_bodies(self, rows: list[Row]) -> None:
        for row in rows:
            if row.body is None:
                found = self.connection.execute(
                    "SELECT data FROM rawsio_body WHERE id = ?", (row.id,)
                )
                row.body = found.fetchone()[0]

    def _delete(self, op: Delete) -> bool:
        execute = self.connection.execute
        gone = execute(
            "DELETE FROM rawsio_message WHERE id = ? AND lease = ? AND state = 3",
            (op.id, op.lease),
        ).rowcount
        if not gone:
            return False
        if op.size > INLINE:
            execute("DELETE FROM rawsio_body WHERE id = ?", (op.id,))
        counts = self._counts[op.queue]
        counts.leased -= 1
        counts.bytes -= op.size
        self._promote(op.queue, op.group)
        return True

    def _delete_many(self, queue: str, deletes: list[Delete]) -> list[bool]:
        """Delete what must all be leased, or :class:`_NotLeasedError`: see :meth:`apply`."""
        results: list[bool] = []
        for (lease, group), run in groupby(deletes, key=_claim_of):
            same = list(run)
            results += [True] * len(same)
            if group is not None:
                if not all(map(self._delete, same)):
                    raise _NotLeasedError
                continue
            at = 0
            for size in _DELETES:
                while len(same) - at >= size:
                    self._delete_step(queue, lease, same[at : at + size])
                    at += size
        return results

    def _delete_step(self, queue: str, lease: int, deletes: list[Delete]) -> None:
        execute, many = self.connection.execute, len(deletes)
        marks = ",".join("?" * many)
        gone = execute(
            f"DELETE FROM rawsio_message WHERE id IN ({marks}) AND lease = ? AND state = 3",
            [*[op.id for op in deletes], lease],
        ).rowcount
        if gone != many:
            raise _NotLeasedError
        big = [(op.id,) for op in deletes if op.size > INLINE]
        if big:
            self.connection.executemany("DELETE FROM rawsio_body WHERE id = ?", big)
        counts = self._counts[queue]
        counts.leased -= many
        counts.bytes -= sum([op.size for op in deletes])

    def _release(self, op: Release) -> bool:
        found = self.connection.execute(
            "SELECT expires FROM rawsio_message WHERE id = ? AND lease = ? AND state = 3",
            (op.id, op.lease),
        ).fetchone()
        if found is None:
            return False
        state = DELAYED if op.due else READY
        self.connection.execute(
            "UPDATE rawsio_message SET state = ?, lease = 0, due = ?, error = coalesce(?, error),"
            " deliveries = deliveries - ? WHERE id = ?",
            (state, op.due, op.error, 0 if op.counted else 1, op.id),
        )
        counts = self._counts[op.queue]
        counts.move(LEASED, state)
        self._note_times(counts, op.due, found[0])
        return True

    def _bury(self, op: Bury) -> bool:
        done = self.connection.execute(
            "UPDATE rawsio_message SET state = 4, lease = 0, error = ?"
            " WHERE id = ? AND lease = ? AND state = 3",
            (op.error, op.id, op.lease),
        ).rowcount
        if not done:
            return False
        self._counts[op.queue].move(LEASED, DEAD)
        self._promote(op.queue, op.group)
        return True

    def _remove(self, queue: str, found: list[tuple[int, int, int, str | None]]) -> int:
        """Delete messages that nobody holds: (id, state, size, group)."""
        ids = [(number,) for number, *_ in found]
        self.connection.executemany("DELETE FROM rawsio_message WHERE id = ?", ids)
        big = [(number,) for number, _, size, _ in found if size > INLINE]
        self.connection.executemany("DELETE FROM rawsio_body WHERE id = ?", big)
        counts = self._counts[queue]
        for _, state, size, _group in found:
            counts.move(state, None)
            counts.bytes -= size
        for group in dict.fromkeys(g for _, state, _, g in found if state < BLOCKED and g):
            self._promote(queue, group)
        return len(found)

    def _drop(self, op: Drop) -> int:
        chosen: list[Any] = []
        count = size = 0
        for where in ("state = 4", "state < 3"):
            found = self.connection.execute(
                "SELECT id, state, size, grp FROM rawsio_message"
                f" WHERE queue = ? AND {where} ORDER BY id",
                (self._ids[op.queue],),
            )
            for row in found:
                if count >= op.count and size >= op.bytes:
                    break
                chosen.append(row)
                count, size = count + 1, size + row[2]
            found.close()
        return self._remove(op.queue, chosen)

    def _sweep(self, op: Sweep) -> int:
        number = self._ids[op.queue]
        expired = self.connection.execute(
            "SELECT id, state, size, grp FROM rawsio_message"
            " WHERE queue = ? AND expires IS NOT NULL AND expires <= ? AND state < 3 LIMIT ?",
            (number, op.now, op.count),
        ).fetchall()
        self._remove(op.queue, expired)
        (self._unswept.add if len(expired) == op.count else self._unswept.discard)(op.queue)
        moved = self.connection.execute(
            "UPDATE rawsio_message SET state = 0 WHERE id IN (SELECT id FROM rawsio_message"
            " WHERE queue = ? AND state = 1 AND due <= ? ORDER BY due LIMIT ?)",
            (number, op.now, op.count),
        ).rowcount
        self._counts[op.queue].move(DELAYED, READY, moved)
        self._look_ahead(op.queue)
        return len(expired)

    def _purge(self, op: Purge) -> tuple[int, int]:
        states = ", ".join(map(str, op.states))
        found = self.connection.execute(
            f"SELECT id, state, size, grp FROM rawsio_message"
            f" WHERE queue = ? AND state IN ({states}) AND id < ? ORDER BY id DESC LIMIT ?",
            (self._ids[op.queue], op.before, op.count),
        ).fetchall()
        return (found[-1][0] if found else 0, self._remove(op.queue, found))

    def _redrive(self, op: Redrive) -> int:
        found = self.connection.execute(
            "SELECT id, grp FROM rawsio_message WHERE queue = ? AND state = 4 ORDER BY id LIMIT ?",
            (self._ids[op.queue], op.count),
        ).fetchall()
        for message, group in found:
            state = BLOCKED if group is not None and self._group_head(op.queue, group) else READY
            self.connection.execute(
                "UPDATE rawsio_message SET state = ?, due = 0, deliveries = 0 WHERE id = ?",
                (state, message),
            )
            self._counts[op.queue].move(DEAD, state)
        return len(found)

    def _peek(self, op: Peek) -> list[Row]:
        state = "" if op.state is None else f" AND state = {op.state:d}"
        found = self.connection.execute(
            f"SELECT {COLUMNS} FROM rawsio_message WHERE queue = ? AND id > ?{state}"
            " ORDER BY id LIMIT ?",
            (self._ids[op.queue], op.after, op.count),
        )
        rows = read_rows(found, op.room)
        self._fetch_bodies(rows)
        return rows


def _kind(op: Any) -> tuple[type, str]:
    return op.__class__, "" if op.__class__ is Write else op.queue


def _claim_of(op: Delete) -> tuple[int, str | None]:
    return op.lease, op.group


_DOERS: dict[type, Callable[[SQLiteStore, Any], Any]] = {
    Bodies: SQLiteStore._insert_bodies,
    Claim: SQLiteStore._claim,
    Delete: SQLiteStore._delete,
    Release: SQLiteStore._release,
    Bury: SQLiteStore._bury,
    Drop: SQLiteStore._drop,
    Sweep: SQLiteStore._sweep,
    Purge: SQLiteStore._purge,
    Redrive: SQLiteStore._redrive,
    Peek: SQLiteStore._peek,
    Write: SQLiteStore._write,
}
