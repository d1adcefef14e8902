"""The rules of one queue, as a state machine without clock, thread and file.

Theory of operation
===================
A :class:`Queue` stands between those who use it and a store.  Requests (``publish``, ``ack``, ...)
go in, become *operations* on the store, and are answered once these are committed::

    queue.publish(ticket, body)              a request
    operations = queue.operations()          what the store shall do, in one transaction
    results = store.apply(operations)
    events = queue.receive(results, counts)  Stored(tickets, ids), Deliver(...), ...
    events = queue.tick(now)                 leases that have ended, batches that have waited
    queue.deadline                           when ``tick`` wants to be called

While a batch is with the store, ``operations()`` gives nothing: requests collect for the next one.
That is how one commit serves everybody who asked meanwhile.

The store holds the messages.  The queue holds what ends with this process: consumers, their credit,
and the leases.  A lease is one delivery of one message to one consumer.  Its token is valid until
the message is acknowledged, given back, or the time is over; then the message is delivered again
with another token.  A consumer never holds more messages than its credit.

A request that cannot be right is refused at once, by :class:`QueueError`; one that the store
refuses ends in the event ``Rejected``.  If the store fails, what consumers have done is kept and
tried again; nothing that was acknowledged is lost.
"""

from __future__ import annotations

from rawsio.limits import DEFAULT

from .checks import as_seconds, as_state, as_whole, storable
from .consumers import NEVER, Allowance, Consumer, Consumers, Lease, ended
from .intake import MOST, Intake
from .messages import (
    Buried,
    Deliver,
    Delivery,
    Drained,
    Published,
    QueueError,
    QueueOptions,
    Rejected,
    Settled,
    Stored,
)
from .operations import (
    ANY,
    Bodies,
    Bury,
    Claim,
    Counts,
    Delete,
    Drop,
    Insert,
    Peek,
    Purge,
    Redrive,
    Release,
    Row,
    Sweep,
)
from .outbox import Outbox
from .shares import Share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from rawsio.limits import Limits

    from .operations import StoreError

__all__ = ["Queue"]

_STALL = 1.0
"""Seconds before a store that failed is asked again."""
_SWEEP = 500
"""Messages that expire, or become ready, in one turn: each takes microseconds in memory."""
_COUNTED = (
    *("published", "duplicates", "refused", "delivered", "acked", "nacked", "returned"),
    *("lapsed", "expired", "dropped", "buried"),
)


class Queue:
    """One queue; see the module's essay.

    ``counts`` and ``run`` are what ``store.open`` gave; with a ``run`` of 0 nothing is claimed
    until :meth:`opened` brings another.  ``random()`` gives numbers from 0 to 1.  Times are seconds
    since 1970 that never go back.

    >>> from rawsio.queue.memory import MemoryStore
    >>> store = MemoryStore()
    >>> queue = Queue("jobs", *store.open("jobs", 5, 0))
    >>> queue.consume("me")
    >>> queue.publish("ticket", b"1")
    >>> results = store.apply(queue.operations())
    >>> queue.receive(results, store.counts("jobs"))[0]
    Stored(tickets=['ticket'], ids=range(1, 2))
    """

    def __init__(
        self,
        name: str,
        counts: Counts,
        run: int,
        options: QueueOptions | None = None,
        limits: Limits = DEFAULT,
        *,
        random: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.name = name
        self.options = (options or QueueOptions()).checked(limits)
        self.limits = limits
        self.now = 0.0
        self.closing = False
        self.totals = dict.fromkeys(_COUNTED, 0)
        self._intake = Intake(name, self.options, limits, counts, self.totals)
        self.counts = counts
        self._random = random
        self._expiring = self.options.retention is not None
        self._number = run << 32
        self._outbox = Outbox(limits.queue_batch)
        self._events: list[Any] = []
        self._consumers = Consumers()
        self._leases: dict[str, Lease] = {}
        # No lease ends before; what has been acknowledged meanwhile does not count.
        self._lapse = NEVER
        # Something may have become ready since the last claim.
        self._stirred = True
        self._looking = False
        self._busy = False
        self._stalled = 0.0
        self._allowance = Allowance(self.options.rate)

    # Publishers

    def publish(
        self,
        ticket: Any,
        body: bytes,
        *,
        key: str | None = None,
        delay: float = 0.0,
        priority: int = 0,
        group: str | None = None,
        expires: float | None = None,
    ) -> None:
        """Store a message; ``Settled(ticket, Published(id, duplicate))`` follows.

        ``delay`` and ``expires`` are seconds from now.  Messages of a ``group`` are processed one
        after another, in the order in which they were published.
        """
        self._check_open()
        if key is None and group is None and expires is None and not (delay or priority):
            plain = delay.__class__ in (int, float) and priority.__class__ is int
            if plain and self.publish_bodies([ticket], [body]):
                return
        now, waiting = int(self.now * 1000), self._outbox.waiting
        row = self._intake.insert(body, now, waiting, key, delay, priority, group, expires)
        self._stirred = self._stirred or not delay
        self._outbox.add(row, ticket)

    def publish_bodies(self, tickets: list[Any], bodies: list[bytes]) -> bool:
        """Store messages that say nothing besides; ``Stored(tickets, ids)`` follows.

        ``False`` if one of them cannot be accepted, or if they are more than a body here: then
        nothing was done, and :meth:`publish` says why, or does it.
        """
        if self.closing or self._expiring or not self._intake.admits(bodies, self._outbox.waiting):
            return False
        self._stirred = True
        self._outbox.add_bodies(self.name, int(self.now * 1000), tickets, bodies)
        return True

    def _check_open(self) -> None:
        if self.closing:
            raise QueueError("closing", f"the queue {self.name} is being closed")

    # Consumers

    def consume(
        self,
        name: Any,
        *,
        credit: int = 1,
        lease: float | None = None,
        batch: int = 1,
        linger: float = 0.0,
        waits: bool = False,
    ) -> None:
        """Add a consumer: messages come as ``Deliver(name, deliveries)``.

        It holds at most ``credit`` messages.  With ``batch`` they come in lists: when so many are
        there, or ``linger`` seconds after the first.  With ``waits`` a lease begins only by
        :meth:`begin`: for consumers that live and die with this process.
        """
        self._check_open()
        most = self.limits.queue_credit
        as_whole("credit", credit, 0, most)
        as_whole("batch", batch, 1, most)
        seconds = as_seconds("lease", self.options.lease if lease is None else lease, 0.1)
        linger = as_seconds("linger", linger)
        if len(self._consumers.named) >= self.limits.queue_consumers:
            raise QueueError("full", f"the queue {self.name} has too many consumers")
        self._consumers.add(Consumer(name, credit, seconds, batch, linger, waits, {}, []))

    def credit(self, name: Any, count: int) -> None:
        """Let a consumer hold ``count`` messages more."""
        consumer = self._consumer(name)
        as_whole("credit", count, 0, self.limits.queue_credit - consumer.credit)
        consumer.credit += count
        self._consumers.feed(consumer)

    def _consumer(self, name: Any) -> Consumer:
        found = self._consumers.named.get(name)
        if found is None:
            raise QueueError("bad_request", f"no consumer {str(name)[:40]!r}")
        return found

    def consumers(self) -> list[Consumer]:
        """Return the consumers, in the order in which they came."""
        return list(self._consumers.named.values())

    def cancel(self, name: Any, *, keep: bool = False) -> int:
        """Remove a consumer; give back what it holds, and return how many that are.

        What was delivered counts as delivered, because it may have been worked on.  With ``keep``
        it stays leased until the lease ends.
        """
        consumer = self._consumer(name)
        self._consumers.remove(consumer)
        unseen = {delivery.token for delivery in consumer.pending}
        returned = 0
        for token in list(consumer.leases):
            if token in unseen:
                self._give_back(token, "", 0.0, counted=False)
            elif not keep:
                self._give_back(token, "the consumer went away", 0.0)
                self.totals["returned"] += 1
                returned += 1
        return returned

    def ack(self, token: Any, consumer: Any = None, ticket: Any = None) -> None:
        """The message is processed: delete it.  ``Settled(ticket, None)`` follows."""
        lease = self._take(token, consumer)
        lease.consumer.failures = 0
        self.totals["acked"] += 1
        self._stirred = self._stirred or lease.group is not None
        delete = Delete(self.name, lease.id, lease.number, lease.size, lease.group)
        self._outbox.add(delete, ticket)

    def nack(
        self,
        token: Any,
        consumer: Any = None,
        ticket: Any = None,
        *,
        delay: float | None = None,
        error: str = "",
        dead: bool = False,
    ) -> None:
        """The message could not be processed: deliver it again later.

        ``delay`` is in seconds; without it the wait grows with each delivery (``backoff``).  With
        ``dead`` it becomes a dead letter at once, and so it does after ``max_deliveries``.
        """
        if delay is not None:
            delay = as_seconds("delay", delay)
        lease = self._lease(token, consumer)
        self.totals["nacked"] += 1
        if delay is None:
            base, cap = self.options.backoff
            most = min(cap, base * 2.0 ** min(lease.deliveries - 1, 60))
            delay = self._random() * most
        self._give_back(token, error, delay, ticket=ticket, dead=dead)
        self._consumers.failed(lease.consumer, self.now, self._random)

    def extend(self, token: Any, seconds: Any, consumer: Any = None) -> float:
        """Let the lease end so many seconds from now; return that time."""
        lease = self._lease(token, consumer)
        lease.deadline = self.now + as_seconds("seconds", seconds)
        self._lapse = min(self._lapse, lease.deadline)
        return lease.deadline

    def begin(self, token: Any) -> bool:
        """Work on a message begins, and with it the lease; ``False`` if it is not leased now."""
        lease = self._leases.get(token)
        if lease is not None:
            self.extend(token, lease.consumer.lease)
        return lease is not None

    def unsee(self, token: Any) -> None:
        """Give back a message that was delivered and that nobody has looked at."""
        if token in self._leases:
            self._give_back(token, "", 0.0, counted=False)

    def lease_of(self, token: Any) -> tuple[int, int] | None:
        """Return the id and the number of a lease, as the store knows it."""
        lease = self._leases.get(token)
        return None if lease is None else (lease.id, lease.number)

    def lease_end(self, token: Any) -> float:
        """Return when a lease ends; 0 if there is none."""
        lease = self._leases.get(token)
        return 0.0 if lease is None else lease.deadline

    def finished(self, token: Any, counts: Counts) -> None:
        """Take note that somebody has deleted the message in the store, in his own transaction."""
        self._take_counts(counts)
        if token in self._leases:
            lease = self._take(token, None)
            lease.consumer.failures = 0
            self.totals["acked"] += 1
            self._stirred = self._stirred or lease.group is not None

    def _take_counts(self, counts: Counts) -> None:
        self.counts = counts
        self._intake.update(counts)

    def _lease(self, token: Any, consumer: Any) -> Lease:
        lease = self._leases.get(token) if token.__class__ is str else None
        if lease is None or (consumer is not None and lease.consumer.name != consumer):
            raise QueueError("stale", f"no lease has the token {str(token)[:40]!r} now")
        return lease

    def _take(self, token: Any, consumer: Any) -> Lease:
        lease = self._lease(token, consumer)
        del self._leases[token]
        del lease.consumer.leases[token]
        self._consumers.feed(lease.consumer)
        return lease

    def _give_back(
        self,
        token: str,
        error: str,
        delay: float,
        *,
        ticket: Any = None,
        dead: bool = False,
        counted: bool = True,
    ) -> None:
        lease = self._take(token, None)
        error = storable(error[: self.limits.queue_error])
        operation: Any
        if dead or (counted and lease.deliveries >= self.options.max_deliveries):
            operation = Bury(self.name, lease.id, lease.number, error, lease.group)
            self._stirred = self._stirred or lease.group is not None
        else:
            due = int((self.now + delay) * 1000) if delay > 0 else 0
            operation = Release(self.name, lease.id, lease.number, due, error or None, counted)
            self._stirred = self._stirred or not due
        self._outbox.add(operation, ticket)

    # Management

    def redrive(self, ticket: Any, count: int) -> None:
        """Give the oldest dead letters new deliveries; ``Settled(ticket, how many)``."""
        share = Share(ticket, as_whole("count", count, 1, MOST), self.limits.queue_batch)
        self._stirred = True
        self._outbox.add(share.begin(Redrive(self.name, 0)), share)

    def purge(self, ticket: Any, states: Iterable[str] = ("ready", "delayed", "blocked")) -> None:
        """Delete all messages in these states; ``Settled(ticket, how many)``."""
        chosen = tuple(as_state(state, leased=False) for state in states)
        share = Share(ticket, ANY, self.limits.queue_batch)
        self._outbox.add(share.begin(Purge(self.name, chosen, 0)), share)

    def peek(self, ticket: Any, state: str | None = None, count: int = 10, after: int = 0) -> None:
        """Look at messages without taking them; ``Settled(ticket, rows)``."""
        number = None if state is None else as_state(state, leased=True)
        as_whole("after", after, 0, 2**53)
        many = min(as_whole("count", count, 1, MOST), self.limits.queue_many)
        self._outbox.add(Peek(self.name, number, many, after), ticket)

    def stats(self) -> dict[str, float]:
        """Return how the queue stands, and what it did since the start."""
        shown = self.counts.shown(self.now)
        shown["waiting"] = self.waiting
        shown["consumers"] = len(self._consumers.named)
        shown["credit"] = self._consumers.room
        return {**shown, **self.totals}

    @property
    def waiting(self) -> int:
        """How many operations wait for the store, or are with it."""
        return self._outbox.waiting + self._outbox.away

    def close(self) -> None:
        """Refuse what is new, and give back what is with consumers."""
        self.closing = True
        for name in list(self._consumers.named):
            self.cancel(name)

    # The store

    def operations(self) -> list[Any]:
        """Return what the store shall do now, in one transaction; ``[]`` while it is at work."""
        outbox = self._outbox
        if outbox.sent or self.now < self._stalled:
            return []
        ready = outbox.begin()
        drop = self._intake.drop_for(outbox.sent)
        if drop is not None:
            outbox.send(drop, 0)
        if ready and (self._looking or self.counts.soonest <= self.now * 1000):
            self._looking, self._stirred = False, True
            most = min(_SWEEP, self.limits.queue_batch)
            outbox.send(Sweep(self.name, int(self.now * 1000), most))
        wanted = self._wanted() if ready else 0
        if wanted:
            self._number += 1
            outbox.send(Claim(self.name, wanted, self._number))
        return [operation for operation, _ in outbox.sent]

    def _wanted(self) -> int:
        """Return how many messages consumers could take now."""
        if not (self.counts.ready or self._stirred) or self.closing or not self._number:
            return 0
        self._stirred = False
        room = self._consumers.room_in_turn
        return min(room, self._allowance.at(self.now), self.limits.queue_batch)

    def opened(self, counts: Counts, run: int) -> None:
        """A store that is far away has answered for the first time."""
        self._take_counts(counts)
        self._number = run << 32
        self._stirred = True

    def look(self) -> None:
        """Ask the store how it stands, and for messages: others use it, too."""
        self._looking = self._stirred = True

    def receive(self, results: list[Any], counts: Counts) -> list[Any]:
        """Take the results of the operations, in their order; return events."""
        sent = self._outbox.settle()
        self._take_counts(counts)
        events, self._events = self._events, []
        for (operation, ticket), result in zip(sent, results, strict=True):
            _RESULTS[operation.__class__](self, operation, ticket, result, events)
        if self._busy and not (
            counts.ready or counts.leased or counts.blocked or self._intake.incoming
        ):
            self._busy = False
            events += [Drained(name) for name in self._consumers.named]
        return events

    def _stored(self, run: Bodies, tickets: Any, ids: Sequence[int], events: list[Any]) -> None:
        self._intake.forget_bodies(run.bodies)
        self.totals["published"] += len(ids)
        events.append(Stored(tickets, ids))

    def _inserted(self, insert: Insert, ticket: Any, result: Any, events: list[Any]) -> None:
        self._intake.forget(insert)
        if result is None:
            self.totals["refused"] += 1
            events.append(Rejected(ticket, QueueError("full", f"the queue {self.name} is full")))
            return
        number, known = result
        self.totals["duplicates" if known else "published"] += 1
        events.append(Settled(ticket, Published(number, known)))

    def _settled(self, operation: Any, ticket: Any, result: Any, events: list[Any]) -> None:
        if operation.__class__ is Sweep:
            self.totals["expired"] += result
        elif operation.__class__ is Drop:
            self.totals["dropped"] += result
        elif operation.__class__ is Bury and result:
            self.totals["buried"] += 1
            events.append(Buried(operation.id, operation.error))
        elif result is False:
            self._ended_elsewhere(operation, ticket, events)
            return
        if ticket is not None:
            events.append(Settled(ticket, result))

    def _shared(self, operation: Any, share: Share, result: Any, events: list[Any]) -> None:
        following = share.follow(operation, result)
        if following is None:
            events.append(Settled(share.ticket, share.done))
        else:
            self._stirred = True
            self._outbox.add(following, share)

    def _ended_elsewhere(self, operation: Any, ticket: Any, events: list[Any]) -> None:
        """The store gave the message to somebody else: it took this process for dead."""
        if operation.__class__ is Delete:
            self.totals["acked"] -= 1
            self.totals["lapsed"] += 1
        if ticket is not None:
            text = f"the lease of message {operation.id} has ended: another server has it"
            events.append(Rejected(ticket, QueueError("stale", text)))

    def _claimed(self, claim: Claim, _ticket: Any, rows: list[Row], events: list[Any]) -> None:
        if rows:
            self._busy = True
        self._allowance.spend(len(rows))
        for row in rows:
            self._assign(row, claim.lease, events)
        # Batches that wait for nobody are delivered as they are.
        for consumer in self._consumers.due(self.now):
            self._flush(consumer, events)

    def _assign(self, row: Row, number: int, events: list[Any]) -> None:
        """Lease a row to the consumer whose turn it is."""
        consumer = self._consumers.take_turn()
        if consumer is None:  # it went away, or rests, since the claim
            release = Release(self.name, row.id, number, 0, row.error, counted=False)
            self._stirred = True
            self._outbox.add(release, None)
            return
        token = f"{number:x}-{row.id:x}"
        lease = Lease(row.id, number, row.size, row.group, row.deliveries, consumer, NEVER)
        self._leases[token] = consumer.leases[token] = lease
        self._consumers.feed(consumer)
        published = row.published / 1000
        delivery = Delivery(
            row.id, token, row.body, number, row.deliveries, published, row.key, row.group
        )
        if consumer.batch == 1:
            self._deliver(consumer, [delivery], events)
        elif self._consumers.fill(consumer, delivery, self.now):
            self._flush(consumer, events)

    def _flush(self, consumer: Consumer, events: list[Any]) -> None:
        self._deliver(consumer, self._consumers.drain(consumer), events)

    def _deliver(self, consumer: Consumer, batch: list[Delivery], events: list[Any]) -> None:
        self.totals["delivered"] += len(batch)
        for delivery in batch if not consumer.waits else ():
            self.extend(delivery.token, consumer.lease)
        events.append(Deliver(consumer.name, batch))

    def receive_failure(self, error: StoreError) -> list[Any]:
        """The store did nothing of the batch: refuse what is new, try again what must be done."""
        events, again, inserts = self._intake.reject(self._outbox.settle(), error)
        self._stirred = True
        self._outbox.put_back(again)
        if not (error.full and inserts):
            self._stalled = self.now + _STALL
        return self._with_others(events)

    def refuse_waiting(self, error: StoreError) -> list[Any]:
        """The store cannot be reached: refuse what waits for it, but keep what must be done."""
        events, again, _ = self._intake.reject(self._outbox.clear(), error)
        self._outbox.put_back(again)
        return self._with_others(events)

    def _with_others(self, events: list[Any]) -> list[Any]:
        before, self._events = self._events, []
        return before + events

    # Time

    def tick(self, now: float) -> list[Any]:
        """Tell the time; returns what it brings about."""
        self.now = max(self.now, now)
        events, self._events = self._events, []
        if self._lapse <= self.now:
            self._end_leases()
        for consumer in self._consumers.due(self.now):
            self._flush(consumer, events)
        self._consumers.wake(self.now)
        return events

    def _end_leases(self) -> None:
        for token in ended(self._leases, self.now):
            self.totals["lapsed"] += 1
            self._give_back(token, "the lease ended", 0.0)
        self._lapse = min((lease.deadline for lease in self._leases.values()), default=NEVER)

    @property
    def deadline(self) -> float | None:
        """When :meth:`tick` wants to be called, and :meth:`operations` behind it."""
        times = [self._lapse, self._consumers.deadline]
        if not self._outbox.sent:
            times.append(self._store_deadline())
        soonest = min(times)
        return None if soonest == NEVER else soonest

    def _store_deadline(self) -> float:
        if self._outbox.waiting:
            return max(self._stalled, 0.0)
        soonest = self.counts.soonest / 1000
        if self._consumers.hungry and self.counts.ready and not self.closing:
            soonest = min(soonest, self._allowance.next)
        return max(self._stalled, soonest)


_RESULTS: dict[type, Callable[[Queue, Any, Any, Any, list[Any]], None]] = {
    Bodies: Queue._stored,
    Insert: Queue._inserted,
    Claim: Queue._claimed,
    **dict.fromkeys((Delete, Release, Bury, Sweep, Drop, Peek), Queue._settled),
    **dict.fromkeys((Purge, Redrive), Queue._shared),
}
