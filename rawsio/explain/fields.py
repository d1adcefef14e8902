"""The tree that every dissector gives: what stands where in some bytes, and what it means.

A :class:`Field` covers the bytes from ``start`` to ``end`` of its *frame of reference*: the bytes
of the nearest field above it that has ``data``.  Usually those are the bytes that were given; where
a protocol transforms them (a mask, a compression, a join of fragments), the field of the result has
``data`` of its own, and the fields below refer to that.
"""

from __future__ import annotations

from rawsio.errors import escaped
from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import Any, TypeVar

    from rawsio.errors import RemoteProtocolError

    Result = TypeVar("Result")

__all__ = [
    "Field",
    "blame",
    "check_tree",
    "finished",
    "mistake",
    "moved",
    "rest",
    "root",
    "shown",
    "walk",
    "wire_bytes",
]

SHOWN = 60
"""Most characters of the wire in a value."""


@record
class Field:
    """One field: where it stands, what it is called, what it holds, what that means, by which rule.

    ``value`` and ``meaning`` are text for people, wire text escaped.  ``rule`` is an id of
    ``rfc_notes/``, or empty.  ``wrong`` is the sentence of the layer that refused the field, and
    ``rule`` then the one that it broke.  ``data`` are the bytes that ``fields`` refer to, where
    they are not those that this field itself refers to; a tree's root always has it.

    >>> Field(0, 1, "opcode", "1", "a text message", "6455-5.2-opcode").value
    '1'
    """

    start: int
    end: int
    name: str
    value: str = ""
    meaning: str = ""
    rule: str = ""
    fields: list[Field] = []
    data: bytes | None = None
    wrong: str = ""


def wire_bytes(data: Any, *, text: bool = False) -> bytes:
    """Return what is to be explained as bytes; where it may be ``text``, in UTF-8.

    >>> wire_bytes(5)
    Traceback (most recent call last):
    TypeError: bytes are explained, not 5
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if text and isinstance(data, str):
        return data.encode("utf-8", "surrogatepass")
    raise TypeError(f"bytes{' or text' * text} are explained, not {data!r}")


def finished(steps: Generator[None, None, Result]) -> Result:
    """Take all the steps of something that can be done in steps; return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Result = done.value
            return result


def check_tree(field: Any) -> None:
    """Refuse what is no tree, as :func:`rawsio.explain.explain_http` and its kin return it."""
    if not isinstance(field, Field):
        raise TypeError(f"a Field is expected, as explain_http() returns it, not {field!r}")


def shown(wire: bytes | str) -> str:
    r"""Return wire text as a value: control characters escaped, cut short, without quotes.

    >>> shown(b"GET \x1b[2J"), shown("é" * 70)[-14:]
    ('GET \\x1b[2J', 'é... (70 long)')
    """
    text = wire if isinstance(wire, str) else wire[: 4 * SHOWN].decode("utf-8", "replace")
    part = text[:SHOWN]
    if not part.isprintable():
        part = "".join(c if c.isprintable() else escaped(c)[1:-1] for c in part)
    return part if len(text) <= SHOWN else f"{part}... ({len(wire)} long)"


def root(data: bytes, name: str, fields: list[Field], value: str = "", meaning: str = "") -> Field:
    """Return the root of a tree of ``data``."""
    return Field(0, len(data), name, value, meaning, "", fields, data)


def rest(start: int, end: int, why: str) -> list[Field]:
    """Return a field for what is not explained, and why; none if that is nothing."""
    return [Field(start, end, "rest", f"{end - start} bytes", why)] if end > start else []


def blame(field: Field, error: RemoteProtocolError) -> Field:
    """Mark a field as the mistake that a layer refused; return it."""
    field.rule, field.wrong = error.rule, error.message
    return field


def walk(field: Field) -> Iterator[Field]:
    """Yield a field and all below it, in the order of the tree, without recursion."""
    waiting = [field]
    while waiting:
        field = waiting.pop()
        yield field
        waiting += reversed(field.fields)


def mistake(field: Field) -> Field | None:
    """Return the first field of a tree that a layer refused, or ``None``."""
    check_tree(field)
    return next((found for found in walk(field) if found.wrong), None)


def moved(field: Field, by: int) -> Field:
    """Move a tree within its frame of reference; returns it, changed."""
    waiting = [field]
    while waiting:
        below = waiting.pop()
        below.start += by
        below.end += by
        if below.data is None:
            waiting += below.fields
    return field
