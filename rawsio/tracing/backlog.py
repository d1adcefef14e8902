"""What has passed a proxy and is not told yet: a little of it in each turn, for all in turn.

To find out what bytes mean costs more than to pass them on, and a few of them may be many messages.
So a :class:`Backlog` stands between the connections of a proxy and their taps
(:class:`rawsio.tracing.recorder.Tap`).  What takes no time is told at once.  Once it takes more
than :data:`SHARE` seconds, it is told in shares, between which the loop passes on what everybody
has said; connections take turns.

Nothing is left out.  :attr:`Late.waiting` is how many bytes of a connection wait, and the proxy
reads no more from one for which many do.
"""

from __future__ import annotations

from collections import deque

from rawsio.layer import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rawsio.net.loop_timers import AnyLoop

    from .recorder import Tap

__all__ = ["SHARE", "Backlog", "Late"]

SHARE = 0.004
"""Seconds of a turn in which messages are told."""


class Backlog:
    """What is not told yet, of all connections; ``loop`` gives the time and the turns."""

    def __init__(self, loop: AnyLoop) -> None:
        self._loop = loop
        self._waiting: deque[Late] = deque()

    def tap(self, tap: Tap, less: Callable[[], object]) -> Late:
        """Return what takes the place of a tap; ``less()`` is called when less waits for it."""
        return Late(self, tap, less)

    def add(self, late: Late) -> None:
        """Tell what a connection has for us: at once if nobody waits, else in its turn."""
        alone = not self._waiting
        self._waiting.append(late)
        if alone:
            self._go_on()

    def _go_on(self) -> None:
        try:
            self._work(self._loop.time() + SHARE)
        finally:
            if self._waiting:
                self._loop.call_later(0.0, self._go_on)

    def _work(self, end: float) -> None:
        """Tell messages of one after the other, until nobody waits or it is time."""
        waiting, time = self._waiting, self._loop.time
        while waiting:
            late = waiting[0]
            part = min(end, time() + SHARE / 4)
            while late.tell_one():
                if time() >= part:
                    break
            else:
                waiting.popleft().listed = False
                continue
            waiting.rotate(-1)
            if time() >= end:
                return

    def finish(self, seconds: float) -> None:
        """Tell what waits, for so many seconds at most: the proxy closes."""
        end = self._loop.time() + seconds
        while self._waiting and self._loop.time() < end:
            self._work(end)
        self._waiting.clear()


class Late:
    """A tap that is told later, in order; the interface is that of a tap."""

    def __init__(self, backlog: Backlog, tap: Tap, less: Callable[[], object]) -> None:
        self.waiting = 0
        """How many bytes wait to be told, as far as whole pieces of them do."""
        self.listed = False
        """Whether the backlog knows that something waits."""
        self._backlog = backlog
        self._tap = tap
        self._less = less
        self._queue: deque[tuple[Callable[..., object], Role, bytes, float]] = deque()
        self._steps: Iterator[None] | None = None

    def data(self, sender: Role, data: bytes) -> None:
        """Bytes have passed."""
        self._put(self._tap.steps, sender, data)

    def end(self, sender: Role) -> None:
        """One side sends no more."""
        self._put(self._tap.end, sender)

    def reset(self, sender: Role) -> None:
        """One side reset the connection."""
        self._put(self._tap.reset, sender)

    def _put(self, tell: Callable[..., object], sender: Role, data: bytes = b"") -> None:
        self.waiting += len(data)
        self._queue.append((tell, sender, data, self._tap.now()))
        if not self.listed:
            self.listed = True
            self._backlog.add(self)

    def tell_one(self) -> bool:
        """Tell the next message, or the end; ``False`` if nothing waits any more."""
        tell, sender, data, time = self._queue[0]
        if self._steps is None and data:
            self._steps = self._tap.steps(sender, data, time)
        if self._steps is not None:
            if next(self._steps, self) is not self:
                return True
            self._steps = None
        else:
            tell(sender)
        self._queue.popleft()
        if data:
            self.waiting -= len(data)
            self._less()
        return len(self._queue) > 0
