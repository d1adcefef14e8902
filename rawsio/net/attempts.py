"""Which addresses of a name to try, and when: "happy eyeballs" (RFC 8305), without sockets.

Of the addresses of a name some may lead nowhere without saying so.  So the next one is tried
:data:`STAGGER` seconds after the last, while that is still on its way, and at once when the last
one failed; the first that answers wins.  The two families take turns (section 4), because where
one address of a family leads nowhere, its others mostly do, too.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["STAGGER", "Attempts", "in_order"]

STAGGER = 0.25
"""Seconds between two attempts (RFC 8305 section 8)."""


def in_order(found: list[Any], good: Any = None, doubted: Sequence[Any] = ()) -> list[Any]:
    """Return what ``getaddrinfo`` gave in the order of trying.

    ``good`` answered the last time; those in ``doubted`` did, and were no use: they are the last.

    >>> found = [(6, "s", 0, "", "a"), (6, "s", 0, "", "b"), (4, "s", 0, "", "c")]
    >>> [address[4] for address in in_order(found)], in_order(found, "b")[0][4]
    (['a', 'c', 'b'], 'b')
    >>> [address[4] for address in in_order(found, doubted=["a"])]
    ['c', 'b', 'a']
    """
    if not found:
        return []
    first = found[0][0]
    ours = [address for address in found if address[0] == first]
    theirs = [address for address in found if address[0] != first]
    mixed = []
    while ours or theirs:
        mixed += ours[:1] + theirs[:1]
        del ours[:1], theirs[:1]
    late = {address: place for place, address in enumerate(doubted, 1)}
    return sorted(mixed, key=lambda found: -1 if found[4] == good else late.get(found[4], 0))


class Attempts:
    """The addresses that are left, and when the next one is due.

    ``deadline`` is when :meth:`next` has to be asked again, ``None`` for never.

    >>> attempts = Attempts(["a", "b"])
    >>> attempts.next(10.0), attempts.next(10.1), attempts.deadline
    ('a', None, 10.25)
    >>> attempts.next(10.25), attempts.deadline
    ('b', None)
    """

    __slots__ = ("deadline", "_left", "_pending")

    def __init__(self, addresses: list[Any]) -> None:
        self.deadline: float | None = 0.0 if addresses else None
        self._left = addresses
        self._pending = 0

    @property
    def over(self) -> bool:
        """Whether every attempt has failed, and no address is left."""
        return not self._left and not self._pending

    def next(self, now: float) -> Any:
        """Return the address to try now, which is on its way then; ``None`` if none is due."""
        if self.deadline is None or now < self.deadline:
            return None
        address = self._left.pop(0)
        self._pending += 1
        self.deadline = now + STAGGER if self._left else None
        return address

    def failed(self) -> None:
        """Take note that an attempt failed: the next one is due at once."""
        self._pending -= 1
        if self._left:
            self.deadline = 0.0
