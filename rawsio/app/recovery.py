"""Connection state recovery: a client that was cut off goes on where it was.

With recovery on, every event that asks for no acknowledgement and is not volatile is kept for a
while, and an *offset* is appended to its arguments.  When a client's connection is lost, its
session (id, rooms, data) is kept, too.  A client that comes back with the session's secret
(``pid``) and the last offset that it saw gets the same id and rooms, and what it missed.  The wire
format is the reference server's, so its clients recover here.

An offset is a number: it is the packet's position in the log, written in base 36 behind a prefix
that this process chose, so finding it takes one subtraction, and an offset of another server or
process is recognised as foreign.

What differs from the reference, on purpose:

- a session can be restored once; if its old connection seems alive, it is ended first (a client
  notices a dead connection before we do), so that no two sockets have one id;
- the log and the sessions are bounded in number, bytes and time, and need no timer;
- a client that has seen no offset yet gets everything since it entered: no first event is needed;
- the answer to its CONNECT has an offset, too: by that our client knows that every event without an
  id ends with one, and takes it off; official clients guess, and hand it to their handlers;
- a packet counts as missed by who was in its rooms *when it was sent*, so what rooms a client has
  joined or left since makes no difference;
- a volatile event carries the offset of the packet before it, because the official client takes any
  text at the end of an event for an offset, and would otherwise lose its place.
"""

from __future__ import annotations

from binascii import b2a_hex
from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import itemgetter

from rawsio.layer import record
from rawsio.socketio.packets import Event

from .adapter import Adapter, Targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .interfaces import NamespaceLike, Prepared, RuntimeLike
    from .socket import Socket

__all__ = ["ConnectionStateRecovery", "Recovery", "RecoveringAdapter", "Session"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST_OFFSET = 32
_STILL = 1 << 62
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
class Recovery:
    """The options of ``connection_state_recovery``.

    A lost session is kept ``max_disconnection_duration`` seconds.  With ``skip_middlewares`` the
    middleware of the namespace is not asked again.
    """

    max_disconnection_duration: float = 120.0
    """Seconds that a lost session is kept."""
    skip_middlewares: bool = True
    """Whether the middleware of the namespace is not asked again."""


@record
class Session:
    """What is kept of a socket that lost its connection.

    ``begin`` is the position in the log where it entered, ``resume`` that of the next packet that
    the client has not seen.  ``stays`` tells for each room from which position to which it was in.
    """

    sid: str
    secret: str
    begin: int
    resume: int
    data: Any = None
    since: float = 0.0
    rooms: tuple[str, ...] = ()
    stays: Any = None


@record
class _Kept:
    prepared: Any
    targets: Targets
    time: float
    size: int


def _size(session: Session) -> int:
    """Return about how much memory a lost session takes, without its data."""
    return 1024 + sum(len(room) + 128 for room in session.rooms)


class ConnectionStateRecovery:
    """The extension of a server that recovers: it makes the adapters, and counts what they keep.

    ``bytes`` is how much all of them keep together.
    """

    def __init__(self, options: Recovery) -> None:
        self.options = options
        self.bytes = 0
        self._adapters: list[RecoveringAdapter] = []

    def adapter(self, namespace: NamespaceLike) -> RecoveringAdapter:
        """Return the adapter of a namespace."""
        made = RecoveringAdapter(namespace, self)
        self._adapters.append(made)
        return made

    def forget(self, adapter: RecoveringAdapter) -> None:
        """Take note that an adapter has ended."""
        if adapter in self._adapters:
            self._adapters.remove(adapter)

    def start(self, _runtime: RuntimeLike) -> None:
        """Nothing begins: what is kept is looked through whenever something is added."""

    def stop(self, _deadline: float) -> None:
        """Keep nothing any more: nobody can come back."""
        for adapter in self._adapters.copy():
            adapter.close()


class RecoveringAdapter(Adapter):
    """Rooms in memory, with a log of packets and the sessions that were lost."""

    recovers = True

    def __init__(self, namespace: NamespaceLike, recovery: ConnectionStateRecovery) -> None:
        super().__init__(namespace)
        host = namespace.host
        self._recovery = recovery
        self._duration = recovery.options.max_disconnection_duration
        self._prefix = b2a_hex(host.random_bytes(4)).decode("ascii") + "."
        self._log: deque[_Kept] = deque()
        self._first = 0
        self._bytes = 0
        self._live: dict[str, Any] = {}
        self._lost: dict[str, Session] = {}
        # For each socket and room: from which position in the log to which it was in.
        self._stays: dict[str, dict[str, list[list[int]]]] = {}

    # Membership, with its history

    def add_all(self, sid: str, rooms: Iterable[str]) -> None:
        """Put a socket into rooms."""
        rooms = tuple(room for room in rooms if room != sid)
        stays = self._stays.setdefault(sid, {})
        for room in rooms:
            past = stays.setdefault(room, [])
            if not past or past[-1][1] != _STILL:
                past.append([self.end, _STILL])
        super().add_all(sid, rooms)

    def remove(self, sid: str, room: str) -> None:
        """Take a socket out of a room."""
        if room in self.sids.get(sid, ()):
            past = self._stays[sid][room]
            past[-1][1] = self.end
            # What no packet in the log lies in tells nothing: the oldest, and perhaps the last.
            if past[-1][0] == self.end:
                past.pop()
            del past[: bisect_right(past, self._first, key=_END)]
            if not past:
                del self._stays[sid][room]
        super().remove(sid, room)

    def remove_all(self, sid: str, *, was_connected: bool = False) -> None:
        """Take a socket out of every room."""
        self._stays.pop(sid, None)
        super().remove_all(sid, was_connected=was_connected)

    # The log

    @property
    def end(self) -> int:
        """The position of the packet that will be kept next."""
        return self._first + len(self._log)

    def stamp(self, prepared: Prepared, targets: Targets) -> Prepared | None:
        """Append the offset to a packet, and keep it unless it is volatile."""
        event = prepared.event
        if event.id is not None:
            return prepared
        host = self.namespace.host
        offset = self.offset(self.end - 1 if targets.volatile else self.end)
        marked = Event(event.namespace, [*event.args, offset])
        prepared = host.prepare(marked, compress=targets.compress)
        if not targets.volatile:
            size = sum(map(len, prepared.messages))
            self._log.append(_Kept(prepared, targets, host.time(), size))
            self._bytes += size
            self._recovery.bytes += size
            self._prune()
        return prepared

    def _prune(self) -> None:
        limits = self.namespace.host.limits
        log = self._log
        oldest = self.namespace.host.time() - self._duration
        while log and (
            len(log) > limits.recovery_packets
            or self._bytes > limits.recovery_bytes
            or log[0].time < oldest
        ):
            self._forget_oldest()
        lost = self._lost
        while lost:
            secret, session = next(iter(lost.items()))
            if len(lost) <= limits.recovery_sessions and session.since >= oldest:
                break
            self._forget_lost(secret)

    def _forget_lost(self, secret: str) -> Session | None:
        session = self._lost.pop(secret, None)
        if session is not None:
            self._recovery.bytes -= _size(session)
        return session

    def _forget_oldest(self) -> None:
        size = self._log.popleft().size
        self._bytes -= size
        self._recovery.bytes -= size
        self._first += 1

    def shrink(self) -> None:
        """Forget the older half of packets and sessions: the server has too little memory."""
        for _ in range((len(self._log) + 1) // 2):
            self._forget_oldest()
        for secret in list(self._lost)[: (len(self._lost) + 1) // 2]:
            self._forget_lost(secret)

    def close(self) -> None:
        """Forget everything."""
        while self._log or self._lost:
            self.shrink()
        self._recovery.forget(self)
        super().close()

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

    # Sessions

    def begin_session(self, socket: Socket) -> dict[str, str]:
        """Return the secret by which this socket can be recovered, and where it begins."""
        session = socket._session
        if session is None:
            host = self.namespace.host
            secret = b2a_hex(host.random_bytes(16)).decode("ascii")
            session = Session(socket.id, secret, self.end, self.end)
            socket._session = session
        self._live[session.secret] = socket
        return {"pid": session.secret, "offset": self.offset(self.end - 1)}

    def persist_session(self, socket: Socket) -> None:
        """Keep what is needed to restore a socket that lost its connection."""
        session = socket._session
        if session is None:
            return
        session.rooms = tuple(self.sids.get(socket.id, ()))
        session.stays = self._stays.pop(socket.id, {})
        session.data = socket.data
        session.since = self.namespace.host.time()
        self._forget_lost(session.secret)
        self._lost[session.secret] = session
        self._recovery.bytes += _size(session)
        self._prune()

    def keep_session(self, session: Session) -> None:
        """Keep a session that was restored for a client that is gone again."""
        self._stays.pop(session.sid, None)
        self._lost[session.secret] = session
        self._recovery.bytes += _size(session)
        self._prune()

    def forget_session(self, socket: Socket) -> None:
        """Take note that a socket has left its rooms."""
        session = socket._session
        if session is not None and self._live.get(session.secret) is socket:
            del self._live[session.secret]

    def restore_session(
        self, secret: str, offset: str | None, found: Callable[[Session | None], None]
    ) -> None:
        """Call ``found`` with the lost session of this secret, once, if all it missed is here."""
        found(self._restored(secret, offset))

    def _restored(self, secret: str, offset: str | None) -> Session | None:
        alive = self._live.get(secret)
        # One that has left is still here until its handlers have had their turn.  Its connection
        # may live on, and even be the one that asks.
        if alive is not None and alive.connected:
            alive._drop("transport close")
        self._prune()
        session = self._forget_lost(secret)
        if session is None:
            return None
        position = session.begin if offset is None else self.position(offset)
        if position is None or position > self.end:
            return None
        session.resume = max(position, session.begin)
        if session.resume < self._first:
            return None
        self._stays[session.sid] = session.stays
        return session

    def missed(self, socket: Socket) -> list[Prepared]:
        """Return the packets that a restored socket has missed, oldest first."""
        session = socket._session
        if session.resume < self._first:  # forgotten while middleware was asked
            socket._begin_anew()
            return []
        stays = self._stays.get(session.sid, {})
        found = []
        unseen = islice(self._log, session.resume - self._first, None)
        for position, kept in enumerate(unseen, session.resume):
            here = {session.sid}
            for room in (*kept.targets.rooms, *kept.targets.excluded):
                if _lies_in(position, stays.get(room, _NO_STAYS)):
                    here.add(room)
            rooms = kept.targets.rooms
            if not (rooms and here.isdisjoint(rooms)) and here.isdisjoint(kept.targets.excluded):
                found.append(kept.prepared)
        return found
