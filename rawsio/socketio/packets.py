"""Socket.IO packets: what they are, and how they look as Engine.IO messages (protocol v5).

Theory of operation
===================
A packet is one text message, followed by one binary message for each attachment::

    <type>[<attachments>-][<namespace>,][<acknowledgement id>][JSON]

    0  CONNECT        0{"token":1}  0/admin,{"sid":"x"}   an object, or nothing
    1  DISCONNECT     1             1/admin,              nothing
    2  EVENT          2["hi",1]     2/admin,12["hi"]      an array that begins with the name
    3  ACK            312[]         3/admin,12["ok"]      an array, and always an id
    4  CONNECT_ERROR  4{"message":"no"}                   an object or a string
    5  BINARY_EVENT   51-["f",{"_placeholder":true,"num":0}]   as 2, with 1 to 10 attachments
    6  BINARY_ACK     61-12[{"_placeholder":true,"num":0}]     as 3

Both directions use the same few records and two pure functions.  :func:`encode_packet` chooses
between 2 and 5, 3 and 6 by looking for bytes; :func:`decode_packet` returns the record, or a
:class:`Partial` that waits for its attachments.

The figure is followed strictly, where the reference server is lax: an id is 1 to 16 ASCII digits
up to 2**53-1 (there, a blank is id 0 and long ones become floats), an event needs a payload, a
DISCONNECT has none, only types 2, 3, 5 and 6 have ids.  Names of events that a library uses for
itself are refused in both directions, so that no packet can reach its handlers.

:mod:`rawsio.socketio.states` says which packet may come when.
"""

from __future__ import annotations

from rawsio.errors import SocketIOError, escaped
from rawsio.layer import record
from rawsio.lazy import Pattern

from .values import (
    HasBinary,
    Unsendable,
    check_placeholders,
    decode_value,
    encode_binary,
    encode_plain,
    fill_placeholders,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import Any, TypeAlias

    from rawsio.limits import Limits

    AnyEvent: TypeAlias = "Connect | ConnectError | Event | Ack | Disconnect"

__all__ = [
    "Connect",
    "ConnectError",
    "Event",
    "Ack",
    "Disconnect",
    "HEAD",
    "MAX_ID",
    "MISSING",
    "event_args",
    "RESERVED",
    "Partial",
    "build_packet",
    "check_name",
    "decode_packet",
    "encode_packet",
    "packet_in_steps",
    "read_messages",
    "take_apart",
    "too_long",
]

MAX_ID = 2**53 - 1
"""Highest acknowledgement id: the largest integer that a JavaScript peer represents exactly."""

RESERVED = frozenset(
    (
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    )
)
"""The names that the protocol reserves: no event has one of them, in either direction."""


@record
class Connect:
    """CONNECT: a client asks to join a namespace, or the server says that it has."""

    namespace: str = "/"
    data: Any = None


@record
class ConnectError:
    """CONNECT_ERROR: the server refuses a CONNECT; ``data`` is usually ``{"message": ...}``."""

    namespace: str = "/"
    data: Any = None


@record
class Event:
    """EVENT or BINARY_EVENT: ``args[0]`` is the name; ``id`` asks for an acknowledgement."""

    namespace: str
    args: list[Any]
    id: int | None = None


@record
class Ack:
    """ACK or BINARY_ACK: the answer to the event with this id."""

    namespace: str
    args: list[Any]
    id: int


@record
class Disconnect:
    """DISCONNECT: one side leaves a namespace; there is no answer."""

    namespace: str = "/"


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def check_name(name: Any) -> None:
    """Refuse a name that no event that we send may have.

    Raises:
        Unsendable: it is neither a string nor a number, or it is reserved.

    >>> check_name("chat"), check_name(7)
    (None, None)
    """
    if isinstance(name, str):
        if name in RESERVED:
            raise Unsendable(f"the event name {escaped(name)} is reserved: choose another")
    elif not isinstance(name, (int, float)) or isinstance(name, bool):
        raise Unsendable(f"an event name is a string or a number, not {_kind(name)}")


# Out


def encode_packet(packet: AnyEvent) -> tuple[str | bytes, ...]:
    """Return the messages of a packet: one text, then its attachments.

    Raises:
        Unsendable: a field has no form on the wire (a :class:`ValueError` as well).

    >>> encode_packet(Event("/chat", ["hi", 1], 12))
    ('2/chat,12["hi",1]',)
    >>> encode_packet(Ack("/", [b"12"], 7))
    ('61-7[{"_placeholder":true,"num":0}]', b'12')
    """
    kind, number, data = take_apart(packet)
    namespace = packet.namespace
    ending = "" if namespace == "/" else namespace + ","
    if number is not None:
        ending += str(number)
    if data is None:
        return (kind + ending,)
    try:
        return (kind + ending + encode_plain(data),)
    except HasBinary:
        if kind not in _BINARY:
            raise Unsendable("only events and acknowledgements carry bytes") from None
    text, attachments = encode_binary(data)
    return (f"{_BINARY[kind]}{len(attachments)}-{ending}{text}", *attachments)


_BINARY = {"2": "5", "3": "6"}


def take_apart(packet: AnyEvent) -> tuple[str, int | None, Any]:
    """Return the type, the id and the payload of a packet that may travel, in any form.

    Raises:
        Unsendable: a field is not what the protocol has there.

    >>> take_apart(Ack("/", ["ok"], 7)), take_apart(Connect())
    (('3', 7, ['ok']), ('0', None, None))
    """
    if type(packet) not in _TYPES:
        raise Unsendable(f"{type(packet).__name__} is not a packet of Socket.IO")
    if packet.namespace != "/":
        _check_namespace(packet.namespace)
    if type(packet) is Event:
        args = packet.args
        if not args or not isinstance(args, (list, tuple)):
            raise Unsendable("the arguments of an event are a list that begins with its name")
        check_name(args[0])
        if packet.id is not None:
            _check_id(packet.id)
        return "2", packet.id, args
    if type(packet) is Ack:
        if not isinstance(packet.args, (list, tuple)):
            raise Unsendable("the arguments of an acknowledgement are a list")
        _check_id(packet.id)
        return "3", packet.id, packet.args
    if type(packet) is Connect:
        if packet.data is not None and not isinstance(packet.data, dict):
            raise Unsendable("the data of a CONNECT is an object, or nothing")
        return "0", None, packet.data
    if type(packet) is ConnectError:
        if not isinstance(packet.data, (dict, str)):
            raise Unsendable("the data of a CONNECT_ERROR is an object or a string")
        return "4", None, packet.data
    return "1", None, None


_TYPES = frozenset((Connect, ConnectError, Event, Ack, Disconnect))


def _check_namespace(namespace: Any) -> None:
    if not isinstance(namespace, str) or namespace[:1] != "/" or "," in namespace:
        raise Unsendable("a namespace is a string that begins with a slash and has no comma")
    try:
        namespace.encode()
    except UnicodeEncodeError:
        raise Unsendable("a namespace has no lone surrogates") from None


def _check_id(number: Any) -> None:
    if number.__class__ is not int or not 0 <= number <= MAX_ID:
        raise Unsendable("an acknowledgement id is an integer from 0 to 2**53-1")


# In

HEAD = Pattern("([0-6])(?:([0-9]*)-)?(?:(/[^,]*),?)?([0-9]*)")
"""The head of a packet: type, count of attachments, namespace, id.

Each part can be told from the next by its first character.  ASCII only, and linear: no part can
begin with what ends the one before."""


class Partial:
    """A binary packet of which attachments are missing.

    ``packet`` is what came so far, the placeholders still in place.
    """

    __slots__ = ("packet", "deadline", "size", "_text", "_start", "_count", "_attachments")

    def __init__(self, packet: Event | Ack, text: str, start: int, count: int) -> None:
        self.packet = packet
        self.deadline = 0.0
        self.size = 0
        self._text = text
        self._start = start
        self._count = count
        self._attachments: list[bytes] = []

    @property
    def held(self) -> int:
        """How long the text and the attachments so far are."""
        return len(self._text) + self.size

    def is_long(self, limits: Limits) -> bool:
        """Return whether the text is long enough to be read in steps."""
        return len(self._text) >= limits.turn_bytes

    def add(self, attachment: bytes, limits: Limits) -> Event | Ack | None:
        """Take the next attachment; return the packet when it was the last.

        Raises:
            SocketIOError: the attachments are longer than ``limits.attachment_bytes`` in all.
        """
        return self.whole(limits) if self.take(attachment, limits) else None

    def take(self, attachment: bytes, limits: Limits) -> bool:
        """Take the next attachment; return whether it was the last, and raise as :meth:`add`."""
        self.size += len(attachment)
        if self.size > limits.attachment_bytes:
            message = f"attachments of more than {limits.attachment_bytes} bytes"
            raise SocketIOError(message, "socketio-v5-binary-size")
        self._attachments.append(attachment)
        return len(self._attachments) == self._count

    def whole(self, limits: Limits) -> Event | Ack:
        """Return the packet, with its attachments in their places."""
        fill = fill_placeholders(self._attachments, limits)
        self.packet.args = decode_value(self._text, self._start, limits, fill)
        return self.packet

    def whole_in_steps(self, limits: Limits) -> Generator[None, None, Event | Ack]:
        """Do what :meth:`whole` does, in steps."""
        from .long_values import value_in_steps

        fill = fill_placeholders(self._attachments, limits)
        self.packet.args = yield from value_in_steps(self._text, self._start, limits, fill)
        return self.packet


def decode_packet(message: str | bytes, limits: Limits) -> AnyEvent | Partial:
    """Return the packet of a message, or what there is of it while its attachments are missing.

    Raises:
        SocketIOError: no packet looks like this.

    >>> from rawsio.limits import DEFAULT
    >>> decode_packet('2/chat,12["hi",1]', DEFAULT)
    Event(namespace='/chat', args=['hi', 1], id=12)
    """
    if isinstance(message, str) and message[:2] == "2[":  # the commonest head by far
        return Event("/", event_args(decode_value(message, 1, limits)))
    head = _read_head(message, limits)
    text, start, _kind, _namespace, _number, count = head
    if start == len(text) and not count:
        return _packet_of(head, MISSING)
    hook = check_placeholders(count, limits) if count else None
    return _packet_of(head, decode_value(text, start, limits, hook))


def read_messages(messages: Iterable[str | bytes], limits: Limits) -> AnyEvent:
    """Return the packet of these messages, all of which are there.

    Raises:
        SocketIOError: no packet looks like this.

    >>> from rawsio.limits import DEFAULT
    >>> read_messages(['51-["f",{"_placeholder":true,"num":0}]', b"1"], DEFAULT)
    Event(namespace='/', args=['f', b'1'], id=None)
    """
    text, *attachments = messages
    found = decode_packet(text, limits)
    if not isinstance(found, Partial):
        return found
    for attachment in attachments:
        packet = found.add(attachment, limits) if isinstance(attachment, bytes) else None
        if packet is not None:
            return packet
    raise SocketIOError("attachments are missing", "socketio-v5-binary-interrupted")


def packet_in_steps(
    message: str | bytes, limits: Limits
) -> Generator[None, None, AnyEvent | Partial]:
    """Do what :func:`decode_packet` does in steps: for ``limits.turn_bytes`` or more."""
    from .long_values import value_in_steps

    head = _read_head(message, limits)
    text, start, _kind, _namespace, _number, count = head
    if start == len(text) and not count:
        return _packet_of(head, MISSING)
    hook = check_placeholders(count, limits) if count else None
    return _packet_of(head, (yield from value_in_steps(text, start, limits, hook)))


def _read_head(message: str | bytes, limits: Limits) -> tuple[str, int, str, str, int | None, int]:
    """Return the text, where its payload begins, type, namespace, id and count of attachments."""
    if not isinstance(message, str):
        raise SocketIOError("bytes that no packet waits for", "socketio-v5-binary-unexpected")
    head = HEAD.match(message)
    if head is None:
        error = f"a packet begins with its type, 0 to 6, not {escaped(message[:1])}"
        raise SocketIOError(error, "socketio-v5-format-type")
    kind, attachments, namespace, digits = head.groups()
    start = head.end()
    if namespace is None:
        namespace = "/"
    elif len(namespace) > limits.namespace_name:
        error = f"a namespace of more than {limits.namespace_name} characters"
        raise SocketIOError(error, "socketio-v5-limit-name")
    if kind == "0" and len(message) - start > limits.credentials:
        raise too_long(limits)
    number = _read_id(digits, limits) if digits else None
    count = 0
    if kind in "56":
        count = _read_count(attachments, limits)
    elif attachments is not None:
        raise SocketIOError("only types 5 and 6 count attachments", "socketio-v5-binary-count")
    return message, start, kind, namespace, number, count


def _packet_of(head: tuple[str, int, str, str, int | None, int], data: Any) -> AnyEvent | Partial:
    text, start, kind, namespace, number, count = head
    if count:
        packet: Any = build_packet(_PLAIN[kind], namespace, number, data)
        return Partial(packet, text, start, count)
    return build_packet(kind, namespace, number, data)


def too_long(limits: Limits) -> SocketIOError:
    """Return the error for a CONNECT that is longer than what is kept of one."""
    message = f"a CONNECT with more than {limits.credentials} bytes"
    return SocketIOError(message, "socketio-v5-limit-credentials")


def _read_id(digits: str, limits: Limits) -> int:
    if len(digits) > 16 or int(digits) > limits.packet_id:
        message = f"an acknowledgement id above {limits.packet_id}: {escaped(digits)}"
        raise SocketIOError(message, "socketio-v5-format-id")
    return int(digits)


def _read_count(digits: str | None, limits: Limits) -> int:
    # Zero would wait for ever for an attachment that is none.
    if not digits or len(digits) > 9 or not 0 < int(digits) <= limits.attachments:
        message = f"a binary packet counts 1 to {limits.attachments} attachments"
        raise SocketIOError(message, "socketio-v5-binary-count")
    return int(digits)


MISSING = object()
"""The payload of a packet that has none."""

_PLAIN = {"5": "2", "6": "3"}


def build_packet(kind: str, namespace: str, number: int | None, data: Any) -> AnyEvent:
    """Return the packet of type ``kind``, "0" to "4", that came with this id and payload.

    Raises:
        SocketIOError: the type has no such payload, or no id.
    """
    if kind == "2":
        return Event(namespace, event_args(data), number)
    if kind == "3":
        if number is None:
            raise SocketIOError("an acknowledgement has an id", "socketio-v5-ack-id")
        if data.__class__ is not list:
            message = "the payload of an acknowledgement is an array"
            raise SocketIOError(message, "socketio-v5-ack-array")
        return Ack(namespace, data, number)
    if number is not None:
        message = "only events and acknowledgements have an id"
        raise SocketIOError(message, "socketio-v5-format-id")
    if kind == "0":
        if data is not MISSING and data.__class__ is not dict:
            raise SocketIOError("the data of a CONNECT is an object", "socketio-v5-connect-data")
        return Connect(namespace, None if data is MISSING else data)
    if kind == "1":
        if data is not MISSING:
            raise SocketIOError("a DISCONNECT has no payload", "socketio-v5-disconnect-empty")
        return Disconnect(namespace)
    if data.__class__ is not dict and data.__class__ is not str:
        message = "the data of a CONNECT_ERROR is an object or a string"
        raise SocketIOError(message, "socketio-v5-error-data")
    return ConnectError(namespace, data)


def event_args(args: Any) -> Any:
    """Return the payload of an event: an array that begins with a name, and not a reserved one.

    Raises:
        SocketIOError: it is anything else.

    >>> event_args(["chat", 1])
    ['chat', 1]
    """
    if args.__class__ is not list or not args:
        message = "the payload of an event is an array that begins with its name"
        raise SocketIOError(message, "socketio-v5-event-array")
    name = args[0]
    if name.__class__ is str:
        if name in RESERVED:
            message = f"the event name {escaped(name)} is reserved"
            raise SocketIOError(message, "socketio-v5-event-reserved")
    elif name.__class__ is not int and name.__class__ is not float:
        message = "the name of an event is a string or a number"
        raise SocketIOError(message, "socketio-v5-event-name")
    return args
