"""The SQLite file of queues: opening it safely, transactions, and what it remembers of itself.

One process owns a file.  A lock on ``<path>-owner`` keeps others out and names who is in; it is a
file of its own, so reading the database beside us is fine, and so is writing to tables of one's
own, in short transactions.  Nothing here uses ``locking_mode``, which would keep readers out.

Every transaction is ``BEGIN IMMEDIATE``.  (A plain ``BEGIN`` that reads and then writes fails at
once when somebody else has written meanwhile, whatever ``busy_timeout`` says.)  With
``synchronous=FULL``, the default, a commit returns when the disk has the data; ``NORMAL`` is
several times as fast and as safe when the process dies, but may lose the last commits, never the
file, when the machine loses power.

The file may be the application's own: all names begin with ``rawsio_``, and the version of the
tables is in ``rawsio_meta``, because ``user_version`` belongs to the application.
"""

from __future__ import annotations

from rawsio.net.forking import watch

from .operations import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.net.files import FileLock

__all__ = ["DAMAGED", "SCHEMA", "VERSION", "Database", "translate"]

VERSION = 1
"""The version of the tables; a file with a higher one is refused."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS rawsio_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rawsio_queue (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS rawsio_message (
    id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, state INTEGER NOT NULL,
    rank INTEGER NOT NULL, due INTEGER NOT NULL, lease INTEGER NOT NULL,
    deliveries INTEGER NOT NULL, published INTEGER NOT NULL, expires INTEGER, grp TEXT, key TEXT,
    error TEXT, size INTEGER NOT NULL, body BLOB);
CREATE INDEX IF NOT EXISTS rawsio_ready ON rawsio_message (queue, rank, id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS rawsio_delayed ON rawsio_message (queue, due) WHERE state = 1;
CREATE INDEX IF NOT EXISTS rawsio_dead ON rawsio_message (queue, id) WHERE state = 4;
CREATE INDEX IF NOT EXISTS rawsio_group ON rawsio_message (queue, grp, id)
    WHERE grp IS NOT NULL AND state < 4;
CREATE INDEX IF NOT EXISTS rawsio_expiring ON rawsio_message (queue, expires)
    WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS rawsio_body (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rawsio_key (
    queue INTEGER NOT NULL, key TEXT NOT NULL, id INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (queue, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rawsio_key_until ON rawsio_key (until);
"""
"""The tables; ``rank`` is the negative priority."""

DAMAGED = "the file is damaged and was left as it is: restore a backup, or try sqlite3's .recover"
_BLOCK = 10_000
"""How many ids are reserved at a time: they never come twice, and cost hardly a write."""
_PAGES = 512
"""Pages in the write-ahead log at which they are copied into the file."""
_RESERVE = (_PAGES + 64) * 4096
"""Bytes kept for a full disk: so that the file can take all that is in the log."""
_UNSEEN = _RESERVE // 2
"""Bytes that are stored before the disk is looked at again: the reserve is more than that."""
_LEAST = 4 * 4096
"""Bytes that a transaction takes, however small it is."""
_LOOK = 16
"""Transactions after which it is looked again whether the files are still there."""
TICK = 1000
"""Milliseconds between two notes of the time."""
_LEVELS = ("OFF", "NORMAL", "FULL")
"""What ``synchronous`` may be, the strictest last."""


def _check_level(synchronous: str) -> None:
    if synchronous not in _LEVELS:
        raise ValueError(f"synchronous: FULL, NORMAL or OFF is expected, not {synchronous!r}")


def translate(error: Exception, path: str) -> StoreError:
    """Return what an error of SQLite means, with what to do about it."""
    text = str(error)
    if "is full" in text:
        return StoreError(f"no room left on the disk of {path}", full=True)
    if "readonly" in text:
        text = "the file or its folder cannot be written"
    elif "not a database" in text:
        text = "it is no SQLite database; nothing in it was changed"
    elif "malformed" in text:
        text = DAMAGED
    elif "locked" in text:
        text = "another program writes to it for too long: keep transactions short"
    return StoreError(f"{path}: {text}")


class Database:
    """A file and the one connection that writes to it.

    ``synchronous`` is ``"FULL"``, ``"NORMAL"`` or ``"OFF"``.  ``next_id`` is the id of the next
    message, ``clock`` the time of the last note, ``run`` counts openings of queues.  Raises
    :class:`~rawsio.queue.operations.StoreError` if the file cannot be used, or is in use.  It is
    the process's that made it, and not its children's.
    """

    def __init__(self, path: str, synchronous: str = "FULL") -> None:
        from rawsio.net.files import FileLock, Reserve, identity, is_folder, plain_path

        _check_level(synchronous)
        self.path = path = plain_path(path)
        if is_folder(path):
            raise StoreError(f"{path} is a folder: the path of a file is expected")
        try:
            self._lock: FileLock = FileLock(path + "-owner")
        except BlockingIOError as error:
            raise StoreError(f"{path} is in use: {error}") from None
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from None
        self._level = self._used = synchronous
        self.sync = False
        """Whether the next transactions are to be on the disk, though the level is ``NORMAL``."""
        self._reserve = Reserve(path + "-reserve", _RESERVE)
        self.next_id = self._reserved = 1
        self.clock = self.run = 0
        self._saved = (1, 1, 0, 0)
        # How many transactions may begin without a look at the files.
        self._unlooked = 0
        # How many bytes may be stored without a look at the disk, which is a call of the system.
        self._unseen = 0
        self._commits = 0
        try:
            self.connection = self._connect(synchronous)
        except BaseException:
            self._lock.release()
            raise
        self._reserve.take()
        self._copied = False
        self._identity = identity
        self._files = [(name, identity(name)) for name in (path, path + "-wal", path + "-owner")]
        watch(self)

    def forked(self) -> None:
        """Take note that this is a copy, in a child process."""
        self._copied = True

    def _check_files(self) -> None:
        """Raise :class:`StoreError` if somebody has moved or deleted what we write to.

        What is stored then would be gone with this process, and another one could own the file.
        """
        for name, known in self._files:
            if self._identity(name) != known:
                raise StoreError(
                    f"{name} was deleted, moved or replaced while it was in use: put it back, or"
                    " start again"
                )
        self._unlooked = _LOOK

    def _check_process(self) -> None:
        """Raise :class:`StoreError` in a child process: with two writers a message comes twice."""
        if self._copied:
            raise StoreError(
                f"{self.path} was opened before this process was forked, and is its parent's: fork"
                " first, and make queues in the process that uses them"
            )

    def _connect(self, synchronous: str) -> Any:
        try:
            import sqlite3
        except ImportError:
            text = "this Python has no sqlite3: a queue without a path works, in memory"
            raise StoreError(text) from None
        self.error: Any = sqlite3.Error
        connection = None
        try:
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, timeout=5.0
            )
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise StoreError(f"{self.path}: its file system has no write-ahead log ({mode})")
            connection.execute(f"PRAGMA synchronous={synchronous}")
            checkpoint = f"wal_autocheckpoint={_PAGES}"
            for pragma in ("fullfsync=1", "cache_size=-16000", checkpoint):
                connection.execute(f"PRAGMA {pragma}")
            self._prepare(connection)
        except (sqlite3.Error, StoreError) as error:
            if connection is not None:
                connection.close()
            raise error if isinstance(error, StoreError) else translate(error, self.path) from None
        return connection

    def _prepare(self, connection: Any) -> None:
        """Make the tables of a new file, or find that they are ours."""
        known = connection.execute(
            "SELECT 1 FROM sqlite_master WHERE name = 'rawsio_meta'"
        ).fetchone()
        found = connection.execute("SELECT name, value FROM rawsio_meta") if known else ()
        meta: dict[str, int] = dict(found)
        if not all(value.__class__ is int for value in meta.values()):
            raise StoreError(f"{self.path}: {DAMAGED}")
        version = meta.get("version", VERSION)
        if version > VERSION:
            raise StoreError(
                f"{self.path} was written by a newer rawsio (tables of version {version}, this one"
                f" knows {VERSION}): use that one"
            )
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA.split(";\n"):
            connection.execute(statement)
        self.next_id = self._reserved = meta.get("ids", 1)
        self.clock = meta.get("clock", 0)
        self.run = meta.get("run", 0)
        values = {"version": VERSION, "ids": self.next_id, "clock": self.clock, "run": self.run}
        connection.executemany("INSERT OR REPLACE INTO rawsio_meta VALUES (?, ?)", values.items())
        connection.execute("COMMIT")

    def demand(self, synchronous: str) -> None:
        """Be at least as strict as this from now on; between two transactions."""
        _check_level(synchronous)
        if _LEVELS.index(synchronous) > _LEVELS.index(self._level):
            self._level = synchronous

    def begin(self) -> None:
        """Begin a transaction."""
        self._check_process()
        self._unlooked -= 1
        if self._unlooked <= 0:
            self._check_files()
        self._saved = (self.next_id, self._reserved, self.clock, self.run)
        level = "FULL" if self.sync else self._level
        try:
            if level != self._used:
                self.connection.execute(f"PRAGMA synchronous={level}")
                self._used = level
            self.connection.execute("BEGIN IMMEDIATE")
        except self.error as error:
            raise translate(error, self.path) from None

    def rollback(self) -> None:
        """Undo everything since :meth:`begin`."""
        self.next_id, self._reserved, self.clock, self.run = self._saved
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def commit(self) -> None:
        """Make it last."""
        self.connection.execute("COMMIT")
        self.committed()

    def takes_a_statement(self, count: int, now: int) -> bool:
        """Whether a statement that stores so many messages can be a transaction by itself."""
        expected = self.next_id + count <= self._reserved and now < self.clock + TICK
        plain = self._used == self._level and not self.sync and not self._copied
        self._unlooked -= 1
        return expected and plain and self._unlooked > 0

    def committed(self) -> None:
        """Count a transaction, and look after the file now and then."""
        self._commits += 1
        if not self._commits % 256:
            self._maintain()

    def _maintain(self) -> None:
        """Give pages that nobody uses back to the file system, and keep room for bad times."""
        execute = self.connection.execute
        try:
            free = execute("PRAGMA freelist_count").fetchone()[0]
            if free > 1000 and free > execute("PRAGMA page_count").fetchone()[0] // 2:
                # A page a step, and execute() makes one step of what gives no rows.
                self.connection.executescript("PRAGMA incremental_vacuum(1000)")
        except self.error:
            return  # it can wait
        if not self._reserve.held:
            self._reserve.take()

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may be stored: in the log now, and in the file later.

        SQLite says nothing when it cannot copy the log into the file, and lets the log grow into
        the last room there is.  Then nothing could be deleted any more.
        """
        if not (self._reserve.held or self._reserve.take()):
            return False
        self._unseen -= 2 * size + _LEAST
        if self._unseen >= 0:
            return True
        short = 2 * size + _PAGES * 4096 - self._reserve.free()
        if short <= 0:
            self._unseen = int(min(-short / 4, _UNSEEN))
            return True
        # Pages of the file that nothing is in are room, too.
        return bool(self.connection.execute("PRAGMA freelist_count").fetchone()[0] * 4096 >= short)

    def make_room(self) -> None:
        """Use the reserve: copy the log into the file, and begin the log anew in its place.

        From then on what deletes messages needs no room that the log does not have.
        """
        self._reserve.release()
        try:
            self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        except self.error:
            return  # whoever needs the room will find that there is none

    def note(self, name: str, value: int) -> None:
        """Keep a number."""
        self.connection.execute("UPDATE rawsio_meta SET value = ? WHERE name = ?", (value, name))

    def expect(self, count: int, now: int) -> None:
        """Reserve ids for so many messages, and note the time if the last note is old."""
        if self.next_id + count > self._reserved:
            self._reserved = self.next_id + count + _BLOCK
            self.note("ids", self._reserved)
        if now >= self.clock + TICK:
            self.clock = now
            self.note("clock", now)

    def close(self) -> None:
        """Write everything into the file itself, and let go of it."""
        if self._copied:
            self._lock.release()
            return
        try:
            if not self.connection.in_transaction:
                self.note("ids", self.next_id)  # what is reserved is not needed any more
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self.connection.close()
        except self.error:
            self.connection.close()  # a full disk, perhaps: the log is read at the next start
        self._reserve.release()
        self._lock.release()
