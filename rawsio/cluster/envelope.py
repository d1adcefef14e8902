r"""The messages of Node's ``ClusterAdapter``, which the sharded and the streams adapter send.

Each is a map ``{"type": ..., "data": {...}, "uid": ..., "nsp": ...}``::

    3 broadcast    4 join    5 leave    6 disconnect    7 fetch    8 answer to it
    9 event of servers    10 answer to it    11 how many clients were asked    12 one of them

It is JSON, or MessagePack where it holds bytes; a reader tells them apart by the first byte.
Answers of servers of this library also have the ids of the clients and every value of an
acknowledgement, which others overlook.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.limits import DEFAULT
from rawsio.socketio.msgpack import pack
from rawsio.socketio.values import encode_plain

from . import fields as read
from .fields import ClusterError
from .messages import (
    Broadcast,
    ClientAnswer,
    ClientCount,
    Disconnect,
    Fetch,
    Join,
    Leave,
    ServerAnswer,
    ServerEvent,
    SocketsAnswer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

__all__ = ["Envelope", "has_bytes"]

_EVENT = 2  # a packet's type, whether or not it holds bytes


def has_bytes(value: Any) -> bool:
    """Tell whether there are bytes anywhere in a value.

    >>> has_bytes({"a": [1, {"b": b""}]}), has_bytes(["text"])
    (True, False)
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return True
    if isinstance(value, (list, tuple)):
        return any(map(has_bytes, value))
    return isinstance(value, dict) and any(map(has_bytes, value.values()))


class Envelope:
    """Messages of one namespace to maps, to bytes, and back.

    >>> from rawsio.app.adapter import Targets
    >>> form = Envelope("/")
    >>> form.encode(Join("88bca5a6f9558bb4", Targets(), ["r2"]))
    b'{"type":4,"data":{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["r2"]},\
"uid":"88bca5a6f9558bb4","nsp":"/"}'
    """

    __slots__ = ("limits", "namespace")

    def __init__(self, namespace: str, limits: Limits = DEFAULT) -> None:
        self.namespace = namespace
        self.limits = read.with_envelope(limits)

    # Out

    def encode(self, message: Any) -> bytes:
        """Return the bytes of a message.  Raises ``Unsendable`` for values that have no form."""
        whole = self.fields(message)
        if has_bytes(whole["data"]):
            return pack(whole, self.limits.json_depth)
        return encode_plain(whole).encode()

    def encode_packed(self, message: Any) -> bytes:
        """Return the bytes of a message, as MessagePack in any case."""
        return pack(self.fields(message), self.limits.json_depth)

    def fields(self, message: Any) -> dict[str, Any]:
        """Return a message as a map."""
        encoder = _ENCODERS.get(type(message))
        if encoder is None:
            raise LocalProtocolError(f"{type(message).__name__} has no form in this cluster")
        kind, data = encoder(message)
        return {"type": kind, "data": data, "uid": message.uid, "nsp": self.namespace}

    # In

    def decode(self, payload: bytes) -> Any:
        """Return the message, or ``None`` if it is not for this namespace or of no use here.

        Raises ``ClusterError`` for what is no message.
        """
        whole = read.decode(payload, self.limits)
        if type(whole) is not dict:
            raise ClusterError("a message is a map", "cluster-message-fields")
        return self.message(whole)

    def message(self, whole: dict[str, Any]) -> Any:
        """Return the message in a map; see :meth:`decode`."""
        if whole.get("nsp") != self.namespace:
            return None
        kind, data = whole.get("type"), whole.get("data")
        if type(kind) is int and kind in _USELESS:
            return None
        reader = _DECODERS.get(kind) if type(kind) is int else None
        if reader is None:
            raise ClusterError(f"no message has the type {kind!r}", "cluster-type-known")
        if type(data) is not dict:
            raise ClusterError("data: a map was expected", "cluster-message-fields")
        return reader(read.text(whole, "uid"), data)


def _first(values: list[Any]) -> Any:
    return values[0] if values else None


def _request(message: Any) -> dict[str, str]:
    return {"requestId": message.request} if message.request else {}


_ENCODERS: dict[type, Callable[[Any], tuple[int, dict[str, Any]]]] = {
    Broadcast: lambda m: (
        3,
        {
            "packet": {"type": _EVENT, "data": m.args},
            **_request(m),
            "opts": read.options(m.targets),
        },
    ),
    Join: lambda m: (4, {"opts": read.options(m.targets), "rooms": m.rooms}),
    Leave: lambda m: (5, {"opts": read.options(m.targets), "rooms": m.rooms}),
    Disconnect: lambda m: (6, {"opts": read.options(m.targets), "close": m.close}),
    Fetch: lambda m: (7, {"opts": read.options(m.targets), "requestId": m.request}),
    SocketsAnswer: lambda m: (8, {"requestId": m.request, "sockets": m.sockets}),
    ServerEvent: lambda m: (9, {**_request(m), "packet": m.args}),
    ServerAnswer: lambda m: (
        10,
        {"requestId": m.request, "packet": _first(m.values), "args": m.values},
    ),
    ClientCount: lambda m: (
        11,
        {"requestId": m.request, "clientCount": m.count, "sids": m.sids},
    ),
    ClientAnswer: lambda m: (
        12,
        {"requestId": m.request, "packet": _first(m.values), "args": m.values, "sid": m.sid},
    ),
}

_USELESS = frozenset((1, 2, 13))
"""Heartbeats and the end of an adapter: other adapters of Node's say them, and nobody here."""


def _broadcast(uid: str, data: dict[str, Any]) -> Broadcast:
    packet = data.get("packet")
    if type(packet) is not dict:
        raise ClusterError("packet: a map was expected", "cluster-message-fields")
    request = read.optional_text(data, "requestId")
    return Broadcast(
        uid, read.event_args(packet.get("data")), read.targets(data.get("opts")), request
    )


_DECODERS: dict[int, Callable[[str, dict[str, Any]], Any]] = {
    3: _broadcast,
    4: lambda uid, data: Join(uid, read.targets(data.get("opts")), read.names(data.get("rooms"))),
    5: lambda uid, data: Leave(uid, read.targets(data.get("opts")), read.names(data.get("rooms"))),
    6: lambda uid, data: Disconnect(uid, read.targets(data.get("opts")), data.get("close") is True),
    7: lambda uid, data: Fetch(uid, read.text(data, "requestId"), read.targets(data.get("opts"))),
    8: lambda uid, data: SocketsAnswer(
        read.text(data, "requestId"), read.sockets(read.array(data, "sockets")), uid
    ),
    9: lambda uid, data: ServerEvent(
        uid, read.event_args(data.get("packet")), read.optional_text(data, "requestId")
    ),
    10: lambda uid, data: ServerAnswer(
        read.text(data, "requestId"), read.values(data, "packet"), uid
    ),
    11: lambda uid, data: ClientCount(
        read.text(data, "requestId"),
        read.count(data, "clientCount"),
        read.names(data.get("sids", [])),
        uid,
    ),
    12: lambda uid, data: ClientAnswer(
        read.text(data, "requestId"),
        read.values(data, "packet"),
        read.optional_text(data, "sid"),
        uid,
    ),
}
