"""A socket: one client in one namespace.

It is what handlers get: it sends to its client, joins rooms, and knows how the client introduced
itself.  A connection has one for each namespace that the client joined, all with different ids.

The first half of :class:`Socket` is for applications and may be called from any thread.  A method
checks and encodes its arguments where it is called, so that an argument that cannot be sent raises
where the mistake is; then it hands the rest to the loop's thread, which keeps the order of what one
thread emits.  The second half, whose names begin with an underscore, is for the other modules of
this package, on the loop's thread: the life of the socket, and its place on the wire.

A socket is ``OPENING`` while middleware judges it: it may emit and join rooms, but no broadcast
finds it.  It ends once, from whichever side, with one of the reference's reasons.  From then on
nothing is sent to it and pending replies have failed; its rooms stay until handlers of
``disconnecting`` have seen them.  What is emitted to a socket that has ended is dropped: the other
end might as well have gone a moment before.

Most sockets have no handlers of their own, no listeners, no ``data`` and no pending replies, and
nobody looks at their handshake.  All of these are made when they are first asked for, because the
memory of an idle connection is what bounds their number.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.log import ERROR
from rawsio.socketio.packets import Ack, ConnectError, Disconnect, Event

from .adapter import EVERYONE, Targets, snapshot
from .broadcast import Broadcast, SocketFlags, room_names
from .handlers import Handlers
from .listeners import SocketListening
from .reply import Question, Reply
from .states import RECOVERABLE, SocketState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from rawsio.http.messages import Request

    from .handshake import Handshake
    from .interfaces import Connection, Lane, MultiplexerLike, Prepared, RuntimeLike
    from .listeners import HandlerSocket, Hooks
    from .namespace import Namespace

    class Waiter(Protocol):
        """Who waits for the acknowledgement of a socket."""

        def answered(self, sid: str, args: list[Any], /) -> None: ...
        def lost(self, sid: str, reason: str, /) -> None: ...


__all__ = ["Acknowledge", "Socket"]


_OPEN, _OPENING = SocketState.OPEN, SocketState.OPENING


class Socket(SocketListening):
    """One client in one namespace; see the module's essay.

    ``id`` names it, for others too (it is a room that only this socket is in); the id of the
    connection below stays secret.  ``namespace`` is where it is.  ``recovered`` says that it
    continues a session that was lost.
    """

    __slots__ = (
        "id",
        "namespace",
        "_state",
        "recovered",
        "_session",
        "_handlers",
        "_peer",
        "_auth",
        "_handshake",
        "_data",
        "_pending",
        "_lane",
    )

    def __init__(
        self,
        sid: str,
        namespace: Namespace,
        peer: MultiplexerLike,
        auth: Any,
    ) -> None:
        SocketListening.__init__(self)  # super() makes an object, for each connection
        self.id = sid
        self.namespace = namespace
        self._state = SocketState.OPENING
        self.recovered = False
        self._session: Any = None
        self._handlers: Handlers | None = None
        self._peer = peer
        self._auth = auth
        self._handshake: Handshake | None = None
        self._data: Any = None
        self._pending: dict[int, Waiter] | None = None
        # Where encoded packets may be put as they are; the route says so.
        self._lane: Lane | None = None

    # What it is

    @property
    def connected(self) -> bool:
        """Whether the client is in the namespace now."""
        return self._state is SocketState.OPEN

    @property
    def conn(self) -> Connection:
        """The Engine.IO session that carries it."""
        return self._peer.sink

    @property
    def handshake(self) -> Handshake:
        """How the client introduced itself."""
        if self._handshake is None:
            from .handshake import Handshake

            self._handshake = Handshake(self._peer.sink, self._auth)
        return self._handshake

    @property
    def request(self) -> Request:
        """The first request of the session, the same as ``handshake.request``."""
        return self.handshake.request

    @property
    def data(self) -> Any:
        """Anything you like to remember: a dict, unless you put something else here."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._data = value

    @property
    def rooms(self) -> frozenset[str]:
        """The rooms that it is in, its own id among them; a copy."""
        if self._state is SocketState.GONE:
            return frozenset()
        return frozenset((self.id, *self.namespace.adapter.sids.get(self.id, ())))

    # Handlers

    def _own_handlers(self) -> Handlers:
        if self._handlers is None:
            self._handlers = Handlers()
            self._peer.unusual(self)
        return self._handlers

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            super()._own_hooks()
            self._peer.unusual(self)
        return super()._own_hooks()

    def _own_host(self) -> RuntimeLike:
        return self.namespace.host

    # Sending

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event to the client.

        ``LocalProtocolError`` if it cannot be encoded, or has a name that is reserved.
        """
        lane = self._lane
        if lane is None or not lane.says(self.namespace, name, args):
            self._emit_event(name, args, EVERYONE)

    def send(self, *args: Any) -> None:
        """Send an event named ``message``."""
        self.emit("message", *args)

    def emit_with_ack(self, name: str | int, *args: Any) -> Reply:
        """Send an event and return the :class:`~rawsio.app.reply.Reply` to it.

        It waits until the client answers or the socket ends; ``timeout(seconds)`` sets an end.
        """
        return self._emit_question(name, args, EVERYONE)

    def _emit_event(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> None:
        """Send an event with flags."""
        namespace = self.namespace
        host = namespace.host
        event = Event(namespace.name, [name, *args])
        # The flag is rare, and a keyword costs more than the choice.
        plain = targets.compress
        prepared = host.prepare(event) if plain else host.prepare(event, compress=False)
        if namespace.adapter.recovers:
            if not host.on_loop():
                event.args = snapshot(event.args)
            host.call(self._deliver_kept, prepared, targets)
        elif targets.volatile:
            host.call(self._deliver_volatile, prepared)
        else:
            host.call(self._deliver, prepared)

    def _emit_question(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> Reply:
        """Send an event that asks for an acknowledgement, with flags."""
        namespace = self.namespace
        host = namespace.host
        number = namespace.next_id()
        lane, reply = self._lane, Question(host, self, number)
        if lane is not None and lane.says(namespace, name, args, number):
            self._await(number, reply)
            if targets.timeout is not None:
                reply.expire_with(self._peer.wait_for_answer(targets.timeout, reply))
            return reply
        event = Event(namespace.name, [name, *args], number)
        prepared = host.prepare(event, compress=targets.compress)
        host.call(self._ask_for, prepared, reply, targets.timeout)
        return reply

    # Flags and rooms

    @property
    def volatile(self) -> SocketFlags:
        """Send what follows only if little else is waiting to be sent."""
        return SocketFlags(self).volatile

    def compress(self, flag: bool) -> SocketFlags:  # noqa: FBT001 - the reference's signature
        """Say whether what follows is worth compressing."""
        return SocketFlags(self).compress(flag)

    def timeout(self, seconds: float) -> SocketFlags:
        """Set how long ``emit_with_ack`` waits."""
        return SocketFlags(self).timeout(seconds)

    @property
    def broadcast(self) -> Broadcast:
        """Address everybody in the namespace but this socket."""
        return Broadcast(self.namespace, Targets(excluded=frozenset((self.id,))))

    @property
    def local(self) -> Broadcast:
        """Address everybody else on this server."""
        return self.broadcast.local

    def to(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms but this socket."""
        return self.broadcast.to(*rooms)

    def in_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address the members of these rooms but this socket: another word for :meth:`to`."""
        return self.to(*rooms)

    def except_(self, *rooms: str | Iterable[str]) -> Broadcast:
        """Address everybody else but the members of these rooms."""
        return self.broadcast.except_(*rooms)

    def join(self, *rooms: str | Iterable[str]) -> None:
        """Join rooms; nothing happens if the socket has ended.

        ``LocalProtocolError`` if it would be in more than ``limits.rooms``.
        """
        names = room_names(rooms)
        host = self.namespace.host
        mine = self.namespace.adapter.sids.get(self.id)
        if len(names if mine is None else mine.union(names)) > host.limits.rooms:
            raise LocalProtocolError(f"a socket may be in {host.limits.rooms} rooms at most")
        host.call(self._enter, names)

    def leave(self, *rooms: str | Iterable[str]) -> None:
        """Leave rooms; the one with its own id cannot be left."""
        self.namespace.host.call(self._quit, room_names(rooms))

    def disconnect(self, *, close: bool = False) -> None:
        """Disconnect the client from this namespace; ``close`` ends its whole connection."""
        self.namespace.host.call(self._disconnected, close)

    def __repr__(self) -> str:
        return f"<Socket {self.id} in {self.namespace.name!r}, {self._state.value}>"

    # On the loop's thread: sending

    def _begin_anew(self) -> None:
        """Be a new session with the same id: what was missed is not known after all."""
        self.recovered = False
        self._session = self._data = None
        self.namespace.adapter.remove_all(self.id)

    def _deliver(self, prepared: Prepared) -> None:
        """Send an encoded event, unless the socket has ended."""
        if self._state is _OPEN or self._state is _OPENING:
            if self._hooks is not None and self._hooks.outgoing:
                self._tell_listeners(prepared.event)
            self._peer.route.transmit(prepared)

    def _deliver_volatile(self, prepared: Prepared) -> None:
        """Send an encoded event, unless too much is waiting to be sent already."""
        if self._peer.sink.writable:
            self._deliver(prepared)

    def _deliver_kept(self, prepared: Prepared, targets: Targets) -> None:
        """Send an encoded event that the adapter has to mark, and keep for recovery."""
        if self._state is not SocketState.OPEN and self._state is not SocketState.OPENING:
            return
        if targets.volatile and not self._peer.sink.writable:
            return
        mine = Targets(frozenset((self.id,)), volatile=targets.volatile, compress=targets.compress)
        stamped = self.namespace.adapter.stamp(prepared, mine)
        if stamped is None:
            return
        # What middleware emits to a socket that is being restored is among what it missed.
        if self._session is None or self._state is SocketState.OPEN or targets.volatile:
            self._deliver(stamped)

    def _tell_listeners(self, event: Event) -> None:
        hooks, args = self._hooks, event.args
        if event.id is None and self.namespace.adapter.recovers:
            args = args[:-1]  # the last one is an offset, which is nobody's business
        for listener in hooks.outgoing if hooks is not None else ():
            try:
                listener(*args)
            except Exception as error:  # noqa: BLE001 - the user's mistake must not stop the rest
                where = f"a listener of outgoing events in {self.namespace.name!r} failed"
                self.namespace.host.log("handler", ERROR, where, error)

    # Acknowledgements of ours that are awaited, and theirs

    def _ask_for(self, prepared: Prepared, reply: Question, timeout: float | None) -> None:
        """Send an event whose acknowledgement ends ``reply``."""
        if reply.done():
            return
        if timeout is not None:
            reply.expire_with(self._peer.wait_for_answer(timeout, reply))
        self._ask(prepared, reply)

    def _ask(self, prepared: Prepared, waiter: Waiter) -> None:
        """Send an event; ``waiter.answered`` or ``waiter.lost`` is called once, or neither."""
        if self._state is not SocketState.OPEN and self._state is not SocketState.OPENING:
            waiter.lost(self.id, "it had ended before")
            return
        if self._owes_much():
            waiter.lost(self.id, "it owes too many acknowledgements")
            return
        self._await(prepared.event.id, waiter)
        self._deliver(prepared)

    def _owes_much(self) -> bool:
        """Tell whether the client is not to be asked, as it owes too many acknowledgements."""
        return self._peer.awaited() >= self.namespace.host.limits.pending_acks

    def _await(self, packet_id: int, waiter: Waiter) -> None:
        """Have a waiter told of an acknowledgement."""
        if self._pending is None:
            self._pending = {}
        self._pending[packet_id] = waiter

    @property
    def _awaited(self) -> int:
        """How many acknowledgements the client owes this socket."""
        return 0 if self._pending is None else len(self._pending)

    def _answered(self, packet: Ack) -> None:
        """Take an acknowledgement; one that nobody waits for is ignored."""
        if self._pending is not None:
            waiter = self._pending.pop(packet.id, None)
            if waiter is not None:
                waiter.answered(self.id, packet.args)

    def _forget(self, packet_id: int) -> None:
        """Stop waiting for an acknowledgement."""
        if self._pending is not None:
            self._pending.pop(packet_id, None)

    # Its life

    def _begin(self) -> None:
        """Every middleware has agreed: the socket is open."""
        self._state = SocketState.OPEN

    def _enter(self, names: tuple[str, ...]) -> None:
        """Join rooms, unless the socket has ended."""
        if self._state is _OPEN or self._state is _OPENING:
            adapter = self.namespace.adapter
            adapter.add_all(self.id, names)
            if adapter.waits_for_rooms:
                adapter.entered(self._peer, names)

    def _quit(self, names: tuple[str, ...]) -> None:
        """Leave rooms."""
        for room in names:
            self.namespace.adapter.remove(self.id, room)

    # The end

    def _disconnected(self, close: bool) -> None:  # noqa: FBT001 - queued by position
        """Disconnect the client, from this namespace or altogether."""
        if close:
            self._peer.dismiss("server namespace disconnect")
        else:
            self._dismiss("server namespace disconnect")

    def _dismiss(self, reason: str) -> None:
        """Tell the client that it is out of the namespace, or will not get in, and end."""
        name = self.namespace.name
        self.namespace.adapter.settle()
        if self._state is SocketState.OPEN:
            self._peer.route.send(Disconnect(name))
        elif self._state is SocketState.OPENING:
            self._peer.route.send(ConnectError(name, {"message": reason}))
        self._end(reason, None, SocketState.DISMISSED)

    def _drop(self, reason: str) -> None:
        """End the whole connection, as if it had been lost: the client has another one."""
        self._peer.drop(reason)

    def _end(
        self, reason: str, description: str | None, state: SocketState = SocketState.ENDED
    ) -> None:
        """End it: nothing is sent any more, replies fail, handlers get their turn."""
        before = self._state
        if before is not SocketState.OPEN and before is not SocketState.OPENING:
            return
        self._state, self._lane = state, None
        was_open = before is SocketState.OPEN
        if was_open:
            del self.namespace.sockets[self.id]
        pending, self._pending = self._pending, None
        if pending is not None:
            for waiter in list(pending.values()):
                waiter.lost(self.id, reason)
        if not was_open:
            if self.recovered and reason in RECOVERABLE:  # it has not got what it missed
                self.namespace.adapter.persist_session(self)
            self.namespace._opening -= 1
            self._vanish(was_open=False)
        self._peer.leave(self, was_open, reason, description)

    def _vanish(self, *, was_open: bool) -> None:
        """Leave every room: the last thing that happens to a socket but its handlers."""
        self._state = SocketState.GONE
        self.namespace.adapter.forget_session(self)
        # A client of Socket.IO v2 that has joined again meanwhile has the same id.
        if self.id not in self.namespace.sockets:
            self.namespace.adapter.remove_all(self.id, was_connected=was_open)
        self.namespace._vacated()

    def _answer(self, values: list[Any], packet_id: int) -> None:
        """Send an acknowledgement, unless the socket has ended."""
        if self._state is _OPEN:
            self._peer.route.acknowledge(self.namespace.name, values, packet_id)

    def _acknowledge(self, prepared: Prepared) -> None:
        """Send an encoded acknowledgement, unless the socket has ended."""
        if self._state is SocketState.OPEN:
            self._peer.route.transmit(prepared)


class Acknowledge:
    """The function that a handler with ``ack=True`` gets: call it once, from any thread, or never.

    Further calls do nothing; neither do calls for an event that asked for no acknowledgement.
    """

    __slots__ = ("_socket", "_packet_id")

    def __init__(self, socket: HandlerSocket, packet_id: int | None) -> None:
        self._socket = socket
        self._packet_id = packet_id

    def __call__(self, *values: Any) -> None:
        """Acknowledge with these values; ``LocalProtocolError`` if they cannot be sent."""
        packet_id = self._packet_id
        if packet_id is None:
            return
        namespace = self._socket.namespace
        if namespace.host.on_loop():
            self._socket._answer(list(values), packet_id)
            self._packet_id = None
        else:
            prepared = namespace.host.prepare(Ack(namespace.name, list(values), packet_id))
            namespace.host.call(self._send, prepared)

    def _send(self, prepared: Prepared) -> None:
        if self._packet_id is not None:
            self._packet_id = None
            self._socket._acknowledge(prepared)
