"""The log of a namespace: what it sent, who was where meanwhile, and which clients were lost.

A *position* is a packet's place in the log; a client that comes back says behind which one it
stopped.  For each socket and room the log knows the *stays*, from which position to which the
socket was in the room, so a packet counts as missed by who was in its rooms when it was sent.

A :class:`RecoveryLog` is in memory, is bounded in number, bytes and time, and needs no timer: it
looks for what is too old whenever something is added.  What happens to it is told to a
:class:`Journal`, from which the same log can be made again.  The one here writes nothing;
``rawsio.queue.recovery_file`` has one that writes into a SQLite file.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from itertools import islice
from operator import attrgetter, itemgetter

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from rawsio.limits import Limits

    from .adapter import Targets
    from .interfaces import Prepared

    class Tally(Protocol):
        """Who counts the memory of all logs."""

        bytes: int


__all__ = ["STILL", "Journal", "Kept", "Positions", "RecoveryLog", "Session", "State"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST_OFFSET = 32
STILL = 1 << 62
"""The end of a stay that has not ended."""
_NO_STAYS: list[list[int]] = []
_BEGIN, _END = itemgetter(0), itemgetter(1)


def _lies_in(position: int, stays: list[list[int]]) -> bool:
    """Tell whether a position lies in one of the stays, which follow one another.

    A client that joins and leaves without end has thousands of them: they are not all looked at.
    """
    before = bisect_right(stays, position, key=_BEGIN)
    return before > 0 and position < stays[before - 1][1]


@record
class Session:
    """What is kept of a socket, so that it can be restored when its connection is lost.

    ``begin`` is the position in the log where it entered, ``resume`` that of the next packet that
    the client has not seen.  ``stays`` tells for each room from which position to which it was in.
    ``since`` is when it was lost.  ``key`` is what the log knows it by, ``row`` and ``stored`` are
    the journal's: its number there, and a digest of the data that it has.
    """

    sid: str
    secret: str
    begin: int
    resume: int
    data: Any = None
    since: float = 0.0
    rooms: tuple[str, ...] = ()
    stays: Any = None
    key: str = ""
    row: int = 0
    stored: int = 0


@record
class Kept:
    """A packet of the log; ``size`` is in bytes, ``time`` when it was sent."""

    position: int
    prepared: Prepared
    targets: Targets
    time: float
    size: int


_POSITION = attrgetter("position")


@record
class State:
    """A log as it was: what a journal gives, and begins with.

    ``first`` is the position below which packets have been forgotten.
    """

    first: int
    packets: list[Kept]
    sessions: list[Session]


class Positions:
    """Gives positions, and writes them as the offsets that clients see.

    An offset is the position in base 36 behind a prefix that was chosen at random, so finding a
    packet takes one subtraction, and an offset of another log is recognised as foreign.

    >>> Positions("1f.", 36).offset(36), Positions("1f.").position("1f.11")
    ('1f.11', 37)
    """

    def __init__(self, prefix: str, end: int = 0) -> None:
        self._prefix = prefix
        self.end = end
        """The position of the packet that comes next."""

    def take(self) -> int:
        """Return the next position."""
        self.end += 1
        return self.end - 1

    def offset(self, position: int) -> str:
        """Return the offset of a packet as clients see it."""
        text = ""
        number = position + 1
        while number:
            number, digit = divmod(number, 36)
            text = _DIGITS[digit] + text
        return self._prefix + (text or "0")

    def position(self, offset: str) -> int | None:
        """Return the position behind the packet with this offset; ``None`` if it is not ours."""
        digits = offset[len(self._prefix) :]
        if not offset.startswith(self._prefix) or not 0 < len(digits) <= _LONGEST_OFFSET:
            return None
        if any(digit not in _DIGITS for digit in digits):
            return None
        return int(digits, 36)


class Journal:
    """Hears of every change of a log; this one writes nothing down.

    Sessions are told once they have begun, and until they are dropped.  Nothing here may fail, or
    wait for a disk.  ``tests/app/recovery_contract.py`` has the tests that every log has to pass,
    whatever its journal.
    """

    durable = False
    """Whether the log can be made again, so that a client may have seen more than it knows."""

    def key(self, secret: str) -> str:
        """Return what a session is known by; not the secret itself, where others might read it."""
        return secret

    def added(self, kept: Kept) -> None:
        """A packet was sent."""

    def forgotten(self, position: int) -> None:
        """The oldest packet was forgotten, which has this position."""

    def begun(self, session: Session, stays: dict[str, list[list[int]]]) -> None:
        """A socket with this session was accepted: a new one, or one that was restored."""

    def stayed(self, session: Session, room: str, begin: int, end: int) -> None:
        """A stay has begun (``end`` is :data:`STILL`), or ended; it is none if both are equal."""

    def changed(self, session: Session, data: Any) -> None:
        """The data of a socket may have changed."""

    def lost(self, session: Session) -> None:
        """A socket has lost its connection."""

    def dropped(self, session: Session) -> None:
        """A session can be restored no more."""


NOWHERE = Journal()


def _size(session: Session) -> int:
    """Return about how much memory a lost session takes, without its data."""
    return 1024 + sum(len(room) + 128 for room in session.rooms)


class RecoveryLog:
    """The log of one namespace; see the module.

    ``clock()`` gives seconds, ``duration`` is how many of them packets and lost sessions are kept.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        limits: Limits,
        duration: float,
        tally: Tally,
        positions: Positions,
        journal: Journal = NOWHERE,
    ) -> None:
        self.positions = positions
        self.journal = journal
        self.packets: deque[Kept] = deque()
        self.lost: dict[str, Session] = {}
        # For each socket and room: from which position in the log to which it was in.
        self.stays: dict[str, dict[str, list[list[int]]]] = {}
        self.first = positions.end
        self._clock = clock
        self._limits = limits
        self._duration = duration
        self._tally = tally
        self._bytes = 0
        # The sessions of sockets that are here, by id, for a journal that wants to know.
        self._here: dict[str, Session] = {}

    def load(self, state: State) -> None:
        """Begin with what a journal has kept."""
        self.first = state.first
        for kept in state.packets:
            self._keep(kept)
        for session in sorted(state.sessions, key=attrgetter("since")):
            self._add_lost(session)
        self.prune()

    @property
    def end(self) -> int:
        """The position of the packet that will be kept next."""
        return self.positions.end

    # Membership, with its history

    def join(self, sid: str, rooms: Iterable[str]) -> None:
        """Take note that a socket is in these rooms."""
        stays = self.stays.setdefault(sid, {})
        session = self._here.get(sid)
        for room in rooms:
            past = stays.setdefault(room, [])
            if not past or past[-1][1] != STILL:
                past.append([self.end, STILL])
                if session is not None:
                    self.journal.stayed(session, room, self.end, STILL)

    def leave(self, sid: str, room: str) -> None:
        """Take note that a socket has left a room that it was in."""
        past, session = self.stays[sid][room], self._here.get(sid)
        begin, past[-1][1] = past[-1][0], self.end
        if session is not None:
            self.journal.stayed(session, room, begin, self.end)
        # What no packet in the log lies in tells nothing: the oldest, and perhaps the last.
        if begin == self.end:
            past.pop()
        old = bisect_right(past, self.first, key=_END)
        if session is not None:
            for stay in past[:old]:
                self.journal.stayed(session, room, stay[0], stay[0])
        del past[:old]
        if not past:
            del self.stays[sid][room]

    # Packets

    def add(self, position: int, prepared: Prepared, targets: Targets) -> None:
        """Keep a packet that is sent now."""
        size = sum(map(len, prepared.messages))
        kept = Kept(position, prepared, targets, self._clock(), size)
        self._keep(kept)
        self.journal.added(kept)
        self.prune()

    def _keep(self, kept: Kept) -> None:
        self.packets.append(kept)
        self._bytes += kept.size
        self._tally.bytes += kept.size

    def prune(self) -> None:
        """Forget what is too old, or too much."""
        limits, packets = self._limits, self.packets
        oldest = self._clock() - self._duration
        while packets and (
            len(packets) > limits.recovery_packets
            or self._bytes > limits.recovery_bytes
            or packets[0].time < oldest
        ):
            self._forget_oldest()
        lost = self.lost
        while lost:
            key, session = next(iter(lost.items()))
            if len(lost) <= limits.recovery_sessions and session.since >= oldest:
                break
            self._forget_lost(key)

    def _forget_oldest(self) -> None:
        kept = self.packets.popleft()
        self._bytes -= kept.size
        self._tally.bytes -= kept.size
        self.first = kept.position + 1
        self.journal.forgotten(kept.position)

    def _forget_lost(self, key: str) -> None:
        session = self._remove_lost(key)
        if session is not None:
            self.journal.dropped(session)

    def shrink(self) -> None:
        """Forget the older half of packets and sessions: there is too little memory."""
        for _ in range((len(self.packets) + 1) // 2):
            self._forget_oldest()
        for key in list(self.lost)[: (len(self.lost) + 1) // 2]:
            self._forget_lost(key)

    def clear(self) -> None:
        """Forget everything."""
        while self.packets or self.lost:
            self.shrink()

    # Sessions

    def begin(self, session: Session) -> None:
        """A socket was accepted, with a new session or with one that was restored."""
        session.key = session.key or self.journal.key(session.secret)
        if self.journal.durable:
            self._here[session.sid] = session
        self.journal.begun(session, self.stays.get(session.sid, {}))

    def lose(self, session: Session, rooms: tuple[str, ...], data: Any) -> None:
        """Keep the session of a socket that has lost its connection."""
        session.rooms = rooms
        session.stays = self.stays.pop(session.sid, {})
        session.data = data
        session.since = self._clock()
        self._forget_lost(session.key)
        self._add_lost(session)
        self.journal.lost(session)
        self.prune()

    def keep(self, session: Session) -> None:
        """Keep a session that was restored for a client that is gone again."""
        self.stays.pop(session.sid, None)
        self._add_lost(session)
        self.prune()

    def _add_lost(self, session: Session) -> None:
        self._here.pop(session.sid, None)
        self.lost[session.key] = session
        self._tally.bytes += _size(session)

    def _remove_lost(self, key: str) -> Session | None:
        session = self.lost.pop(key, None)
        if session is not None:
            self._tally.bytes -= _size(session)
        return session

    def sessions(
        self,
    ) -> Iterable[tuple[Session, dict[str, list[list[int]]], float | None]]:
        """Give every session, its stays, and since when it is lost; for durable journals."""
        for session in self._here.values():
            yield session, self.stays.get(session.sid, {}), None
        for session in self.lost.values():
            yield session, session.stays, session.since

    def is_here(self, session: Session) -> bool:
        """Tell whether the socket of a session is here; for journals that are durable."""
        return self._here.get(session.sid) is session

    def end_session(self, session: Session) -> None:
        """A socket has left for good, unless its session was kept."""
        self._here.pop(session.sid, None)
        if self.lost.get(session.key) is not session:
            self.journal.dropped(session)

    def restore(self, secret: str, offset: str | None) -> Session | None:
        """Return the lost session of this secret, once, if all that its client missed is here."""
        self.prune()
        session = self._remove_lost(self.journal.key(secret))
        if session is None:
            return None
        position = session.begin if offset is None else self.positions.position(offset)
        if position is not None and position > self.end and self.journal.durable:
            # It has seen what was not written any more before the end of the process.
            position = self.end
        if position is None or not self.first <= max(position, session.begin) <= self.end:
            self.journal.dropped(session)
            return None
        session.secret = secret
        session.resume = max(position, session.begin)
        self.stays[session.sid] = session.stays
        if self.journal.durable:
            self._here[session.sid] = session
        return session

    def missed(self, session: Session) -> list[Prepared]:
        """Return packets that a restored socket has missed, oldest first: the share of a turn.

        ``session.resume`` moves on; all were given when it is ``end``.
        """
        stays, limits = self.stays.get(session.sid, {}), self._limits
        found, size = [], 0
        start = bisect_left(self.packets, session.resume, key=_POSITION)
        most = start + limits.turn_frames
        session.resume = self.packets[most].position if most < len(self.packets) else self.end
        for kept in islice(self.packets, start, most):
            if size >= limits.turn_bytes:
                session.resume = kept.position
                break
            here = {session.sid}
            rooms, excluded = kept.targets.rooms, kept.targets.excluded
            for room in (*rooms, *excluded):
                if _lies_in(kept.position, stays.get(room, _NO_STAYS)):
                    here.add(room)
            if not (rooms and here.isdisjoint(rooms)) and here.isdisjoint(excluded):
                found.append(kept.prepared)
                size += kept.size
        return found
