"""The once-only effect: the application's SQL and the end of a message in one transaction.

``jobs.transaction(message)`` takes its turn at the thread that writes to the file.  From a thread
of a handler the SQL runs in that thread while the writer stands still; from a coroutine each
``await db.execute(...)`` is done by the writer, so the loop never waits for a disk.  The
transaction ends with the deletion of the message, under the lease that the handler has: if that is
no longer valid, everything is undone, because somebody else has the message by now.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.reply import Promise, Reply
from rawsio.net.worker import Turn

from .messages import QueueError
from .operations import Delete

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .handling import Message, Owner
    from .operations import Counts
    from .sqlite import SQLiteStore

__all__ = ["AsyncStatements", "Statements", "Transaction"]


class Statements:
    """The database inside of a transaction, for a thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Any:
        """Execute one statement; returns the cursor of :mod:`sqlite3`."""
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
        """Execute a statement for each row."""
        return self._connection.executemany(sql, rows)


class AsyncStatements:
    """The database inside of a transaction, for a coroutine."""

    def __init__(self, transaction: Transaction, connection: Any) -> None:
        self._transaction = transaction
        self._connection = connection

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Execute one statement; returns its rows."""
        return list(await self._transaction.on_writer(self._rows, sql, parameters))

    def _rows(self, sql: str, parameters: Iterable[Any]) -> list[Any]:
        return list(self._connection.execute(sql, parameters).fetchall())

    async def executemany(self, sql: str, rows: Iterable[Any]) -> None:
        """Execute a statement for each row."""
        await self._transaction.on_writer(self._many, sql, list(rows))

    def _many(self, sql: str, rows: list[Any]) -> None:
        self._connection.executemany(sql, rows)


class Transaction:
    """One transaction with a message at its end; see :meth:`rawsio.queue.jobs.Jobs.transaction`."""

    def __init__(self, jobs: Owner, message: Message) -> None:
        keeper = jobs.keeper
        if keeper.worker is None:
            raise RuntimeError(
                f"the queue {jobs.name} is in no file: a transaction needs one with a path"
            )
        self._jobs = jobs
        self._message = message
        self._host = keeper.host
        self._worker = keeper.worker
        store: Any = keeper.store  # with a worker it is on a disk
        self._store: SQLiteStore = store
        self._turn = Turn()

    # In a thread

    def __enter__(self) -> Statements:
        if self._host.on_loop():
            raise RuntimeError(
                "a transaction waits for the disk, and would stop the loop: run handlers on threads"
                " (Server(executor=...)), or write `async with` in an `async def` handler"
            )
        self._turn.take(self._worker)
        self._turn.wait()
        try:
            self._begin()
        except BaseException:
            self._turn.give_back()
            raise
        return Statements(self._store.connection)

    def __exit__(self, kind: Any, _error: object, _trace: object) -> None:
        try:
            counts = self._end(kind is None)
        finally:
            self._turn.give_back()
        if counts is not None:
            self._host.call_soon_threadsafe(self._tell, counts)

    # In a coroutine

    async def __aenter__(self) -> AsyncStatements:
        self._turn.take(self._worker)
        try:
            await self.on_writer(self._begin)
        except BaseException:
            self._turn.do(self._roll_back, _ignore, _nowhere)
            self._turn.give_back()
            raise
        return AsyncStatements(self, self._store.connection)

    async def __aexit__(self, kind: Any, _error: object, _trace: object) -> None:
        try:
            counts = await self.on_writer(self._end, kind is None)
        finally:
            self._turn.give_back()
        if counts is not None:
            self._tell(counts)

    def on_writer(self, fn: Callable[..., Any], *args: Any) -> Reply:
        """Call a function on the writer's thread; the reply is what it returns."""
        reply = Promise(self._host)
        finished = partial(_finish, reply)
        self._turn.do(partial(fn, *args), finished, self._host.call_soon_threadsafe)
        return reply

    # While the turn is ours

    def _begin(self) -> None:
        self._lease()
        self._store.begin()

    def _lease(self) -> tuple[int, int]:
        lease = self._jobs.queue.lease_of(self._message.token)
        if lease is None:
            raise QueueError("stale", f"message {self._message.id} is no longer leased")
        return lease

    def _roll_back(self) -> None:
        if self._store.connection.in_transaction:
            self._store.rollback()

    def _end(self, well: bool) -> Counts | None:  # noqa: FBT001 - called by position
        if not self._store.connection.in_transaction:
            raise RuntimeError("the transaction was ended inside of it: leave that to `with`")
        if not well:
            self._store.rollback()
            return None
        message, name = self._message, self._jobs.name
        number, lease = message.id, message.lease
        delete = Delete(name, number, lease, message.size, message.group)
        if not self._store.commit([delete]):
            raise QueueError("stale", f"the lease of message {number} has ended: all is undone")
        message.finished = True
        return self._store.counts(name)

    def _tell(self, counts: Counts) -> None:
        self._jobs.queue.finished(self._message.token, counts)
        self._jobs.keeper.touch()


def _finish(reply: Promise, result: Any, error: BaseException | None) -> None:
    if error is not None:
        reply.fail(error)
    else:
        reply.resolve(result)


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return


def _nowhere(*_args: Any) -> None:
    return
