"""SIGINT, SIGTERM and others as callbacks of a loop, for as long as it runs.

A signal handler may run between any two instructions, so it only puts its callback into the
loop's queue.  That alone is not enough: a signal that arrives just before the loop waits would be
noticed only afterwards.  Therefore the interpreter's own handler, which runs at once, writes to
the loop's wake-up socket (``signal.set_wakeup_fd``).

A handler that never returns keeps the loop from its queue.  A further signal that finds the
callback of an earlier one still waiting there raises ``KeyboardInterrupt`` in the code that blocks
the loop.  Signals within :data:`TOGETHER` seconds are one press of a key: terminals and
supervisors often deliver it twice, once to the group and once to the process.

Only the main thread may do this; in another, nothing is changed.  The handlers and the descriptor
that were there before come back in the end.  asyncio's loops have ``add_signal_handler`` instead.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop import Loop

__all__ = ["TOGETHER", "Signals"]

TOGETHER = 0.2
"""Seconds within which two signals are the same wish of the same person."""


class Signals:
    """While entered, ``on_signal(number)`` is called in ``loop`` for SIGINT and SIGTERM.

    ``also`` names further signals.

    ::

        with Signals(loop, lambda number: loop.stop()):
            loop.run()

    ``installed`` tells whether this is the main thread, where signals arrive.
    """

    __slots__ = ("_loop", "_on_signal", "_also", "_before", "_wakeup_before", "_waiting_since")

    def __init__(
        self, loop: Loop, on_signal: Callable[[int], object], *, also: tuple[str, ...] = ()
    ) -> None:
        self._loop = loop
        self._on_signal = on_signal
        self._also = also
        self._before: dict[int, Any] = {}
        self._wakeup_before = -1
        self._waiting_since: float | None = None

    @property
    def installed(self) -> bool:
        """Whether signals are callbacks now."""
        return bool(self._before)

    def __enter__(self) -> Signals:
        import signal

        descriptor = self._loop.wakeup_fd()
        try:
            # Two signals before the loop drains them fill nothing; a full buffer is no problem.
            self._wakeup_before = signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            return self
        for number in (signal.SIGINT, signal.SIGTERM, *(getattr(signal, n) for n in self._also)):
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
        now, since = self._loop.time(), self._waiting_since
        if since is not None and now - since >= TOGETHER:
            raise KeyboardInterrupt
        if since is None:
            self._waiting_since = now
        self._loop.call_soon_threadsafe(self._call, number)

    def _call(self, number: int) -> None:
        self._waiting_since = None
        self._on_signal(number)
