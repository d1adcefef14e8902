"""WebSocket (RFC 6455) with permessage-deflate (RFC 7692), for both roles, bytes in and events out.

============================================  =====================================================
:mod:`~rawsio.websocket.handshake`            the opening handshake, pure functions on HTTP messages
:mod:`~rawsio.websocket.connection`           everything after it: ``WebSocketConnection``
:mod:`~rawsio.websocket.events`               ``Message Ping Pong``
:mod:`~rawsio.websocket.frames`               the codec of frames and close codes
:mod:`~rawsio.websocket.reader`               frames to messages: fragments, limits, UTF-8
:mod:`~rawsio.websocket.masking`, ``utf8``    the two loops over bytes, without loops
:mod:`~rawsio.websocket.deflate`              compression: negotiation and streams
:mod:`~rawsio.websocket.extensions`           the grammar of ``Sec-WebSocket-Extensions``
:mod:`~rawsio.websocket.states`               what is legal when
============================================  =====================================================

``rfc_notes/6455.md`` and ``rfc_notes/7692.md`` go with them.  Importing this package imports none
of its modules; the names below are loaded on first use.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.layer import Closed, Closing, Failed, Role

    from .connection import WebSocketConnection
    from .deflate import Agreement, DeflateOptions
    from .events import Message, Ping, Pong

__all__ = [
    "WebSocketConnection",
    "Message",
    "Ping",
    "Pong",
    "Closed",
    "Failed",
    "Closing",
    "Role",
    "DeflateOptions",
    "Agreement",
]

_HOMES = {
    "WebSocketConnection": "rawsio.websocket.connection",
    "Message": "rawsio.websocket.events",
    "Ping": "rawsio.websocket.events",
    "Pong": "rawsio.websocket.events",
    "Closed": "rawsio.layer",
    "Failed": "rawsio.layer",
    "Closing": "rawsio.layer",
    "Role": "rawsio.layer",
    "DeflateOptions": "rawsio.websocket.deflate",
    "Agreement": "rawsio.websocket.deflate",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
