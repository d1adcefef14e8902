"""The short way of a client: from the bytes of a read to its handlers, from a packet to its frame.

What a server says is mostly short events and acknowledgements, over a WebSocket, to a client that
has asked for them.  :class:`ClientExpress` is offered each read before the layers see it, and takes
those off its front (:func:`~rawsio.reading.said_in`, which changes nothing).  Handlers are called,
and replies ended, as ever: what is left out are the layers between, which would only pass them on.

The other direction is shorter still: a packet that is one text goes from its socket into the outbox
of the WebSocket (:meth:`ClientExpress.put`), unless something waits in the layers that it would
overtake.

Nothing is taken of a session that is not open over its WebSocket, of whose reads a share waits, or
that has ended for its client; nothing where somebody traces, where a parser of the application is
used, or where messages are compressed.  ``tests/client/test_express.py`` holds both ways to the
same.
"""

from __future__ import annotations

from rawsio.reading import ANSWER, LONGEST_NAME, said_in
from rawsio.socketio.packets import RESERVED, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.engineio.client.session import EngineIOClient
    from rawsio.prepared import Prepared
    from rawsio.reading import Found, Reading
    from rawsio.socketio.connection import SocketIOConnection
    from rawsio.websocket.connection import WebSocketConnection

    from .stack import ClientStack

    class Told(Protocol):
        """A socket, as it is told what comes."""

        namespace: str
        _stay: Any

        def _hear(self, stay: Any, event: Event, /) -> None:
            """Take an event."""

        def _take_answer(self, number: int, values: list[Any], /) -> None:
            """Take an acknowledgement."""

    class Session(Protocol):
        """A session, as far as it has to agree."""

        engine: EngineIOClient
        protocol: SocketIOConnection

        @property
        def waits(self) -> bool:
            """Whether events wait for a share."""
            ...

        @property
        def over(self) -> bool:
            """Whether it has ended."""
            ...

    class Core(Protocol):
        """Who has the sockets."""

        runtime: Any

        @property
        def session(self) -> object | None:
            """The session that counts."""

        def socket_in(self, namespace: str, /) -> Told | None:
            """Return the socket in a namespace."""


__all__ = ["ClientExpress"]

_MOST_SKIPPED = 15
"""Of a server that says other things, no more than every sixteenth read is looked at."""


class ClientExpress:
    """The short way of one session over its WebSocket; see the module."""

    __slots__ = (
        *("layer", "outbox", "_core", "_session", "_stack", "_limits"),
        *("_reading", "_name", "_mark", "_odd", "_skip"),
    )

    def __init__(
        self,
        core: Core,
        session: Session,
        stack: ClientStack,
        websocket: WebSocketConnection,
        reading: Reading,
    ) -> None:
        self.layer = websocket
        self.outbox: list[Any] = websocket.outbox
        """The frames that it sends."""
        self._core = core
        self._session = session
        self._stack = stack
        self._limits = core.runtime.limits
        self._reading = reading
        # The namespace that is aimed at, and how its events begin.
        self._name, self._mark = "/", reading.main
        # How many reads were none of it, about, and how many are therefore not looked at.
        self._odd = self._skip = 0

    def clog(self) -> None:
        """Nothing is counted here: whoever emits asks how much waits."""

    def flow(self) -> None:
        """Nothing is counted here."""

    # Out

    def put(self, prepared: Prepared) -> bool:
        """Send a packet; ``False``, and nothing is done, if it has to go through the layers."""
        session, event = self._session, prepared.event
        protocol, engine = session.protocol, session.engine
        if len(prepared.messages) > 1 or protocol.pending or not engine.passing:
            return False
        number = event.id
        if not protocol.passes(event.namespace) or (
            number is not None and number > self._limits.packet_id
        ):
            return False
        text: Any = prepared.packets()[0]
        return self.layer.put_text(text)

    # In

    def read(self, data: bytes, now: float) -> int:
        """Take what is plain off the front of what came; return where the rest begins."""
        session, core = self._session, self._core
        if self._skip:
            self._skip -= 1
            return 0
        if session.waits or session.over:
            return 0
        if self._stack.early or not session.engine.passing:
            return 0
        most = self._reading.most
        found = said_in(data, most, self._mark) or self._elsewhere(data, most)
        socket = core.socket_in(self._name)
        if not found or socket is None or not session.protocol.passes(self._name):
            self._skip = self._odd = min(2 * self._odd + 1, _MOST_SKIPPED)
            return 0
        self._odd = 0
        return self._tell(found, socket, data, now + self._limits.turn_time)

    def _elsewhere(self, data: bytes, most: int) -> list[Found]:
        """Return what is found if another namespace is aimed at, of which the first packet is."""
        begin = 4 if data[1:2] == b"\x7e" else 2
        start = data[begin : begin + 4 + LONGEST_NAME]
        name = start[2:].partition(b",")[0].decode("latin-1") if start[2:3] == b"/" else "/"
        usual = name.isascii() and len(name) < LONGEST_NAME and "[" not in name
        if name == self._name or not usual or self._core.socket_in(name) is None:
            return []
        self._name, self._mark = name, self._reading.mark(name)
        return said_in(data, most, self._mark)

    def _tell(self, found: list[Found], socket: Told, data: bytes, end: float) -> int:
        """Tell the socket what was found, as long as it stays; return where the rest begins."""
        core, session, stay, taken = self._core, self._session, socket._stay, 0
        time, reading, over = core.runtime.time, self._reading, len(found) == self._reading.most
        for digits, args, after, _attached in found:
            if stay is None or socket._stay is not stay:  # it ends with its session
                break
            if args[0] is not ANSWER and args[0] in RESERVED:
                break
            taken = after
            try:
                if args[0] is ANSWER:
                    socket._take_answer(int(digits), args[1])
                else:
                    number = int(digits) if digits else None
                    socket._hear(stay, Event(socket.namespace, args, number))
            except BaseException:  # the program is being stopped, and may go on
                self.layer.put_off(data[after:])
                raise
            if time() >= end:
                over = True
                break
        if taken < len(data) and (over or len(data) > reading.bytes) and core.session is session:
            self.layer.put_off(data[taken:])
            return len(data)
        return taken
