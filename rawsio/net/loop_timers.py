"""The timers of a loop, and the names that this package needs of a loop.

A timer is cancelled by forgetting its callback; it stays in its queue until its turn comes.  That
may be long, and most time-outs are cancelled, so the queue counts the cancelled ones and clears
them out when they are more than half.  What ``call_soon`` scheduled cannot be cancelled; it runs
too soon for that.
"""

# ruff: noqa: D102 - what the methods of the protocols do is asyncio's documentation

from __future__ import annotations

from functools import partial
from heapq import heapify, heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    class Cancellable(Protocol):
        """What ``call_later`` returns on any loop."""

        def cancel(self) -> None: ...

    class AnyLoop(Protocol):
        """The subset of asyncio's event loop that this package needs."""

        def time(self) -> float: ...
        def add_reader(self, fd: int, callback: Callable[..., object], /, *args: Any) -> object: ...
        def remove_reader(self, fd: int, /) -> object: ...
        def add_writer(self, fd: int, callback: Callable[..., object], /, *args: Any) -> object: ...
        def remove_writer(self, fd: int, /) -> object: ...
        def call_soon(self, callback: Callable[..., object], /, *args: Any) -> object: ...
        def call_soon_threadsafe(
            self, callback: Callable[..., object], /, *args: Any
        ) -> object: ...
        def call_later(
            self, delay: float, callback: Callable[..., object], /, *args: Any
        ) -> Cancellable: ...

else:
    # Names that annotations can use without importing typing.
    Cancellable = AnyLoop = object

__all__ = ["bound", "TimerHandle", "TimerQueue", "NEVER", "Cancellable", "AnyLoop"]

NEVER = float("inf")
"""The time of a timer that there is not."""


def bound(callback: Callable[..., object], args: tuple[Any, ...]) -> Callable[[], object]:
    """Return a function that calls ``callback(*args)``: mostly the callback itself.

    >>> bound(print, ()) is print
    True
    """
    return partial(callback, *args) if args else callback


class TimerHandle:
    """A callback scheduled for a time of the loop's clock, which ``cancel`` takes back."""

    __slots__ = ("_callback", "_when", "_tell")

    def __init__(
        self, when: float, callback: Callable[[], object], cancelled: Callable[[], None]
    ) -> None:
        self._when = when
        self._callback: Callable[[], object] | None = callback
        self._tell: Callable[[], None] | None = cancelled

    def when(self) -> float:
        """Return the time that it is scheduled for."""
        return self._when

    def cancelled(self) -> bool:
        """Return whether it was taken back."""
        return self._callback is None

    def cancel(self) -> None:
        """Do not call it; harmless when it was called already."""
        self._callback = None
        if self._tell is not None:
            tell, self._tell = self._tell, None
            tell()

    def detach(self) -> None:
        """Say that it left the queue, where cancelled timers are counted; used by the queue."""
        self._tell = None

    def run(self) -> None:
        """Call it, unless it was cancelled; used by the loop."""
        if self._callback is not None:
            self._callback()


class TimerQueue:
    """Timers, the earliest first; ``next`` is the time of the earliest, or infinity.

    >>> queue = TimerQueue()
    >>> late, early = queue.push(2.0, print, ()), queue.push(1.0, print, ())
    >>> queue.next
    1.0
    >>> early.cancel()
    >>> queue.next
    2.0
    >>> list(queue.due(1.5)), list(queue.due(2.0)) == [late]
    ([], True)
    """

    __slots__ = ("next", "_heap", "_sequence", "_cancelled")

    def __init__(self) -> None:
        self.next = NEVER
        self._heap: list[tuple[float, int, TimerHandle]] = []
        self._sequence = 0
        self._cancelled = 0

    def push(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> TimerHandle:
        """Add a timer for the time ``when``; timers for the same time run in order."""
        handle = TimerHandle(when, bound(callback, args), self._one_cancelled)
        self._sequence += 1
        heappush(self._heap, (when, self._sequence, handle))
        self.next = self._heap[0][0]
        return handle

    def due(self, now: float) -> Iterator[TimerHandle]:
        """Take out one by one the timers of ``now`` and before, but none that was added since."""
        heap, last = self._heap, self._sequence
        while heap and heap[0][0] <= now and heap[0][1] <= last:
            handle = heappop(heap)[2]
            handle.detach()
            self._settle()
            yield handle

    def times(self) -> list[float]:
        """Return for when they are, the earliest first, without those that were cancelled."""
        return sorted(when for when, _, handle in self._heap if not handle.cancelled())

    def clear(self) -> None:
        """Forget them all."""
        self._heap.clear()
        self._cancelled = 0
        self.next = NEVER

    def __len__(self) -> int:
        return len(self._heap)

    def _one_cancelled(self) -> None:
        heap = self._heap
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(heap):
            heap[:] = [entry for entry in heap if not entry[2].cancelled()]
            heapify(heap)
            self._cancelled = 0
        self._settle()

    def _settle(self) -> None:
        """See to it that the head is not a cancelled one, and note its time."""
        heap = self._heap
        while heap and heap[0][2].cancelled():
            heappop(heap)
            self._cancelled -= 1
        self.next = heap[0][0] if heap else NEVER
