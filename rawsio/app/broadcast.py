"""Operators: whom a packet goes to, and how, said in a chain of words.

``io.to("a").except_("b").volatile.emit("x", 1)``: each word gives a new, immutable
:class:`Broadcast`, so that a chain can be kept and used again.  The last one acts.

A packet is encoded once, in the calling thread.  ``emit`` hands the same prepared packet to every
recipient; the forms that the layers below want are made when the first of them asks, and shared by
all.

Everything may be called from any thread.  :class:`Operators` is what a server, a namespace and a
broadcast have in common; :class:`Flags` carries flags for a single socket.
"""

from __future__ import annotations

from functools import partial

from rawsio.layer import Generic
from rawsio.socketio.packets import Event

from .adapter import EVERYONE, Targets, snapshot
from .reply import Collected, Gathering, Promise, Reply, check_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol, TypeVar

    from .adapter import Adapter
    from .interfaces import FetchedSocket, NamespaceLike, Prepared, RuntimeLike
    from .reply import Responses

    class Flagged(Protocol):
        """A socket, as :class:`Flags` uses it."""

        def _emit_event(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> None: ...
        def _emit_question(
            self, name: str | int, args: tuple[Any, ...], targets: Targets
        ) -> Reply: ...

    class Addressed(Flagged, Protocol):
        """A server's socket, as :class:`SocketFlags` uses it."""

        id: str

        @property
        def namespace(self) -> NamespaceLike: ...

    FlaggedT = TypeVar("FlaggedT", bound="Flagged")
    FlagsT = TypeVar("FlagsT", bound="Flags[Any]")
else:
    FlaggedT = None

__all__ = ["Broadcast", "Flags", "Operators", "SocketFlags", "check_flag", "room_names"]


def room_names(rooms: tuple[Any, ...]) -> tuple[str, ...]:
    """Return the names in ``to("a", "b")`` or ``to(["a", "b"])``; a ``str`` is one room.

    Raises:
        TypeError: a name is no ``str``.

    >>> room_names(("ab", ["c", "d"]))
    ('ab', 'c', 'd')
    """
    names: list[str] = []
    for room in rooms:
        one = isinstance(room, str) or not hasattr(room, "__iter__")
        for name in (room,) if one else room:
            if not isinstance(name, str):
                hint = " (its room is socket.id)" if hasattr(name, "_emit_event") else ""
                raise TypeError(f"the name of a room is a str, not {name!r}{hint}")
            names.append(name)
    return tuple(names)


def check_flag(flag: object) -> None:
    """Refuse what is no answer to whether a packet is worth compressing.

    >>> check_flag("no")
    Traceback (most recent call last):
    TypeError: compress() takes True or False, not 'no'
    """
    if not isinstance(flag, bool):
        raise TypeError(f"compress() takes True or False, not {flag!r}")


class Operators:
    """The words that begin or continue a broadcast."""

    __slots__ = ()

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        """Return the namespaces, and whom of them these words are about."""
        raise NotImplementedError

    def _operator(self) -> Broadcast:
        """Return a broadcast that says the same."""
        raise NotImplementedError

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms, too; a socket's id is a room."""
        return self._operator()._including(room_names(rooms))

    def in_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms: another word for :meth:`to`."""
        return self._operator()._including(room_names(rooms))

    def except_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Leave the members of these rooms out."""
        return self._operator()._excluding(room_names(rooms))

    @property
    def local(self) -> Broadcast:
        """Address the sockets of this server only, not those of a cluster."""
        return self._operator()._flagged(local=True)

    @property
    def volatile(self) -> Broadcast:
        """Leave out whoever has too much waiting to be sent."""
        return self._operator()._flagged(volatile=True)

    def compress(self, flag: bool) -> Broadcast:  # noqa: FBT001 - the reference's signature
        """Say whether the packet is worth compressing (it is, unless said otherwise)."""
        check_flag(flag)
        return self._operator()._flagged(compress=flag)

    def timeout(self, seconds: float) -> Broadcast:
        """Set how long ``emit_with_ack`` waits for answers."""
        check_seconds(seconds)
        return self._operator()._flagged(timeout=seconds)

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event.

        ``LocalProtocolError`` if it cannot be encoded, or has a name that is reserved.
        """
        _broadcast(*self._aim(), name, args)

    def send(self, *args: Any) -> None:
        """Send an event named ``message``."""
        _broadcast(*self._aim(), "message", args)

    def emit_with_ack(self, name: str | int, *args: Any) -> Reply[Responses[Any]]:
        """Send an event and gather the acknowledgements of everybody who received it.

        The reply ends with :class:`~rawsio.app.reply.Responses`: when all have answered or
        are gone, or when the time is over (``timeout``, else ``limits.ack_time``).
        """
        return self._operator()._broadcast_question(name, args)

    def fetch_sockets(self) -> Reply[Collected[FetchedSocket]]:
        """Return the sockets that are addressed, as the result of a reply."""
        return self._operator()._fetch()

    def sockets_join(self, *rooms: str | Iterable[str]) -> None:
        """Make all of them join rooms, but for who would be in more than ``limits.rooms``."""
        names = room_names(rooms)
        for adapter, targets in self._operator()._addressed():
            adapter.namespace.host.call(adapter.add_sockets, targets, names)

    def sockets_leave(self, *rooms: str | Iterable[str]) -> None:
        """Make all of them leave rooms."""
        names = room_names(rooms)
        for adapter, targets in self._operator()._addressed():
            adapter.namespace.host.call(adapter.remove_sockets, targets, names)

    def disconnect_sockets(self, *, close: bool = False) -> None:
        """Disconnect all of them; ``close`` ends their whole connections."""
        for adapter, targets in self._operator()._addressed():
            adapter.namespace.host.call(adapter.disconnect_sockets, targets, close)


class Broadcast(Operators):
    """An immutable description of recipients and flags, which can emit."""

    __slots__ = ("_space", "_targets")

    def __init__(self, space: NamespaceLike, targets: Targets = EVERYONE) -> None:
        self._space = space
        self._targets = targets

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        return self._space._each(), self._targets

    def _operator(self) -> Broadcast:
        return self

    def _including(self, rooms: tuple[str, ...]) -> Broadcast:
        """Return an operator that addresses these rooms, too; ``ValueError`` if there is none."""
        t = self._targets
        if not (rooms or t.rooms):
            # With the reference that is everybody: a list that happens to be empty tells them all.
            raise ValueError("to() got no room: name one, or leave to() out to address everybody")
        return Broadcast(
            self._space,
            Targets(t.rooms.union(rooms), t.excluded, t.volatile, t.compress, t.local, t.timeout),
        )

    def _excluding(self, rooms: tuple[str, ...]) -> Broadcast:
        """Return an operator that leaves these rooms out, too."""
        t = self._targets
        return Broadcast(
            self._space,
            Targets(t.rooms, t.excluded.union(rooms), t.volatile, t.compress, t.local, t.timeout),
        )

    def _flagged(self, **flags: Any) -> Broadcast:
        """Return an operator with these flags set."""
        t = self._targets
        known: dict[str, Any] = {
            "volatile": t.volatile,
            "compress": t.compress,
            "local": t.local,
            "timeout": t.timeout,
        }
        return Broadcast(self._space, Targets(t.rooms, t.excluded, **{**known, **flags}))

    def _addressed(self) -> list[tuple[Adapter, Targets]]:
        """Return the adapters of the namespaces that this addresses, each with the targets."""
        return [(space.adapter, self._targets) for space in self._space._each()]

    def _broadcast_question(self, name: str | int, args: tuple[Any, ...]) -> Reply[Responses[Any]]:
        """Encode an event that asks for acknowledgements; gather them in a reply."""
        targets = self._targets
        host = self._space.host
        reply: Promise[Responses[Any]] = Promise(host)
        questions = []
        for space in self._space._each():
            event = Event(space.name, [name, *args], space.next_id())
            questions.append((space, host.prepare(event, compress=targets.compress)))
        seconds = host.limits.ack_time if targets.timeout is None else targets.timeout
        host.call(_ask, questions, targets, reply, seconds)
        return reply

    def _fetch(self) -> Reply[Collected[FetchedSocket]]:
        """Return the sockets that are addressed, as the result of a reply."""
        host = self._space.host
        reply: Promise[Collected[FetchedSocket]] = Promise(host)
        host.call(_fetch, self._addressed(), reply, host)
        return reply

    def __repr__(self) -> str:
        return f"<Broadcast in {self._space.name!r} to {self._targets!r}>"


def _broadcast(
    spaces: Iterable[NamespaceLike], targets: Targets, name: str | int, args: tuple[Any, ...]
) -> None:
    """Encode an event once, and have the adapter deliver it."""
    for space in spaces:
        host = space.host
        event = Event(space.name, [name, *args])
        prepared = host.prepare(event, compress=targets.compress)
        if space.adapter.recovers and not host.on_loop():
            event.args = snapshot(event.args)
        host.call(space.adapter.broadcast, prepared, targets)


def _ask(
    questions: list[tuple[NamespaceLike, Prepared]],
    targets: Targets,
    reply: Promise[Responses[Any]],
    seconds: float,
) -> None:
    gathering = Gathering(reply, len(questions))
    reply.add_done_callback(partial(_forget, questions, gathering))
    for space, prepared in questions:
        space.adapter.broadcast_with_ack(prepared, targets, gathering)
    if not questions:
        gathering.expire()
    if not reply.done():
        reply.set_timer(seconds, gathering.expire)


def _forget(
    questions: list[tuple[NamespaceLike, Prepared]], gathering: Gathering, _reply: Reply
) -> None:
    for space, prepared in questions:
        space.host.call(_forget_in, space, prepared.event.id, gathering.waiting)


def _forget_in(space: NamespaceLike, packet_id: int, sids: tuple[str, ...]) -> None:
    for sid in sids:
        socket = space.sockets.get(sid)
        if socket is not None:
            socket._forget(packet_id)


def _fetch(
    addressed: list[tuple[Adapter, Targets]],
    reply: Promise[Collected[FetchedSocket]],
    host: RuntimeLike,
) -> None:
    found: Collected[FetchedSocket] = Collected()
    left = [len(addressed)]

    def collect(part: Reply) -> None:
        error = part.exception()
        if error is not None:
            reply.fail(error)
            return
        left[0] -= 1
        result = part.result()
        found.extend(result)
        found.missing += getattr(result, "missing", ())
        if left[0] == 0:
            reply.resolve(found)

    for adapter, targets in addressed:
        part = Promise(host)
        part.add_done_callback(collect)
        adapter.fetch_sockets(targets, part)
    if not addressed:
        reply.resolve(found)


class Flags(Generic[FlaggedT]):
    """Flags for what one socket sends: ``socket.volatile.emit("position", x, y)``; immutable."""

    __slots__ = ("_socket", "_targets")

    def __init__(self, socket: FlaggedT, targets: Targets = EVERYONE) -> None:
        self._socket = socket
        self._targets = targets

    def _with(self: FlagsT, **flags: Any) -> FlagsT:
        t = self._targets
        known = {"volatile": t.volatile, "compress": t.compress, "timeout": t.timeout}
        return type(self)(self._socket, Targets(**{**known, **flags}))

    @property
    def volatile(self: FlagsT) -> FlagsT:
        """Drop what follows if it cannot go out at once: too much waits, or nobody is connected."""
        return self._with(volatile=True)

    def compress(self: FlagsT, flag: bool) -> FlagsT:  # noqa: FBT001 - the reference's signature
        """Say whether what follows is worth compressing."""
        check_flag(flag)
        return self._with(compress=flag)

    def timeout(self: FlagsT, seconds: float) -> FlagsT:
        """Set how long ``emit_with_ack`` waits for the answer."""
        check_seconds(seconds)
        return self._with(timeout=seconds)

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event, with these flags."""
        self._socket._emit_event(name, args, self._targets)

    def send(self, *args: Any) -> None:
        """Send an event named ``message``, with these flags."""
        self._socket._emit_event("message", args, self._targets)

    def emit_with_ack(self, name: str | int, *args: Any) -> Reply:
        """Send an event that asks for an acknowledgement, with these flags."""
        return self._socket._emit_question(name, args, self._targets)


class SocketFlags(Flags["Addressed"]):
    """The flags of a server's socket, whose room words lead to a :class:`Broadcast` with them."""

    __slots__ = ()

    @property
    def broadcast(self) -> Broadcast:
        """Address everybody else, with these flags."""
        socket = self._socket
        t = self._targets
        others = frozenset((socket.id,))
        targets = Targets(t.rooms, others, t.volatile, t.compress, t.local, t.timeout)
        return Broadcast(socket.namespace, targets)

    @property
    def local(self) -> Broadcast:
        """Address everybody else on this server, with these flags."""
        return self.broadcast.local

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms but this socket."""
        return self.broadcast.to(*rooms)

    def in_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms but this socket: another word for :meth:`to`."""
        return self.broadcast.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address everybody else but the members of these rooms."""
        return self.broadcast.except_(*rooms)
