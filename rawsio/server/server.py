"""The server: namespaces above, sessions in the middle, sockets below, and the public interface.

::

    from rawsio import Server, Socket

    io = Server()

    @io.on("chat message")
    def message(socket: Socket, text: str) -> str:
        socket.broadcast.emit("chat message", text)
        return "delivered"

    io.run(port=3000)

The server itself stands for the main namespace ``/``: ``on``, ``use``, ``emit``, ``to`` and their
kin act there.  ``emit``, ``send``, ``close`` and the operators may be called from any thread;
``on``, ``use`` and ``of`` belong to set-up.

This is the public face of two objects: ``core`` (:class:`~rawsio.server.core.ServerCore`) is the
server without sockets, ``net`` (:class:`~rawsio.server.server_sockets.ServerSockets`) runs it on
sockets.  Nothing here is on the way of a packet.
"""

from __future__ import annotations

from rawsio.app.adapter import EVERYONE, Targets
from rawsio.app.broadcast import Broadcast, Operators
from rawsio.app.handlers import Handler, Handlers
from rawsio.app.listeners import Listening
from rawsio.app.reply import check_seconds
from rawsio.extension import check_extensions

from .config import ServerHooks, check_named, configure, default_trace, make_runtime
from .core import ServerCore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from os import PathLike
    from re import Pattern
    from socket import socket
    from ssl import SSLContext
    from typing import Any, Literal, NoReturn, TypeVar, overload

    from typing_extensions import Unpack

    from rawsio.app.adapter import Adapter
    from rawsio.app.interfaces import NamespaceLike
    from rawsio.app.namespace import Namespace
    from rawsio.app.reply import Collected, Reply
    from rawsio.app.schedule import Timer
    from rawsio.app.socket import Socket
    from rawsio.extension import Extension
    from rawsio.limits import Limits
    from rawsio.queue.jobs import Jobs
    from rawsio.queue.messages import QueueKeywords
    from rawsio.queue.queues import Queues
    from rawsio.runtime import Runtime
    from rawsio.socketio.connection import Parser
    from rawsio.trace import Trace

    from .config import ServerKeywords

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

__all__ = ["IMPORTED", "RunByImportError", "Server"]


IMPORTED: list[str] = []
"""The modules that are being imported for their servers, which somebody else will run."""


class RunByImportError(RuntimeError):
    """A module that is imported for its server runs it."""


class Server(Listening, Operators):
    """A Socket.IO server, and an HTTP server for what is beside it.

    ``app`` answers all other requests: a WSGI application, or a function of the request.
    ``executor`` runs handlers and the application on threads.  ``limits`` holds every bound that
    the reference server has no option for.  ``adapter`` makes the adapter of each namespace,
    ``parser`` the form of packets (of the Socket.IO v2 clients, too, that ``allow_eio3`` lets in);
    ``trace`` is a :class:`rawsio.Recorder` of what passes, or an object that is told what passes
    through the layers (as the demo's :class:`~rawsio.demo.hub.TraceHub`); without one, the
    variable ``RAWSIO_TRACE`` of the environment may name a file to record to.  ``extensions`` begin
    and end with the server (:mod:`rawsio.extension`).  All further options, by name, are the fields
    of :class:`~rawsio.server.config.ServerOptions` and
    :class:`~rawsio.engineio.server.options.EngineOptions`.
    """

    _takes_socket = True

    def __init__(
        self,
        *misplaced: NoReturn,
        app: Callable[..., object] | None = None,
        executor: Executor | None = None,
        limits: Limits | None = None,
        adapter: Callable[[Namespace], Adapter] | None = None,
        parser: Parser | None = None,
        trace: Trace | None = None,
        extensions: Iterable[Extension] = (),
        **options: Unpack[ServerKeywords],
    ) -> None:
        check_named(misplaced)
        from .server_sockets import ServerSockets

        trace = default_trace() if trace is None else trace
        hooks = ServerHooks(app, executor, adapter, parser, trace, tuple(extensions))
        config = configure(hooks, limits, options)
        self.core = ServerCore(make_runtime(config), config)
        self.net = ServerSockets(self.core)
        self.limits = config.limits
        self.host = self.core.runtime
        self.engine = self.core.registry
        self.namespaces = self.core.namespaces
        self._leaving = False
        self._queues: Queues | None = None

    # The main namespace

    @property
    def sockets(self) -> dict[str, Socket]:
        """The sockets of the main namespace, by id; safe to go over in any thread."""
        return self.namespaces.main.sockets

    def of(self, name: str | Pattern[str] | Callable[[str, Any], object]) -> Namespace:
        """Return a namespace, made if it is new.

        ``name`` is a string, a compiled pattern (``re.compile(r"/room-[0-9]+")``), or a function
        ``(name, auth) -> bool``; the latter two welcome every name that fits.
        """
        return self.namespaces.of(name)

    def use(self, middleware: FunctionT) -> FunctionT:
        """Ask ``middleware(socket)`` about every client of the main namespace; also a decorator.

        To refuse a client, raise :class:`rawsio.Refused`.
        """
        return self.namespaces.main.use(middleware)

    def on_error(self, fn: FunctionT) -> FunctionT:
        """Call ``fn(error, socket, event, args)`` when a function of yours fails; a decorator, too.

        These are handlers, listeners, middleware, namespace functions and timers, in every
        namespace; ``socket`` is ``None`` and ``args`` empty where there are none.  It may take
        fewer parameters.  The log has its line in any case.
        """
        made = Handler(fn)
        self.host.expect(fn)
        self.host.error_handlers = (*self.host.error_handlers, made)
        return fn

    # Queues

    def queue(
        self,
        name: str,
        *,
        path: str | PathLike[str] | None = None,
        store: str | None = None,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        namespace: str | None = None,
        allow: Callable[[Socket, str, str], object] | None = None,
        **options: Unpack[QueueKeywords],
    ) -> Jobs:
        """Return a new queue: messages are stored until one consumer has processed them.

        ``path`` is a SQLite file, which may be your own; without it messages are in memory, and end
        with the process.  ``synchronous="NORMAL"`` is faster, and may lose the last commits when
        power fails.  With ``store="redis://host:6379"`` the queue is in Redis 7, and all servers
        that name it share it; ``rfc_notes/queue.md`` says what is promised there.  With
        ``namespace`` clients may use it there (:mod:`rawsio.queue.wire`):
        ``allow(socket, operation, queue)`` decides who may do what; without it everybody may
        publish and consume, and nobody manage.  ``options`` are the fields of
        :class:`~rawsio.queue.QueueOptions`.  Raises :class:`~rawsio.queue.StoreError` for a file
        that cannot be used.  Belongs to set-up.
        """
        self.core.check_open("makes no more queues")
        if self._queues is None:
            from rawsio.queue.queues import Queues

            kept = self.core.recovery
            self._queues = Queues(self.host, None if kept is None else kept.stores)
            self.core.extensions.add(self._queues)
        space = None if namespace is None else self.of(namespace)
        return self._queues.make(name, path, synchronous, options, space, allow, store)

    def extend(self, extension: Extension) -> None:
        """Start an extension with the server, or now if it runs; it is stopped with it.

        An extension has ``start(runtime)`` and ``stop(deadline)``: see :mod:`rawsio.extension`.
        ``extensions=[...]`` does the same when the server is made.
        """
        self.core.check_open("takes no more extensions")
        check_extensions([extension])
        self.core.extensions.add(extension)

    # Timers

    def call_later(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Timer:
        """Call ``fn(*args)`` after so many seconds, as a handler is called; from any thread.

        It needs no thread, runs on whatever loop the server runs on, and may be ``async def``
        where handlers may.  The returned timer has ``cancel()``; closing the server cancels it.
        """
        self.core.check_open("calls no more timers")
        return self.host.schedule.add(seconds, fn, args, again=False)

    def every(self, seconds: float, fn: Callable[..., Any], *args: Any) -> Timer:
        """Call ``fn(*args)`` every so many seconds, first after that time; see :meth:`call_later`.

        The next call waits until the one before has ended; those that were missed meanwhile are
        left out, and the others keep their times.

        >>> from rawsio import Server
        >>> from rawsio.testing import TestKit
        >>> io = Server()
        >>> timer = io.every(0.5, print, "tick")
        >>> with TestKit(io) as kit:
        ...     kit.advance(1.0)
        tick
        tick
        """
        self.core.check_open("calls no more timers")
        return self.host.schedule.add(seconds, fn, args, again=True)

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
        """Call a function for each ``server_side_emit`` of another server; also a decorator."""
        main = self.namespaces.main
        return main.on_server(name) if handler is None else main.on_server(name, handler)

    def server_side_emit(self, name: str, *args: Any) -> Reply[Collected[Any]]:
        """Send an event to the other servers of the cluster."""
        return self.namespaces.main.server_side_emit(name, *args)

    def _aim(self) -> tuple[Iterable[NamespaceLike], Targets]:
        if self.core.closed:
            self.core.check_open("sends no more")
        return (self.namespaces.main,), EVERYONE

    def _operator(self) -> Broadcast:
        if self.core.closed:
            self.core.check_open("sends no more")
        return Broadcast(self.namespaces.main)

    def _own_handlers(self) -> Handlers:
        return self.namespaces.main._handlers

    def _own_host(self) -> Runtime:
        return self.host

    # Running

    if TYPE_CHECKING:

        @overload
        def listen(
            self, host: str = ..., port: int = ..., *, tls: SSLContext | None = ...
        ) -> tuple[str, int]: ...
        @overload
        def listen(self, *, path: str | PathLike[str], tls: SSLContext | None = ...) -> str: ...
        @overload
        def listen(
            self, *, sock: socket, tls: SSLContext | None = ...
        ) -> tuple[str, int] | str: ...

    def listen(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        sock: socket | None = None,
        path: str | PathLike[str] | None = None,
        tls: SSLContext | None = None,
    ) -> tuple[str, int] | str:
        """Listen, and return the address: ``(host, port)``, or the path of a unix socket.

        Port 0 lets the system choose; ``host="::"`` is all addresses, of IPv4 and IPv6.  ``sock``
        is a listening stream socket of your own, or a connection that somebody accepted for you.
        ``path`` (``str`` or ``pathlib.Path``) makes a unix socket: it replaces one that a dead
        server left behind, and nothing else; the end of the server removes it.  ``tls`` is an
        ``ssl.SSLContext`` of a server.  May be called several times.  Raises ``OSError`` that says
        where and why, and ``TypeError`` or ``ValueError`` for what is none of these.
        """
        self.core.check_open("listens no more")
        address: tuple[str, int] | str = self.net.listen(host, port, sock, path, tls)
        return address

    def _check_may_run(self) -> None:
        self.core.check_open("cannot run again")
        if IMPORTED:
            raise RunByImportError(
                f"{IMPORTED[-1]} runs its server when it is imported: put that call under"
                ' `if __name__ == "__main__":`'
            )

    def run(
        self, host: str = "127.0.0.1", port: int | None = None, *, workers: int | None = None
    ) -> None:
        """Serve until :meth:`close`, SIGINT or SIGTERM (signals in the main thread only).

        Listens at ``port`` if one is given, or if nothing listens yet (then at 3000).  With
        ``workers`` so many processes serve, and this one starts them, again if need be, and passes
        connections on (:mod:`rawsio.workers`; Linux): SIGHUP replaces them one by one.  There
        ``RuntimeError`` says that it cannot be, or that one could not begin, ``ValueError`` that
        the server has something which several processes cannot share, as a queue in a file.
        """
        self._check_may_run()
        if workers is not None:
            self._run_workers(host, port, workers)
            return
        self.host.begin_turns("`await io.serve()` instead of `io.run()`")
        self.net.listen_if_asked(host, port)
        try:
            self.net.run(self.close)
        finally:
            self.core.extensions.abandon()

    def _run_workers(self, host: str, port: int | None, count: int) -> None:
        from rawsio.workers import Place, check_shared, run_workers

        check_shared(self)
        self.net.listen_if_asked(host, port)
        places = [Place(*given) for given in self.net.give_away()]
        try:
            run_workers(lambda: self, places, count, self.limits)
        finally:
            self.core.end()

    def step(self, timeout: float | None = None) -> None:
        """Make one turn of the loop; wait at most ``timeout`` seconds for something to do.

        After :meth:`close`, go on until :attr:`closed`; then it does nothing.
        """
        check_seconds(timeout)
        if not self._leaving:
            self.host.begin_turns("`await io.serve()` instead of `io.step()`")
        self.net.step(timeout)

    @property
    def closed(self) -> bool:
        """Whether everything is over after :meth:`close`."""
        return self.core.closed

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``step(0)`` has something to do."""
        if self.core.closed:
            self.core.check_open("has no descriptor")
        return self.net.loop.fileno()

    def next_deadline(self) -> float | None:
        """Return the time (of ``server.host.time()``) when ``step`` wants to be called."""
        return self.net.loop.next_deadline()

    async def serve(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Serve on the running asyncio loop until :meth:`close` or cancellation.

        There, handlers may be ``async def``.  What :meth:`listen` opened before goes on here;
        ``RuntimeError`` if clients have connected by ``step`` already.  In the main thread SIGTERM
        closes the server, and SIGINT does before ``KeyboardInterrupt`` is raised, unless the
        program has handlers of its own.  However it ends, handlers
        (those of ``disconnect``, too) get the time of :meth:`close`, or one second, to come to
        their end; then they are cancelled.
        """
        self._check_may_run()
        from rawsio.net.aio import AsyncioLoop

        self.net.start(AsyncioLoop())
        self.net.listen_if_asked(host, port)
        try:
            await self.net.run_on_asyncio(self.core.close)
        finally:
            self.core.extensions.abandon()

    # The end

    def close(self, timeout: float = 1.0) -> None:
        """Stop serving: no new connections, every socket ends with ``server shutting down``.

        It begins in the next turn.  What is still to be sent, and polls that take it, get
        ``timeout`` seconds.  From any thread, from handlers and signal handlers, any number of
        times.
        """
        check_seconds(timeout)
        self._leaving = True
        if not self.core.closed:
            # Queued even on the loop's thread: before run() that may still become another one.
            self.host.call_soon_threadsafe(self.core.close, timeout)

    def stats(self) -> dict[str, Any]:
        """Return counts of what is open now: connections, sessions, sockets, namespaces.

        Where several processes serve, they are those of this one, whose number is ``worker``.
        ``memory`` says how many bytes clients make the server hold, for what, and how many they may
        (``most``): see :mod:`rawsio.server.budget`.  With an adapter on Redis ``cluster`` is what
        it says of itself, ``degraded`` among it.
        """
        core, named = self.core, self.namespaces.named.values()
        more: dict[str, Any] = {}
        if core.cluster_stats is not None:
            more["cluster"] = core.cluster_stats()
        if self.host.worker is not None:
            more["worker"] = self.host.worker
        return {
            "connections": self.net.connections,
            "sessions": len(self.engine.sessions),
            "namespaces": len(named),
            "sockets": sum(len(namespace.sockets) for namespace in named),
            "memory": self.net.budget.stats(),
            **more,
        }
