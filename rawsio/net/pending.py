"""A loop that has not begun: what is asked of it waits for the one that will run.

A server or client is often made long before it runs, perhaps in another thread, perhaps in the
parent of the process that serves.  Until then a :class:`PendingLoop` stands in for its loop.  It
keeps callbacks and timers in lists, and has no selector, no descriptor and no thread.
:meth:`PendingLoop.hand_over` gives everything to a real loop; whoever still holds this one, a
worker thread for instance, reaches the real one through it.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop_timers import AnyLoop, Cancellable

__all__ = ["PendingLoop", "PendingTimer"]


class PendingTimer:
    """A timer that waits for a loop; afterwards it stands for the timer of that loop."""

    __slots__ = ("when", "callback", "args", "_timer", "_cancelled")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback = callback
        self.args = args
        self._timer: Cancellable | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self._cancelled = True
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, loop: AnyLoop, now: float) -> None:
        """Wait on a loop for what is left of the time."""
        if not self._cancelled:
            seconds = max(0.0, self.when - now)
            self._timer = loop.call_later(seconds, self.callback, *self.args)


class PendingLoop:
    """Callbacks and timers for a loop that is not there yet; see the module.

    The thread that made it owns it.

    >>> from rawsio.net.loop import Loop
    >>> pending = PendingLoop()
    >>> pending.call_soon(print, "in the first turn")
    >>> loop = Loop()
    >>> pending.hand_over(loop)
    >>> loop.step(0)
    in the first turn
    >>> loop.close()
    """

    __slots__ = ("time", "owner", "_ready", "_timers", "_loop")

    def __init__(self) -> None:
        self.time = monotonic
        self.owner = get_ident()
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[PendingTimer] = []
        self._loop: AnyLoop | None = None

    def owned(self) -> bool:
        """Return whether the calling thread made it."""
        return get_ident() == self.owner

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the first turn of the loop that is to come."""
        self._ready.append((callback, args))
        if self._loop is not None:
            self._forward(self._loop)

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> PendingTimer:
        """Call ``callback(*args)`` after ``delay`` seconds, or when the loop begins, if later."""
        timer = PendingTimer(self.time() + delay, callback, args)
        if self._loop is None:
            self._timers.append(timer)
        else:
            timer.begin(self._loop, self.time())
        return timer

    def hand_over(self, loop: AnyLoop) -> None:
        """Give everything to the loop that begins; on its thread."""
        now, timers = self.time(), self._timers
        self._loop, self._timers = loop, []
        self._forward(loop)
        for timer in timers:
            timer.begin(loop, now)

    def _forward(self, loop: AnyLoop) -> None:
        # Two threads may be here at once: each callback is taken by one of them.
        while True:
            try:
                callback, args = self._ready.popleft()
            except IndexError:
                return
            loop.call_soon_threadsafe(callback, *args)
