"""What bytes mean, field by field: one dissector a format, one tree for everybody.

Each dissector is a function from bytes to a tree of :class:`Field`: what stands where, what it
means, and the rule of ``rfc_notes/`` that governs it.  The layers judge: a mistake carries the rule
and the sentence of the layer's own ``Failed``.  Nothing here raises for any bytes, and the time is
linear in their number.

===================  ====================================================================
module               what it holds
===================  ====================================================================
``fields``           :class:`Field`, and how trees are walked
``text``, ``plain``  a tree as text for a terminal; as plain values for JSON
``json_tree``        JSON as a tree
``http``             heads, bodies and chunks of one side of a connection
``websocket``        frames and the messages that they make
``engineio``         Engine.IO packets and polling payloads
``socketio``         Socket.IO packets, in text and in MessagePack
===================  ====================================================================
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.explain.engineio import explain_engineio, explain_payload
    from rawsio.explain.fields import Field, mistake
    from rawsio.explain.http import explain_http
    from rawsio.explain.json_tree import explain_json
    from rawsio.explain.plain import as_json
    from rawsio.explain.socketio import explain_msgpack, explain_socketio
    from rawsio.explain.text import as_text
    from rawsio.explain.websocket import explain_websocket

__all__ = [
    "Field",
    "mistake",
    "explain_http",
    "explain_websocket",
    "explain_engineio",
    "explain_payload",
    "explain_socketio",
    "explain_msgpack",
    "explain_json",
    "as_text",
    "as_json",
]

_HOMES = {
    "Field": "rawsio.explain.fields",
    "mistake": "rawsio.explain.fields",
    "explain_http": "rawsio.explain.http",
    "explain_websocket": "rawsio.explain.websocket",
    "explain_engineio": "rawsio.explain.engineio",
    "explain_payload": "rawsio.explain.engineio",
    "explain_socketio": "rawsio.explain.socketio",
    "explain_msgpack": "rawsio.explain.socketio",
    "explain_json": "rawsio.explain.json_tree",
    "as_text": "rawsio.explain.text",
    "as_json": "rawsio.explain.plain",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
