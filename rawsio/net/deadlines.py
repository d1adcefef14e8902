"""One lazy heap for everything that has a ``deadline`` and a ``tick``, over any loop.

Time-outs are nearly always postponed and hardly ever reached, so moving a deadline later costs
nothing.  A target (a stream, a session) has one entry in the heap.  When the entry's time comes the
target's *present* deadline is looked at: later, and the entry goes back in for then; ``None``, and
it is dropped; due, and the target is ticked.  Only a deadline that moved *earlier* than its entry
makes a new entry; the old one is emptied where it stands.

The heap uses one ``call_later`` of the loop, for its head, so it works on ours and on asyncio's,
and a server with ten thousand idle connections has one timer in its loop.

A target is any hashable object with ``deadline`` (a time of the loop's clock, 0.0 for at once, or
``None``) and ``tick(now)``, which returns events.  They go to ``target.on_events(target, events)``
if it has that, else to the ``on_events`` given here.

Most connections want to be watched when they begin, and no more when they have become WebSockets.
So a target that is only *expected* to need its deadline is put into the heap a second later, if it
still has one then: those of one second for as long as ``turn_time`` lasts, the rest a turn later.

Many may be due at once: ten thousand clients that came back in the same second are pinged in the
same second.  They are ticked in the order of their deadlines for as long as ``turn_time`` lasts,
and the rest in the turns that follow; each leaves the heap just before its own tick, so an
interrupt in one forgets no other.

To cancel, set the deadline to ``None`` or ``forget`` the target.  The precision is a millisecond.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import islice

from rawsio import log
from rawsio.limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop_timers import AnyLoop, Cancellable

    Report = Callable[[Any, list[Any]], object]

__all__ = ["Deadlines"]

_GRAIN = 0.001
"""Seconds between two ticks of a target that stays overdue: a mistaken one must not spin."""

_SOON = 1.0
"""Seconds after which those that were expected to need a deadline are watched."""

_FEW = 64
"""How many are watched between two looks at the clock."""

_WHEN, _SEQUENCE, _TARGET = 0, 1, 2


class Deadlines:
    """The heap; see the module's essay.

    ``on_events(target, events)`` takes what ticks return, for targets without an ``on_events`` of
    their own.  A target whose ``tick`` raises is logged and forgotten.  ``turn_time`` is how many
    seconds of ticks there may be in a turn.

    >>> from rawsio.net.loop import Loop
    >>> class Egg:
    ...     deadline = 3.0
    ...     def tick(self, now):
    ...         self.deadline = None
    ...         return [f"boiled at {now}"]
    >>> times = [0.0]
    >>> loop = Loop(clock=lambda: times[0])
    >>> timers = Deadlines(loop, on_events=lambda egg, events: print(events))
    >>> timers.watch(Egg())
    >>> times[0] = 3.5
    >>> loop.step(0)
    ['boiled at 3.5']
    >>> loop.close()
    """

    __slots__ = (
        *("on_events", "_loop", "_heap", "_entries", "_sequence", "_handle", "_next", "log"),
        *("_turn_time", "_expected", "_expecting"),
    )

    def __init__(
        self,
        loop: AnyLoop,
        on_events: Report,
        write: log.Log | None = None,
        turn_time: float = DEFAULT.turn_time,
    ) -> None:
        self.on_events = on_events
        self._loop = loop
        # An entry is [when, sequence, target]; a list, because forgetting empties the target.
        self._heap: list[list[Any]] = []
        self._entries: dict[Any, list[Any]] = {}
        self._sequence = 0
        self._handle: Cancellable | None = None
        self._next: float | None = None
        self.log = log.Log(loop.time) if write is None else write
        self._turn_time = turn_time
        self._expected: dict[Any, None] = {}
        # Whether there is a timer for them; who is forgotten leaves it where it is.
        self._expecting = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def targets(self) -> list[Any]:
        """Those that are watched."""
        return list(self._entries)

    def watch(self, target: Any) -> None:
        """See to it that ``target`` is ticked at its deadline; call it when that may have moved."""
        deadline = target.deadline
        if deadline is not None:
            self.watch_until(target, deadline)

    def watch_until(self, target: Any, deadline: float) -> None:
        """Do what ``watch`` does, for a caller that has just asked for the deadline."""
        entry = self._entries.get(target)
        if entry is not None:
            if entry[_WHEN] <= deadline:
                return
            entry[_TARGET] = None
        self._push(target, deadline)

    def expect(self, target: Any, deadline: float) -> None:
        """Do what ``watch_until`` does, but for one that may have no deadline before long."""
        if target in self._entries or deadline - self._loop.time() < _SOON:
            self.watch_until(target, deadline)
            return
        if not self._expecting:
            self._expecting = True
            self._loop.call_later(_SOON, self._watch_expected)
        self._expected[target] = None

    def _watch_expected(self) -> None:
        expected, end = self._expected, self._loop.time() + self._turn_time
        try:
            while expected and self._loop.time() < end:
                for target in [*islice(expected, _FEW)]:
                    del expected[target]
                    self.watch(target)
        finally:
            self._expecting = bool(expected)
            if expected:
                self._loop.call_later(0.0, self._watch_expected)

    def forget(self, target: Any) -> None:
        """Drop the target, and the reference to it."""
        if self._expected:
            self._expected.pop(target, None)
        entry = self._entries.pop(target, None)
        if entry is not None:
            entry[_TARGET] = None
            self._tidy()

    def _push(self, target: Any, when: float) -> None:
        self._sequence += 1
        entry = [when, self._sequence, target]
        self._entries[target] = entry
        heappush(self._heap, entry)
        self._tidy()
        if self._next is None or when < self._next:
            self._schedule(when)

    def _tidy(self) -> None:
        # Emptied entries are cleared out when they are the most, or connections that come and go
        # would pile them up for as long as their time-outs are.
        heap, alive = self._heap, len(self._entries)
        if len(heap) > 64 and len(heap) > 2 * alive:
            heap[:] = [entry for entry in heap if entry[_TARGET] is not None]
            heapify(heap)

    def _schedule(self, when: float | None) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._next = when
        if when is not None:
            self._handle = self._loop.call_later(max(0.0, when - self._loop.time()), self._run)

    def _run(self) -> None:
        self._handle = None
        now = self._loop.time()
        # While ticking, deadlines that come in need no call_later: the head is looked at below.
        self._next = 0.0
        newer: list[list[Any]] = []
        try:
            self._tick_due(now, newer)
        finally:
            heap = self._heap
            for entry in newer:
                heappush(heap, entry)
            while heap and heap[0][_TARGET] is None:
                heappop(heap)
            self._schedule(heap[0][_WHEN] if heap else None)

    def _tick_due(self, now: float, newer: list[list[Any]]) -> None:
        """Tick those that are due, for a while; entries made meanwhile are put into ``newer``."""
        heap, last = self._heap, self._sequence
        while heap and heap[0][_WHEN] <= now:
            entry = heappop(heap)
            target = entry[_TARGET]
            if target is None:
                continue
            if entry[_SEQUENCE] > last:
                newer.append(entry)
                continue
            del self._entries[target]
            deadline = target.deadline
            if deadline is None:
                continue
            if deadline > now:
                self._push(target, deadline)
                continue
            self._tick(target, now)
            if self._loop.time() - now >= self._turn_time:
                return

    def _tick(self, target: Any, now: float) -> None:
        try:
            events = target.tick(now)
            if events:
                report = getattr(target, "on_events", None) or self.on_events
                report(target, events)
            deadline = target.deadline
        except Exception as error:  # noqa: BLE001 - one target must not stop the others' clocks
            self.log("net", log.ERROR, "a tick raised an exception", error)
            self.forget(target)
            return
        except BaseException:
            self._push(target, now)
            raise
        if deadline is not None:
            self.watch_until(target, max(deadline, now + _GRAIN))
