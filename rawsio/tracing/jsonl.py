"""Recordings for scripts: a JSON object a message, a line each.

::

    {"time": 1764372000.1, "connection": 0, "sender": "client", "layers": ["WebSocket", "Engine.IO",
     "Socket.IO"], "session": "***", "summary": "message: EVENT \\"chat\\" in /", "wrong": "",
     "packets": [{"type": "Event", "namespace": "/", "args": ["chat", "hi"], "id": null}],
     "size": 27}

Bytes in a packet are ``{"base64": ...}``.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.socketio.packets import AnyEvent

__all__ = ["line", "plain_packet"]


def line(connection: int, item: Item, *, secrets: bool = False) -> bytes:
    """Return a message as a line."""
    import json

    shown = {
        "time": round(item.time, 6),
        "connection": connection,
        "sender": item.sender.value,
        "layers": list(item.layers),
        "session": item.session if secrets else "*" * len(item.session),
        "summary": _summary(item, secrets=secrets),
        "wrong": item.wrong,
        "packets": [plain_packet(packet, secrets=secrets) for packet in item.packets],
        "size": len(item.tree.data or b""),
    }
    return json.dumps(shown, default=_bytes).encode() + b"\n"


def _summary(item: Item, *, secrets: bool) -> str:
    if secrets or not item.session:
        return item.summary
    # Also where it was cut short, by its first characters.
    text = item.summary.replace(item.session, "*" * len(item.session))
    return text.replace(f"sid={item.session[:8]}", "sid=********") if item.session[:8] else text


def plain_packet(packet: AnyEvent, *, secrets: bool = False) -> dict[str, Any]:
    """Return a Socket.IO packet as a dict.

    >>> from rawsio.socketio.packets import Connect, Event
    >>> plain_packet(Event("/", ["chat", "hi"], 7))
    {'type': 'Event', 'namespace': '/', 'args': ['chat', 'hi'], 'id': 7}
    >>> plain_packet(Connect("/", {"token": "x"}))
    {'type': 'Connect', 'namespace': '/', 'data': '***'}
    """
    name = type(packet).__name__
    plain: dict[str, Any] = {"type": name}
    for key in packet.__match_args__:
        plain[key] = getattr(packet, key)
    if name == "Connect" and not secrets and plain["data"] is not None:
        plain["data"] = "***"
    return plain


def _bytes(value: Any) -> Any:
    return {"base64": b2a_base64(bytes(value), newline=False).decode("ascii")}
