"""What all connections of one loop share: the list of the touched, the timers, the limits.

The one idea: **nobody writes when asked to; everybody writes once at the end of the turn**.
Whoever puts something into a layer's outbox touches the connection; one ``call_soon`` flushes all
that were touched.  Ten small answers to one read, or four broadcasts to a thousand clients, cost
one system call for each connection.

Anything hashable with a ``flush()`` can be touched: a :class:`~rawsio.net.tcp.TCPStream`, or a
session that answers its waiting poll with all that was queued.  What is flushed may touch others
(the session its connection), which are flushed in the same turn.  What raises while it is flushed
is logged and, if it has an ``abort(reason)``, aborted.

What is left out: which loop it is (ours, asyncio's), and which protocol.
"""

from __future__ import annotations

from rawsio import log
from rawsio.limits import DEFAULT

from .timers import Timers
from .unsent import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.limits import Limits

    class Meter(Protocol):
        """Hears who was busy, and who is gone."""

        def flushed(self, targets: dict[Any, Any]) -> None:
            """These are flushed in this turn."""

        def forget(self, target: Any) -> None:
            """This one is over."""

    from .handles import AnyLoop
    from .timers import Report

__all__ = ["Driver"]


def _no_report(target: Any, _events: list[Any]) -> None:
    raise TypeError(f"{type(target).__name__}.tick() gave events, and nobody takes them")


class Driver:
    """The shared half of every connection on ``loop``; see the module's essay.

    ``streams`` are the open connections; ``log`` is limited in rate.  ``on_events(target, events)``
    takes the events of watched targets that have no ``on_events`` of their own.  ``pool`` counts
    what several of them have not sent yet; ``meter``, if there is one, hears who is busy.
    """

    __slots__ = (
        "loop",
        "limits",
        "streams",
        "timers",
        "log",
        "time",
        "dirty",
        "pool",
        "meter",
        "_call_soon",
    )

    def __init__(
        self, loop: AnyLoop, limits: Limits = DEFAULT, on_events: Report = _no_report
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.streams: set[Any] = set()
        self.pool = Pool()
        self.meter: Meter | None = None
        self.log = log.Log(loop.time)
        self.time = loop.time
        self.timers = Timers(loop, on_events, self.log)
        # What was touched, in order.  A dict, not a list: touched twice is flushed once.
        self.dirty: dict[Any, None] = {}
        self._call_soon = loop.call_soon

    def touch(self, target: Any) -> None:
        """Have ``target.flush()`` called at the end of this turn (outside one: of the next)."""
        if not self.dirty:
            self.schedule()
        self.dirty[target] = None

    def schedule(self) -> None:
        """Have ``flush`` called: what ``touch`` does first, when nothing was touched yet."""
        self._call_soon(self.flush)

    def watch(self, target: Any) -> None:
        """See to it that ``target`` is ticked at its deadline; call it when that may have moved."""
        self.timers.watch(target)

    def forget(self, target: Any) -> None:
        """Drop the target: it is neither flushed nor ticked any more."""
        self.dirty.pop(target, None)
        self.timers.forget(target)
        if self.meter is not None:
            self.meter.forget(target)

    def flush(self) -> None:
        """Flush all that was touched, and what that touches, now."""
        if self.meter is not None:
            self.meter.flushed(self.dirty)
        dirty, self.dirty = self.dirty, {}
        self._flush(dirty)
        if self.dirty:
            dirty, self.dirty = self.dirty, {}
            self._flush(dirty)

    def _flush(self, targets: dict[Any, None]) -> None:
        for target in targets:
            try:
                target.flush()
            except Exception as error:  # noqa: BLE001 - one connection must not stop the others
                self.log("net", log.ERROR, "a flush raised an exception", error)
                abort = getattr(target, "abort", None)
                if abort is not None:
                    abort("internal error")
