r"""MessagePack as a tree: every value with its place, read in one pass without recursion.

The verdict on a packet is the layer's (:mod:`rawsio.socketio.msgpack`); here its values are only
located, as far as the bytes go.  Most fields and the deepest level are bounded, as for JSON.

Source: the MessagePack specification of msgpack.org.
"""

from __future__ import annotations

from rawsio.layer import record

from .fields import Field, finished, shown
from .json_tree import COUNTED, DEEPEST, MOST, STEP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["msgpack_field", "msgpack_steps"]


@record
class _Head:
    """What the first bytes of a value say.

    ``kind`` is the name of the format; ``size`` bytes of content follow the head; a container has
    ``members``.
    """

    kind: str
    end: int
    size: int = 0
    members: int = -1


# First byte -> name, bytes of the length (or of the number), what it is.
_LONG = {
    0xC4: ("bin 8", 1, "bytes"), 0xC5: ("bin 16", 2, "bytes"), 0xC6: ("bin 32", 4, "bytes"),
    0xD9: ("str 8", 1, "text"), 0xDA: ("str 16", 2, "text"), 0xDB: ("str 32", 4, "text"),
    0xDC: ("array 16", 2, "array"), 0xDD: ("array 32", 4, "array"),
    0xDE: ("map 16", 2, "map"), 0xDF: ("map 32", 4, "map"),
    0xC7: ("ext 8", 1, "ext"), 0xC8: ("ext 16", 2, "ext"), 0xC9: ("ext 32", 4, "ext"),
}  # fmt: skip
_NUMBERS = {
    0xCA: ("float 32", 4), 0xCB: ("float 64", 8), 0xCC: ("uint 8", 1), 0xCD: ("uint 16", 2),
    0xCE: ("uint 32", 4), 0xCF: ("uint 64", 8), 0xD0: ("int 8", 1), 0xD1: ("int 16", 2),
    0xD2: ("int 32", 4), 0xD3: ("int 64", 8), 0xD4: ("fixext 1", 2), 0xD5: ("fixext 2", 3),
    0xD6: ("fixext 4", 5), 0xD7: ("fixext 8", 9), 0xD8: ("fixext 16", 17),
}  # fmt: skip
_WORDS = {0xC0: ("nil", "null"), 0xC2: ("false", "false"), 0xC3: ("true", "true")}


def msgpack_field(data: bytes) -> Field:
    r"""Return the first value in ``data`` as a field; what is not whole says so.

    >>> field = msgpack_field(b"\x82\xa1a\x01\xa1b\x92\xc3\xa2hi")
    >>> field.value, [(f.name, f.value, f.start, f.end) for f in field.fields]
    ('2 members', [('a', '1', 3, 4), ('b', '2 members', 6, 11)])
    """
    return finished(msgpack_steps(data))


def msgpack_steps(data: bytes) -> Generator[None, None, Field]:
    """Do what :func:`msgpack_field` does in steps."""
    return _Walk(data).steps()


class _Walk:
    """One pass; the containers that are open are a list: field, values still due, the key."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.made = 0
        self.open: list[tuple[Field, bool]] = []
        self.due: list[int] = []
        self.key: str | None = None

    def steps(self) -> Generator[None, None, Field]:
        top = Field(0, 0, "value", "", "cut short", "", [])
        while True:
            head = _head(self.data, self.at)
            if head is None or head.end + head.size > len(self.data):
                self._cut_short(top)
                return top
            field = self._field(head)
            if not self.made:
                top = field
            self.made += 1
            if not self.made % STEP:
                yield
            self.at = head.end + head.size
            if self.key is None and self.open and self.open[-1][1] and self._is_key():
                if head.members >= 0:
                    self._cut_short(top)
                    return top
                self.key = field.value
                self.due[-1] -= 1
                continue
            self._add(field, head)
            if not self.open:
                return top
            if self.made >= COUNTED:
                for container, _ in self.open:
                    container.end, container.meaning = len(self.data), "cut short"
                return top

    def _is_key(self) -> bool:
        return self.due[-1] % 2 == 0

    def _field(self, head: _Head) -> Field:
        start, end = self.at, head.end + head.size
        if head.members >= 0:
            count = head.members
            value = f"{count} {'member' if count == 1 else 'members'}"
            return Field(start, end, head.kind, value, head.kind, "", [])
        content = self.data[head.end : end]
        return Field(start, end, head.kind, _value(head.kind, self.data[start], content), head.kind)

    def _add(self, field: Field, head: _Head) -> None:
        """Put a value where it belongs, and close what it completes."""
        if self.open:
            container, is_map = self.open[-1]
            if is_map:
                field.name, self.key = self.key or "", None
            else:
                total = int(container.value.partition(" ")[0])
                field.name = str(total - self.due[-1])
            self.due[-1] -= 1
            if self.made <= MOST and len(self.open) <= DEEPEST:
                container.fields.append(field)
        if head.members >= 0:
            is_map = "map" in head.kind
            self.open.append((field, is_map))
            self.due.append(head.members * (2 if is_map else 1))
        while self.open and not self.due[-1]:
            self.due.pop()
            done, _ = self.open.pop()
            done.end = self.at

    def _cut_short(self, top: Field) -> None:
        for field, _ in self.open:
            field.end, field.meaning = len(self.data), "cut short"
        if not self.open:
            top.end = len(self.data)


def _head(data: bytes, at: int) -> _Head | None:
    if at >= len(data):
        return None
    first = data[at]
    if first < 0x80 or first >= 0xE0:
        return _Head("fixint", at + 1)
    if first < 0x90:
        return _Head("fixmap", at + 1, 0, first & 15)
    if first < 0xA0:
        return _Head("fixarray", at + 1, 0, first & 15)
    if first < 0xC0:
        return _Head("fixstr", at + 1, first & 31)
    if first in _WORDS:
        return _Head(_WORDS[first][0], at + 1)
    if first in _NUMBERS:
        name, size = _NUMBERS[first]
        return _Head(name, at + 1, size)
    if first not in _LONG:
        return None  # 0xc1, which is never used
    name, digits, what = _LONG[first]
    end = at + 1 + digits
    if end > len(data):
        return None
    size = int.from_bytes(data[at + 1 : end], "big")
    if what in ("array", "map"):
        return _Head(name, end, 0, size)
    return _Head(name, end, size + (what == "ext"))


def _value(kind: str, first: int, content: bytes) -> str:
    """Return a value that is no container, for people."""
    if kind == "fixint":
        return str(first if first < 0x80 else first - 256)
    if kind in ("nil", "true", "false"):
        return "null" if kind == "nil" else kind
    if "str" in kind:
        return shown(content.decode("utf-8", "replace"))
    if kind.startswith("float"):
        from struct import unpack

        return str(unpack(">f" if len(content) == 4 else ">d", content)[0])
    if kind.startswith(("int", "uint")):
        return str(int.from_bytes(content, "big", signed=kind.startswith("int")))
    return f"{len(content)} bytes"
