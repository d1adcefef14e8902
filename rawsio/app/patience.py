"""Who waits, all of them equally long: one queue in the order of their coming, and one timer.

A timer of the loop is an object, a place in a heap and a way to take it back.  Each client is
waited for until it has joined a namespace, and nearly each joins at once; what all of them have in
common is how long that may take.  So the first to come is the first to be late, and a queue needs
no order but theirs: to wait is an ``append``, and to be waited for no longer empties the place,
which goes when it is the first, or when most of the places are empty.
"""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .interfaces import Handle, RuntimeLike

    class Late(Protocol):
        """Who is waited for."""

        def late(self) -> None:
            """Take note that the time is over."""


__all__ = ["Patience", "Patiences", "Waiting"]

_FEW = 64
"""So many places may be empty, however few are not."""
_LENGTHS = 16
"""So many lengths have queues; who is waited for in another way has a timer of the loop."""


class Waiting:
    """A place in the queue; ``who`` is ``None`` once nobody waits for it any more."""

    __slots__ = ("until", "who", "_patience")

    def __init__(self, until: float, who: Late, patience: Patience) -> None:
        self.until = until
        self.who: Late | None = who
        self._patience = patience

    def cancel(self) -> None:
        """Wait no longer; harmless when the time is over already."""
        if self.who is not None:
            self.who = None
            self._patience.left()


class Patience:
    """The queue of one runtime; see the module.

    >>> from rawsio import Server
    >>> from rawsio.testing import TestKit
    >>> class Guest:
    ...     def late(self):
    ...         print("late")
    >>> io = Server()
    >>> with TestKit(io) as kit:
    ...     patience, now = Patience(io.host), io.host.time()
    ...     place = patience.wait(now + 2.0, Guest())
    ...     patience.wait(now + 2.0, Guest()).cancel()
    ...     kit.advance(5.0)
    late
    """

    __slots__ = ("_host", "_queue", "_empty", "_timer")

    def __init__(self, host: RuntimeLike) -> None:
        self._host = host
        self._queue: deque[Waiting] = deque()
        self._empty = 0
        self._timer: Handle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def wait(self, until: float, who: Late) -> Waiting:
        """Have ``who.late()`` called at a time, which is no earlier than those before."""
        place = Waiting(until, who, self)
        self._queue.append(place)
        if self._timer is None:
            self._timer = self._host.call_later(until - self._host.time(), self._look)
        return place

    def left(self) -> None:
        """Take note of an empty place."""
        queue = self._queue
        self._empty += 1
        while queue and queue[0].who is None:
            queue.popleft()
            self._empty -= 1
        if self._empty > _FEW and self._empty > len(queue) // 2:
            self._queue = deque(place for place in queue if place.who is not None)
            self._empty = 0

    def rest(self) -> None:
        """Take the timer back if nobody is waited for: the server ends."""
        if not self._queue and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Tell those who are late, for ``limits.turn_time``."""
        host, self._timer = self._host, None
        now = host.time()
        end = now + host.limits.turn_time
        try:
            while self._queue and self._queue[0].until <= now and host.time() < end:
                place = self._queue.popleft()
                who, place.who = place.who, None
                if who is None:
                    self._empty -= 1
                else:
                    who.late()
        finally:
            if self._queue and self._timer is None:
                wait = self._queue[0].until - host.time()
                self._timer = host.call_later(max(0.0, wait), self._look)


class Patiences:
    """A queue for each length in use: an application has few of them, and asks often by each.

    >>> from rawsio import Server
    >>> from rawsio.testing import TestKit
    >>> class Guest:
    ...     def late(self):
    ...         print("late")
    >>> io = Server()
    >>> with TestKit(io) as kit:
    ...     patiences = Patiences(io.host)
    ...     place = patiences.wait(5.0, Guest())
    ...     patiences.wait(2.0, Guest()).cancel()
    ...     kit.advance(6.0)
    late
    """

    __slots__ = ("_host", "_queues")

    def __init__(self, host: RuntimeLike) -> None:
        self._host = host
        self._queues: dict[float, Patience] = {}

    def wait(self, seconds: float, who: Late) -> Handle:
        """Have ``who.late()`` called in so many seconds, unless the place is cancelled."""
        queue = self._queues.get(seconds)
        if queue is None:
            if len(self._queues) >= _LENGTHS:
                self.rest()
                self._queues = {n: queue for n, queue in self._queues.items() if len(queue)}
                if len(self._queues) >= _LENGTHS:
                    return self._host.call_later(seconds, who.late)
            queue = self._queues[seconds] = Patience(self._host)
        return queue.wait(self._host.time() + seconds, who)

    def rest(self) -> None:
        """Take back the timers of those queues in which nobody is waited for."""
        for queue in self._queues.values():
            queue.rest()
