"""One stay of a client's socket in a namespace, from its CONNECT to its end.

A handler belongs to the :class:`Membership` in which its event came.  So an acknowledgement that is
ready after the connection was lost goes nowhere; sent in the next connection, its id would mean
another event.
"""

from __future__ import annotations

from rawsio.app.handlers import Handlers, check_catch_all, check_kind
from rawsio.app.states import SocketState
from rawsio.errors import ConnectionClosed, Refused, meant
from rawsio.socketio.packets import RESERVED, Ack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.app.handlers import Handler
    from rawsio.app.listeners import Hooks
    from rawsio.prepared import Prepared

    class Sender(Protocol):
        """Who sends what handlers answer."""

        def transmit(self, prepared: Prepared, /) -> None:
            """Send an encoded packet."""

    Table = dict[str | int, tuple[Handler, ...]]

__all__ = ["ClientHandlers", "Space", "Membership", "as_refused", "check_client_name"]

RAISED = frozenset(("connect", "connect_error", "disconnect"))
"""The events of a socket that no packet can raise."""

_ENGINE_PATH = "/socket.io"
"""What is at times written into a URL, where a namespace is meant."""

MANAGED = frozenset(("reconnect", "reconnect_attempt", "reconnect_error", "reconnect_failed"))
"""The events of a client, which is about connections and not about namespaces."""


def check_client_name(name: object, *, managed: bool = False) -> None:
    """Refuse names that no event can have: such a handler would never be called.

    >>> check_client_name("connect"), check_client_name("chat message")
    (None, None)
    """
    if managed:
        if not isinstance(name, str) or name not in MANAGED:
            raise ValueError(f"a client has no event {name!r}{meant(name, sorted(MANAGED))}")
    elif isinstance(name, str):
        check_catch_all(name)
        if name not in RAISED and name in RESERVED:
            raise ValueError(f"no event can be named {name!r}")
    else:
        check_kind(name)


class ClientHandlers(Handlers):
    """Handlers by name; what a server may name as it likes is no library name here."""

    __slots__ = ()

    def _table(self, name: str | int) -> Table:
        return self.library if name in RAISED or name in MANAGED else self.events


class Space:
    """A namespace, as the machinery wants it: a name, the host, and handlers for all of it."""

    __slots__ = ("name", "host", "_handlers")

    def __init__(self, name: str, host: Any) -> None:
        self.name = name
        self.host = host
        self._handlers = Handlers()


class Membership:
    """One stay of a socket in its namespace; ``owner`` has handlers, hooks and a space."""

    __slots__ = ("owner", "_state", "_sender")

    def __init__(self, owner: Any, sender: Sender) -> None:
        self.owner = owner
        self._sender = sender
        self._state = SocketState.OPEN

    @property
    def namespace(self) -> Space:
        """Where it is."""
        space: Space = self.owner._space
        return space

    @property
    def _handlers(self) -> Handlers:
        """The handlers of the socket."""
        handlers: Handlers = self.owner._handlers
        return handlers

    @property
    def _hooks(self) -> Hooks | None:
        """The listeners of the socket."""
        hooks: Hooks | None = self.owner._hooks
        return hooks

    def _answer(self, values: list[Any], packet_id: int) -> None:
        """Send an acknowledgement, unless the stay is over."""
        space = self.namespace
        self._acknowledge(space.host.prepare(Ack(space.name, values, packet_id)))

    def _acknowledge(self, prepared: Prepared) -> None:
        """Send an encoded acknowledgement, unless the stay is over."""
        if self._state is SocketState.OPEN:
            self._sender.transmit(prepared)


def as_refused(data: Any, namespace: str) -> Exception:
    """Return what a CONNECT_ERROR says, as the exception that the server's middleware raised.

    >>> as_refused({"message": "not you", "data": {"retry": False}}, "/admin")
    Refused('not you')
    >>> str(as_refused("not you", "/admin"))
    "the server refused the namespace '/admin': not you"
    """
    if isinstance(data, str):
        data = {"message": data}
    if not isinstance(data, dict) or not isinstance(data.get("message"), str):
        return ConnectionClosed(f"the server refused the namespace {namespace!r} without a reason")
    message = data["message"]
    if message == "Invalid namespace" and namespace.startswith(_ENGINE_PATH):
        message += " (the path of a URL is a namespace; the option path is for the server's own)"
    refused = Refused(message, data.get("data"))
    refused.namespace = namespace
    return refused
