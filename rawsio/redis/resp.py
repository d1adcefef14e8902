r"""RESP as bytes: one value after the other, each a type byte, a line, and perhaps a body.

::

    +OK\r\n                          simple string     str
    -MOVED 3999 host:6381\r\n        error             ErrorReply
    :42\r\n                          integer           int
    $5\r\nhello\r\n                  bulk string       bytes    ($-1 is None)
    *2\r\n...                        array             list     (*-1 is None)
    _  #t  ,1.5  (123                version 3: None, bool, float, int
    !  =  %  ~                       version 3: ErrorReply, bytes, dict, list
    >3\r\n...                        version 3: push   Pushed
    |1\r\n...                        version 3: attributes of the value that follows, dropped

:class:`Decoder` reads values as they arrive.  It keeps the arrays that are not whole yet on a
stack of its own, so nesting costs no recursion, and it looks at no byte twice.  Each length is
judged at its line: a server that announces 2 GB is refused before it sends them.

A client sends only arrays of bulk strings (:func:`encode_command`).

Source: the Redis serialization protocol specification, and the RESP3 specification.
"""

from __future__ import annotations

import re

from rawsio.errors import RESPError, escaped
from rawsio.layer import record
from rawsio.limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rawsio.limits import Limits

__all__ = [
    "NEED",
    "Decoder",
    "ErrorReply",
    "Pushed",
    "command",
    "encode_command",
    "encode_push",
    "encode_value",
    "text_bytes",
]

_LENGTH = re.compile(rb"[0-9]{1,10}")
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_DOUBLE = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|inf)|nan")
_INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 4000  # a big number: Python itself refuses to read more than 4300

_SIMPLE, _ERROR, _INT, _NULL, _BOOL, _FLOAT, _BIG = _PLAIN = b"+-:_#,("
_BULK, _BULK_ERROR, _VERBATIM = _BULKS = b"$!="
_ARRAY, _MAP, _SET, _PUSH, _ATTRIBUTE = b"*%~>|"
_PAIRS = b"%|"
_TYPES = b"+-:_#,($!=*%~>|"
_CR = 13


class _Need:
    """The type of :data:`NEED`."""

    def __repr__(self) -> str:
        return "NEED"


NEED: Any = _Need()
"""What :meth:`Decoder.next` returns when the next value is not whole yet."""

_OPENED: Any = object()  # a body or an aggregate has begun; its elements follow


@record
class ErrorReply:
    """An error that the server answered: ``MOVED``, ``WRONGTYPE``, ``ERR``, and its text.

    >>> ErrorReply("ERR", "unknown command")
    ErrorReply(code='ERR', message='unknown command')
    """

    code: str
    message: str


@record
class Pushed:
    """A push of version 3 as it is on the wire."""

    items: list[Any]


class _Aggregate:
    """An array, map, set, push or attribute whose elements are still coming."""

    __slots__ = ("items", "kind", "left")

    def __init__(self, kind: int, left: int) -> None:
        self.kind = kind
        self.left = left
        self.items: list[Any] = []


class Decoder:
    r"""Reads values off a stream of bytes; ``requests`` for the server's side.

    A server reads only what a client may send: arrays of bulk strings.

    >>> decoder = Decoder()
    >>> decoder.feed(b"*2\r\n:1\r\n$5\r\nhel")
    >>> decoder.next()
    NEED
    >>> decoder.feed(b"lo\r\n+OK\r\n")
    >>> decoder.next(), decoder.next(), decoder.next()
    ([1, b'hello'], 'OK', NEED)
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_bulk",
        "_elements",
        "_length",
        "_limits",
        "_requests",
        "_stack",
        "_taken",
    )

    def __init__(self, limits: Limits = DEFAULT, *, requests: bool = False) -> None:
        self._limits = limits
        self._requests = requests
        self._buffer = bytearray()
        self._at = 0
        # The type byte (0: none) and the length of the bulk string whose body is coming.
        self._bulk = 0
        self._length = 0
        self._stack: list[_Aggregate] = []
        # Of the value that is not whole yet: its bytes and elements so far.
        self._taken = 0
        self._elements = 0

    @property
    def buffered(self) -> int:
        """Bytes held: unread ones, and those of the value that is not whole yet."""
        return len(self._buffer) - self._at + self._taken

    def feed(self, data: bytes) -> None:
        """Add what came."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Any:
        """Return the next whole value, or ``NEED``.

        Raises ``RESPError`` at the first byte that cannot be right.
        """
        while True:
            value = self._body() if self._bulk else self._begin()
            if value is not _OPENED:
                if value is not NEED:
                    value = self._place(value)
                if value is not _OPENED:
                    return value

    def _begin(self) -> Any:
        """Read a type byte and its line: gives a value, ``_OPENED`` or ``NEED``."""
        at = self._at
        if at == len(self._buffer):
            return NEED
        kind = self._buffer[at]
        self._check_kind(kind)
        end = self._end_of_line(at + 1)
        if end < 0:
            return NEED
        line = bytes(self._buffer[at + 1 : end])
        self._at = end + 2
        self._taken += end + 2 - at
        if kind in _PLAIN:
            return _plain(kind, line)
        length = _length(kind, line)
        if length < 0:
            if self._requests:
                raise RESPError("a null in a request", "resp-request-form")
            return None
        return self._open(kind, length)

    def _check_kind(self, kind: int) -> None:
        if self._requests:
            expected = _BULK if self._stack else _ARRAY
            if kind != expected:
                raise RESPError(
                    f"a request is an array of bulk strings: {chr(expected)!r} was expected, "
                    f"{escaped(bytes([kind]))} came",
                    "resp-request-form",
                )
        elif kind not in _TYPES:
            raise RESPError(
                f"no value begins with {escaped(bytes([kind]))}: is this a Redis server?",
                "resp-type-known",
            )

    def _end_of_line(self, start: int) -> int:
        """Return where the CRLF of a line is, -1 if it has not come yet."""
        buffer, most = self._buffer, self._limits.resp_line
        end = buffer.find(b"\r\n", start, start + most + 2)
        if end < 0:
            held = len(buffer) - start
            if held > most + 1 or (held == most + 1 and buffer[-1] != _CR):
                raise RESPError(f"a line is longer than {most} bytes", "resp-line-length")
            return -1
        if buffer.find(b"\r", start, end) >= 0 or buffer.find(b"\n", start, end) >= 0:
            raise RESPError("CR or LF alone inside a line", "resp-line-form")
        return end

    def _open(self, kind: int, length: int) -> Any:
        """Begin a body or an aggregate of this length; an empty aggregate is whole at once."""
        limits = self._limits
        if kind in _BULKS:
            if self._taken + length > limits.resp_value:
                raise RESPError(
                    f"a value of more than {limits.resp_value} bytes (Limits.resp_value)",
                    "resp-value-length",
                )
            self._bulk, self._length = kind, length
            return _OPENED
        count = length * 2 if kind in _PAIRS else length
        self._elements += count
        if self._elements > limits.resp_elements:
            raise RESPError(
                f"a value of more than {limits.resp_elements} elements (Limits.resp_elements)",
                "resp-value-elements",
            )
        if self._requests and not count:
            raise RESPError("a request without a command", "resp-request-form")
        if len(self._stack) >= limits.resp_depth:
            raise RESPError(
                f"arrays nested deeper than {limits.resp_depth} (Limits.resp_depth)",
                "resp-value-depth",
            )
        opened = _Aggregate(kind, count)
        if count:
            self._stack.append(opened)
            return _OPENED
        return _OPENED if kind == _ATTRIBUTE else _joined(opened)

    def _body(self) -> Any:
        """Read the body of a bulk string: gives a value or ``NEED``."""
        kind, length = self._bulk, self._length
        at, end = self._at, self._at + length
        if len(self._buffer) < end + 2:
            return NEED
        if self._buffer[end : end + 2] != b"\r\n":
            raise RESPError(
                f"CRLF was expected behind a string of {length} bytes, "
                f"{escaped(bytes(self._buffer[end : end + 2]))} came",
                "resp-bulk-end",
            )
        data = bytes(memoryview(self._buffer)[at:end])
        self._at = end + 2
        self._taken += length + 2
        self._bulk = 0
        if kind == _BULK:
            return data
        return _error(data) if kind == _BULK_ERROR else _verbatim(data)

    def _place(self, value: Any) -> Any:
        """Put a value where it belongs: gives the whole top-level value, or ``_OPENED``."""
        stack = self._stack
        while stack:
            top = stack[-1]
            top.items.append(value)
            top.left -= 1
            if top.left:
                return _OPENED
            stack.pop()
            if top.kind == _ATTRIBUTE:
                return _OPENED  # dropped; the value that it describes follows
            value = _joined(top)
        self._taken = self._elements = 0
        return value


def _length(kind: int, line: bytes) -> int:
    """Return the length in a header line; -1 for the null of version 2."""
    if _LENGTH.fullmatch(line):
        return int(line)
    if line == b"-1" and kind in (_BULK, _ARRAY):
        return -1
    raise RESPError(f"a length was expected, {escaped(line)} came", "resp-length-form")


def _plain(kind: int, line: bytes) -> Any:
    """Return the value of a type that is one line."""
    if kind == _SIMPLE:
        return str(line, "utf-8", "surrogateescape")
    if kind == _ERROR:
        return _error(line)
    if kind == _INT:
        if _INTEGER.fullmatch(line) and len(line) <= 20 and int(line) in _INT64:
            return int(line)
    elif kind == _BIG:
        if _INTEGER.fullmatch(line) and len(line) <= _MOST_DIGITS:
            return int(line)
    elif kind == _FLOAT:
        if _DOUBLE.fullmatch(line):
            return float(line)
    elif kind == _BOOL:
        if line in (b"t", b"f"):
            return line == b"t"
    elif not line:
        return None
    raise RESPError(f"no value of type {chr(kind)!r}: {escaped(line)}", "resp-value-form")


def _error(line: bytes) -> ErrorReply:
    code, _, message = str(line, "utf-8", "replace").partition(" ")
    return ErrorReply(code, message)


def _verbatim(data: bytes) -> bytes:
    if data[3:4] != b":":
        raise RESPError(
            f"three letters and a colon were expected, {escaped(data[:4])} came",
            "resp-value-form",
        )
    return data[4:]


def _joined(whole: _Aggregate) -> Any:
    """Return the value of an aggregate that is whole."""
    items = whole.items
    if whole.kind == _PUSH:
        return Pushed(items)
    if whole.kind != _MAP:
        return items
    try:
        return dict(zip(items[::2], items[1::2], strict=True))
    except TypeError:
        raise RESPError("the key of a map is an array or a map", "resp-value-form") from None


# Encoding


def command(name: str, *arguments: str | bytes | float) -> list[bytes]:
    """Return the arguments of a command as bytes: text as UTF-8, numbers in decimal.

    >>> command("SET", "key", 1)
    [b'SET', b'key', b'1']

    Raises ``TypeError`` for anything else.
    """
    return [_argument(value) for value in (name, *arguments)]


def text_bytes(text: str) -> bytes:
    r"""Return text in UTF-8; half a surrogate pair is U+FFFD, as JavaScript has it.

    What stands for single bytes (``surrogateescape``) is these bytes.

    >>> text_bytes("a\udcff"), text_bytes("a\ud83d") == "a\ufffd".encode()
    (b'a\xff', True)
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _argument(value: str | bytes | float) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return text_bytes(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value).encode("ascii")
    kind = "None" if value is None else type(value).__name__
    raise TypeError(f"an argument of a command is str, bytes, int or float, not {kind}")


def encode_command(args: Iterable[bytes]) -> bytes:
    r"""Return a request: an array of bulk strings.

    >>> encode_command([b"GET", b"key"])
    b'*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n'
    """
    parts = [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def encode_value(value: Any, version: int = 3) -> bytes:
    r"""Return a reply of a server.

    ``str`` is a simple string, ``bytes`` a bulk string.  Version 2 has no maps, floats and bools:
    they become arrays, bulk strings and integers, as Redis does it.

    >>> encode_value({b"proto": 3}), encode_value({b"proto": 3}, 2)
    (b'%1\r\n$5\r\nproto\r\n:3\r\n', b'*2\r\n$5\r\nproto\r\n:3\r\n')

    Raises ``TypeError`` for values that RESP does not have and ``ValueError`` for a simple string
    or an error with a line break.
    """
    if value is None:
        return b"_\r\n" if version == 3 else b"$-1\r\n"
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, (str, ErrorReply)):
        return _encode_line(value)
    if isinstance(value, (bool, int, float)):
        return _encode_number(value, version)
    if isinstance(value, (list, tuple)):
        body = b"".join(encode_value(item, version) for item in value)
        return b"*%d\r\n%b" % (len(value), body)
    if isinstance(value, dict):
        items = [part for pair in value.items() for part in pair]
        if version == 2:
            return encode_value(items, 2)
        return b"%%%d\r\n%b" % (len(value), b"".join(encode_value(item, 3) for item in items))
    raise TypeError(f"RESP has no {type(value).__name__}: {value!r}")


def _encode_line(value: str | ErrorReply) -> bytes:
    if isinstance(value, str):
        line = "+" + value
    else:
        line = f"-{value.code} {value.message}" if value.message else f"-{value.code}"
    if "\r" in line or "\n" in line:
        raise ValueError(f"a line break in {line!r}: send it as bytes")
    return line.encode("utf-8", "surrogateescape") + b"\r\n"


def _encode_number(value: float, version: int) -> bytes:
    if isinstance(value, bool):
        return (b"#t\r\n" if value else b"#f\r\n") if version == 3 else b":%d\r\n" % value
    if isinstance(value, int):
        return b"%b%d\r\n" % (b":" if value in _INT64 else b"(", value)
    text = repr(value).encode("ascii")
    return b",%b\r\n" % text if version == 3 else encode_value(text, 2)


def encode_push(items: list[Any], version: int = 3) -> bytes:
    r"""Return what a server says unasked: a push, or in version 2 an array.

    >>> encode_push([b"message", b"a", b"hi"])
    b'>3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n'
    """
    array = encode_value(items, version)
    return b">" + array[1:] if version == 3 else array
