r"""Socket.IO packets as MessagePack, the other form that official clients have.

Theory of operation
===================
With this parser a whole packet is one binary message: a map with the keys ``type``, ``nsp``,
``data`` and ``id``.  Bytes stand in it as they are, so there are no attachments and no types 5 and
6.  Both ends must be told to use it; the wire does not say.

The codec below is the small part of MessagePack that the official parser writes, with its three
extensions (all of type 0, told apart by their forms):

=========  ==================  ==============================================
form       in JavaScript       here
=========  ==================  ==============================================
fixext 1   ``undefined``       as JSON has it: ``None`` in an array, no key in a map
fixext 8   ``Date`` (ms)       as JSON has it: the text ``"2020-01-31T12:00:00.000Z"``
ext 8-32   ``ArrayBuffer``     ``bytes``
=========  ==================  ==============================================

``nil`` is not ``undefined``: official peers refuse a DISCONNECT with ``data: nil``, so a key
without a value is left out.  What the JSON form refuses is refused here as well: numbers that are
not finite, deep nesting, reserved names.  Integers outside of 64 bits cannot be sent.  A lone
surrogate leaves as U+FFFD, since there are no escapes.

The timestamp extension of MessagePack (type -1) is read as a ``Date``, too: servers of a cluster
write it, clients cannot read it, so it is never written here.
"""

from __future__ import annotations

import struct
from itertools import cycle
from struct import Struct

from rawsio.errors import SocketIOError, escaped
from rawsio.limits import DEFAULT

from .packets import MISSING, build_packet, take_apart, too_long
from .values import LONG, Unsendable, too_many, undisturbed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any

    from rawsio.limits import Limits

    from .packets import AnyEvent

__all__ = ["UNDEFINED", "MsgpackParser", "pack", "unpack", "unpack_in_steps"]


class MsgpackParser:
    r"""Give one to ``SocketIOConnection(parser=...)``, or to a server or client.

    >>> from rawsio.socketio.packets import Connect, Event
    >>> parser = MsgpackParser()
    >>> parser.encode(Event("/", ["hi", b"1"]))
    (b'\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa2hi\xc4\x011',)
    >>> parser.decode(b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00", DEFAULT)
    Connect(namespace='/', data=None)
    """

    __slots__ = ("_depth",)

    standard: frozenset[type] = frozenset()
    """No packet has the standard form."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        if not hasattr(limits, "json_depth"):
            raise TypeError(f"MsgpackParser: a Limits(...) is expected, not {limits!r}")
        self._depth = limits.json_depth

    def encode(self, packet: AnyEvent) -> tuple[str | bytes, ...]:
        """Return the one message of a packet.

        Raises:
            Unsendable: a field has no form on the wire.
        """
        kind, number, data = take_apart(packet)
        fields: dict[str, Any] = {"type": int(kind), "nsp": packet.namespace}
        if data is not None:
            fields["data"] = data
        if number is not None:
            fields["id"] = number
        # The map of the packet itself is one level that JSON does not have.
        return (pack(fields, self._depth + 1),)

    def decode(self, message: str | bytes, limits: Limits) -> AnyEvent:
        """Return the packet of a message.

        Raises:
            SocketIOError: it is not a packet.
        """
        if isinstance(message, str):
            raise _not_binary()
        return _packet_of(
            unpack(message, limits.json_depth + 1, limits.containers), len(message), limits
        )

    def decode_in_steps(
        self, message: str | bytes, limits: Limits
    ) -> Generator[None, None, AnyEvent]:
        """Do what :meth:`decode` does, in steps."""
        if isinstance(message, str):
            raise _not_binary()
        fields = yield from unpack_in_steps(
            message, limits.json_depth + 1, limits.containers, limits.turn_bytes // 16
        )
        return _packet_of(fields, len(message), limits)


def _not_binary() -> SocketIOError:
    return SocketIOError("a packet in MessagePack is binary", "socketio-v5-msgpack-binary")


def _packet_of(fields: Any, size: int, limits: Limits) -> AnyEvent:
    if fields.__class__ is not dict:
        raise SocketIOError("a packet is a map", "socketio-v5-msgpack-fields")
    kind, namespace = fields.get("type"), fields.get("nsp")
    if kind.__class__ is not int or not 0 <= kind <= 4:
        message = f"a packet has a type, 0 to 4, not {escaped(repr(kind))}"
        raise SocketIOError(message, "socketio-v5-msgpack-fields")
    if namespace.__class__ is not str or namespace[:1] != "/" or "," in namespace:
        message = "a namespace is a string that begins with a slash and has no comma"
        raise SocketIOError(message, "socketio-v5-msgpack-fields")
    if len(namespace) > limits.namespace_name:
        message = f"a namespace of more than {limits.namespace_name} characters"
        raise SocketIOError(message, "socketio-v5-limit-name")
    if kind == 0 and size - len(namespace) > limits.credentials:
        raise too_long(limits)
    number = fields.get("id", 0)
    if number.__class__ is not int or not 0 <= number <= limits.packet_id:
        message = f"an acknowledgement id is an integer from 0 to {limits.packet_id}"
        raise SocketIOError(message, "socketio-v5-format-id")
    number = fields.get("id")
    data = fields.get("data", MISSING)
    return build_packet(str(kind), namespace, number, data)


class _Undefined:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = _Undefined()
"""JavaScript's ``undefined`` as a value of its own, where nothing contains it."""


# Out

# For each family: the largest length or value of a form, and the form.
_SMALL, _MIDDLE, _LARGE = Struct(">BB"), Struct(">BH"), Struct(">BI")
_TEXT = ((0xFF, 0xD9, _SMALL), (0xFFFF, 0xDA, _MIDDLE), (0xFFFFFFFF, 0xDB, _LARGE))
_BYTES = ((0xFF, 0xC4, _SMALL), (0xFFFF, 0xC5, _MIDDLE), (0xFFFFFFFF, 0xC6, _LARGE))
_ARRAY = ((0xFFFF, 0xDC, _MIDDLE), (0xFFFFFFFF, 0xDD, _LARGE))
_MAP = ((0xFFFF, 0xDE, _MIDDLE), (0xFFFFFFFF, 0xDF, _LARGE))
_UNSIGNED = (
    (0xFF, 0xCC, _SMALL),
    (0xFFFF, 0xCD, _MIDDLE),
    (0xFFFFFFFF, 0xCE, _LARGE),
    (2**64 - 1, 0xCF, Struct(">BQ")),
)
_SIGNED = (
    (0x80, 0xD0, Struct(">Bb")),
    (0x8000, 0xD1, Struct(">Bh")),
    (0x80000000, 0xD2, Struct(">Bi")),
    (2**63, 0xD3, Struct(">Bq")),
)
_DOUBLE = Struct(">Bd")


def pack(value: Any, depth: int = DEFAULT.json_depth) -> bytes:
    r"""Return a value as MessagePack, at most ``depth`` arrays and maps deep.

    Raises:
        Unsendable: it has no form.

    >>> pack([1, -1, "a", None, b"b"]).hex(" ")
    '95 01 ff a1 61 c0 c4 01 62'
    """
    pieces: list[bytes] = []
    try:
        _pack(value, depth, pieces)
    except RecursionError:
        raise Unsendable("the value is nested too deeply") from None
    return b"".join(pieces)


def _pack(value: Any, depth: int, pieces: list[bytes]) -> None:
    if isinstance(value, str):
        pieces.append(_text(value))
    elif value is None or value is True or value is False:
        pieces.append(b"\xc0" if value is None else b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        pieces.append(_integer(value))
    elif isinstance(value, float):
        if value - value:
            raise Unsendable("the value cannot be sent: a number is not finite")
        pieces.append(_DOUBLE.pack(0xCB, value))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        data = bytes(value)
        pieces += (_head(len(data), _BYTES), data)
    elif isinstance(value, (list, tuple)):
        pieces.append(_container(len(value), 0x90, _ARRAY, depth))
        for item in value:
            _pack(item, depth - 1, pieces)
    elif isinstance(value, dict):
        pieces.append(_container(len(value), 0x80, _MAP, depth))
        for key, item in value.items():
            pieces.append(_text(_key(key)))
            _pack(item, depth - 1, pieces)
    elif value is UNDEFINED:
        pieces.append(b"\xd4\x00\x00")
    else:
        name = type(value).__name__
        raise Unsendable(f"a value of type {name} has no form in MessagePack: convert it first")


def _text(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        data = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    size = len(data)
    return (bytes((0xA0 | size,)) if size < 32 else _head(size, _TEXT)) + data


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return bytes((value & 0xFF,))
    size, family = (value, _UNSIGNED) if value >= 0 else (-value, _SIGNED)
    for most, prefix, form in family:
        if size <= most:
            return form.pack(prefix, value)
    raise Unsendable("an integer of more than 64 bits has no form in MessagePack")


def _container(
    size: int, short: int, family: Iterable[tuple[int, int, Struct]], depth: int
) -> bytes:
    if depth <= 0:
        raise Unsendable("arrays and objects are nested too deeply, or contain themselves")
    return bytes((short | size,)) if size < 16 else _head(size, family)


def _head(size: int, family: Iterable[tuple[int, int, Struct]]) -> bytes:
    for most, prefix, form in family:
        if size <= most:
            return form.pack(prefix, size)
    raise Unsendable("a value of more than 4 GiB has no form in MessagePack")


_WORDS = {True: "true", False: "false", None: "null"}


def _key(key: Any) -> str:
    # As in JSON, and as JavaScript has it.
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return _WORDS[key]
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        if key - key:
            raise Unsendable("the value cannot be sent: a number is not finite")
        return float.__repr__(key)
    raise Unsendable(f"a key is a string or a number, not {type(key).__name__}")


# In

_NOT_SIMPLE = object()
_SIMPLE = [*range(128), *[_NOT_SIMPLE] * 96, *range(-32, 0)]
"""The values of those bytes that are all of a value."""
_SIMPLE[0xA0], _SIMPLE[0xC0], _SIMPLE[0xC2], _SIMPLE[0xC3] = "", None, False, True
_NUMBERS = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}
_LENGTHS = (Struct(">B"), Struct(">H"), Struct(">I"))
_MILLISECONDS = Struct(">q")

_DEEPEST = 1000
"""No limit goes beyond: the standard library's JSON reads no deeper, either."""


def unpack(data: bytes, depth: int = DEFAULT.json_depth, containers: int | None = None) -> Any:
    r"""Return the one value that ``data`` is, at most ``depth`` arrays and maps deep.

    It has at most ``containers`` of them; ``None``: as many as there are.  What comes from a peer
    is read with ``Limits.containers``.

    Raises:
        SocketIOError: it is not MessagePack as this module writes it.

    >>> unpack(b"\x82\xa1a\x93\x01\xff\xc0\xa1b\xd4\x00\x00")
    {'a': [1, -1, None]}
    """
    steps = unpack_in_steps(data, depth, len(data) if containers is None else containers)
    try:
        while True:
            next(steps)
    except StopIteration as done:
        return done.value


def unpack_in_steps(
    data: bytes, depth: int, containers: int, step: int = 4096
) -> Generator[None, None, Any]:
    """Do what :func:`unpack` does in steps of so many values, or ends of containers."""
    reader, long = _read(data, min(depth, _DEEPEST), containers, step), len(data) >= LONG
    try:
        while (found := undisturbed(next, reader) if long else next(reader)) is None:
            yield
    except (IndexError, struct.error):
        raise _malformed("it ends in the middle of a value") from None
    except UnicodeDecodeError:
        raise _malformed("a text is not UTF-8") from None
    value, at = found
    if at != len(data):
        raise _malformed(f"{len(data) - at} bytes follow the value")
    return value


def _read(
    data: bytes, depth: int, containers: int, step: int
) -> Generator[tuple[Any, int] | None, None, None]:
    """Give the first value in ``data``, and where it ends; before that ``None`` after each step.

    One loop for all levels: ``items`` are those of the container in work, of which ``left`` are to
    come; those around it stand in ``above``.  A map is a list of keys and values until it is whole.
    """
    above: list[tuple[list[Any], int, bool]] = []
    items: list[Any] = []
    at, left, keyed, undefined = 0, 1, False, False
    for pause in cycle(bytes(step) + b"\1"):
        if pause:
            yield None
        if not left:
            if not above:
                yield items[0], at
            whole = _without_undefined(items, keyed=keyed) if undefined else items
            done = _map(whole) if keyed else whole
            items, left, keyed = above.pop()
            items.append(done)
            continue
        left, prefix, at = left - 1, data[at], at + 1
        if (simple := _SIMPLE[prefix]) is not _NOT_SIMPLE:
            items.append(simple)
        elif 0xA0 <= prefix < 0xC0:
            items.append(str(_piece(data, at, prefix & 31), "utf-8"))
            at += prefix & 31
        elif 0xC0 <= prefix < 0xDC:
            simple, at = _other(data, prefix, at)
            undefined = undefined or simple is UNDEFINED
            items.append(simple)
        else:
            maps, size = prefix < 0x90 or prefix >= 0xDE, prefix & 15
            if prefix >= 0xDC:
                size, at = _length(data, 1 + (prefix & 1), at)
            containers -= 1
            if containers < 0 or len(above) >= depth:
                raise _too_much(containers)
            if size:
                above.append((items, left, keyed))
                items, left, keyed = [], size << maps, maps
            else:
                items.append({} if maps else [])


def _without_undefined(items: list[Any], *, keyed: bool) -> list[Any]:
    if not keyed:
        return [None if item is UNDEFINED else item for item in items]
    kept: list[Any] = []
    for at in range(0, len(items), 2):
        if items[at + 1] is not UNDEFINED:
            kept += items[at : at + 2]
    return kept


def _map(items: list[Any]) -> dict[str, Any]:
    if len(items) == 2:
        key, value = items
        if key.__class__ is str:
            return {key: value}
        if key.__class__ is int:
            return {str(key): value}
    keys = items[::2]
    kinds = set(map(type, keys))
    if not kinds <= _KEYS:
        raise _malformed("a key is neither a string nor an integer")
    if int in kinds:
        keys = list(map(str, keys))
    return dict(zip(keys, items[1::2], strict=True))


_KEYS = {str, int}


def _other(data: bytes, prefix: int, at: int) -> tuple[Any, int]:
    """Return the value that is neither short nor a container, and where it ends."""
    if prefix in _NUMBERS:
        form = _NUMBERS[prefix]
        (value,) = form.unpack_from(data, at)
        if value - value:
            message = "a number that is not finite"
            raise SocketIOError(message, "socketio-v5-value-finite")
        return value, at + form.size
    if 0xC4 <= prefix <= 0xC6 or prefix >= 0xD9:
        text = prefix >= 0xD9
        size, at = _length(data, prefix - (0xD9 if text else 0xC4), at)
        piece = _piece(data, at, size)
        return str(piece, "utf-8") if text else piece, at + size
    return _extension(data, prefix, at)


def _length(data: bytes, number: int, at: int) -> tuple[int, int]:
    """Return the length of one, two or four bytes that is there, and where it ends."""
    (size,) = _LENGTHS[number].unpack_from(data, at)
    return size, at + (1 << number)


def _piece(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]


def _too_much(left: int) -> SocketIOError:
    if left < 0:
        return too_many()
    return SocketIOError("arrays and maps are nested too deeply", "socketio-v5-value-depth")


def _malformed(why: str) -> SocketIOError:
    return SocketIOError(f"the packet is not MessagePack: {why}", "socketio-v5-msgpack-form")


def _extension(data: bytes, prefix: int, at: int) -> tuple[Any, int]:
    if 0xC7 <= prefix <= 0xC9:
        size, at = _length(data, prefix - 0xC7, at)
    elif 0xD4 <= prefix <= 0xD8:
        size = 1 << (prefix - 0xD4)
    else:
        raise _malformed(f"nothing begins with {prefix:#x}")
    kind, piece = data[at], _piece(data, at + 1, size)
    at += 1 + size
    if kind == 0 and prefix <= 0xC9:
        return piece, at
    if kind == 0 and prefix == 0xD4:
        return UNDEFINED, at
    if kind == 0 and prefix == 0xD7:
        return _date(*_MILLISECONDS.unpack(piece)), at
    if kind == 0xFF and size in _TIMESTAMPS:
        return _date(_TIMESTAMPS[size](piece)), at
    raise _malformed(f"an extension of type {kind} and {size} bytes")


_TIMESTAMPS = {
    4: lambda data: int.from_bytes(data, "big") * 1000,
    8: lambda data: (
        (int.from_bytes(data, "big") & (1 << 34) - 1) * 1000
        + (int.from_bytes(data, "big") >> 34) // 1_000_000
    ),
    12: lambda data: (
        int.from_bytes(data[4:], "big", signed=True) * 1000
        + int.from_bytes(data[:4], "big") // 1_000_000
    ),
}
"""The timestamp extension of MessagePack: its size -> the milliseconds since 1970 in it."""


def _date(milliseconds: int) -> str:
    from datetime import datetime, timedelta

    try:
        date = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise _malformed("a date is out of range") from None
    return date.isoformat(timespec="milliseconds") + "Z"
