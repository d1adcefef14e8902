"""What publishers ask of a queue: checks, bounds, and how much room is left.

Messages that wait for the store count as if they were stored, so that many publishers in one turn
cannot overfill a queue together.
"""

from __future__ import annotations

from .checks import as_seconds, as_text, as_whole
from .messages import QueueError, Rejected
from .operations import Bodies, Bury, Delete, Drop, Insert, Release
from .shares import Share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits

    from .messages import QueueOptions
    from .operations import Counts, StoreError

__all__ = ["MOST", "Intake"]

MOST = 2**31 - 1
"""The largest priority, and the most of anything that is counted."""


class Intake:
    """The publishers' side of one queue.

    ``counts`` is how the store stands; ``totals`` counts what is refused.
    """

    __slots__ = (
        *("name", "incoming", "_options", "_limits", "_totals", "_counts", "_bytes"),
        *("_longest", "_most", "_most_bytes", "_free", "_free_bytes"),
    )

    def __init__(
        self,
        name: str,
        options: QueueOptions,
        limits: Limits,
        counts: Counts,
        totals: dict[str, int],
    ) -> None:
        self.name = name
        self.incoming = 0
        self._bytes = 0
        self._options = options
        self._limits = limits
        self._totals = totals
        self._longest, self._most, self._most_bytes = options.bounds(limits)
        self.update(counts)

    def update(self, counts: Counts) -> None:
        """Take note of how the store stands."""
        self._counts = counts
        refuses = self._options.policy == "refuse"
        self._free = self._most - (counts.total if refuses else counts.leased)
        self._free_bytes = self._most_bytes - (counts.bytes if refuses else 0)

    def insert(
        self,
        body: bytes,
        published: int,
        waiting: int,
        key: Any = None,
        delay: Any = 0.0,
        priority: Any = 0,
        group: Any = None,
        expires: Any = None,
    ) -> Insert:
        """Return the row of a new message; raises :class:`QueueError` if it cannot be accepted.

        ``waiting`` operations wait for the store already.
        """
        size = len(body)
        if size > self._longest:
            text = f"a body of {size} bytes, {self._longest} are allowed (max_message)"
            raise QueueError("too_large", text)
        made = Insert(self.name, body, published)
        if expires is None:
            expires = self._options.retention
        if not (key is group is expires is None and priority.__class__ is int and not priority):
            self._describe(made, key, priority, group, expires)
        if delay.__class__ is not float or delay:
            seconds = as_seconds("delay", delay)
            made.due = published + int(seconds * 1000) if seconds else 0
        self._admit(made, size, waiting)
        return made

    def admits(self, bodies: list[bytes], waiting: int) -> bool:
        """Take note of messages that are nothing but a body, if each of them may be stored."""
        if len(bodies) == 1:
            size = longest = len(bodies[0])
        else:
            sizes = [*map(len, bodies)]
            size, longest = sum(sizes), max(sizes, default=0)
        limits, many = self._limits, self.incoming + len(bodies)
        coming = self._bytes + size
        if (
            longest > self._longest
            or waiting + len(bodies) > limits.queue_waiting
            or coming > limits.queue_waiting_bytes
            or many > self._free
            or coming > self._free_bytes
        ):
            return False
        self.incoming, self._bytes = many, coming
        return True

    def _admit(self, made: Insert, size: int, waiting: int) -> None:
        limits, coming = self._limits, self._bytes + size
        if waiting >= limits.queue_waiting or coming > limits.queue_waiting_bytes:
            self._refuse(f"too much waits for the store of {self.name}: publish more slowly")
        if self.incoming < self._free and coming <= self._free_bytes:
            self.incoming += 1
        elif made.key is not None:  # a duplicate needs no room
            made.known_only = True
        else:
            counts = self._counts
            text = f"{counts.total} messages, {counts.bytes} bytes, {self.incoming} to come"
            cure = "publish more slowly, or let the queue be longer (max_messages, max_bytes)"
            self._refuse(f"the queue {self.name} is full: {text}; {cure}")
        self._bytes = coming

    def _describe(self, made: Insert, key: Any, priority: Any, group: Any, expires: Any) -> None:
        made.key = as_text("key", key, self._limits.queue_key)
        made.group = as_text("group", group, self._limits.queue_key)
        made.priority = as_whole("priority", priority, -MOST, MOST)
        now = made.published
        if expires is not None:
            made.expires = now + int(as_seconds("expires", expires) * 1000)
        if key is not None:
            made.until = now + int(self._options.dedup * 1000)

    def _refuse(self, text: str) -> None:
        self._totals["refused"] += 1
        raise QueueError("full", text)

    def forget(self, insert: Insert) -> None:
        """A message is with the store now, or was refused by it."""
        if not insert.known_only:
            self.incoming -= 1
        self._bytes -= len(insert.body)

    def forget_bodies(self, bodies: list[bytes]) -> None:
        """As :meth:`forget`, for messages that were :meth:`admitted <admits>`."""
        self.incoming -= len(bodies)
        self._bytes -= sum(map(len, bodies))

    def reject(
        self, asked: list[tuple[Any, Any]], error: StoreError
    ) -> tuple[list[Any], list[tuple[Any, Any]], int]:
        """Return who is told that a store failed, what is tried again, and how many were new."""
        code = "full" if error.full else "unavailable"
        events: list[Any] = []
        again: list[tuple[Any, Any]] = []
        inserts = 0
        for operation, ticket in asked:
            kind = operation.__class__
            if kind in (Delete, Release, Bury):
                again.append((operation, ticket))
                continue
            tickets: Any = [ticket]
            if kind is Bodies:
                tickets = ticket
                inserts += len(operation.bodies)
                self.forget_bodies(operation.bodies)
            elif kind is Insert:
                inserts += 1
                self.forget(operation)
            elif isinstance(ticket, Share):
                tickets = [ticket.ticket]
            refused = QueueError(code, str(error))
            events += [Rejected(one, refused) for one in tickets if one is not None]
        self._totals["refused"] += inserts
        return events, again, inserts

    def drop_for(self, sent: list[tuple[Any, Any]]) -> Drop | None:
        """Return what has to go so that these operations find room (``drop_oldest``)."""
        if self._options.policy == "refuse" or not self.incoming:
            return None
        sizes = [len(op.body) for op, _ in sent if op.__class__ is Insert and not op.known_only]
        for op, _ in sent:
            if op.__class__ is Bodies:
                sizes += map(len, op.bodies)
        many = self._counts.total + len(sizes) - self._most
        size = self._counts.bytes + sum(sizes) - self._most_bytes
        if not sizes or (many <= 0 and size <= 0):
            return None
        return Drop(self.name, max(0, many), max(0, size))
