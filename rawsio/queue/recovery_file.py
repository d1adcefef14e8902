"""Connection state recovery in a SQLite file: clients come back after the server was started again.

The logs stay in memory, as they are without a file; each tells a :class:`SpaceJournal` what happens
to it, and the rows of one turn are committed together, on the thread of the file.  Meanwhile
packets wait at a gate (:mod:`rawsio.app.gate`), so nobody has seen what a crash undoes.  When the
server begins, the logs are made from the rows, once; after that the file is only written.

A client that was connected when the process ended has lost its connection then: about, because the
time is noted with what is written, and now and then.  Positions go on behind the time of day in
microseconds, so none is given twice, even if the disk has forgotten the last ones.

**If the file cannot be written**, recovery goes on in memory.  The log says so; rows that are no
longer true are deleted, if that is possible, so that no client is told after a crash that it missed
nothing; and it is tried again, less and less often, to write down everything as it is then.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from struct import error as StructError

from rawsio.app.recovery_log import STILL, Kept, Positions, RecoveryLog, Session, State
from rawsio.errors import RawsioError
from rawsio.log import ERROR, WARNING
from rawsio.socketio.packets import Event

from .bodies import decode_body
from .operations import StoreError, Write
from .recovery_journal import (
    ADD,
    BEGUN,
    FIRST,
    FORGET,
    NOTE,
    SCHEMA,
    SINCE,
    SPACE,
    STAY,
    TABLES,
    VERSION,
    SpaceJournal,
    milliseconds,
    targets_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.gate import Gate
    from rawsio.app.recovery import Recovery
    from rawsio.app.recovery_log import Tally
    from rawsio.runtime import Runtime

    from .keeper import Keeper

    Noted = tuple[str, tuple[Any, ...], int]

__all__ = ["RecoveryFile"]

_UNREADABLE = (RawsioError, ValueError, IndexError, TypeError, StructError)
"""What a row may raise that somebody else has written."""
_ROW = 100
"""About how many bytes a row takes beside its body."""
_SHARE = 8
"""The time is noted so many times while a session is kept, if nothing else is written."""
_SYNC = 1.0
"""Seconds after which the disk has what was written, with ``synchronous="NORMAL"``."""
_RETRY, _MOST_RETRY = 1.0, 60.0
"""Seconds after which a file that could not be written is tried again: at first, and at most."""


class RecoveryFile:
    """The logs of a server in its file: a guest of the file's keeper.

    ``tally.bytes`` counts what all logs hold in memory.
    """

    def __init__(
        self, host: Runtime, keeper: Keeper, options: Recovery, tally: Tally, gate: Gate
    ) -> None:
        self.host = host
        self.limits = host.limits
        self._keeper = keeper
        self._path = options.path
        self._tally = tally
        self._gate = gate
        self._duration = options.max_disconnection_duration
        self._logs: dict[str, RecoveryLog] = {}
        self._positions = Positions("")
        # Rows to be written, each with its statement and size.  Packets are apart: they depend on
        # nothing, and many of them are one statement.
        self._noted: list[Noted] = []
        self._added: list[Noted] = []
        self._gone: list[Noted] = []
        self._firsts: dict[int, int] = {}
        self._size = 0
        # The number of the transaction that is under way, and what it does.
        self._number = 0
        self._writing: str | None = None
        self._spaces = self._rows = self._kept = 0
        # The time is noted, and the disk takes all that was written, a second after a write.
        self._sync = False
        self._syncing: Any = None
        # Why nothing is noted, and what is done instead of writing what was noted.
        self._muted = True
        self._next: str | None = None
        self._retry = _RETRY
        self._timer: Any = None
        self._beat: Any = None
        self._closed = False

    # Beginning

    def open(self, store: Any) -> None:
        """Read everything; raises :class:`StoreError`."""
        now = self._keeper.now()
        prefix, rows = store.set_up(self._set_up)
        spaces, packets, sessions, stays, seen = rows
        known = [first for _, _, first in spaces]
        known += [row[0] + 1 for row in packets] + [row[4] for row in sessions]
        known += [number for *_, begin, until in stays for number in (begin, until or 0)]
        self._positions = Positions(f"{prefix & 0xFFFFFFFF:08x}.", max([0, *known]))
        self._positions.end = max(self._positions.end, int(now * 1_000_000))
        self._spaces = max([0, *(row[0] for row in spaces)])
        self._rows = max([0, *(row[0] for row in sessions)])
        self._kept = len(sessions)
        self._muted = False
        ended = min(now, seen / 1000 + self._interval)
        of_space = {number: (name, State(first, [], [])) for number, name, first in spaces}
        self._sort_packets(of_space, packets, now)
        self._sort_sessions(of_space, sessions, stays, now, ended)
        for number, (name, state) in of_space.items():
            log = self._logs[name] = self._make_log(number, name)
            log.load(state)
        self._note_time(now)
        self._set_beat()

    @property
    def _interval(self) -> float:
        return max(1.0, self._duration / _SHARE)

    def _set_up(self, connection: Any) -> tuple[int, tuple[Any, ...]]:
        execute = connection.execute
        meta = dict(execute("SELECT name, value FROM rawsio_meta"))
        version = meta.get("recovery", VERSION)
        if version > VERSION:
            raise StoreError(
                f"{self._path} was written by a newer rawsio (tables of recovery"
                f" of version {version}, this one knows {VERSION}): use that one"
            )
        for statement in SCHEMA.split(";\n"):
            execute(statement)
        prefix = meta.get("recovery_prefix")
        if prefix is None:
            prefix = int.from_bytes(self.host.random_bytes(4), "big")
        values = [("recovery", VERSION), ("recovery_prefix", prefix)]
        connection.executemany(NOTE, values)
        found = [execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in TABLES]
        return prefix, (*found, meta.get("recovery_seen", 0))

    def _sort_packets(
        self, of_space: dict[int, tuple[str, State]], rows: list[Any], now: float
    ) -> None:
        for position, space, time, words, body in rows:
            if space not in of_space:
                continue
            name, state = of_space[space]
            try:
                event = Event(name, decode_body(body, self.limits))
                targets = targets_of(words)
                prepared = self.host.prepare(event, compress=targets.compress)
            except _UNREADABLE as error:
                # Who missed it cannot be told what: nobody comes back from before it.
                state.first, state.packets = position + 1, []
                self.host.log("recovery", ERROR, f"a packet of {name!r} cannot be read: {error}")
                continue
            size = sum(map(len, prepared.messages))
            seconds = min(now, time / 1000)
            state.packets.append(Kept(position, prepared, targets, seconds, size))

    def _sort_sessions(
        self,
        of_space: dict[int, tuple[str, State]],
        rows: list[Any],
        stays: list[Any],
        now: float,
        ended: float,
    ) -> None:
        of_session: dict[int, Session] = {}
        for row, space, key, sid, begin, since, data in rows:
            if space not in of_space:
                continue
            lost = ended if since is None else min(now, since / 1000)
            if since is None:
                self.note(SINCE, (milliseconds(lost), row))
            digest = 0 if data is None else hash(data)
            value = self._data_of(data)
            session = Session(sid, "", begin, begin, value, lost, (), {}, key, row, digest)
            of_session[row] = session
            of_space[space][1].sessions.append(session)
        for row, room, begin, until in stays:
            if row not in of_session:
                continue
            session = of_session[row]
            past = session.stays.setdefault(room, [])
            past.append([begin, STILL if until is None else until])
            if until is None:
                session.rooms = (*session.rooms, room)

    def _data_of(self, body: bytes | None) -> Any:
        try:
            return None if body is None else decode_body(body, self.limits)
        except _UNREADABLE as error:
            self.host.log("recovery", ERROR, f"the data of a socket cannot be read: {error}")
            return None

    def log(self, name: str) -> RecoveryLog:
        """Return the log of a namespace, made if it is new."""
        found = self._logs.get(name)
        if found is None:
            self._spaces += 1
            found = self._logs[name] = self._make_log(self._spaces, name)
            self.note(SPACE, (self._spaces, name, found.first))
        return found

    def _make_log(self, number: int, name: str) -> RecoveryLog:
        return RecoveryLog(
            *(self._keeper.now, self.limits, self._duration, self._tally, self._positions),
            SpaceJournal(self, number, name, self.limits, self.host.log),
        )

    def forget(self, name: str) -> None:
        """Take note that a namespace is no more."""
        log: Any = self._logs.pop(name, None)
        if log is not None:
            self.note("DELETE FROM rawsio_space WHERE id = ?", (log.journal.space,))

    # What is noted

    def new_row(self) -> int:
        """Return the number of a new session."""
        self._rows += 1
        self._kept += 1
        self._set_beat()
        return self._rows

    def end_row(self) -> None:
        """Take note that a session is gone."""
        self._kept -= 1

    def note(self, sql: str, row: tuple[Any, ...], size: int = 0) -> None:
        """Have a statement executed with the next transaction."""
        if self._muted:
            return
        (self._added if sql is ADD else self._noted).append((sql, row, size))
        self._count(size)

    def note_gone(self, space: int, position: int) -> None:
        """Have the oldest packet of a namespace deleted with the next transaction."""
        if not self._muted:
            self._gone.append((FORGET, (position,), 0))
            self._firsts[space] = position + 1
            self._count(0)

    def _count(self, size: int) -> None:
        self._size += size + _ROW
        self._gate.note()
        self._keeper.touch()
        if self._size > self.limits.recovery_bytes:
            self._mute(
                f"more than {self.limits.recovery_bytes} bytes wait for the disk"
                " [Limits.recovery_bytes]"
            )

    def _take_noted(self) -> list[Noted]:
        firsts: list[Noted] = [(FIRST, (first, space), 0) for space, first in self._firsts.items()]
        noted = [*self._noted, *self._added, *self._gone, *firsts]
        self._noted, self._added, self._gone, self._firsts = [], [], [], {}
        self._size = 0
        return noted

    def _note_time(self, now: float) -> None:
        self._sync = True
        self.note(NOTE, ("recovery_seen", milliseconds(now)))

    def _set_beat(self) -> None:
        if self._beat is None and self._kept and not self._closed:
            self._beat = self.host.call_later(self._interval, self._beaten)

    def _beaten(self) -> None:
        """Note the time, so that a crash is known to have come later; forget what is old."""
        self._beat = None
        for log in self._logs.values():
            log.prune()
        self._note_time(self._keeper.now())
        self._set_beat()

    # For the keeper

    @property
    def waiting(self) -> bool:
        """Whether something is to be written, or being written."""
        noted = self._noted or self._added or self._gone
        return self._writing is not None or bool(noted) or self._next is not None

    def operations(self) -> list[Write]:
        """Return what the next transaction is to write."""
        noted = self._take_noted()
        if self._next is not None:
            noted = [(f"DELETE FROM {table}", (), 0) for table in TABLES]
            if self._next == "all":
                noted += self._everything()
                self._muted = False
        if not noted:
            return []
        self._writing, self._next = self._next or "noted", None
        self._number = self._gate.submit()
        writes = []
        for sql, group in groupby(noted, itemgetter(0)):
            run = list(group)
            rows, size = [row for _, row, _ in run], sum(size for *_, size in run)
            writes.append(Write(sql, rows, size, sync=self._sync))
        self._set_sync()
        return writes

    def _set_sync(self) -> None:
        if self._sync:
            self._sync = False
        elif self._syncing is None:
            self._syncing = self.host.call_later(_SYNC, self._synced)

    def _synced(self) -> None:
        self._syncing = None
        self._note_time(self._keeper.now())

    def written(self, error: StoreError | None) -> None:
        """Hear of the end of the transaction."""
        what, self._writing = self._writing, None
        if error is None:
            self._gate.pass_until(self._number)
        if what == "noted":
            if error is not None and not self._muted:
                self._mute(str(error).removeprefix(f"{self._path}: "))
        elif what == "nothing":
            if error is not None:
                self._log(
                    ERROR,
                    "what is in the file could not be deleted: after a crash, clients may come"
                    " back as of now, and miss what they are sent until then",
                )
            self._retry_later()
        elif error is not None:
            self._muted = True
            self._take_noted()
            self._gate.open()
            self._retry_later()
        else:
            self._retry = _RETRY
            self._log(WARNING, "it is written again: clients come back after a restart")

    # If it cannot be written

    def _mute(self, why: str) -> None:
        self._muted = True
        self._take_noted()
        self._next = "nothing"
        self._log(
            ERROR,
            f"it goes on in memory: {why}; clients that are cut off come back as before, but not"
            " after a restart of the server",
        )
        self._gate.open()
        self._keeper.touch()

    def _retry_later(self) -> None:
        if not self._closed:
            self._timer = self.host.call_later(self._retry, self._try_again)
            self._retry = min(_MOST_RETRY, self._retry * 2)

    def _try_again(self) -> None:
        self._next = "all"
        self._keeper.touch()

    def _everything(self) -> list[Noted]:
        """Return all that is to be in the file, as it is now."""
        noted: list[Noted] = []
        for name, log in self._logs.items():
            journal: Any = log.journal
            noted.append((SPACE, (journal.space, name, log.first), 0))
            noted += [(ADD, journal.packet_row(kept), kept.size) for kept in log.packets]
            for session, stays, since in log.sessions():
                body = None if session.data is None else journal.encoded(session.data)
                session.stored = 0 if body is None else hash(body)
                lost = None if since is None else milliseconds(since)
                noted.append((BEGUN, journal.session_row(session, lost, body), len(body or b"")))
                noted += [(STAY, row, 0) for row in journal.stay_rows(session, stays)]
        return noted

    def _log(self, level: int, text: str) -> None:
        self.host.log("recovery", level, f"{self._path}: recovery: {text}")

    # The end

    def close(self) -> None:
        """Write nothing any more."""
        self._closed = self._muted = True
        self._take_noted()
        self._next = None
        for timer in (self._timer, self._beat, self._syncing):
            if timer is not None:
                timer.cancel()
        self._gate.open()

    def settle(self) -> None:
        """The server stops: its time is noted with what is still to be written."""
        self._note_time(self._keeper.now())
