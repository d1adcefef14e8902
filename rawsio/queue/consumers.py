"""Consumers of a queue: whose turn it is, who rests, whose batch is being filled.

Consumers with credit take turns.  One that fails three times in a row rests for a moment if there
is another one, longer after each further failure: a broken consumer that gives everything back at
once would otherwise get everything, because it is always free.
"""

from __future__ import annotations

from itertools import islice

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["NEVER", "Allowance", "Consumer", "Consumers", "Lease", "ended"]

NEVER = float("inf")
_SENT = 200
"""Messages that clients are sent in one turn."""
_ENDED = 500
"""Leases that end in one turn."""
_REST_AFTER = 3
_LONGEST_REST = 5.0


@record
class Lease:
    """One delivery of one message; ``id`` and ``number`` name it in the store."""

    id: int
    number: int
    size: int
    group: str | None
    deliveries: int
    consumer: Consumer
    deadline: float


@record
class Consumer:
    """A consumer; ``leases`` are what it holds, by token, ``pending`` what fills its batch.

    With ``waits`` a lease begins when work on the message does.
    """

    name: Any
    credit: int
    lease: float
    batch: int
    linger: float
    waits: bool
    leases: dict[str, Lease]
    pending: list[Any]
    failures: int = 0
    rest: float = 0.0
    flush: float = 0.0

    @property
    def room(self) -> int:
        """How many messages it may be given now."""
        return self.credit - len(self.leases)


def ended(leases: dict[str, Lease], now: float) -> list[str]:
    """Return tokens of leases that have ended; of very many the first ones."""
    over = (token for token, lease in leases.items() if lease.deadline <= now)
    return [*islice(over, _ENDED)]


class Consumers:
    """All consumers of a queue, by name."""

    __slots__ = ("named", "hungry", "_resting", "_lingering")

    def __init__(self) -> None:
        self.named: dict[Any, Consumer] = {}
        self.hungry: dict[Any, Consumer] = {}
        """Those with credit left, in the order of their turns."""
        self._resting: dict[Any, Consumer] = {}
        self._lingering: dict[Any, Consumer] = {}

    def add(self, consumer: Consumer) -> None:
        """Add one, at the end of the line."""
        self.named[consumer.name] = consumer
        self.feed(consumer)

    def remove(self, consumer: Consumer) -> None:
        """Forget one."""
        for table in (self.named, self.hungry, self._resting, self._lingering):
            table.pop(consumer.name, None)

    def feed(self, consumer: Consumer) -> None:
        """Let one take part again, if it may."""
        known = self.named.get(consumer.name) is consumer
        if known and consumer.room > 0 and not consumer.rest:
            self.hungry[consumer.name] = consumer

    def take_turn(self) -> Consumer | None:
        """Return whose turn it is, and take it out of the line: :meth:`feed` puts it back."""
        for name, consumer in self.hungry.items():
            del self.hungry[name]
            return consumer
        return None

    @property
    def room(self) -> int:
        """How many messages could be handed out now."""
        return sum(consumer.room for consumer in self.hungry.values())

    @property
    def room_in_turn(self) -> int:
        """How many messages are handed out in one turn.

        Handlers of this process begin with what they get at their own pace.  Clients are sent it at
        once, and everybody else waits meanwhile.
        """
        room = self.room
        if room > _SENT and not all(consumer.waits for consumer in self.hungry.values()):
            return _SENT
        return room

    def failed(self, consumer: Consumer, now: float, random: Callable[[], float]) -> None:
        """Count a failure; one too many in a row means a rest."""
        consumer.failures += 1
        known = self.named.get(consumer.name) is consumer
        if not known or consumer.failures < _REST_AFTER or len(self.named) < 2:
            return
        most = min(_LONGEST_REST, 0.05 * 2.0 ** min(consumer.failures - _REST_AFTER, 20))
        consumer.rest = now + random() * most
        self.hungry.pop(consumer.name, None)
        self._resting[consumer.name] = consumer

    def wake(self, now: float) -> None:
        """End the rests that are over."""
        for consumer in [c for c in self._resting.values() if c.rest <= now]:
            consumer.rest = 0.0
            del self._resting[consumer.name]
            self.feed(consumer)

    def fill(self, consumer: Consumer, delivery: Any, now: float) -> bool:
        """Put a message into a batch; ``True`` if it is to be delivered now.

        A consumer that cannot hold a whole batch gets what it can.
        """
        if not consumer.pending:
            consumer.flush = now + consumer.linger
            self._lingering[consumer.name] = consumer
        consumer.pending.append(delivery)
        return len(consumer.pending) >= consumer.batch or consumer.room <= 0

    def due(self, now: float) -> list[Consumer]:
        """Return those whose batch has waited long enough."""
        return [consumer for consumer in self._lingering.values() if consumer.flush <= now]

    def drain(self, consumer: Consumer) -> list[Any]:
        """Return the batch of one, and begin a new one."""
        self._lingering.pop(consumer.name, None)
        pending, consumer.pending = consumer.pending, []
        return pending

    @property
    def deadline(self) -> float:
        """When :meth:`wake` or :meth:`due` will find something; ``NEVER``."""
        times = [consumer.flush for consumer in self._lingering.values()]
        times += [consumer.rest for consumer in self._resting.values()]
        return min(times, default=NEVER)


class Allowance:
    """A bound on deliveries a second: a token bucket that holds a tenth of a second.

    >>> bucket = Allowance(50)
    >>> bucket.at(0.0), bucket.at(1000.0)
    (0, 5)
    >>> bucket.spend(5)
    >>> bucket.at(1000.0), bucket.at(1000.02), round(bucket.next, 2)
    (0, 1, 1000.02)
    """

    __slots__ = ("rate", "_tokens", "_time")

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._tokens = 0.0
        self._time = 0.0

    def at(self, now: float) -> int:
        """Return how many deliveries are allowed now."""
        rate = self.rate
        if rate is None:
            return 2**31
        self._tokens = min(max(1.0, rate / 10), self._tokens + (now - self._time) * rate)
        self._time = now
        # What is short of a whole by less than a microsecond is whole: times since 1970 are no
        # more exact, and the time of the next would be now.
        return int(self._tokens + rate * 1e-6)

    def spend(self, count: int) -> None:
        """Count deliveries."""
        if self.rate is not None:
            self._tokens -= count

    @property
    def next(self) -> float:
        """When the next delivery is allowed."""
        if self.rate is None:
            return 0.0
        return self._time + max(0.0, 1.0 - self._tokens) / self.rate
