"""Questions to the other servers of a cluster that are not answered yet.

A server cannot know who will answer, only how many servers listen, and each of them answers once.
So a :class:`Question` counts.  When its time is over it ends with what has come, and says who is
silent as well as that can be told: servers of this library announce themselves and sign their
answers; of others it is known how many there are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["UNKNOWN", "Question"]

UNKNOWN = "unknown"
"""Stands in ``missing`` for a server whose name is not known."""


class Question:
    """One question: collects ``items`` until every server has answered.

    ``ended(question)`` is called once: with the last answer, at the time-out (:meth:`expire`), or
    when the missing ones have left.
    """

    __slots__ = ("answered", "done", "ended", "expected", "ids", "items", "timer", "uids")

    def __init__(self, items: Iterable[Any], ended: Callable[[Question], None]) -> None:
        self.items = list(items)
        self.ended = ended
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
        if self.expected is not None and self.answered >= self.expected:
            self._end()

    def _end(self) -> None:
        if not self.done:
            self.done = True
            timer, self.timer = self.timer, None
            if timer is not None:
                timer.cancel()
            self.ended(self)
