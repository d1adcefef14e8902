"""The two ways that a session's packets go: through every layer, or past them.

Each session has one *route*.  :class:`Layered` goes through all layers, in both directions.  Over
polling, or on a plain WebSocket, in a namespace that is joined, no layer below the handlers does
more with an event than pass it on and note that the peer lives, which costs more than to parse it.
:class:`Direct` does just that, in one step, for four kinds of packets: events and acknowledgements
that come, acknowledgements that go, packets that were encoded once for many, and the two with which
nearly every session begins: the CONNECT for the main namespace, and its answer.

**Direct leaves at the first doubt, and has then changed nothing.**  Where anything is unusual
(bytes, a namespace that is not joined, a mistake, a state, a queue that is full) it is a
:class:`Layered`, and the layers remain the only ones to know what is wrong and what to answer.
``tests/test_routes.py`` holds both routes to the same bytes, calls and states.

The port of a session chooses (``Conn.route``): when the session opens, when another transport
takes over, and when somebody begins to watch.
"""

from __future__ import annotations

from rawsio.app.plain_route import PlainRoute
from rawsio.app.states import SocketState
from rawsio.engineio.states import SessionState
from rawsio.errors import LocalProtocolError, SocketIOError
from rawsio.lazy import Pattern
from rawsio.log import ERROR
from rawsio.socketio.packets import Ack, Connect, Event, event_args
from rawsio.socketio.values import (
    HasBinary,
    Unsendable,
    check_attachments,
    decode_value,
    encode_plain,
    nesting,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Any, Protocol

    from rawsio.app.interfaces import Prepared
    from rawsio.app.multiplexer import Multiplexer
    from rawsio.app.socket import Socket
    from rawsio.engineio.server.links import Link, PacketSender
    from rawsio.engineio.server.session import Session
    from rawsio.engineio.server.transport import Transport
    from rawsio.socketio.packets import AnyEvent

    class Port(Protocol):
        """The port of a session (``rawsio.server.session_port.Conn``), as a route needs it."""

        OVERHEAD: int
        """What a message costs beside its text."""
        room: int
        """What may be sent before the port wants to measure; below one if it takes no more."""

        def send(self, units: list[Any], /) -> None:
            """Send Engine.IO messages, or drop them."""

        def spend(self, size: int, /) -> None:
            """Count what was sent."""


__all__ = ["Direct", "Layered"]

_OPEN, _JOINED = SessionState.OPEN, SocketState.OPEN

# A message with an event or an acknowledgement: type, namespace unless it is "/", id.
_HEAD = Pattern(r"4([23])(?:(/[^,]*),)?([0-9]{0,15})\[")


class Layered(PlainRoute):
    """The route through all layers: each is given what the one above has made.

    The port is between Socket.IO and Engine.IO, and counts what waits.  Where a ``session`` is
    given its transport takes packets at once; as long as the port has room, they go there straight.
    """

    __slots__ = ("_multiplexer", "_protocol", "_port", "_session")

    def __init__(
        self, multiplexer: Multiplexer, port: Port, session: Session | None = None
    ) -> None:
        self._multiplexer = multiplexer
        self._protocol = multiplexer.protocol
        self._port = port
        self._session = session

    def send(self, packet: AnyEvent) -> None:
        """Send a packet; ``LocalProtocolError`` if it cannot be encoded, or is illegal now."""
        protocol = self._protocol
        protocol.send(packet)
        self._port.send(protocol.data_to_send())

    def transmit(self, prepared: Prepared) -> None:
        """Send an encoded packet; one that is illegal now is dropped, with a line in the log."""
        try:
            units = self._protocol.transmit(prepared)
        except LocalProtocolError as error:
            multiplexer = self._multiplexer
            message = f"{multiplexer.sink.address}: a packet was dropped: {error}"
            multiplexer.host.log("socketio", ERROR, message)
            return
        port, session = self._port, self._session
        size = port.OVERHEAD + prepared.size
        if session is None or size > port.room or units[0] is not prepared:
            port.send(units)
            return
        try:
            packets = session.connection.transmit(prepared)
        except LocalProtocolError:
            return  # the session has ended in this very turn; its end is on its way up
        port.room -= size
        session.transport.send_all(packets)

    def acknowledge(self, namespace: str, values: list[Any], packet_id: int) -> None:
        """Send an acknowledgement."""
        self.send(Ack(namespace, values, packet_id))

    def welcome(self, namespace: str, data: dict[str, Any]) -> None:
        """Send the answer to a CONNECT."""
        self.send(Connect(namespace, data))


class Direct(Layered):
    """The route of a session that nobody watches; see the module.

    It hears packets before the session does, and gives that what is unusual.  What it sends it puts
    into the ``outlet``: a plain WebSocket, or the session's queue, which polls take.
    """

    __slots__ = ("session", "_transport", "_engine", "_outlet", "_limits")

    def __init__(
        self, multiplexer: Multiplexer, port: Port, session: Session, outlet: PacketSender
    ) -> None:
        transport = session.transport
        # super() makes an object, for each connection.
        Layered.__init__(self, multiplexer, port, session if transport.immediate else None)
        self.session = session
        self._transport: Transport = transport
        self._engine = session.connection
        self._outlet = outlet
        self._limits = multiplexer.host.limits

    def _is_usual(self, socket: Socket) -> bool:
        """Tell whether nothing but the handlers of its namespace hears the events of a socket."""
        if socket._state is not _JOINED or socket._hooks is not None:
            return False
        return socket._handlers is None and self._multiplexer.host.inline

    # In: the user of the link

    def receive_packet(self, packet: str | bytes) -> bool:
        """Take one Engine.IO packet to the handlers; ``False`` if it was a mistake."""
        if (
            type(packet) is str
            and self._engine.state is _OPEN
            and len(packet) < self._limits.turn_bytes
        ):
            head = _HEAD.match(packet)
            if head is not None:
                if self._take(head):
                    return True
            elif packet[:2] == "40" and self._join(packet):
                return True
        return self.session.receive(packet)

    def _join(self, packet: str) -> bool:
        """Take the CONNECT of a client whom nobody has to be asked about."""
        data, limits, multiplexer = None, self._limits, self._multiplexer
        if len(packet) > 2:
            if packet[2] != "{" or len(packet) - 2 > limits.credentials:
                return False
            try:
                data = decode_value(packet, 2, limits)
            except SocketIOError:
                return False
        if not multiplexer.open_to_all or not self._protocol.take_connect():
            return False
        self._engine.heard()
        if multiplexer.counts(packet[1:]):
            multiplexer.take_connect(data)
        return True

    def _take(self, head: re.Match[str]) -> bool:
        kind, namespace, digits = head.groups("/")
        if not self._protocol.passes(namespace):
            return False
        packet = head.string
        limits, multiplexer = self._limits, self._multiplexer
        number = int(digits) if digits else None
        if number is not None and number > limits.packet_id:
            return False
        try:
            args = decode_value(packet, head.end() - 1, limits)
            if kind == "2":
                event_args(args)
            elif number is None:
                return False
        except SocketIOError:
            return False
        self._engine.heard()
        if not multiplexer.counts(packet[1:]):
            return True
        if kind == "2":
            multiplexer.take_event(Event(namespace, args, number))
        else:
            multiplexer.take_ack(Ack(namespace, args, int(digits)))
        return True

    def accepted(self, link: Link) -> None:
        """The link is a WebSocket already."""

    def receive_body(self, link: Link, body: bytes) -> None:
        """A WebSocket brings no body."""
        self._transport.receive_body(link, body)

    def go_on(self, link: Link) -> None:
        """It is the connection's turn again."""
        self._transport.go_on(link)

    def lost(self, link: Link, reason: str) -> None:
        """The WebSocket is gone."""
        self._transport.lost(link, reason)

    def drained(self, link: Link) -> None:
        """Little enough waits to be sent."""
        self._transport.drained(link)

    # Out: what the multiplexer sends

    def acknowledge(self, namespace: str, values: list[Any], packet_id: int) -> None:
        """Send an acknowledgement."""
        if self._engine.state is _OPEN:
            space = "" if namespace == "/" else namespace + ","
            try:
                text = f"43{space}{packet_id}{encode_plain(values)}"
            except (HasBinary, Unsendable):
                text = ""  # the layers say what is wrong, or send it in parts
            size = self._port.OVERHEAD + len(text) - 1
            if (
                text
                and size <= self._port.room
                and not self._too_deep(text)
                and self._outlet.put_text(text)
            ):
                self._port.room -= size
                return
        super().acknowledge(namespace, values, packet_id)

    def welcome(self, namespace: str, data: dict[str, Any]) -> None:
        """Send the answer to a CONNECT."""
        text, port = f"40{encode_plain(data)}", self._port
        if (
            namespace != "/"
            or self._engine.state is not _OPEN
            or self._too_deep(text)
            or not self._protocol.let_in()
        ):
            super().welcome(namespace, data)
            return
        size = port.OVERHEAD + len(text) - 1
        if size <= port.room and self._outlet.put_text(text):
            port.room -= size
        else:
            port.send([text[1:]])

    def transmit(self, prepared: Prepared) -> None:
        """Send an event or acknowledgement of a socket that is open, or about to be."""
        port = self._port
        size = port.OVERHEAD + prepared.size
        if (
            size <= port.room
            and self._engine.state is _OPEN
            and (prepared.checked is self._limits or self._check(prepared))
            and self._outlet.put_prepared(prepared)
        ):
            port.room -= size
        else:
            super().transmit(prepared)

    def _check(self, prepared: Prepared) -> bool:
        """See once, for all receivers of one server, that the packet breaks no limit."""
        event, text = prepared.event, prepared.messages[0]
        if not isinstance(event, (Event, Ack)) or not isinstance(text, str):
            return False
        if prepared.parser is not None or self._too_deep(text):
            return False
        if len(prepared.messages) > 1:
            try:
                check_attachments(prepared.messages, self._limits)
            except Unsendable:
                return False
        if event.id is not None and event.id > self._limits.packet_id:
            return False
        prepared.checked = self._limits
        return True

    def _too_deep(self, text: str) -> bool:
        most = self._limits.json_depth  # each level has two brackets
        return len(text) >= 2 * most and nesting(text, most) > most
