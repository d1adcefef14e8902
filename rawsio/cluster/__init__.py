"""Several servers as one: adapters that reach the clients of all of them, through Redis.

``messages`` are what servers say to each other; ``classic`` is the wire form of Node's
``@socket.io/redis-adapter``; ``adapter`` does the operations; ``link`` is the connection to Redis.
"""

from __future__ import annotations

from .adapter import ClusterAdapter
from .classic_adapter import ClassicOptions, RedisAdapter
from .fields import ClusterError
from .remote import RemoteHandshake, RemoteSocket

__all__ = [
    "ClassicOptions",
    "ClusterAdapter",
    "ClusterError",
    "RedisAdapter",
    "RemoteHandshake",
    "RemoteSocket",
]
