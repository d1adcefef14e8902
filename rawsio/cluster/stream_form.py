r"""Messages as entries of a Redis stream: the form of ``@socket.io/redis-streams-adapter`` 0.3.

An entry has four fields::

    uid 7f0f5e62d399bf79   nsp /   type 3   data {"packet":{...},"opts":{...}}

``data`` is JSON, or the base64 of MessagePack where there are bytes in it.

With several streams each namespace has one, by a hash of its name.  Node's hash may be negative,
and then its remainder is, too: such a namespace is written to ``socket.io--1``, which no server of
Node's reads, so its messages reach nobody.  Servers here read that stream as well, and write to
the one with the remainder that is not negative, which all servers read.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, b2a_base64

from rawsio.socketio.msgpack import pack
from rawsio.socketio.values import encode_plain

from . import fields as read
from .envelope import Envelope, has_bytes
from .fields import ClusterError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_BASE64 = re.compile(b"[A-Za-z0-9+/]*={0,2}")

__all__ = [
    "StreamForm",
    "from_base64",
    "java_hash",
    "node_stream",
    "own_stream",
    "pairs",
    "to_base64",
]

_TYPES = {str(number).encode(): number for number in range(1, 14)}


def java_hash(text: str) -> int:
    """Return the hash that Node's adapter takes: that of a string in Java, 32 bits with a sign.

    >>> java_hash("/"), java_hash("/notifications")
    (47, -1014064871)
    """
    number = 0
    units = text.encode("utf-16-le", "surrogatepass")
    for at in range(0, len(units), 2):
        number = number * 31 + int.from_bytes(units[at : at + 2], "little") & 0xFFFFFFFF
    return number - (1 << 32) if number >> 31 else number


def node_stream(namespace: str, name: str, count: int) -> str:
    """Return the stream that Node's servers write to.

    >>> node_stream("/", "socket.io", 1), node_stream("/notifications", "socket.io", 5)
    ('socket.io', 'socket.io--1')
    """
    if count == 1:
        return name
    number = java_hash(namespace)
    remainder = number % count if number >= 0 else -(-number % count)
    return f"{name}-{remainder}"


def own_stream(namespace: str, name: str, count: int) -> str:
    """Return the stream that we write to: one that all servers read.

    >>> own_stream("/notifications", "socket.io", 5)
    'socket.io-4'
    """
    return name if count == 1 else f"{name}-{java_hash(namespace) % count}"


def to_base64(value: Any, depth: int) -> str:
    """Return a value as the base64 of its MessagePack."""
    return str(b2a_base64(pack(value, depth), newline=False), "ascii")


def from_base64(text: bytes) -> bytes:
    """Return what base64 stands for; raises ``ClusterError`` for what is none.

    Python's own reader passes over what is no base64, and so would take a message that was damaged.
    """
    if _BASE64.fullmatch(text) is None:
        raise ClusterError("no base64: other characters", "cluster-message-form")
    try:
        return a2b_base64(text)
    except (Error, ValueError) as error:
        raise ClusterError(f"no base64: {error}", "cluster-message-form") from None


class StreamForm(Envelope):
    """Messages of one namespace to entries, and back.

    >>> from rawsio.cluster.messages import Join
    >>> from rawsio.app.adapter import Targets
    >>> StreamForm("/").entry(Join("7f0f5e62d399bf79", Targets(), ["a"]))[4:]
    ['type', '4', 'data', '{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["a"]}']
    """

    __slots__ = ()

    def entry(self, message: Any) -> list[str]:
        """Return the names and values of an entry's fields."""
        whole = self.fields(message)
        data = whole["data"]
        binary = has_bytes(data)
        text = to_base64(data, self.limits.json_depth) if binary else encode_plain(data)
        kind = str(whole["type"])
        return ["uid", message.uid, "nsp", self.namespace, "type", kind, "data", text]

    def read_entry(self, fields: dict[bytes, bytes]) -> Any:
        """Return the message of an entry, as :meth:`Envelope.decode` does."""
        data = fields.get(b"data", b"")
        payload = data if data[:1] == b"{" else from_base64(data)
        whole = {
            "uid": _text(fields, b"uid"),
            "nsp": _text(fields, b"nsp"),
            "type": _TYPES.get(fields.get(b"type", b"")),
        }
        return self.message({**whole, "data": read.decode(payload, self.limits) if data else None})


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return str(fields.get(name, b""), "utf-8", "replace")


def pairs(values: Any) -> dict[bytes, bytes]:
    """Return the fields of an entry, from the flat array that Redis gives."""
    if type(values) is not list or len(values) % 2:
        raise ClusterError("an entry is names and values", "cluster-message-form")
    names: Iterable[Any] = values[::2]
    return dict(zip(names, values[1::2], strict=True))
