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

Nothing is imported here, so that asking for one module loads that module only.
"""

from __future__ import annotations

__all__: list[str] = []
