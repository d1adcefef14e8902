r"""The payload of a packet: JSON out and in, with binary taken out and put back.

Theory of operation
===================
A Socket.IO payload is JSON in which bytes stand as *placeholders*, ``{"_placeholder": true,
"num": 0}``; the bytes themselves follow as messages of their own.  This module knows JSON and
placeholders; :mod:`rawsio.socketio.packets` knows the head in front of them.

The C code of the standard library does all walking, so nothing here recurses.

- Out: one kept encoder whose ``default`` hook meets bytes and gives up; only then a second
  encoder is made, whose hook collects them.  The caller's value is never changed or copied.
- In: the text is checked for depth by counting brackets outside of strings (with string
  operations that are linear in C), then parsed.  A binary packet is parsed twice, first with a hook
  that checks the placeholders, later with one that fills them.  So a bad placeholder fails at
  the head, before anything waits for attachments.

What JSON cannot say in every language is refused in both directions: ``NaN`` and infinities, also
by overflow (``1e400``), because a peer that re-emits one ends the connection of every JavaScript
client in the room.  Integers are kept exactly up to :data:`MAX_DIGITS` digits, and a packet with a
longer one is refused, because converting costs the square of the length; JavaScript peers
round beyond 2**53.  A lone surrogate, which JSON can escape and UTF-8 cannot carry, leaves escaped.

Values of other types (dates, sets, decimals) are refused: convert them first.
"""

from __future__ import annotations

from itertools import accumulate
from sys import getsizeof

from rawsio.errors import LocalProtocolError, SocketIOError, escaped
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rawsio.limits import Limits

    Hook = Callable[[dict[str, Any]], Any]
    Decode = Callable[[str, int], tuple[Any, int]]

__all__ = [
    "made_of",
    "weight",
    "LONG",
    "MAX_DIGITS",
    "HasBinary",
    "Unsendable",
    "check_attachments",
    "check_depth",
    "decode_value",
    "encode_binary",
    "encode_plain",
    "fill_placeholders",
    "check_placeholders",
    "finite",
    "nesting",
    "refuse_constant",
    "too_deep",
    "undisturbed",
    "BLANK",
    "check_containers",
    "check_digits",
    "too_many",
]

MAX_DIGITS = 4300
"""Longest integer that is read: what CPython converts by default, too."""

BINARY = (bytes, bytearray, memoryview)
FORGED = '"_placeholder":true'


class Unsendable(LocalProtocolError, ValueError):
    """The value cannot travel: no JSON, not finite, too deep, or in a circle.  Nothing was sent."""


class HasBinary(Exception):
    """:func:`encode_plain` met bytes: use :func:`encode_binary`."""


# Out


def _no_binary(value: Any) -> Any:
    if isinstance(value, BINARY):
        raise HasBinary
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON: convert it first")


def _make_encoder(default: Callable[[Any], Any]) -> Callable[[Any, int], Iterable[str]]:
    """Return what gives the pieces of the text of a value, at level 0."""
    from json import JSONEncoder
    from json import encoder as _library

    # JSONEncoder.encode makes the C encoder anew for each call, which costs more than the encoding.
    # No check for circles is asked of it: they end in its own guard against recursion.
    make = getattr(_library, "c_make_encoder", None)
    if make is None:
        slow = JSONEncoder(
            default=default,
            ensure_ascii=False,
            allow_nan=False,
            check_circular=False,
            separators=(",", ":"),
        )
        return lambda value, _level: slow.iterencode(value)
    encoder: Callable[[Any, int], Iterable[str]] = make(
        None, default, _library.encode_basestring, None, ":", ",", False, False, False
    )
    return encoder


def _encode_first(value: Any, level: int) -> Iterable[str]:
    # Importing json is left until there is something to encode: a server starts sooner.
    global _encode_plain  # noqa: PLW0603
    _encode_plain = _make_encoder(_no_binary)
    return _encode_plain(value, level)


_encode_plain: Callable[[Any, int], Iterable[str]] = _encode_first


def encode_plain(value: Any) -> str:
    r"""Return the JSON text of a value without bytes: compact, in UTF-8's reach.

    Keys that are not strings become strings as in :mod:`json`, tuples become arrays.

    Raises:
        HasBinary: there are bytes in it.
        Unsendable: it has no form in JSON.

    >>> encode_plain(["a", (1, None), {2: "\xe9"}])
    '["a",[1,null],{"2":"\xe9"}]'
    """
    try:
        text = "".join(_encode_plain(value, 0))
    except (TypeError, ValueError, RecursionError) as error:
        raise _unsendable(error) from None
    return text if text.isascii() else _in_reach_of_utf8(text)


def encode_binary(value: Any) -> tuple[str, tuple[bytes, ...]]:
    """Return the JSON text of a value with placeholders, and the bytes they stand for, in order.

    >>> encode_binary(["file", b"12", bytearray(b"3")])[1]
    (b'12', b'3')
    >>> encode_binary([b"12"])[0]
    '[{"_placeholder":true,"num":0}]'
    """
    found: list[bytes] = []

    def collect(item: Any) -> Any:
        if not isinstance(item, BINARY):
            return _no_binary(item)
        found.append(bytes(item))
        return {"_placeholder": True, "num": len(found) - 1}

    try:
        text = "".join(_make_encoder(collect)(value, 0))
    except (TypeError, ValueError, RecursionError) as error:
        raise _unsendable(error) from None
    # A quote inside a string is escaped, so this text stands only where an object has that key.
    if found and text.count(FORGED) != len(found):
        raise Unsendable("an object beside the bytes looks like a placeholder: rename its key")
    return text if text.isascii() else _in_reach_of_utf8(text), tuple(found)


def _unsendable(error: Exception) -> Unsendable:
    if isinstance(error, RecursionError):
        return Unsendable("the value contains itself, or is nested too deeply")
    text = str(error)
    for beginning, words in _CLEARER.items():
        if text.startswith(beginning):
            text = words
    return Unsendable(f"the value cannot be sent: {text}")


_CLEARER = {
    "Out of range": "NaN and infinities have no form in JSON: send None, or text",
    "Exceeds the limit": f"an integer has more than {MAX_DIGITS} digits: send it as text",
}
"""What the standard library says, by its first words, and what it means here."""


def _in_reach_of_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


_SURROGATE = Pattern("[\ud800-\udfff]")


# In


def finite(text: str) -> float:
    """Return the fraction of a text of JSON; ``SocketIOError`` for an infinity."""
    value = float(text)
    if value - value:  # only of an infinity the difference is not zero
        raise _infinite(text)
    return value


def _infinite(text: str) -> SocketIOError:
    return SocketIOError(f"{escaped(text)} is not a finite number", "socketio-v5-value-finite")


def refuse_constant(name: str) -> Any:
    """Refuse what JSON has no word for."""
    raise _infinite(name)


def _decoder(hook: Hook | None = None) -> Callable[[str, int], tuple[Any, int]]:
    from json import JSONDecoder

    decoder: Any = JSONDecoder(object_hook=hook, parse_float=finite, parse_constant=refuse_constant)
    scan: Decode = decoder.scan_once
    return scan


def _decode_first(text: str, start: int) -> tuple[Any, int]:
    global _decode_plain  # noqa: PLW0603 - as in _encode_first
    _decode_plain = _decoder()
    return _decode_plain(text, start)


_decode_plain: Decode = _decode_first

# Each digit becomes "1", everything else a blank: a number that is too long is then easy to find.
_DIGITS = bytes(49 if 48 <= byte <= 57 else 32 for byte in range(256))
_TOO_MANY = b"1" * (MAX_DIGITS + 1)


_MANY_DIGITS = Pattern(f"[0-9]{{{MAX_DIGITS + 1},}}")
_FRACTION = Pattern(r"(?s:.*)(?:\.|[eE][+-]?)")


def check_digits(text: str) -> None:
    """Refuse JSON text with an integer that is too long; a hook for each would be dear.

    It is exact up to the first mistake in the text, where reading stops.
    """
    if _TOO_MANY not in text.encode("utf-8", "replace").translate(_DIGITS):
        return
    outside = '"'.join(_outside_of_strings(text))
    for found in _MANY_DIGITS.finditer(outside):
        # The digits of a fraction or of an exponent are read in linear time.
        before = outside[max(0, found.start() - 2) : found.start()]
        if not _FRACTION.fullmatch(before):
            message = f"an integer of {len(found[0])} digits, {MAX_DIGITS} are allowed"
            raise SocketIOError(message, "socketio-v5-value-digits")


BLANK = Pattern("[ \t\n\r]*")
LONG = 65536
_FROZEN = 1000
"""An application that calls ``gc.freeze`` has more: Python 3.12 begins with some hundreds."""


def undisturbed(decode: Callable[..., Any], *args: Any) -> Any:
    """Decode without a look for garbage every few hundred lists, which takes as long again.

    It is worth it from ``LONG`` characters on.  The next look would go over all that was read in
    one go, forty milliseconds for a megabyte.  So that counts as old at once: ``freeze`` takes all
    objects out of their generations, ``unfreeze`` puts them into the oldest, and neither visits
    one.  An application that has frozen objects of its own keeps them so.
    """
    import gc

    if not gc.isenabled():
        return decode(*args)
    gc.disable()
    try:
        return decode(*args)
    finally:
        if gc.get_freeze_count() < _FROZEN:
            gc.freeze()
            gc.unfreeze()
        gc.enable()


def decode_value(text: str, start: int, limits: Limits, hook: Hook | None = None) -> Any:
    """Return the value of the JSON text from ``start`` to the end; ``hook`` sees every object.

    Raises:
        SocketIOError: it is not JSON, or more than ``limits.json_depth`` deep.

    >>> from rawsio.limits import DEFAULT
    >>> decode_value('2["a",1.5]', 1, DEFAULT)
    ['a', 1.5]
    """
    length = len(text) - start
    if length > limits.json_depth and nesting(text, limits.json_depth) > limits.json_depth:
        raise too_deep(limits.json_depth)
    if length > limits.containers:
        check_containers(text, limits)
    if length > MAX_DIGITS:
        check_digits(text)
    decode = _decode_plain if hook is None else _decoder(hook)
    try:
        if length < LONG:
            value, end = decode(text, start)
        else:
            value, end = undisturbed(decode, text, start)
    except (ValueError, RecursionError, StopIteration):  # the last: no value begins there
        message = f"the payload is not JSON: {escaped(text[start : start + 60])}"
        raise SocketIOError(message, "socketio-v5-value-json") from None
    # Some encoders end their text with a newline, which JSON allows.
    if end != len(text) and not BLANK.fullmatch(text, end):
        message = f"text after the payload: {escaped(text[end : end + 60])}"
        raise SocketIOError(message, "socketio-v5-value-json")
    return value


def check_containers(text: str, limits: Limits) -> None:
    """Refuse JSON text with more than ``limits.containers`` arrays and objects."""
    most = limits.containers
    if text.count("[") + text.count("{") > most:
        outside = _outside_of_strings(text)
        if sum(piece.count("[") + piece.count("{") for piece in outside) > most:
            raise too_many()


def too_many() -> SocketIOError:
    """Return the error for a value that has too many parts."""
    message = "a packet with more arrays and objects than Limits(containers=...) has"
    return SocketIOError(message, "socketio-v5-limit-containers")


def too_deep(most: int) -> SocketIOError:
    """Return the error for a value that is nested too deeply."""
    message = f"arrays and objects are nested deeper than {most}"
    return SocketIOError(message, "socketio-v5-value-depth")


_STEPS = {ord("["): 1, ord("]"): -1}
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _outside_of_strings(text: str) -> list[str]:
    # Without escapes each quote begins or ends a string: every other piece is outside of strings.
    return text.replace("\\\\", "").replace('\\"', "").split('"')[::2]


def nesting(text: str, enough: int = 0) -> int:
    r"""Return the depth of JSON text, or a bound that is at most ``enough``.

    Linear in the length, without recursion, and right for any valid JSON.

    >>> nesting('[{"a":[]}]'), nesting('["[[["]'), nesting('["\\"[["]')
    (3, 1, 1)
    """
    most = text.count("[") + text.count("{")
    if most <= enough:
        return most
    brackets = (
        "".join(_outside_of_strings(text))
        .encode("ascii", "ignore")
        .translate(_BRACKETS, _NO_BRACKETS)
    )
    depth, before = 0, 2 * len(brackets)
    # Taking out what is innermost takes one level off.  That is the cheapest way for as long as
    # most of the brackets go, and many small objects have few levels.
    while brackets and 2 * len(brackets) <= before:
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        depth += 1
    return depth + max(accumulate(map(_STEPS.__getitem__, brackets), initial=0))


_LISTS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
"""What begins an array or a map in MessagePack."""


def made_of(message: str | bytes, *, packed: bool = False) -> int:
    """Return about how much memory the value of a message takes.

    ``packed`` says that bytes are MessagePack: each that may begin an array or a map counts as 16
    more, which is a quarter of what such a one takes, and of a picture every seventh byte is one.

    >>> made_of('2["a",[],[]]'), made_of(b"12"), made_of(bytes([0x90, 0x90]), packed=True)
    (220, 2, 34)
    """
    if not isinstance(message, str):
        size = len(message)
        return 17 * size - 16 * len(message.translate(None, _LISTS)) if packed else size
    return len(message) + 64 * (message.count("[") + message.count("{")) + 8 * message.count(",")


def weight(value: Any, most: int) -> int:
    """Return how much memory a value of JSON takes; it stops counting above ``most``.

    >>> weight({"token": "x"}, 10_000) < 500, 5000 < weight([[]] * 50_000, 5000)
    (True, True)
    """
    total, left = 0, [value]
    while left and total <= most:
        item = left.pop()
        total += getsizeof(item)
        if item.__class__ is list and total <= most:
            left += item
        elif item.__class__ is dict and total <= most:
            left += item
            left += item.values()
    return total


def check_depth(text: str, limits: Limits) -> None:
    """Refuse to send JSON text that a peer with the same limits would not read."""
    if len(text) > limits.json_depth and nesting(text, limits.json_depth) > limits.json_depth:
        raise Unsendable(f"arrays and objects are nested deeper than {limits.json_depth}")


def check_attachments(messages: tuple[str | bytes, ...], limits: Limits) -> None:
    """Refuse to send a packet with more attachments than a peer with the same limits takes."""
    if len(messages) - 1 > limits.attachments:
        most = limits.attachments
        raise Unsendable(
            f"{len(messages) - 1} attachments: peers take {most} in a packet; send several of them,"
            " or raise limits.attachments at both ends"
        )
    if sum(map(len, messages[1:])) > limits.attachment_bytes:
        raise Unsendable(f"attachments of more than {limits.attachment_bytes} bytes")


def check_placeholders(count: int, limits: Limits) -> Hook:
    """Return a hook for :func:`decode_value` that refuses placeholders of no attachment.

    Several may stand for the same attachment, but not more in all than ``limits.attachments``:
    sending the value on again would send it once for each.
    """
    seen = 0

    def check(value: dict[str, Any]) -> Any:
        nonlocal seen
        if value.get("_placeholder") is not True:
            return value
        number = value.get("num")
        if type(number) is not int or not 0 <= number < count:
            message = f"a placeholder of no attachment: {escaped(repr(number))} of {count}"
            raise SocketIOError(message, "socketio-v5-binary-placeholder")
        seen += 1
        if seen > limits.attachments:
            message = f"more than {limits.attachments} placeholders"
            raise SocketIOError(message, "socketio-v5-binary-expansion")
        return value

    return check


def fill_placeholders(attachments: list[bytes], limits: Limits) -> Hook:
    """Return a hook for :func:`decode_value` that puts the attachments where they belong.

    The text must have passed :func:`check_placeholders`.
    """
    size = 0

    def fill(value: dict[str, Any]) -> Any:
        nonlocal size
        if value.get("_placeholder") is not True:
            return value
        attachment = attachments[value["num"]]
        size += len(attachment)
        if size > limits.attachment_bytes:
            message = f"placeholders for more than {limits.attachment_bytes} bytes"
            raise SocketIOError(message, "socketio-v5-binary-expansion")
        return attachment

    return fill
