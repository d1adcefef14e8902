"""Timers of the application: ``io.call_later`` and ``io.every``.

A timer needs no thread.  It runs on whatever loop the server runs on, as a handler would: on the
loop, on the executor's threads, or as a task if it is ``async def``.  A timer that is set before
the server runs moves with it to its loop.
"""

from __future__ import annotations

from rawsio.app.handler_queue import report_failure
from rawsio.app.handlers import check_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.interfaces import Handle, RuntimeLike

__all__ = ["Schedule", "Timer"]


class Timer:
    """A function that will be called; :meth:`cancel` may be called from any thread."""

    __slots__ = ("_schedule", "_fn", "_args", "_period", "_due", "_handle", "_over")

    def __init__(
        self,
        schedule: Schedule,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        due: float,
        period: float | None,
    ) -> None:
        self._schedule = schedule
        self._fn = fn
        self._args = args
        self._due = due
        self._period = period
        self._handle: Handle | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether it will not run again: it was cancelled, or has run."""
        return self._over

    def cancel(self) -> None:
        """Do not call the function any more; a call that is running goes on."""
        self._over = True
        self._schedule.forget(self)

    def __repr__(self) -> str:
        name = getattr(self._fn, "__qualname__", repr(self._fn))
        every = f" every {self._period} s" if self._period is not None else ""
        return f"<Timer of {name}{every}{', over' if self._over else ''}>"

    # On the loop's thread

    def arm(self) -> None:
        """Wait for the time that is due."""
        if not self._over:
            host = self._schedule.host
            self._handle = host.call_later(max(0.0, self._due - host.time()), self._run)

    def disarm(self) -> None:
        """Stop waiting."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()

    def shift(self, seconds: float) -> None:
        """Go on by another clock."""
        self._due += seconds

    def _run(self) -> None:
        self._handle = None
        if not self._over:
            self._schedule.host.start(self._fn, self._args, self._ended)

    def _ended(self, _result: object, error: BaseException | None) -> None:
        host = self._schedule.host
        if error is not None:
            name = getattr(self._fn, "__qualname__", repr(self._fn))
            report_failure(host, f"the timer {name}", error, args=self._args)
        if self._period is None:
            self._over = True
            self._schedule.forget(self)
            return
        # From the time that was due, not from now: nothing drifts.  What was missed is left out.
        missed = max(0.0, host.time() - self._due) // self._period
        self._due += (missed + 1.0) * self._period
        self.arm()


class Schedule:
    """The timers of one server; they end with it."""

    __slots__ = ("host", "_timers", "_closed")

    def __init__(self, host: RuntimeLike) -> None:
        self.host = host
        self._timers: dict[Timer, None] = {}
        self._closed = False

    def add(
        self, seconds: float, fn: Callable[..., Any], args: tuple[Any, ...], *, again: bool
    ) -> Timer:
        """Set a timer, from any thread; raises for what is no time."""
        check_function(fn, "what a timer calls")
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
            raise TypeError(f"a timer waits a number of seconds, not {seconds!r}")
        if not 0 <= seconds < float("inf") or (again and seconds == 0):
            least = "more than" if again else "at least"
            raise ValueError(f"a timer waits {least} zero seconds, and not for ever, not {seconds}")
        self.host.expect(fn)
        timer = Timer(self, fn, args, self.host.time() + seconds, seconds if again else None)
        self.host.call(self._begin, timer)
        return timer

    def _begin(self, timer: Timer) -> None:
        if not (timer.over or self._closed):
            self._timers[timer] = None
            timer.arm()

    def forget(self, timer: Timer) -> None:
        """Drop a timer; from any thread."""
        self.host.call(self._forget, timer)

    def _forget(self, timer: Timer) -> None:
        self._timers.pop(timer, None)
        timer.disarm()

    def move(self, before: float) -> None:
        """Go on with another loop; ``before`` is what the clock of the last one says now."""
        seconds = self.host.time() - before
        for timer in self._timers:
            timer.disarm()
            timer.shift(seconds)
            timer.arm()

    def close(self) -> None:
        """End every timer; on the loop's thread."""
        self._closed = True
        for timer in list(self._timers):
            timer.cancel()
