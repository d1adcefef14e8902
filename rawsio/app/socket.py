"""A socket: one client in one namespace.

It is what handlers get: it sends to its client, joins rooms, and knows how the client introduced
itself.  A connection has one for each namespace that the client joined, all with different ids.

What may be called from any thread stands here, and does two things: it checks and encodes its
arguments where it is called, then hands the rest to the host, which runs it on the loop's thread
(:mod:`rawsio.app.member`).  So an argument that cannot be sent raises where the mistake is, and
what one thread emits arrives in that order.

What is emitted to a socket that has ended is dropped: the other end might as well have gone a
moment before.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.socketio.packets import Event

from .adapter import EVERYONE, Targets, snapshot
from .broadcast import Broadcast, Direct, room_names
from .handlers import Handlers
from .handshake import Handshake
from .member import Member, State
from .reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rawsio.http.messages import Request

    from .interfaces import Connection, RuntimeLike

__all__ = ["Socket"]


class Socket(Member):
    """One client in one namespace; see the module's essay.

    ``id`` names it, for others too (it is a room that only this socket is in); the id of the
    connection below stays secret.  ``namespace`` is where it is.  ``recovered`` says that it
    continues a session that was lost.
    """

    __slots__ = ()

    # What it is

    @property
    def connected(self) -> bool:
        """Whether the client is in the namespace now."""
        return self.state is State.OPEN

    @property
    def conn(self) -> Connection:
        """The Engine.IO session that carries it."""
        return self._peer.sink

    @property
    def handshake(self) -> Handshake:
        """How the client introduced itself."""
        if self._handshake is None:
            self._handshake = Handshake(self._opening, self._auth, self._peer.sink)
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
        if self.state is State.GONE:
            return frozenset()
        return frozenset((self.id, *self.namespace.adapter.sids.get(self.id, ())))

    # Handlers

    def _own_handlers(self) -> Handlers:
        if self.handlers is None:
            self.handlers = Handlers()
        return self.handlers

    def _own_host(self) -> RuntimeLike:
        return self.namespace.host

    # Sending

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event to the client.

        ``LocalProtocolError`` if it cannot be encoded, or has a name that is reserved.
        """
        self.emit_event(name, args, EVERYONE)

    def send(self, *args: Any) -> None:
        """Send an event named ``message``."""
        self.emit_event("message", args, EVERYONE)

    def emit_with_ack(self, name: str | int, *args: Any) -> Reply:
        """Send an event and return the :class:`~rawsio.app.reply.Reply` to it.

        It waits until the client answers or the socket ends; ``timeout(seconds)`` sets an end.
        """
        return self.emit_question(name, args, EVERYONE)

    def emit_event(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> None:
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
            host.call(self.deliver_kept, prepared, targets)
        elif targets.volatile:
            host.call(self.deliver_volatile, prepared)
        else:
            host.call(self.deliver, prepared)

    def emit_question(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> Reply:
        """Send an event that asks for an acknowledgement, with flags."""
        namespace = self.namespace
        host = namespace.host
        event = Event(namespace.name, [name, *args], namespace.next_id())
        prepared = host.prepare(event, compress=targets.compress)
        reply = Reply(host)
        host.call(self.ask_for, prepared, reply, targets.timeout)
        return reply

    # Flags and rooms

    @property
    def volatile(self) -> Direct:
        """Send what follows only if little else is waiting to be sent."""
        return Direct(self).volatile

    def compress(self, flag: bool) -> Direct:  # noqa: FBT001 - the reference's signature
        """Say whether what follows is worth compressing."""
        return Direct(self).compress(flag)

    def timeout(self, seconds: float) -> Direct:
        """Set how long ``emit_with_ack`` waits."""
        return Direct(self).timeout(seconds)

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
        host.call(self.enter, names)

    def leave(self, *rooms: str | Iterable[str]) -> None:
        """Leave rooms; the one with its own id cannot be left."""
        self.namespace.host.call(self.quit, room_names(rooms))

    def disconnect(self, *, close: bool = False) -> None:
        """Disconnect the client from this namespace; ``close`` ends its whole connection."""
        self.namespace.host.call(self.disconnected, close)

    def __repr__(self) -> str:
        return f"<Socket {self.id} in {self.namespace.name!r}, {self.state.value}>"
