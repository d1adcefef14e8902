"""``socket.conn``: one Engine.IO session, as the Socket.IO side and the application see it.

It is the only door between the two.  The model above sends messages and prepared packets through
it and asks how much waits; it never sees links, streams or frames, and nothing here raises for
what the peer did: a session that is over takes no more and says nothing.

Because everything goes through it, this is also where a client that takes less than it is sent
is dealt with.  What waits for a client is counted in bytes: what the kernel did not take, what the
layers hold until the end of the turn, and over polling what no poll has taken yet.  Three marks
of :class:`~rawsio.limits.Limits` matter, and the server's option ``backpressure``:

- above ``low_water``, volatile packets are dropped, whatever the policy;
- at ``high_water`` the policy takes hold.  ``"pause"``, the default, stops reading from the
  client, so that its requests make no more answers.  ``"drop-volatile"`` goes on reading: for
  clients whose words must be heard (its pongs, too) while ours may be lost.  ``"disconnect"`` cuts
  it off;
- at ``queue`` it is cut off under every policy: that is what a client that never reads can cost.

When what waits falls back to ``low_water``, the handlers of ``drain`` are called.  A client that
polls makes a new connection for each word, so there is nothing to pause; it drains when a poll
takes the queue, and ``queue`` bounds it like the others.

A client is cut off at the end of the turn, so that a broadcast never changes the set it iterates;
what is sent to it until then is dropped.  So an emit of more than ``queue`` bytes to one client
in one turn, in several packets, loses that client: look at ``buffered_amount``, and go on at
``drain``.

It also chooses the route of the session (:mod:`rawsio.routes`).  :class:`Sessions` makes what
stands above a session that opens: the port, the Socket.IO layer, and the multiplexer, which has
the sockets.
"""

from __future__ import annotations

from enum import Enum

from rawsio.app.multiplexer import Multiplexer
from rawsio.engineio.packets import Message
from rawsio.errors import LocalProtocolError
from rawsio.express import Express
from rawsio.layer import Role
from rawsio.posted import Posted
from rawsio.reading import Reading
from rawsio.routes import Layered
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from rawsio.app.gate import Gate
    from rawsio.app.interfaces import Route
    from rawsio.app.namespaces import Namespaces
    from rawsio.engineio.server.links import Link
    from rawsio.engineio.server.session import Session
    from rawsio.http.messages import Request
    from rawsio.net.tcp_info import TCPInfo
    from rawsio.runtime import Runtime
    from rawsio.socketio.connection import Parser
    from rawsio.trace import Guarded, Traced

    from .session_events import SessionEvents

    FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

__all__ = ["BackPressure", "Conn", "Sessions"]

_POLICIES = ("pause", "drop-volatile", "disconnect")


class BackPressure:
    """The policy of one server for clients that take less than they are sent.

    ``most`` bytes may wait for one client, ``high`` is where the policy takes hold, and ``pauses``
    tells whether it stops reading there.  ``gate`` is what packets wait at before they go out, if
    there is anything to wait for.
    """

    __slots__ = ("host", "policy", "high", "most", "room", "pauses", "gate", "_reading")

    def __init__(self, host: Runtime, policy: str, gate: Gate | None = None) -> None:
        if policy not in _POLICIES:
            raise ValueError(f"backpressure is one of {', '.join(_POLICIES)}, not {policy!r}")
        limits = host.limits
        self.host = host
        self.policy = policy
        self.gate = gate
        self.pauses = policy != "drop-volatile"
        self.high = limits.high_water
        self.most = limits.high_water if policy == "disconnect" else limits.queue
        # Characters for a new client, for whom nothing waits but the open packet.
        self.room = self.high // 8
        self._reading: Reading | None = None

    @property
    def reading(self) -> Reading:
        """How plain events are read; made when the first session wants it."""
        if self._reading is None:
            self._reading = Reading(self.host.limits)
        return self._reading


class _Queue(Enum):
    """How full the queue of a connection was when it was last measured."""

    OPEN = "open"
    FULL = "full"
    CUT = "cut"


_OPEN = _Queue.OPEN


class Conn:
    """One connection of one client, which all its namespaces share.

    ``session`` is the Engine.IO session; the other names are for the application.  ``watched`` says
    that somebody sees every packet.
    """

    OVERHEAD: int = 16
    """More than the header of a frame is long."""

    __slots__ = ("session", "room", "issued", "_pressure", "_queue", "_watched", "_events")

    def __init__(self, session: Session, pressure: BackPressure, *, watched: bool = False) -> None:
        self.session = session
        self.issued = pressure.host.wall()
        """When the session was opened, in seconds since 1970."""
        # How many characters may be sent before what waits is measured again; below one while
        # the queue is not open.
        self.room = pressure.room
        self._pressure = pressure
        self._queue = _OPEN
        self._watched = watched
        self._events: SessionEvents | None = None

    def route(self, multiplexer: Multiplexer) -> Route:
        """Choose the way that the packets of the session go from now on."""
        gate, route = self._pressure.gate, self._choose_route(multiplexer)
        return route if gate is None else gate.route(multiplexer, route)

    def _choose_route(self, multiplexer: Multiplexer) -> Route:
        session, transport = self.session, self.session.transport
        direct: Express | Posted | None = None
        if not self._watched and session.revision == 4 and multiplexer.standard:
            carrier = transport.carrier
            if not transport.immediate:
                direct = Posted(multiplexer, self, session, self._pressure.reading)
            elif carrier is not None:
                direct = self._express(multiplexer, carrier)
        if direct is not None:
            transport.divert(direct)
            return direct
        transport.divert(transport)
        return Layered(multiplexer, self, session if transport.immediate else None)

    def _express(self, multiplexer: Multiplexer, link: Link) -> Express | None:
        websocket = link.plain
        if websocket is None:
            return None
        express = Express(multiplexer, self, self.session, websocket, self._pressure.reading)
        link.offer(express)
        return express

    @property
    def id(self) -> str:
        """The Engine.IO session id.  It is a secret: who knows it can speak for the client."""
        return self.session.id

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``, as it is now."""
        return self.session.transport.name

    @property
    def address(self) -> str:
        """Where the client's first request came from."""
        return self.session.address

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that the client has shown, as ``ssl.SSLSocket.getpeercert()`` gives it.

        ``None`` unless the ``ssl.SSLContext`` asks for one (``verify_mode``): mutual TLS.
        """
        return self.session.certificate

    @property
    def tcp_info(self) -> TCPInfo | None:
        """What the kernel knows of the TCP connection now: round trip, losses, what is under way.

        A :class:`~rawsio.net.tcp_info.TCPInfo`; ``None`` on systems other than Linux, on links that
        are no TCP connection, and between two polls.
        """
        carrier = self.session.transport.carrier
        info: TCPInfo | None = None if carrier is None else carrier.tcp_info
        return info

    @property
    def secure(self) -> bool:
        """Whether the client's first request came by TLS."""
        return self.session.secure

    @property
    def request(self) -> Request:
        """The first request of the session."""
        return self.session.request

    def glance(self) -> Request:
        """Return the first request for who looks at it once: ``request`` keeps it as an object."""
        return self.session.glance()

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the client to take them, what was sent in this turn included."""
        return self.session.buffered_amount

    @property
    def writable(self) -> bool:
        """Whether little enough waits that a volatile packet may join it."""
        return self.session.writable

    def send(self, units: list[Any]) -> None:
        """Send Engine.IO messages: ``str``, ``bytes``, or a ``Prepared`` in place of several.

        They are dropped if the session is over, or if it is about to be cut off.
        """
        if self._queue is not _OPEN and self._refuses():
            return
        session, size = self.session, 0
        try:
            for unit in units:
                if unit.__class__ is str or unit.__class__ is bytes:
                    size += len(unit) + self.OVERHEAD
                    session.send(Message(unit))
                else:
                    size += unit.size + self.OVERHEAD
                    session.send_prepared(unit)
        except LocalProtocolError:
            # The session ended in this very turn; its end is on its way up.
            return
        # To ask what waits costs as much as to send.  It is asked when what was sent since the
        # last time can have reached the next mark.
        self.room -= size
        if self.room < 0:
            self._measure()

    def spend(self, size: int) -> None:
        """Count what was sent past :meth:`send`."""
        self.room -= size
        if self.room < 0:
            self._measure()

    def _measure(self) -> None:
        """See how much waits, and how much may be sent before that is worth seeing again."""
        pressure, waiting, before = self._pressure, self.buffered_amount, self.room
        if waiting >= pressure.most:
            self._queue = _Queue.FULL
        mark = pressure.most
        if waiting < pressure.high:
            mark = pressure.high
        else:
            self.session.transport.await_drain()
        # A character is at most four bytes, and a message may be a header and little else.  What
        # goes out with this very turn is not always counted, but is never more than half of that.
        self.room = (mark - waiting - pressure.high // 2) // 4
        if self.room < 0:
            self.session.user.clogged()
        elif before < 0:
            self.session.user.flowing()

    def _refuses(self) -> bool:
        if self._queue is _Queue.FULL:
            self._queue = _OPEN
            self._measure()
            if self._queue is _Queue.FULL:
                self._queue = _Queue.CUT
                self._pressure.host.call_soon(self._cut_off)
        return self._queue is not _OPEN

    def _cut_off(self) -> None:
        message = f"{self.buffered_amount} bytes wait for a client that does not take them"
        self.session.cut_off(message, "layers-backpressure-queue")

    def close(self, reason: str = "forced close") -> None:
        """End the session, and with it every socket of the connection."""
        self.session.end(reason)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading from the client while ``paused``.

        It is held back by TCP; over polling by the answer to its next POST, which waits.
        """
        self.session.pause(paused)

    if TYPE_CHECKING:

        @overload
        def on(self, name: str, fn: None = None) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def on(self, name: str, fn: FunctionT) -> FunctionT: ...

    def on(
        self, name: str, fn: FunctionT | None = None
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call a function for what happens to the session below Socket.IO; also a decorator.

        ``name`` is one of :data:`rawsio.server.session_events.NAMES`; see there.
        """
        if self._events is None:
            from .session_events import SessionEvents

            self._watched = True
            self._events = SessionEvents(self.session, self._pressure.host.log)
        return self._events.on(name, fn)

    def joined(self) -> None:
        """Take note that the client is in a namespace: it has a place of its own from now on."""
        self.session.confirm()

    def told(self, name: str, *values: Any) -> None:
        """Hear of the session."""
        if self._events is not None:
            self._events.tell(name, *values)

    def __repr__(self) -> str:
        return f"<Conn {self.transport} from {self.address}>"


class Sessions:
    """Makes what is above sessions; ``parser`` and ``trace`` are the server's."""

    __slots__ = ("_host", "_namespaces", "_pressure", "_parser", "_trace")

    def __init__(
        self,
        host: Runtime,
        namespaces: Namespaces,
        pressure: BackPressure,
        parser: Any = None,
        trace: Guarded | None = None,
    ) -> None:
        self._host = host
        self._namespaces = namespaces
        self._pressure = pressure
        self._parser: Parser | None = parser
        self._trace = trace

    def open(self, session: Session) -> None:
        """Give a session that has just begun its user."""
        parser, old, host = self._parser, session.revision == 3, self._host
        if old and parser is None:
            from rawsio.socketio.protocol_v4 import ProtocolV4Parser

            parser = ProtocolV4Parser()
        layer = SocketIOConnection(Role.SERVER, host.limits, parser=parser)
        protocol: SocketIOConnection | Traced = layer
        if self._trace is not None:
            from rawsio.trace import Traced

            report = self._trace.session(session.id)
            protocol = Traced(layer, "socketio", report)
            session.watch(report)
        multiplexer = Multiplexer(
            host,
            self._namespaces,
            Conn(session, self._pressure, watched=self._trace is not None),
            protocol,
            base_id=session.id if old else None,
            standard=parser is None,
        )
        session.bind(multiplexer)
        if old and parser is not None:
            # A client of Socket.IO v2 is in the main namespace without asking.
            multiplexer.receive(parser.encode(Connect("/"))[0])
