"""One Engine.IO session as Socket.IO sees it: its protocol state, and a socket for each namespace.

A :class:`Multiplexer` owns the session's Socket.IO connection (``protocol``), the sockets of the
namespaces that the client joined, and the queue in which its handlers run.  The server makes one
when a session opens, feeds it, and tells it when the session has ended::

    peer = Multiplexer(host, namespaces, sink, SocketIOConnection(Role.SERVER, limits))
    peer.receive(message)                 # for every Engine.IO message
    peer.ended("ping timeout")            # once, when the session is over, with the reason
    peer.drained()                        # what waited to be sent has been taken

``host`` is the :class:`~rawsio.app.interfaces.RuntimeLike` of the server, ``sink`` the
:class:`~rawsio.app.interfaces.SessionPort` of the session.  A multiplexer sets its own timers for
what its protocol waits for.

What becomes of events stands in :mod:`rawsio.app.dispatch`.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError, Refused, SocketIOError
from rawsio.layer import Closed, Failed
from rawsio.log import WARNING
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event
from rawsio.socketio.values import made_of, weight

from .dispatch import EventQueue
from .handler_queue import log_failure
from .lifecycle_events import (
    AdmissionChain,
    raise_library_event,
    refusal,
    tell_of_end,
    tell_of_entry,
)
from .plain_route import ENDED
from .states import SocketState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.socketio.connection import SocketIOConnection
    from rawsio.trace import Traced

    from .interfaces import Handle, Prepared, Route, RuntimeLike, SessionPort
    from .namespace import Namespace
    from .namespaces import Namespaces
    from .patience import Late
    from .socket import Socket

__all__ = ["Multiplexer"]

_OPEN = SocketState.OPEN

_HEADS = ("5", "6")
"""How the messages begin that attachments follow."""

_LIGHT = 1024
"""Data of a CONNECT below this is not counted."""

_SHORT = 256
"""Characters up to which a message is not looked at for what it becomes, if no other waits."""

_RATE_WINDOW = 10.0
"""Seconds over which the rate of packets is averaged."""


_NO_MORE: dict[str, Socket] = {}


class Multiplexer(EventQueue):
    """One client connection: its sockets by namespace; see the module's essay.

    ``base_id`` is for clients of Socket.IO v2, which take the id of their Engine.IO session for
    their own: give it, and feed ``"0"`` once the peer is in its place, as such a client is in ``/``
    from the start.  ``standard`` says that packets have the standard form, as no parser of the
    application makes them.
    """

    __slots__ = (
        *("namespaces", "protocol", "base_id", "standard", "_first", "_more", "route"),
        *("_over", "_asked", "_deciding", "_timer", "allowance", "_window", "_weights"),
    )

    def __init__(
        self,
        host: RuntimeLike,
        namespaces: Namespaces,
        sink: SessionPort,
        protocol: SocketIOConnection | Traced,
        *,
        base_id: str | None = None,
        standard: bool = True,
    ) -> None:
        EventQueue.__init__(self, host, sink)  # super() makes an object, for each connection
        self.namespaces = namespaces
        self.protocol = protocol
        self.base_id = base_id
        self.standard = standard
        # Nearly every client is in one namespace: a dictionary for it would be the largest thing
        # that is kept of a connection.  Those that it joined later are in another.
        self._first: Socket | None = None
        self._more: dict[str, Socket] = _NO_MORE
        self._over = False
        # CONNECTs whose namespace is being looked for, by name.
        self._asked: dict[str, object] | None = None
        # CONNECTs that functions of the application still judge, cancelled ones included.
        self._deciding = 0
        self._timer: Handle | None = None
        # What the data of CONNECTs takes, by namespace, where it is worth counting.
        self._weights: dict[str, int] | None = None
        self.allowance = int(host.limits.events_per_second * _RATE_WINDOW)
        self._window = now = host.time()
        self.route: Route = sink.route(self)
        self.dispatch(protocol.tick(now))
        until = protocol.deadline
        if until:  # for its first namespace, like every client
            self._timer = namespaces.joining.wait(until, self)

    @property
    def sockets(self) -> dict[str, Socket]:
        """The sockets by the name of their namespace, in the order in which they came; a copy."""
        first = self._first
        return {**self._more} if first is None else {first.namespace.name: first, **self._more}

    def socket_in(self, namespace: str) -> Socket | None:
        """Return the socket in a namespace."""
        first = self._first
        if first is not None and first.namespace.name == namespace:
            return first
        return self._more.get(namespace)

    # In

    def receive(self, message: str | bytes) -> None:
        """Take one Engine.IO message."""
        if not self.counts(message):
            return
        protocol = self.protocol
        if message.__class__ is str and message[:1] in _HEADS:
            # The protocol has to know since when it waits for attachments.
            protocol.tick(self.host.time())
        for event in protocol.receive(message):
            if type(event) is Event:
                self.take_event(event)
            else:
                self._RECEIVE[type(event)](self, event)
        if self._timer is None and protocol.deadline:
            self.late()

    @property
    def reading(self) -> bool:
        """Whether more messages are of use: not while a long one is being read."""
        return self._over or self.protocol.reading

    def go_on(self) -> None:
        """Read the next step of a long message; whoever feeds the connection calls it."""
        if self._over:
            return
        self.dispatch(self.protocol.tick(self.host.time()))
        if self._timer is None and self.protocol.deadline and not self._over:
            self.late()

    def go_on_alone(self) -> None:
        """Read a long message to its end, in turns of its own: nobody waits for it to feed on."""
        self.go_on()
        if not self.reading:
            self.host.call_later(0.0, self.go_on_alone)

    def counts(self, message: str | bytes) -> bool:
        """Count a message; ``False`` if it is one too many, or the session is over."""
        if self._over:
            return False
        if self.busy:
            self.arriving += made_of(message, packed=not self.standard)
        elif len(message) > _SHORT:
            self._arrives(message)
        self.allowance -= 1
        return self.allowance >= 0 or not self._too_fast()

    def weigh(self, message: str | bytes) -> None:
        """Take note of how much is made of a message that was counted already."""
        if len(message) > _SHORT:
            self._arrives(message)

    def _arrives(self, message: str | bytes) -> None:
        # Text begins a packet, unless its parser has none; bytes may belong to the one before.
        begins = message.__class__ is str or not self.standard
        made = made_of(message, packed=not self.standard)
        self.arriving = made + (0 if begins else self.arriving)

    def dispatch(self, events: list[Any]) -> None:
        """Take what the protocol gave, if somebody else has fed it."""
        for event in events:
            self._RECEIVE[type(event)](self, event)

    def take_event(self, event: Event) -> None:
        """Take an event that the protocol let through."""
        socket = self.socket_in(event.namespace)
        if socket is None:
            self.arriving = 0
            return
        self.run(socket, event)

    def take_ack(self, packet: Ack) -> None:
        """Take an acknowledgement that the protocol let through."""
        self.arriving = 0
        socket = self.socket_in(packet.namespace)
        if socket is not None:
            socket._answered(packet)

    def _disconnect(self, packet: Disconnect) -> None:
        if self._asked is not None:
            self._asked.pop(packet.namespace, None)
        socket = self.socket_in(packet.namespace)
        if socket is not None:
            socket._end("client namespace disconnect", None)
        answer = self.protocol.data_to_send()  # to the CONNECT that this has cancelled
        if answer:
            self.sink.send(answer)

    def _failed(self, event: Failed) -> None:
        address = self.sink.address
        self.host.log("socketio", WARNING, f"{address}: {event.message} [{event.rule}]")
        error = ValueError(event.message)
        for socket in self.sockets.values():
            raise_library_event(self.host, socket, "error", error)
        self.drop("forced close", event.message)

    def _closed(self, _event: Closed) -> None:
        """The end of the session is told to :meth:`ended`, with its reason."""

    # Entering a namespace

    def _connect(self, packet: Connect) -> None:
        name, most = packet.namespace, self.host.limits.namespaces
        if self._deciding >= most:
            message = f"more than {most} namespaces that are still decided about"
            self._failed(SocketIOError(message, "socketio-v5-limit-deciding").as_event())
            return
        if not self._keeps(name, packet.data):
            return
        token = object()
        self._deciding += 1
        self._asked = {**(self._asked or {}), name: token}

        def found(namespace: Namespace | None) -> None:
            if namespace is None or self._is_withdrawn(name, token):
                decided(namespace, None)
            else:
                namespace._recall(self, packet.data, lambda session: decided(namespace, session))

        def decided(namespace: Namespace | None, session: Any) -> None:
            self._deciding -= 1
            if self._asked is None or self._is_withdrawn(name, token):
                if namespace is not None:  # perhaps made for this client, which is gone
                    namespace._give_back(session)
                return
            del self._asked[name]
            self._asked = self._asked or None
            if namespace is None:
                self.route.send(ConnectError(name, {"message": "Invalid namespace"}))
            else:
                self._admit(namespace, packet.data, session)

        self.namespaces.find(name, packet.data, found)

    def _is_withdrawn(self, name: str, token: object) -> bool:
        """Tell whether the client has withdrawn its CONNECT, or is gone."""
        return self._asked is None or self._asked.get(name) is not token

    def takes_event(self, namespace: str, /) -> bool:
        """Tell whether an event may be sent to a namespace now."""
        return self.protocol.takes_event(namespace)

    @property
    def open_to_all(self) -> bool:
        """Whether a client that is nowhere may enter ``/`` at once: nobody has to be asked."""
        main = self.namespaces.main
        return not (
            self._over
            or self._first is not None
            or self._more
            or self._deciding
            or main._middleware
            or main.adapter.recovers
            or self.base_id is not None
        )

    def take_connect(self, data: dict[str, Any] | None) -> None:
        """Let a client enter ``/``, which was :attr:`open_to_all`, and has asked with this data."""
        if not data or self._keeps("/", data):
            self._first = socket = self.namespaces.main._admit(self, data)
            self._accept(socket)

    def _keeps(self, name: str, data: Any) -> bool:
        """Count the data of a CONNECT; ``False``, and the end, if all of them are too much."""
        if not data or self._has_room_for(name, data):
            return True
        message = "the data of CONNECT takes too much memory"
        self._failed(SocketIOError(message, "socketio-v5-limit-credentials").as_event())
        return False

    def _has_room_for(self, name: str, data: Any) -> bool:
        most = self.host.limits.credentials_memory
        here = weight(data, most)
        if here < _LIGHT:
            return here <= most
        weights = {k: w for k, w in (self._weights or {}).items() if self._is_in(k)}
        weights[name] = here
        self._weights = weights
        return sum(weights.values()) <= most

    def _is_in(self, name: str) -> bool:
        return self.socket_in(name) is not None or (self._asked is not None and name in self._asked)

    @property
    def connect_data(self) -> int:
        """About how much memory the data of CONNECTs takes."""
        weights = self._weights
        return 0 if weights is None else sum(w for name, w in weights.items() if self._is_in(name))

    @property
    def incoming(self) -> int:
        """Bytes of a packet that waits for its last attachment."""
        return self.protocol.held

    @property
    def held(self) -> int:
        """About how much memory the client makes us keep here."""
        return self.connect_data + self.incoming + self.queued_bytes

    def _admit(self, namespace: Namespace, auth: Any, session: Any) -> None:
        socket = namespace._admit(self, auth, session)
        first = self._first
        if first.namespace is namespace if first is not None else not self._more:
            self._first = socket
        else:
            self._more = {**self._more, namespace.name: socket}
        if self._over:  # by a handler of the connection that it took over
            socket._end("forced close", None)
            return
        recovery = self.host.recovery
        if not namespace._middleware or (socket.recovered and recovery.skip_middlewares):
            self._accept(socket)
            return
        self._deciding += 1
        AdmissionChain(self.host, socket, lambda error: self._judged(socket, error)).run()

    def _judged(self, socket: Socket, error: BaseException | None) -> None:
        self._deciding -= 1
        if socket._state is not SocketState.OPENING:
            return
        if error is None:
            self._accept(socket)
            return
        namespace = socket.namespace
        if not isinstance(error, Refused):
            where = namespace.name
            log_failure(self.host, "middleware for", socket.id, where, error, socket=socket)
        try:
            self.route.send(ConnectError(namespace.name, refusal(error)))
        except LocalProtocolError as wrong:
            # The data of a Refused: the client is refused all the same, and without it.
            log_failure(self.host, "the refusal of", socket.id, namespace.name, wrong)
            self.route.send(ConnectError(namespace.name, {"message": "Internal error"}))
        socket._end("refused", None)

    def _accept(self, socket: Socket, missed: Iterator[Prepared | None] | None = None) -> None:
        """Let a socket in; a restored one once it has got what it missed, a share in each turn."""
        namespace: Any = socket.namespace
        if socket.recovered and socket._state is SocketState.OPENING:
            missed = iter(namespace.adapter.missed(socket)) if missed is None else missed
            for prepared in missed:
                if prepared is None:
                    self.host.call_later(0.0, self._accept, socket, missed)
                    return
                socket._deliver(prepared)
        if socket._state is not SocketState.OPENING:  # it has ended meanwhile
            return
        self.sink.joined()
        data = namespace._enter(socket)
        self.route.welcome(namespace.name, data)
        self.route.attend(socket)
        if self._timer is not None and self.protocol.deadline is None:
            # The time to join is over, and what is due next may be due sooner.
            self._timer.cancel()
            self._timer = None
        tell_of_entry(self, socket)

    # Out: by the route

    def awaited(self) -> int:
        """Return how many acknowledgements the client owes all of its sockets."""
        first, owed = self._first, 0
        if first is not None and first._pending is not None:
            owed = len(first._pending)
        for socket in self._more.values():
            owed += socket._awaited
        return owed

    def wait_for_answer(self, seconds: float, reply: Late) -> Handle:
        """Have ``reply.late()`` called in so many seconds, unless what is returned is cancelled."""
        return self.namespaces.answering.wait(seconds, reply)

    # The end

    def ended(self, reason: str, description: str | None = None) -> None:
        """The Engine.IO session is over: every socket ends with this reason.  Idempotent."""
        if self._over:
            return
        self._over = True
        self.route.settle()
        self.route, self._asked = ENDED, None
        self.sink.told("close", reason)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.protocol.receive_eof()
        for socket in self.sockets.values():
            socket._end(reason, description)

    def drop(self, reason: str, description: str | None = None) -> None:
        """End the session, for this reason."""
        self.ended(reason, description)
        self.sink.close(reason)

    def dismiss(self, reason: str) -> None:
        """Disconnect every socket of the connection, telling the client, and close it."""
        if self._over:
            return
        for socket in self.sockets.values():
            socket._dismiss(reason)
        self.drop(reason)

    def leave(
        self,
        socket: Socket,
        was_open: bool,  # noqa: FBT001 - called by position, for every socket that ends
        reason: str,
        description: str | None,
    ) -> None:
        """Forget a socket that has ended, and let its handlers know in their turn."""
        self.route.attend(socket)
        if socket is self._first:
            self._first = None
        elif self._more.get(socket.namespace.name) is socket:
            self._more = {n: s for n, s in self._more.items() if s is not socket} or _NO_MORE
        if was_open:
            tell_of_end(self, socket, reason, description)

    def drained(self) -> None:
        """What waited to be sent has been taken: handlers of ``drain`` are called."""
        self.sink.told("drain")
        for socket in self.sockets.values():
            raise_library_event(self.host, socket, "drain")

    def reroute(self) -> None:
        """Somebody wants to see every packet: choose the route anew."""
        if not self._over:
            self.route.retire()
            self.take(self.route.give_way(self.sink.route(self)))

    def take(self, route: Route) -> None:
        """Send by this route from now on; the one before is retired."""
        self.route = route
        for socket in self.sockets.values():
            route.attend(socket)

    def unusual(self, socket: Socket) -> None:
        """Take note that a socket has handlers, or listeners, of its own from now on."""
        self.route.attend(socket)

    def clogged(self) -> None:
        """Take note that much waits to be sent."""
        self.route.clog()

    def flowing(self) -> None:
        """Take note that less waits."""
        self.route.flow()

    def moved(self) -> None:
        """The session goes on over a WebSocket."""
        self.reroute()
        if self.paused:
            self.sink.pause(True)
        self.sink.told("upgrade", "websocket")

    # Time

    def late(self) -> None:
        """Take note that the time is over for what the protocol waits for."""
        self._timer = None
        if self._over:
            return
        now = self.host.time()
        self.dispatch(self.protocol.tick(now))
        deadline = self.protocol.deadline
        if deadline and not self._over:  # 0.0: whoever feeds it goes on
            self._timer = self.host.call_later(max(0.0, deadline - now), self.late)

    def _too_fast(self) -> bool:
        now = self.host.time()
        if now - self._window < _RATE_WINDOW:
            most = self.host.limits.events_per_second
            message = f"more than {most} packets a second [socketio-v5-limit-rate]"
            self.host.log("socketio", WARNING, f"{self.sink.address}: {message}")
            self.drop("forced close", message)
            return True
        self._window = now
        self.allowance = int(self.host.limits.events_per_second * _RATE_WINDOW)
        return False

    _RECEIVE: dict[type, Callable[[Multiplexer, Any], None]] = {
        Connect: _connect,
        Event: take_event,
        Ack: take_ack,
        Disconnect: _disconnect,
        Failed: _failed,
        Closed: _closed,
    }
