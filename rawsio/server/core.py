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
    lost(stack), drained(stack)
    close(timeout)          ->      every session ends, then the extensions
                            <-      touch(session), see_to(session), forget(session)
                            <-      refuse(), part(), abort(), finished()

Nothing here is bound to a descriptor or a thread: a core may be made at import, and forked.
"""

from __future__ import annotations

from enum import Enum

from rawsio.app.namespaces import Namespaces
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.errors import ConnectionClosed
from rawsio.extension import Extensions
from rawsio.log import ERROR
from rawsio.net.clock import http_date
from rawsio.stack import ServerStack

from .config import answering_of, files_of, tell_of_errors
from .router import Router
from .session_port import BackPressure, Sessions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.engineio.server.session import Session
    from rawsio.extension import Extension
    from rawsio.runtime import Runtime

    from .config import Config

    class CoreHost(Protocol):
        """Who runs a core."""

        @property
        def connections(self) -> int:
            """How many connections are open, those that are ending included."""
            ...

        def serve(self) -> None:
            """Admit clients: everything has begun."""

        def touch(self, session: Session, /) -> None:
            """Have ``session.flush()`` called at the end of the turn."""

        def see_to(self, session: Session, /) -> None:
            """Have a session ticked at its deadline, which may have come nearer."""

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

    see_to = touch

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

    make_stack: Callable[..., ServerStack] = ServerStack
    """Makes the layers of a connection; a host may set another one before the server runs."""
    cluster_stats: Callable[[], dict[str, Any]] | None = None
    """Gives numbers for people, where there is a cluster."""

    def __init__(self, runtime: Runtime, config: Config) -> None:
        self.runtime = runtime
        self.config = config
        self.limits = limits = config.limits
        self.stage = Stage.SERVING
        self.until = float("inf")
        """When the connections that are left are cut off."""
        self.registry = SessionRegistry(
            *(config.engine, limits, self),
            log=runtime.log,
            random_bytes=self._random_bytes,
            guests=True,
        )
        self.application = answering_of(config, runtime)
        self.router = Router(
            self.registry,
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
        gate = None if self.recovery is None else self.recovery.gate
        self.pressure = BackPressure(runtime, config.own.backpressure, gate)
        self.extensions = Extensions(runtime, config.hooks.extensions)
        self.trace = _guarded(config.hooks.trace, runtime)
        self._sessions = Sessions(
            runtime, self.namespaces, self.pressure, config.hooks.parser, self.trace
        )
        self._host: CoreHost = _NoHost()
        self._extensions_run = False
        for hook in config.engine.judges():
            runtime.expect(hook)

    def _random_bytes(self, size: int) -> bytes:
        # A host may bring randomness of its own, later.
        return self.runtime.random_bytes(size)

    def _make_namespaces(self, config: Config) -> Namespaces:
        make_adapter, recovery = config.hooks.adapter, self.recovery
        self.cluster_stats = getattr(make_adapter, "stats", None)
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
        self.registry.attach(host.touch, host.see_to)
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

        self.extensions.start(started, self._own_extensions())
        at_once = False
        if failed:
            raise failed[0]

    def _own_extensions(self) -> list[Extension]:
        from rawsio.app.watchdog import Watchdog

        kept = [] if self.recovery is None else [self.recovery]
        # They end in the other direction: recovery has kept everything before adapters forget it.
        return [Watchdog(self.limits), self.namespaces, *kept]

    def new_stack(self, address: str, *, secure: bool = False) -> ServerStack:
        """Return the layers of a new connection, for hosts that have its bytes."""
        trace = None if self.trace is None else self.trace.connection()
        known = None if trace is not None else self.router.known
        return self.make_stack(
            self.limits, address=address, secure=secure, date=http_date, trace=trace, known=known
        )

    def drained(self, stack: ServerStack) -> None:
        """Take note that a connection has taken what was sent to it."""
        if self.application is not None:
            self.application.drained(stack)
        stack.user.drained(stack)

    def lost(self, stack: ServerStack) -> None:
        """Take note that a connection is gone."""
        self.router.lost(stack)
        if self.closing:
            self._go_on_closing()

    # For the registry

    def time(self) -> float:
        """Return the clock of the runtime, in seconds."""
        return self.runtime.time()

    def opened(self, session: Session) -> None:
        """Give a session that has just begun its Socket.IO side."""
        self._sessions.open(session)

    def touched(self, session: Session) -> None:
        """Have a session flushed at the end of the turn."""
        self._host.touch(session)

    def flushed(self, session: Session) -> None:
        """Have a session ticked in time."""
        self._host.see_to(session)

    def gone(self, session: Session) -> None:
        """Take note that a session is over."""
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
