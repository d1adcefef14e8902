"""What a queue asks of its store: operations that wait, and those that the store has.

Most of what a busy queue is asked is to store messages that are nothing but a body.  Those that
come one behind the other become one operation, a *run*, with a list of tickets: so the price of an
operation, of its result and of its event is paid once for many messages.
"""

from __future__ import annotations

from .operations import Bodies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Entry = tuple[Any, Any]

__all__ = ["Outbox"]

_RUN = 256
"""The most messages of a run: so many are one statement of a SQLite store."""


class Outbox:
    """Operations, each with who is told of its result; a store gets ``most`` requests at a time.

    ``waiting`` counts the requests that wait, ``away`` those that are with the store: each message
    of a run is one.

    >>> outbox = Outbox(2000)
    >>> outbox.add_bodies("jobs", 0, ["ann"], [b"1"])
    >>> outbox.add_bodies("jobs", 0, ["bob"], [b"2"])
    >>> outbox.begin(), outbox.sent
    (True, [(Bodies(queue='jobs', published=0, bodies=[b'1', b'2']), ['ann', 'bob'])])
    """

    __slots__ = ("sent", "waiting", "away", "_entries", "_most", "_longest", "_run", "_tickets")

    def __init__(self, most: int) -> None:
        self.sent: list[Entry] = []
        self.waiting = self.away = 0
        self._entries: list[Entry] = []
        self._most = most
        self._longest = min(most, _RUN)
        # The run that the next message may join: it is the last entry.
        self._run: Bodies | None = None
        self._tickets: list[Any] = []

    def add(self, operation: Any, ticket: Any) -> None:
        """Let an operation wait."""
        self._entries.append((operation, ticket))
        self._run = None
        self.waiting += 1

    def add_bodies(
        self, queue: str, published: int, tickets: list[Any], bodies: list[bytes]
    ) -> None:
        """Let messages that are nothing but a body wait."""
        many = len(bodies)
        run = self._run
        if (
            run is not None
            and run.published == published
            and len(run.bodies) + many <= self._longest
        ):
            run.bodies += bodies
            self._tickets += tickets
            self.waiting += many
            return
        for at in range(0, many, self._longest):
            run = Bodies(queue, published, bodies[at : at + self._longest])
            self._tickets = tickets[at : at + self._longest]
            self.add(run, self._tickets)
            self._run = run
            self.waiting += len(run.bodies) - 1

    def begin(self) -> bool:
        """Send what the store shall do now; ``False`` if not all of what waits is in it."""
        self._run = None
        if self.waiting <= self._most:
            self.sent, self._entries = self._entries, []
            self.away, self.waiting = self.waiting, 0
            return True
        many = at = 0
        for operation, _ in self._entries:
            more = len(operation.bodies) if operation.__class__ is Bodies else 1
            if many + more > self._most:
                break
            many, at = many + more, at + 1
        self.sent, self._entries = self._entries[:at], self._entries[at:]
        self.away = many
        self.waiting -= many
        return False

    def send(self, operation: Any, at: int | None = None) -> None:
        """Send an operation of the queue's own, in front of the one ``at`` this place, or last."""
        entry = (operation, None)
        self.sent.insert(len(self.sent) if at is None else at, entry)
        self.away += 1

    def settle(self) -> list[Entry]:
        """Return what was sent: the store has answered."""
        sent, self.sent = self.sent, []
        self.away = 0
        return sent

    def clear(self) -> list[Entry]:
        """Return what waits, which is taken back."""
        entries, self._entries = self._entries, []
        self._run = None
        self.waiting = 0
        return entries

    def put_back(self, entries: list[Entry]) -> None:
        """Let operations wait that are to be tried again, before all others; no runs."""
        self._entries = entries + self._entries
        self.waiting += len(entries)
