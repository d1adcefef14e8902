"""Questions to the other servers of a cluster that are not answered yet.

A server cannot know who will answer, only how many servers listen, and each of them answers once.
So a :class:`Question` counts.  When its time is over it ends with what has come, and says who is
silent as well as that can be told: servers of this library announce themselves and sign their
answers; of others it is known how many there are.

A server that hangs, or that the network has swallowed, is counted until somebody notices.  The
first question waits for it as long as it may; :class:`Silence` remembers it, and the next ones wait
a moment for it once all others have answered.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["UNKNOWN", "Question", "Silence"]

UNKNOWN = "unknown"
"""Stands in ``missing`` for a server whose name is not known."""


class Silence:
    """Which servers have not answered the last question.

    >>> silence = Silence()
    >>> silence.learn(["a", UNKNOWN])
    >>> silence.among({"b"}), silence.among({"a", "b"})
    (2, 1)
    """

    __slots__ = ("names", "nameless")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.nameless = 0
        """How many there are whose names are not known."""

    def learn(self, missing: list[str]) -> None:
        """Take note of who has not answered; all others have, or have left."""
        self.names = {name for name in missing if name != UNKNOWN}
        self.nameless = missing.count(UNKNOWN)

    def heard(self, uid: str) -> None:
        """Take note that a server said something."""
        self.names.discard(uid)

    def left(self, uid: str) -> None:
        """Take note that a server is forgotten: it may be counted all the same."""
        if uid in self.names:
            self.names.discard(uid)
            self.nameless += 1

    def among(self, answered: set[str]) -> int:
        """Return how many are silent, if these are not."""
        return len(self.names - answered) + self.nameless


class Question:
    """One question: collects ``items`` until every server has answered.

    ``ended(question)`` is called once: with the last answer, at the time-out (:meth:`expire`), or
    when the missing ones have left.  ``lingers(question)`` is called when only those have not
    answered of whom nobody hopes much.
    """

    __slots__ = (
        *("answered", "done", "ended", "expected", "ids", "items", "timer", "uids"),
        *("lingering", "lingers", "silence", "patient"),
    )

    def __init__(
        self,
        items: Iterable[Any],
        ended: Callable[[Question], None],
        silence: Silence,
        lingers: Callable[[Question], None],
        *,
        patient: bool,
    ) -> None:
        self.items = list(items)
        self.ended = ended
        self.lingering = False
        self.lingers = lingers
        self.silence = silence
        self.patient = patient
        """Whether it waits so long that who does not answer meanwhile is silent."""
        self.expected: int | None = None
        self.answered = 0
        self.uids: set[str] = set()
        self.ids: set[str] | None = None
        self.done = False
        self.timer: Any = None

    def expect(self, servers: int) -> None:
        """Say how many other servers there are."""
        self.expected = servers
        self._check()

    def add(self, items: Iterable[Any], uid: str) -> None:
        """Take the answer of one server; a second answer of the same one does not count."""
        if self.done or (uid and uid in self.uids):
            return
        if uid:
            self.uids.add(uid)
        self.answered += 1
        self.items += items
        self._check()

    def unseen(self, sockets: Iterable[Any]) -> list[Any]:
        """Return those of these sockets that are not among the items; they count as seen then."""
        ids = self.ids
        if ids is None:
            ids = self.ids = {socket.id for socket in self.items}
        new = [socket for socket in sockets if socket.id not in ids]
        ids.update(socket.id for socket in new)
        return new

    def left(self, uid: str) -> None:
        """Wait no longer for a server that has left the cluster."""
        if not self.done and self.expected is not None and uid not in self.uids:
            self.expected -= 1
            self._check()

    def silent(self, known: Iterable[str]) -> list[str]:
        """Return who has not answered: names where they are ``known``."""
        if self.expected is None:
            return sorted(set(known) - self.uids) or [UNKNOWN]
        number = max(0, self.expected - self.answered)
        named = sorted(set(known) - self.uids)[:number]
        return named + [UNKNOWN] * (number - len(named))

    def expire(self) -> None:
        """The time is over: end with what there is."""
        self._end()

    def _check(self) -> None:
        if self.expected is None:
            return
        if self.answered >= self.expected:
            self._end()
        elif not self.lingering and not self.done:
            self.lingering = self.answered + self.silence.among(self.uids) >= self.expected
            if self.lingering:
                self.lingers(self)

    def _end(self) -> None:
        if not self.done:
            self.done = True
            timer, self.timer = self.timer, None
            if timer is not None:
                timer.cancel()
            self.ended(self)
