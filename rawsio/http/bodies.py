r"""Bodies, read off the front of a buffer and framed for the way out.

A reader takes what has arrived of a body, and says when the message is complete:
``read(buffer, pieces)`` removes bytes from the buffer, appends content to ``pieces``, and returns
the trailers at the end of the message, ``None`` before.  Content that came before a mistake is in
``pieces`` when the ``HTTPError`` is raised.

=====================  ==========================================================
:class:`Counted`       ``Content-Length`` (RFC 9112 section 6.2)
:class:`Chunked`       the chunked coding with extensions and trailers (section 7.1)
:class:`UntilClose`    a response that ends with its connection (section 6.3, 8)
=====================  ==========================================================

A length is judged where it is announced, before a byte of what it announces is kept: a chunk that
would pass the limit is refused at its size line.  Chunk extensions are checked for their grammar,
bounded, and dropped.
"""

from __future__ import annotations

from enum import Enum

from rawsio.errors import HTTPError, LocalProtocolError, escaped
from rawsio.layer import Role

from .framing import CHUNKED, FORBIDDEN_TRAILERS, SENT_TRAILERS, UNTIL_CLOSE
from .grammar import CHUNK_LINE, PLAIN_CHUNK
from .head_reader import Line, Section
from .headers import EMPTY, Headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

__all__ = ["Counted", "Chunked", "UntilClose", "Step", "reader_for", "encode_body", "encode_end"]


def _too_large(limits: Limits) -> HTTPError:
    """Return the error of a body that passes the limit."""
    return HTTPError(f"a body is longer than {limits.body} bytes", "9110-15.5.14-body", 413)


def reader_for(framing: int, limits: Limits, sender: Role) -> Counted | Chunked | UntilClose:
    """Return a reader; raises ``HTTPError`` for a counted body that is too long."""
    if framing == CHUNKED:
        return Chunked(limits, sender)
    if framing == UNTIL_CLOSE:
        return UntilClose(limits)
    if framing > limits.body:
        raise _too_large(limits)
    return Counted(framing)


class Counted:
    """A body of a known length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    def read(self, buffer: bytearray, pieces: list[bytes]) -> Headers | None:
        """Take what has arrived."""
        if buffer:
            piece = bytes(memoryview(buffer)[: self._left])
            del buffer[: len(piece)]
            pieces.append(piece)
            self._left -= len(piece)
        return None if self._left else EMPTY

    def end_of_input(self) -> None:
        """The connection ended: the body is incomplete."""
        message = f"the connection ended {self._left} bytes before the body did"
        raise HTTPError(message, "9112-8-incomplete")


class UntilClose:
    """A body that goes on until the connection ends."""

    __slots__ = ("_limits", "_left")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left = limits.body

    def read(self, buffer: bytearray, pieces: list[bytes]) -> Headers | None:
        """Take what has arrived, up to the limit."""
        if buffer:
            piece = bytes(memoryview(buffer)[: self._left])
            pieces.append(piece)
            self._left -= len(piece)
            if len(piece) < len(buffer):
                raise _too_large(self._limits)
            buffer.clear()
        return None

    def end_of_input(self) -> None:
        """The connection ended, and so did the body."""


class Step(Enum):
    """What a chunked body goes on with."""

    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"


class Chunked:
    """A body in the chunked coding."""

    __slots__ = ("_limits", "_step", "_line", "_left", "_total", "_extensions", "_trailers")

    def __init__(self, limits: Limits, sender: Role) -> None:
        self._limits = limits
        self._step = Step.SIZE
        self._line = Line()
        self._left = 0
        self._total = 0
        self._extensions = 0
        self._trailers = Section(sender, limits, trailers=True)

    def read(self, buffer: bytearray, pieces: list[bytes]) -> Headers | None:
        """Take what has arrived: sizes, data and, at the end, trailers."""
        while buffer:
            if self._step is Step.SIZE:
                self._read_whole(buffer, pieces)
                if not self._read_size(buffer):
                    break
            elif self._step is Step.DATA:
                piece = bytes(memoryview(buffer)[: self._left])
                del buffer[: len(piece)]
                pieces.append(piece)
                self._left -= len(piece)
                if not self._left:
                    self._step = Step.DATA_END
            elif self._step is Step.TRAILERS:
                return self._read_trailers(buffer)
            elif not self._read_end(buffer):
                break
        return None

    def _read_whole(self, buffer: bytearray, pieces: list[bytes]) -> None:
        """The fast path: take chunks that are complete and plain, up to the first doubt.

        A body may come in a million chunks of one byte: they cost one match and one slice each.
        """
        at = 0
        room = self._limits.body - self._total
        with memoryview(buffer) as view:
            while found := PLAIN_CHUNK.match(view, at):
                start = found.end()
                size = int(found[1], 16)
                end = start + size
                if not 0 < size <= room or not buffer.startswith(b"\r\n", end):
                    break
                if start - at - 2 > self._limits.chunk_line:
                    break
                pieces.append(bytes(view[start:end]))
                room -= size
                at = end + 2
            del found
        self._total = self._limits.body - room
        if at:
            del buffer[:at]
            self._line.next(0)

    def _read_size(self, buffer: bytearray) -> bool:
        longest = self._limits.chunk_line
        message = f"a chunk-size line is longer than {longest} bytes"
        error = HTTPError(message, "9112-7.1-chunk-line")
        end = self._line.end(buffer, longest, error)
        if end is None:
            return False
        line = bytes(memoryview(buffer)[:end])
        del buffer[:end]
        self._line.next(0)
        found = CHUNK_LINE.fullmatch(line)
        if not found:
            raise HTTPError(f"not a chunk size: {escaped(line)}", "9112-7.1-chunk-size")
        # 9112-7.1.1-extensions: one byte of content could drag 250 along.
        self._extensions += len(found[2])
        if self._extensions > self._limits.head:
            message = f"chunk extensions of more than {self._limits.head} bytes"
            raise HTTPError(message, "9112-7.1.1-extensions")
        self._left = int(found[1], 16)
        self._total += self._left
        if self._total > self._limits.body:
            raise _too_large(self._limits)
        self._step = Step.DATA if self._left else Step.TRAILERS
        return True

    def _read_end(self, buffer: bytearray) -> bool:
        if buffer[0] != 0x0D or (len(buffer) > 1 and buffer[1] != 0x0A):
            raise HTTPError("a chunk is longer than its size", "9112-7.1-chunk-end")
        if len(buffer) < 2:
            return False
        del buffer[:2]
        self._step = Step.SIZE
        return True

    def _read_trailers(self, buffer: bytearray) -> Headers | None:
        end = self._trailers.read(buffer)
        if end is None:
            return None
        block = self._trailers.block(buffer, end)
        del buffer[:end]
        if not block:
            return EMPTY
        trailers = Headers.from_block(block, checked=True)
        for name, _ in trailers:
            # 9110-6.5.1-trailers
            if name.lower() in FORBIDDEN_TRAILERS:
                raise HTTPError(f"not a trailer field: {escaped(name)}", "9110-6.5.1-trailers")
        return trailers

    def end_of_input(self) -> None:
        """The connection ended: the body is incomplete."""
        raise HTTPError("the connection ended inside a chunked body", "9112-8-incomplete")


def encode_body(framing: int, data: bytes) -> list[bytes]:
    r"""Return content framed for the way out: pieces, so that nothing is copied.

    >>> encode_body(CHUNKED, b"hello"), encode_body(5, b"hello")
    ([b'5\r\n', b'hello', b'\r\n'], [b'hello'])
    """
    if not data:
        return []
    return [b"%x\r\n" % len(data), data, b"\r\n"] if framing == CHUNKED else [data]


def encode_end(framing: int, trailers: Headers) -> list[bytes]:
    r"""Return what ends a body; raises ``LocalProtocolError`` for trailers that have no place.

    >>> encode_end(CHUNKED, Headers([("X-Sum", "7")]))
    [b'0\r\nX-Sum: 7\r\n\r\n']
    """
    if framing != CHUNKED:
        # 9110-6.5.1-chunked
        if len(trailers):
            raise LocalProtocolError("only a chunked message has trailers")
        return []
    for name, _ in trailers:
        if name.lower() in SENT_TRAILERS:
            raise LocalProtocolError(f"not a trailer field: {escaped(name)}")
    return [b"0\r\n%b\r\n" % trailers.block]
