"""Recordings for scripts: a JSON object a message, a line each.

::

    {"time": 1764372000.1, "connection": 0, "sender": "client", "layers": ["WebSocket", "Engine.IO",
     "Socket.IO"], "session": "#1", "summary": "message: EVENT \\"chat\\" in /", "wrong": "",
     "packets": [{"type": "Event", "namespace": "/", "args": ["chat", "hi"], "id": null}],
     "size": 27}

Bytes in a packet are ``{"base64": ...}``.  Of a message that a few compressed bytes made long there
is ``"left_out"``, its length, in place of its packets (:func:`compact`).
"""

from __future__ import annotations

from binascii import b2a_base64

from rawsio.explain.websocket import RATIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.socketio.packets import AnyEvent

__all__ = ["compact", "line", "plain_packet"]

MOST = 65_536
"""Bytes of a message beyond which its packets are left out, if it was sent compressed: a thousand
bytes on the wire may be a megabyte, and to write that would hold everybody up."""


def line(connection: int, item: Item) -> bytes:
    """Return a message as a line."""
    import json

    shown: dict[str, Any] = {
        "time": round(item.time, 6),
        "connection": connection,
        "sender": item.sender.value,
        "layers": list(item.layers),
        "session": item.session,
        "summary": item.summary,
        "wrong": item.wrong,
        "packets": [],
        "size": len(item.tree.data or b""),
    }
    if compact(item):
        shown["left_out"] = len(item.content) + item.left_out
    else:
        shown["packets"] = [plain_packet(packet) for packet in item.packets]
    return json.dumps(shown, default=_bytes).encode() + b"\n"


def compact(item: Item) -> bool:
    """Say whether the message became :data:`RATIO` times as long by inflation, and is long."""
    size = len(item.content) + item.left_out
    sent = item.sent or len(item.tree.data or b"")
    return size > MOST and size > RATIO * sent


def plain_packet(packet: AnyEvent) -> dict[str, Any]:
    """Return a Socket.IO packet as a dict.

    >>> from rawsio.socketio.packets import Connect, Event
    >>> plain_packet(Event("/", ["chat", "hi"], 7))
    {'type': 'Event', 'namespace': '/', 'args': ['chat', 'hi'], 'id': 7}
    >>> plain_packet(Connect("/", {"token": "x"}))
    {'type': 'Connect', 'namespace': '/', 'data': {'token': 'x'}}
    """
    name = type(packet).__name__
    plain: dict[str, Any] = {"type": name}
    for key in packet.__match_args__:
        plain[key] = getattr(packet, key)
    return plain


def _bytes(value: Any) -> Any:
    return {"base64": b2a_base64(bytes(value), newline=False).decode("ascii")}
