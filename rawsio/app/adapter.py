"""Who is in which room, and how a packet reaches all of them.

An :class:`Adapter` belongs to one namespace.  It holds two dictionaries of sets, room to sockets
and socket to rooms, which always say the same; and it delivers what operators send.  A cluster
puts its own subclass in place, which does the same for other servers and then calls these
methods.

Two things differ from the reference.  The room that has a socket's own id is implicit: every
connected socket is in it, it is stored nowhere (an idle connection costs no set), and it cannot be
left.  And selection sees connected sockets only, those in ``namespace.sockets``: one that joined
rooms in a middleware but was not accepted (yet) receives no broadcast.

Changes of membership are told to ``on_event(kind, room, sid)`` in the reference's order:
``create-room`` before ``join-room``, ``leave-room`` before ``delete-room``.  Callers are on the
thread of the loop.
"""

from __future__ import annotations

from itertools import chain

from rawsio.errors import LocalProtocolError
from rawsio.layer import record
from rawsio.log import DEBUG, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any

    from .interfaces import Joined, Lane, MultiplexerLike, NamespaceLike, Prepared
    from .reply import Gathering, Promise
    from .socket import Socket

__all__ = ["Adapter", "Targets", "EVERYONE", "snapshot"]

_NOBODY: frozenset[str] = frozenset()


@record
class Targets:
    """Whom a broadcast addresses, and how.

    ``rooms`` united (none: everybody), without the members of ``excluded``; an id is a room.
    ``timeout`` is for acknowledgements, in seconds.
    """

    rooms: frozenset[str] = _NOBODY
    excluded: frozenset[str] = _NOBODY
    volatile: bool = False
    compress: bool = True
    local: bool = False
    timeout: float | None = None


EVERYONE = Targets()
"""No rooms, no flags.  Shared: treat it as read-only."""


def snapshot(value: Any) -> Any:
    """Return a copy that changes of the original do not reach, all the way down.

    For arguments that another thread emits and the loop's thread encodes again, with an offset.
    They have been encoded once, so they are no deeper than ``limits.json_depth``.

    >>> inner = [1]; copy = snapshot({"a": inner}); inner.append(2); copy
    {'a': [1]}
    """
    if isinstance(value, (list, tuple)):
        return [snapshot(item) for item in value]
    if isinstance(value, dict):
        return {key: snapshot(item) for key, item in value.items()}
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _deliver(sockets: Iterator[Socket], prepared: Prepared, *, volatile: bool) -> None:
    if volatile:
        for socket in sockets:
            socket._deliver_volatile(prepared)
        return
    for socket in sockets:
        if socket._lane is not None and socket._lane.takes(prepared):
            _put(chain((socket,), sockets), prepared, socket._lane)
            return
        socket._deliver(prepared)


def _put(sockets: Iterator[Socket], prepared: Prepared, first: Lane) -> None:
    """Put a packet into the lanes of those who have one; the others are sent it.

    Most receivers of a broadcast have one, so this loop is all that happens for each of them, until
    their streams send what they have at the end of the turn.
    """
    frame = prepared.frame
    fresh: list[Any] = []
    try:
        for socket in sockets:
            lane = socket._lane
            if lane is None:
                socket._deliver(prepared)
                continue
            outbox = lane.outbox
            if not outbox:
                fresh.append(lane.stream)
            outbox.append(frame)
    finally:
        first.touch(fresh)


class Adapter:
    """Rooms of one namespace, in memory.

    >>> from types import SimpleNamespace
    >>> adapter = Adapter(SimpleNamespace(sockets={"a": 1, "b": 2, "c": 3}))
    >>> adapter.add_all("a", ["red"]); adapter.add_all("b", ["red", "blue"])
    >>> sorted(adapter.sockets({"red"})), sorted(adapter.sockets({"red", "c"}, {"blue"}))
    (['a', 'b'], ['a', 'c'])
    >>> sorted(adapter.socket_rooms("b"))
    ['b', 'blue', 'red']
    """

    recovers = False
    """Whether packets and sessions are kept, so that emits have to pass through :meth:`stamp`."""

    waits_for_rooms = False
    """Whether :meth:`entered` has to know who has joined rooms."""

    def __init__(self, namespace: NamespaceLike) -> None:
        self.namespace = namespace
        self.rooms: dict[str, set[str]] = {}
        self.sids: dict[str, set[str]] = {}
        self.on_event: Callable[[str, str, str], None] | None = None

    def init(self) -> None:
        """Begin: called once, when the namespace has been registered."""

    def close(self) -> None:
        """End: the server stops, or the namespace was cleaned up."""

    def shrink(self) -> None:
        """Keep less, if anything is kept: the server has too little memory."""

    def server_count(self) -> int:
        """Return the number of servers in the cluster."""
        return 1

    # Membership

    def connected(self, sid: str) -> None:
        """Tell listeners about the implicit room of a socket that was accepted."""
        if self.on_event is not None:
            if sid not in self.rooms:
                self.on_event("create-room", sid, sid)
            self.on_event("join-room", sid, sid)

    def add_all(self, sid: str, rooms: Iterable[str]) -> None:
        """Put a socket into rooms."""
        for room in rooms:
            if room == sid:
                continue
            mine = self.sids.get(sid)
            if mine is None:
                mine = self.sids[sid] = set()
            if room in mine:
                continue
            mine.add(room)
            members = self.rooms.get(room)
            created = members is None and room not in self.namespace.sockets
            if members is None:
                members = self.rooms[room] = set()
            members.add(sid)
            if self.on_event is not None:
                if created:
                    self.on_event("create-room", room, sid)
                self.on_event("join-room", room, sid)

    def entered(self, peer: MultiplexerLike, rooms: Collection[str]) -> None:
        """Take note that the client of a connection is in these rooms now."""

    def remove(self, sid: str, room: str) -> None:
        """Take a socket out of a room; nothing happens if it is not there."""
        mine = self.sids.get(sid)
        if mine is None or room not in mine:
            return
        mine.discard(room)
        if not mine:
            del self.sids[sid]
        self._withdraw(sid, room)

    def remove_all(self, sid: str, *, was_connected: bool = False) -> None:
        """Take a socket out of every room; ``was_connected`` also ends its implicit one."""
        for room in self.sids.pop(sid, ()):
            self._withdraw(sid, room)
        if was_connected and self.on_event is not None:
            self.on_event("leave-room", sid, sid)
            if sid not in self.rooms:
                self.on_event("delete-room", sid, sid)

    def _withdraw(self, sid: str, room: str) -> None:
        members = self.rooms[room]
        members.discard(sid)
        if not members:
            del self.rooms[room]
        if self.on_event is not None:
            self.on_event("leave-room", room, sid)
            if not members and room not in self.namespace.sockets:
                self.on_event("delete-room", room, sid)

    def socket_rooms(self, sid: str) -> set[str]:
        """Return the rooms of a socket, its own id included while it is connected."""
        rooms = set(self.sids.get(sid, ()))
        if sid in self.namespace.sockets:
            rooms.add(sid)
        return rooms

    def sockets(
        self, rooms: Collection[str] = _NOBODY, excluded: Collection[str] = _NOBODY
    ) -> list[str]:
        """Return the ids of the connected sockets in any of ``rooms`` (none: all), each once.

        Without those that are in a room of ``excluded``.
        """
        connected = self.namespace.sockets
        if not rooms:
            chosen: Iterable[str] = connected
        elif len(rooms) == 1:
            (room,) = rooms
            chosen = self.rooms.get(room, _NOBODY)
            if room in connected:
                chosen = {*chosen, room}
        else:
            chosen = set().union(*[self.rooms.get(room, ()) for room in rooms])
            chosen.update(room for room in rooms if room in connected)
        if not excluded:
            return [sid for sid in chosen if sid in connected]
        without = set(excluded).union(*[self.rooms.get(room, ()) for room in excluded])
        return [sid for sid in chosen if sid in connected and sid not in without]

    def selected(self, targets: Targets) -> list[Socket]:
        """Return the connected sockets of this server that ``targets`` addresses."""
        connected = self.namespace.sockets
        if not targets.rooms and not targets.excluded:
            # Not by its own method, which copies for other threads.
            return list(dict.values(connected))
        return [connected[sid] for sid in self.sockets(targets.rooms, targets.excluded)]

    # Delivery

    def stamp(self, prepared: Prepared, _targets: Targets) -> Prepared | None:
        """Return the packet as it is to be sent; a recovering adapter marks and keeps it.

        ``None``: the adapter will send it itself, once it knows its mark.
        """
        return prepared

    def settle(self) -> None:
        """Send at once what :meth:`stamp` holds back: a socket is about to be disconnected."""

    def broadcast(self, prepared: Prepared, targets: Targets) -> None:
        """Send one encoded packet to every socket that ``targets`` addresses."""
        stamped = self.stamp(prepared, targets)
        if stamped is not None:
            self.send_to(self.selected(targets), stamped, targets)

    def send_to(self, chosen: Iterable[Socket], prepared: Prepared, targets: Targets) -> None:
        """Send one encoded packet to these sockets."""
        sockets = iter(chosen)
        try:
            _deliver(sockets, prepared, volatile=targets.volatile)
        finally:
            # Nobody is left, but for those behind an interrupt: they get what the others got.
            _deliver(sockets, prepared, volatile=targets.volatile)

    def send_joined(
        self, chosen: list[Socket], joined: Joined, targets: Targets, *, last: bool
    ) -> None:
        """Send several encoded packets to these sockets, one after the other.

        ``last`` says that nothing else is to be sent to them in this turn, as far as one knows.
        """
        if not targets.volatile:
            lanes = [lane for socket in chosen if (lane := socket._lane) is not None]
            if lanes and lanes[0].holds(len(joined.frame)):
                if len(lanes) < len(chosen):
                    chosen = [socket for socket in chosen if socket._lane is None]
                else:
                    chosen = []
                lanes[0].hand_out(lanes, joined.frame, now=last)
        if chosen:
            for packet in joined:
                self.send_to(chosen, packet, targets)

    def broadcast_with_ack(
        self, prepared: Prepared, targets: Targets, gathering: Gathering
    ) -> None:
        """Send a packet that asks for an acknowledgement; ``gathering`` collects the answers."""
        sockets = self.selected(targets)
        gathering.expect([socket.id for socket in sockets])
        rest = iter(sockets)
        try:
            for socket in rest:
                socket._ask(prepared, gathering)
        finally:
            for socket in rest:
                socket._ask(prepared, gathering)
            gathering.complete()

    # What operators do to many sockets

    def fetch_sockets(self, targets: Targets, reply: Promise) -> None:
        """Answer with the list of sockets that ``targets`` addresses."""
        reply.resolve(self.selected(targets))

    def add_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Put all of them into rooms; who would be in too many joins none, and the log says so."""
        for socket in self.selected(targets):
            try:
                socket.join(*rooms)
            except LocalProtocolError as error:
                message = f"the socket {socket.id} joined no room: {error}"
                self.namespace.host.log("socketio", WARNING, message)

    def remove_sockets(self, targets: Targets, rooms: Collection[str]) -> None:
        """Take all of them out of rooms."""
        for socket in self.selected(targets):
            socket.leave(*rooms)

    def disconnect_sockets(self, targets: Targets, close: bool) -> None:  # noqa: FBT001
        """Disconnect all of them."""
        for socket in self.selected(targets):
            socket.disconnect(close=close)

    def server_side_emit(self, args: list[Any], reply: Promise) -> None:
        """Send an event to the *other* servers of the cluster: here there are none."""
        self.namespace.host.log(
            "socketio", DEBUG, f"server_side_emit({args[0]!r}): this server is the only one"
        )
        reply.resolve([])

    # Recovery

    def begin_session(self, _socket: Socket) -> dict[str, str]:
        """Return what an accepted socket is told, besides its id, so that it may be recovered."""
        return {}

    def persist_session(self, _socket: Socket) -> None:
        """Keep a socket that lost its connection, so that it can be restored."""

    def forget_session(self, _socket: Socket) -> None:
        """Take note that a socket is about to leave its rooms for good."""

    def missed(self, _socket: Socket) -> Iterable[Prepared | None]:
        """Give the packets that a restored socket has missed, oldest first.

        Where it gives ``None``, others have their turn before it is asked on; what is sent
        meanwhile has to follow, because until the last one no broadcast finds the socket.
        """
        return ()

    def restore_session(
        self, _secret: str, _offset: str | None, found: Callable[[Any], None]
    ) -> None:
        """Call ``found`` with the session of this secret and what it missed, or ``None``."""
        found(None)

    def keep_session(self, _session: Any) -> None:
        """Keep a session that was restored for a client that is gone again."""
