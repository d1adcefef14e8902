"""Recovery on any server of a cluster: the stream is the log, and its ids are the offsets.

With ``connection_state_recovery`` every event of a broadcast ends with the id of its entry in the
stream, and each server sends its clients what is in the stream in the order of the stream, its own
events included.  So an id says exactly what a client has seen.  A client that was cut off comes
back with its secret and that id, to whichever server: that server takes the session out of Redis
(it can be used once), and reads from the stream what lies between the id and where it is itself.

What a client would wait for is bounded.  An event of ours is sent when we read it, a moment after
it was appended; if Redis does not answer within ``local_wait``, it is sent at once, with the id of
the entry before it, and so is what follows until Redis answers again.  Whoever is disconnected, or
leaves a room, gets what was emitted to it before that.  A client that recovers after such an event
may see it twice, and never misses one.

A client is recovered only where it is certain that it gets all that it missed.  An event that may
not be in the stream (Redis refused it, or the connection broke before the answer) leaves a *gap*:
until this server has put an entry that says so behind it, it recovers nobody, and no server ever
recovers a client across that entry.

As with Node's adapter, an acknowledgement or a question overtakes an event that was emitted just
before it.  Better than there: a session is looked for three times, because the server that had it
may still be about to write it; an offset is given with the answer to CONNECT, so a client that saw
no event yet can recover; what came while a client was asked about by middleware is not lost.
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial

from rawsio.app.adapter import Targets
from rawsio.app.states import SocketState
from rawsio.errors import LocalProtocolError, RemoteProtocolError
from rawsio.layer import record
from rawsio.log import WARNING
from rawsio.redis import RedisError
from rawsio.socketio.msgpack import unpack
from rawsio.socketio.packets import Event

from . import fields as read
from .adapter import ClusterAdapter
from .fields import ClusterError
from .messages import Broadcast
from .stream_form import from_base64, pairs, to_base64
from .stream_reader import as_position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike, Prepared
    from rawsio.redis import Answer

    from .adapter import Listener
    from .streams_bus import StreamsBus

__all__ = ["StreamRooms", "StreamSession"]

_PAUSES = (0.05, 0.2)
"""Seconds after which a session that is not there yet is looked for again."""
_PAGE = 500
"""Entries that are read at once for a client that comes back."""
_SECRET = re.compile("[0-9A-Za-z_-]{1,64}")


@record
class StreamSession:
    """A session, and for one that is restored the entries that its client has not seen."""

    sid: str
    secret: str
    offset: str
    rooms: tuple[str, ...] = ()
    data: Any = None
    missed: Any = None
    whole: bool = True
    """Whether ``missed`` is all of it."""


@record
class _Own:
    """An event of ours that we have not read in the stream yet."""

    data: bytes
    args: list[Any]
    targets: Targets
    sent: bool
    time: float


class StreamRooms(ClusterAdapter):
    """The adapter of one namespace in a cluster by streams."""

    def __init__(
        self, namespace: NamespaceLike, bus: StreamsBus, listener: Listener | None = None
    ) -> None:
        super().__init__(namespace, bus.uid, bus, listener)
        self._stream = bus
        self.recovers = namespace.host.recovery is not None
        self._own: deque[_Own] = deque()
        self._timer: Any = None
        self._late = False
        # An event of ours may not be in the stream, and the stream does not say so yet.
        self._gap = False
        self._telling = False
        self._live: dict[str, Any] = {}
        # Sessions that are being restored: what is read meanwhile is added to what they missed.
        self._restoring: list[StreamSession] = []
        # Sockets that have seen more than we have read, and how much.
        self._ahead: dict[str, tuple[int, int]] = {}
        if self.recovers:
            bus.on_own = self._read_own
            bus.on_gap = self._read_gap

    # What is asked for here

    def broadcast(self, prepared: Prepared, targets: Targets) -> None:
        """Send a packet to the sockets of every server."""
        if not self.recovers:
            super().broadcast(prepared, targets)
            return
        args = prepared.event.args
        if targets.volatile or targets.local:
            stamped = self._marked(args, targets, self._stream.position)
            self.send_to(self.selected(targets), stamped, targets)
            if not targets.local:
                self._publish(Broadcast(self.uid, args, targets))
        else:
            self._log(args, targets)

    def stamp(self, prepared: Prepared, targets: Targets) -> Prepared | None:
        """Return the event of one socket with its position; ``None`` where that is awaited."""
        if not self.recovers or prepared.event.id is not None:
            return prepared
        args = prepared.event.args
        if targets.volatile or self._is_judged(targets):
            return self._marked(args, targets, self._stream.position)
        self._log(args, targets)
        return None

    def _log(self, args: list[Any], targets: Targets) -> None:
        """Append an event to the stream, and deliver it there, or now if that takes too long."""
        if not self._stream.ready or self._late:
            self.settle()
            self._append(args, targets, sent=True)
            self._deliver(args, targets, self._stream.position)
        else:
            self._append(args, targets, sent=False)

    def _is_judged(self, targets: Targets) -> bool:
        """Tell whether this is for a socket that is not in yet, and was not here before."""
        (sid,) = targets.rooms
        restoring = any(session.sid == sid for session in self._restoring)
        return sid not in self.namespace.sockets and not restoring

    def _append(self, args: list[Any], targets: Targets, *, sent: bool) -> None:
        message = Broadcast(self.uid, args, targets)
        self._tell(message)
        own = _Own(b"", args, targets, sent, self.namespace.host.time())
        self._own.append(own)
        try:
            own.data = self._stream.append(message, partial(self._appended, own))
        except LocalProtocolError as error:
            self.namespace.host.log("cluster", WARNING, f"an event was not published: {error}")
            self._own.pop()
            self._send_own(own)
            self._lose()
            return
        if len(self._own) > self.namespace.host.limits.redis_queue:
            self._send_own(self._own.popleft())
            self._lose()
        if self._timer is None and not sent:
            self._wait(self._stream.options.local_wait)

    def _wait(self, seconds: float) -> None:
        self._timer = self.namespace.host.call_later(seconds, self._overdue)

    def _overdue(self) -> None:
        """Send what has waited too long, and wait for nothing until Redis answers again."""
        self._timer = None
        waiting = next((own for own in self._own if not own.sent), None)
        if waiting is None:
            return
        wait = self._stream.options.local_wait
        left = waiting.time + wait - self.namespace.host.time()
        if left > 0.001:
            self._wait(left)
        else:
            self._late = True
            self.settle()

    def _appended(self, own: _Own, answer: Answer) -> None:
        error = answer.error
        if error is not None:
            # After a cut it may be in the stream all the same, and is read then.
            self.settle()
            if isinstance(error, RedisError):
                self._own = deque(one for one in self._own if one is not own)
            self._lose()
        elif self._gap:
            self._tell_gap()

    # Gaps

    def _lose(self) -> None:
        """Recover nobody who was away when this event went out: it may not be in the stream."""
        self._gap = True
        for session in self._restoring:
            session.whole = False
        self._tell_gap()

    def _tell_gap(self) -> None:
        if not self._telling:
            self._telling = True
            self._stream.append_gap(self._told)

    def _told(self, _answer: Answer) -> None:
        self._telling = False

    def _read_gap(self, *, ours: bool) -> None:
        """Take the entry that says that something is missing before it."""
        for session in self._restoring:
            session.whole = False
        if ours:
            self._gap = False

    def settle(self) -> None:
        """Send at once what still waits for its place in the stream."""
        for own in self._own:
            self._send_own(own)

    def _send_own(self, own: _Own) -> None:
        if not own.sent:
            own.sent = True
            self._deliver(own.args, own.targets, self._stream.position)

    def _read_own(self, position: str, data: bytes) -> None:
        """Take an entry that this server has appended."""
        if not any(own.data == data for own in self._own):
            return  # no broadcast
        self._late = False
        while (own := self._own.popleft()).data != data:
            self._send_own(own)
        self._note(position, own.args, own.targets)
        if not own.sent:
            self._deliver(own.args, own.targets, position)

    def _deliver(self, args: list[Any], targets: Targets, position: str) -> None:
        chosen = self._behind(targets, position)
        if chosen:
            self.send_to(chosen, self._marked(args, targets, position), targets)

    def _behind(self, targets: Targets, position: str) -> list[Any]:
        """Return the sockets that an event is for, without those that have seen it."""
        chosen = self.selected(targets)
        if not self._ahead:
            return chosen
        here = as_position(position) or (0, 0)
        ahead = self._ahead
        self._ahead = {sid: seen for sid, seen in ahead.items() if seen > here}
        return [socket for socket in chosen if ahead.get(socket.id, (0, 0)) < here]

    def _marked(self, args: list[Any], targets: Targets, position: str) -> Prepared:
        event = Event(self.namespace.name, [*args, position])
        prepared: Prepared = self.namespace.host.prepare(event, compress=targets.compress)
        return prepared

    # Order with what is not in the stream

    def remove(self, sid: str, room: str) -> None:
        """Take a socket out of a room."""
        if self._own:
            self.settle()
        super().remove(sid, room)

    def disconnect_sockets(self, targets: Targets, close: bool) -> None:  # noqa: FBT001
        """Disconnect sockets."""
        self.settle()
        super().disconnect_sockets(targets, close)

    # What others say

    def deliver_theirs(self, message: Broadcast) -> None:
        """Send the event of another server to the sockets here."""
        if not self.recovers:
            super().deliver_theirs(message)
            return
        if message.offset and not message.targets.volatile:
            self._note(message.offset, message.args, message.targets)
        self._deliver(message.args, message.targets, message.offset or self._stream.position)

    def _note(self, position: str, args: list[Any], targets: Targets) -> None:
        """Add an entry to what those missed who are being restored."""
        most = self.namespace.host.limits.recovery_packets
        for session in self._restoring:
            if len(session.missed) < most:
                session.missed.append((position, args, targets))
            else:
                session.whole = False

    # Sessions

    def begin_session(self, socket: Any) -> dict[str, str]:
        """Return the secret by which this socket can be recovered, and where it begins."""
        if not self.recovers:
            return {}
        position = self._stream.position
        if socket._session is None:
            secret = self.namespace.host.random_bytes(16).hex()
            socket._session = StreamSession(socket.id, secret, position)
        self._live[socket._session.secret] = socket
        return {"pid": socket._session.secret, "offset": position}

    def persist_session(self, socket: Any) -> None:
        """Keep what is needed to restore a socket that lost its connection."""
        session = socket._session
        if session is not None:
            session.rooms = tuple(self.sids.get(socket.id, ()))
            session.data = socket.data
            self.keep_session(session)

    def keep_session(self, session: StreamSession) -> None:
        """Keep a session in Redis."""
        self._forget_restoring(session)
        host = self.namespace.host
        fields = {
            "sid": session.sid,
            "pid": session.secret,
            "rooms": [session.sid, *session.rooms],
            "data": session.data,
            "offset": session.offset,
        }
        depth = host.limits.json_depth + read.ENVELOPE
        try:
            text = to_base64(fields, depth)
        except LocalProtocolError as error:
            host.log("cluster", WARNING, f"socket.data cannot be kept: {error}")
            text = to_base64({**fields, "data": {}}, depth)
        milliseconds = max(1, int(host.recovery.max_disconnection_duration * 1000))
        self._stream.redis.run("SET", self._key(session.secret), text, "PX", milliseconds)

    def _key(self, secret: str) -> str:
        return self._stream.options.session_key_prefix + secret

    def forget_session(self, socket: Any) -> None:
        """Take note that a socket has left its rooms."""
        session = socket._session
        if session is not None:
            self._forget_restoring(session)
            self._ahead.pop(session.sid, None)
            if self._live.get(session.secret) is socket:
                del self._live[session.secret]

    def _forget_restoring(self, session: StreamSession) -> None:
        self._restoring = [one for one in self._restoring if one is not session]

    def restore_session(
        self, secret: str, offset: str | None, found: Callable[[StreamSession | None], None]
    ) -> None:
        """Call ``found`` with the lost session of this secret, once, if all it missed is here."""
        alive = self._live.get(secret)
        if alive is not None and (alive.connected or alive._state is SocketState.OPENING):
            # A client notices a dead connection before we do.
            alive._drop("transport close")
        if self._gap or not self._stream.ready or _SECRET.fullmatch(secret) is None:
            found(None)
            return
        _Restoring(self, secret, offset, found).ask()

    def missed(self, socket: Any) -> Iterator[Prepared | None]:
        """Give the packets that a restored socket has missed, oldest first, share by share.

        Events of ours that others here have got, but that were not read yet, are the last of them.
        """
        session: StreamSession = socket._session
        self._live[session.secret] = socket
        seen = as_position(session.offset) or (0, 0)
        at, share = 0, self.namespace.host.limits.turn_frames
        while at < len(session.missed) and session.whole:
            # While others have their turn, what is read is added to it.
            for position, args, targets in session.missed[at : at + share]:
                if (as_position(position) or (0, 0)) > seen and _is_for(session, targets):
                    yield self._marked(args, targets, position)
            at += share
            if at < len(session.missed):
                yield None
        self._forget_restoring(session)
        if not session.whole:
            self._live.pop(session.secret, None)
            socket._begin_anew()
            return
        if seen > (as_position(self._stream.position) or (0, 0)):
            self._ahead[session.sid] = seen
        position = max(self._stream.position, session.offset, key=_in_order)
        for own in [own for own in self._own if own.sent and _is_for(session, own.targets)]:
            yield self._marked(own.args, own.targets, position)


def _is_for(session: StreamSession, targets: Targets) -> bool:
    """Tell whether an event was meant for the client of a session."""
    here = {session.sid, *session.rooms}
    return not (targets.rooms and here.isdisjoint(targets.rooms)) and here.isdisjoint(
        targets.excluded
    )


class _Restoring:
    """One attempt to take a session out of Redis, and what its client missed out of the stream."""

    def __init__(
        self,
        rooms: StreamRooms,
        secret: str,
        offset: str | None,
        found: Callable[[StreamSession | None], None],
    ) -> None:
        self._rooms = rooms
        self._stream = rooms._stream
        self._host = rooms.namespace.host
        self._secret = secret
        self._offset = offset
        self._found = found
        self._pauses = list(_PAUSES)
        self._end = ""

    def ask(self) -> None:
        """Take the session, by the commands of Node's adapter."""
        redis, key = self._stream.redis, self._rooms._key(self._secret)
        for words in (("MULTI",), ("GET", key), ("DEL", key)):
            redis.run(*words)
        redis.run("EXEC", done=self._got)

    def _got(self, answer: Answer) -> None:
        value = None if answer.error is not None else answer.result()
        text = value[0] if type(value) is list and value else None
        if type(text) is not bytes:
            if self._pauses and self._stream.ready:
                self._host.call_later(self._pauses.pop(0), self.ask)
            else:
                self._found(None)
            return
        try:
            session = self._read_session(text)
        except (ClusterError, RemoteProtocolError) as error:
            self._host.log("cluster", WARNING, f"a session in Redis was dropped: {error}")
            self._found(None)
            return
        if session.sid in self._rooms.namespace.sockets or as_position(session.offset) is None:
            self._found(None)
            return
        self._end = max(self._stream.position, session.offset, key=_in_order)
        self._rooms._restoring.append(session)
        self._page(session, session.offset, [])

    def _read_session(self, text: bytes) -> StreamSession:
        limits = self._host.limits
        depth = limits.json_depth + read.ENVELOPE
        fields = unpack(from_base64(text), depth, limits.containers)
        if type(fields) is not dict:
            raise ClusterError("a session is a map", "cluster-message-fields")
        sid = read.text(fields, "sid")
        rooms = tuple(room for room in read.names(fields.get("rooms")) if room != sid)
        offset = self._offset or read.optional_text(fields, "offset") or "none"
        rooms, data = rooms[: limits.rooms], fields.get("data")
        return StreamSession(sid, self._secret, offset, rooms, data, [])

    def _page(self, session: StreamSession, start: str, found: list[Any]) -> None:
        """Read on, from an entry that is known: while it is there, so is all behind it."""
        self._stream.redis.run(
            *("XRANGE", self._stream.stream, start, self._end, "COUNT", _PAGE),
            done=partial(self._came, session, start, found),
        )

    def _came(self, session: StreamSession, start: str, found: list[Any], answer: Answer) -> None:
        entries = [] if answer.error is not None else _entries(answer.result())
        if not entries or entries[0][0] != start:
            self._refuse(session)
            return
        found += entries[1:]
        if len(found) > self._host.limits.recovery_packets or not session.whole:
            self._refuse(session)
        elif len(entries) < _PAGE:
            self._finish(session, found)
        else:
            self._page(session, entries[-1][0], found)

    def _refuse(self, session: StreamSession) -> None:
        self._rooms._forget_restoring(session)
        self._found(None)

    def _finish(self, session: StreamSession, entries: list[Any]) -> None:
        before = []
        form, name = self._stream.form, self._rooms.namespace.name.encode()
        for position, values in entries:
            try:
                fields = pairs(values)
                if self._stream.is_gap(fields):
                    self._refuse(session)
                    return
                message = form.read_entry(fields) if fields.get(b"nsp") == name else None
            except ClusterError as error:
                self._host.log("cluster", WARNING, f"an entry of a stream was dropped: {error}")
                continue
            if isinstance(message, Broadcast) and not message.targets.volatile:
                before.append((position, message.args, message.targets))
        session.missed = before + session.missed
        self._found(session)


def _entries(value: Any) -> list[tuple[str, Any]]:
    """Return the ids and values of entries as Redis gives them; none for what has no such form."""
    if type(value) is not list:
        return []
    found = [
        (str(entry[0], "ascii", "replace"), entry[1])
        for entry in value
        if type(entry) is list and len(entry) == 2 and type(entry[0]) is bytes
    ]
    return found if len(found) == len(value) else []


def _in_order(position: str) -> tuple[int, int]:
    """Return what positions are compared by; what is none comes first."""
    return as_position(position) or (-1, -1)
