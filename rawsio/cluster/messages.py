"""What the servers of a cluster say to each other, whatever the wire form.

An operation on many sockets (``io.to("room").emit``, ``io.fetch_sockets()``) is done here for the
sockets of this server, and told to the others by one of these messages.  ``uid`` is the server that
says it.  ``request`` is not empty where answers are wanted, and the answers carry it back.
"""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.adapter import Targets

__all__ = [
    "AllRooms",
    "Broadcast",
    "ClientAnswer",
    "ClientCount",
    "Disconnect",
    "Fetch",
    "Join",
    "Leave",
    "RoomsAnswer",
    "ServerAnswer",
    "ServerEvent",
    "SocketsAnswer",
]


@record
class Broadcast:
    """Send an event to sockets; with ``request``, ask each of them for an acknowledgement."""

    uid: str
    args: list[Any]
    targets: Targets
    request: str = ""
    offset: str = ""
    """Where it stands in a stream, if it was read there."""

    __uncompared__ = ("offset",)


@record
class Join:
    """Put sockets into rooms."""

    uid: str
    targets: Targets
    rooms: list[str]


@record
class Leave:
    """Take sockets out of rooms."""

    uid: str
    targets: Targets
    rooms: list[str]


@record
class Disconnect:
    """Disconnect sockets; ``close`` ends their whole connections."""

    uid: str
    targets: Targets
    close: bool


@record
class Fetch:
    """Say which sockets there are."""

    uid: str
    request: str
    targets: Targets


@record
class AllRooms:
    """Say which rooms there are."""

    uid: str
    request: str


@record
class ServerEvent:
    """An event for the servers themselves (``server_side_emit``)."""

    uid: str
    args: list[Any]
    request: str = ""


@record
class SocketsAnswer:
    """The sockets of one server: dictionaries of ``id handshake rooms data``."""

    request: str
    sockets: list[dict[str, Any]]
    uid: str = ""


@record
class RoomsAnswer:
    """The rooms of one server."""

    request: str
    rooms: list[str]
    uid: str = ""


@record
class ServerAnswer:
    """What the handlers of one server answered: the values of its acknowledgement."""

    request: str
    values: list[Any]
    uid: str = ""


@record
class ClientCount:
    """How many sockets one server asked.  Servers of this library name them, too."""

    request: str
    count: int
    sids: list[str]
    uid: str = ""


@record
class ClientAnswer:
    """What one socket acknowledged, and which one it is, if that was said."""

    request: str
    values: list[Any]
    sid: str = ""
    uid: str = ""
