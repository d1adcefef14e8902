"""Turns: everything that one turn of the loop asks of a store is one transaction.

A :class:`Keeper` stands between the queues of a file (and *guests*, which keep other things in it)
and the thread that works on it.  What is
asked for while a transaction runs waits for the next one; two are never in flight.  The loop never
waits for the disk.

Callers that wait for a commit come back together, but not at the same instant.  A transaction that
began with the first of them would take few, and from then on two halves would take turns.  So after
a slow commit the next one waits until about as many have come as there were, a third of the
commit's time at most.  If not even half of them have come by then, two halves are better: the one
is written while the other is answered and comes back.  So for a while nothing is waited for, and
the next transaction begins before the answers to the last one are given.  A store in memory needs
no thread, and is asked at once.

While a transaction runs nobody has to say that he wants something of the next one
(:attr:`Keeper.busy`).
"""

from __future__ import annotations

from collections import deque

from rawsio.log import ERROR

from .messages import Deliver
from .operations import StoreError
from .queue import Queue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.net.worker import Worker
    from rawsio.runtime import Runtime

    from .messages import QueueOptions
    from .operations import Counts, Store, Write

    class Client(Protocol):
        """Who uses a queue."""

        queue: Queue

        def collect(self) -> None:
            """Give the queue what was asked for in this turn, if it did not do so at once."""

        def take(self, events: list[Any], /) -> None:
            """Take what the queue gave."""

    class Guest(Protocol):
        """Who keeps something else in the file."""

        @property
        def waiting(self) -> bool:
            """Whether there is something to be written, or that is being written."""
            ...

        def operations(self) -> list[Write]:
            """Return what the next transaction is to write."""
            ...

        def written(self, error: StoreError | None, /) -> None:
            """Hear of its end, if it wrote anything; of what failed, nothing is in the file."""


__all__ = ["Keeper"]

_SLOW = 0.001
"""Seconds of a commit from which on it is worth waiting for others."""
_CROWD = 4
"""How many operations make it likely that as many are about to come."""
_GATHER = 0.005
"""The most seconds that a transaction waits for them."""
_VAIN = 16
"""How many transactions wait for nobody after one that has waited in vain."""
_SAMPLES = 512
"""How many commits the statistics are about."""


class Keeper:
    """The queues of one store, on the loop of ``host``.

    ``worker`` is the thread that uses the store, or ``None``.  A store with ``ask(operations,
    done)`` answers later, on the loop, by ``done((results, counts, seconds), error)``.
    """

    def __init__(self, host: Runtime, store: Store, worker: Worker | None = None) -> None:
        self.host = host
        self.store = store
        self.worker = worker
        self.clients: list[Client] = []
        self.guests: list[Guest] = []
        self.commits: deque[float] = deque(maxlen=_SAMPLES)
        self.busy = False
        """Whether a transaction runs: at its end everybody's requests are collected."""
        self._armed = False
        self._over = False
        self._timer: Any = None
        self._broken = ""
        # Until when to wait for how many operations.
        self._patience = 0.0
        self._expected = 0
        self._hurries = 0
        self._clock: Any = None
        self._offset = self._last = 0.0
        self._emptied: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return seconds since 1970 that never jump: the clock of the loop, set once.

        A server that moves to another loop has another clock, on which the time goes on.
        """
        time = self.host.time
        if time is not self._clock:
            self._clock = time
            self._offset = max(self.host.wall(), self._last) - time()
        self._last = time() + self._offset
        return self._last

    def open(self, name: str, options: QueueOptions) -> Queue:
        """Begin to serve a queue; raises :class:`StoreError`.  Not while the loop runs."""
        checked = options.checked(self.host.limits)
        now = self.now()
        opened = self.store.open(name, checked.max_deliveries, int(now * 1000))
        queue = Queue(name, *opened, checked, self.host.limits, random=self._random)
        queue.tick(now)
        return queue

    def _random(self) -> float:
        return int.from_bytes(self.host.random_bytes(4), "big") / 2**32

    # Turns

    def touch(self) -> None:
        """Something is to be done: at the end of this turn."""
        if not self._armed and not self._over:
            self._armed = True
            self.host.call_soon(self._flush)

    def _flush(self) -> None:
        self._armed = False
        for client in self.clients:
            client.collect()
        if self.busy or self._over:
            return
        now = self.now()
        waiting = self._count_waiting() if self._expected else 0
        if waiting < self._expected and now < self._patience:
            self._set_timer(self._patience - now)
            return
        if 2 * waiting < self._expected:
            self._hurries = _VAIN
        self._expected = 0
        for client in self.clients:
            client.take(client.queue.tick(now))
        self._begin(now)

    def _begin(self, now: float) -> None:
        """Ask the store for all that waits, or wait for the next time."""
        operations: list[Any] = []
        asked: list[tuple[Client, int]] = []
        for client in self.clients:
            mine = client.queue.operations()
            if mine:
                operations += mine
                asked.append((client, len(mine)))
        writing: list[Guest] = []
        for guest in self.guests:
            writes = guest.operations()
            if writes:
                operations += writes
                writing.append(guest)
        if operations:
            self.busy = True
            self._submit(operations, asked, writing)
        else:
            self._wait(now)

    def _submit(
        self, operations: list[Any], asked: list[tuple[Client, int]], writing: list[Guest]
    ) -> None:
        names = [client.queue.name for client, _ in asked]
        time = self.host.time

        def work() -> tuple[list[Any], list[Counts], float]:
            began = time()
            results = self.store.apply(operations)
            return results, [self.store.counts(name) for name in names], time() - began

        def done(result: Any, error: BaseException | None) -> None:
            self._done(asked, writing, result, error)

        ask = getattr(self.store, "ask", None)
        if ask is not None:
            ask(operations, done)
            return
        if self.worker is not None:
            self.worker.begin(work, done, self.host.call_soon_threadsafe)
            return
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - as the worker would
            done(None, error)
        else:
            done(result, None)

    def _done(
        self, asked: list[tuple[Client, int]], writing: list[Guest], result: Any, error: Any
    ) -> None:
        self.busy = False  # before: who finds it busy relies on being collected behind this
        for client in self.clients:
            client.collect()
        if error is not None:
            self._failed(asked, writing, error)
        else:
            self._broken = ""
            results, counts, seconds = result
            self.commits.append(seconds)
            # Before anybody is answered: who asks again at once is no second one.
            crowd = self._count_waiting()
            at = 0
            given: list[tuple[Client, list[Any]]] = []
            for (client, length), count in zip(asked, counts, strict=True):
                given.append((client, client.queue.receive(results[at : at + length], count)))
                at += length
            for guest in writing:
                guest.written(None)
            if not self._waits_for(crowd, seconds):
                given += self._go_on(given)
            for client, events in given:
                client.take(events)
        if self._emptied and not self._pending():
            told, self._emptied = self._emptied, []
            for emptied in told:
                emptied()
        self.touch()

    def _waits_for(self, crowd: int, seconds: float) -> bool:
        """Decide whether the next transaction waits until a crowd has come back."""
        waiting = self._count_waiting()
        if self._hurries:
            self._hurries -= 1
        elif seconds > _SLOW and crowd - waiting >= _CROWD and waiting < crowd * 9 // 10:
            self._expected = crowd * 9 // 10
            self._patience = self.now() + min(_GATHER, seconds / 3)
            return True
        return False

    def _go_on(self, given: list[tuple[Client, list[Any]]]) -> list[tuple[Client, list[Any]]]:
        """Begin the next transaction before the answers to the last one are given.

        Not if consumers get messages: what they say to them at once belongs to it.
        """
        if self.worker is None or not self._count_waiting():
            return []
        if any(event.__class__ is Deliver for _, events in given for event in events):
            return []
        now = self.now()
        more = [(client, client.queue.tick(now)) for client in self.clients]
        self._begin(now)
        return more

    def _failed(
        self, asked: list[tuple[Client, int]], writing: list[Guest], error: BaseException
    ) -> None:
        if not isinstance(error, StoreError):
            self.host.log("queue", ERROR, "a store failed", error)
            error = StoreError(f"the store failed: {error!r}")
        if str(error) != self._broken:  # once, not in each of its turns
            self._broken = str(error)
            self.host.log("queue", ERROR, self._broken)
        for client, _ in asked:
            client.take(client.queue.receive_failure(error))
        for guest in writing:
            guest.written(error)

    def _wait(self, now: float) -> None:
        deadlines = [client.queue.deadline for client in self.clients]
        due = min((d for d in deadlines if d is not None), default=None)
        self._set_timer(None if due is None else max(0.0, due - now))

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._timer = self.host.call_later(seconds, self.touch)

    def _count_waiting(self) -> int:
        return sum(client.queue.waiting for client in self.clients)

    # Statistics

    def commit_times(self) -> tuple[float, float]:
        """Return the median and the 99th percentile of the last commits, in milliseconds."""
        known = sorted(self.commits)
        if not known:
            return 0.0, 0.0
        return known[len(known) // 2] * 1e3, known[len(known) * 99 // 100] * 1e3

    # The end

    def _pending(self) -> bool:
        waiting = any(c.queue.waiting for c in self.clients)
        return self.busy or waiting or any(guest.waiting for guest in self.guests)

    def drain(self, emptied: Callable[[], None]) -> None:
        """Call ``emptied()`` when nothing waits for the store."""
        if self._pending():
            self._emptied.append(emptied)
            self.touch()
        else:
            emptied()

    def close(self, done: Callable[[], None]) -> None:
        """Close the store, after what it is doing; then ``done()``, if the loop still runs."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self.worker is None:
            self.store.close()
            done()
            return
        self.worker.submit(self.store.close, lambda *_: done(), self.host.call_soon_threadsafe)
        self.worker.let_end()
