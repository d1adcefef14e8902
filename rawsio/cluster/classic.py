r"""The form of ``@socket.io/redis-adapter`` 8: MessagePack broadcasts, JSON requests.

Channels, for the namespace ``/`` and the default key::

    socket.io#/#                   a broadcast to everybody, or to several rooms
    socket.io#/#ROOM#              a broadcast to one room
    socket.io-request#/#           requests to all servers
    socket.io-response#/#          answers
    socket.io-response#/#UID#      answers to one server

A broadcast is ``[uid, packet, opts]``.  Requests and answers are maps with a ``type``::

    0 sockets    1 rooms    2 join    3 leave    4 disconnect    5 fetch    6 event of servers
    7 broadcast that wants acknowledgements    8 how many clients that were    9 one of them

They are JSON, except 7 and 9, which carry what clients send, and so may carry bytes.  Answers say
the request they belong to and nothing of who answers; servers of this library add their ``uid``,
the ids of the clients and every value of an acknowledgement, which others overlook.
"""

from __future__ import annotations

from rawsio.app.adapter import Targets
from rawsio.limits import DEFAULT
from rawsio.socketio.msgpack import pack
from rawsio.socketio.values import encode_plain

from . import fields as read
from .fields import ClusterError
from .messages import (
    AllRooms,
    Broadcast,
    ClientAnswer,
    ClientCount,
    Disconnect,
    Fetch,
    Join,
    Leave,
    RoomsAnswer,
    ServerAnswer,
    ServerEvent,
    SocketsAnswer,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

__all__ = ["ClassicFormat"]

_EVENT = 2  # a packet's type, whether or not it holds bytes
_GLOB = str.maketrans({c: "\\" + c for c in "\\*?["})


class ClassicFormat:
    r"""Messages of one namespace to channels and bytes, and back.

    >>> from rawsio.app.adapter import Targets
    >>> form = ClassicFormat("/")
    >>> form.encode(Broadcast("aB3xY9", ["foo", "bar"], Targets(frozenset(["r1"]))))[0]
    'socket.io#/#r1#'
    >>> form.encode(Join("aB3xY9", Targets(), ["r2"]))[1]
    b'{"uid":"aB3xY9","type":2,"opts":{"rooms":[],"except":[]},"rooms":["r2"]}'
    """

    __slots__ = ("broadcasts", "limits", "namespace", "requests", "responses")

    def __init__(self, namespace: str, *, key: str = "socket.io", limits: Limits = DEFAULT) -> None:
        self.namespace = namespace
        self.limits = read.with_envelope(limits)
        self.broadcasts = f"{key}#{namespace}#"
        self.requests = f"{key}-request#{namespace}#"
        self.responses = f"{key}-response#{namespace}#"

    def pattern(self) -> str:
        """Return the pattern to subscribe to: glob characters in names stand for themselves."""
        return self.broadcasts.translate(_GLOB) + "*"

    def channels(self, uid: str) -> tuple[str, ...]:
        """Return the channels to subscribe to."""
        return self.requests, self.responses, f"{self.responses}{uid}#"

    # Out

    def encode(self, message: Any, to: str = "") -> tuple[str, bytes]:
        """Return the channel and the bytes of a message; ``to`` is who asked, for answers.

        Raises ``Unsendable`` for values that have no form.
        """
        if isinstance(message, Broadcast) and not message.request:
            return self._broadcast(message)
        kind, fields, binary = _ENCODERS[type(message)](message)
        uid = {"uid": message.uid} if message.uid else {}
        request = {"requestId": message.request} if getattr(message, "request", "") else {}
        whole = {**uid, **request, "type": kind, **fields}
        if isinstance(message, Broadcast):
            whole["packet"]["nsp"] = self.namespace
        if isinstance(message, (SocketsAnswer, RoomsAnswer)):
            del whole["type"]  # Node's adapter takes such an answer for a request's otherwise
        depth = self.limits.json_depth
        payload = pack(whole, depth) if binary else encode_plain(whole).encode()
        answers = (SocketsAnswer, RoomsAnswer, ServerAnswer, ClientCount, ClientAnswer)
        if not isinstance(message, answers):
            return self.requests, payload
        return (f"{self.responses}{to}#" if to else self.responses), payload

    def _broadcast(self, message: Broadcast) -> tuple[str, bytes]:
        targets = message.targets
        packet = {"type": _EVENT, "data": message.args, "nsp": self.namespace}
        whole = [message.uid, packet, read.options(targets)]
        channel = self.broadcasts
        if len(targets.rooms) == 1:
            channel = f"{channel}{next(iter(targets.rooms))}#"
        return channel, pack(whole, self.limits.json_depth)

    # In

    def decode(self, channel: str, payload: bytes) -> Any:
        """Return the message, or ``None`` if it is not for this namespace or of no use here.

        Raises ``ClusterError`` for what is no message.
        """
        if channel.startswith(self.broadcasts):
            return self._read_broadcast(payload)
        is_request = channel.startswith(self.requests)
        if not is_request and not channel.startswith(self.responses):
            return None
        fields = read.decode(payload, self.limits)
        if type(fields) is not dict:
            raise ClusterError("a request or an answer is a map", "cluster-message-fields")
        return _read_request(fields) if is_request else _read_response(fields)

    def _read_broadcast(self, payload: bytes) -> Broadcast | None:
        parts = read.decode(payload, self.limits)
        if type(parts) is not list or len(parts) != 3 or type(parts[1]) is not dict:
            raise ClusterError(
                "a broadcast is an array of uid, packet and opts", "cluster-message-fields"
            )
        uid, packet, opts = parts
        if packet.get("nsp", "/") != self.namespace:
            return None
        name = read.text({"uid": uid}, "uid")
        return Broadcast(name, read.event_args(packet.get("data")), read.targets(opts))


def _first(values: list[Any]) -> Any:
    return values[0] if values else None


_ENCODERS: dict[type, Callable[[Any], tuple[int, dict[str, Any], bool]]] = {
    AllRooms: lambda m: (1, {}, False),
    Join: lambda m: (2, {"opts": read.options(m.targets, flags=False), "rooms": m.rooms}, False),
    Leave: lambda m: (3, {"opts": read.options(m.targets, flags=False), "rooms": m.rooms}, False),
    Disconnect: lambda m: (
        4,
        {"opts": read.options(m.targets, flags=False), "close": m.close},
        False,
    ),
    Fetch: lambda m: (5, {"opts": read.options(m.targets, flags=False)}, False),
    ServerEvent: lambda m: (6, {"data": m.args}, False),
    Broadcast: lambda m: (
        7,
        {"packet": {"type": _EVENT, "data": m.args}, "opts": read.options(m.targets)},
        True,
    ),
    SocketsAnswer: lambda m: (5, {"sockets": m.sockets}, False),
    RoomsAnswer: lambda m: (1, {"rooms": m.rooms}, False),
    ServerAnswer: lambda m: (6, {"data": _first(m.values), "args": m.values}, False),
    ClientCount: lambda m: (8, {"clientCount": m.count, "sids": m.sids}, False),
    ClientAnswer: lambda m: (
        9,
        {"packet": _first(m.values), "args": m.values, "sid": m.sid},
        True,
    ),
}


def _uid(fields: dict[str, Any]) -> str:
    # The emitter of programs that are no servers leaves it out.
    return read.optional_text(fields, "uid") or "emitter"


def _addressed(fields: dict[str, Any]) -> Targets:
    """Return whom a request is about: ``opts``, or the one ``sid`` of older adapters."""
    if fields.get("opts") is None and "sid" in fields:
        return Targets(frozenset((read.text(fields, "sid"),)))
    return read.targets(fields.get("opts"))


def _rooms(fields: dict[str, Any]) -> list[str]:
    return read.names(fields["rooms"] if "rooms" in fields else [fields.get("room")])


def _read_fetch(fields: dict[str, Any]) -> Fetch:
    opts = fields.get("opts")
    if fields.get("type") == 0:  # of older adapters: the ids of sockets in rooms
        opts = {"rooms": fields.get("rooms", [])}
    return Fetch(_uid(fields), read.text(fields, "requestId"), read.targets(opts))


def _read_asking(fields: dict[str, Any]) -> Broadcast:
    packet = fields.get("packet")
    if type(packet) is not dict:
        raise ClusterError("packet: a map was expected", "cluster-message-fields")
    args = read.event_args(packet.get("data"))
    request = read.text(fields, "requestId")
    return Broadcast(_uid(fields), args, read.targets(fields.get("opts")), request)


_REQUESTS: dict[int, Callable[[dict[str, Any]], Any]] = {
    0: _read_fetch,
    1: lambda fields: AllRooms(_uid(fields), read.text(fields, "requestId")),
    2: lambda fields: Join(_uid(fields), _addressed(fields), _rooms(fields)),
    3: lambda fields: Leave(_uid(fields), _addressed(fields), _rooms(fields)),
    4: lambda fields: Disconnect(_uid(fields), _addressed(fields), fields.get("close") is True),
    5: _read_fetch,
    6: lambda fields: ServerEvent(
        _uid(fields),
        read.event_args(fields.get("data")),
        read.optional_text(fields, "requestId"),
    ),
    7: _read_asking,
}


def _read_request(fields: dict[str, Any]) -> Any:
    kind = fields.get("type")
    reader = _REQUESTS.get(kind) if type(kind) is int else None
    if reader is None:
        raise ClusterError(f"no request has the type {kind!r}", "cluster-type-known")
    return reader(fields)


def _read_response(fields: dict[str, Any]) -> Any:
    request, uid = read.text(fields, "requestId"), read.optional_text(fields, "uid")
    kind = fields.get("type")
    if kind == 6:
        return ServerAnswer(request, read.values(fields, "data"), uid)
    if kind == 8:
        sids = read.names(fields.get("sids", []))
        return ClientCount(request, read.count(fields, "clientCount"), sids, uid)
    if kind == 9:
        sid = read.optional_text(fields, "sid")
        return ClientAnswer(request, read.values(fields, "packet"), sid, uid)
    if "sockets" in fields:
        return SocketsAnswer(request, read.sockets(read.array(fields, "sockets")), uid)
    if "rooms" in fields:
        return RoomsAnswer(request, read.names(fields["rooms"]), uid)
    raise ClusterError(f"no answer has the type {kind!r}", "cluster-type-known")
