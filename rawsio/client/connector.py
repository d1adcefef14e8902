"""A client's sockets: connecting, the loop that drives them, and the end.

A client touches :mod:`rawsio.net` here and nowhere else.  :class:`Connector` makes a connection
whenever a session wants one, and carries what comes in to ``take(session, events)``.  It runs on a
loop of its own (stepped, or in a thread), on asyncio's, or in a ``world``, which has a ``loop`` and
a ``connect_tcp`` as :func:`rawsio.net.connecting.connect_tcp`.
"""

from __future__ import annotations

from functools import partial

from rawsio.errors import ConnectionClosed
from rawsio.layer import Role
from rawsio.log import Log
from rawsio.net.connecting import Dialer, check_ssl, default_tls
from rawsio.net.driver import Driver
from rawsio.net.environment import setting
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.runtime import Runtime
from rawsio.websocket.handshake import compression

from .stack import ClientStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.layer import AnyLayer
    from rawsio.limits import Limits
    from rawsio.net.thread import LoopThread
    from rawsio.trace import Guarded

    from .options import Address, ClientOptions
    from .session import ClientSession

    Take = Callable[[ClientSession, list[Any]], None]

__all__ = ["CLOSED", "ClientRuntime", "Loop", "Connector", "turn_until_done"]


_GO_ON = object()
"""Stands for the work that a session has left, in front of what came later."""

CLOSED = "the client is closed: make a new one"
"""What whoever uses it still is told."""


class ClientRuntime(Runtime):
    """The world of a client: that of a server, and who waits may turn the loop himself."""

    def __init__(self, loop: Any, limits: Limits, **more: Any) -> None:
        super().__init__(loop, limits, Log(loop.time), **more)

    def wait(self, reply: Any, timeout: float | None) -> None:
        """Block until ``reply.done()``, making turns if nobody else does; ``TimeoutError``.

        ``RuntimeError`` in a handler on the loop's thread, where it would wait for itself.
        """
        loop = self.loop
        if not isinstance(loop, Loop) or not self.on_loop():
            super().wait(reply, timeout)
            return
        turn_until_done(self, reply, timeout)


def turn_until_done(host: Runtime, reply: Any, timeout: float | None) -> None:
    """Make turns of the host's loop until a reply is over; ``TimeoutError``."""
    end = None if timeout is None else host.time() + timeout
    reply.add_done_callback(_noted)
    while not reply.done():
        left = None if end is None else end - host.time()
        if left is not None and left <= 0:
            raise TimeoutError(f"no result within {timeout} s")
        host.loop.step(left)


def _noted(_reply: Any) -> None:
    """Somebody waits, and will see how it ends."""


def _traced_by(trace: Any, log: Log) -> Guarded | None:
    """Return who hears what passes: the client's ``trace``, or what the environment asks for."""
    path = setting("RAWSIO_TRACE") if trace is None else None
    if trace is None and path is None:
        return None
    from rawsio import trace as tracing

    return tracing.Guarded(trace if path is None else tracing.recorder_at(path), log)


class Connector:
    """The connections of one client; also the sink that its queue of events holds back."""

    def __init__(
        self,
        host: ClientRuntime,
        address: Address,
        options: ClientOptions,
        take: Take,
        world: Any = None,
        *,
        tls: Any = None,
        trace: Any = None,
    ) -> None:
        self.host = host
        self._trace = _traced_by(trace, host.log)
        self.headers: tuple[tuple[str, str], ...] = ()
        self.closed = False
        self.leaving = False
        self._address = address
        self._tls = tls
        self._deflate = compression(options.per_message_deflate)
        self._take = take
        self._network = Dialer().connect if world is None else world.connect_tcp
        self._own_loop = world is None
        self._thread: LoopThread | None = None
        self._dialing: dict[ClientStack, Any] = {}
        self._closing = False
        self._paused = False
        self._finished: list[Callable[[], object]] = []
        self._driver = self._new_driver()
        if address.secure and tls is None:
            check_ssl()

    @property
    def streams(self) -> tuple[TCPStream, ...]:
        """The connections that are open, in the same order each time."""
        return tuple(sorted(self._driver.streams, key=lambda stream: stream.sock.fileno()))

    def _new_driver(self) -> Driver:
        return Driver(self.host.loop, self.host.limits, on_events=self._take)

    # Connections

    def touch(self, session: ClientSession) -> None:
        """Have the session flushed at the end of the turn, and ticked in time."""
        if session.over:
            self._cancel_dialing(session)
            if not session.stacks and session.reading:
                self._driver.forget(session)
                return
        self._driver.touch(session)
        self._driver.watch(session)

    def new_stack(self, session: ClientSession) -> ClientStack:
        """Return a stack whose connection is on its way."""
        stack = ClientStack(
            self._address.authority,
            self.headers,
            self.host.limits,
            deflate=self._deflate,
            random_bytes=self.host.random_bytes,
            trace=None if self._trace is None else self._trace.connection(Role.CLIENT),
        )
        dialing = self._network(
            self.host.loop,
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
        layer: AnyLayer = stack
        try:
            if self._address.secure:
                layer = self._secured(stack)
        except Exception as error:  # noqa: BLE001 - a context or certificates that do not fit
            sock.close()
            self._take(session, session.lost(stack, f"TLS cannot begin: {error}"))
            self._check_finished()
            return
        stream = TCPStream(self._driver, sock, layer, self._received, self._lost)
        stream.tag = (session, stack)
        stack.stream = stream
        if self._paused:
            stream.pause()

    def _secured(self, stack: ClientStack) -> AnyLayer:
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

    def _received(self, stream: TCPStream, events: list[Any]) -> None:
        session, stack = stream.tag
        if events[0] is _GO_ON:
            self._take(session, session.tick(self.host.time()))
            events = events[1:]
        if session.reading and events:
            self._take(session, session.receive(stack, events))
            events = []
        if not session.reading:
            stack.put_back([_GO_ON, *events])

    def _lost(self, stream: TCPStream, reason: str) -> None:
        session, stack = stream.tag
        self._take(session, session.lost(stack, reason))
        self._check_finished()

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading while ``paused``; the server is held back by TCP."""
        self._paused = paused
        for stream in self._driver.streams:
            (stream.pause if paused else stream.resume)()

    # Running

    @property
    def loop(self) -> Loop:
        """Our own loop; raises ``RuntimeError`` where the client runs on somebody else's."""
        loop = self.host.loop
        if self._own_loop and isinstance(loop, Loop):
            self.check_open()
            return loop
        raise RuntimeError("the client runs on somebody else's loop: that makes its turns")

    def check_open(self) -> None:
        """Raise ``ConnectionClosed`` after the end."""
        if self.closed:
            raise ConnectionClosed(CLOSED)

    def start(self, goodbye: Callable[[], None]) -> None:
        """Run the loop in a thread; ``goodbye()`` is said when a handler ends it (SystemExit)."""
        if self._thread is not None:
            return
        from rawsio.net.thread import LoopThread

        loop = self.loop
        loop.check_process(self._driver.streams)
        end = partial(loop.call_soon, self._begin_end, goodbye, 1.0)
        self._thread = LoopThread(loop, self._end, end).start()

    def step(self, timeout: float | None) -> None:
        """Make one turn; the last one of a closed client frees the loop."""
        if self.closed:
            return
        if self._own_loop and self.host.loop.copied:
            self.host.loop.check_process(self._driver.streams)
        self.host.loop.step(timeout)
        if self._closing and self._done:
            self._end()

    def move_to_asyncio(self) -> None:
        """Go on with the asyncio loop that runs here; before anything was connected."""
        from rawsio.net.aio import AsyncioLoop

        before = self.host.loop
        self.host.use(AsyncioLoop())
        if isinstance(before, Loop) and self._own_loop:
            before.close()
        self._own_loop = False
        self._driver = self._new_driver()

    # The end

    @property
    def _done(self) -> bool:
        return not self._driver.streams and not self._dialing

    def close(self, goodbye: Callable[[], None], timeout: float) -> None:
        """Say goodbye, and end: see :meth:`rawsio.client.Client.close`."""
        self.leaving = True
        if self.closed:
            return
        try:
            self.host.call(self._begin_end, goodbye, timeout)
        except RuntimeError:
            if not self.closed:  # else somebody else's close ended it just now
                raise
        # The thread ends with the last connection, so that a handler may close, too.
        if self._thread is not None and not self.host.on_loop():
            self._thread.join(timeout + 5.0)

    async def close_on_asyncio(self, goodbye: Callable[[], None], timeout: float) -> None:
        """Say goodbye, and wait for the end."""
        ended = self.host.loop.asyncio_loop.create_future()
        end = self.host.time() + timeout
        try:
            self._begin_end(goodbye, timeout, lambda: ended.done() or ended.set_result(None))
            await ended
            await self.host.finish_tasks(end - self.host.time())
        finally:
            self.host.cancel_tasks()

    def _begin_end(
        self, goodbye: Callable[[], None], timeout: float, ended: Callable[[], object] | None = None
    ) -> None:
        if ended is not None:
            self._finished.append(ended)
        if not self._closing:
            self._closing = True
            self.host.call_later(timeout, self._abort)
            try:
                goodbye()
            finally:  # a handler may have raised SystemExit
                for stream in self._driver.streams:
                    stream.resume()
                self.host.loop.call_soon(self._check_finished)
        # Not at once: what the goodbye touched may still want connections of its own.
        self.host.loop.call_soon(self._check_finished)

    def _abort(self) -> None:
        self._cancel_dialing(None)
        for stream in list(self._driver.streams):
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
        for stream in self._driver.streams:  # none, but after a failure of the loop
            stream.sock.close()
        if self._own_loop:
            self.host.loop.close()
