"""A server's sockets: accepting, the loop that drives them, and the end.

A server touches :mod:`rawsio.net` here and nowhere else.  The module is loaded when a server is
made, so a program that uses the layers alone, or joins a server to a client in memory, needs no
sockets.

A :class:`ServerSockets` is on our own loop until :meth:`ServerSockets.serve` takes it to asyncio's.
It ends when it was told to close and the last connection is gone.
"""

from __future__ import annotations

from enum import Enum
from functools import partial

from rawsio.layer import Role
from rawsio.log import ERROR
from rawsio.net.clock import http_date
from rawsio.net.driver import Driver
from rawsio.net.environment import setting
from rawsio.net.listener import Listener, connected, listen_tcp, shown
from rawsio.net.loop import Loop
from rawsio.net.loop_timers import NEVER
from rawsio.net.tcp import TCPStream
from rawsio.stack import ServerStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.layer import AnyLayer
    from rawsio.runtime import Runtime

    from .budget import Budget
    from .router import Router
    from .session_port import BackPressure

__all__ = ["Loop", "ServerSockets", "default_trace", "Stage"]

GRACE = 1.0
"""Seconds that a server gets whose end nobody gave a time for."""

_EXIT_IN_THREAD = "a handler raised SystemExit: the server is closed, and its thread ends"

_CLOSED_BY_SERVER = 1001
"""The close code of a WebSocket whose server goes away (RFC 6455 section 7.4.1)."""


class Stage(Enum):
    """How far the server is on its way to the end."""

    SERVING = "serving"
    CLOSING = "closing"
    """Nobody is admitted; polls take the last packets of their sessions."""
    PARTING = "parting"
    """Every session is over, and every connection was told so."""
    CLOSED = "closed"


def default_trace() -> Any:
    """Return the recorder that ``RAWSIO_TRACE`` in the environment asks for, or ``None``."""
    path = setting("RAWSIO_TRACE")
    if path is None:
        return None
    from rawsio.trace import recorder_at

    return recorder_at(path)


class ServerSockets:
    """The sockets of one server, on the loop of its ``host``.

    ``ticked(session, events)`` takes what time makes of a session; ``budget`` is told of everybody
    who is busy; ``trace`` is the server's.
    """

    def __init__(
        self,
        host: Runtime,
        gateway: Router,
        pressure: BackPressure,
        ticked: Callable[[Any, list[Any]], None],
        budget: Budget,
        trace: Any = None,
    ) -> None:
        self.host = host
        self._stage = Stage.SERVING
        self._gateway = gateway
        self._pressure = pressure
        self._ticked = ticked
        self._trace = trace
        self._listeners: list[tuple[Listener, Callable[[], object] | None, Any]] = []
        self._finished: list[Callable[[], object]] = []
        self._until = NEVER
        # What has to end before the server has.
        self.holds: set[object] = set()
        self.budget = budget
        self.driver = self._new_driver()

    @property
    def closing(self) -> bool:
        """Whether it was told to close."""
        return self._stage is not Stage.SERVING

    @property
    def closed(self) -> bool:
        """Whether everything is over."""
        return self._stage is Stage.CLOSED

    def end(self) -> None:
        """Take note that everything is over."""
        self._stage = Stage.CLOSED

    def _new_driver(self) -> Driver:
        driver = Driver(self.host.loop, self.host.limits, on_events=self._ticked)
        self.budget.watch(driver)
        return driver

    @property
    def loop(self) -> Loop:
        """Our own loop; raises ``RuntimeError`` once the server runs on asyncio's."""
        loop = self.host.loop
        if isinstance(loop, Loop):
            return loop
        raise RuntimeError("the server runs on asyncio: it has no turns of its own")

    # Connections

    def accept(self, tls: Any, sock: Any, address: Any) -> None:
        """Serve a connection; ``tls`` is the context, or ``None``."""
        trace = None if self._trace is None else self._trace.connection()
        name = address[0] if isinstance(address, tuple) and address else "unix"
        limits = self.host.limits
        secure = tls is not None
        stack = ServerStack(limits, address=name, secure=secure, date=http_date, trace=trace)
        layer: AnyLayer = stack
        if secure:
            from rawsio.tls import Secured, TLSConnection

            stack.tls = TLSConnection(tls, Role.SERVER, limits)
            layer = Secured(stack.tls, stack)
        stream = TCPStream(self.driver, sock, layer, self._received, self._lost)
        stack.stream = stream
        stream.tag = stack
        stream.on_drain = self._drained
        if not self._pressure.pauses:
            stream.on_high = self._read_on

    def _received(self, stream: TCPStream, events: list[Any]) -> None:
        self._gateway.receive(stream.tag, events)
        if self.closing:
            self._go_on_closing()

    def _lost(self, stream: TCPStream, _reason: str) -> None:
        self._gateway.lost(stream.tag)
        if self.closing:
            self._go_on_closing()

    @staticmethod
    def _read_on(stream: TCPStream) -> None:
        # Requests are answered, so their sender is held back by its answers in any case.
        if stream.tag.upgraded:
            stream.ignore_high_water()

    def _drained(self, stream: TCPStream) -> None:
        if self._gateway.application is not None:
            self._gateway.application.drained(stream.tag)
        session = stream.tag.session
        if session is not None and session.user is not None:
            session.user.drained()

    # Running

    def listen(self, host: str, port: int, sock: Any, path: Any, tls: Any) -> Any:
        """Listen, and return the address."""
        if tls is not None and not hasattr(tls, "wrap_bio"):
            raise TypeError(f"tls is an ssl.SSLContext of a server, or None, not {tls!r}")
        if (sock is not None) + (path is not None) + ((host, port) != ("127.0.0.1", 0)) > 1:
            raise TypeError("listen() takes a host and port, or sock=, or path=: one of the three")
        remove = None
        if path is not None:
            from rawsio.net.unix import listen_unix

            sock, file = listen_unix(path)
            remove = file.remove
        elif sock is None:
            sock = listen_tcp(host, port)
        elif connected(sock):
            address = shown(sock)
            self.accept(tls, sock, sock.getpeername())
            return address
        return self._add_listener(sock, remove, tls)

    def _add_listener(self, sock: Any, remove: Callable[[], object] | None, tls: Any) -> Any:
        listener = Listener(self.driver, sock, partial(self.accept, tls), remove=remove)
        self._listeners.append((listener, remove, tls))
        return listener.address

    def listen_if_asked(self, host: str, port: int | None) -> None:
        """Listen at ``port`` if one is given, or if nothing listens yet (then at 3000)."""
        if port is not None or not self._listeners:
            self.listen(host, 3000 if port is None else port, None, None, None)
        elif host != "127.0.0.1":
            raise ValueError(
                f"the server listens already, and {host!r} says nothing without a port: give one,"
                " or leave the host out"
            )

    def run(self, close: Callable[[], None]) -> None:
        """Make turns until the server is closed; SIGINT and SIGTERM call ``close``.

        ``SystemExit`` out of the application's code closes the server, and then leaves.  Any other
        exception that leaves the loop (``KeyboardInterrupt``) drops the connections as they are.
        """
        from rawsio.net.signals import Signals

        loop = self.loop
        loop.check_process(self.driver.streams)
        self._finished.append(loop.stop)
        try:
            with Signals(loop, lambda _number: close()) as signals:
                self._turns(loop, close, told=signals.installed)
        finally:
            self._release()

    def _turns(self, loop: Loop, close: Callable[[], None], *, told: bool) -> None:
        try:
            loop.run()
        except SystemExit as error:
            if not told:  # outside the main thread it would end the thread without a word
                self.driver.log("handler", ERROR, _EXIT_IN_THREAD, error)
            self._finished.append(loop.stop)  # the first may have been in vain
            close()
            loop.run()
            raise

    def _release(self) -> None:
        """Free the descriptors that are left, without a word to anybody."""
        for listener, _remove, _tls in self._listeners:
            listener.close()
        for stream in self.driver.streams:
            stream.sock.close()
        self.end()
        self.loop.close()

    def step(self, timeout: float | None) -> None:
        """Make one turn; the one after the last connection of a closed server frees the loop."""
        loop = self.loop
        if self.closed:
            return
        if loop.copied:
            loop.check_process(self.driver.streams)
        loop.step(timeout)
        if self.closing and not self.driver.streams and not self.holds:
            self.end()
            loop.close()

    def move_to_asyncio(self) -> None:
        """Go on with everything that listens on the asyncio loop that runs here."""
        from rawsio.net.aio import AsyncioLoop

        self.move_to(AsyncioLoop())

    def move_to(self, loop: Any) -> None:
        """Go on with everything that listens on another loop; nobody may be connected yet.

        What was asked of the server before, from other threads or by ``close``, is done there.
        """
        if self.driver.streams or self._gateway.registry.sessions:
            raise RuntimeError("a server with clients cannot move to another loop: use step()")
        before = self.host.loop
        kept = [(listener.detach(), remove, tls) for listener, remove, tls in self._listeners]
        self._listeners.clear()
        self.host.use(loop)
        self.driver = self._new_driver()
        if isinstance(before, Loop):
            before.hand_over(loop)
        for sock, remove, tls in kept:
            self._add_listener(sock, remove, tls)

    async def serve(self, close: Callable[[float], None]) -> None:
        """Wait until the server is closed; if the task is cancelled, close it.

        Handlers get the time of ``close`` to come to their end, or :data:`GRACE`.  After a SIGINT
        that was taken from the loop ``KeyboardInterrupt`` is raised in the end.
        """
        from rawsio.net.aio import finish, take_sigint, take_sigterm

        loop = self.host.loop.asyncio_loop
        ended = loop.create_future()
        interrupts: list[BaseException] = []

        def interrupted() -> None:
            interrupts.append(KeyboardInterrupt())
            close(GRACE)

        self._finished.append(lambda: None if ended.done() else ended.set_result(None))
        taken = [take_sigterm(loop, partial(close, GRACE)), take_sigint(loop, interrupted)]
        try:
            await ended
        except BaseException:
            close(GRACE)
            await finish({ended}, GRACE)
            raise
        finally:
            self._abort()
            self.end()
            try:
                await self.host.finish_tasks(self._until - self.host.time())
            finally:
                self.host.cancel_tasks()
                for take_back in taken:
                    take_back()
        for interrupt in interrupts:
            raise interrupt

    # The end

    def close(self, timeout: float) -> None:
        """Stop listening, close every connection, and cut off who is left after ``timeout``."""
        if not self.closing:
            self._stage = Stage.CLOSING
            for listener, _remove, _tls in self._listeners:
                listener.close()
        # Asked again, it may be for less time than the first time.
        self._until = min(self._until, self.host.time() + timeout)
        if self.driver.streams:
            self.host.call_later(timeout, self._abort)
        self._go_on_closing()

    def _go_on_closing(self) -> None:
        # A session that is left waits for polls that take its last packets.  They come over
        # connections that are open already, nobody knows which.
        if self._stage is Stage.CLOSING and not self._gateway.registry.sessions:
            self._stage = Stage.PARTING
            for stream in list(self.driver.streams):
                self._part(stream)
        if not self.driver.streams and not self.holds:
            finished, self._finished = self._finished, []
            for callback in finished:
                callback()

    def let_go(self, held: object) -> None:
        """What was in ``holds`` has ended."""
        self.holds.discard(held)
        if self.closing:
            self._go_on_closing()

    def _part(self, stream: TCPStream) -> None:
        application = self._gateway.application
        if application is not None and application.waiting(stream.tag):
            stream.tag.last = True  # it ends with the answer
            return
        stream.tag.close(_CLOSED_BY_SERVER)
        stream.touch()

    def _abort(self) -> None:
        for stream in list(self.driver.streams):
            stream.abort("server shutting down")
