"""JSON that is too long to be read in one go: read step by step, with time for others between.

A megabyte of ``[],`` takes the C code of :mod:`json` twenty milliseconds and more, in which nobody
else is served.  :func:`value_in_steps` is :func:`rawsio.socketio.values.decode_value` as a
generator, which yields after each half of ``limits.turn_bytes`` characters or so.

The C code still reads nearly all of it, in pieces.  Where a piece ends nobody knows without
reading, so it is guessed: of an array as many items as end before the last comma of the next
16 KB (before the last ``},`` where the items are objects); of a nested value all of it, if it is
whole within so many.  A guess is right exactly if its text is valid by itself,
and then it means the same as in its place.  A wrong guess costs the reading of a piece.  So there
is a *credit*: what was read adds to it and what was read in vain is taken from it, and without
credit the next level is opened in Python.  All guesses together cost no more than the reading.
"""

from __future__ import annotations

from json import JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]

from rawsio.errors import SocketIOError, escaped

from .values import (
    BLANK,
    check_containers,
    check_digits,
    finite,
    nesting,
    refuse_constant,
    too_deep,
    undisturbed,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from rawsio.limits import Limits

    Hook = Callable[[dict[str, Any]], Any]
    Scan = Callable[[str, int], tuple[Any, int]]

__all__ = ["value_in_steps"]

_TOKENS = 2000
"""Values that are read in Python between two yields."""

_VAIN = 500
"""As many of them a wrong guess counts for."""

_APART = 32
"""Items of an array that are read one by one after a wrong guess."""

_ENDS = {"{": "},", "[": "],", '"': '",'}
"""How an item begins -> how the last one of a piece may end, with its comma."""

_BLANKS = " \t\n\r"
_FORGED = "_placeholder"
_WRONG = (ValueError, StopIteration, IndexError, RecursionError)


def value_in_steps(
    text: str, start: int, limits: Limits, hook: Hook | None = None
) -> Generator[None, None, Any]:
    """Read the JSON text from ``start`` to the end; the generator returns the value.

    Raises:
        SocketIOError: as ``decode_value`` does, by the first thing that is wrong.

    >>> from rawsio.limits import DEFAULT
    >>> steps = value_in_steps("[" + "[1]," * 50_000 + "2]", 0, DEFAULT)
    >>> count = 0
    >>> try:
    ...     while True:
    ...         count += 1
    ...         next(steps)
    ... except StopIteration as done:
    ...     len(done.value), count
    (50001, 7)
    """
    check_containers(text, limits)
    check_digits(text)
    reader = _Reader(text, start, limits, hook)
    try:
        while not undisturbed(reader.step):
            yield
    except _WRONG:
        message = f"the payload is not JSON: {escaped(text[start : start + 60])}"
        raise SocketIOError(message, "socketio-v5-value-json") from None
    end = reader.at
    if end != len(text) and not BLANK.fullmatch(text, end):
        message = f"text after the payload: {escaped(text[end : end + 60])}"
        raise SocketIOError(message, "socketio-v5-value-json")
    return reader.value


class _Reader:
    """Where reading is: ``at``, and within which containers; ``value`` in the end."""

    __slots__ = (
        *("at", "value", "_text", "_depth", "_hook", "_scan", "_scan_hooked"),
        *("_open", "_keys", "_piece", "_most", "_credit", "_apart"),
    )

    def __init__(self, text: str, start: int, limits: Limits, hook: Hook | None) -> None:
        self.at = start
        self.value: Any = None
        self._text = text
        self._depth = limits.json_depth
        self._hook = hook
        self._scan = _scanner(None)
        self._scan_hooked = self._scan if hook is None else _scanner(hook)
        # The containers that are open, and for each the key that waits for its value.
        self._open: list[Any] = []
        self._keys: list[str] = []
        # The longest piece that is guessed, and what may be read in vain.
        self._piece = limits.turn_bytes // 4
        self._most = self._credit = 8 * self._piece
        self._apart = 0

    def step(self) -> bool:
        """Read on; return whether the value is whole.  Raises what the JSON library raises."""
        end, tokens = self.at + 2 * self._piece, 0
        while self.at < end and tokens < _TOKENS:
            credit = self._credit
            if self._read():
                return True
            tokens += 1 if self._credit >= credit else _VAIN
        return False

    def _read(self) -> bool:
        """Read a value, or several items of an array; return whether nothing is open then."""
        text = self._text
        at = self._skip(self.at) if self._open else self.at
        first = text[at]
        if self._open and self._open[-1].__class__ is list and self._credit > 0:
            if self._apart:
                self._apart -= 1
            else:
                after = self._items(at, first)
                if after:
                    return self._go_on(after)
                self._apart = _APART
        if first in "[{":
            found = self._whole(at) if self._credit > 0 else None
            return self._enter(at, first) if found is None else self._put(*found)
        if first == '"':
            value, end = scanstring(text, at + 1, True)
        else:
            value, end = self._scan(text, at)
        self._credit = min(self._credit + end - at, self._most)
        return self._put(value, end)

    # Guesses

    def _items(self, at: int, first: str) -> int:
        """Read as many items as are whole in a piece; return where they end, or 0."""
        mark = _ENDS.get(first, ",")
        cut = self._text.rfind(mark, at, at + self._piece)
        if cut < 0:
            return 0
        piece = f"[{self._text[at : cut + len(mark) - 1]}]"
        found = self._guess(piece, len(self._open) - 1)
        if found is None or not found[0]:
            return 0
        items, end = found
        self._open[-1] += items
        return at + end - 2

    def _whole(self, at: int) -> tuple[Any, int] | None:
        """Read a container that is whole in a piece; return it, and where it ends."""
        found = self._guess(self._text[at : at + self._piece], len(self._open))
        return None if found is None else (found[0], at + found[1])

    def _guess(self, piece: str, depth: int) -> tuple[Any, int] | None:
        try:
            value, end = self._scan(piece, 0)
        except (*_WRONG, SocketIOError):  # if it is one, it is found when its turn comes
            self._credit -= len(piece)
            return None
        self._credit = min(self._credit + end, self._most)
        read = piece[:end]
        most = self._depth - depth
        if len(read) > most and nesting(read, most) > most:
            raise too_deep(self._depth)
        # The hook counts, so it must see no text that is read in vain.
        if self._hook is not None and (_FORGED in read or "\\" in read):
            value, _end = self._scan_hooked(read, 0)
        return value, end

    # One value at a time

    def _skip(self, at: int) -> int:
        text = self._text
        if text[at] in _BLANKS:
            blank = BLANK.match(text, at)
            return blank.end() if blank is not None else at
        return at

    def _enter(self, at: int, first: str) -> bool:
        if len(self._open) >= self._depth:
            raise too_deep(self._depth)
        at = self._skip(at + 1)
        if first == "[":
            self._open.append([])
            self._keys.append("")
            if self._text[at] == "]":
                return self._leave(at)
        else:
            self._open.append({})
            self._keys.append("")
            if self._text[at] == "}":
                return self._leave(at)
            at = self._key(at)
        self.at = at
        return False

    def _key(self, at: int) -> int:
        if self._text[at] != '"':
            raise ValueError
        self._keys[-1], at = scanstring(self._text, at + 1, True)
        at = self._skip(at)
        if self._text[at] != ":":
            raise ValueError
        return at + 1

    def _put(self, value: Any, at: int) -> bool:
        """Put a value where it belongs, and go on behind it."""
        if not self._open:
            self.value, self.at = value, at
            return True
        container = self._open[-1]
        if container.__class__ is list:
            container.append(value)
        else:
            container[self._keys[-1]] = value
        return self._go_on(at)

    def _go_on(self, at: int) -> bool:
        """Read what follows a value in the innermost container: a comma, or its end."""
        at = self._skip(at)
        mark = self._text[at]
        keyed = self._open[-1].__class__ is dict
        if mark == ",":
            at = self._skip(at + 1)
            self.at = self._key(at) if keyed else at
            return False
        if mark != ("}" if keyed else "]"):
            raise ValueError
        return self._leave(at)

    def _leave(self, at: int) -> bool:
        value = self._open.pop()
        self._keys.pop()
        if self._hook is not None and value.__class__ is dict:
            value = self._hook(value)
        return self._put(value, at + 1)


def _scanner(hook: Hook | None) -> Scan:
    decoder = JSONDecoder(object_hook=hook, parse_float=finite, parse_constant=refuse_constant)
    return decoder.scan_once  # type: ignore[attr-defined,no-any-return]
