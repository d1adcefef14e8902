r"""The receiving half of an HTTP/1.1 connection, and what ends an exchange.

:class:`Receiver` holds the state of a connection: where each side is, the one growing buffer, and
what an exchange remembers of its request.  Here a head or a piece of a body is taken off the
buffer and moves the peer's automaton; :class:`~rawsio.http.connection.HTTPConnection` adds
what we send, and time.

There is one loop and one ``except``.  :meth:`Receiver._pump` takes what can be taken in the present
state, again and again; code below it raises ``HTTPError`` where it sees the mistake, and the one
``except`` turns it into the answer and the last event, behind the events that came before.

A server's next request stays in the buffer until the answer to this one is complete.
"""

from __future__ import annotations

from rawsio.errors import HTTPError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT

from .bodies import UntilClose, reader_for
from .framing import (
    UNTIL_CLOSE,
    RequestContext,
    persistent,
    request_framing,
    response_framing,
    switches,
)
from .head_reader import HeadReader
from .headers import EMPTY, members
from .messages import Body, EndOfMessage, Request, Response, check_request, refusal
from .states import BODY, CLOSED, DONE, IDLE, SWITCHED, TRANSITIONS, WAITING, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

    from .bodies import Chunked, Counted

    Event = Request | Response | Body | EndOfMessage | Closed | Failed

__all__ = ["Known", "Receiver"]


_KNOWN = 512
"""Bytes of memory that a known head takes beside its own and those of its fields."""
_NOTHING = RequestContext(Request("", "", EMPTY), {}, 0)


class Known:
    """A head that was read, with its empty line, and what it came to.

    ``size`` is how long the whole request is, ``asked`` what the head says of its exchange;
    ``found`` is for what the layers above have made of it, ``way`` for who takes the next request
    with this head without them (:mod:`rawsio.server.repeats`).
    """

    __slots__ = ("head", "size", "target", "asked", "found", "way")

    def __init__(self, head: bytes, target: str, asked: RequestContext) -> None:
        self.head = head
        self.size = len(head) + asked.framing
        self.target = target
        self.asked = asked
        self.found: dict[Any, Any] = {}
        self.way: Any = None


class Receiver:
    """What a connection is in, and how it reads; see the module's essay."""

    __slots__ = (
        "role",
        "limits",
        "closing",
        "known",
        "_ours",
        "_theirs",
        "_buffer",
        "_outbox",
        "_heads",
        "_reader",
        "_left",
        "_rows",
        "_serving",
        "_asked",
        "_persists",
        "_expected",
        "_ended",
        "_farewell",
        "_date",
        "_due",
        "_now",
        "_since",
        "_patience",
        "_received",
        "_interim",
    )

    def __init__(
        self, role: Role, limits: Limits = DEFAULT, *, date: Callable[[], str] | None = None
    ) -> None:
        self.role = role
        self.limits = limits
        self.closing = Closing.OPEN
        self._ours: State = IDLE
        self._theirs: State = IDLE
        self._buffer = bytearray()
        self._outbox: list[bytes] = []
        self._heads = HeadReader(role.peer, limits)
        self._reader: Counted | Chunked | UntilClose | None = None
        self._left = 0  # of the body we are sending: bytes, CHUNKED or UNTIL_CLOSE
        self._rows = TRANSITIONS[role]
        self._serving = role is Role.SERVER
        # The exchange:
        self.known: tuple[Known, ...] = ()
        """The last heads of a server, for the short way (:mod:`rawsio.http.repeated`)."""
        self._asked = _NOTHING
        self._persists = True
        self._expected = False  # the client waits for a 100 that nobody has sent
        # The end, and time:
        self._date = date
        self._ended = False  # the peer sends no more
        self._farewell: Closed | None = None  # still to be returned
        self._due = False  # events may be waiting for the next tick
        self._now: float | None = None
        self._since: float | None = None  # when the present wait began
        self._patience = min(limits.head_time, limits.body_time, limits.idle_time)
        self._received = 0
        self._interim = 0  # responses before the final one

    @property
    def until_close(self) -> bool:
        """Whether nothing but the end of the connection will complete the message in work.

        It may also cut it off.  Who can tell the two apart (TLS can) says ``receive_eof`` only if
        this is the end (RFC 9112 section 9.8).
        """
        return self._reader.__class__ is UntilClose

    @property
    def kept(self) -> int:
        """About how much memory the last heads take: that of the request in work, and of those
        that are kept because they may come again."""
        heads = self.known
        fields = [self._asked.headers, self._heads.before, *[one.asked.headers for one in heads]]
        size = sum(len(known.head) + len(known.target) + _KNOWN for known in heads)
        return size + sum({id(headers): headers.weight for headers in fields}.values())

    def relax(self) -> None:
        """Keep as little as possible: the next head is read anew."""
        self.known = ()
        self._heads.before = EMPTY
        if self._theirs is IDLE and self._ours is IDLE:
            self._asked = _NOTHING

    # --- Receiving ---

    def _pump(self) -> list[Event]:
        """Parse what can be parsed now."""
        events: list[Event] = []
        try:
            while self._step(events):
                pass
            if self._ended:
                self._end_of_input(events)
        except HTTPError as error:
            self._fail(error, events)
        self._due = False
        if self._farewell is not None:
            events.append(self._farewell)
            self._farewell = None
        return events

    def _step(self, events: list[Event]) -> bool:
        """Take one head, or what there is of a body; return whether there may be more."""
        theirs = self._theirs
        if theirs is BODY:
            return self._take_body(events)
        if theirs is not IDLE and theirs is not WAITING:
            return False
        head = self._heads.read(self._buffer)
        if head is None:
            return False
        if isinstance(head, Request):
            self._take_request(head, events)
        else:
            self._take_response(head, events)
        return True

    def _take_request(self, request: Request, events: list[Event]) -> None:
        asked = self._asked
        if not asked.repeated(request):
            fields = request.headers.framing_fields()
            check_request(request.version, fields)
            asked = RequestContext(request, fields, request_framing(fields, request.version))
        framing = asked.framing
        if framing:
            try:
                self._reader = reader_for(framing, self.limits, Role.CLIENT)
            except HTTPError:
                # The head is whole: whoever keeps the session should know whose body is too long.
                events.append(request)
                raise
        self._asked = asked
        self._persists = asked.persists
        self._expected = asked.expects
        self._theirs = BODY
        self._ours = WAITING
        self._since = self._now
        self._received = 0
        events.append(request)
        if not framing:
            self._complete(EndOfMessage(), events)
        head = self._heads.whole
        if head is not None and framing >= 0 and asked.persists and not asked.offered:
            known = Known(head, request.target, asked)
            request._found = known.found
            self.known = (known, *self.known[:1])

    def _take_response(self, response: Response, events: list[Event]) -> None:
        status, method = response.status, self._asked.method
        if self._theirs is IDLE:
            # 9112-9.5-408: a server that gave up waiting may say so.
            if status != 408:
                raise HTTPError("a response that nobody asked for", "9112-9.2-unsolicited")
            self._persists = False
            method = ""
        fields = response.headers.framing_fields()
        if switches(method, status):
            self._take_switch(response, members(fields.get("upgrade", [])), events)
        elif status < 200:
            self._interim += 1
            if self._interim > self.limits.interim:
                raise HTTPError(
                    f"more than {self.limits.interim} interim responses", "9110-15.2-interim-most"
                )
            events.append(response)
        else:
            self._interim = 0
            framing = response_framing(fields, response.version, method, status)
            if framing:
                self._reader = reader_for(framing, self.limits, Role.SERVER)
            self._persists = framing != UNTIL_CLOSE and self._goes_on(response.version, fields)
            self._theirs = BODY
            events.append(response)
            if not framing:
                self._complete(EndOfMessage(), events)

    def _take_switch(self, response: Response, chosen: list[str], events: list[Event]) -> None:
        # 9110-7.8-switch
        offered = self._asked.offered
        wanted = len(chosen) > 0 and all(protocol in offered for protocol in chosen)
        if response.status == 101 and not wanted:
            raise HTTPError("a 101 to what was not offered", "9110-7.8-switch")
        if self._ours is BODY and self._left:
            raise HTTPError("a switch before the request is complete", "9110-7.8-early-switch")
        self._ours = self._theirs = SWITCHED
        events.append(response)

    def _take_body(self, events: list[Event]) -> bool:
        reader = self._reader
        if reader is None or not self._buffer:
            return False
        self._expected = False
        pieces: list[bytes] = []
        try:
            trailers = reader.read(self._buffer, pieces)
        finally:
            if pieces:
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self._received += len(data)
                events.append(Body(data))
        if trailers is None:
            return False
        self._complete(EndOfMessage(trailers), events)
        return True

    def _complete(self, end: EndOfMessage, events: list[Event]) -> None:
        events.append(end)
        self._reader = None
        self._theirs = DONE
        self._settle()

    def _end_of_input(self, events: list[Event]) -> None:
        """Nothing more will come: what does that mean here?"""
        theirs = self._theirs
        if theirs is BODY and self._reader is not None:
            self._reader.end_of_input()
            self._complete(EndOfMessage(), events)
        elif theirs is WAITING or (self._buffer and theirs is IDLE):
            # 9112-8-incomplete
            raise HTTPError("the connection ended before a message did", "9112-8-incomplete")
        elif theirs is IDLE or (theirs is DONE and not self._serving):
            self._close("the peer closed the connection", Closing.NOW)

    # --- Exchanges ---

    def _goes_on(self, version: str, fields: dict[str, list[str]]) -> bool:
        """Return whether both sides want to go on, in the version that both understand."""
        return self._persists and persistent(fields, min(self._asked.version, version))

    def _settle(self) -> None:
        """One side's message is complete: go to the next exchange, or to the end."""
        ours, theirs = self._ours, self._theirs
        answered, asked = (ours, theirs) if self._serving else (theirs, ours)
        if answered is not DONE:
            return
        if not self._persists:
            self._close("the last response is complete", self._goodbye())
        elif asked is DONE:
            self._ours = self._theirs = IDLE
            if self._since is not None:
                self._since = self._now
            self._due = self._ended or len(self._buffer) > 0

    def _goodbye(self) -> Closing:
        # A server that closed while the client still sends would have its answer reset away.
        return Closing.HALF if self._serving and not self._ended else Closing.NOW

    def _close(self, reason: str, closing: Closing) -> None:
        self._finish(closing)
        self._farewell = Closed(0, reason)
        self._due = True

    def _fail(self, error: HTTPError, events: list[Event]) -> None:
        """Answer once, unless an answer is under way, and end everything."""
        serving = self._serving
        if serving and (self._ours is IDLE or self._ours is WAITING):
            # 9110-6.6.1-date
            fields = [] if self._date is None else [("Date", self._date())]
            self._outbox.append(refusal(error.code, fields))
        self._finish(self._goodbye())
        code = error.code if serving else 0
        events.append(Failed(error.layer, error.rule, code, error.message))

    def _finish(self, closing: Closing) -> None:
        self._ours = self._theirs = CLOSED
        self._reader = None
        self._buffer.clear()
        self._expected = False
        self.closing = closing

    def _overflow(self, most: int) -> list[Event]:
        events: list[Event] = []
        message = f"more than {most} bytes behind a request in work"
        self._fail(HTTPError(message, "9112-9.3.2-pipeline"), events)
        return events
