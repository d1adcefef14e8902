"""asyncio's tasks on a loop of ours, for clocks that are not asyncio's.

:class:`TaskLoop` is an event loop of asyncio that owns nothing: its callbacks and timers are those
of a :class:`~rawsio.net.loop.Loop`.  Coroutines run on it as on any other loop, with ``sleep``,
``timeout``, locks and queues; where the time is virtual, a ``sleep`` of an hour ends at once.  It
has no sockets, processes, signals or threads: those of asyncio would not be ours.

:mod:`rawsio.testing` runs ``async def`` handlers with it.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context

from rawsio.log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from .loop import Loop
    from .loop_timers import Cancellable

__all__ = ["TaskLoop"]


class TaskLoop:
    """The event loop that tasks see; ``loop`` makes its turns.

    It has what ``asyncio.AbstractEventLoop`` has for callbacks, timers, futures and tasks.

    >>> from rawsio.net.loop import Loop
    >>> times = [0.0]
    >>> loop = Loop(clock=lambda: times[0])
    >>> async def wait():
    ...     await asyncio.sleep(3600)
    ...     return "an hour later"
    >>> task = TaskLoop(loop).create_task(wait())
    >>> loop.step(0)
    >>> times[0] = loop.next_deadline()
    >>> loop.step(0)
    >>> task.result()
    'an hour later'
    >>> loop.close()
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        # As asyncio's own objects know it: by its methods, and not by its class.
        self._own: Any = self
        self._timers: dict[asyncio.TimerHandle, Cancellable] = {}

    # What is given to the loop

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call ``callback(*args)`` in this turn, or the next."""
        handle = asyncio.Handle(callback, args, self._own, context)
        self._loop.call_soon(self._run, handle, callback, args, context or copy_context())
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Call ``callback(*args)`` in a turn to come; from any thread."""
        handle = asyncio.Handle(callback, args, self._own, context)
        self._loop.call_soon_threadsafe(
            self._run, handle, callback, args, context or copy_context()
        )
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback(*args)`` after ``delay`` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call ``callback(*args)`` at a time of :meth:`time`."""
        handle = asyncio.TimerHandle(when, callback, args, self._own, context)
        self._timers[handle] = self._loop.call_later(
            max(0.0, when - self.time()),
            *(self._due, handle, callback, args, context or copy_context()),
        )
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        timer = self._timers.pop(handle, None)
        if timer is not None:
            timer.cancel()

    def _due(
        self,
        handle: asyncio.TimerHandle,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        self._timers.pop(handle, None)
        self._run(handle, callback, args, context)

    def _run(
        self,
        handle: asyncio.Handle,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: Context,
    ) -> None:
        if handle.cancelled():
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._own)
        try:
            context.run(callback, *args)
        finally:
            asyncio._set_running_loop(before)

    # What tasks ask

    def time(self) -> float:
        """Return the time of the loop below."""
        return self._loop.time()

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self._own)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **more: Any
    ) -> asyncio.Task[Any]:
        """Run a coroutine."""
        return asyncio.Task(coro, loop=self._own, name=name, **more)

    def is_running(self) -> bool:
        """Return ``True``: somebody makes the turns."""
        return True

    def is_closed(self) -> bool:
        """Return ``False``: who owns the loop below closes that."""
        return False

    def get_debug(self) -> bool:
        """Return ``False``."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Write what went wrong to the log."""
        self._loop.log("handler", ERROR, context["message"], context.get("exception"))

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Refuse: the time of a thread is the real one."""
        raise RuntimeError(
            f"{getattr(func, '__qualname__', func)!r} cannot run in a thread here: this loop has a"
            " clock of its own, and nobody would wait for the thread"
        )
