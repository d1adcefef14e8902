"""A tree of fields as text: one line a field, its bytes on the left, its meaning on the right.

::

    WebSocket
      0    81 05 48 65 6c 6c 6f     frame: text, 5 bytes
      0    81                         FIN = 1: the last fragment of a message  [6455-5.4-fragments]

The first column is the offset of the field, the second its bytes (the first eight).  A field
whose bytes were transformed begins a frame of reference of its own: its offsets begin at 0 again,
and its name is followed by ``of N bytes``.
"""

from __future__ import annotations

from .fields import check_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .fields import Field

__all__ = ["as_text"]

_BYTES = 8
_HEX = 3 * _BYTES + 1
_LEAST = 40

_PLAIN = ("", "", "", "", "", "")
_COLOURED = ("\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[33m", "\x1b[1;31m", "\x1b[0m")


def as_text(field: Field, *, width: int = 100, colour: bool = False) -> str:
    r"""Return the tree as lines of at most ``width`` characters (no fewer than 40 fit).

    >>> from rawsio.explain.json_tree import explain_json
    >>> print(as_text(explain_json("[1]")), end="")
    JSON: array, 1 member
         0  5b 31 5d                   array: 1 member
         1  31                           0: 1  number
    """
    check_tree(field)
    width = max(width, _LEAST)
    lines = []
    for depth, data, found in _lines(field):
        lines += _line(depth, data, found, width, _COLOURED if colour else _PLAIN)
    return "\n".join(lines) + "\n"


def _lines(field: Field) -> Iterator[tuple[int, bytes, Field]]:
    """Yield depth, frame of reference and field, in the order of the tree."""
    waiting = [(0, b"" if field.data is None else field.data, field)]
    while waiting:
        depth, data, found = waiting.pop()
        yield depth, data, found
        inside = data if found.data is None else found.data
        waiting += [(depth + 1, inside, below) for below in reversed(found.fields)]


def _line(depth: int, data: bytes, field: Field, width: int, style: tuple[str, ...]) -> list[str]:
    dim, bold, cyan, yellow, red, plain = style
    left = ""
    if depth:
        pad = "  " * (min(depth, 12) - 1)
        left = f"{field.start:6}  {_hex(data[field.start : field.end]):{_HEX}}  {pad}"
    value = f": {field.value}" if field.value else ""
    of = _of(field) if depth else ""
    meaning = f"  {field.meaning}" if field.meaning else ""
    rule = f"  [{field.rule}]" if field.rule else ""
    room = max(width - len(left), 16)
    name = _cut(field.name, room)
    value = _cut(value, room - len(name))
    of = _cut(of, room - len(name + value))
    meaning = _cut(meaning, room - len(name + value + of + ("" if field.wrong else rule)))
    room -= len(name + value + of + meaning)
    rule = "" if field.wrong or len(rule) > room else rule
    lines = [
        f"{dim}{left}{plain}{bold}{name}{plain}{cyan}{value}{plain}{dim}{of}{plain}"
        f"{meaning}{yellow}{rule}{plain}"
    ]
    if field.wrong:
        indent = " " * (len(left) + 2)
        text = f"wrong: {field.wrong}"
        lines.append(f"{indent}{red}{_cut(text, max(width - len(indent), 40))}{plain}")
        lines.append(f"{indent}{yellow}[{field.rule}]{plain}")
    return [line.rstrip(" ") for line in lines]


def _of(field: Field) -> str:
    """Say how many bytes a field became, if they are not those that it stands for."""
    if field.data is None or len(field.data) == field.end - field.start:
        return ""
    return f" of {len(field.data)} bytes"


def _hex(data: bytes) -> str:
    more = "…" if len(data) > _BYTES else ""
    return data[:_BYTES].hex(" ") + more


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return text[: room - 1] + "…" if room > 1 else ""
