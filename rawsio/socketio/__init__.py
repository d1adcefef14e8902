"""Socket.IO: the protocol as a layer, and above it namespaces, sockets, rooms and handlers.

The layer, which is pure and can be used alone (:mod:`rawsio.layer` says how):

===============  ==========================================================================
module           what it holds
===============  ==========================================================================
``packets``      the events; packets as messages and back
``values``       JSON with bytes in it
``states``       who may send what in a namespace, and when
``connection``   :class:`~rawsio.socketio.connection.SocketIOConnection`, the layer
``msgpack``      the other form of packets, MessagePack
``revision4``    the form of Socket.IO v2 clients
===============  ==========================================================================

The objects above it, which users of a server see:

===============  ==========================================================================
``registry``     all namespaces; ``namespace`` one of them; ``adapter`` who is in which room
``peer``         all that one session is; ``socket`` and ``member`` one client in a namespace
``handlers``     what users register; ``library`` what the library raises; ``dispatch`` how
                 an event becomes an acknowledgement; ``sequence`` one thing after the other
``broadcast``    whom an emit goes to; ``reply`` what it waits for
``handshake``    how a client introduced itself; ``recovery`` how it comes back
``host``         what all this needs of the world around it, as types
===============  ==========================================================================

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

__getattr__, __dir__ = lazily(globals(), _HOMES)
