"""A socket of another server, as ``fetch_sockets`` shows it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rawsio.app.broadcast import Broadcast
    from rawsio.app.interfaces import NamespaceLike

__all__ = ["RemoteHandshake", "RemoteSocket", "as_fields"]

_NAMES = ("headers", "time", "address", "xdomain", "secure", "issued", "url", "query", "auth")


class RemoteHandshake:
    """The first request of a socket of another server: the names of a ``Handshake``.

    What the other server did not say is ``None``.  ``issued`` is in seconds since 1970.
    """

    __slots__ = _NAMES

    if TYPE_CHECKING:
        headers: Any
        time: Any
        address: Any
        xdomain: Any
        secure: Any
        issued: Any
        url: Any
        query: Any
        auth: Any

    def __init__(self, fields: dict[str, Any]) -> None:
        for name in _NAMES:
            setattr(self, name, fields.get(name))
        if isinstance(self.issued, (int, float)):
            self.issued /= 1000  # JavaScript counts milliseconds


class RemoteSocket:
    """A socket of another server: what it was when it was fetched, and words to act on it."""

    __slots__ = ("_namespace", "data", "handshake", "id", "rooms")

    def __init__(self, namespace: NamespaceLike, fields: dict[str, Any]) -> None:
        self._namespace = namespace
        self.id: str = fields["id"]
        self.handshake = RemoteHandshake(fields["handshake"])
        self.rooms = frozenset(fields["rooms"])
        self.data: Any = fields["data"]

    def _operator(self) -> Broadcast:
        from rawsio.app.broadcast import Broadcast

        return Broadcast(self._namespace).to(self.id)

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event to it."""
        self._operator().emit(name, *args)

    def join(self, *rooms: str | Iterable[str]) -> None:
        """Put it into rooms."""
        self._operator().sockets_join(*rooms)

    def leave(self, *rooms: str | Iterable[str]) -> None:
        """Take it out of rooms."""
        self._operator().sockets_leave(*rooms)

    def disconnect(self, *, close: bool = False) -> None:
        """Disconnect it; ``close`` ends its whole connection."""
        self._operator().disconnect_sockets(close=close)

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"


def as_fields(socket: Any) -> dict[str, Any]:
    """Return a socket of this server as it travels, in the form of the reference."""
    handshake = socket.handshake
    shown = {name: getattr(handshake, name) for name in _NAMES}
    shown["issued"] = int(handshake.issued * 1000)
    return {
        "id": socket.id,
        "handshake": shown,
        "rooms": sorted(socket.rooms),
        "data": socket.data,
    }
