"""How the application's code runs, and how it reaches the loop from any thread.

A :class:`Runtime` gives the application model its time, its timers, the thread of the loop, and
somebody to run handlers (:class:`rawsio.app.interfaces.RuntimeLike` is the contract).  Handlers run
on the loop, on an executor's threads, or as asyncio tasks; the model above does not know which.
"""

from __future__ import annotations

import os

from rawsio.app.handlers import shape
from rawsio.errors import leaves_the_loop
from rawsio.log import DEBUG, WARNING
from rawsio.net.clock import wall
from rawsio.stack import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from typing import Any

    from rawsio.app.interfaces import Told
    from rawsio.app.schedule import Schedule
    from rawsio.limits import Limits
    from rawsio.log import Log
    from rawsio.stack import Prepared

    Done = Callable[[Any, BaseException | None], None]

__all__ = ["Runtime"]


class Runtime:
    """The world, as the application model sees it.

    ``loop`` is ours or an :class:`~rawsio.net.aio.AsyncioLoop`; it may be replaced while nothing
    runs on it.  ``executor`` runs handlers on threads; without one they run on the loop, and one
    that blocks it for more than ``limits.slow_handler`` seconds is named in the log.
    """

    def __init__(
        self,
        loop: Any,
        limits: Limits,
        log: Log,
        *,
        executor: Executor | None = None,
        recovery: Any = None,
        encode: Callable[..., Prepared] = prepare,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.limits = limits
        self.inline = executor is None
        self.recovery = recovery
        self.error_handlers: tuple[Told, ...] = ()
        self._schedule: Schedule | None = None
        # Names of `async def` functions, until it is clear whether asyncio will run them.
        self._coroutines: dict[str, None] = {}
        self._turning = False
        self.recovery_bytes = 0
        self.random_bytes = random_bytes
        self.log = log
        self._encode = encode
        self.wall = wall
        self._executor = executor
        # asyncio keeps only weak references to tasks.
        self._tasks: set[Any] = set()
        self.use(loop)

    def use(self, loop: Any) -> None:
        """Run on this loop from now on, with the timers that were set."""
        before = self.time() if self._schedule is not None else 0.0
        self.loop = loop
        self.time: Callable[[], float] = loop.time
        self.on_loop: Callable[[], bool] = loop.owned
        self.call_later = loop.call_later
        if self._schedule is not None:
            self._schedule.move(before)

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
            if not hasattr(self.loop, "asyncio_loop"):
                self._coroutines[name] = None

    def begin_turns(self, instead: str) -> None:
        """Take note that this loop is ours: ``RuntimeError`` if functions need asyncio's.

        ``instead`` is what to write to run there.
        """
        if not self._turning and not hasattr(self.loop, "asyncio_loop"):
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
        if self.on_loop():
            fn(*args)
        else:
            self.loop.call_soon_threadsafe(fn, *args)

    def start(
        self, fn: Callable[..., Any], args: tuple[Any, ...], done: Done, one: Any = None
    ) -> None:
        """Run the application's function; ``done(result, error)`` follows on the loop, once.

        ``one.name`` is what the log calls it, if that is not the function's own name.
        """
        if self._executor is not None and not shape(fn)[2]:
            self._submit(self._executor, fn, args, done)
            return
        began = self.time()
        try:
            result = fn(*args)
        except BaseException as error:
            if leaves_the_loop(error):
                raise
            self._check_slow(fn if one is None else one, self.time() - began)
            done(None, error)
            return
        seconds = self.time() - began
        if seconds > self.limits.slow_handler:
            self._check_slow(fn if one is None else one, seconds)
        if hasattr(result, "cr_code"):
            self.drive(result, done)
        else:
            done(result, None)

    def _check_slow(self, what: Any, seconds: float) -> None:
        if seconds > self.limits.slow_handler:
            name = getattr(what, "__qualname__", None) or getattr(what, "name", None) or repr(what)
            self.log("handler", WARNING, f"{name} blocked the loop for {seconds:.2f} s")

    def _submit(
        self, executor: Executor, fn: Callable[..., Any], args: tuple[Any, ...], done: Done
    ) -> None:
        try:
            future = executor.submit(fn, *args)
        except Exception as error:  # noqa: BLE001 - it was shut down before the server, or is broken
            done(None, error)
            return
        future.add_done_callback(lambda ended: self._ended(ended, done))

    def _ended(self, future: Future[Any], done: Done) -> None:
        # On the executor's thread.  After the end of the loop nobody is left to be told.
        try:
            if future.cancelled():
                error = RuntimeError("the executor was shut down before the handler ran")
                self.loop.call_soon_threadsafe(done, None, error)
            elif future.exception() is not None:
                self.loop.call_soon_threadsafe(done, None, future.exception())
            else:
                self.loop.call_soon_threadsafe(self._take, future.result(), done)
        except RuntimeError as error:
            self.log("handler", DEBUG, "a handler ended after its server", error)

    def _take(self, result: Any, done: Done) -> None:
        if hasattr(result, "cr_code"):
            self.drive(result, done)
        else:
            done(result, None)

    def drive(self, coroutine: Any, done: Done) -> Any:
        """Run a coroutine as a task; ``done(result, error)`` follows on the loop, once.

        Returns the task, which may be cancelled, or ``None`` if nothing can run it.
        """
        asyncio_loop = getattr(self.loop, "asyncio_loop", None)
        if asyncio_loop is None:
            coroutine.close()
            name = getattr(coroutine, "__qualname__", "a function")
            message = f"{name} is `async def`, and {_NO_ASYNCIO}: run by `await io.serve()`"
            done(None, RuntimeError(message))
            return None
        task = asyncio_loop.create_task(coroutine)
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
        """Block until ``reply.done()``; ``RuntimeError`` at once on the thread of the loop."""
        from rawsio.net.thread import Waiting

        waiting: Waiting[None] = Waiting(self.on_loop)
        reply.add_done_callback(lambda _: waiting.run(_nothing, ()))
        waiting.result(timeout)


_NO_ASYNCIO = "nobody awaits it on a loop that is not asyncio's"


def _nothing() -> None:
    return
