"""What of a recovery's log is written into a SQLite file: tables, statements, rows.

A :class:`SpaceJournal` turns what happens to the log of one namespace into statements with rows.
Whoever writes them (:mod:`rawsio.queue.recovery_file`) is its :class:`Notes`.

Of a client's secret the file has a digest only, because who has it can speak for the client.  The
data of a socket is written as JSON, if it has such a form.
"""

from __future__ import annotations

from rawsio.app.adapter import EVERYONE, Targets
from rawsio.app.recovery_log import STILL, Journal, Kept, Session
from rawsio.errors import RawsioError
from rawsio.log import WARNING

from .bodies import decode_body, encode_body, pack_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.limits import Limits

    class Notes(Protocol):
        """Who writes what a journal says."""

        def note(self, sql: str, row: tuple[Any, ...], size: int = 0, /) -> None:
            """Have a statement executed with the next transaction."""

        def note_gone(self, space: int, position: int, /) -> None:
            """Have the oldest packet of a namespace deleted."""

        def new_row(self) -> int:
            """Return the number of a new session."""
            ...

        def end_row(self) -> None:
            """Take note that a session is gone."""


__all__ = [
    "ADD",
    "BEGUN",
    "DATA",
    "DROP",
    "FIRST",
    "FORGET",
    "NOTE",
    "NO_STAY",
    "NO_STAYS",
    "SCHEMA",
    "SINCE",
    "SPACE",
    "STAY",
    "SpaceJournal",
    "TABLES",
    "VERSION",
    "milliseconds",
    "targets_of",
]

VERSION = 1
"""The version of the tables of recovery; a file with a higher one is refused."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS rawsio_space (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rawsio_packet (
    id INTEGER PRIMARY KEY, space INTEGER NOT NULL, time INTEGER NOT NULL, targets TEXT,
    body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS rawsio_session (
    id INTEGER PRIMARY KEY, space INTEGER NOT NULL, key TEXT NOT NULL, sid TEXT NOT NULL,
    begin INTEGER NOT NULL, since INTEGER, data BLOB);
CREATE TABLE IF NOT EXISTS rawsio_stay (
    session INTEGER NOT NULL, room TEXT NOT NULL, begin INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (session, room, begin)) WITHOUT ROWID;
"""
"""The tables; ``until`` is null while a socket is in the room, ``since`` while it is connected."""
TABLES = ("rawsio_space", "rawsio_packet", "rawsio_session", "rawsio_stay")
ADD = "INSERT OR REPLACE INTO rawsio_packet VALUES (?, ?, ?, ?, ?)"
FORGET = "DELETE FROM rawsio_packet WHERE id = ?"
FIRST = "UPDATE rawsio_space SET first = ? WHERE id = ?"
SPACE = "INSERT OR REPLACE INTO rawsio_space VALUES (?, ?, ?)"
BEGUN = "INSERT OR REPLACE INTO rawsio_session VALUES (?, ?, ?, ?, ?, ?, ?)"
SINCE = "UPDATE rawsio_session SET since = ? WHERE id = ?"
DATA = "UPDATE rawsio_session SET data = ? WHERE id = ?"
DROP = "DELETE FROM rawsio_session WHERE id = ?"
STAY = "INSERT OR REPLACE INTO rawsio_stay VALUES (?, ?, ?, ?)"
NO_STAY = "DELETE FROM rawsio_stay WHERE session = ? AND room = ? AND begin = ?"
NO_STAYS = "DELETE FROM rawsio_stay WHERE session = ?"
NOTE = "INSERT OR REPLACE INTO rawsio_meta VALUES (?, ?)"


def milliseconds(seconds: float) -> int:
    """Return seconds as a whole number of milliseconds."""
    return int(seconds * 1000)


class SpaceJournal(Journal):
    """The journal of one namespace: rows for :class:`RecoveryFile`."""

    durable = True

    def __init__(
        self,
        notes: Notes,
        space: int,
        name: str,
        limits: Limits,
        log: Callable[[str, int, str], None],
    ) -> None:
        self._notes = notes
        self._limits = limits
        self._log = log
        self.space = space
        self.name = name
        self._told: set[str] = set()

    def key(self, secret: str) -> str:
        """Return a digest of a secret."""
        from hashlib import sha256

        return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def added(self, kept: Kept) -> None:
        """Write a packet."""
        self._notes.note(ADD, self.packet_row(kept), kept.size)

    def packet_row(self, kept: Kept) -> tuple[Any, ...]:
        """Return a packet as a row."""
        targets = kept.targets
        words: str | None = None
        if targets.rooms or targets.excluded or not targets.compress:
            parts = [sorted(targets.rooms), sorted(targets.excluded), targets.compress]
            words = encode_body(parts).decode()
        body = _body_of(kept.prepared, self._limits)
        return (kept.position, self.space, milliseconds(kept.time), words, body)

    def forgotten(self, position: int) -> None:
        """Delete a packet."""
        self._notes.note_gone(self.space, position)

    def begun(self, session: Session, stays: dict[str, list[list[int]]]) -> None:
        """Write a session, or that its socket is connected again."""
        if session.row:
            self._notes.note(SINCE, (None, session.row))
            return
        session.row = self._notes.new_row()
        self._notes.note(BEGUN, self.session_row(session, None, None))
        for row in self.stay_rows(session, stays):
            self._notes.note(STAY, row)

    def session_row(
        self, session: Session, since: int | None, data: bytes | None
    ) -> tuple[Any, ...]:
        """Return a session as a row."""
        return (session.row, self.space, session.key, session.sid, session.begin, since, data)

    def stay_rows(
        self, session: Session, stays: dict[str, list[list[int]]]
    ) -> list[tuple[Any, ...]]:
        """Return the stays of a session as rows."""
        return [
            (session.row, room, begin, None if end == STILL else end)
            for room, past in stays.items()
            for begin, end in past
        ]

    def stayed(self, session: Session, room: str, begin: int, end: int) -> None:
        """Write a stay, or its end."""
        if begin == end:
            self._notes.note(NO_STAY, (session.row, room, begin))
        else:
            self._notes.note(STAY, (session.row, room, begin, None if end == STILL else end))

    def changed(self, session: Session, data: Any) -> None:
        """Write the data of a socket, if it has changed."""
        body = None if data is None else self.encoded(data)
        digest = 0 if body is None else hash(body)
        if digest != session.stored:
            session.stored = digest
            self._notes.note(DATA, (body, session.row), len(body or b""))

    def lost(self, session: Session) -> None:
        """Write since when a session is lost."""
        self.changed(session, session.data)
        self._notes.note(SINCE, (milliseconds(session.since), session.row))

    def dropped(self, session: Session) -> None:
        """Delete a session."""
        if session.row:
            self._notes.note(NO_STAYS, (session.row,))
            self._notes.note(DROP, (session.row,))
            self._notes.end_row()
            session.row = 0

    def encoded(self, data: Any) -> bytes | None:
        """Return data as JSON, without what has no such form, which the log names once."""
        body = self._encode(data, "")
        if body is None and isinstance(data, dict):
            fits = {key: data[key] for key in data if self._encode({key: data[key]}, key)}
            body = self._encode(fits, "")
        if body is not None and len(body) > self._limits.recovery_data:
            self._tell("", f"it has more than {self._limits.recovery_data} bytes as JSON")
            return None
        return body

    def _encode(self, data: Any, key: object) -> bytes | None:
        try:
            return encode_body(data, self._limits)
        except (RawsioError, TypeError, ValueError, RecursionError) as error:
            if key != "" or not isinstance(data, dict):
                self._tell(key, str(error))
            return None

    def _tell(self, key: object, why: str) -> None:
        what = "socket.data" if key == "" else f"socket.data[{key!r:.80}]"
        if what not in self._told and len(self._told) < 100:
            self._told.add(what)
            line = f"{what} in {self.name!r} is not kept for a restart of the server: {why}"
            self._log("recovery", WARNING, line)


def _body_of(prepared: Any, limits: Limits) -> bytes:
    """Return the arguments of an event as a body, without encoding them again if possible."""
    if prepared.parser is not None:
        return encode_body(prepared.event.args, limits)
    text, *attachments = prepared.messages
    # A namespace has no comma in its name, and "/" is not named.
    at = text.index("[") if prepared.event.namespace == "/" else text.index(",") + 1
    body: bytes = text[at:].encode()
    return pack_body(body, tuple(attachments)) if attachments else body


def targets_of(words: str | None) -> Targets:
    """Return what a row says of whom its packet was for."""
    if words is None:
        return EVERYONE
    rooms, excluded, compress = decode_body(words.encode())
    return Targets(frozenset(rooms), frozenset(excluded), compress=compress)
