"""What has passed and is not told yet: a little of it in each turn, for all in turn.

To find out what bytes mean costs more than to pass them on, and a few of them may be many messages.
So a :class:`Backlog` stands between the connections of a proxy, or of the server of the demo, and
their taps (:class:`rawsio.tracing.recorder.Tap`).  What takes no time is told at once.  Once it
takes more than :data:`SHARE` seconds, it is told in shares, between which the loop passes on what
everybody has said; connections take turns.

A proxy leaves nothing out: :attr:`Late.waiting` is how many bytes of a connection wait, and no more
is read from one for which many do.  A server goes on reading, so there what does not fit into
:data:`HELD` is told to be missing (:class:`Hurried`).
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.layer import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Clock(Protocol):
        """Gives the time, and turns: a loop, or what stands for one."""

        @property
        def time(self) -> Callable[[], float]:
            """What returns the time, in seconds."""
            ...

        def call_later(self, delay: float, callback: Callable[..., object], /) -> object:
            """Call a function so many seconds later."""

    class Tap(Protocol):
        """Who is told in the end."""

        def now(self) -> float:
            """Return the time of what passes now."""
            ...

        def steps(self, sender: Role, data: bytes, now: float) -> Iterator[None]:
            """Tell that bytes have passed, in steps."""
            ...

        def end(self, sender: Role) -> None:
            """Tell that one side sends no more."""

    class Resettable(Tap, Protocol):
        """A tap that knows resets."""

        def reset(self, sender: Role) -> None:
            """Tell that one side reset the connection."""

    class Holed(Tap, Protocol):
        """A tap that knows of holes."""

        def missing(self, sender: Role, size: int) -> None:
            """Tell that so many bytes are not told."""


__all__ = ["HELD", "SHARE", "Backlog", "Hurried", "Late"]

HELD = 1_000_000
"""Bytes that wait to be told of one connection of a server; sixteen times as many of all."""

SHARE = 0.004
"""Seconds of a turn in which messages are told."""


class Backlog:
    """What is not told yet, of all connections; ``loop`` gives the time and the turns."""

    def __init__(self, loop: Clock) -> None:
        self.waiting = 0
        """How many bytes wait to be told, of all connections."""
        self._loop = loop
        self._waiting: deque[_Queue] = deque()

    def tap(self, tap: Resettable, less: Callable[[], object]) -> Late:
        """Return what takes the place of a tap; ``less()`` is called when less waits for it."""
        return Late(self, tap, less)

    def add(self, late: _Queue) -> None:
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

    def hurried(self, tap: Holed) -> Hurried:
        """Return the same for a connection that goes on, however much waits."""
        return Hurried(self, tap)

    def finish(self, seconds: float) -> None:
        """Tell what waits, for so many seconds at most: the proxy closes."""
        end = self._loop.time() + seconds
        while self._waiting and self._loop.time() < end:
            self._work(end)
        self._waiting.clear()


class _Queue:
    """What waits to be told of one connection, in order."""

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
        self.put(self._tap.steps, sender, data)

    def end(self, sender: Role) -> None:
        """One side sends no more."""
        self.put(self._tap.end, sender)

    def put(self, tell: Callable[..., object], sender: Role, data: bytes = b"") -> None:
        """Have bytes told, or ``tell(sender)`` called, in their turn."""
        self.waiting += len(data)
        self._backlog.waiting += len(data)
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
            self._backlog.waiting -= len(data)
            self._less()
        return len(self._queue) > 0


class Late(_Queue):
    """A tap that is told later, in order; the interface is that of a tap."""

    def __init__(self, backlog: Backlog, tap: Resettable, less: Callable[[], object]) -> None:
        super().__init__(backlog, tap, less)
        self._reset = tap.reset

    def reset(self, sender: Role) -> None:
        """One side reset the connection."""
        self.put(self._reset, sender)


class Hurried:
    """A tap of a connection that nobody holds back: what comes too fast is told to be missing."""

    def __init__(self, backlog: Backlog, tap: Holed) -> None:
        self._backlog = backlog
        self._tap = tap
        self._queue = _Queue(backlog, tap, int)
        self._missed = dict.fromkeys(Role, 0)

    def data(self, sender: Role, data: bytes) -> None:
        """Bytes have passed."""
        if self._queue.waiting > HELD or self._backlog.waiting > 16 * HELD:
            self._missed[sender] += len(data)
            return
        self._tell_missed(sender)
        self._queue.data(sender, data)

    def end(self, sender: Role) -> None:
        """One side sends no more."""
        self._tell_missed(sender)
        self._queue.end(sender)

    def _tell_missed(self, sender: Role) -> None:
        size, self._missed[sender] = self._missed[sender], 0
        if size:
            self._queue.put(partial(self._tap.missing, size=size), sender)
