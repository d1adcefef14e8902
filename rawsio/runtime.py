"""The world of a server or client: time, timers, threads, randomness, the network.

A :class:`Runtime` is all that a core and the application model ask of their surroundings (the
contract is :class:`rawsio.app.interfaces.RuntimeLike`).  Handlers run on the loop, on an executor's
threads, or as asyncio tasks, and the model above does not know which.

It is made without a loop.  Until a host calls :meth:`Runtime.attach`, callbacks and timers wait
in a list (:mod:`rawsio.net.pending`), so that whatever is made at import owns no descriptor and no
thread, and may be copied by a fork.
"""

from __future__ import annotations

import os
from _thread import get_ident
from functools import partial

from rawsio.app.handlers import shape
from rawsio.errors import leaves_the_loop
from rawsio.log import Log
from rawsio.net.clock import wall
from rawsio.net.crew import Crew
from rawsio.prepared import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from typing import Any, Protocol

    from rawsio.app.interfaces import Told
    from rawsio.app.recovery import Recovery
    from rawsio.app.schedule import Schedule
    from rawsio.app.watchdog import Watchdog
    from rawsio.limits import Limits
    from rawsio.net.connecting import Dialer
    from rawsio.net.loop_timers import Cancellable
    from rawsio.prepared import Prepared

    Done = Callable[[Any, BaseException | None], None]

    class DatagramsLike(Protocol):
        """A UDP socket (:class:`rawsio.net.datagrams.Datagrams`)."""

        @property
        def address(self) -> tuple[str, int]:
            """Where it is."""
            ...

        def send(self, data: bytes, peer: tuple[str, int], /) -> bool:
            """Send a datagram; ``False`` if it is lost already."""
            ...

        def close(self) -> None:
            """Send and receive no more."""

    class Network(Protocol):
        """A loop of one's own, and how connections are made on it."""

        loop: Any

        def connect_tcp(
            self,
            loop: Any,
            host: str,
            port: int,
            done: Callable[[Any], object],
            failed: Callable[[str], object],
        ) -> Cancellable:
            """Connect as :func:`rawsio.net.connecting.connect_tcp` does."""
            ...

    class World(Network, Protocol):
        """Surroundings with a time of their own: :class:`rawsio.testing.TestKit` is one."""

        def wall(self) -> float:
            """Return the time of day, in seconds since 1970."""
            ...

        def random_bytes(self, size: int, /) -> bytes:
            """Return bytes for ids and masks."""
            ...

        def open_datagram(
            self,
            receive: Callable[[bytes, Any], object],
            host: str,
            port: int,
            /,
            *,
            group: str | None,
        ) -> DatagramsLike:
            """Return what sends and receives datagrams here."""
            ...

        def create_task(self, coroutine: Any, /) -> Any:
            """Run a coroutine, and return its task, as ``asyncio`` does."""

        def must_await(self) -> bool:
            """Tell whether code that runs now can only await, and not wait: it is in a turn."""
            ...

        def wait(self, reply: Any, timeout: float | None, /) -> None:
            """Make turns of the loop until ``reply.done()``; ``TimeoutError``."""


__all__ = ["Runtime"]


class Runtime:
    """The world, as a core and the application model see it.

    ``executor`` runs handlers on threads; without one they run on the loop, and a watchdog is told
    of those that block it.  ``encode`` makes packets.
    """

    worker: int | None = None
    """Which of several processes that serve one address this is; ``None``: there is one."""

    def __init__(
        self,
        limits: Limits,
        log: Log | None = None,
        *,
        executor: Executor | None = None,
        recovery: Recovery | None = None,
        encode: Callable[..., Prepared] = prepare,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.limits = limits
        self.inline = executor is None
        self.recovery = recovery
        self.error_handlers: tuple[Told, ...] = ()
        self.watchdog: Watchdog | None = None
        self.slow_handler = _NEVER
        """Seconds for which a function may block the loop before the watchdog is told."""
        self._schedule: Schedule | None = None
        # Names of `async def` functions, until it is clear whether asyncio will run them.
        self._coroutines: dict[str, None] = {}
        self._turning = False
        self.random_bytes = random_bytes
        self.wall = wall
        self.log = Log(self.now) if log is None else log
        self._encode = encode
        self.executor = executor
        self._crew = None if executor is None else Crew(executor, self)
        self._network: Network | None = None
        self._world: World | None = None
        self._dialer: Dialer | None = None
        # asyncio keeps only weak references to tasks.
        self._tasks: set[Any] = set()
        self.attached = False
        """Whether a host has given it a loop."""
        from rawsio.net.pending import PendingLoop

        self._take(PendingLoop())

    def _take(self, loop: Any) -> None:
        self.loop = loop
        self.time: Callable[[], float] = loop.time
        self.call_soon: Callable[..., object] = loop.call_soon
        self.call_later: Callable[..., Cancellable] = loop.call_later

    def attach(self, loop: Any, world: Network | World | None = None) -> None:
        """Run on this loop from now on: what was asked before, and all timers, go there.

        ``loop`` is ours or an :class:`~rawsio.net.aio.AsyncioLoop`.  A ``world`` brings the time of
        day, randomness and the network along.  It belongs to whoever hosts the server or client,
        and nothing may run on the loop before.
        """
        before, then, borrowed = self.loop, self.time(), self._network is not None
        self._take(loop)
        self.attached = True
        self._network = world
        whole: Any = world
        if hasattr(whole, "create_task"):  # more than a network
            self._world, self.wall = whole, whole.wall
            if self.random_bytes is os.urandom:
                self.random_bytes = whole.random_bytes
        if self._schedule is not None:
            self._schedule.move(then)
        hand_over = getattr(before, "hand_over", None)
        if hand_over is not None and not borrowed:
            hand_over(loop)
        if self._crew is not None:
            self._crew.moved()

    def now(self) -> float:
        """Return the time of the loop: for who keeps the function, as the loop may change."""
        return self.time()

    def on_loop(self) -> bool:
        """Tell whether the calling thread owns the loop."""
        owner: int = self.loop.owner
        return get_ident() == owner

    def call_soon_threadsafe(self, fn: Callable[..., object], *args: Any) -> None:
        """Run ``fn`` on the loop, in a turn to come; from any thread."""
        self.loop.call_soon_threadsafe(fn, *args)
        if self._crew is not None:
            self._crew.posted = True

    def connect_tcp(
        self, host: str, port: int, done: Callable[[Any], object], failed: Callable[[str], object]
    ) -> Cancellable:
        """Connect; later ``done(sock)`` or ``failed(text)`` is called, once, unless cancelled."""
        if self._network is not None:
            return self._network.connect_tcp(self.loop, host, port, done, failed)
        if self._dialer is None:
            from rawsio.net.connecting import Dialer

            self._dialer = Dialer()
        return self._dialer.connect(self.loop, host, port, done, failed)

    def doubt(self, host: str, port: int) -> None:
        """Take note that what answered there last is no use: try other addresses before it."""
        if self._dialer is not None:
            self._dialer.doubt(host, port)

    def open_datagram(
        self,
        receive: Callable[[bytes, Any], object],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        group: str | None = None,
    ) -> DatagramsLike:
        """Return a UDP socket whose datagrams are given to ``receive(data, peer)``, on the loop.

        ``group`` is an IPv4 multicast address to hear as well, by the interface that has the
        address ``host``.  Whoever opens it closes it.  ``OSError`` where it cannot be had, and
        ``RuntimeError`` before a host runs: open it in ``start`` of an extension, or ``init`` of an
        adapter.
        """
        if not self.attached:
            raise RuntimeError(
                "no datagrams before the server or client runs: open them in start()"
            )
        if self._world is not None:
            return self._world.open_datagram(receive, host, port, group=group)
        from rawsio.net.datagrams import Datagrams, open_datagram

        sock = open_datagram(host, port, group)
        return Datagrams(self.loop, sock, receive, self.log, self.limits.turn_time)

    @property
    def schedule(self) -> Schedule:
        """The application's timers, made when the first is set."""
        if self._schedule is None:
            from rawsio.app.schedule import Schedule

            self._schedule = Schedule(self)
        return self._schedule

    def end_timers(self) -> None:
        """Call no timer of the application any more."""
        if self._schedule is not None:
            self._schedule.close()

    def expect(self, fn: Any) -> None:
        """Take note of a function that will be called.

        ``TypeError`` if it is ``async def`` and runs where there is no asyncio.
        """
        if shape(fn)[2]:
            name = getattr(fn, "__qualname__", repr(fn))
            if self._turning:
                raise TypeError(f"{name} is `async def`, and {_NO_ASYNCIO}")
            if not self._runs_coroutines():
                self._coroutines[name] = None

    @property
    def needs_asyncio(self) -> bool:
        """Whether functions were registered that are ``async def``."""
        return bool(self._coroutines)

    def begin_turns(self, instead: str) -> None:
        """Take note that this loop is ours: ``RuntimeError`` if functions need asyncio's.

        ``instead`` is what to write to run there.
        """
        if not self._turning and not self._runs_coroutines():
            if self._coroutines:
                names = ", ".join(self._coroutines)
                raise RuntimeError(f"{names}: `async def`, and {_NO_ASYNCIO}: write {instead}")
            self._turning = True

    def prepare(self, event: Any, *, compress: bool = True) -> Prepared:
        """Encode a packet; ``LocalProtocolError`` if it has no form, or one that peers refuse."""
        prepared = self._encode(event, compress=compress)
        if prepared.size > self.limits.json_depth or len(prepared.messages) > 1:
            prepared.check(self.limits)
        return prepared

    def call(self, fn: Callable[..., None], *args: Any) -> None:
        """Run ``fn`` now if this thread owns the loop, else there, in the order of the calls."""
        if get_ident() == self.loop.owner:
            fn(*args)
        else:
            self.call_soon_threadsafe(fn, *args)

    def start(
        self, fn: Callable[..., Any], args: tuple[Any, ...], done: Done, one: Any = None
    ) -> None:
        """Run the application's function; ``done(result, error)`` follows on the loop, once.

        ``one.name`` is what the log calls it, if that is not the function's own name.
        """
        if self._crew is not None and not shape(fn)[2]:
            self._crew.begin(fn, args, partial(self._took, done))
            return
        began = self.time()
        try:
            result = fn(*args)
        except BaseException as error:
            if leaves_the_loop(error):
                raise
            self.check_slow(fn if one is None else one, self.time() - began)
            done(None, error)
            return
        seconds = self.time() - began
        if seconds > self.slow_handler:
            self.check_slow(fn if one is None else one, seconds)
        if hasattr(result, "cr_code"):
            self.drive(result, done)
        else:
            done(result, None)

    def check_slow(self, what: Any, seconds: float) -> None:
        """Tell the watchdog of a function that has run on the loop for so long, if that is long."""
        if seconds > self.slow_handler and self.watchdog is not None:
            name = getattr(what, "__qualname__", None) or getattr(what, "name", None) or repr(what)
            self.watchdog.blocked(name, seconds)

    def watch(self, watchdog: Watchdog | None) -> None:
        """Tell this watchdog, or nobody, of functions that block the loop."""
        self.watchdog = watchdog
        self.slow_handler = _NEVER if watchdog is None else watchdog.slow

    def _runs_coroutines(self) -> bool:
        return self._world is not None or hasattr(self.loop, "asyncio_loop")

    def must_await(self) -> bool:
        """Tell whether the caller is on asyncio's thread, where one can only ``await``."""
        if self._world is not None:
            return self.on_loop() and self._world.must_await()
        return hasattr(self.loop, "asyncio_loop") and self.on_loop()

    def _took(self, done: Done, result: Any, error: BaseException | None) -> None:
        if error is None and hasattr(result, "cr_code"):
            self.drive(result, done)
        else:
            done(result, error)

    def drive(self, coroutine: Any, done: Done) -> Any:
        """Run a coroutine as a task; ``done(result, error)`` follows on the loop, once.

        Returns the task, which may be cancelled, or ``None`` if nothing can run it.
        """
        if not self._runs_coroutines():
            coroutine.close()
            name = getattr(coroutine, "__qualname__", "a function")
            message = f"{name} is `async def`, and {_NO_ASYNCIO}: run by `await io.serve()`"
            done(None, RuntimeError(message))
            return None
        world = self._world
        create_task = self.loop.asyncio_loop.create_task if world is None else world.create_task
        task = create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._task_ended(ended, done))
        return task

    def _task_ended(self, task: Any, done: Done) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            done(None, RuntimeError("the handler's task was cancelled"))
            return
        error = task.exception()
        done(None if error is not None else task.result(), error)

    async def finish_tasks(self, seconds: float) -> None:
        """Let handlers that run as asyncio tasks come to their end within this time.

        Those that do not are cancelled.  Handlers that waited for them begin then, and have the
        same time again.
        """
        from rawsio.net.aio import finish

        for _ in range(2):
            await finish(self._tasks, seconds)
            self.cancel_tasks()
        await finish(self._tasks, 0.0)

    def cancel_tasks(self) -> None:
        """Cancel the handlers that still run as asyncio tasks."""
        for task in list(self._tasks):
            task.cancel()

    def wait(self, reply: Any, timeout: float | None) -> None:
        """Block until ``reply.done()``; ``TimeoutError``.

        ``RuntimeError`` at once on the thread of the loop, unless a world makes turns there.
        """
        if self._world is not None and self.on_loop():
            self._world.wait(reply, timeout)
            return
        from rawsio.net.thread import wait_until

        wait_until(reply.add_done_callback, self.on_loop, timeout)


_NEVER = float("inf")

_NO_ASYNCIO = "nobody awaits it on a loop that is not asyncio's"
