"""The short way through all layers for what nearly all traffic is: text events and their answers.

An event of forty bytes costs less to parse than to hand from layer to layer.  On a session that is
open on a plain WebSocket, in a namespace that is joined, no layer below the handlers does more
with it than pass it on and note that the peer lives.  A :class:`Fused` is made for each such
session and does just that, in one step, for three kinds of packets: events and acknowledgements
of the main namespace that come, acknowledgements that go, and packets encoded once for many.

The one idea: **it leaves at the first doubt, and has then changed nothing.**  Each method returns
``False`` where anything is unusual (bytes, another namespace, a mistake, a state, a queue that is
full, somebody who watches), and the caller takes the way through the layers, which remain the
only ones to know what is wrong and what to answer.  ``tests/test_fused.py`` holds both ways to the
same bytes, calls and states.

What is left out: whatever is not the commonest traffic.  A program that is traced, has a parser of
its own, or speaks protocol 3 never comes here.
"""

from __future__ import annotations

from rawsio.engineio.states import State
from rawsio.errors import SocketIOError
from rawsio.lazy import Pattern
from rawsio.socketio.packets import Ack, Event, event_args
from rawsio.socketio.values import (
    HasBinary,
    Unsendable,
    decode_value,
    encode_plain,
    nesting,
)
from rawsio.websocket.frames import text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.multiplexer import Multiplexer
    from rawsio.engineio.server.session import Session
    from rawsio.limits import Limits
    from rawsio.stack import Prepared

__all__ = ["Fused"]

_OPEN = State.OPEN

# A message with an event of "/", or with an acknowledgement, which always has an id.
_HEAD = Pattern(r"4(2|3(?=[0-9]))([0-9]{0,15})\[")


class Fused:
    """The short way of one session over one WebSocket; see the module's essay.

    It ends with the session: every method returns ``False`` then.
    """

    __slots__ = ("_session", "_engine", "_conn", "_peer", "_protocol", "_limits")

    def __init__(self, session: Session, limits: Limits) -> None:
        peer: Multiplexer = session.user
        self._session = session
        self._engine = session.connection
        self._peer = peer
        self._conn: Any = peer.sink
        self._protocol = peer.protocol
        self._limits = limits

    def _open(self) -> bool:
        # Watchers put themselves in the place of the connection.
        engine = self._engine
        return engine.state is _OPEN and self._session.connection is engine

    def receive(self, packet: str | bytes) -> bool:
        """Take one Engine.IO packet to the handlers."""
        if packet.__class__ is not str or not self._open() or not self._protocol.passes("/"):
            return False
        head = _HEAD.match(packet)
        if head is None or len(packet) >= self._limits.turn_bytes:
            return False
        kind, digits = head.groups()
        limits, peer = self._limits, self._peer
        number = int(digits) if digits else None
        if number is not None and number > limits.packet_id:
            return False
        try:
            args = decode_value(packet, head.end() - 1, limits)
            if kind == "2":
                event_args(args)
        except SocketIOError:
            return False
        self._engine.heard()
        if not peer.counts(packet):
            return True
        if kind == "2":
            peer.take_event(Event("/", args, number))
        else:
            peer.take_ack(Ack("/", args, int(digits)))
        return True

    def acknowledge(self, namespace: str, values: list[Any], packet_id: int) -> bool:
        """Send an acknowledgement of a socket that is open."""
        if namespace != "/" or not self._open():
            return False
        try:
            data = encode_plain(values)
        except (HasBinary, Unsendable):
            return False
        text = f"43{packet_id}{data}"
        if self._too_deep(text):
            return False
        put: bool = self._conn.put(text_frame(text.encode()), len(text) - 1)
        return put

    def transmit(self, prepared: Prepared) -> bool:
        """Send an event or acknowledgement of a socket that is open, or about to be."""
        if prepared.checked is not self._limits and not self._check(prepared):
            return False
        if not self._open():
            return False
        put: bool = self._conn.put(prepared.frame, prepared.size)
        return put

    def _check(self, prepared: Prepared) -> bool:
        """See once, for all receivers of one server, that the packet breaks no limit."""
        event, text = prepared.event, prepared.messages[0]
        if not isinstance(event, (Event, Ack)) or not isinstance(text, str):
            return False
        if len(prepared.messages) > 1 or prepared.parser is not None or self._too_deep(text):
            return False
        if event.id is not None and event.id > self._limits.packet_id:
            return False
        prepared.checked = self._limits
        return True

    def _too_deep(self, text: str) -> bool:
        most = self._limits.json_depth
        return len(text) > most and nesting(text, most) > most
