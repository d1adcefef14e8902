"""The server without sockets: requests, packets and time in, responses and packets out.

A :class:`ServerCore` has everything of a server but a loop: sessions, namespaces, the router, what
is beside them, and the order in which all of it begins and ends.  A *host* runs it: it owns
sockets, scopes of ASGI, or memory.  Hosts that have bytes make a :class:`~rawsio.stack.ServerStack`
for each connection (:meth:`ServerCore.new_stack`) and give what comes out of it to the router.
Hosts that have requests and messages call the registry with links of their own.

::

    host                            core
    ----                            ----
    start(host)             ->      extensions and adapters begin; then host.serve()
    router.receive(stack, events)
    router.lost(stack), drained(stack)
    tick(session, events)
    close(timeout)          ->      every session ends, then the extensions
                            <-      touch(session), forget(session)
                            <-      refuse(), part(), abort(), finished()

Nothing here is bound to a descriptor or a thread: a core may be made at import, and forked.
"""

from __future__ import annotations

from enum import Enum

from rawsio.app.handshake import HandshakeRequest
from rawsio.app.multiplexer import Multiplexer
from rawsio.app.namespaces import Namespaces
from rawsio.app.watchdog import Watchdog
from rawsio.engineio.connection import EngineIOConnection, reason_of
from rawsio.engineio.packets import Message, Opened, Upgraded
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.errors import ConnectionClosed
from rawsio.extension import Extensions
from rawsio.fused import Fused
from rawsio.layer import Closed, Failed, Role
from rawsio.log import DEBUG, ERROR, WARNING
from rawsio.net.clock import http_date
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect
from rawsio.stack import ServerStack

from .config import answering_of, files_of, tell_of_errors
from .router import Router
from .session_port import BackPressure, Conn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.engineio.server.session import Session
    from rawsio.runtime import Runtime

    from .config import Config

    class CoreHost(Protocol):
        """Who runs a core."""

        @property
        def connections(self) -> int:
            """How many connections are open, those that are ending included."""

        def serve(self) -> None:
            """Admit clients: everything has begun."""

        def touch(self, session: Session, /) -> None:
            """Have ``session.flush()`` called at the end of the turn, and see to its deadline."""

        def forget(self, session: Session, /) -> None:
            """The session is over."""

        def refuse(self) -> None:
            """Admit nobody any more."""

        def part(self) -> None:
            """Every session is over: end every connection, with the last words that it has."""

        def abort(self) -> None:
            """Cut off the connections that are left."""

        def finished(self) -> None:
            """Everything is over."""

else:
    CoreHost = object

__all__ = ["CoreHost", "ServerCore", "Stage"]

_EVERYDAY = {
    "engineio-v4-heartbeat-timeout",
    "engineio-v4-polling-aborted",
    "engineio-v4-transport-error",
}
"""Rules that clients break who just lose their network."""

_REASON = "server shutting down"


class Stage(Enum):
    """How far a server is on its way to the end."""

    SERVING = "serving"
    CLOSING = "closing"
    """Nobody is admitted; polls take the last packets of their sessions."""
    PARTING = "parting"
    """Every session is over, and every connection was told so."""
    CLOSED = "closed"


class _NoHost:
    """Stands for the host before there is one: nobody is connected, and nobody can be."""

    connections = 0

    def serve(self) -> None:
        """Nothing begins."""

    def touch(self, _session: Session) -> None:
        """There is no session."""

    def forget(self, _session: Session) -> None:
        """There is no session."""

    def refuse(self) -> None:
        """Nobody is admitted."""

    part = abort = finished = refuse


class ServerCore:
    """Sessions, namespaces and what is beside them, on a runtime; see the module.

    >>> from rawsio import Server
    >>> core = Server().core
    >>> core.stage, len(core.registry.sessions), core.runtime.attached
    (<Stage.SERVING: 'serving'>, 0, False)
    """

    def __init__(self, runtime: Runtime, config: Config) -> None:
        self.runtime = runtime
        self.config = config
        self.limits = limits = config.limits
        self.stage = Stage.SERVING
        self.until = float("inf")
        """When the connections that are left are cut off."""
        self.registry = SessionRegistry(
            config.engine,
            limits,
            touched=self._touched,
            gone=self._gone,
            log=runtime.log,
            guests=True,
        )
        self.application = answering_of(config, runtime)
        self.router = Router(
            self.registry,
            self._take,
            runtime.log,
            runtime.now,
            files=files_of(config),
            application=self.application,
            deflate=config.deflate,
            drive=runtime.drive,
        )
        self.recovery = config.recovery
        self.namespaces = self._make_namespaces(config)
        tell_of_errors(config.engine, self.namespaces.main)
        self.pressure = BackPressure(runtime, config.own.backpressure)
        kept = () if self.recovery is None else (self.recovery,)
        own = (Watchdog(limits), *kept, self.namespaces)
        self.extensions = Extensions(runtime, [*own, *config.hooks.extensions])
        self.trace = _guarded(config.hooks.trace, runtime)
        self._host: CoreHost = _NoHost()
        self._extensions_run = False
        for hook in config.engine.judges():
            runtime.expect(hook)

    def _make_namespaces(self, config: Config) -> Namespaces:
        make_adapter, recovery = config.hooks.adapter, self.recovery
        if make_adapter is None and recovery is not None:
            make_adapter = recovery.adapter
        return Namespaces(
            self.runtime,
            make_adapter,
            cleanup_empty=config.own.cleanup_empty_child_namespaces,
        )

    # For the host

    @property
    def closing(self) -> bool:
        """Whether it was told to close."""
        return self.stage is not Stage.SERVING

    @property
    def closed(self) -> bool:
        """Whether everything is over."""
        return self.stage is Stage.CLOSED

    def check_open(self, otherwise: str) -> None:
        """Raise ``ConnectionClosed`` once it was told to close."""
        if self.closing:
            raise ConnectionClosed(f"the server is closed: it {otherwise}, make a new one")

    def start(self, host: CoreHost) -> None:
        """Run on this host, whose loop the runtime has; extensions and adapters begin.

        ``host.serve()`` is called when all have begun.  Another host may take over as long as
        nobody is connected.  What an extension raises comes out here, or, if it was waited for,
        closes the server.
        """
        self._host = host
        if self._extensions_run:
            host.serve()
            return
        self._extensions_run = True
        failed: list[BaseException] = []
        at_once = True

        def started(error: BaseException | None) -> None:
            if error is None:
                host.serve()
            elif at_once:
                failed.append(error)
            else:
                self.runtime.log("server", ERROR, "the server closes: it cannot begin", error)
                self.close(0.0)

        self.extensions.start(started)
        at_once = False
        if failed:
            raise failed[0]

    def new_stack(self, address: str, *, secure: bool = False) -> ServerStack:
        """Return the layers of a new connection, for hosts that have its bytes."""
        trace = None if self.trace is None else self.trace.connection()
        return ServerStack(self.limits, address=address, secure=secure, date=http_date, trace=trace)

    def drained(self, stack: ServerStack) -> None:
        """Take note that a connection has taken what was sent to it."""
        if self.application is not None:
            self.application.drained(stack)
        session = stack.session
        if session is not None and session.user is not None:
            session.user.drained()

    def lost(self, stack: ServerStack) -> None:
        """Take note that a connection is gone."""
        self.router.lost(stack)
        if self.closing:
            self._go_on_closing()

    def tick(self, session: Session, events: list[Any]) -> None:
        """Take what time has made of a session."""
        for event in events:
            self._take(session, event)
        if not session.user.reading:
            session.user.go_on_alone()

    # Sessions

    def _take(self, session: Session, event: Any) -> None:
        kind = event.__class__
        if kind is Message:
            session.user.receive(event.data)
        elif kind is Opened:
            self._opened(session)
        elif kind is Upgraded:
            self._fuse(session)
            session.user.moved()
        elif kind is Closed or kind is Failed:
            self._ended(session, event)

    def _opened(self, session: Session) -> None:
        parser, old = self.config.hooks.parser, session.revision == 3
        if old and parser is None:
            from rawsio.socketio.protocol_v4 import ProtocolV4Parser

            parser = ProtocolV4Parser()
        protocol: Any = SocketIOConnection(Role.SERVER, self.limits, parser=parser)
        if self.trace is not None:
            from rawsio.trace import Traced

            report = self.trace.session(session.id)
            protocol = Traced(protocol, "socketio", report)
            session.connection = Traced(session.connection, "engineio", report)  # type: ignore[assignment]
        conn = Conn(session, self.pressure)
        opening = HandshakeRequest(
            session.glance,
            address=session.address,
            secure=session.secure,
            issued=self.runtime.wall(),
        )
        base_id = session.id if old else None
        peer = Multiplexer(self.runtime, self.namespaces, conn, protocol, opening, base_id=base_id)
        session.user = peer
        self._fuse(session)
        self._host.touch(session)
        if old and parser is not None:
            # A client of Socket.IO v2 is in the main namespace without asking.
            peer.receive(parser.encode(Connect("/"))[0])

    def _ended(self, session: Session, event: Closed | Failed) -> None:
        message = None
        if event.__class__ is Failed:
            message = event.message
            level = DEBUG if event.rule in _EVERYDAY else WARNING
            self.runtime.log("engineio", level, f"{session.address}: {message} [{event.rule}]")
        session.user.ended(reason_of(event), message)

    def _fuse(self, session: Session) -> None:
        stack: Any = session.link
        # Whoever watches the session stands in the place of its connection.
        watched = session.connection.__class__ is not EngineIOConnection
        usual = not watched and self.config.hooks.parser is None and session.revision == 4
        if stack is not None and usual:
            stack.fused = session.user.fused = Fused(session, self.limits)

    def _touched(self, session: Session) -> None:
        self._host.touch(session)

    def _gone(self, session: Session) -> None:
        self._host.forget(session)
        if self.closing:
            self.runtime.call_soon(self._go_on_closing)

    # The end

    def close(self, timeout: float) -> None:
        """End every session, then the extensions; who is left after ``timeout`` is cut off.

        On the loop's thread.  Asked again, it may be for less time.
        """
        runtime = self.runtime
        self.until = min(self.until, runtime.time() + timeout)
        if not self.closing:
            self.stage = Stage.CLOSING
            for session in list(self.registry.sessions.values()):
                session.user.ended(_REASON)
            runtime.end_timers()
            self.registry.close(_REASON)
            self._host.refuse()
            self.extensions.stop(self.until, self._extensions_stopped)
        if self._host.connections:
            runtime.call_later(timeout, self._host.abort)
        self._go_on_closing()

    def _extensions_stopped(self) -> None:
        self._extensions_run = False
        self._go_on_closing()

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for, after :meth:`close`."""
        return self.closing and not self._host.connections and not self._extensions_run

    def _go_on_closing(self) -> None:
        # A session that is left waits for polls that take its last packets.  They come over
        # connections that are open already, nobody knows which.
        if self.stage is Stage.CLOSING and not self.registry.sessions:
            self.stage = Stage.PARTING
            self._host.part()
        if self.over:
            self._host.finished()

    def end(self) -> None:
        """Take note that the host is done: everything is over."""
        self.stage = Stage.CLOSED


def _guarded(trace: Any, runtime: Runtime) -> Any:
    if trace is None:
        return None
    from rawsio.trace import Guarded

    return Guarded(trace, runtime.log)
