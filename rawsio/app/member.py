"""The part of a socket that runs on the loop's thread: its life, and its place on the wire.

A :class:`Member` is ``OPENING`` while middleware judges it; it may already emit and join rooms, but
no broadcast finds it.  It ends once, from whichever side, with one of the reference's reasons:
from that moment nothing is sent to it and pending replies have failed, while its rooms stay until
handlers of ``disconnecting`` have seen them.

A socket that says nothing costs little.  It has slots, and whatever most sockets never use
(handlers of their own, listeners, ``data``, pending replies, the parsed handshake) is made when it
is first asked for.

What applications call stands in :mod:`rawsio.app.socket`.
"""

from __future__ import annotations

from enum import Enum
from functools import partial

from rawsio.log import ERROR
from rawsio.socketio.packets import Ack, ConnectError, Disconnect

from .adapter import Targets
from .listeners import SocketListening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.socketio.packets import Event

    from .handlers import Handlers
    from .handshake import Handshake, HandshakeRequest
    from .interfaces import MultiplexerLike, Prepared
    from .namespace import Namespace
    from .reply import Reply

__all__ = ["Acknowledge", "Member", "State"]


class State(Enum):
    """Where a socket is in its life."""

    OPENING = "opening"
    """The client's CONNECT is being judged by middleware."""
    OPEN = "open"
    ENDED = "ended"
    """The client or its connection is gone; events that came before still reach handlers."""
    DISMISSED = "dismissed"
    """We disconnected it; events that wait for their handlers are dropped."""
    GONE = "gone"
    """It has left its rooms."""


_OPEN, _OPENING = State.OPEN, State.OPENING


class Member(SocketListening):
    """A socket as its namespace, adapter and peer use it; everything on the loop's thread."""

    __slots__ = (
        "id",
        "namespace",
        "state",
        "recovered",
        "session",
        "handlers",
        "_peer",
        "_opening",
        "_auth",
        "_handshake",
        "_data",
        "_pending",
    )

    def __init__(
        self,
        sid: str,
        namespace: Namespace,
        peer: MultiplexerLike,
        opening: HandshakeRequest,
        auth: Any,
    ) -> None:
        super().__init__()
        self.id = sid
        self.namespace = namespace
        self.state = State.OPENING
        self.recovered = False
        self.session: Any = None
        self.handlers: Handlers | None = None
        self._peer = peer
        self._opening = opening
        self._auth = auth
        self._handshake: Handshake | None = None
        self._data: Any = None
        self._pending: dict[int, Any] | None = None

    # Sending

    def deliver(self, prepared: Prepared) -> None:
        """Send an encoded event, unless the socket has ended."""
        if self.state is _OPEN or self.state is _OPENING:
            if self.hooks is not None and self.hooks.outgoing:
                self._tell_listeners(prepared.event)
            self._peer.transmit(prepared)

    def deliver_volatile(self, prepared: Prepared) -> None:
        """Send an encoded event, unless too much is waiting to be sent already."""
        if self._peer.sink.writable:
            self.deliver(prepared)

    def deliver_kept(self, prepared: Prepared, targets: Targets) -> None:
        """Send an encoded event that the adapter has to mark, and keep for recovery."""
        if self.state is not State.OPEN and self.state is not State.OPENING:
            return
        if targets.volatile and not self._peer.sink.writable:
            return
        mine = Targets(frozenset((self.id,)), volatile=targets.volatile, compress=targets.compress)
        stamped = self.namespace.adapter.stamp(prepared, mine)
        if stamped is None:
            return
        # What middleware emits to a socket that is being restored is among what it missed.
        if self.session is None or self.state is State.OPEN or targets.volatile:
            self.deliver(stamped)

    def _tell_listeners(self, event: Event) -> None:
        hooks, args = self.hooks, event.args
        if event.id is None and self.namespace.adapter.recovers:
            args = args[:-1]  # the last one is an offset, which is nobody's business
        for listener in hooks.outgoing if hooks is not None else ():
            try:
                listener(*args)
            except Exception as error:  # noqa: BLE001 - the user's mistake must not stop the rest
                where = f"a listener of outgoing events in {self.namespace.name!r} failed"
                self.namespace.host.log("handler", ERROR, where, error)

    # Acknowledgements of ours that are awaited, and theirs

    def ask_for(self, prepared: Prepared, reply: Reply, timeout: float | None) -> None:
        """Send an event whose acknowledgement ends ``reply``."""
        if reply.done():
            return
        reply.add_done_callback(partial(self._forget_later, prepared.event.id))
        if timeout is not None:
            reply.expire_after(timeout)
        self.ask(prepared, reply)

    def ask(self, prepared: Prepared, waiter: Any) -> None:
        """Send an event; ``waiter.answered`` or ``waiter.lost`` is called once, or neither."""
        if self.state is not State.OPEN and self.state is not State.OPENING:
            waiter.lost(self.id, "it had ended before")
            return
        if self._pending is None:
            self._pending = {}
        if self._peer.awaited() >= self.namespace.host.limits.pending_acks:
            waiter.lost(self.id, "it owes too many acknowledgements")
            return
        self._pending[prepared.event.id] = waiter
        self.deliver(prepared)

    @property
    def awaited(self) -> int:
        """How many acknowledgements the client owes this socket."""
        return 0 if self._pending is None else len(self._pending)

    def answered(self, packet: Ack) -> None:
        """Take an acknowledgement; one that nobody waits for is ignored."""
        if self._pending is not None:
            waiter = self._pending.pop(packet.id, None)
            if waiter is not None:
                waiter.answered(self.id, packet.args)

    def forget(self, packet_id: int) -> None:
        """Stop waiting for an acknowledgement."""
        if self._pending is not None:
            self._pending.pop(packet_id, None)

    def _forget_later(self, packet_id: int, _reply: Reply) -> None:
        self.namespace.host.call(self.forget, packet_id)

    # Its life

    def begin(self) -> None:
        """Every middleware has agreed: the socket is open."""
        self.state = State.OPEN

    def enter(self, names: tuple[str, ...]) -> None:
        """Join rooms, unless the socket has ended."""
        if self.state is _OPEN or self.state is _OPENING:
            self.namespace.adapter.add_all(self.id, names)

    def quit(self, names: tuple[str, ...]) -> None:
        """Leave rooms."""
        for room in names:
            self.namespace.adapter.remove(self.id, room)

    # The end

    def disconnected(self, close: bool) -> None:  # noqa: FBT001 - queued by position
        """Disconnect the client, from this namespace or altogether."""
        if close:
            self._peer.dismiss("server namespace disconnect")
        else:
            self.dismiss("server namespace disconnect")

    def dismiss(self, reason: str) -> None:
        """Tell the client that it is out of the namespace, or will not get in, and end."""
        name = self.namespace.name
        self.namespace.adapter.settle()
        if self.state is State.OPEN:
            self._peer.send(Disconnect(name))
        elif self.state is State.OPENING:
            self._peer.send(ConnectError(name, {"message": reason}))
        self.end(reason, None, State.DISMISSED)

    def drop(self, reason: str) -> None:
        """End the whole connection, as if it had been lost: the client has another one."""
        self._peer.drop(reason)

    def end(self, reason: str, description: str | None, state: State = State.ENDED) -> None:
        """End it: nothing is sent any more, replies fail, handlers get their turn."""
        before = self.state
        if before is not State.OPEN and before is not State.OPENING:
            return
        self.state = state
        was_open = before is State.OPEN
        if was_open:
            del self.namespace.sockets[self.id]
        pending, self._pending = self._pending, None
        for waiter in list((pending or {}).values()):
            waiter.lost(self.id, reason)
        if not was_open:
            self.namespace.opening -= 1
            self.vanish(was_open=False)
        self._peer.leave(self, was_open, reason, description)

    def vanish(self, *, was_open: bool) -> None:
        """Leave every room: the last thing that happens to a socket but its handlers."""
        self.state = State.GONE
        self.namespace.adapter.forget_session(self)
        # A client of Socket.IO v2 that has joined again meanwhile has the same id.
        if self.id not in self.namespace.sockets:
            self.namespace.adapter.remove_all(self.id, was_connected=was_open)
        self.namespace.vacated()

    def acknowledge(self, prepared: Prepared) -> None:
        """Send an encoded acknowledgement, unless the socket has ended."""
        if self.state is State.OPEN:
            self._peer.transmit(prepared)


class Acknowledge:
    """The function that a handler with ``ack=True`` gets: call it once, from any thread, or never.

    Further calls do nothing; neither do calls for an event that asked for no acknowledgement.
    """

    __slots__ = ("_member", "_packet_id")

    def __init__(self, member: Member, packet_id: int | None) -> None:
        self._member = member
        self._packet_id = packet_id

    def __call__(self, *values: Any) -> None:
        """Acknowledge with these values; ``LocalProtocolError`` if they cannot be sent."""
        packet_id = self._packet_id
        if packet_id is not None:
            namespace = self._member.namespace
            prepared = namespace.host.prepare(Ack(namespace.name, list(values), packet_id))
            namespace.host.call(self._send, prepared)

    def _send(self, prepared: Prepared) -> None:
        if self._packet_id is not None:
            self._packet_id = None
            self._member.acknowledge(prepared)
