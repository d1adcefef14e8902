"""What a client hears only when it is on the disk: the output of a server, held for a moment.

A server that writes down what it does could still tell somebody of it too early.  An event that
some receivers have and that a crash undoes would be missed by the others; so would a message whose
sender has its acknowledgement.  So while something is being written, packets wait here, each
connection's in their order, and go out when the transaction is over in which all that they can
depend on is written: everything that was noted before them.  Nothing is held while nothing is being
written.

A disk that is slow slows events down, and nothing else: after ``limits.recovery_wait`` seconds they
go out as they are, with a line in the log, until a transaction has come to its end again.

One session can wait alone, too, for anything (:class:`HeldRoute`).
"""

from __future__ import annotations

from collections import deque

from rawsio.errors import LocalProtocolError
from rawsio.log import DEBUG, WARNING
from rawsio.socketio.packets import Ack

from .plain_route import PlainRoute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .interfaces import Handle, MultiplexerLike, Prepared, Route, RuntimeLike

__all__ = ["Gate", "GatedRoute", "HeldRoute"]


class Gate:
    """The gate of one server: open, but while something that was noted is not written.

    ``note()`` closes it, ``submit()`` gives the number of the transaction with all that was noted,
    and ``pass_until(number)`` opens it for what had to wait for that.
    """

    def __init__(self) -> None:
        self.shut = False
        """Whether packets have to wait."""
        self._host: RuntimeLike | None = None
        self._collecting = 1
        self._written = 0
        self._needed = 0
        self._late = False
        self._waiting: dict[GatedRoute, None] = {}
        self._timer: Handle | None = None

    def attach(self, host: RuntimeLike) -> None:
        """Begin, on this host."""
        self._host = host

    def route(self, multiplexer: MultiplexerLike, inner: Route) -> Route:
        """Return the way of a session's packets that leads through here, and goes on to ``inner``.

        A session whose transport has changed keeps what waits.
        """
        known = getattr(multiplexer, "route", None)
        if isinstance(known, HeldRoute):
            known = known.inner
        if isinstance(known, GatedRoute):
            known.inner = inner
            return known
        return GatedRoute(self, multiplexer, inner)

    @property
    def needed(self) -> int:
        """The number of the transaction that packets have to wait for now."""
        return self._needed

    def note(self) -> None:
        """Take note that something is to be written with the next transaction."""
        self._needed = self._collecting
        self.shut = not self._late

    def submit(self) -> int:
        """Return the number of the transaction that begins; what is noted now is for the next."""
        self._collecting += 1
        return self._collecting - 1

    def pass_until(self, number: int) -> None:
        """Let pass what waits for this transaction, or for one before it."""
        self._written = max(self._written, number)
        if self._late:
            self._late = False
            self._log(WARNING, "the disk has answered: events wait again until they are stored")
        self._cancel_timer()
        for route in list(self._waiting):
            if route.release(self._written):
                del self._waiting[route]
        self.shut = self._needed > self._written
        if self._waiting:
            self._set_timer()

    def hold(self, route: GatedRoute) -> None:
        """Take note that a route has packets that wait."""
        if not self._waiting:
            self._set_timer()
        self._waiting[route] = None

    def forget(self, route: GatedRoute) -> None:
        """Take note that a route is over."""
        self._waiting.pop(route, None)

    def _set_timer(self) -> None:
        host = self._host
        if host is not None and self._timer is None:
            self._timer = host.call_later(host.limits.recovery_wait, self._overdue)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._timer = None
        self._late = True
        self._log(
            WARNING,
            "the disk has not answered in time: events are sent before they are stored, and a"
            " client that misses one may not get it after a crash [Limits.recovery_wait]",
        )
        self.open()

    def open(self) -> None:
        """Let everything pass: what is noted is not going to be written."""
        self._cancel_timer()
        self.shut = False
        waiting, self._waiting = self._waiting, {}
        for route in waiting:
            route.release(self._collecting)

    def _log(self, level: int, text: str) -> None:
        if self._host is not None:
            self._host.log("recovery", level, text)


class GatedRoute(PlainRoute):
    """The route of a session of such a server: ``inner``, behind the gate, for every socket."""

    __slots__ = ("inner", "_multiplexer", "_gate", "_held")

    def __init__(self, gate: Gate | _Latch, multiplexer: MultiplexerLike, inner: Route) -> None:
        self.inner = inner
        self._gate = gate
        self._multiplexer = multiplexer
        # Transaction, function, packet.
        self._held: deque[tuple[int, Callable[[Any], None], Any]] | None = None

    def send(self, packet: Any) -> None:
        """Send a packet, now or later; ``LocalProtocolError`` if it cannot be encoded."""
        if self._gate.shut or self._held is not None:
            self._multiplexer.host.prepare(packet)  # it raises where the mistake is
            self._hold(self._send, packet)
        else:
            self.inner.send(packet)

    def transmit(self, prepared: Prepared) -> None:
        """Send an encoded packet, now or later."""
        if self._gate.shut or self._held is not None:
            self._hold(self._transmit, prepared)
        else:
            self.inner.transmit(prepared)

    def acknowledge(self, namespace: str, values: list[Any], packet_id: int) -> None:
        """Send an acknowledgement, now or later."""
        if self._gate.shut or self._held is not None:
            packet = Ack(namespace, values, packet_id)
            self._hold(self._transmit, self._multiplexer.host.prepare(packet))
        else:
            self.inner.acknowledge(namespace, values, packet_id)

    def welcome(self, namespace: str, data: dict[str, Any]) -> None:
        """Send the answer to a CONNECT, now or later."""
        if self._gate.shut or self._held is not None:
            self._hold(self._welcome, (namespace, data))
        else:
            self.inner.welcome(namespace, data)

    def _hold(self, fn: Callable[[Any], None], packet: Any) -> None:
        if self._held is None:
            self._held = deque()
        if not self._held:
            self._gate.hold(self)
        self._held.append((self._gate.needed, fn, packet))

    def release(self, written: int) -> bool:
        """Send what had to wait for this transaction; ``True`` if nothing is left.

        What sending leads to waits behind the rest.
        """
        held = self._held
        while held and held[0][0] <= written:
            _, fn, packet = held.popleft()
            fn(packet)
        if held:
            return False
        self._held = None
        return True

    def settle(self) -> None:
        """The session is about to end: send everything, if the layers still take it."""
        if self._held:
            self._gate.forget(self)
            self.release(self._held[-1][0])

    def _transmit(self, prepared: Prepared) -> None:
        # The client may have left the namespace, or be gone, since the packet was made.
        if self._multiplexer.takes_event(prepared.event.namespace):
            self.inner.transmit(prepared)

    def _send(self, packet: Any) -> None:
        self._try(self.inner.send, packet)

    def _welcome(self, answer: tuple[str, dict[str, Any]]) -> None:
        self._try(self.inner.welcome, *answer)

    def _try(self, fn: Callable[..., None], *args: Any) -> None:
        try:
            fn(*args)
        except LocalProtocolError as error:
            host = self._multiplexer.host
            host.log("recovery", DEBUG, f"a packet is not sent any more: {error}")


class _Latch:
    """The gate of one session."""

    __slots__ = ("needed", "shut")

    def __init__(self) -> None:
        self.shut = True
        self.needed = 0

    def hold(self, route: GatedRoute) -> None:
        """Nobody else waits here."""

    def forget(self, route: GatedRoute) -> None:
        """Nobody else waits here."""


class HeldRoute(GatedRoute):
    """The route of a session that waits until :meth:`open` was called as often as it was held.

    >>> from types import SimpleNamespace
    >>> peer = SimpleNamespace(route=SimpleNamespace(transmit=print, retire=bool))
    >>> peer.takes_event, peer.take = bool, lambda route: setattr(peer, "route", route)
    >>> held = HeldRoute.of(peer)
    >>> peer.route.transmit(SimpleNamespace(event=SimpleNamespace(namespace="/")))
    >>> held.open()
    namespace(event=namespace(namespace='/'))
    >>> peer.route is held
    False
    """

    __slots__ = ("_latch", "_waits")

    def __init__(self, multiplexer: MultiplexerLike) -> None:
        self._latch = _Latch()
        self._waits = 0
        super().__init__(self._latch, multiplexer, multiplexer.route)

    @classmethod
    def of(cls, multiplexer: MultiplexerLike) -> HeldRoute:
        """Hold what is sent to this client from now on, once more; return its route."""
        route = multiplexer.route
        if not isinstance(route, cls):
            route.retire()
            route = cls(multiplexer)
            multiplexer.take(route)
        route._waits += 1
        return route

    def open(self) -> None:
        """One thing that it waited for has happened; with the last one it is the route no more."""
        self._waits -= 1
        if self._waits == 0:
            self._latch.shut = False
            self.release(0)
            if self._multiplexer.route is self:
                self._multiplexer.take(self.inner)

    def clog(self) -> None:
        """Everything is counted, also when this is the route no more."""
        self.inner.clog()

    def give_way(self, route: Route) -> Route:
        """Return the route of the session, whose way has changed: it waits as before."""
        self.inner = route
        return self
