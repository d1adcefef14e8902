"""Redis from the raw socket: RESP, the protocol that its clients and servers speak.

``Decoder`` and ``encode_command`` are the wire form, versions 2 and 3; :class:`RESPConnection` is
one end of a connection under the contract of :mod:`rawsio.layer`.
"""

from __future__ import annotations

from .connection import RESPConnection
from .events import Command, Completed, Push, Reply
from .resp import NEED, Decoder, ErrorReply, command, encode_command, encode_push, encode_value

__all__ = [
    "Command",
    "Completed",
    "Decoder",
    "ErrorReply",
    "NEED",
    "Push",
    "RESPConnection",
    "Reply",
    "command",
    "encode_command",
    "encode_push",
    "encode_value",
]
