"""Namespaces: who may enter, who is inside, and what is heard there.

Every client of a namespace is a socket in ``sockets``; middleware decides who becomes one.
Namespaces are made by ``of(name)``, or by a *parent*: a pattern or a function that says which names
it welcomes.  What is registered on a parent counts for all of its children, those that exist
already included.

A socket is in the namespace from one moment on.  Until every middleware has agreed it is in no
table that a broadcast looks at, so nothing leaks to a client that is refused; at the moment of
acceptance it gets what it missed (recovery), the answer to its CONNECT, and its place in
``sockets``, without anything in between.
"""

from __future__ import annotations

from binascii import b2a_base64
from functools import partial
from itertools import count

from .adapter import EVERYONE, Adapter, Targets
from .broadcast import Broadcast, Operators
from .handlers import Handler, Handlers, check_function
from .lifecycle_events import ServerEventRun
from .listeners import Listening
from .reply import Promise, Reply
from .socket import Socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeVar, overload

    from .interfaces import MultiplexerLike, NamespaceLike, RuntimeLike
    from .reply import Collected

    AnyFunction = Callable[..., Any]
    FunctionT = TypeVar("FunctionT", bound=AnyFunction)

__all__ = ["Namespace", "ParentNamespace", "Sockets", "check_server_event", "new_id"]


def new_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return an unpredictable id of 20 characters (120 bits), safe in a URL.

    >>> new_id(bytes)
    'AAAAAAAAAAAAAAAAAAAA'
    """
    text = b2a_base64(random_bytes(15), newline=False).decode("ascii")
    return text.replace("+", "-").replace("/", "_")


_NOT_BETWEEN_SERVERS = ("connect", "connection", "new_namespace")


def check_server_event(name: object) -> None:
    """Refuse a name that no event between servers may have."""
    if not isinstance(name, str):
        raise TypeError(f"the name of an event between servers is a str, not {name!r}")
    if name in _NOT_BETWEEN_SERVERS:
        raise ValueError(f"no event between servers can be named {name!r}: choose another name")


class Sockets(dict[str, Socket]):
    """Sockets by their ids; any thread may go over them while others come and go.

    ``copy()`` gives a plain dict of them.

    >>> sockets = Sockets(a=1)
    >>> for sid in sockets:
    ...     sockets["b"] = 2
    >>> sorted(sockets), sockets.copy()
    (['a', 'b'], {'a': 1, 'b': 2})
    """

    __slots__ = ()

    # Making a list of a dict's keys runs no Python code: no other thread has its turn meanwhile.

    def __iter__(self) -> Iterator[str]:
        return iter(list(dict.keys(self)))

    if not TYPE_CHECKING:  # to a checker they are the views of a dict

        def keys(self):
            """Return the ids, as they are now."""
            return list(dict.keys(self))

        def values(self):
            """Return the sockets, as they are now."""
            return list(dict.values(self))

        def items(self):
            """Return ids and sockets, as they are now."""
            pairs = [(sid, self.get(sid)) for sid in self]
            return [(sid, socket) for sid, socket in pairs if socket is not None]

    def copy(self) -> dict[str, Socket]:
        """Return a plain dict of them."""
        return dict(self.items())


class Namespace(Listening, Operators):
    """One namespace of a server.

    Handlers registered here are called with the socket first: ``@namespace.on("chat")`` gets
    ``(socket, *args)``.  Its words (``emit``, ``to``, ...) address everybody inside.

    ``connection`` (socket), ``disconnecting`` and ``disconnect`` (socket, reason, description) are
    raised by the library, as are ``error`` (socket, exception) and ``drain`` (socket); in the main
    namespace also ``new_namespace`` (namespace), ``connection_error`` (request, code, message,
    context), and in a cluster ``cluster_degraded`` (degraded, reason).
    """

    __slots__ = (
        "host",
        "name",
        "sockets",
        "adapter",
        "_handlers",
        "_middleware",
        "_parent",
        "_opening",
        "_server_handlers",
        "_ids",
        "_on_vacated",
    )

    _takes_socket = True

    def __init__(
        self,
        host: RuntimeLike,
        name: str,
        make_adapter: Callable[[Namespace], Adapter] = Adapter,
        *,
        vacated: Callable[[Namespace], None] | None = None,
    ) -> None:
        self.host = host
        self.name = name
        self.sockets: dict[str, Socket] = Sockets()
        self._handlers = Handlers()
        self._middleware: tuple[AnyFunction, ...] = ()
        self._parent: ParentNamespace | None = None
        self._opening = 0
        self._server_handlers: dict[str, tuple[Handler, ...]] = {}
        self._ids = count()
        self._on_vacated = vacated
        self.adapter = make_adapter(self)
        if not isinstance(self.adapter, Adapter):
            raise TypeError(f"adapter: it made {self.adapter!r}, and no Adapter")

    # Registration

    def _own_handlers(self) -> Handlers:
        return self._handlers

    def _own_host(self) -> RuntimeLike:
        return self.host

    def use(self, middleware: FunctionT) -> FunctionT:
        """Call ``middleware(socket)`` for every client that asks to enter; also a decorator.

        It refuses by raising (or returning) :class:`~rawsio.errors.Refused`, or by returning
        ``False``, and agrees with ``None`` or ``True``.  Any other exception or value refuses, too,
        and is logged.  All run in the order of registration.
        """
        check_function(middleware, "middleware")
        self.host.expect(middleware)
        self._middleware = (*self._middleware, middleware)
        return middleware

    if TYPE_CHECKING:

        @overload
        def on_server(
            self, name: str, handler: None = None
        ) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def on_server(self, name: str, handler: FunctionT) -> FunctionT: ...

    def on_server(
        self, name: str, handler: FunctionT | None = None
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call a function for each ``server_side_emit`` of another server; also a decorator.

        ``ValueError`` for a name that :meth:`server_side_emit` refuses.
        """
        check_server_event(name)
        if handler is None:
            return partial(self._hear_servers, name)
        return self._hear_servers(name, handler)

    def _hear_servers(self, name: str, fn: FunctionT) -> FunctionT:
        handlers, made = self._server_handlers.get(name, ()), Handler(fn)
        self.host.expect(fn)
        self._server_handlers[name] = (*handlers, made)
        return fn

    # What operators need

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        return (self,), EVERYONE

    def _operator(self) -> Broadcast:
        return Broadcast(self)

    def _each(self) -> Iterable[Namespace]:
        """Return the namespaces that this one's words address: itself."""
        return (self,)

    def next_id(self) -> int:
        """Return an acknowledgement id that no socket here has in use."""
        return next(self._ids)

    # The cluster

    def server_side_emit(self, name: str, *args: Any) -> Reply[Collected[Any]]:
        """Send an event to the other servers of the cluster; the reply is their list of answers.

        Without a cluster there are none, and the reply is an empty list at once.  ``ValueError``
        for ``connect``, ``connection`` and ``new_namespace``: on an official server of the cluster
        these would reach handlers that expect a client.
        """
        check_server_event(name)
        reply = Promise(self.host)
        self.host.call(self.adapter.server_side_emit, [name, *args], reply)
        return reply

    def receive_server_event(self, args: list[Any], answer: Callable[..., None] | None) -> None:
        """Take an event of another server: what a cluster's adapter calls.

        ``answer(*values)`` is called once, with what the first handler that returned something
        returned.
        """
        ServerEventRun(self.host, self.name, args, answer, self._server_handlers).run()

    # Clients

    def _recall(self, peer: MultiplexerLike, auth: Any, found: Callable[[Any], None]) -> None:
        """Call ``found(session)`` with the lost session that a client asks for, or ``None``.

        At once, unless the adapter has to ask somebody else for it.
        """
        if self.adapter.recovers and peer.base_id is None and isinstance(auth, dict):
            secret, offset = auth.get("pid"), auth.get("offset")
            if isinstance(secret, str) and (offset is None or isinstance(offset, str)):
                self._opening += 1  # while it is looked for, the namespace is in use
                self.adapter.restore_session(secret, offset, partial(self._recalled, found))
                return
        found(None)

    def _recalled(self, found: Callable[[Any], None], session: Any) -> None:
        self._opening -= 1
        found(session)

    def _give_back(self, session: Any) -> None:
        """Take note that the client that asked to enter is gone, whose session this is, if any."""
        if session is not None:
            self.adapter.keep_session(session)
        self._vacated()

    def _admit(self, peer: MultiplexerLike, auth: Any, session: Any = None) -> Socket:
        """Make the socket of a client that asks to enter; it is not inside yet."""
        if peer.base_id is not None:
            sid = peer.base_id if self.name == "/" else f"{self.name}#{peer.base_id}"
            return self._new_socket(sid, peer, auth)
        if session is None:
            return self._new_socket(new_id(self.host.random_bytes), peer, auth)
        socket = self._new_socket(session.sid, peer, auth)
        socket.recovered = True
        socket._session = session
        socket.data = session.data
        self.adapter.add_all(session.sid, session.rooms)
        return socket

    def _new_socket(self, sid: str, peer: MultiplexerLike, auth: Any) -> Socket:
        self._opening += 1
        return Socket(sid, self, peer, auth)

    def _enter(self, socket: Socket) -> dict[str, Any]:
        """Put an accepted socket in its place; return the data that answers its CONNECT."""
        self._opening -= 1
        socket._begin()
        self.sockets[socket.id] = socket
        self.adapter.connected(socket.id)
        # A client of Socket.IO v2 knows nothing of recovery: nothing is kept for it.
        known = {} if socket._peer.base_id is not None else self.adapter.begin_session(socket)
        return {"sid": socket.id, **known} if known else {"sid": socket.id}

    def _vacated(self) -> None:
        """Take note that a socket is gone for good, or was not made after all."""
        if self._on_vacated is not None and not self.sockets and not self._opening:
            self._on_vacated(self)

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r}, {len(self.sockets)} sockets>"


class ParentNamespace(Namespace):
    """What many namespaces have in common: those whose names a pattern or a function welcomes.

    Handlers, middleware and operators of a parent are those of every child, present and future.
    """

    __slots__ = ("_children",)

    def __init__(self, host: RuntimeLike, name: str) -> None:
        super().__init__(host, name)
        self._children: dict[str, Namespace] = {}

    def _adopt(self, child: Namespace) -> None:
        """Take a new namespace as child: what is registered here counts there, now and later."""
        self._children[child.name] = child
        child._parent = self
        child._middleware = self._middleware
        child._handlers.update(self._handlers)
        child._server_handlers.update(self._server_handlers)

    def _listen(self, name: str | int, handler: FunctionT, **options: bool) -> FunctionT:
        for child in self._children.values():
            child._handlers.add(name, Handler(handler, takes_socket=True, **options))
        return super()._listen(name, handler, **options)

    def off(self, name: str | int, handler: AnyFunction | None = None) -> None:
        """Take off a function, or all of this name, here and in every child."""
        for child in self._children.values():
            child._handlers.remove(name, handler)
        super().off(name, handler)

    def use(self, middleware: FunctionT) -> FunctionT:
        """Call ``middleware(socket)`` for every client that asks to enter any child."""
        check_function(middleware, "middleware")
        for child in self._children.values():
            child.use(middleware)
        return super().use(middleware)

    def _hear_servers(self, name: str, fn: FunctionT) -> FunctionT:
        for child in self._children.values():
            child._hear_servers(name, fn)
        return super()._hear_servers(name, fn)

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        return self._each(), EVERYONE

    def _each(self) -> Iterable[Namespace]:
        """Return the namespaces that this one's words address: its children."""
        return tuple(self._children.values())
