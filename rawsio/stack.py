"""Layers on top of each other: one TCP connection as a single layer.

The four protocol packages do not know each other; this module puts them together.  A
:class:`ServerStack` is everything below the point where the pipeline forks (an Engine.IO session
may be served by several TCP connections in turn): HTTP/1.1 first, WebSocket after the upgrade,
bytes in, requests and packets out.  It keeps the contract of :mod:`rawsio.layer`, so whatever
drives a layer drives it.  It is also the *link* that the Engine.IO registry
(:mod:`rawsio.engineio.server.registry`) answers through.

After the upgrade, while it keeps nothing back, a stack *steps aside*: the stream drives the
WebSocket itself, which saves a call for each question that a driver has.  It is between the two
again as soon as events are put back.

TLS is a layer below this one, or at the socket; whoever owns that puts it there.
"""

from __future__ import annotations

from rawsio.engineio.server.links import NOBODY
from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.grammar import REASONS
from rawsio.http.messages import Body, EndOfMessage, Response
from rawsio.http.repeated import answer_whole
from rawsio.layer import Closed, Closing, Role, record
from rawsio.limits import DEFAULT
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message
from rawsio.websocket.frames import text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from rawsio.engineio.server.links import LinkUser, Outlet
    from rawsio.http.messages import Request
    from rawsio.layer import AnyLayer, Taker
    from rawsio.limits import Limits
    from rawsio.prepared import Prepared
    from rawsio.tls import TLSConnection
    from rawsio.trace import Reporter, Traced
    from rawsio.websocket.deflate import Agreement
    from rawsio.websocket.handshake import Accepted

    class Handshake(Protocol):
        """A request that opens a WebSocket, without its key, and what was made of it."""

        def head(self, key: bytes, /) -> bytes: ...
        def frozen(self, key: bytes, /) -> bytes: ...
        def answer(self, key: bytes, /) -> bytes: ...

    class Handshakes(Protocol):
        """The handshakes that are known (:class:`rawsio.server.handshakes.Handshakes`)."""

        def find(self, data: bytes, /, *, secure: bool) -> Recognised | None: ...

    class Timers(Protocol):
        """What a stack needs of the driver's deadlines."""

        def expect(self, target: Any, deadline: float, /) -> None: ...

    class AnsweringDriver(Protocol):
        """What a stack needs of the driver of its stream."""

        @property
        def timers(self) -> Timers: ...
        def answered(self, stream: Any, source: Any, /) -> None: ...

    class Stream(Protocol):
        """What a stack needs of whatever carries its bytes."""

        layer: AnyLayer
        """What it drives."""
        offer: Callable[[Any, bytes, float], bool] | None
        """What may take a read before the layer."""
        quick: Taker | None
        """Who is offered what comes before the layer is."""
        outbox: list[Any]
        """What may be sent without asking the layer."""

        @property
        def driver(self) -> AnsweringDriver: ...
        @property
        def buffered_amount(self) -> int: ...
        @property
        def tcp_info(self) -> Any: ...
        def touch(self) -> None: ...
        def send_soon(self) -> None: ...
        def pause(self) -> None: ...
        def resume(self) -> None: ...
        def enter_high_water(self) -> None: ...
        def abort(self, reason: str, /) -> None: ...


__all__ = ["EndOfInput", "GoOn", "Recognised", "ServerStack"]


@record
class EndOfInput:
    """The peer ended its direction while we owe it an answer (a poll that waits)."""


@record
class GoOn:
    """It is the connection's turn again, and its user has deferred something."""


@record
class Recognised:
    """The first bytes are a request that opens a WebSocket, as others did, but for the key."""

    handshake: Handshake
    key: bytes

    def frozen(self) -> bytes:
        """Return the request as sessions keep it."""
        return self.handshake.frozen(self.key)

    @property
    def size(self) -> int:
        """How much is kept of it."""
        return len(self.key)


class ServerStack:
    """One TCP connection of a server: HTTP/1.1, then perhaps WebSocket.

    ``receive`` gives the events of :mod:`rawsio.http` (``Request Body EndOfMessage``), and after
    :meth:`upgrade` those of :mod:`rawsio.websocket` (``Message Ping Pong``), then one terminal
    event.  :meth:`connect` says what carries the bytes: it is touched whenever there is something
    to send.  ``address`` and ``secure`` say where the peer is and whether TLS is below.  ``user``
    is who hears of the connection (:class:`~rawsio.engineio.server.links.LinkUser`), ``body``
    belongs to the collector of request bodies (``asked`` is how long that was, while an application
    works); ``early`` are events that were put back, which later ones wait for; ``last`` makes the
    next answer the connection's last.  ``date`` gives the ``Date`` of
    answers (RFC 9110 section 6.6.1).  ``trace`` is called as :class:`rawsio.trace.Traced` does, for
    each layer.  ``known`` finds handshakes that need not be read again; the event is then
    :class:`Recognised`.
    """

    __slots__ = (
        *("address", "secure", "tls", "user", "stream", "request", "asked", "body", "trace"),
        *("last", "_date", "_http", "_websocket", "_layer", "_limits", "_head", "_rest", "early"),
        *("_eof", "_known", "_now", "_idle_by", "_quick"),
    )

    def __init__(
        self,
        limits: Limits = DEFAULT,
        *,
        address: str = "",
        secure: bool = False,
        date: Callable[[], str] | None = None,
        trace: Reporter | None = None,
        known: Handshakes | None = None,
    ) -> None:
        self.address = address
        self.secure = secure
        # The layer below, if it is TLS: it knows whose certificate the peer has shown.
        self.tls: TLSConnection | None = None
        self.user: LinkUser = NOBODY
        self.stream: Stream | None = None
        self.request: Request | None = None
        self.body: bytearray | None = None
        self.trace, self.asked = trace, 0
        self._date = date
        self.last = False
        self._limits = limits
        self._head: list[bytes] | None = None
        # What followed an upgrade, events that were put back, and whether the end of input waits
        # behind them: for the next ticks.
        self._rest: bytes | None = None
        self.early: Sequence[Any] = ()
        self._eof = False
        # While nothing has come: who knows what may come, and until when that is waited for.
        self._known = known
        self._now = self._idle_by = 0.0
        # The two stages, and the one that works now: none before something has come.
        self._http: HTTPConnection | Traced | None = None
        self._websocket: WebSocketConnection | Traced | None = None
        self._layer: HTTPConnection | WebSocketConnection | Traced | None = None
        # Who is offered what comes over the WebSocket first.
        self._quick: Taker | None = None
        if trace is not None:
            self._begin()

    @property
    def upgraded(self) -> bool:
        """Whether it is a WebSocket now."""
        return self._websocket is not None

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that the peer has shown (mutual TLS); ``None`` without one."""
        return None if self.tls is None else self.tls.peer_certificate()

    @property
    def tcp_info(self) -> Any:
        """What the kernel knows of the connection, as ``net.tcp_info`` has it, or ``None``."""
        return None if self.stream is None else self.stream.tcp_info

    @property
    def outlet(self) -> Outlet:
        """What takes prepared packets now: the WebSocket, if there is one."""
        return self if self._websocket is None else self._websocket

    @property
    def plain(self) -> WebSocketConnection | None:
        """The WebSocket, if nobody watches what passes between it and what carries it."""
        websocket = self._websocket
        if type(websocket) is not WebSocketConnection or websocket.below is None:
            return None
        return websocket

    # Who is below, and above

    def connect(self, stream: Stream) -> None:
        """Say what carries the bytes."""
        self.stream = stream

    def assign(self, user: LinkUser) -> None:
        """Tell this user what comes from now on."""
        self.user = user

    def release(self) -> None:
        """Tell nobody any more."""
        self.user = NOBODY

    # The contract

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        if self.early or self._eof or self._rest is not None:
            return 0.0
        return self._idle_by if self._layer is None else self._layer.deadline

    @property
    def closing(self) -> Closing:
        """What the driver should do with the connection."""
        if self.early or self._eof or self._layer is None:
            return Closing.OPEN
        return self._layer.closing

    @property
    def reading(self) -> bool:
        """Whether more input is useful now."""
        if self.early or self._eof:
            return False
        return self._layer is None or self._layer.reading

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes from the socket, after ``tick``, which gives what waited."""
        layer = self._layer
        if layer is None:
            found = self.recognise(data)
            if found is not None:
                return [found]
            layer = self._begin()
        return layer.receive(data)

    def recognise(self, data: bytes) -> Recognised | None:
        """Return what the first bytes are, if others have begun with the same."""
        if self._known is None or self._layer is not None:
            return None
        return self._known.find(data, secure=self.secure)

    def read(self, found: Recognised) -> list[Any]:
        """Read a request that was recognised, after all; return the events."""
        self._known = None
        return self.receive(found.handshake.head(found.key))

    def _begin(self) -> HTTPConnection | Traced:
        """Begin to speak HTTP."""
        http = HTTPConnection(Role.SERVER, self._limits, date=self._date)
        trace = self.trace
        begun = http if trace is None else _traced(http, trace)
        if self._idle_by:
            http.tick(self._now)
        self._http = self._layer = begun
        return begun

    @property
    def at_once(self) -> HTTPConnection | None:
        """The HTTP layer, if nobody watches it, and nothing is to be seen to before the input."""
        http = self._http
        if not isinstance(http, HTTPConnection) or self.early or self.last or self._eof:
            return None
        return http

    def put_back(self, events: list[Any]) -> None:
        """Take back events that nobody has seen to; the next ``tick`` gives them again.

        What else has come waits behind them, and so does the end of input.
        """
        self.early = [*self.early, *events]
        stream = self.stream
        if stream is not None and stream.layer is self._websocket:
            stream.layer, stream.quick = self, None
        self._touch()

    def offer(self, taker: Taker) -> None:
        """Offer what comes over the WebSocket to somebody, as long as nothing is kept here."""
        self._quick = taker
        stream = self.stream
        if stream is not None and stream.layer is self._websocket:
            stream.quick, stream.outbox = taker, taker.outbox

    def _step_aside(self) -> None:
        """Let the stream drive the WebSocket itself, unless something is kept here.

        Where TLS is between the stream and the stack nothing changes.
        """
        stream, websocket = self.stream, self._websocket
        if (
            stream is not None
            and stream.layer is self
            and websocket is not None
            and not (self.early or self._eof or self._head is not None or self._rest is not None)
        ):
            stream.layer, stream.quick = websocket, self._quick
            if self._quick is not None:
                stream.outbox = self._quick.outbox

    def defer(self) -> None:
        """Give :class:`GoOn` when it is the connection's turn again."""
        self.put_back([GoOn()])

    def receive_eof(self) -> list[Any]:
        """The peer sends no more; :class:`EndOfInput` if it may still wait for an answer."""
        if self.early:
            self._eof = True
            return []
        layer = self._begin() if self._layer is None else self._layer
        events: list[Any] = layer.receive_eof()
        # A WebSocket that is still open has input to work off, and then ends by itself.
        if layer.closing is Closing.OPEN and not self.upgraded:
            events.append(EndOfInput())
        return events

    def tick(self, now: float) -> list[Any]:
        """Tell the time; gives what waited for it, first of all what was put back."""
        if self.early:
            events, self.early = list(self.early), ()
            return events
        layer = self._layer
        if layer is None:
            return self._wait(now)
        events = layer.tick(now)
        if self._eof:
            self._eof = False
            events += self.receive_eof()
        elif self._rest is not None:
            rest, self._rest = self._rest, None
            events += layer.receive(rest)
        return events

    def wait(self, now: float) -> float | None:
        """Begin to wait for the first bytes; return until when."""
        if self._layer is not None:
            self._layer.tick(now)
            return self._layer.deadline
        self._now, self._idle_by = now, now + self._limits.idle_time
        return self._idle_by

    def _wait(self, now: float) -> list[Any]:
        """Wait for the first bytes, as long as HTTP would."""
        if not self._idle_by:
            self._idle_by = now + self._limits.idle_time
        elif now >= self._idle_by:
            self._now = self._idle_by - self._limits.idle_time
            return self._begin().tick(now)
        self._now = now
        return []

    def data_to_send(self) -> list[Any]:
        """Drain the outbox."""
        units: list[Any] = [] if self._layer is None else self._layer.data_to_send()
        if self._head is not None:
            units = self._head + units
            self._head = None
        if self._websocket is not None:
            self._step_aside()
        return units

    # What is sent: through HTTP, then through WebSocket

    def respond(self, response: Response, body: bytes) -> None:
        """Answer the request in work; the body is left out where the answer may have none.

        A connection that the HTTP layer has answered already, and is about to close, stays so.
        """
        http, date = self._http, self._date
        if date is not None and isinstance(http, HTTPConnection) and not self.last:
            rests = answer_whole(http, response, body, date())
            if rests is not None:
                self.request, stream = None, self.stream
                if rests and stream is not None and stream.layer is self:
                    stream.driver.answered(stream, http)
                else:  # the next request waits, or TLS is between
                    self._touch()
                return
        if http is not None and self.begin(response):
            asked = "" if self.request is None else self.request.method
            if body and asked != "HEAD" and response.status not in (204, 304):
                http.send(Body(body))
            self.finish()

    def begin(self, response: Response) -> bool:
        """Send the head of an answer; ``False`` if the HTTP layer has answered already.

        Its content follows by :meth:`send_content`, and then :meth:`finish`.  Where the head has
        no ``Content-Length``, the content is chunked, or ends with the connection.
        """
        http, request = self._http, self.request
        if http is None or http.closing is not Closing.OPEN:
            return False
        old = request is not None and request.version == "1.0"
        fields = [("Date", self._date())] if self._date is not None else []
        last = self.last or not http.keep_alive
        if response.status not in (204, 304) and not response.headers.announces_length():
            last = last or old
            fields += [] if old else [("Transfer-Encoding", "chunked")]
        if last:
            fields.append(("Connection", "close"))
        elif old:
            fields.append(("Connection", "keep-alive"))
        reason = response.reason or REASONS.get(response.status, "")
        http.send(Response(response.status, response.headers.plus(*fields), reason))
        self._touch()
        return True

    def send_content(self, data: bytes) -> None:
        """Send more of the content of the answer that was begun."""
        if self._http is not None:
            self._http.send(Body(data))
            self._touch()

    def finish(self) -> None:
        """End the answer that was begun."""
        if self._http is not None:
            self._http.send(EndOfMessage())
            self.request = None
            self._touch()

    def upgrade(self, accepted: Accepted) -> None:
        """Answer the request with a 101 and go on as a WebSocket; releases the HTTP layer."""
        http, self._http = self._http, None
        if http is None:
            raise LocalProtocolError("the connection is a WebSocket already")
        http.send(accepted.response)
        self._head = http.data_to_send()
        self._rest = http.take_rest() or None
        self._become(accepted.agreement)
        self._touch()

    def switch(self, found: Recognised, packets: list[Any]) -> None:
        """Do the same for a request that was recognised; the packets leave with the 101.

        The first of them is text, in ASCII.
        """
        websocket = self._become(None)
        first = text_frame(packets[0].encode("ascii"))
        websocket.outbox.append(found.handshake.answer(found.key) + first)
        for packet in packets[1:]:
            self.send(packet)
        stream = self.stream
        if stream is not None and stream.layer is self:  # nothing is kept here
            stream.layer = websocket

    def settle(self, target: Any, deadline: float | None) -> bool:
        """After :meth:`switch`: have somebody ticked in time, and what is below asked for its wish.

        ``False`` if nobody is known here who does that.  A plain stream is not asked: the layer has
        no more to say than what is in the outbox, and who has read the request has that sent.
        """
        stream = self.stream
        if stream is None:
            return False
        if stream.quick is None:
            stream.touch()
        if deadline is not None:
            stream.driver.timers.expect(target, deadline)
        return True

    def _become(self, agreed: Agreement | None) -> WebSocketConnection:
        self.request = self.body = self._known = self._date = None
        self._now = self._idle_by = 0.0
        stream, trace = self.stream, self.trace
        if stream is not None:
            stream.offer = None
        websocket = WebSocketConnection(Role.SERVER, self._limits, deflate=agreed, below=stream)
        self._websocket = websocket if trace is None else _traced(websocket, trace)
        self._layer = self._websocket
        return websocket

    def send(self, packet: str | bytes) -> None:
        """Send one packet as a WebSocket message."""
        if self._websocket is not None:
            self._websocket.send(Message(packet))

    def send_prepared(self, prepared: Prepared) -> None:
        """Send a packet that was encoded once for many."""
        if self._websocket is not None:
            self._websocket.send_prepared(prepared)

    def close(self, code: int = 1005, reason: str = "") -> None:
        """Close the WebSocket, by its closing handshake; a connection that is over stays so."""
        layer = self._begin() if self._layer is None else self._layer
        try:
            layer.send(Closed(code, reason))
        except LocalProtocolError:
            return
        if self.stream is not None:
            self.stream.resume()  # the peer's answer may stand behind what nobody wanted to read
        self._touch()

    # What holds the peer back

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the peer to take them, those of this turn included."""
        own: int = 0 if self._websocket is None else self._websocket.waiting
        return own if self.stream is None else own + self.stream.buffered_amount

    def pause(self) -> None:
        """Read nothing more from the peer until ``resume``."""
        if self.stream is not None:
            self.stream.pause()

    def resume(self) -> None:
        """Read from the peer again."""
        if self.stream is not None:
            self.stream.resume()

    def await_drain(self) -> None:
        """Treat what waits here as unsent already, so that the stream says when it is sent."""
        if self.stream is not None:
            self.stream.enter_high_water()

    def abort(self, reason: str) -> None:
        """Cut the connection, whatever waits."""
        if self.stream is not None:
            self.stream.abort(reason)

    # What it keeps

    @property
    def incoming(self) -> int:
        """Bytes received of a WebSocket message, or of a request's body, that is not whole yet."""
        buffered: int = 0 if self._layer is None else self._layer.buffered
        return buffered + len(self.body or b"")

    @property
    def held(self) -> int:
        """Bytes that the stack keeps: :attr:`incoming`, the last heads, for compression."""
        held = self.incoming + len(self._rest or b"")
        held += sum(len(event.data) for event in self.early if event.__class__ is Message)
        if self._websocket is not None:
            return held + self._websocket.contexts
        if self.request is not None:
            held += self.asked
            if self._http is None:
                return held + self.request.headers.weight
        return held if self._http is None else held + self._http.kept

    def relax(self) -> None:
        """Keep as little as possible: the server has too little memory."""
        layer = self._websocket or self._http
        if layer is not None:
            layer.relax()

    def _touch(self) -> None:
        if self.stream is not None:
            self.stream.touch()


def _traced(layer: HTTPConnection | WebSocketConnection, trace: Reporter) -> Traced:
    from rawsio.trace import Traced

    name = "http" if isinstance(layer, HTTPConnection) else "websocket"
    return Traced(layer, name, trace)
