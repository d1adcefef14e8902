r"""Socket.IO packets: in text with their attachments joined, and in MessagePack.

The parts of a packet in text are those of the layer's own expression
(:data:`rawsio.socketio.packets.HEAD`), and :func:`~rawsio.socketio.packets.decode_packet` judges
it; a mistake is put on the part that its rule is about.
"""

from __future__ import annotations

from rawsio.errors import SocketIOError
from rawsio.lazy import Pattern
from rawsio.limits import DEFAULT
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.socketio.packets import (
    HEAD,
    Ack,
    Connect,
    ConnectError,
    Event,
    Partial,
    decode_packet,
    packet_in_steps,
)
from rawsio.socketio.values import LONG

from .fields import Field, blame, finished, rest, shown, wire_bytes
from .json_tree import json_steps
from .msgpack import msgpack_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rawsio.limits import Limits
    from rawsio.socketio.packets import AnyEvent

__all__ = ["Packets", "explain_msgpack", "explain_socketio", "looks_packed", "summary"]

_TYPES = {
    "0": ("CONNECT", "joins a namespace, or says that it is joined"),
    "1": ("DISCONNECT", "leaves a namespace"),
    "2": ("EVENT", "an event"),
    "3": ("ACK", "the acknowledgement of an event"),
    "4": ("CONNECT_ERROR", "refuses a CONNECT"),
    "5": ("BINARY_EVENT", "an event with attachments"),
    "6": ("BINARY_ACK", "an acknowledgement with attachments"),
}
_PAYLOAD_RULES = {
    "0": "socketio-v5-connect-data",
    "1": "socketio-v5-disconnect-empty",
    "2": "socketio-v5-event-array",
    "3": "socketio-v5-ack-array",
    "4": "socketio-v5-error-data",
    "5": "socketio-v5-event-array",
    "6": "socketio-v5-ack-array",
}
# A map whose first members have the names of the parts of a packet.
_PACKED = Pattern(rb"(?s)[\x82-\x8f](?:\xa4type[\x00-\x06]|\xa4data|\xa3nsp[\xa1-\xbf]/|\xa2id)")
_ABOUT = {
    "socketio-v5-format-type": "type",
    "socketio-v5-binary-count": "attachments",
    "socketio-v5-limit-name": "namespace",
    "socketio-v5-format-id": "id",
    "socketio-v5-ack-id": "type",
}
"""Rule -> the part of a packet that a mistake is in; else it is the payload."""


def explain_socketio(
    message: str | bytes, attachments: Sequence[bytes] = (), *, limits: Limits = DEFAULT
) -> Field:
    """Return the tree of a packet in text and of the attachments that followed it.

    >>> tree = explain_socketio('2/chat,12["hi",1]')
    >>> [(f.name, f.value) for f in tree.fields]  # doctest: +NORMALIZE_WHITESPACE
    [('type', '2'), ('namespace', '/chat'), ('id', '12'), ('payload', 'array, 2 members')]
    >>> tree.value
    'EVENT "hi" in /chat, ack 12'
    """
    packets = Packets(limits)
    tree = packets.explain(message if isinstance(message, str) else wire_bytes(message, text=True))
    for attachment in attachments:
        below = packets.explain(attachment)
        below.start = below.end = tree.end
        tree.fields.append(below)
    return tree


class Packets:
    """The packets of one direction: knows which packet an attachment belongs to."""

    def __init__(self, limits: Limits = DEFAULT, *, msgpack: bool = False) -> None:
        self._limits = limits
        self._msgpack = msgpack
        self._partial: Partial | None = None
        self._missed = False
        self.packet: AnyEvent | None = None
        """The packet that the last message completed, if it did."""

    def resume(self) -> None:
        """Messages were missed; attachments that come next may belong to one of them."""
        self._partial, self._missed = None, True

    def explain(self, message: str | bytes) -> Field:
        """Return the tree of the next message."""
        return finished(self.steps(message))

    def steps(self, message: str | bytes) -> Generator[None, None, Field]:
        """Do what :meth:`explain` does in steps, so that nobody waits for a long message."""
        self.packet = None
        if isinstance(message, bytes) and (self._msgpack or self._looks_packed(message)):
            return (yield from self._packed(message))
        if self._partial is not None:
            return (yield from self._attached(self._partial, message))
        if self._missed and isinstance(message, bytes):
            what = "of a packet that was missed"
            return Field(
                0, len(message), "attachment", f"{len(message)} bytes", what, "", [], message
            )
        self._missed = False
        data = _utf8(message)
        try:
            if isinstance(message, str) and len(message) >= self._limits.turn_bytes:
                found = yield from packet_in_steps(message, self._limits)
            else:
                found = decode_packet(message, self._limits)
        except SocketIOError as error:
            return (yield from _broken(message, data, error))
        packet = found.packet if isinstance(found, Partial) else found
        text = message if isinstance(message, str) else ""
        parts = yield from _parts(text, data)
        if isinstance(found, Partial):
            self._partial = found
        else:
            self.packet = found
        return Field(0, len(data), "Socket.IO packet", summary(packet), "", "", parts, data)

    def _attached(self, partial: Partial, message: str | bytes) -> Generator[None, None, Field]:
        field = Field(0, len(message), "attachment", f"{len(message)} bytes", "", "", [])
        field.rule = "socketio-v5-binary-count"
        try:
            if isinstance(message, str):
                field.data = _utf8(message)
                text = "text where an attachment is due"
                raise SocketIOError(text, "socketio-v5-binary-interrupted")
            field.data = message
            if not partial.take(message, self._limits):
                field.meaning = "more follow"
                return field
            whole = yield from self._whole(partial)
        except SocketIOError as error:
            self._partial = None
            return blame(field, error)
        self._partial, self.packet = None, whole
        field.meaning = f"the last of {summary(whole)}"
        return field

    def _whole(self, partial: Partial) -> Generator[None, None, AnyEvent]:
        if partial.is_long(self._limits):
            return (yield from partial.whole_in_steps(self._limits))
        return partial.whole(self._limits)

    def _looks_packed(self, message: bytes) -> bool:
        return self._partial is None and looks_packed(message)

    def _packed(self, message: bytes) -> Generator[None, None, Field]:
        tree = yield from _packed_tree(message)
        parser, limits = MsgpackParser(), self._limits
        try:
            if len(message) >= LONG:
                self.packet = yield from parser.decode_in_steps(message, limits)
            else:
                self.packet = parser.decode(message, limits)
            tree.value = summary(self.packet)
        except SocketIOError as error:
            blame(tree, error)
        return tree


def summary(packet: AnyEvent) -> str:
    """Return a packet in a line.

    >>> summary(Event("/", ["chat", "hi"], 7)), summary(Connect("/admin"))
    ('EVENT "chat" in /, ack 7', 'CONNECT to /admin')
    """
    namespace = shown(packet.namespace)
    if isinstance(packet, Event):
        ack = "" if packet.id is None else f", ack {packet.id}"
        return f'EVENT "{shown(str(packet.args[0]))}" in {namespace}{ack}'
    if isinstance(packet, Ack):
        return f"ACK {packet.id} in {namespace}"
    if isinstance(packet, Connect):
        return f"CONNECT to {namespace}"
    if isinstance(packet, ConnectError):
        return f"CONNECT_ERROR for {namespace}"
    return f"DISCONNECT from {namespace}"


def _utf8(message: str | bytes) -> bytes:
    return message.encode("utf-8", "surrogatepass") if isinstance(message, str) else message


def _parts(text: str, data: bytes) -> Generator[None, None, list[Field]]:
    head = HEAD.match(text)
    if head is None:
        return []
    kind, count, namespace, digits = head.groups()
    name, meaning = _TYPES[kind]
    fields = [Field(0, 1, "type", kind, f"{name}: {meaning}", "socketio-v5-format-type")]
    at = 1
    if count is not None:
        fields.append(
            Field(1, 1 + len(count), "attachments", count or "none", "binary messages that follow",
                  "socketio-v5-binary-count")
        )  # fmt: skip
        at += len(count) + 1
    if namespace is not None:
        end = at + len(namespace.encode("utf-8", "surrogatepass"))
        rule = "socketio-v5-format-namespace"
        fields.append(Field(at, end, "namespace", shown(namespace), "", rule))
        at = end + (data[end : end + 1] == b",")
    if digits:
        meaning = "answers the event with this id" if kind in "36" else "asks for an answer"
        fields.append(
            Field(at, at + len(digits), "id", shown(digits), meaning, "socketio-v5-format-id")
        )
        at += len(digits)
    if at < len(data):
        fields.append((yield from _value(data, at, _PAYLOAD_RULES[kind])))
    return fields


def _value(data: bytes, start: int, rule: str) -> Generator[None, None, Field]:
    fields, end = yield from json_steps(data, start)
    value = f"{fields[0].name}, {fields[0].value}" if fields else shown(data[start:])
    if fields and fields[0].fields:
        fields = fields[0].fields
    fields += rest(end, len(data), "not JSON")
    return Field(start, len(data), "payload", value, "", rule, fields)


def _broken(
    message: str | bytes, data: bytes, error: SocketIOError
) -> Generator[None, None, Field]:
    parts = (yield from _parts(message, data)) if isinstance(message, str) else []
    name, size = "Socket.IO packet", len(data)
    if isinstance(message, bytes):
        name, size = "binary message", len(message)
    tree = Field(0, size, name, shown(data[:200]), "", "", parts, data)
    about = _ABOUT.get(error.rule, "payload")
    found = [part for part in parts if part.name == about]
    blame(found[0] if found else tree, error)
    return tree


def looks_packed(message: bytes) -> bool:
    r"""Say whether a binary message, that no packet waits for, is a packet in MessagePack.

    >>> looks_packed(b"\x83\xa4type\x02\xa3nsp\xa1/"), looks_packed(b"\x89PNG")
    (True, False)
    """
    return _PACKED.match(message) is not None


def explain_msgpack(data: bytes, *, limits: Limits = DEFAULT) -> Field:
    r"""Return the tree of a packet in MessagePack.

    Its values stand where their bytes do (:mod:`rawsio.explain.msgpack`).

    >>> explain_msgpack(b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa2hi").value
    'EVENT "hi" in /'
    """
    return Packets(limits, msgpack=True).explain(wire_bytes(data))


def _packed_tree(data: bytes) -> Generator[None, None, Field]:
    """Return where the values of a packet in MessagePack stand."""
    value = yield from msgpack_steps(data)
    fields = value.fields if "map" in value.name else [value]
    fields += rest(value.end, len(data), "behind the value")
    for field in fields:
        if field.name == "type" and field.value in _TYPES:
            field.meaning, field.rule = ": ".join(_TYPES[field.value]), "socketio-v5-format-type"
    tree = Field(0, len(data), "Socket.IO packet in MessagePack", "", "", "", fields, data)
    tree.rule = "socketio-v5-msgpack-form"
    return tree
