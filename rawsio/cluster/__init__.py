"""Several servers as one: adapters that reach the clients of all of them, through Redis.

``messages`` are what servers say to each other; ``classic`` and ``envelope`` are the wire forms of
Node's adapters; ``adapter`` does the operations; ``link`` is the connection to Redis.
"""

from __future__ import annotations

from .adapter import ClusterAdapter
from .classic_adapter import ClassicOptions, RedisAdapter
from .fields import ClusterError
from .python_bridge import PythonBridge
from .remote import RemoteHandshake, RemoteSocket
from .sharded_adapter import ShardedAdapter, ShardedOptions
from .streams_adapter import StreamsAdapter
from .streams_bus import StreamsOptions

__all__ = [
    "ClassicOptions",
    "ClusterAdapter",
    "ClusterError",
    "PythonBridge",
    "RedisAdapter",
    "RemoteHandshake",
    "RemoteSocket",
    "ShardedAdapter",
    "ShardedOptions",
    "StreamsAdapter",
    "StreamsOptions",
]
