"""What the library raises by itself: beginnings, ends, refusals, and news from other servers.

``connection`` when a client was accepted; ``disconnecting`` and ``disconnect`` when it is gone,
with one of the reference's reasons; ``error``, ``drain``, ``new_namespace``.  Their handlers stand
in a table that packets never reach.  The middleware of a namespace, which judges a client before
any of that, runs here too.

The end of a socket is one job of its connection's queue: ``disconnecting`` while the rooms are
intact, then the session is kept for recovery, the rooms are left, and ``disconnect`` comes last,
behind every event that the client had sent before.
"""

from __future__ import annotations

from rawsio.errors import Refused, refusal_in

from .handler_queue import HandlerChain, Step, log_failure, too_few
from .handlers import take_off
from .reply import as_values
from .socket import Socket
from .states import RECOVERABLE, SocketState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .handler_queue import HandlerQueue, Pausing, Steps
    from .handlers import Handler, HandlerNamespace
    from .interfaces import RuntimeLike
    from .listeners import HandlerSocket

__all__ = [
    "AdmissionChain",
    "ServerEventRun",
    "announce",
    "run_disconnect",
    "tell_of_end",
    "tell_of_entry",
    "raise_library_event",
    "raise_namespace_event",
    "refusal",
]

_NONE: tuple[Handler, ...] = ()


class _LibraryRun(HandlerChain):
    __slots__ = ("_peer", "_socket", "_name")

    def __init__(
        self,
        host: RuntimeLike,
        socket: HandlerSocket,
        name: str,
        peer: HandlerQueue[Pausing] | None = None,
    ) -> None:
        super().__init__(host, [])
        self._peer = peer
        self._socket = socket
        self._name = name

    def add(self, name: str, *values: Any) -> bool:
        """Add the steps of one library event; return whether anybody handles it."""
        socket = self._socket
        found = socket.namespace._handlers.library.get(name, _NONE)
        if socket._handlers is not None:
            found += socket._handlers.library.get(name, _NONE)
        for handler in found:
            if handler.once and not take_off(socket, name, handler):
                continue
            if len(values) < handler.least:
                too_few(self.host, handler, name, socket.namespace.name, len(values))
                continue
            self._steps.append((Step.CALL, handler.fn, handler.arguments(socket, list(values))))
        return bool(found)

    def then(self, fn: Callable[..., Any], *args: Any) -> None:
        """Add a step of ours, on the loop's thread."""
        self._steps.append((Step.INTERNAL, fn, args))

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        name, socket = self._name, self._socket
        beginning, meaning = name == "connection", "it has no meaning there"
        if beginning and error is None and (result is False or isinstance(result, Refused)):
            error = Refused("Forbidden") if result is False else result
        if beginning and isinstance(error, Refused):
            meaning = "the client, which was in already, is disconnected (middleware keeps it out)"
            if isinstance(socket, Socket):
                socket.disconnect()
        if error is not None:
            who = getattr(socket, "owner", socket)
            where = socket.namespace.name
            what = "a handler of"
            log_failure(self.host, what, name, where, error, socket=who, meaning=meaning)
        return True

    def finished(self) -> None:
        hooks = self._socket._hooks
        if hooks is not None and hooks.handled is not None:
            hooks.handled(self._socket)

    def proceeded(self) -> None:
        if self._peer is not None:
            self._peer.proceed()


def raise_library_event(host: RuntimeLike, socket: HandlerSocket, name: str, *values: Any) -> bool:
    """Call the handlers of a library event of a socket, outside of the queue.

    Return whether there were any.
    """
    run = _LibraryRun(host, socket, name)
    heard = run.add(name, *values)
    run.run()
    return heard


class _NamespaceRun(HandlerChain):
    __slots__ = ("_name",)

    def __init__(self, host: RuntimeLike, name: str, steps: Steps) -> None:
        super().__init__(host, steps)
        self._name = name

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        if error is not None:
            log_failure(self.host, "a handler of", self._name, "/", error)
        return True


def raise_namespace_event(namespace: HandlerNamespace, name: str, *values: Any) -> None:
    """Call the handlers of a library event that is about no socket, of a namespace."""
    steps: Steps = []
    for handler in namespace._handlers.library.get(name, _NONE):
        if handler.once and not namespace._handlers.discard(name, handler):
            continue
        # Handlers of a namespace expect a socket first: here they get the first value instead.
        steps.append((Step.CALL, handler.fn, handler.arguments(values[0], list(values[1:]))))
    _NamespaceRun(namespace.host, name, steps).run()


def _is_heard(socket: HandlerSocket, name: str) -> bool:
    """Tell whether there is a handler for a library event of a socket; mostly there is none."""
    own = socket._handlers
    return name in socket.namespace._handlers.library or (own is not None and name in own.library)


def announce(peer: HandlerQueue[Pausing], socket: HandlerSocket, name: str, *values: Any) -> bool:
    """Call the handlers of a library event of a socket in its turn: a job."""
    if not _is_heard(socket, name):
        return True
    run = _LibraryRun(peer.host, socket, name, peer)
    run.add(name, *values)
    return run.run()


def tell_of_entry(peer: HandlerQueue[Pausing], socket: Socket) -> None:
    """Call the handlers of ``connection``, when it is their turn."""
    listened = socket._handlers is not None or socket.namespace._handlers.library
    if peer.busy or listened:
        peer.perform(announce, peer, socket, "connection")
    else:
        peer.arriving = 0


def tell_of_end(
    peer: HandlerQueue[Pausing], socket: Socket, reason: str, description: str | None
) -> None:
    """Do what follows the end of a socket, when it is its turn."""
    listened = socket._handlers is not None or socket.namespace._handlers.library
    if peer.busy or listened:
        peer.perform(run_disconnect, peer, socket, reason, description)
    else:
        _depart(socket, reason)
        peer.arriving = 0


def run_disconnect(
    peer: HandlerQueue[Pausing], socket: Socket, reason: str, description: str | None
) -> bool:
    """Call ``disconnecting``, keep the session, leave the rooms, call ``disconnect``: a job."""
    if not _is_heard(socket, "disconnecting"):
        _depart(socket, reason)
        return announce(peer, socket, "disconnect", reason, description)
    run = _LibraryRun(peer.host, socket, "disconnect", peer)
    run.add("disconnecting", reason, description)
    run.then(_depart, socket, reason)
    run.then(run.add, "disconnect", reason, description)
    return run.run()


def _depart(socket: Socket, reason: str) -> None:
    if reason in RECOVERABLE:
        socket.namespace.adapter.persist_session(socket)
    socket._vanish(was_open=True)


# Events of other servers


class ServerEventRun(HandlerChain):
    """An event that another server of the cluster sent with ``server_side_emit``."""

    __slots__ = ("_space", "_args", "_answer", "_value")

    def __init__(
        self,
        host: RuntimeLike,
        space: str,
        args: list[Any],
        answer: Callable[..., None] | None,
        table: dict[str, tuple[Handler, ...]],
    ) -> None:
        super().__init__(host, [])
        self._space = space
        self._args = args
        self._answer = answer
        self._value: Any = None
        for handler in table.get(args[0], _NONE):
            if len(args) - 1 < handler.least:
                too_few(host, handler, args[0], space, len(args) - 1)
            else:
                self._steps.append((Step.CALL, handler.fn, handler.arguments(None, args[1:])))

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        """Keep the first value."""
        if error is not None:
            log_failure(self.host, "a handler of", self._args[0], self._space, error)
        elif self._value is None:
            self._value = result
        return True

    def finished(self) -> None:
        """Answer, if somebody is waiting."""
        if self._answer is not None:
            self._answer(*as_values(self._value))


# Middleware of a namespace


class AdmissionChain(HandlerChain):
    """The middleware of a namespace, asked about a new socket.

    ``done(error)`` is called once: with ``None`` if all agreed, with what the first one raised
    otherwise.
    """

    __slots__ = ("_socket", "_done", "_error")

    def __init__(
        self, host: RuntimeLike, socket: Socket, done: Callable[[BaseException | None], None]
    ) -> None:
        steps: Steps = [(Step.CALL, fn, (socket,)) for fn in socket.namespace._middleware]
        super().__init__(host, steps)
        self._socket = socket
        self._done = done
        self._error: BaseException | None = None

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        """Stop at the first that refused, or when the client is gone."""
        if error is None:
            try:
                error = refusal_in(result, "a middleware (use)")
            except TypeError as wrong:
                error = wrong
        self._error = error
        return error is None and self._socket._state is SocketState.OPENING

    def finished(self) -> None:
        """Tell the verdict."""
        error, self._error = self._error, None  # its traceback leads back to here
        try:
            self._done(error)
        finally:
            del error


def refusal(error: BaseException) -> dict[str, Any]:
    """Return the data of the CONNECT_ERROR for what a middleware raised.

    The text of an unexpected exception stays here: it may tell what is nobody's business.

    >>> refusal(Refused("not you", {"retry": False})), refusal(KeyError("password"))
    ({'message': 'not you', 'data': {'retry': False}}, {'message': 'Internal error'})
    """
    if not isinstance(error, Refused):
        return {"message": "Internal error"}
    data: dict[str, Any] = {"message": error.message}
    if error.data is not None:
        data["data"] = error.data
    return data
