"""How much memory all clients of a server hold together, and who has to go when that is too much.

Every queue has a limit of its own, but a thousand queues just below theirs are gigabytes.  The
:class:`Budget` adds up what the peers make the server hold:

- bytes that the kernel does not take, and packets that no poll takes (what many wait for counts
  once);
- messages, heads and bodies that are not whole, and input that waits for its turn;
- the heads of first requests, and the data of CONNECTs, by what they became; the last heads of a
  connection, which are kept because they may come again;
- events that wait for their handlers;
- what compression keeps between two messages: 0.3 MB for a connection;
- what recovery keeps.

What every open connection costs anyway is not in it: ``limits.connections`` and ``limits.sessions``
bound that, and so whoever holds less than a kilobyte is not looked at.

**It asks only those that did something.**  The driver says whom it flushes; a fiftieth of a second
after the first of them each is measured again, and the sum is changed by the difference.  So the
cost is a few microseconds for each connection that was busy meanwhile, however often it was and
however many are open, and the sum is at most that old, and a few turns where many were.

Above ``limits.memory`` the server sheds.  First it lets go of what makes compression better, and of
heads that may come again: every message can do without.  Then whoever holds the most is closed, and
the next, until it holds seven eighths of it.

**Handlers outlive their client.**  What those were given whose client is gone is counted until they
end (``departed``), but closing others would not make it less: so nobody is closed for it.  Where
they and all others hold too much, events of such clients that have not begun are dropped, and if
that is not enough there are no new sessions until enough handlers have ended: else who starts a
slow handler and leaves, again and again, could have as many as he likes.  Nobody is kept out while
they hold less than a quarter of the budget: then it is those who are here that hold much.
"""

from __future__ import annotations

from itertools import islice

from rawsio.engineio.server.session import Session
from rawsio.log import WARNING
from rawsio.net.write_buffer import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from rawsio.net.driver import Driver
    from rawsio.runtime import Runtime

    Target = Any

    class Kept(Protocol):
        """What is kept for those who may come back."""

        bytes: int


__all__ = ["Budget"]

_PAUSE = 0.02
"""Seconds after which the busy are measured: nobody can send much more than that in these."""

_AGAIN = 1.0
"""Seconds after which it is looked whether handlers of those who are gone have ended."""

_GONE = 4096
"""Bytes of a client that is gone which a handler keeps, beside what it was given."""

_FEW = 64
"""How many are measured between two looks at the clock."""

_SMALL = 1024
"""Who holds less is not counted."""

_PARTS = (
    *("unsent", "unpolled", "incoming", "heads", "connect_data", "queued", "departed"),
    "recovery",
)
"""What the sum is made of."""


class _Queue:
    """What waits for the poll of one session: bytes of its own, and packets of many in the pool."""

    __slots__ = ("outbox", "counted", "own", "pooled", "_pool")

    def __init__(self, outbox: list[Any], pool: Pool) -> None:
        self.outbox = outbox
        self.counted = self.own = 0
        self.pooled: list[Any] = []
        self._pool = pool

    def count(self) -> None:
        """Count what has come since the last time: a packet stays until all are taken."""
        for packet in self.outbox[self.counted :]:
            if isinstance(packet, (str, bytes)):
                self.own += len(packet)
            elif packet.size < _SMALL:
                self.own += packet.size
            else:
                self._pool.add(packet, packet.size)
                self.pooled.append(packet)
        self.counted = len(self.outbox)

    def drop(self) -> None:
        """Take note that all were taken."""
        for packet in self.pooled:
            self._pool.remove(packet, packet.size)

    @property
    def size(self) -> int:
        """How long all of them are together."""
        pooled: int = sum(packet.size for packet in self.pooled)
        return self.own + pooled


class _Nothing:
    """What is kept where nobody can come back."""

    bytes = 0


class Budget:
    """Adds up and sheds; see the module.

    ``sessions()`` gives those that are open, ``admit(yes)`` lets new ones in or not, ``shrink()``
    makes recovery forget the older half of what it keeps, and ``kept.bytes`` is how much that is.
    :meth:`watch` gives it the driver, which then calls it.
    """

    def __init__(
        self,
        host: Runtime,
        sessions: Callable[[], Iterable[Session]],
        admit: Callable[[bool], None],
        shrink: Callable[[], None],
        kept: Kept | None = None,
    ) -> None:
        self._host = host
        self._sessions = sessions
        self._admit = admit
        self._shrink = shrink
        self._kept: Kept = _Nothing() if kept is None else kept
        self._most = host.limits.memory
        self._streams: set[Any] = set()
        self._pool = Pool()
        self._busy: dict[Target, Any] = {}
        self._held: dict[Target, int] = {}
        self._sum = 0
        self._queues: dict[Session, _Queue] = {}
        self._unpolled = Pool()
        self._timer: Any = None
        # What the handlers of each client hold that is gone; the sum; who is looked at again next.
        self._departed: dict[Any, int] = {}
        self._gone = 0
        self._looking: list[Any] = []
        self._watching = False
        self._full = False

    def watch(self, driver: Driver) -> None:
        """Look after the connections of this driver."""
        self._streams, self._pool = driver.streams, driver.pool
        driver.meter = self

    # What the driver says

    def flushed(self, targets: dict[Target, Any]) -> None:
        """Take note of those who did something in this turn."""
        self._busy.update(targets)
        if self._timer is None and targets:
            self._timer = self._host.call_later(_PAUSE, self._time_is_up)
        # What `total` is, written out: what many wait for, and recovery, are known in every turn.
        known = self._sum + self._pool.size + self._unpolled.size
        if known + self._kept.bytes > self._most:
            self.measure()

    def forget(self, target: Target) -> None:
        """Take note that a stream or session is over."""
        self._busy.pop(target, None)
        if self._held:
            self._sum -= self._held.pop(target, 0)
        if self._queues:
            self._drop_queue(target)
        if target.__class__ is Session and target.user.queued_bytes:
            if self._full:
                target.user.abandon()
            self._count(target.user)
            if not self._watching:
                self._watching = True
                self._host.call_later(_AGAIN, self._look_again)
            if self.total + self._gone > self._most:
                self._judge()

    def _count(self, user: Any) -> None:
        """Count what handlers hold whose client is gone, or let go of it if they have ended."""
        held = user.queued_bytes
        held += _GONE if held else 0
        self._gone += held - self._departed.pop(user, 0)
        if held:
            self._departed[user] = held

    def _look_again(self) -> None:
        """See which handlers of those who are gone have ended; there may be ten thousands."""
        self._looking = self._looking or list(self._departed)
        looking, end = self._looking, self._host.time() + self._host.limits.turn_time
        while looking and self._host.time() < end:
            for user in looking[-_FEW:]:
                self._count(user)
            del looking[-_FEW:]
        self._judge()
        self._watching = bool(self._departed)
        if self._watching:
            self._host.call_later(0.0 if looking else _AGAIN, self._look_again)

    def _judge(self) -> None:
        """Let nobody in while handlers of those who are gone hold too much."""
        full = self.total + self._gone > self._most
        if full and not self._full:
            for user in list(self._departed):
                user.abandon()
                self._count(user)
            full = self.total + self._gone > self._most
        full = full and self._gone > self._most // 4
        if full is not self._full:
            self._full = full
            self._admit(not full)
            if full:
                self._host.log("net", WARNING, self._told())

    def _told(self) -> str:
        return (
            f"handlers of {len(self._departed)} clients that are gone hold {self._gone} bytes, all"
            f" together may hold {self._most}: no new sessions until some have ended"
            " [layers-memory-departed]"
        )

    def _time_is_up(self) -> None:
        """Measure some of those who did something; there may be ten thousand of them."""
        self._timer = None
        busy, end = self._busy, self._host.time() + self._host.limits.turn_time
        while busy and self._host.time() < end:
            for target in [*islice(busy, _FEW)]:
                del busy[target]
                self._measure(target)
        if busy:
            self._timer = self._host.call_later(0.0, self._time_is_up)
        if self.total > self._most:
            self.measure()
        elif self._gone:
            self._judge()

    # Measuring

    @property
    def total(self) -> int:
        """Bytes that are held for those who are here, as far as they were measured."""
        pooled = self._pool.size + self._unpolled.size
        return self._sum + pooled + self._kept.bytes

    def measure(self) -> None:
        """Measure those who did something, and shed if all is too much."""
        busy, self._busy = self._busy, {}
        for target in busy:
            self._measure(target)
        if self._gone and not self._full:
            self._judge()
        if self.total > self._most:
            self._shed()

    def _measure(self, target: Target) -> None:
        if target.__class__ is Session:
            if target.polled:
                self._note(target, self._of_session(target))
            return
        if target not in self._streams:  # touched after its end
            return
        held = target.own + target.layer.held
        session = target.tag.user.session
        if session is not None and session.owns(target.tag):
            held += session.held
            if session in self._held or session in self._queues:  # it polled until now
                self._note(session, 0)
                self._drop_queue(session)
        self._note(target, held)

    def _of_session(self, session: Session) -> int:
        outbox = session.connection.waiting
        queue = self._queues.get(session)
        if queue is not None and queue.outbox is not outbox:
            self._drop_queue(session)
            queue = None
        if outbox is None:
            return session.held
        if queue is None:
            queue = self._queues[session] = _Queue(outbox, self._unpolled)
        queue.count()
        return session.held + queue.own

    def _drop_queue(self, session: Target) -> None:
        queue = self._queues.pop(session, None)
        if queue is not None:
            queue.drop()

    def _note(self, target: Target, held: int) -> None:
        before = self._held.get(target, 0)
        if held >= _SMALL:
            self._held[target] = held
            self._sum += held - before
        elif before:
            del self._held[target]
            self._sum -= before

    # Shedding

    def _shed(self) -> None:
        low, before = self._most - self._most // 8, self.total
        # What only makes compression better, or the next request cheaper, goes first.
        for stream in [stream for stream in self._held if stream in self._streams]:
            stream.tag.relax()
            self._measure(stream)
        for weight, target in self._ranked():
            while self._kept.bytes > weight and self.total > low:
                kept = self._kept.bytes
                self._shrink()
                if self._kept.bytes >= kept:
                    break
            if self.total <= low:
                break
            if target.__class__ is Session or target in self._streams:  # it may have gone with one
                self._cut(target, weight, before)
        if self.total > low and self._kept.bytes:
            self._shrink()

    def _ranked(self) -> Iterator[tuple[int, Target]]:
        """Give the streams and sessions, and what each holds; the worst first."""
        weights = dict(self._held)
        for stream in self._streams:
            shared = stream.buffered_amount - stream.own
            if shared:
                weights[stream] = weights.get(stream, 0) + shared
        for session, queue in self._queues.items():
            weights[session] = session.held + queue.size
        worst = sorted(weights, key=weights.__getitem__, reverse=True)
        return ((weights[target], target) for target in worst)

    def _cut(self, target: Target, weight: int, total: int) -> None:
        session = target if target.__class__ is Session else target.tag.user.session
        reason = f"closed: it holds {weight} bytes of {total}, all together may hold {self._most}"
        rule = "layers-memory-shed"
        if session is not None and (session is target or session.owns(target.tag)):
            session.cut_off(reason, rule)
        else:
            self._host.log("net", WARNING, f"{target.tag.address}: {reason} [{rule}]")
            target.abort("the server has too little memory")
        self.forget(target)

    # For the operator

    def stats(self) -> dict[str, int]:
        """Return how many bytes are held, for what, and how many may be."""
        parts = dict.fromkeys(_PARTS, 0)
        for stream in self._streams:
            parts["unsent"] += stream.own
            parts["incoming"] += stream.layer.held
        for session in self._sessions():
            parts["heads"] += session.head_size
            if session.polled:
                self._note(session, self._of_session(session))
            parts["incoming"] += session.user.incoming
            parts["connect_data"] += session.user.connect_data
            parts["queued"] += session.user.queued_bytes
        parts["unpolled"] = sum(queue.own for queue in self._queues.values()) + self._unpolled.size
        parts["unsent"] += self._pool.size
        parts["recovery"] = self._kept.bytes
        for user in list(self._departed):
            self._count(user)
        parts["departed"] = self._gone
        return {"total": sum(parts.values()), "most": self._most, **parts}
