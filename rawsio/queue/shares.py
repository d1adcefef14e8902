"""Requests about any number of messages, done in shares, so that others have turns in between.

A purge of a hundred thousand messages in one operation would keep everybody else waiting: the loop,
where messages are in memory, or the one transaction that a file has at a time.
"""

from __future__ import annotations

from .operations import Purge, Redrive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Share"]


class Share:
    """Who is told when the last share is done: ``ticket``; ``done`` messages are.

    >>> share = Share("ticket", 2, 1000)
    >>> share.begin(Redrive("jobs", 1000))
    Redrive(queue='jobs', count=2)
    >>> share.follow(Redrive("jobs", 2), 1) is None, share.done
    (True, 1)
    """

    __slots__ = ("ticket", "done", "_most", "_size")

    def __init__(self, ticket: Any, most: int, size: int) -> None:
        self.ticket = ticket
        self.done = 0
        self._most = most
        self._size = size

    def begin(self, operation: Any) -> Any:
        """Return the operation for the first share, or the next one."""
        operation.count = min(self._size, self._most - self.done)
        return operation

    def follow(self, operation: Any, result: Any) -> Any:
        """Take what an operation gave; return the next one, or ``None`` if that was the last."""
        last, many = result if operation.__class__ is Purge else (0, result)
        self.done += many
        if many < operation.count or self.done >= self._most:
            return None
        if operation.__class__ is Purge:
            return self.begin(Purge(operation.queue, operation.states, 0, last))
        return self.begin(Redrive(operation.queue, 0))
