"""Socket.IO, the protocol as a layer: packets, their values, and who may send what when.

It is pure and can be used alone (:mod:`rawsio.layer` says how):

===============  ==========================================================================
module           what it holds
===============  ==========================================================================
``packets``      the events; packets as messages and back
``values``       JSON with bytes in it
``states``       who may send what in a namespace, and when
``connection``   :class:`~rawsio.socketio.connection.SocketIOConnection`, the layer
``msgpack``      the other form of packets, MessagePack
``protocol_v4``  the form of Socket.IO v2 clients
===============  ==========================================================================

Namespaces, sockets, rooms and handlers stand above it, in :mod:`rawsio.app`.

Importing this package imports none of its modules; the names below, those of the layer, are loaded
on first use.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.layer import Closed, Closing, Failed, Role

    from .connection import SocketIOConnection
    from .packets import Ack, Connect, ConnectError, Disconnect, Event

__all__ = [
    "SocketIOConnection",
    "Connect",
    "ConnectError",
    "Event",
    "Ack",
    "Disconnect",
    "Closed",
    "Failed",
    "Closing",
    "Role",
]

_HOMES = {
    "SocketIOConnection": "rawsio.socketio.connection",
    "Connect": "rawsio.socketio.packets",
    "ConnectError": "rawsio.socketio.packets",
    "Event": "rawsio.socketio.packets",
    "Ack": "rawsio.socketio.packets",
    "Disconnect": "rawsio.socketio.packets",
    "Closed": "rawsio.layer",
    "Failed": "rawsio.layer",
    "Closing": "rawsio.layer",
    "Role": "rawsio.layer",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
