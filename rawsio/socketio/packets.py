"""Socket.IO packets: what they are, and how they look as Engine.IO messages (protocol v5)."""

from __future__ import annotations

from typing import Any

from rawsio.layer import record

__all__ = ["Connect", "ConnectError", "Event", "Ack", "Disconnect"]


@record
class Connect:
    """CONNECT: a client asks to join a namespace, or the server says that it has."""

    namespace: str = "/"
    data: Any = None


@record
class ConnectError:
    """CONNECT_ERROR: the server refuses a CONNECT; ``data`` is usually ``{"message": ...}``."""

    namespace: str = "/"
    data: Any = None


@record
class Event:
    """EVENT or BINARY_EVENT: ``args[0]`` is the name; ``id`` asks for an acknowledgement."""

    namespace: str
    args: list[Any]
    id: int | None = None


@record
class Ack:
    """ACK or BINARY_ACK: the answer to the event with this id."""

    namespace: str
    args: list[Any]
    id: int


@record
class Disconnect:
    """DISCONNECT: one side leaves a namespace; there is no answer."""

    namespace: str = "/"
