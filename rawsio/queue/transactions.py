"""The once-only effect: the application's SQL and the end of a message in one transaction.

``jobs.transaction(message)`` takes its turn at the thread that writes to the file.  From a thread
of a handler the SQL runs in that thread while the writer stands still; from a coroutine each
``await db.execute(...)`` is done by the writer, so the loop never waits for a disk.  The
transaction ends with the deletion of the message, under the lease that the handler has: if that is
no longer valid, everything is undone, because somebody else has the message by now.

Everybody else who uses the file waits for the end of a transaction.  So it is undone when the lease
ends, whatever its handler is doing or waiting for, and the writer goes on.
"""

from __future__ import annotations

from _thread import allocate_lock
from contextlib import suppress
from contextvars import ContextVar
from functools import partial

from rawsio.app.reply import Promise, Reply
from rawsio.log import WARNING
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


_CURRENT: ContextVar[Transaction | None] = ContextVar("transaction", default=None)
"""The transaction in which a thread, or a task, is."""


class Statements:
    """The database inside of a transaction, for a thread."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Any:
        """Execute one statement; returns the cursor of :mod:`sqlite3`."""
        return self._transaction.perform("execute", sql, parameters)

    def executemany(self, sql: str, rows: Iterable[Any]) -> Any:
        """Execute a statement for each row."""
        return self._transaction.perform("executemany", sql, rows)


class AsyncStatements:
    """The database inside of a transaction, for a coroutine."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        """Execute one statement; returns its rows."""
        self._transaction.check()
        return list(await self._transaction.on_writer(self._rows, sql, parameters))

    def _rows(self, sql: str, parameters: Iterable[Any]) -> list[Any]:
        return list(self._transaction.perform("execute", sql, parameters).fetchall())

    async def executemany(self, sql: str, rows: Iterable[Any]) -> None:
        """Execute a statement for each row."""
        self._transaction.check()
        await self._transaction.on_writer(self._transaction.perform, "executemany", sql, list(rows))


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
        self._turn = Turn(self._seconds_left, self._revoke)
        self._open = self._revoked = False
        # A thread may be at the database when its time is over.
        self._lock = allocate_lock()

    def check(self) -> None:
        """Raise unless statements can be executed now."""
        if self._revoked:
            raise self._stale()
        if not self._open:
            raise RuntimeError("the transaction is over: execute statements inside of its block")

    def perform(self, method: str, *args: Any) -> Any:
        """Call a method of the connection."""
        with self._lock:
            self.check()
            return getattr(self._store.connection, method)(*args)

    def _stale(self) -> QueueError:
        text = f"the lease of message {self._message.id} has ended: all is undone"
        return QueueError("stale", text)

    def _seconds_left(self) -> float:
        return self._jobs.queue.lease_end(self._message.token) - self._jobs.keeper.now()

    def _revoke(self) -> QueueError:
        """Undo everything: on the writer's thread, which waits for nobody any more."""
        with self._lock:
            self._revoked = True
            self._roll_back()
        line = (
            f"a transaction of the queue {self._jobs.name} was undone: the lease of message"
            f" {self._message.id} has ended, and others waited"
        )
        self._host.log("queue", WARNING, line)
        return self._stale()

    def _check_outermost(self) -> None:
        outer = _CURRENT.get()
        if outer is not None and outer._open and outer._worker is self._worker:
            raise RuntimeError(
                "a transaction inside of another one of the same file would wait for its end for"
                " ever: end the other one first"
            )
        if self._open:
            raise RuntimeError("a transaction is entered once: make another one")

    # In a thread

    def __enter__(self) -> Statements:
        if self._host.on_loop():
            raise RuntimeError(
                "a transaction waits for the disk, and would stop the loop: run handlers on threads"
                " (Server(executor=...)), or write `async with` in an `async def` handler"
            )
        self._check_outermost()
        self._turn.take(self._worker)
        self._turn.wait()
        try:
            self._begin()
        except BaseException:
            self._turn.give_back()
            raise
        self._entered()
        return Statements(self)

    def __exit__(self, kind: Any, _error: object, _trace: object) -> None:
        self._left()
        try:
            counts = self._end(kind is None)
        finally:
            self._turn.give_back()
        if counts is not None:
            with suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
                self._host.call_soon_threadsafe(self._tell, counts)

    def _entered(self) -> None:
        self._open = True
        _CURRENT.set(self)

    def _left(self) -> None:
        self._open = False
        _CURRENT.set(None)

    # In a coroutine

    async def __aenter__(self) -> AsyncStatements:
        self._check_outermost()
        self._turn.take(self._worker)
        try:
            await self.on_writer(self._begin)
        except BaseException:
            self._turn.do(self._roll_back, _ignore, _nowhere)
            self._turn.give_back()
            raise
        self._entered()
        return AsyncStatements(self)

    async def __aexit__(self, kind: Any, _error: object, _trace: object) -> None:
        self._left()
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
        with self._lock:
            if self._revoked or self._jobs.queue.lease_of(self._message.token) is None:
                raise QueueError("stale", f"message {self._message.id} is no longer leased")
            self._store.begin()

    def _roll_back(self) -> None:
        if self._store.connection.in_transaction:
            self._store.rollback()

    def _end(self, well: bool) -> Counts | None:  # noqa: FBT001 - called by position
        with self._lock:
            if self._revoked and not well:
                return None
            if self._revoked:
                raise self._stale()
            if not self._store.connection.in_transaction:
                raise RuntimeError("the transaction was ended inside of it: leave that to `with`")
            if not well:
                self._store.rollback()
                return None
            return self._commit()

    def _commit(self) -> Counts:
        message, name = self._message, self._jobs.name
        delete = Delete(name, message.id, message.lease, message.size, message.group)
        if not self._store.commit([delete]):
            raise self._stale()
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
