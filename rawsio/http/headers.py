r"""Header fields: an ordered multimap of text, cheap to hold and checked when it is written.

RFC 9110 section 5: names are compared without case, the order of lines with the same name
counts, and a recipient may not rely on any other order.  :class:`Headers` keeps the lines as they
came, in order and in their spelling, and finds names without case.

A head that came from the wire was checked as bytes, so :class:`Headers` can be made from that block
and split only when somebody looks.  A session that keeps its handshake keeps :attr:`Headers.block`
(a few hundred bytes), not lists of strings.

Text is latin-1 throughout: one character is one byte of the wire, also for ``obs-text``.

The syntax of single fields is their readers' business; a comma list of tokens (``Connection``,
``Upgrade``) is common enough to have a method here.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError, escaped

from .grammar import FIELD_BLOCK, FRAMING_FIELD, FRAMING_NAMES, TOKEN, VALUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Headers", "EMPTY", "members"]

_BLANK = " \t"

_LINE = 150
"""Bytes of memory that a field line takes beside its characters, in a list or in an index."""


class Headers:
    r"""An immutable ordered multimap of field lines.

    >>> headers = Headers([("Host", "a"), ("Accept", "text/html"), ("accept", "*/*")])
    >>> headers.get("HOST"), headers.get_all("accept"), headers.get("cookie", "none")
    ('a', ['text/html', '*/*'], 'none')
    >>> Headers.from_block(b"Connection: keep-alive, Upgrade\r\n").tokens("connection")
    ['keep-alive', 'upgrade']
    >>> list(Headers([("Host", "a")]).plus(("Date", "today")))
    [('Host', 'a'), ('Date', 'today')]
    >>> Headers([("X", "1\r\nY: 2")]).block
    Traceback (most recent call last):
    ...
    rawsio.errors.LocalProtocolError: the value of field 'X' may not be written: '1\r\nY: 2'
    """

    __slots__ = ("_pairs", "_block", "_first", "answered")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs: list[tuple[str, str]] | None = [(name, value) for name, value in pairs]
        self._block: bytes | None = None
        self._first: dict[str, str] | None = None
        self.answered: tuple[int, str, int, bytes] | None = None
        """What an answer with these fields came to (:mod:`rawsio.http.repeated`)."""

    @classmethod
    def from_block(cls, block: bytes, *, checked: bool = False) -> Headers:
        """Return the headers of a block: lines ``name: value``, each ended by CRLF.

        Raises ``LocalProtocolError`` for anything else, unless somebody ``checked`` it already.
        """
        if not checked and not FIELD_BLOCK.fullmatch(block):
            raise LocalProtocolError(f"not a block of field lines: {escaped(block)}")
        headers = cls.__new__(cls)
        headers._pairs = None
        headers._block = block
        headers._first = headers.answered = None
        return headers

    @property
    def block(self) -> bytes:
        """The field lines as they go on the wire.

        Raises ``LocalProtocolError`` for what RFC 9110 section 5 does not let us write: control
        characters would let whoever chose a value add lines of their own.
        """
        if self._block is None:
            self._block = _encode(self._lines())
        return self._block

    @property
    def weight(self) -> int:
        """About how many bytes of memory they take, with what was made of them."""
        size = len(self._block or b"")
        if self._pairs is not None:
            size += 2 * size + _LINE * len(self._pairs)
        return size if self._first is None else size + _LINE * len(self._first)

    def framing_fields(self) -> dict[str, list[str]]:
        """Return the values, in lower case, of the fields that a connection acts on itself.

        They are found in a block from the wire without splitting it.
        """
        if self._pairs is None:
            pairs = FRAMING_FIELD.findall("\n" + self.block.lower().decode("latin-1"))
        else:
            pairs = self._pairs
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            lowered = name.lower()
            if lowered in fields:
                fields[lowered].append(value.lower().rstrip(_BLANK))
            elif lowered in FRAMING_NAMES:
                fields[lowered] = [value.lower().rstrip(_BLANK)]
        return fields

    def _lines(self) -> list[tuple[str, str]]:
        if self._pairs is None:
            lines = self.block.decode("latin-1").split("\r\n")
            lines.pop()
            parts = [line.partition(":") for line in lines]
            self._pairs = [(name, value.strip(_BLANK)) for name, _, value in parts]
        return self._pairs

    def _index(self) -> dict[str, str]:
        if self._first is None:
            # Backwards, so that of several lines with one name the first stays.
            self._first = {name.lower(): value for name, value in reversed(self._lines())}
        return self._first

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._lines())

    def __len__(self) -> int:
        return len(self._lines())

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._index()

    def __eq__(self, other: object) -> bool:
        return self._lines() == other._lines() if isinstance(other, Headers) else NotImplemented

    if not TYPE_CHECKING:
        __hash__ = None

    def __repr__(self) -> str:
        return f"Headers({self._lines()!r})"

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of the first line of that name."""
        return self._index().get(name.lower(), default)

    def get_all(self, name: str) -> list[str]:
        """Return the values of all lines of that name, in order."""
        index, wanted = self._index(), name.lower()
        if wanted not in index:
            return []
        if len(index) == len(self._lines()):
            return [index[wanted]]
        return [value for name, value in self._lines() if name.lower() == wanted]

    def tokens(self, name: str) -> list[str]:
        """Return the members of a comma list in lower case, over all lines of that name.

        Empty members are dropped (RFC 9110 section 5.6.1.2).
        """
        values = self.get_all(name)
        return members(values) if values else []

    def announces_length(self) -> bool:
        """Return whether a line is a ``Content-Length``; makes no index for it.

        >>> Headers([("content-length", "0")]).announces_length()
        True
        """
        for name, _value in self._lines():
            if name == "Content-Length" or name.lower() == "content-length":
                return True
        return False

    def plus(self, *pairs: tuple[str, str]) -> Headers:
        """Return new headers with more lines at the end."""
        return Headers([*self._lines(), *pairs])


def members(values: list[str]) -> list[str]:
    """Return the members of a comma list in lower case; ``values`` are those of its lines.

    >>> members(["Upgrade, ", "keep-alive"])
    ['upgrade', 'keep-alive']
    """
    listed = [member.strip(_BLANK) for member in ",".join(values).lower().split(",")]
    return [member for member in listed if member]


def _check_types(name: object, value: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a header field is a str, not {name!r}")
    if not isinstance(value, str):
        meant = f": write {str(value)!r}" if isinstance(value, (int, float)) else ""
        raise TypeError(f"the value of the header field {name} is a str, not {value!r}{meant}")


def _encode(pairs: list[tuple[str, str]]) -> bytes:
    try:
        return _encode_strings(pairs)
    except (AttributeError, TypeError):
        # What is no str is found when it is used: to look first would cost those who are right.
        for name, value in pairs:
            _check_types(name, value)
        raise


def _encode_strings(pairs: list[tuple[str, str]]) -> bytes:
    lines = []
    for name, value in pairs:
        # 9110-5.1-name
        if name not in _USUAL and not TOKEN.fullmatch(name):
            raise LocalProtocolError(f"not a field name: {escaped(name)}")
        # 9110-5.5-value (nearly all are printable ASCII, which str itself finds out fastest)
        plain = value.isascii() and value.isprintable() and value[:1] != " " != value[-1:]
        if not plain and not VALUE.fullmatch(value):
            raise LocalProtocolError(
                f"the value of field {escaped(name)} may not be written: {escaped(value)}"
            )
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


_USUAL = frozenset(
    (
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Origin",
        "Cache-Control",
        "Connection",
        "Content-Length",
        "Content-Type",
        "Date",
        "ETag",
        "Host",
        "Last-Modified",
        "Sec-WebSocket-Accept",
        "Set-Cookie",
        "Transfer-Encoding",
        "Upgrade",
        "User-Agent",
        "Vary",
    )
)
"""Names that need no check."""

EMPTY = Headers()
"""No fields: the trailers of nearly every message."""
