"""A server's sockets: accepting, the loop that drives them, and the end.

This is the host of a :class:`~rawsio.server.core.ServerCore` on :mod:`rawsio.net`: on a loop of our
own, on asyncio's, or on one whose sockets are in memory (:mod:`rawsio.testing`).  It is the only
place where a server touches sockets.  It owns none, but those that it was told to listen at, until
:meth:`ServerSockets.start`; the loop, its selector and its wake-up sockets are made there, so a
server that was made before a fork has its own in each process.
"""

from __future__ import annotations

from functools import partial

from rawsio.layer import Role
from rawsio.log import ERROR
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, connected, listen_tcp, shown
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream

from .budget import Budget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.engineio.server.session import Session
    from rawsio.runtime import Network, World
    from rawsio.stack import ServerStack

    from .core import ServerCore

__all__ = ["ServerSockets"]

GRACE = 1.0
"""Seconds that a server gets whose end nobody gave a time for."""

_EXIT_IN_THREAD = "a handler raised SystemExit: the server is closed, and its thread ends"

_CLOSED_BY_SERVER = 1001
"""The close code of a WebSocket whose server goes away (RFC 6455 section 7.4.1)."""


class _Place:
    """Where a server listens; ``listener`` accepts there while it serves."""

    __slots__ = ("sock", "remove", "tls", "listener")

    def __init__(self, sock: Any, remove: Callable[[], object] | None, tls: Any) -> None:
        self.sock = sock
        self.remove = remove
        self.tls = tls
        self.listener: Listener | None = None

    def close(self) -> None:
        """Listen no more."""
        if self.listener is not None:
            self.listener.close()
            return
        self.sock.close()
        if self.remove is not None:
            self.remove()


class ServerSockets:
    """The sockets of one server; see the module."""

    def __init__(self, core: ServerCore) -> None:
        self.core = core
        self.runtime = core.runtime
        registry, shrink = core.registry, core.namespaces.shrink
        self.budget = Budget(
            core.runtime, registry.sessions.values, registry.admit, shrink, core.recovery
        )
        self._driver: Driver | None = None
        self._places: list[_Place] = []
        # Connections that were given to us before there was a loop.
        self._given: list[tuple[Any, Any]] = []
        self._finished: list[Callable[[], object]] = []
        self._serving = False
        # Where the last one came from: many come through one proxy, and all keep the same text.
        self._address = ""
        # Bound once: each connection would have objects of its own for them.
        self._receive = core.router.receive
        self._offer: Callable[[ServerStack, bytes, float], bool] | None = None
        self._drained = core.drained
        self._first = self._greet
        self._lost = self._tell_core

    # Beginning

    def start(self, loop: Any = None, world: Network | World | None = None) -> None:
        """Begin on a loop, on a new one of ours by default; what we listen at is served there.

        ``RuntimeError`` if the server has clients on another loop.  ``world`` brings time of day,
        randomness and the network along, for hosts that make their own.
        """
        if self._driver is not None and (self._driver.streams or self.core.registry.sessions):
            raise RuntimeError("a server with clients cannot move to another loop: use step()")
        self._serving = False
        for place in self._places:
            if place.listener is not None:
                place.listener.detach()
                place.listener = None
        self.runtime.attach(Loop() if loop is None else loop, world)
        self._driver = Driver(self.runtime.loop, self.core.limits)
        self.budget.watch(self._driver)
        try:
            self.core.start(self)
            self.core.registry.attach(self._driver.touch, self.see_to)  # with no call between
        except BaseException:
            self.core.close(0.0)
            self.core.end()
            if loop is None:
                self.loop.close()
            raise

    def serve(self) -> None:
        """Accept, from now on; the core calls it when everything has begun."""
        self._serving = True
        for place in self._places:
            self._accept_at(place)
        given, self._given = self._given, []
        for sock, tls in given:
            self.accept(sock, sock.getpeername(), tls)

    def _accept_at(self, place: _Place) -> None:
        on_accept = partial(self.accept, tls=place.tls)
        place.listener = Listener(self.driver, place.sock, on_accept, remove=place.remove)

    @property
    def driver(self) -> Driver:
        """What flushes and ticks the connections; ``RuntimeError`` before :meth:`start`."""
        if self._driver is None:
            raise RuntimeError("the server does not run yet")
        return self._driver

    @property
    def connections(self) -> int:
        """How many connections are open, those that are ending included."""
        return 0 if self._driver is None else len(self._driver.streams)

    @property
    def loop(self) -> Loop:
        """Our own loop, begun if there is none; ``RuntimeError`` on asyncio's."""
        if self._driver is None:
            self.start()
        loop = self.runtime.loop
        if isinstance(loop, Loop):
            return loop
        raise RuntimeError("the server runs on asyncio: it has no turns of its own")

    # Connections

    def accept(
        self, sock: Any, address: Any, tls: Any = None, *, secure: bool | None = None
    ) -> ServerStack:
        """Serve a connection, and return its layers; ``tls`` is an ``ssl.SSLContext``, or ``None``.

        ``secure`` says whether the client speaks TLS, where somebody else deciphers it.
        """
        name = address[0] if isinstance(address, tuple) and address else "unix"
        if name != self._address:
            self._address = name
        name, core = self._address, self.core
        stack = core.new_stack(name, secure=tls is not None if secure is None else secure)
        driver = self.driver
        if tls is not None:
            stream = self._secure(sock, stack, tls)
        else:
            until = stack.wait(driver.time())
            stream = TCPStream(driver, sock, stack, self._receive, self._lost, stack, until=until)
        stack.connect(stream)
        if tls is None and stack.trace is None:
            stream.offer = self._first if core.router.known else self._offer or self._begin_offers()
        stream.on_drain = self._drained
        if not core.pressure.pauses:
            stream.on_high = partial(self._read_on, stream)
        return stack

    def _secure(self, sock: Any, stack: ServerStack, tls: Any) -> TCPStream[ServerStack]:
        """Return a stream with TLS below the stack: a layer first, and then at the socket."""
        from rawsio.net.veil import Veil
        from rawsio.tls import Secured, TLSConnection

        stack.tls = TLSConnection(tls, Role.SERVER, self.core.limits)
        layer = Secured(stack.tls, stack)
        stream = TCPStream(self.driver, sock, layer, self._receive, self._lost, stack)
        if stack.trace is None:
            stream.veil = Veil(stream, layer, self._offer or self._begin_offers())
            layer.lie_above(stream.veil)
        return stream

    def _greet(self, stack: ServerStack, data: bytes, now: float) -> bool:
        """Take the first bytes of a connection, if they are known; others are offered from now on.

        ``tests/server/test_handshakes.py`` holds it to what the layers do.
        """
        stream = stack.stream
        if stream is not None:
            stream.offer = self._offer or self._begin_offers()
        found, router = stack.recognise(data), self.core.router
        if found is None:
            return False
        if not router.welcome(stack, found, now):  # the long way refuses it
            stack.tick(now)
            router.receive(stack, stack.read(found))
        elif stream is not None and stream.quick is not None:
            self.driver.flush_now(stream)  # nobody else has to say anything
        return True

    def _begin_offers(self) -> Callable[[ServerStack, bytes, float], bool]:
        from .repeats import Repeats

        router = self.core.router
        self._offer = Repeats(router.registry, router.files, router.application).take
        return self._offer

    def _tell_core(self, stack: ServerStack, _reason: str) -> None:
        self.core.lost(stack)

    @staticmethod
    def _read_on(stream: TCPStream[ServerStack], stack: ServerStack) -> None:
        # Requests are answered, so their sender is held back by its answers in any case.
        if stack.upgraded:
            stream.ignore_high_water()

    def touch(self, session: Session) -> None:
        """Have a session flushed at the end of the turn."""
        self.driver.touch(session)

    def see_to(self, session: Session) -> None:
        """Have a session ticked in time: now, if it wants that."""
        deadline = session.deadline
        if deadline == 0.0:
            session.tick(self.runtime.time())
            deadline = session.deadline
        if deadline is not None:
            self.driver.timers.watch_until(session, deadline)

    def forget(self, session: Session) -> None:
        """Drop a session that is over."""
        # Its timer may be due only in a minute, and would keep all of it until then.
        self.driver.forget(session)

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
            return self._take(sock, tls)
        place = _Place(sock, remove, tls)
        self._places.append(place)
        if self._serving:
            self._accept_at(place)
        return shown(sock)

    @property
    def listening(self) -> bool:
        """Whether it was told to listen anywhere."""
        return bool(self._places)

    def give_away(self) -> list[tuple[Any, Any, Any]]:
        """Give up where it listens, for somebody else to accept there: sockets, removers, TLS."""
        places, self._places = self._places, []
        return [(place.sock, place.remove, place.tls) for place in places]

    def _take(self, sock: Any, tls: Any) -> Any:
        address = shown(sock)
        if self._serving:
            self.accept(sock, sock.getpeername(), tls)
        else:
            self._given.append((sock, tls))
        return address

    def listen_if_asked(self, host: str, port: int | None) -> None:
        """Listen at ``port`` if one is given, or if nothing listens yet (then at 3000)."""
        if port is not None or not (self._places or self._given):
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
        from rawsio.net.collector import Collector
        from rawsio.net.heap import keep_freed_memory
        from rawsio.net.signals import Signals

        loop = self.loop
        loop.check_process(self.driver.streams)
        self._finished.append(loop.stop)
        keep_freed_memory()
        collector = Collector(self.core.registry.sessions.__len__)
        collector.start()
        try:
            with Signals(loop, lambda _number: close()) as signals:
                self._turns(loop, close, told=signals.installed)
        finally:
            collector.stop()
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
        self.refuse()
        for stream in self.driver.streams:
            stream.sock.close()
        self.core.end()
        self.loop.close()

    def step(self, timeout: float | None) -> None:
        """Make one turn; the one after the last connection of a closed server frees the loop."""
        if self.core.closed:
            return
        loop = self.loop
        if loop.copied:
            loop.check_process(self.driver.streams)
        loop.step(timeout)
        if self.core.over:
            self.core.end()
            loop.close()

    async def run_on_asyncio(self, close: Callable[[float], None]) -> None:
        """Serve on the asyncio loop that runs here until the server is closed.

        If the task is cancelled, it is closed.  Handlers get the time of ``close`` to come to their
        end, or :data:`GRACE`.  After a SIGINT that was taken from the loop ``KeyboardInterrupt`` is
        raised in the end.
        """
        from rawsio.net.aio import finish, take_sigint, take_sigterm

        loop = self.runtime.loop.asyncio_loop
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
            await self._end_on_asyncio(taken)
        for interrupt in interrupts:
            raise interrupt

    async def _end_on_asyncio(self, taken: list[Callable[[], object]]) -> None:
        self.abort()
        self.core.end()
        try:
            await self.runtime.finish_tasks(self.core.until - self.runtime.time())
        finally:
            self.runtime.cancel_tasks()
            for take_back in taken:
                take_back()

    # The end, as the core asks for it

    def refuse(self) -> None:
        """Listen no more."""
        for place in self._places:
            place.close()
        for sock, _tls in self._given:
            sock.close()
        self._given.clear()

    def part(self) -> None:
        """End every connection: by the closing handshake, or with the answer in work."""
        application = self.core.application
        for stack in self.stacks():
            if application is not None and application.waiting(stack):
                stack.last = True  # it ends with the answer
            else:
                stack.close(_CLOSED_BY_SERVER)
                if stack.stream is not None:
                    stack.stream.touch()

    def stacks(self) -> Iterator[ServerStack]:
        """Give the connections that are open, each as long as it is: one may end another."""
        streams = self.driver.streams
        return (stream.tag for stream in list(streams) if stream in streams)

    def abort(self) -> None:
        """Cut off the connections that are left."""
        for stream in list(self.driver.streams):
            stream.abort("server shutting down")

    def finished(self) -> None:
        """Everything is over: whoever runs the loop comes to an end."""
        finished, self._finished = self._finished, []
        for callback in finished:
            callback()
