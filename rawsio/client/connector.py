"""A client's sockets: connecting, the loop that drives them, and the end.

A client touches :mod:`rawsio.net` here and nowhere else.  :class:`Connector` makes a connection
whenever a session of the :class:`~rawsio.client.core.ClientCore` wants one, and carries what comes
in to it.  It runs on a loop of its own (stepped, or in a thread), on asyncio's, or in a
:class:`~rawsio.runtime.World`.  A loop of its own is made when there is something to do.
"""

from __future__ import annotations

from functools import partial

from rawsio.errors import ConnectionClosed
from rawsio.layer import Role
from rawsio.log import Log
from rawsio.net.connecting import check_ssl, default_tls
from rawsio.net.driver import Driver
from rawsio.net.environment import setting
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.runtime import Runtime
from rawsio.websocket.handshake import compression

from .core import CLOSED
from .stack import ClientStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext
    from typing import Any

    from rawsio.app.reply import Reply
    from rawsio.layer import ByteLayer
    from rawsio.net.thread import LoopThread
    from rawsio.runtime import Network, World
    from rawsio.trace import ClientTrace, Guarded

    from .core import ClientCore
    from .session import ClientSession

__all__ = ["ClientRuntime", "Loop", "Connector", "turn_until_done"]

_GO_ON = object()
"""Stands for the work that a session has left, in front of what came later."""


class ClientRuntime(Runtime):
    """The world of a client: that of a server, and who waits may turn the loop himself."""

    def begin(self) -> None:
        """Run on a loop of ours, unless there is a loop."""
        if not self.attached:
            self.attach(Loop())

    def wait(self, reply: Reply[Any], timeout: float | None) -> None:
        """Block until ``reply.done()``, making turns if nobody else does; ``TimeoutError``.

        ``RuntimeError`` in a handler on the loop's thread, where it would wait for itself.
        """
        if self.on_loop():
            self.begin()
        if isinstance(self.loop, Loop) and self.on_loop():
            turn_until_done(self.loop, reply, timeout)
        else:
            super().wait(reply, timeout)


def turn_until_done(loop: Loop, reply: Reply[Any], timeout: float | None) -> None:
    """Make turns of a loop until a reply is over; ``TimeoutError``."""
    end = None if timeout is None else loop.time() + timeout
    reply.add_done_callback(_noted)
    while not reply.done():
        left = None if end is None else end - loop.time()
        if left is not None and left <= 0:
            raise TimeoutError(f"no result within {timeout} s")
        loop.step(left)


def _noted(_reply: object) -> None:
    """Somebody waits, and will see how it ends."""


def _traced_by(trace: ClientTrace | None, log: Log) -> Guarded | None:
    """Return who hears what passes: the client's ``trace``, or what the environment asks for."""
    path = setting("RAWSIO_TRACE") if trace is None else None
    if trace is None and path is None:
        return None
    from rawsio.trace import Guarded, recorder_at

    if path is not None:
        trace = recorder_at(path)
    return None if trace is None else Guarded(trace, log)


class _Carried:
    """A connection and the session that it is for."""

    __slots__ = ("session", "stack")

    def __init__(self, session: ClientSession, stack: ClientStack) -> None:
        self.session = session
        self.stack = stack


class Connector:
    """The connections of one client: the host that runs its core on sockets."""

    def __init__(
        self,
        core: ClientCore,
        host: ClientRuntime,
        world: Network | World | None = None,
        *,
        tls: SSLContext | None = None,
        trace: ClientTrace | None = None,
    ) -> None:
        self.core = core
        self.host = host
        self._trace = _traced_by(trace, host.log)
        self.closed = False
        self.leaving = False
        self._address = address = core.address
        self._tls = tls
        self._deflate = compression(core.options.per_message_deflate)
        self._take = core.take
        self._own_loop = world is None
        self._thread: LoopThread | None = None
        self._dialing: dict[ClientStack, Any] = {}
        self._closing = False
        self._paused = False
        self._finished: list[Callable[[], object]] = []
        # ``None`` before they begin.
        self._extensions_run: bool | None = None
        self._driver: Driver | None = None
        if world is not None:
            host.attach(world.loop, world)
        if address.secure and tls is None:
            check_ssl()
        core.start(self)

    @property
    def streams(self) -> tuple[TCPStream, ...]:
        """The connections that are open, in the same order each time."""
        driver = self._driver
        streams = () if driver is None else driver.streams
        return tuple(sorted(streams, key=lambda stream: stream.sock.fileno()))

    @property
    def driver(self) -> Driver:
        """What flushes and ticks; made, and a loop with it, when something is to be done."""
        if self._driver is None:
            self.host.begin()
            self._driver = Driver(self.host.loop, self.host.limits, on_events=self._take)
            if self._extensions_run is None:
                self._extensions_run = True
                self.core.begin()
        return self._driver

    # Connections

    def touch(self, session: ClientSession) -> None:
        """Have the session flushed at the end of the turn, and ticked in time."""
        if session.over:
            self._cancel_dialing(session)
            if not session.stacks and session.reading:
                self.driver.forget(session)
                return
        driver = self.driver
        driver.touch(session)
        driver.watch(session)

    def dial(self, session: ClientSession) -> ClientStack:
        """Return a stack whose connection is on its way."""
        stack = ClientStack(
            self._address.authority,
            self.core.headers,
            self.host.limits,
            deflate=self._deflate,
            random_bytes=self.host.random_bytes,
            trace=None if self._trace is None else self._trace.connection(Role.CLIENT),
        )
        dialing = self.host.connect_tcp(
            self._address.host,
            self._address.port,
            partial(self._connected, session, stack),
            partial(self._failed, session, stack),
        )
        self._dialing[stack] = (session, dialing)
        return stack

    def _cancel_dialing(self, ended: ClientSession | None) -> None:
        """Give up the connections on their way that a session, or nobody (``None``), wants."""
        for stack, (session, dialing) in list(self._dialing.items()):
            if ended is None or (session is ended and stack not in session.stacks):
                dialing.cancel()
                del self._dialing[stack]

    def _connected(self, session: ClientSession, stack: ClientStack, sock: Any) -> None:
        del self._dialing[stack]
        if stack not in session.stacks:  # given up at the end of a turn
            sock.close()
            self._check_finished()
            return
        layer: ByteLayer = stack
        try:
            if self._address.secure:
                layer = self._secured(stack)
        except Exception as error:  # noqa: BLE001 - a context or certificates that do not fit
            sock.close()
            self._take(session, session.lost(stack, f"TLS cannot begin: {error}"))
            self._check_finished()
            return
        route = _Carried(session, stack)
        stream = TCPStream(self.driver, sock, layer, self._received, self._lost, route)
        stack.stream = stream
        if self._paused:
            stream.pause()

    def _secured(self, stack: ClientStack) -> ByteLayer:
        from rawsio.tls import Secured, TLSConnection

        if self._tls is None:
            self._tls = default_tls()
        name = self._address.host
        tls = TLSConnection(self._tls, Role.CLIENT, self.host.limits, server_hostname=name)
        return Secured(tls, stack)

    def _failed(self, session: ClientSession, stack: ClientStack, text: str) -> None:
        del self._dialing[stack]
        self._take(session, session.lost(stack, text))
        self._check_finished()

    def _received(self, carried: _Carried, events: list[Any]) -> None:
        session, now = carried.session, self.host.time()
        if events[0] is _GO_ON:
            self._take(session, session.tick(now))
            events = events[1:]
        taken, end = 0, now + self.host.limits.turn_time
        # One after the other: what a handler says does not depend on what came behind its event.
        try:
            while taken < len(events) and session.reading and (not taken or now < end):
                taken += 1
                self._take(session, session.receive(carried.stack, events[taken - 1 : taken]))
                if taken < len(events) and session.transport == "websocket" and not session.over:
                    session.flush()  # else a mistake behind it would drop that
                now = self.host.time()
        finally:
            if taken < len(events) or not session.reading:
                carried.stack.put_back([_GO_ON, *events[taken:]])

    def _lost(self, carried: _Carried, reason: str) -> None:
        session = carried.session
        self._take(session, session.lost(carried.stack, reason))
        self._check_finished()

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading while ``paused``; the server is held back by TCP."""
        self._paused = paused
        for stream in self.streams:
            (stream.pause if paused else stream.resume)()

    # Running

    @property
    def loop(self) -> Loop:
        """Our own loop; raises ``RuntimeError`` where the client runs on somebody else's."""
        if self._own_loop and not self.closed:
            self.host.begin()
        loop = self.host.loop
        if self._own_loop and isinstance(loop, Loop):
            self.check_open()
            return loop
        raise RuntimeError("the client runs on somebody else's loop: that makes its turns")

    def check_open(self) -> None:
        """Raise ``ConnectionClosed`` after the end."""
        if self.closed:
            raise ConnectionClosed(CLOSED)

    def start(self) -> None:
        """Run the loop in a thread, until the end."""
        if self._thread is not None:
            return
        from rawsio.net.thread import LoopThread

        loop = self.loop
        loop.check_process(self.streams)
        end = partial(loop.call_soon, self._begin_end, 1.0)
        self._thread = LoopThread(loop, self._end, end).start()

    def step(self, timeout: float | None) -> None:
        """Make one turn; the last one of a closed client frees the loop."""
        if self.closed:
            return
        self.host.begin()
        if self._own_loop and self.host.loop.copied:
            self.host.loop.check_process(self.streams)
        self.host.loop.step(timeout)
        if self._closing and self._done:
            self._end()

    def move_to_asyncio(self) -> None:
        """Go on with the asyncio loop that runs here; before anything was connected."""
        from rawsio.net.aio import AsyncioLoop

        self.host.attach(AsyncioLoop())
        self._own_loop = False
        self._driver = None

    # The end

    @property
    def _done(self) -> bool:
        return not self.streams and not self._dialing and not self._extensions_run

    def _extensions_ended(self) -> None:
        self._extensions_run = False
        self.host.call_soon(self._check_finished)

    def close(self, timeout: float) -> None:
        """Say goodbye, and end: see :meth:`rawsio.client.Client.close`."""
        self.leaving = True
        if self.closed:
            return
        try:
            self.host.call(self._begin_end, timeout)
        except RuntimeError:
            if not self.closed:  # else somebody else's close ended it just now
                raise
        # The thread ends with the last connection, so that a handler may close, too.
        if self._thread is not None and not self.host.on_loop():
            self._thread.join(timeout + 5.0)

    async def close_on_asyncio(self, timeout: float) -> None:
        """Say goodbye, and wait for the end."""
        ended = self.host.loop.asyncio_loop.create_future()
        end = self.host.time() + timeout
        try:
            self._begin_end(timeout, lambda: ended.done() or ended.set_result(None))
            await ended
            await self.host.finish_tasks(end - self.host.time())
        finally:
            self.host.cancel_tasks()
            self.core.extensions.abandon()

    def _begin_end(self, timeout: float, ended: Callable[[], object] | None = None) -> None:
        if ended is not None:
            self._finished.append(ended)
        if not self._closing:
            self._closing = True
            self.host.call_later(timeout, self._abort)
            try:
                self.core.end(self.host.time() + timeout, self._extensions_ended)
            finally:  # a handler may have raised SystemExit
                for stream in self.streams:
                    stream.resume()
                self.host.call_soon(self._check_finished)
        # Not at once: what the goodbye touched may still want connections of its own.
        self.host.call_soon(self._check_finished)

    def _abort(self) -> None:
        self._cancel_dialing(None)
        for stream in self.streams:
            stream.abort("the client is closed")
        self._check_finished()

    def _check_finished(self) -> None:
        if self._closing and self._done:
            finished, self._finished = self._finished, []
            for callback in finished:
                callback()
            if self._thread is not None:
                self.host.loop.stop()
            elif not self._own_loop:
                self.closed = True

    def _end(self) -> None:
        self.closed = True
        for stream in self.streams:  # none, but after a failure of the loop
            stream.sock.close()
        self.core.extensions.abandon()
        if self._own_loop and self.host.attached:
            self.host.loop.close()
