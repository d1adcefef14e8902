r"""One end of an HTTP/1.1 connection, as a layer: bytes below, messages above.

A server receives ``Request Body* EndOfMessage`` and sends ``Response Body* EndOfMessage``, again
and again while the connection persists; a client does the reverse.

>>> from rawsio.http.headers import Headers
>>> from rawsio.layer import Role
>>> server = HTTPConnection(Role.SERVER)
>>> server.receive(b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n")  # doctest: +NORMALIZE_WHITESPACE
[Request(method='GET', target='/chat', headers=Headers([('Host', 'a')]), version='1.1'),
 EndOfMessage(trailers=Headers([]))]
>>> server.send(Response(200, Headers([("Content-Length", "2")]), "OK"))
>>> server.send(Body(b"hi"))
>>> server.send(EndOfMessage())
>>> b"".join(server.data_to_send())
b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'

What it does by itself
======================
* It answers a mistake of the client once, without a body, and parses nothing more; so do the
  time-outs of a head and of a body (408).  An idle connection is closed without a word.
* It sends ``100 Continue`` when the outbox is drained while the client waits for it: that is
  after the application has seen the request, and may have answered it otherwise, and before any
  of the body has come.
* It keeps the bytes of the next request until the answer to this one is complete, so answers are
  in order; the next request then comes from ``tick``.

It adds no field to what is sent; its own answers have a ``Date`` if it was given a clock
(``date``).  Whether the connection goes on is in :attr:`keep_alive`: a
response to HTTP/1.0 that should keep the connection needs ``Connection: keep-alive``, the last
one to HTTP/1.1 ``Connection: close``.

Both sides are automata over the same table, :mod:`rawsio.http.states`.  A connection is those two
states, one growing buffer, and what an exchange must remember of its request.  A server takes
pipelined requests; a client sends one request at a time, and follows no redirects.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, LocalProtocolError
from rawsio.layer import Closed, Closing

from .bodies import encode_body, encode_end
from .framing import (
    UNTIL_CLOSE,
    RequestContext,
    check_sent_request,
    check_sent_response,
    request_framing,
    response_framing,
    switches,
)
from .messages import (
    Body,
    EndOfMessage,
    Request,
    Response,
    check_request,
    check_sent_target,
    check_target,
    encode_head,
)
from .receive import Receiver
from .repeated import take_repeated
from .states import BODY, CLOSED, DONE, IDLE, SWITCHED, WAITING, Interim, State, Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .receive import Event

__all__ = ["HTTPConnection"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HTTPConnection(Receiver):
    """One end of a connection; see the module's essay and :mod:`rawsio.layer`."""

    __slots__ = ()

    # --- The contract ---

    def receive(self, data: bytes) -> list[Event]:
        """Feed bytes from the peer; return what they complete."""
        theirs, buffer = self._theirs, self._buffer
        if theirs is IDLE and self.known:
            events = take_repeated(self, data)
            if events is not None:
                return events
        if theirs is CLOSED or self._ended or not data:
            return []
        if theirs is DONE or theirs is SWITCHED or self._due:
            buffer += data
            most = self.limits.pipeline + self.limits.read_ahead
            return self._overflow(most) if len(buffer) > most else []
        if not buffer and theirs is not BODY:
            self._since = self._now
        buffer += data
        return self._pump()

    def receive_eof(self) -> list[Event]:
        """The peer sends no more."""
        if self._ended or self._theirs is CLOSED:
            return []
        self._ended = True
        return self._pump()

    def send(self, event: Event) -> None:
        """Send an event; raises ``LocalProtocolError`` if it is illegal now."""
        kind: type = event.__class__
        if kind is Response:
            kind = self._kind(event)
        state = self._rows[self._ours].get(kind)
        if state is None:
            message = f"a {self.role.value} that is {self._ours.value} cannot send "
            raise LocalProtocolError(message + type(event).__name__)
        _SEND[kind](self, event, state)

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        if self._expected and self._ours is WAITING:
            # 9110-10.1.1-continue
            self._expected = False
            self._outbox.append(_CONTINUE)
        if self._theirs is DONE:  # it is not answered in this turn: when it is, idle time begins
            self._since = None
        outbox, self._outbox = self._outbox, []
        return outbox

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        if self._due:
            return 0.0
        wait = self._wait()
        if wait is None:
            return None
        return 0.0 if self._since is None else self._since + wait

    def tick(self, now: float) -> list[Event]:
        """Tell the time; return what was waiting for it."""
        self._now = now
        since = self._since
        if since is not None and now < since + self._patience and not self._due:
            return []  # no wait is so short
        events = self._pump() if self._due else []
        wait = self._wait()
        if wait is None:
            return events
        if self._since is None:
            self._since = now
        elif now >= self._since + wait:
            events += self._expire()
        return events

    @property
    def reading(self) -> bool:
        """Whether more input is of use: not while enough waits for its turn, or for an answer."""
        if self._due or self._theirs is DONE or self._theirs is SWITCHED:
            return len(self._buffer) < self.limits.pipeline
        return True

    # --- Beyond the contract ---

    @property
    def keep_alive(self) -> bool:
        """Whether the connection persists after this exchange, as far as is known now."""
        if self._buffer and not self._serving:  # what nobody asked for
            return False
        return self._persists and not self._ended and self.closing is Closing.OPEN

    def rest(self, now: float) -> list[bytes] | None:
        """Begin to wait for the next request, for ``limits.idle_time``, and drain the outbox.

        ``None``, and nothing is done, if it is not between two exchanges, or events wait.
        """
        if self._theirs is not IDLE or self._due:
            return None
        self._now = self._since = now
        outbox, self._outbox = self._outbox, []
        return outbox

    @property
    def idle(self) -> bool:
        """Whether it is between two exchanges, and nothing of the next one has come."""
        return self._theirs is IDLE and self._ours is IDLE and not (self._buffer or self._ended)

    @property
    def buffered(self) -> int:
        """How many bytes have come in that no event holds yet."""
        return len(self._buffer)

    def take_rest(self) -> bytes:
        """Return what came behind the switch to another protocol, once.

        Raises ``LocalProtocolError`` before a 101 or an accepted CONNECT.
        """
        if self._ours is not SWITCHED:
            raise LocalProtocolError("no other protocol has taken over")
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    # --- Sending ---

    def _kind(self, response: Any) -> type:
        """Return the kind of event that a response counts as, in the table."""
        if type(response.status) is not int:
            raise LocalProtocolError(f"not a status: {response.status!r}")
        if switches(self._asked.method, response.status):
            return Switch
        return Interim if response.status < 200 else Response

    def _send_request(self, request: Request, state: State) -> None:
        if self._buffer:
            raise LocalProtocolError("the server has sent something already")
        head = encode_head(request)
        fields = request.headers.framing_fields()
        try:
            check_target(request.method, request.target)
            check_request(request.version, fields)
            framing = request_framing(fields, request.version)
        except HTTPError as error:
            raise LocalProtocolError(error.message) from None
        check_sent_target(request.target)
        check_sent_request(request.method, fields, framing)
        self._asked = RequestContext(request, fields, framing)
        self._persists = self._asked.persists
        self._left = framing
        self._ours = state
        self._theirs = WAITING
        self._outbox.append(head)

    def _send_response(self, response: Response, state: State) -> None:
        head = encode_head(response)
        fields = response.headers.framing_fields()
        asked, status, version = self._asked, response.status, response.version
        try:
            framing = response_framing(fields, version, asked.method, status)
            if not framing:
                # 9112-6.1-length-and-coding: where no body follows, too (HEAD, 304).
                request_framing(fields, version)
        except HTTPError as error:
            raise LocalProtocolError(error.message) from None
        persists = self._goes_on(version, fields)
        check_sent_response(status, fields, framing, asked, persist=persists)
        if state is SWITCHED:
            if self._theirs is not DONE:
                raise LocalProtocolError("the request is not complete")
            self._theirs = state
        elif state is BODY:
            self._left = framing
            self._persists = persists and framing != UNTIL_CLOSE
        elif status == 100:
            self._expected = False
        self._ours = state
        self._outbox.append(head)

    def _send_body(self, body: Body, _state: State) -> None:
        data = body.data if type(body.data) is bytes else bytes(memoryview(body.data))
        if self._left >= 0:
            if len(data) > self._left:
                message = f"{len(data)} bytes of content where {self._left} are left"
                raise LocalProtocolError(message)
            self._left -= len(data)
        self._outbox += encode_body(self._left, data)

    def _send_end(self, end: EndOfMessage, state: State) -> None:
        if self._left > 0:
            raise LocalProtocolError(f"{self._left} bytes of content are missing")
        self._outbox += encode_end(self._left, end.trailers)
        self._ours = state
        self._settle()

    def _send_closed(self, closed: Closed, _state: State) -> None:
        between = self._ours is IDLE
        self._close(closed.reason, self._goodbye() if between else Closing.NOW)
        self._farewell = None
        self._due = False

    # --- Time ---

    def _wait(self) -> float | None:
        """How long after its beginning the present wait is over; ``None`` if it may last."""
        theirs = self._theirs
        limits = self.limits
        if theirs is IDLE or theirs is WAITING:
            if self._buffer:
                return limits.head_time
            return limits.idle_time if self._serving else None
        if theirs is BODY and self._serving:
            return limits.body_time + self._received / limits.body_rate
        return None

    def _expire(self) -> list[Event]:
        events: list[Event] = []
        if self._theirs is BODY:
            message = f"a body slower than {self.limits.body_rate} bytes a second"
            self._fail(HTTPError(message, "9110-15.5.9-body-rate", 408), events)
        elif self._buffer:
            message = f"a head that took {self.limits.head_time} s"
            self._fail(HTTPError(message, "9110-15.5.9-head-time", 408), events)
        else:
            # 9112-9.5-idle
            self._finish(self._goodbye())
            events.append(Closed(0, "idle"))
        return events


_SEND: dict[type, Callable[[HTTPConnection, Any, State], None]] = {
    Request: HTTPConnection._send_request,
    Response: HTTPConnection._send_response,
    Interim: HTTPConnection._send_response,
    Switch: HTTPConnection._send_response,
    Body: HTTPConnection._send_body,
    EndOfMessage: HTTPConnection._send_end,
    Closed: HTTPConnection._send_closed,
}
