"""One TCP connection of a client as a single layer: HTTP exchanges, or a WebSocket.

A session of Engine.IO uses several connections at a time: one that waits in a poll, one that
posts, one that becomes a WebSocket.  A :class:`ClientStack` is any of them.  It is given one
:class:`~rawsio.engineio.client.session.Exchange` at a time with :meth:`ClientStack.begin`, and
gives events: :class:`Answered` for a poll or post, :class:`Ready` and then messages for a
WebSocket, and at most one terminal event.  It keeps the contract of :mod:`rawsio.layer`, so what
drives a server's connections drives it.

An exchange is all that is asked of a connection, so its owner needs to know no HTTP.  A connection
whose exchange is over can be given the next one (keep-alive) for as long as the server is not
likely to be closing it at that very moment.

Which exchange comes next is the session's business (:mod:`rawsio.client.session`).
"""

from __future__ import annotations

from os import urandom

from rawsio.engineio.client.session import explain_answer
from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response
from rawsio.layer import Closed, Closing, Failed, Role, record
from rawsio.limits import DEFAULT
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import Rejected, confirm, offer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.engineio.client.session import Exchange
    from rawsio.layer import ByteLayer, PreparedLayer, Taker
    from rawsio.limits import Limits
    from rawsio.stack import Stream
    from rawsio.trace import Reporter
    from rawsio.websocket.deflate import DeflateOptions

__all__ = ["Answered", "ClientStack", "Ready"]

KEPT = 2.0
"""Seconds for which an idle connection is trusted: servers close them, some after five."""


@record
class Answered:
    """The response to a poll or post, whole."""

    exchange: Exchange
    response: Response
    body: bytes


@record
class Ready:
    """The WebSocket is open."""


class ClientStack:
    """One TCP connection of a client; see the module's essay.

    ``host`` is the value of ``Host``, ``headers`` are further fields of every request.
    ``deflate`` is the compression offered for a WebSocket.  ``stream`` carries the bytes: it is
    touched whenever there is something to send.  ``exchange`` is what it is carrying out, ``early``
    are events that were put back.

    >>> from rawsio.engineio.client.session import Exchange
    >>> stack = ClientStack("localhost:3000")
    >>> stack.begin(Exchange("poll", "GET", "/socket.io/?EIO=4&transport=polling"))
    >>> stack.data_to_send()[0].partition(b"\\r\\n")[0]
    b'GET /socket.io/?EIO=4&transport=polling HTTP/1.1'
    >>> stack.receive(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")[0].body
    b'ok'
    """

    __slots__ = (
        *("_http", "_websocket"),
        *("stream", "exchange", "websocket", "_host", "_headers", "_limits", "_deflate"),
        *("_random_bytes", "_trace", "_layer", "_request", "_response", "_body", "_now", "_since"),
        *("early", "_eof"),
    )

    def __init__(
        self,
        host: str,
        headers: tuple[tuple[str, str], ...] = (),
        limits: Limits = DEFAULT,
        *,
        deflate: DeflateOptions | None = None,
        random_bytes: Callable[[int], bytes] = urandom,
        trace: Reporter | None = None,
    ) -> None:
        self.stream: Stream | None = None
        self.exchange: Exchange | None = None
        self.websocket = False
        self._host = host
        self._headers = headers
        self._limits = limits
        self._deflate = deflate
        self._random_bytes = random_bytes
        self._trace = trace
        self._http = HTTPConnection(Role.CLIENT, limits)
        self._layer: ByteLayer = self._http
        if trace is not None:
            self._layer = self._traced(trace, self._http, "http")
        self._websocket: PreparedLayer[bytes, Any] | None = None
        self._request: Request | None = None
        self._response: Response | None = None
        self._body = bytearray()
        self._now = self._since = 0.0
        # Events that were put back, and whether the end of input waits behind them.
        self.early: list[Any] = []
        self._eof = False

    @staticmethod
    def _traced(trace: Reporter, layer: ByteLayer, name: str) -> PreparedLayer[bytes, Any]:
        from rawsio.trace import Traced

        return Traced(layer, name, trace)

    # The contract

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return 0.0 if self.early or self._eof else self._layer.deadline

    @property
    def closing(self) -> Closing:
        """What the driver should do with the connection."""
        return Closing.OPEN if self.early or self._eof else self._layer.closing

    @property
    def reading(self) -> bool:
        """Whether more input is of use."""
        return not self.early and not self._eof and self._layer.reading

    @property
    def until_close(self) -> bool:
        """Whether nothing but the end of the connection will complete the response in work."""
        return not self.websocket and self._http.until_close

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes from the socket."""
        early, self.early = self.early, []
        return early + self._up(self._layer.receive(data))

    def receive_eof(self) -> list[Any]:
        """The peer sends no more."""
        if self.early:
            self._eof = True
            return []
        return self._up(self._layer.receive_eof())

    def tick(self, now: float) -> list[Any]:
        """Tell the time; gives what was put back."""
        self._now = now
        if self.early:
            early, self.early = self.early, []
            return early
        events = self._up(self._layer.tick(now))
        if self._eof:
            self._eof = False
            events += self.receive_eof()
        return events

    def put_back(self, events: list[Any]) -> None:
        """Take back events that nobody has seen to; the next ``tick`` gives them again.

        What else has come waits behind them, and so does the end of input.
        """
        self.early += events
        self._touch()

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        return self._layer.data_to_send()

    # What it is asked

    @property
    def free(self) -> bool:
        """Whether another exchange may be begun here."""
        if self.exchange is not None or self.websocket or self._now - self._since > KEPT:
            return False
        return self._http.keep_alive

    def begin(self, exchange: Exchange) -> None:
        """Begin to carry out an exchange.

        Raises ``LocalProtocolError`` if one is running, or if a header field cannot be sent.
        """
        if self.exchange is not None or self.websocket:
            raise LocalProtocolError("the connection is in use")
        if exchange.kind == "websocket":
            request = offer(
                exchange.target,
                self._host,
                random_bytes=self._random_bytes,
                headers=self._headers,
                deflate=self._deflate,
            )
        else:
            request = self._plain_request(exchange)
        self._layer.send(request)
        if exchange.body:
            self._layer.send(Body(exchange.body))
        self._layer.send(EndOfMessage())
        self.exchange, self._request = exchange, request
        self._touch()

    def _plain_request(self, exchange: Exchange) -> Request:
        fields = [("Host", self._host), ("Accept", "*/*"), *self._headers]
        if exchange.method == "POST":
            fields.append(("Content-Type", "text/plain;charset=UTF-8"))
            fields.append(("Content-Length", str(len(exchange.body))))
        return Request(exchange.method, exchange.target, Headers(fields))

    def send(self, packet: Any) -> None:
        """Send one packet, or several that were prepared, over the WebSocket.

        A WebSocket that is closing drops it: the end of the connection is on its way up.
        """
        try:
            if isinstance(packet, (str, bytes)):
                self._layer.send(Message(packet))
            else:
                if self._websocket is None:
                    raise LocalProtocolError("prepared packets go over a WebSocket")
                self._websocket.send_prepared(packet)
        except LocalProtocolError:
            if not self.websocket:
                raise
            return
        self._touch()

    def close(self, code: int = 1005, reason: str = "") -> None:
        """Close the connection, a WebSocket by its closing handshake; idempotent."""
        try:
            self._layer.send(Closed(code, reason))
        except LocalProtocolError:
            return
        self._touch()

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the server to take them."""
        return self.stream.buffered_amount if self.stream is not None else 0

    @property
    def incoming(self) -> int:
        """Bytes received of a WebSocket message, or of an answer's body, that is not whole yet."""
        layer: Any = self._layer
        buffered: int = layer.buffered
        return buffered + len(self._body)

    @property
    def plain(self) -> WebSocketConnection | None:
        """The WebSocket, if nobody looks, nothing is compressed, and something carries it."""
        websocket = self._websocket
        if self.stream is None or not isinstance(websocket, WebSocketConnection):
            return None
        return websocket if websocket.bare else None

    def offer(self, taker: Taker) -> None:
        """Offer what comes over the WebSocket to somebody, unless TLS is between."""
        stream = self.stream
        if stream is not None and stream.layer is self:
            stream.quick, stream.outbox = taker, taker.outbox

    def _touch(self) -> None:
        if self.stream is not None:
            self.stream.touch()

    # What comes of it

    def _up(self, events: list[Any]) -> list[Any]:
        if self.websocket or not events:
            return events
        given: list[Any] = []
        for event in events:
            kind = event.__class__
            if kind is Response:
                given += self._responded(event)
            elif kind is Body:
                self._body += event.data
            elif kind is EndOfMessage:
                given += self._ended()
            else:
                given.append(event)
        return given

    def _responded(self, response: Response) -> list[Any]:
        if response.status == 101:
            return self._switch(response)
        if response.status >= 200:
            self._response = response
            self._body = bytearray()
        return []

    def _ended(self) -> list[Any]:
        response, exchange = self._response, self.exchange
        if response is None or exchange is None:  # a 408 that nobody asked for
            return []
        body = bytes(self._body)
        self._response = None
        self._body = bytearray()
        if exchange.kind == "websocket":
            return [self._rejected(response, body)]
        self.exchange = None
        self._since = self._now
        return [Answered(exchange, response, body)]

    def _rejected(self, response: Response, body: bytes) -> Failed:
        self.close()
        message = f"a WebSocket was answered by {explain_answer(response, body)}"
        return Failed("websocket", "6455-4.1-status", response.status, message)

    def _switch(self, response: Response) -> list[Any]:
        request = self._request
        if request is None:  # the HTTP layer has refused such a response
            return []
        self.websocket = True
        try:
            # The HTTP layer refuses a 101 to a request that did not offer it.
            confirmed = confirm(request, response, deflate=self._deflate)
        except Rejected as error:
            self._layer = _Ended()
            return [error.as_event()]
        rest = self._http.take_rest()
        self.exchange = self._request = None
        websocket = WebSocketConnection(
            Role.CLIENT,
            self._limits,
            deflate=confirmed.agreement,
            random_bytes=self._random_bytes,
            below=self.stream,
        )
        websocket.tick(self._now)
        self._websocket = websocket
        if self._trace is not None:
            self._websocket = self._traced(self._trace, websocket, "websocket")
        self._layer = self._websocket
        return [Ready(), *(self._layer.receive(rest) if rest else ())]


class _Ended:
    """What is below a WebSocket that was not to be: a connection to be closed."""

    closing = Closing.NOW
    deadline = None
    reading = True
    buffered = 0

    def receive(self, _unit: bytes) -> list[Any]:
        return []

    def receive_eof(self) -> list[Any]:
        return []

    def tick(self, _now: float) -> list[Any]:
        return []

    def data_to_send(self) -> list[bytes]:
        return []

    def send(self, _event: Any) -> None:
        raise LocalProtocolError("the connection is over")
