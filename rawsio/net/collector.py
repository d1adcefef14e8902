"""The cyclic collector of CPython, kept from stopping everybody.

A full collection looks at every object that could be part of a ring: at 10,000 connections a
quarter of a million, and nobody is served meanwhile.  It finds nothing of ours, since a connection
that ends leaves no ring; reference counts free it.

So what has survived two young collections is *frozen*: ``gc.freeze`` moves it out of the
collector's sight, which takes no time, however much it is.  Young objects are collected as ever,
the rings of handlers among them.  What is lost is rings that an application makes of objects that
have lived for long.  Therefore memory is watched: once each session takes twice as much as after
the last full collection, all is thawed, and the collector's next full one looks at everything.

``Server.run`` does this by itself, for there the process is the server's.  Everywhere else it is
the program's, which may ask for it::

    io = Server(extensions=[Collector()])

A program that freezes by itself, or has no collector (``gc.disable()``), is left alone.
"""

from __future__ import annotations

import gc
from sys import getallocatedblocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Collector"]

_OTHERS = 1000
"""Sessions to which the program itself is counted equal, so that the first few are no growth."""

_INTERPRETERS_OWN = 2000
"""More objects than CPython itself has out of sight from its start (3.12 some four hundred)."""


class Collector:
    """Freezes what has lived long, while a server runs: an extension (:mod:`rawsio.extension`).

    ``sessions`` tells how many sessions there are: memory may grow with them.  One at a time works
    in a process; a second one that is started does nothing.

    >>> collector = Collector()
    >>> collector.start()
    >>> collector.working, gc.get_freeze_count() > 10_000
    (True, True)
    >>> collector.stop()
    >>> collector.working, gc.get_freeze_count()
    (False, 0)
    """

    __slots__ = ("_sessions", "_usual", "_thawed")

    def __init__(self, sessions: Callable[[], int] = int) -> None:
        self._sessions = sessions
        self._usual = 0.0
        self._thawed = False

    @property
    def working(self) -> bool:
        """Whether it is this one that works."""
        return self._collected in gc.callbacks

    def start(self, _runtime: object = None) -> None:
        """Freeze what there is, and from now on what survives."""
        if gc.get_freeze_count() > _INTERPRETERS_OWN or not gc.isenabled():
            return
        self._thawed = False
        self._usual = self._share()
        gc.freeze()
        gc.callbacks.append(self._collected)

    def stop(self, _deadline: float = 0.0) -> None:
        """Let the collector see everything again."""
        if self.working:
            gc.callbacks.remove(self._collected)
            gc.unfreeze()

    def _share(self) -> float:
        """Return how many blocks of memory a session takes, with its share of the program."""
        return getallocatedblocks() / (self._sessions() + _OTHERS)

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        """Take note of a collection: amid whatever allocated, so in few steps."""
        generation = info["generation"]
        if phase != "stop" or not generation:
            return
        if self._thawed:
            if generation == 1:
                return
            self._thawed = False
            self._usual = self._share()
        elif self._share() > 2 * self._usual:
            self._thawed = True
            gc.unfreeze()
            return
        gc.freeze()
