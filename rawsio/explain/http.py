r"""HTTP/1.1 as one side of a connection sends it: heads, bodies, chunks, trailers.

A :class:`Messages` cuts the bytes into lines, sizes and content, and feeds each piece to an
:class:`~rawsio.http.connection.HTTPConnection` of the peer's role.  The layer judges: it says when
a head is whole, where a message ends, and which rule a piece breaks.  It behaves the same for any
cuts, so what it says of a piece is what it says of the whole stream.
"""

from __future__ import annotations

from enum import Enum

from rawsio.errors import HTTPError, LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.framing import CHUNKED, UNTIL_CLOSE, request_framing, response_framing
from rawsio.http.grammar import CHUNK_LINE
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response
from rawsio.layer import Closing, Failed, Role
from rawsio.lazy import Pattern
from rawsio.limits import DEFAULT

from .fields import Field, blame, moved, rest, shown, wire_bytes
from .heads import accuse, field_line, start_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rawsio.limits import Limits

__all__ = ["Messages", "explain_http"]

_ANSWER = Headers([("Content-Length", "0"), ("Connection", "keep-alive")])
_BEYOND = "what follows a mistake is not read"
_ALONE = Pattern(rb"\r[^\n]")


def explain_http(
    data: bytes,
    sender: Role = Role.CLIENT,
    *,
    method: str = "GET",
    ended: bool = False,
    limits: Limits = DEFAULT,
) -> Field:
    r"""Return the tree of all that one side of a connection sent.

    ``method`` is that of the requests which a server's bytes answer; ``ended`` says that the end of
    the connection follows.

    >>> tree = explain_http(b"GET /chat HTTP/1.1\r\nHost: a\r\n\r\n")
    >>> [(f.name, f.value) for f in tree.fields]
    [('request head', 'GET /chat')]
    >>> explain_http(b"GET  /chat HTTP/1.1\r\n").fields[0].fields[0].rule
    '9112-3-request-line'
    """
    messages = Messages(sender, limits, method)
    fields = messages.feed(wire_bytes(data))
    fields += messages.end(ended=ended)
    return Field(0, len(data), "HTTP/1.1", f"sent by the {sender.value}", "", "", fields, data)


class _Part(Enum):
    """What comes next."""

    HEAD = "head"
    COUNTED = "counted"
    SIZE = "size"
    CHUNK = "chunk"
    CHUNK_END = "chunk end"
    TRAILERS = "trailers"
    OPEN_END = "open end"
    OVER = "over"


class Messages:
    """The messages of one direction of a connection, in the order in which they come.

    With ``own`` each head and body has its bytes with it, and what is in it refers to those.
    """

    def __init__(
        self, sender: Role, limits: Limits = DEFAULT, method: str = "GET", *, own: bool = False
    ) -> None:
        self._sender = sender
        self._own = own
        self._layer = HTTPConnection(sender.peer, limits)
        self._method = method
        self._asked: list[str] = []
        self._part = _Part.HEAD
        self._data = bytearray()
        self._at = 0  # what was read of it
        self._fed = 0  # what the layer has seen of it
        self._scanned = 0  # what was searched for the end of a line
        self._base = 0  # where the data stands in the stream
        self._skipped = 0  # what came after the end
        self._left = 0
        self._expected = False  # whether the layer waits for a response
        self._events: list[Any] = []
        self._fields: list[Field] = []  # of the element that is not whole yet
        self._begun = 0  # where that begins
        self._content: list[bytes] = []
        self._why = ""
        self.head: Request | Response | None = None
        """The head of the present message, or the last one."""
        self.content = b""
        """The content of the last message that is complete, as it was sent."""
        self.switched = False
        """Whether a 101, or a CONNECT that was accepted, ended HTTP."""
        self.failed = False
        """Whether there was a mistake."""

    def ask(self, method: str) -> None:
        """Say that a request with this method was sent, to be answered by what comes here."""
        self._asked.append(method)

    def switch(self) -> bytes:
        """Another protocol took over: return the bytes that came since the last whole message."""
        data = bytes(self._data[self._begun :])
        self._part, self._why = _Part.OVER, "another protocol took over"
        self._data.clear()
        self._at = self._begun = 0
        return data

    @property
    def over(self) -> bool:
        """Whether nothing more is read: after a mistake, the end, or a switch."""
        return self._part is _Part.OVER

    def feed(self, data: bytes) -> list[Field]:
        """Return the heads and bodies that ``data`` completes; a mistake completes its own."""
        return list(self.read(data))

    def read(self, data: bytes) -> Iterator[Field]:
        """Yield the same one by one: ``head`` and ``content`` are those of the last one."""
        if self.over:
            self._skipped += len(data)
            return
        self._data += data
        while not self.over:
            made = _STEPS[self._part](self)
            if made is None:
                break
            yield from made
        self._forget(self._begun)

    def _forget(self, size: int) -> None:
        """Drop the bytes of the elements that were returned."""
        if size:
            del self._data[:size]
            self._at, self._fed, self._scanned = (
                self._at - size, self._fed - size, self._scanned - size,
            )  # fmt: skip
            self._fields = [moved(field, -size) for field in self._fields]
            self._base += size
            self._begun = 0

    def end(self, *, ended: bool) -> list[Field]:
        """Return what is left at the end of the bytes; ``ended``: the connection ended, too."""
        size = len(self._data)
        if self.over:
            left = rest(0, size + self._skipped, self._why)
            return [moved(field, self._base) for field in left]
        at_rest = self._part is _Part.HEAD and not size
        failed = None
        if ended:
            self._events += self._layer.receive_eof() + self._layer.tick(0.0)
            failed = self._failed()
        if at_rest and failed is None:
            return []
        field = self._unfinished(size)
        if failed is not None:
            blame(field, HTTPError(failed.message, failed.rule))
        elif self._part is _Part.OPEN_END and ended:
            field.meaning = "until the end of the connection"
            self.content = b"".join(self._content)
        else:
            field.meaning = "not whole: more bytes are needed"
        return [moved(field, self._base)]

    def _unfinished(self, size: int) -> Field:
        fields, self._fields = self._fields, []
        if size > self._at and self._part is not _Part.OPEN_END:
            piece = bytes(self._data[self._at :])
            fields.append(Field(self._at, size, self._part.value, shown(piece)))
        name = f"{self._kind} head" if self._part is _Part.HEAD else "body"
        data = bytes(self._data) if self._own else None
        return Field(0, size, name, f"{size} bytes", "", "", fields, data)

    @property
    def _kind(self) -> str:
        return "request" if self._sender is Role.CLIENT else "response"

    # The layer

    def _feed_layer(self, upto: int) -> Failed | None:
        """Show the layer what it has not seen up to there; return its failure."""
        while upto > self._fed and self._failed() is None:
            # A CR that ends no line is a mistake at the byte behind it: what is shown to be wrong
            # ends there, however the bytes were cut.
            alone = _ALONE.search(self._data, self._fed, upto)
            stop = upto if alone is None else alone.end()
            piece = bytes(memoryview(self._data)[self._fed : stop])
            self._fed = stop
            self._prepare()
            self._events += self._layer.receive(piece)
        return self._failed()

    def _failed(self) -> Failed | None:
        last = self._events[-1] if self._events else None
        return last if isinstance(last, Failed) else None

    def _prepare(self) -> None:
        """Let the layer ask the request that the next response answers."""
        if self._sender is Role.CLIENT or self._expected:
            return
        self._expected = True
        if self._asked:
            self._method = self._asked.pop(0)
        fields = [("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        method = self._method
        target = "a:80" if method == "CONNECT" else "/"
        try:
            self._layer.send(Request(method, target, Headers(fields)))
            self._layer.send(EndOfMessage())
        except LocalProtocolError:
            # The layer is over.
            return

    # Lines

    def _line(self) -> bytes | None:
        """Return the next line when it is whole; the layer sees as much of it as there is."""
        end = self._data.find(b"\n", self._scanned)
        self._scanned = len(self._data) if end < 0 else end + 1
        failed = self._feed_layer(self._scanned)
        if failed is not None:
            self._scanned = self._fed
        elif end < 0:
            return None
        return bytes(memoryview(self._data)[self._at : self._scanned])

    def _read_head(self) -> list[Field] | None:
        if self._at == len(self._data) and self._scanned == self._at:
            return None
        line = self._line()
        if line is None:
            return None
        start, self._at = self._at, self._scanned
        self._fields.append(self._head_line(line, start))
        failed = self._failed()
        heads = [event for event in self._events if isinstance(event, (Request, Response))]
        if heads:
            self.head = heads[-1]
        if failed is not None:
            return self._break(failed, f"{self._kind} head")
        if not heads:
            return []
        return self._begin_body()

    def _head_line(self, line: bytes, start: int) -> Field:
        blank = line in (b"\r\n", b"\n")
        begun = any(field.name != "empty line" for field in self._fields)
        if blank:
            what = "end of the head" if begun else "before the head"
            return Field(start, start + len(line), "empty line", what, "", "9112-2.1-crlf")
        field = field_line(line) if begun else start_line(line, self._sender)
        return moved(field, start)

    def _begin_body(self) -> list[Field]:
        head = self.head
        field = self._element(f"{self._kind} head", "")
        if head is None:
            return [field]
        fields = head.headers.framing_fields()
        if isinstance(head, Request):
            field.value = f"{head.method} {shown(head.target)}"
            framing = request_framing(fields, head.version)
        else:
            field.value = f"{head.status} {shown(head.reason)}".rstrip(" ")
            if head.status == 101 or (self._method == "CONNECT" and 200 <= head.status < 300):
                self.switched = True
                self._part, self._why = _Part.OVER, "another protocol took over"
                return [field]
            if head.status < 200:
                self._events.clear()
                return [field]
            framing = response_framing(fields, head.version, self._method, head.status)
        self._left = framing
        self._content = []
        parts = {CHUNKED: _Part.SIZE, UNTIL_CLOSE: _Part.OPEN_END}
        self._part = parts.get(framing, _Part.COUNTED)
        if not framing:
            self.content = b""
            self._next_message()
        self._events = [event for event in self._events if isinstance(event, Failed)]
        return [field]

    def _element(self, name: str, value: str) -> Field:
        """Return what was read since the last element as one field."""
        fields, self._fields = self._fields, []
        field = Field(self._begun, self._at, name, value, "", "", fields)
        if self._own:
            field.fields = [moved(below, -self._begun) for below in fields]
            field.data = bytes(memoryview(self._data)[self._begun : self._at])
        self._begun = self._at
        return moved(field, self._base)

    def _break(self, failed: Failed, name: str) -> list[Field]:
        """Return the element with the mistake in it; nothing follows."""
        self._at = max(self._at, self._fed)
        error = HTTPError(failed.message, failed.rule)
        if not self._fields or self._fields[-1].end < self._at:
            start = self._fields[-1].end if self._fields else self._begun
            piece = bytes(self._data[start : self._at])
            self._fields.append(Field(start, self._at, "line", shown(piece)))
        accuse(self._fields, error)
        self._part, self._why, self.failed = _Part.OVER, _BEYOND, True
        return [self._element(name, "broken")]

    # Bodies

    def _gather(self) -> bool:
        """Keep the content that the layer gave; return whether the message is complete."""
        complete = False
        for event in self._events:
            if isinstance(event, Body):
                self._content.append(event.data)
            complete = complete or isinstance(event, EndOfMessage)
        self._events = [event for event in self._events if isinstance(event, Failed)]
        return complete

    def _complete(self, value: str) -> list[Field]:
        self.content = b"".join(self._content)
        field = self._element("body", value)
        if self._content and field.fields:
            start = 0 if self._own else field.start
            end = start + field.end - field.start
            field.fields.append(
                Field(start, end, "content", f"{len(self.content)} bytes",
                      "the chunks joined", "9112-7.1-decode", [], self.content)
            )  # fmt: skip
        self._next_message()
        return [field]

    def _next_message(self) -> None:
        """Answer for the peer, so that the layer goes on to the next message."""
        self._content = []
        self._part = _Part.HEAD
        self._expected = False
        layer = self._layer
        try:
            if self._sender is Role.CLIENT:
                layer.send(Response(405, _ANSWER, "no answer is read here"))
                layer.send(EndOfMessage())
        except LocalProtocolError:
            self._part = _Part.OVER
        layer.data_to_send()
        layer.tick(0.0)
        if layer.closing is not Closing.OPEN:
            self._part = _Part.OVER
        self._why = "the connection was to be closed after this"

    def _read_counted(self) -> list[Field] | None:
        size = len(self._data)
        if self._fed >= size:
            return None
        upto = min(size, self._begun + self._left)
        self._feed_layer(upto)
        self._at = self._scanned = upto
        if not self._gather():
            return None
        return self._complete(f"{self._left} bytes")

    def _read_open(self) -> list[Field] | None:
        if self._fed >= len(self._data):
            return None
        failed = self._feed_layer(len(self._data))
        self._at = self._scanned = len(self._data)
        self._gather()
        return None if failed is None else self._break(failed, "body")

    def _read_size(self) -> list[Field] | None:
        line = self._line() if self._scanned < len(self._data) else None
        if line is None:
            return None
        start, self._at = self._at, self._scanned
        found = CHUNK_LINE.fullmatch(line)
        size = f"{int(found[1], 16)} bytes" if found else shown(line)
        self._fields.append(
            Field(start, self._at, "chunk size", size, "in hexadecimal", "9112-7.1-chunk-size")
        )
        if found and found[2]:
            extensions = moved(Field(found.start(2), found.end(2), "extensions", shown(found[2])),
                               start)  # fmt: skip
            extensions.rule = "9112-7.1.1-ignored"
            self._fields[-1].fields = [extensions]
        failed = self._failed()
        if failed is not None or found is None:
            return self._break(failed or _SILENT, "body")
        self._left = int(found[1], 16)
        self._part = _Part.CHUNK if self._left else _Part.TRAILERS
        return []

    def _read_chunk(self) -> list[Field] | None:
        if len(self._data) - self._at < self._left:
            self._feed_layer(len(self._data))
            self._gather()
            return None
        end = self._at + self._left
        self._feed_layer(end)
        self._gather()
        piece = bytes(memoryview(self._data)[self._at : min(end, self._at + 100)])
        self._fields.append(Field(self._at, end, "chunk data", shown(piece), "", "9112-7.1-decode"))
        self._at = self._scanned = end
        self._part = _Part.CHUNK_END
        return []

    def _read_chunk_end(self) -> list[Field] | None:
        upto = min(self._at + 2, len(self._data))
        failed = self._feed_layer(upto)
        if failed is None and upto < self._at + 2:
            return None
        rule = "9112-7.1-chunk-end"
        self._fields.append(Field(self._at, upto, "end of chunk", "", "CR LF", rule))
        self._at = self._scanned = upto
        if failed is not None:
            return self._break(failed, "body")
        self._part = _Part.SIZE
        return []

    def _read_trailers(self) -> list[Field] | None:
        line = self._line() if self._scanned < len(self._data) else None
        if line is None:
            return None
        start, self._at = self._at, self._scanned
        if line in (b"\r\n", b"\n"):
            field = Field(0, len(line), "empty line", "end of the body", "", "9112-2.1-crlf")
        else:
            field = field_line(line)
            field.rule = "9112-7.1.2-trailers"
        self._fields.append(moved(field, start))
        failed = self._failed()
        if failed is not None:
            return self._break(failed, "body")
        if not self._gather():
            return []
        return self._complete("chunked")


_SILENT = Failed("http", "9112-7.1-chunk-size", 0, "not a chunk size")

_STEPS = {
    _Part.HEAD: Messages._read_head,
    _Part.COUNTED: Messages._read_counted,
    _Part.SIZE: Messages._read_size,
    _Part.CHUNK: Messages._read_chunk,
    _Part.CHUNK_END: Messages._read_chunk_end,
    _Part.TRAILERS: Messages._read_trailers,
    _Part.OPEN_END: Messages._read_open,
}
