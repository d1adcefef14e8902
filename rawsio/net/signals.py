"""SIGINT and SIGTERM as callbacks of a loop, for as long as it runs.

The one idea: a signal handler may run between any two instructions, so it does nothing but put
its callback into the loop's queue.  That alone is not enough: a signal that arrives just before
the loop waits would be noticed only afterwards.  Therefore the interpreter's own handler, which
runs at once, writes to the loop's wake-up socket (``signal.set_wakeup_fd``).

Only the main thread may do this; in another, nothing is changed.  The handlers and the descriptor
that were there before come back in the end.  What is left out: asyncio's loops, which have
``add_signal_handler``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop import Loop

__all__ = ["Signals"]


class Signals:
    """While entered, ``on_signal(number)`` is called in ``loop`` for SIGINT and SIGTERM.

    ::

        with Signals(loop, lambda number: loop.stop()):
            loop.run()
    """

    __slots__ = ("_loop", "_on_signal", "_before", "_wakeup_before")

    def __init__(self, loop: Loop, on_signal: Callable[[int], object]) -> None:
        self._loop = loop
        self._on_signal = on_signal
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Signals:
        import signal

        descriptor = self._loop.wakeup_fd()
        try:
            # Two signals before the loop drains them fill nothing; a full buffer is no problem.
            self._wakeup_before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            return self
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._before:
            return
        import signal

        for number, handler in self._before.items():
            # None: it was set outside Python, and Python cannot put it back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()
        signal.set_wakeup_fd(self._wakeup_before)

    def _arrived(self, number: int, _frame: object) -> None:
        self._loop.call_soon_threadsafe(self._on_signal, number)
