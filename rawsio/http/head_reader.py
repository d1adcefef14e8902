r"""A head or a trailer section, read line by line as it arrives.

RFC 9112 section 2.1: a start line, field lines, an empty line, each ended by CRLF.  A
:class:`Section` looks at every byte once, however the bytes are cut: it remembers the line that it
is in and how far that line was searched, and judges a line at its end.  So it refuses at the first
wrong byte of a line ending, at the end of a wrong line, and at the byte that passes a limit,
whichever comes first, and comes to the same verdict for the same bytes, cut anywhere.

Most heads arrive whole and are right, so :class:`HeadReader` first tries one regular expression on
all of it.  What does not match, is not complete, or is long is read line by line, where the mistake
gets its name.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, escaped
from rawsio.layer import Role

from .grammar import (
    FIELD_LINE,
    FOLD,
    FOLDED_LINE,
    GOOD_REQUEST_LINE,
    LINE_END,
    REQUEST_HEAD,
    RESPONSE_HEAD,
)
from .headers import EMPTY, Headers
from .messages import (
    Request,
    Response,
    check_request_line,
    decode_head,
    decode_request_line,
    decode_status_line,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

__all__ = ["LONGEST", "Section", "Line", "HeadReader"]

_CR = 0x0D
_LF = 0x0A


class Line:
    """The end of a line, searched so that no byte is looked at twice."""

    __slots__ = ("start", "searched")

    def __init__(self) -> None:
        self.start = 0
        self.searched = 0

    def next(self, start: int) -> None:
        """Begin with the line at ``start``."""
        self.start = self.searched = start

    def end(self, buffer: bytearray, longest: int, error: HTTPError) -> int | None:
        """Return where the line ends, behind its CRLF, or ``None`` if that has not arrived.

        The position of the CR must not pass ``longest``, or ``error`` is raised.
        """
        found = LINE_END.search(buffer, self.searched)
        at = found.start() if found else len(buffer)
        if at > longest:
            raise error
        self.searched = at
        if not found:
            return None
        if buffer[at] == _LF:
            raise HTTPError("a line ends in LF without CR", "9112-2.2-bare-lf")
        if at + 1 == len(buffer):
            return None
        if buffer[at + 1] != _LF:
            raise HTTPError("a CR that ends no line", "9112-2.2-bare-cr")
        return at + 2


class Section:
    """Reads the lines of a head (of what ``sender`` sends) or of a trailer section.

    ``buffer`` begins with the section each time; nothing is removed from it.
    """

    __slots__ = ("_sender", "_limits", "_line", "_fields", "_folded")

    def __init__(self, sender: Role, limits: Limits, *, trailers: bool = False) -> None:
        self._sender = sender
        self._limits = limits
        self._line = Line()
        self._fields = 0 if trailers else -1  # the start line is none
        self._folded = False

    def read(self, buffer: bytearray) -> int | None:
        """Return the length of the section with its empty line, or ``None`` if it goes on."""
        line = self._line
        while True:
            longest, error = self._longest()
            end = line.end(buffer, longest, error)
            if end is None:
                return None
            if end == line.start + 2 and self._fields >= 0:
                return end
            self._judge(bytes(memoryview(buffer)[line.start : end]))
            line.next(end)

    def block(self, buffer: bytearray, end: int) -> bytes:
        """Return the lines of the section that ends at ``end``, folded ones joined."""
        block = bytes(memoryview(buffer)[: end - 2])
        return FOLD.sub(b" ", block) if self._folded else block

    def _longest(self) -> tuple[int, HTTPError]:
        limits, start = self._limits, self._line.start
        longest = limits.start_line if self._fields < 0 else limits.field
        # The whole section counts, its empty line as well: a CR at the last place but one fits.
        if start + longest > limits.head - 2:
            return limits.head - 2, HTTPError(
                f"a head is longer than {limits.head} bytes", "9110-5.4-head", 431
            )
        if self._fields < 0:
            message = f"a start line is longer than {longest} bytes"
            return start + longest, HTTPError(message, "9112-3-start-line", 414)
        message = f"a field line is longer than {longest} bytes"
        return start + longest, HTTPError(message, "9110-5.4-field", 431)

    def _judge(self, line: bytes) -> None:
        if self._fields < 0:
            if self._sender is Role.CLIENT:
                decode_request_line(line)
            else:
                decode_status_line(line)
            self._fields = 0
            return
        self._fields += 1
        if self._fields > self._limits.fields:
            message = f"more than {self._limits.fields} fields"
            raise HTTPError(message, "9110-5.4-fields", 431)
        if FIELD_LINE.fullmatch(line):
            return
        if line[:1] in (b" ", b"\t"):
            self._judge_folded(line)
        else:
            raise _field_error(line)

    def _judge_folded(self, line: bytes) -> None:
        # 9112-5.2-fold: replaced in a response, refused in a request and before the first field.
        if self._fields == 1:
            message = "white space before the first field"
            raise HTTPError(message, "9112-2.2-space-before-field")
        if self._sender is Role.CLIENT or not FOLDED_LINE.fullmatch(line):
            raise HTTPError(f"a folded field line: {escaped(line)}", "9112-5.2-fold")
        self._folded = True


LONGEST = 2048
"""The longest head that is kept as it came, in bytes."""

_TLS_RECORDS = (0x15, 0x16)
"""How TLS begins, and no head does: an alert, a handshake (RFC 8446 section 5.1)."""


def _speaks_tls(sender: Role) -> HTTPError:
    """Return the error that names the commonest mix-up of ports."""
    if sender is Role.CLIENT:
        message = (
            "the client speaks TLS, and nobody does on this port:"
            " its URL begins with http://, or give listen() the argument tls"
        )
        return HTTPError(message, "9112-3-request-line")
    message = "the server speaks TLS on this port: its URL begins with https://"
    return HTTPError(message, "9112-4-status-line")


def _field_error(line: bytes) -> HTTPError:
    """Return the error that names what is wrong with a field line."""
    name, colon, _ = line.partition(b":")
    shown = escaped(line)
    if not colon:
        return HTTPError(f"a field line without a colon: {shown}", "9112-5-field-line")
    if name[-1:] in (b" ", b"\t"):
        return HTTPError(f"white space before the colon: {shown}", "9112-5.1-space-before-colon")
    if not FIELD_LINE.fullmatch(name + b":\r\n"):
        return HTTPError(f"not a field name: {shown}", "9110-5.1-name")
    return HTTPError(f"a control character in a field value: {shown}", "9110-5.5-value")


class HeadReader:
    """Reads heads of what ``sender`` sends, one after the other, off the front of a buffer."""

    __slots__ = ("_sender", "_limits", "_section", "blank", "_fast", "before", "whole")

    BLANK_LINES = 4
    """Empty lines allowed before a request line (RFC 9112 section 2.2 asks for one at least)."""

    def __init__(self, sender: Role, limits: Limits) -> None:
        self._sender = sender
        self._limits = limits
        self._section: Section | None = None
        self.blank = 0
        self._fast = min(limits.head, limits.start_line, limits.field)
        self.before = EMPTY
        """The fields of the request before: who stays says the same again."""
        self.whole: bytes | None = None
        """The request head that was read last, if it was whole at once."""

    def read(self, buffer: bytearray) -> Request | Response | None:
        """Take a head off the buffer, or return ``None`` if it is not complete.

        Raises ``HTTPError``.
        """
        section = self._section
        if section is None:
            if not buffer:
                return None
            if buffer[0] == _CR and self._sender is Role.CLIENT and not self._skip_blank(buffer):
                return None
            whole = self._read_whole(buffer)
            if whole is not None:
                return whole
            if buffer[0] in _TLS_RECORDS:
                raise _speaks_tls(self._sender)
            section = self._section = Section(self._sender, self._limits)
        end = section.read(buffer)
        if end is None:
            return None
        self.whole = None
        head = section.block(buffer, end)
        del buffer[:end]
        self._section = None
        self.blank = 0
        return decode_head(self._sender, head)

    def _read_whole(self, buffer: bytearray) -> Request | Response | None:
        """The fast path: a short head that is complete and right, by one match."""
        end = buffer.find(b"\r\n\r\n", 0, self._fast)
        if end < 0:
            return None
        # A field line has four bytes at least: counting them is rarely needed.
        if end > 4 * self._limits.fields and buffer.count(b"\n", 0, end) > self._limits.fields:
            return None
        head: Request | Response | None = None
        if self._sender is Role.CLIENT:
            head = self._request(buffer, end + 2)
        elif RESPONSE_HEAD.fullmatch(buffer, 0, end + 2):
            head = decode_head(self._sender, bytes(memoryview(buffer)[: end + 2]))
        if head is None:
            return None
        self.whole = bytes(memoryview(buffer)[: end + 4]) if end < LONGEST else None
        del buffer[: end + 4]
        self.blank = 0
        return head

    def _request(self, buffer: bytearray, end: int) -> Request | None:
        headers, found = self.before, None
        block = headers.block
        if block and buffer.endswith(block, 0, end):
            found = GOOD_REQUEST_LINE.fullmatch(buffer, 0, end - len(block))
        if found is None:
            found = REQUEST_HEAD.fullmatch(buffer, 0, end)
            if found is None:
                return None
            headers = self.before = Headers.from_block(bytes(found[4]), checked=True)
        method, target = found[1].decode("ascii"), found[2].decode("ascii")
        version = "1.1" if found[3] == b"1" else "1.0"
        check_request_line(method, target, version)
        return Request(method, target, headers, version)

    def _skip_blank(self, buffer: bytearray) -> bool:
        """Drop empty lines; return whether the first byte of a request line is there."""
        while buffer[:2] == b"\r\n":
            if self.blank == self.BLANK_LINES:
                raise HTTPError("too many empty lines before a request", "9112-2.2-empty-lines")
            self.blank += 1
            del buffer[:2]
        return len(buffer) > 0 and buffer != b"\r"
