"""The server: namespaces above, sessions in the middle, sockets below, and the public interface.

::

    from rawsio import Server

    io = Server()

    @io.on("chat message")
    def message(socket, text):
        socket.broadcast.emit("chat message", text)
        return "delivered"

    io.run(port=3000)

The server itself stands for the main namespace ``/``: ``on``, ``use``, ``emit``, ``to`` and their
kin act there.  ``emit``, ``send``, ``close`` and the operators may be called from any thread;
``on``, ``use`` and ``of`` belong to set-up.

The one idea: this module owns nothing that its parts do not.  It makes them, hands each what it
needs, and is where they meet: :class:`~rawsio.gateway.Gateway` joins connections to sessions,
:class:`~rawsio.socketio.peer.Peer` a session to namespaces, :class:`~rawsio.net.driver.Driver`
turns deadlines and outboxes into system calls.

What is left out: TLS, which a proxy in front adds, and other processes.
"""

from __future__ import annotations

from rawsio.assembly import Plugs, build
from rawsio.conn import Conn
from rawsio.engineio.connection import reason_of
from rawsio.engineio.packets import Message, Opened
from rawsio.layer import Closed, Failed, Role
from rawsio.net.clock import http_date
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, listen_tcp, listen_unix
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.socketio.broadcast import Broadcast, Operators
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.handlers import Handlers, Listening
from rawsio.socketio.handshake import Opening
from rawsio.socketio.peer import Peer
from rawsio.stack import ServerStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from typing import Any

    from rawsio.engineio.session import Session
    from rawsio.limits import Limits
    from rawsio.socketio.namespace import Namespace
    from rawsio.socketio.reply import Reply
    from rawsio.socketio.socket import Socket

__all__ = ["Server"]


class Server(Listening, Operators):
    """A Socket.IO server, and an HTTP server for what is beside it.

    ``app`` answers all other requests: a WSGI application, or a function of the request.
    ``executor`` runs handlers on threads.  ``limits`` holds every bound that the reference server
    has no option for.  ``adapter`` makes the adapter of each namespace, ``parser`` the form
    of packets; ``trace`` is told what passes through the layers (as the demo's
    :class:`~rawsio.browser.tracing.TraceHub`).  All further options, by name, are the fields of
    :class:`~rawsio.assembly.ServerOptions` and :class:`~rawsio.engineio.options.EngineOptions`.
    """

    _takes_socket = True

    def __init__(
        self,
        *,
        app: Any = None,
        executor: Executor | None = None,
        limits: Limits | None = None,
        adapter: Any = None,
        parser: Any = None,
        trace: Any = None,
        **options: Any,
    ) -> None:
        plugs = Plugs(app, executor, adapter, parser)
        parts = build(Loop(), self._touched, self._event, plugs, limits, options)
        self.limits = parts.limits
        self.host = parts.host
        self.engine = parts.registry
        self.namespaces = parts.namespaces
        self._gateway = parts.gateway
        self._parser = parser
        self._trace = trace
        self._listeners: list[Listener] = []
        self._closing = False
        self._finished: list[Callable[[], object]] = []
        self._use_loop(self.host.loop)

    def _use_loop(self, loop: Any) -> None:
        self.host.use(loop)
        self._driver = Driver(loop, self.limits, on_events=self._ticked)

    # The main namespace

    @property
    def sockets(self) -> dict[str, Socket]:
        """The sockets of the main namespace, by id."""
        return self.namespaces.main.sockets

    def of(self, name: Any) -> Namespace:
        """Return a namespace, made if it is new.

        ``name`` is a string, a compiled pattern (``re.compile(r"/room-[0-9]+")``), or a function
        ``(name, auth) -> bool``; the latter two welcome every name that fits.
        """
        return self.namespaces.of(name)

    def use(self, middleware: Callable[..., Any]) -> Callable[..., Any]:
        """Ask ``middleware(socket)`` about every client of the main namespace; also a decorator.

        To refuse a client, raise :class:`rawsio.Refused`.
        """
        return self.namespaces.main.use(middleware)

    def on_server(self, name: str, handler: Callable[..., Any] | None = None) -> Any:
        """Call a function for each ``server_side_emit`` of another server; also a decorator."""
        return self.namespaces.main.on_server(name, handler)

    def server_side_emit(self, name: str, *args: Any) -> Reply:
        """Send an event to the other servers of the cluster."""
        return self.namespaces.main.server_side_emit(name, *args)

    def _operator(self) -> Broadcast:
        return Broadcast(self.namespaces.main)

    def _own_handlers(self) -> Handlers:
        return self.namespaces.main.handlers

    # Sessions

    def _event(self, session: Session, event: Any) -> None:
        kind = event.__class__
        if kind is Message:
            session.user.receive(event.data)
        elif kind is Opened:
            self._opened(session)
        elif kind is Closed or kind is Failed:
            session.user.ended(reason_of(event), getattr(event, "message", None))
            self._driver.forget(session)

    def _opened(self, session: Session) -> None:
        host = self.host
        protocol: Any = SocketIOConnection(Role.SERVER, self.limits, parser=self._parser)
        if self._trace is not None:
            from rawsio.trace import Traced

            report = self._trace.session(session.id)
            protocol = Traced(protocol, "socketio", report)
            session.connection = Traced(session.connection, "engineio", report)  # type: ignore[assignment]
        first = session.request
        opening = Opening(
            first.target,
            first.headers.block,
            address=session.address,
            secure=session.secure,
            issued=host.wall(),
        )
        session.user = Peer(host, self.namespaces, Conn(session), protocol, opening)
        self._driver.watch(session)

    def _ticked(self, session: Session, events: list[Any]) -> None:
        for event in events:
            self._event(session, event)

    def _touched(self, session: Session) -> None:
        self._driver.touch(session)
        self._driver.watch(session)

    # Connections

    def _accept(self, sock: Any, address: Any) -> None:
        trace = None if self._trace is None else self._trace.connection()
        name = address[0] if isinstance(address, tuple) and address else "unix"
        stack = ServerStack(self.limits, address=name, date=http_date, trace=trace)
        stream = TCPStream(self._driver, sock, stack, self._received, self._lost)
        stack.stream = stream
        stream.tag = stack
        stream.on_drain = self._drained

    def _received(self, stream: TCPStream, events: list[Any]) -> None:
        self._gateway.receive(stream.tag, events)

    def _lost(self, stream: TCPStream, _reason: str) -> None:
        self._gateway.lost(stream.tag)

    def _drained(self, stream: TCPStream) -> None:
        session = stream.tag.session
        if session is not None and session.user is not None:
            session.user.drained()

    # Running

    def listen(
        self, host: str = "127.0.0.1", port: int = 0, *, sock: Any = None, path: str | None = None
    ) -> Any:
        """Listen, and return the address: ``(host, port)``, or the path of a unix socket.

        Port 0 lets the system choose.  ``sock`` is a listening socket of your own, ``path`` makes a
        unix socket.  May be called several times.  Raises ``OSError``.
        """
        if sock is None:
            sock = listen_tcp(host, port) if path is None else listen_unix(path)
        listener = Listener(self._driver, sock, self._accept, remove=path)
        self._listeners.append(listener)
        return listener.address

    def run(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Serve until :meth:`close`, SIGINT or SIGTERM (signals in the main thread only).

        Listens at ``port`` if one is given, or if nothing listens yet (then at 3000).
        """
        from rawsio.net.signals import Signals

        if port is not None or not self._listeners:
            self.listen(host, 3000 if port is None else port)
        loop = self._own_loop()
        self._finished.append(loop.stop)
        with Signals(loop, lambda _number: self.close()):
            loop.run()
        loop.close()

    def step(self, timeout: float | None = None) -> None:
        """Make one turn of the loop; wait at most ``timeout`` seconds for something to do."""
        self._own_loop().step(timeout)

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``step(0)`` has something to do."""
        return self._own_loop().fileno()

    def next_deadline(self) -> float | None:
        """Return the time (of ``server.host.time()``) when ``step`` wants to be called."""
        return self._own_loop().next_deadline()

    def _own_loop(self) -> Loop:
        loop = self.host.loop
        if isinstance(loop, Loop):
            return loop
        raise RuntimeError("the server runs on asyncio: it has no turns of its own")

    async def serve(self, host: str = "127.0.0.1", port: int | None = None) -> None:
        """Serve on the running asyncio loop until :meth:`close` or cancellation.

        There, handlers may be ``async def``.  What :meth:`listen` opened before goes on here.
        """
        from asyncio import get_running_loop

        from rawsio.net.aio import AsyncioLoop

        before = self.host.loop
        sockets = [listener.detach() for listener in self._listeners]
        self._listeners.clear()
        self._use_loop(AsyncioLoop())
        if isinstance(before, Loop):
            before.close()
        for sock in sockets:
            self.listen(sock=sock)
        if port is not None or not self._listeners:
            self.listen(host, 3000 if port is None else port)
        ended = get_running_loop().create_future()
        self._finished.append(lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            self.close(0.0)
            self.host.cancel_tasks()

    # The end

    def close(self, timeout: float = 1.0) -> None:
        """Stop serving: no new connections, every socket ends with ``server shutting down``.

        What is still to be sent gets ``timeout`` seconds.  From any thread, from handlers and
        signal handlers, any number of times.
        """
        self.host.call(self._close, timeout)

    def _close(self, timeout: float) -> None:
        if not self._closing:
            self._closing = True
            for listener in self._listeners:
                listener.close()
            reason = "server shutting down"
            for session in list(self.engine.sessions.values()):
                session.user.ended(reason)
                session.close(reason, discard=True)
            for stream in list(self._driver.streams):
                stream.tag.close(1001)
                stream.touch()
            self.host.call_later(timeout, self._abort)
        self._check_closed()

    def _check_closed(self) -> None:
        if self._driver.streams:
            self.host.call_later(0.01, self._check_closed)
            return
        finished, self._finished = self._finished, []
        for callback in finished:
            callback()

    def _abort(self) -> None:
        for stream in list(self._driver.streams):
            stream.abort("server shutting down")

    def stats(self) -> dict[str, int]:
        """Return counts of what is open now: connections, sessions, sockets, namespaces."""
        named = self.namespaces.named.values()
        return {
            "connections": len(self._driver.streams),
            "sessions": len(self.engine.sessions),
            "namespaces": len(named),
            "sockets": sum(len(namespace.sockets) for namespace in named),
        }
