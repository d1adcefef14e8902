"""Redis from the raw socket: RESP, the protocol that its clients and servers speak, and a client.

``Decoder`` and ``encode_command`` are the wire form, versions 2 and 3; :class:`RESPConnection` is
one end of a connection under the contract of :mod:`rawsio.layer`; :class:`RedisClient` is a client
that stays connected, on our loop or asyncio's.
"""

from __future__ import annotations

from .address import RedisAddress, parse_url
from .answer import Answer, RedisError
from .client import RedisClient, RedisOptions, RedisState
from .connection import RESPConnection
from .events import Command, Completed, Push, Reply
from .resp import NEED, Decoder, ErrorReply, command, encode_command, encode_push, encode_value

__all__ = [
    "RedisClient",
    "RedisOptions",
    "RedisState",
    "RedisAddress",
    "RedisError",
    "Answer",
    "RESPConnection",
    "Command",
    "Completed",
    "Push",
    "Reply",
    "Decoder",
    "ErrorReply",
    "NEED",
    "command",
    "encode_command",
    "encode_push",
    "encode_value",
    "parse_url",
]
