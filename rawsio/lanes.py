"""Straight into the outbox: what a client is told for whom nothing waits.

A :class:`Lane` is the outbox of a plain WebSocket, and open while all that is put there leaves with
this turn.  The sockets of its client have it (``socket._lane``) as long as nobody hears what they
send.  A broadcast puts its one frame into the lanes of its receivers; an event for one client is
encoded here, from its name and arguments to its frame, with no packet, message or prepared form in
between (:meth:`Lane.says`).

What is sent to one client is counted where it is sent.  What is sent to many is counted once for
all of them: see :meth:`Lane.holds`.
"""

from __future__ import annotations

from _thread import get_ident

from rawsio.app.states import SocketState
from rawsio.engineio.states import SessionState
from rawsio.reading import BRIEF
from rawsio.routes import Direct
from rawsio.socketio.packets import RESERVED
from rawsio.socketio.values import HasBinary, Unsendable, encode_plain
from rawsio.websocket.frames import TEXT_HEADERS, text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike, Prepared
    from rawsio.app.multiplexer import Multiplexer
    from rawsio.engineio.server.links import PlainWebSocket
    from rawsio.engineio.server.session import Session
    from rawsio.reading import Reading

    from .routes import Port

__all__ = ["OVERHEAD", "Lane"]

_OPEN, _JOINED = SessionState.OPEN, SocketState.OPEN
OVERHEAD = 15
"""What a port counts for a packet (``Port.OVERHEAD``), but for the first digit of its text."""


class Lane(Direct):
    """The outbox of a plain WebSocket, for the sockets of its client; see the module."""

    __slots__ = ("outbox", "stream", "layer", "_reading", "_clogged", "_reads")

    def __init__(
        self,
        multiplexer: Multiplexer,
        port: Port,
        session: Session,
        websocket: PlainWebSocket,
        reading: Reading,
    ) -> None:
        Direct.__init__(self, multiplexer, port, session, websocket)  # super() makes an object
        self._reading = reading
        self.layer = websocket
        self.outbox: list[Any] = websocket.outbox
        """The frames that it sends."""
        self.stream: Any = websocket.below
        """What carries them."""
        # Whether more waits for the client than leaves with a turn.
        self._clogged = False
        # Whether a read of this client is worked off, behind which its outbox is sent in any case.
        self._reads = False

    def clog(self) -> None:
        """Take note that more waits than leaves with this turn: all is counted from now on."""
        if not self._clogged:
            self._clogged = True
            for socket in self._multiplexer.sockets.values():
                socket._lane = None

    def flow(self) -> None:
        """Take note that less waits: if it is nothing, lanes are open again."""
        if self._clogged and self._port.room >= 0 and not self.stream.buffered_amount:
            self._clogged = False
            for socket in self._multiplexer.sockets.values():
                socket._lane = self if socket._state is _JOINED and socket._hooks is None else None

    def says(
        self, space: NamespaceLike, name: Any, args: tuple[Any, ...], number: int | None = None
    ) -> bool:
        """Send an event, ``number`` being its id; ``False``, and nothing is done, if it is no plain
        one: it has another name than most, bytes, or what cannot be sent, there is no room, too
        many answers are awaited, or it was called on another thread.
        """
        stream = self.stream
        if name.__class__ is not str or name in RESERVED or space.adapter.recovers:
            return False
        if get_ident() != stream.driver.loop.owner or self._engine.state is not _OPEN:
            return False
        digits, where = "" if number is None else str(number), space.name
        head = f"42{digits}" if where == "/" else f"42{where},{digits}"
        value: Any = args[0] if len(args) == 1 else None
        if value.__class__ is str and len(value) < BRIEF and (name + value).isascii():
            quoted = self._reading.quoted
            text = f"{head}[{quoted(name)},{quoted(value)}]"
        else:
            try:
                text = head + encode_plain([name, *args])
            except (HasBinary, Unsendable):
                return False
        room = self._port.room - len(text) - OVERHEAD
        if room < 0 or (number is not None and not self._may_ask(number)):
            return False
        if len(text) > self._limits.json_depth and self._too_deep(text):
            return False
        self._port.room = room
        outbox, body = self.outbox, text.encode()
        if not outbox and not self._reads:
            stream.driver.touch(stream)
        outbox.append(TEXT_HEADERS[len(body)] + body if len(body) < 126 else text_frame(body))
        return True

    def _may_ask(self, number: int) -> bool:
        """Tell whether the client may be asked, with this id; on the loop's thread."""
        limits = self._limits
        return number <= limits.packet_id and self._multiplexer.awaited() < limits.pending_acks

    # One packet for many

    def takes(self, prepared: Prepared) -> bool:
        """Tell whether a packet may be put into the lanes of this server now, and count it."""
        if prepared.checked is not self._limits and not self._check(prepared):
            return False
        return self.holds(len(prepared.frame))

    def holds(self, size: int) -> bool:
        """Tell whether so many bytes may be put into the lanes of this server now, and count."""
        driver = self.stream.driver
        if not driver.dirty and not driver.behind:
            driver.told = 0
        if driver.told + size > self._limits.high_water // 4:
            return False
        driver.told += size
        return True

    def touch(self, streams: list[Any]) -> None:
        """Have these send what they have."""
        self.stream.driver.touch_all(streams)

    def hand_out(self, lanes: list[Lane], frame: bytes, *, now: bool) -> None:
        """Put bytes into these lanes; ``now``: send them where nothing else is to be sent."""
        self.stream.driver.hand_out(lanes, frame, now=now)
