"""The whole Socket.IO system in pure Python, from the raw socket up.

``from rawsio import Server`` gives the server, ``rawsio.connect`` a client; each layer is a package
of its own that can be used alone with bytes: :mod:`rawsio.http`, :mod:`rawsio.websocket`,
:mod:`rawsio.engineio`, :mod:`rawsio.socketio`.  Names are loaded on first use (PEP 562), so that
importing one layer imports only that layer.
"""

from __future__ import annotations

from .lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.app.adapter import Adapter
    from rawsio.app.broadcast import Broadcast
    from rawsio.app.namespace import Namespace
    from rawsio.app.recovery import Recovery
    from rawsio.app.reply import Reply
    from rawsio.app.socket import Socket
    from rawsio.client.socket import ClientSocket
    from rawsio.server.mounts import files
    from rawsio.server.static import folder
    from rawsio.socketio.msgpack import MsgpackParser

    from .client import Client, connect
    from .cluster import RedisAdapter, ShardedAdapter, StreamsAdapter
    from .emitter import Emitter
    from .errors import (
        ConnectionClosed,
        LocalProtocolError,
        RawsioError,
        Refused,
        RemoteProtocolError,
    )
    from .limits import Limits
    from .server import Server
    from .tracing import Recorder

__version__ = "0.1.0"

__all__ = [
    "Server",
    "Client",
    "connect",
    "Socket",
    "ClientSocket",
    "Namespace",
    "Broadcast",
    "Reply",
    "folder",
    "files",
    "Adapter",
    "Emitter",
    "RedisAdapter",
    "ShardedAdapter",
    "StreamsAdapter",
    "MsgpackParser",
    "Recovery",
    "Limits",
    "Recorder",
    "RawsioError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "ConnectionClosed",
    "Refused",
]

_HOMES = {
    "Server": "rawsio.server",
    "Client": "rawsio.client",
    "connect": "rawsio.client",
    "Socket": "rawsio.app.socket",
    "ClientSocket": "rawsio.client.socket",
    "Namespace": "rawsio.app.namespace",
    "Broadcast": "rawsio.app.broadcast",
    "Reply": "rawsio.app.reply",
    "folder": "rawsio.server.static",
    "files": "rawsio.server.mounts",
    "Emitter": "rawsio.emitter",
    "RedisAdapter": "rawsio.cluster",
    "ShardedAdapter": "rawsio.cluster",
    "StreamsAdapter": "rawsio.cluster",
    "Adapter": "rawsio.app.adapter",
    "MsgpackParser": "rawsio.socketio.msgpack",
    "Recovery": "rawsio.app.recovery",
    "Limits": "rawsio.limits",
    "Recorder": "rawsio.tracing",
    "RawsioError": "rawsio.errors",
    "LocalProtocolError": "rawsio.errors",
    "RemoteProtocolError": "rawsio.errors",
    "ConnectionClosed": "rawsio.errors",
    "Refused": "rawsio.errors",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
