"""What a queue asks of its store, and what every store promises.

A store keeps messages and knows nothing of consumers, clocks or time-outs.  It is given a list of
operations and does all of them, in their order, or none.  A message is in one of five states:

    READY     may be claimed
    DELAYED   becomes ready at its ``due`` time
    BLOCKED   waits for an earlier message of its group to be gone
    LEASED    is with a consumer; ``lease`` is the number of that claim
    DEAD      a dead letter, until it is redriven or purged

Of a group at most one message is ready, delayed or leased: the one that was published first.  When
that is gone, the store makes the next one ready in the same transaction, so claims never have to
skip rows.

Times are integers of milliseconds since 1970.  Every operation on a leased message names its lease,
and does nothing if the message is no longer leased by that number.

``tests/queue/contract.py`` holds the tests that every store has to pass.
"""

from __future__ import annotations

from rawsio.errors import RawsioError
from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

__all__ = [
    "ANY",
    "BLOCKED",
    "DEAD",
    "DELAYED",
    "LEASED",
    "READY",
    "STATES",
    "Bodies",
    "Bury",
    "Claim",
    "Counts",
    "Delete",
    "INTERRUPTED",
    "Drop",
    "Insert",
    "Peek",
    "Purge",
    "Redrive",
    "Release",
    "Row",
    "Store",
    "StoreError",
    "Sweep",
    "Write",
]

READY, DELAYED, BLOCKED, LEASED, DEAD = range(5)
STATES = ("ready", "delayed", "blocked", "leased", "dead")
"""The names of the states, by their numbers."""
_NEVER = float("inf")
ANY = 2**53
"""More than any id: JSON and Redis have no longer numbers."""

INTERRUPTED = "the process ended while this message was being processed"
"""The error of a message whose delivery nobody could end."""


class StoreError(RawsioError):
    """A store could not do a batch; nothing of it was done.

    ``full`` tells that room is missing: without its inserts the batch may succeed.
    """

    def __init__(self, message: str, *, full: bool = False) -> None:
        super().__init__(message)
        self.full = full


@record
class Insert:
    """Store a message; gives ``(id, known)``, or ``None`` if it was refused.

    ``known`` tells that the key was published before ``until`` of that publish, and ``id`` is the
    first message's.  With ``known_only`` nothing is stored: there is no room for a new message.
    """

    queue: str
    body: bytes
    published: int
    priority: int = 0
    due: int = 0
    expires: int | None = None
    group: str | None = None
    key: str | None = None
    until: int = 0
    known_only: bool = False


@record
class Bodies:
    """Store messages that are ready and nothing but a body; gives their ids, in their order."""

    queue: str
    published: int
    bodies: list[bytes]


@record
class Claim:
    """Lease the next ready messages, highest priority first, then oldest; gives rows.

    ``lease`` is a number that no other claim on this file ever had.
    """

    queue: str
    count: int
    lease: int


@record
class Delete:
    """A leased message is done: delete it."""

    queue: str
    id: int
    lease: int
    size: int
    group: str | None = None


@record
class Release:
    """Give a leased message back, to be ready at ``due`` (0: now).

    ``counted=False`` takes the delivery back: no consumer has seen it.
    """

    queue: str
    id: int
    lease: int
    due: int = 0
    error: str | None = None
    counted: bool = True


@record
class Bury:
    """Make a leased message a dead letter, with the last error."""

    queue: str
    id: int
    lease: int
    error: str
    group: str | None = None


@record
class Drop:
    """Delete the oldest messages that nobody holds, dead letters first; gives how many.

    At least ``count`` messages, and ``bytes`` bytes of bodies, if there are so many.
    """

    queue: str
    count: int
    bytes: int = 0


@record
class Sweep:
    """Make ready what has become due, delete what has expired; gives how many expired.

    Of both not more than ``count``: the rest is for the next one.  Until then claims give nothing,
    because they might find what has expired.
    """

    queue: str
    now: int
    count: int


@record
class Purge:
    """Delete the newest messages in the named states; gives the id of the last, and how many.

    Not more than ``count``, and only those with an id below ``before``: so one purge after another
    ends, however fast others publish.  Newest first, so no message of a group becomes ready only to
    be deleted by the next purge.
    """

    queue: str
    states: tuple[int, ...]
    count: int
    before: int = ANY


@record
class Redrive:
    """Give the oldest dead letters new deliveries; gives how many."""

    queue: str
    count: int


@record
class Peek:
    """Look at messages, oldest first, behind the id ``after``; ``state=None`` means all.

    Fewer than ``count`` if their bodies have ``room`` bytes.
    """

    queue: str
    state: int | None
    count: int
    after: int = 0
    room: int = 1_000_000


@record
class Write:
    """Rows for a statement of SQL: what else a file is for, committed with the queues' work.

    ``size`` is how many bytes it adds to the file, about: refused if there is no room for them.
    ``sync`` has the disk take this transaction and those before it, whatever ``synchronous`` says.
    """

    sql: str
    rows: list[tuple[Any, ...]]
    size: int = 0
    sync: bool = False


@record
class Row:
    """A message as a store gives it; ``deliveries`` counts the claim that gives it."""

    id: int
    state: int
    body: bytes
    size: int
    deliveries: int
    published: int
    priority: int = 0
    due: int = 0
    expires: int | None = None
    group: str | None = None
    key: str | None = None
    error: str | None = None


@record
class Counts:
    """How a queue stands: messages by state, bytes of their bodies, and the times to come.

    ``due`` and ``expires`` are not later than the first time at which a :class:`Sweep` would find
    something; ``head`` is when the next message to be claimed was published.
    """

    ready: int = 0
    delayed: int = 0
    blocked: int = 0
    leased: int = 0
    dead: int = 0
    bytes: int = 0
    due: int | None = None
    expires: int | None = None
    head: int | None = None

    @property
    def total(self) -> int:
        """All messages, dead letters included."""
        return self.ready + self.delayed + self.blocked + self.leased + self.dead

    @property
    def soonest(self) -> float:
        """When a :class:`Sweep` may find something; ``inf`` if nothing is to come."""
        due = _NEVER if self.due is None else self.due
        return due if self.expires is None else min(due, self.expires)

    def shown(self, now: float) -> dict[str, float]:
        """Return the numbers by name, and ``oldest_age`` of what is next, in seconds."""
        shown: dict[str, float] = {name: getattr(self, name) for name in STATES}
        shown["bytes"] = self.bytes
        shown["oldest_age"] = 0.0 if self.head is None else max(0.0, now - self.head / 1000)
        return shown

    def copy(self) -> Counts:
        """Return the same numbers."""
        return Counts(*[getattr(self, name) for name in self.__match_args__])

    def move(self, before: int | None, after: int | None, count: int = 1) -> None:
        """Count messages that changed their state; ``None`` is: not there."""
        if before is not None:
            name = STATES[before]
            setattr(self, name, getattr(self, name) - count)
        if after is not None:
            name = STATES[after]
            setattr(self, name, getattr(self, name) + count)


if TYPE_CHECKING:

    class Store(Protocol):
        """Where messages are."""

        durable: bool
        """Whether what was committed is there again after a crash."""

        def open(self, queue: str, max_deliveries: int, now: int, /) -> tuple[Counts, int]:
            """Begin to serve a queue, made if it is new; give its counts and a number.

            Leases of a former run end: such a message is ready again, or a dead letter if it was
            delivered ``max_deliveries`` times.  The number is higher than all that were given
            before, for this file.
            """
            ...

        def apply(self, operations: list[Any], /) -> list[Any]:
            """Do all operations, in order, or none; give the result of each.

            Raises :class:`StoreError`.
            """
            ...

        def counts(self, queue: str, /) -> Counts:
            """Return how a queue stands after the last :meth:`apply`."""
            ...

        def close(self) -> None:
            """Let go of it; what was committed stays."""

else:
    Store = object
