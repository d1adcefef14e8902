r"""JSON as a tree: every value with its place, read in one pass without recursion.

The verdict on a text is the layer's (:func:`rawsio.socketio.values.decode_value`); here its tokens
are only located, up to the first that cannot stand where it does.  Most fields and the deepest
level are bounded (:data:`MOST`, :data:`DEEPEST`): what is beyond is counted, not shown, as far as
:data:`COUNTED`.
"""

from __future__ import annotations

from rawsio.lazy import Pattern

from .fields import Field, finished, shown, wire_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from re import Match
    from re import Pattern as Compiled

__all__ = ["explain_json", "json_fields", "json_steps"]

MOST = 2000
"""Most values that one tree shows."""
COUNTED = 25_000
"""Most values that are looked at: a megabyte of them would hold up a recording for seconds."""
DEEPEST = 100
"""Deepest level that a tree shows."""
STEP = 500
"""Values that are looked at in one step."""

# One token: white space before it, then a string, a number, a word, or a mark.
_TOKEN: Compiled[bytes] = Pattern(
    rb'(?s)[ \t\r\n]*(?:("[^"\\]*(?:\\.[^"\\]*)*")|(-?[0-9][0-9eE.+\-]*)|(true|false|null)'
    rb"|([\[\]{},:]))"
)
_STRING, _MARK = 1, 4
_NAMES = ("", "string", "number", "constant")
_CLOSES = {b"[": b"]", b"{": b"}"}
_BEFORE = {b":": "colon", b",": "comma"}


def explain_json(text: str | bytes) -> Field:
    """Return the tree of a JSON text.

    >>> tree = explain_json('{"a": [1, true]}')
    >>> [(f.name, f.value, f.start, f.end) for f in tree.fields[0].fields]
    [('"a"', '2 members', 6, 15)]
    """
    data = wire_bytes(text, text=True)
    fields, end = json_fields(data, 0)
    what = f"{fields[0].name}, {fields[0].value or 'not closed'}" if fields else "nothing"
    if len(data) > end:
        fields.append(Field(end, len(data), "rest", shown(data[end:]), "this is not JSON"))
    return Field(0, len(data), "JSON", what, "", "", fields, data)


def json_fields(data: bytes, start: int) -> tuple[list[Field], int]:
    """Return the value that begins at ``start`` as one field (or none), and where it ends."""
    return finished(json_steps(data, start))


def json_steps(data: bytes, start: int) -> Generator[None, None, tuple[list[Field], int]]:
    """Do what :func:`json_fields` does in steps."""
    return _Walk(data, start).steps()


class _Walk:
    """One pass over the tokens; the containers that are open are a list."""

    def __init__(self, data: bytes, start: int) -> None:
        self.data = data
        self.at = start
        self.top: list[Field] = []
        # Open containers: the field, the mark that closes it, how many values are in it.
        self.open: list[tuple[Field, bytes]] = []
        self.counts: list[int] = []
        self.key = ""
        self.made = 0
        self.wants = "value"

    def steps(self) -> Generator[None, None, tuple[list[Field], int]]:
        pause = STEP
        while not self.top or self.open:
            token = _TOKEN.match(self.data, self.at)
            if token is None or not self._take(token):
                break
            self.at = token.end()
            if self.made >= COUNTED and self.open:
                return self._break_off()
            if self.made >= pause:
                pause += STEP
                yield
        for field, _ in self.open:
            field.end = self.at
            field.meaning = "not closed"
        return self.top, self.at

    def _break_off(self) -> tuple[list[Field], int]:
        """Look no further: what is open goes on to the end, as far as is known."""
        for (field, _), many in zip(self.open, self.counts, strict=True):
            field.end, field.meaning = len(self.data), "the rest is not counted"
            field.value = f"{many} members and more"
        return self.top, len(self.data)

    def _take(self, token: Match[bytes]) -> bool:
        """Take a token; ``False`` if it cannot stand here."""
        kind = token.lastindex or 0
        text, start = token[kind], token.start(kind)
        if kind == _STRING and self.wants in ("key", "key or end"):
            self.key, self.wants = shown(text), "colon"
            return True
        if kind != _MARK or text in _CLOSES:
            return self._value(kind, text, start)
        if text in (b"]", b"}"):
            return self._close(text, token.end())
        if self.wants != _BEFORE[text]:
            return False
        after_comma = "key" if self.open and self.open[-1][1] == b"}" else "value"
        self.wants = "value" if text == b":" else after_comma
        return text == b":" or bool(self.open)

    def _value(self, kind: int, text: bytes, start: int) -> bool:
        if self.wants not in ("value", "value or end"):
            return False
        if kind == _MARK:
            name = "array" if text == b"[" else "object"
            field = Field(start, start + 1, name, fields=[])
            self._add(field)
            self.open.append((field, _CLOSES[text]))
            self.counts.append(0)
            self.wants = "value or end" if text == b"[" else "key or end"
        else:
            name = _NAMES[kind]
            self._add(Field(start, start + len(text), name, shown(text), name))
            self.wants = "comma"
        return True

    def _close(self, mark: bytes, end: int) -> bool:
        if not self.open or self.open[-1][1] != mark:
            return False
        if self.wants not in ("comma", "value or end", "key or end"):
            return False
        field, _ = self.open.pop()
        count = self.counts.pop()
        field.end = end
        field.value = f"{count} {'member' if count == 1 else 'members'}"
        self.wants = "comma"
        return True

    def _add(self, field: Field) -> None:
        """Put a value where it belongs, unless enough are shown."""
        self.made += 1
        if not self.open:
            self.top.append(field)
            return
        container, mark = self.open[-1]
        field.name = self.key if mark == b"}" else str(self.counts[-1])
        self.counts[-1] += 1
        if self.made <= MOST and len(self.open) <= DEEPEST:
            container.fields.append(field)
