"""A layer that shows what passes through another.

``Traced(layer, name, report)`` keeps the contract of :mod:`rawsio.layer` and forwards everything
to the layer it wraps.  ``report(name, direction, what, value)`` is called for each unit and each
event:

===========  ==========  ==================================================
direction    what        value
===========  ==========  ==================================================
``"in"``     ``"unit"``  a unit from below, before the layer sees it
``"in"``     ``"event"`` an event that the layer made of it
``"out"``    ``"event"`` an event that somebody sends
``"out"``    ``"unit"``  a unit that leaves the outbox
===========  ==========  ==================================================

A pile of layers is a layer, so a wrapper around one works at every level, and the layers themselves
need no hooks.  Formatting and time stamps are the reporter's.
"""

from __future__ import annotations

from .layer import Generic
from .log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from typing_extensions import TypeVar

    from .layer import Closing, Layer, Role
    from .log import Log

    UnitT = TypeVar("UnitT", default=Any)
    EventT = TypeVar("EventT", default=Any)
    Reporter = Callable[[str, str, str, Any], object]

    class Trace(Protocol):
        """What a server is given as ``trace``; :class:`rawsio.Recorder` is one."""

        def connection(self) -> Reporter:
            """Return what is told about one connection."""
            ...

        def session(self, sid: str, /) -> Reporter:
            """Return what is told about one session."""
            ...

    class ClientTrace(Protocol):
        """The same for a client, which says what it is."""

        def connection(self, role: Role, /) -> Reporter:
            """Return what is told about one connection."""
            ...


else:
    UnitT = EventT = None

__all__ = ["Guarded", "Traced", "recorder_at"]


class Guarded:
    """The ``trace`` of a server: what it raises is logged, and changes nothing.

    It has ``connection()`` and ``session(sid)``, which return reporters.
    """

    __slots__ = ("_trace", "_log")

    def __init__(self, trace: Trace | ClientTrace, log: Log) -> None:
        self._trace = trace
        self._log = log

    def connection(self, *role: Role) -> Reporter:
        """Return the reporter of one connection; a client says what it is."""
        return self._reporter(self._trace.connection, *role)

    def session(self, sid: str) -> Reporter:
        """Return the reporter of one session."""
        trace: Any = self._trace
        return self._reporter(trace.session, sid)

    def _reporter(self, make: Callable[..., Reporter], *args: Any) -> Reporter:
        try:
            report = make(*args)
        except Exception as error:  # noqa: BLE001 - it is the user's
            self._failed(error)
            return _unheard

        def guarded(name: str, direction: str, what: str, value: Any) -> None:
            try:
                report(name, direction, what, value)
            except Exception as error:  # noqa: BLE001 - it is the user's
                self._failed(error)

        return guarded

    def _failed(self, error: Exception) -> None:
        self._log("handler", ERROR, "trace failed", error)


def _unheard(_name: str, _direction: str, _what: str, _value: Any) -> None:
    """Stand in for a reporter that could not be made."""


def recorder_at(path: str) -> Any:
    """Return the recorder to a path, the same for all of the process.

    The path ends in ``.pcapng``, ``.har`` or ``.jsonl``; the file is completed when the program
    ends.
    """
    if path not in _recorders:
        import atexit

        from .tracing import Recorder

        _recorders[path] = Recorder(path)
        atexit.register(_recorders[path].close)
    return _recorders[path]


_recorders: dict[str, Any] = {}


class Traced(Generic[UnitT, EventT]):
    """A layer around a layer, which reports units and events; see the module's table.

    Attributes that are not of the contract are those of the wrapped layer.
    """

    __slots__ = ("layer", "name", "_report")

    def __init__(self, layer: Layer[UnitT, EventT], name: str, report: Reporter) -> None:
        self.layer = layer
        self.name = name
        self._report = report

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return self.layer.deadline

    @property
    def closing(self) -> Closing:
        """What the driver should do with the connection."""
        return self.layer.closing

    @property
    def reading(self) -> bool:
        """Whether the layer can use more input."""
        return self.layer.reading

    def receive(self, unit: UnitT) -> list[EventT]:
        """Feed one unit from below."""
        self._report(self.name, "in", "unit", unit)
        return self._events(self.layer.receive(unit))

    def receive_eof(self) -> list[EventT]:
        """The peer sends no more."""
        return self._events(self.layer.receive_eof())

    def tick(self, now: float) -> list[EventT]:
        """Tell the layer the time."""
        return self._events(self.layer.tick(now))

    def send(self, event: EventT) -> None:
        """Send an event; reported only if the layer took it."""
        self.layer.send(event)
        self._report(self.name, "out", "event", event)

    def send_prepared(self, prepared: Any) -> None:
        """Send a prepared packet; reported only if the layer took it."""
        layer: Any = self.layer
        layer.send_prepared(prepared)
        self._report(self.name, "out", "event", prepared)

    def transmit(self, prepared: Any) -> list[UnitT]:
        """Send a prepared packet, and drain the outbox."""
        layer: Any = self.layer
        units: list[UnitT] = layer.transmit(prepared)
        self._report(self.name, "out", "event", prepared)
        for unit in units:
            self._report(self.name, "out", "unit", unit)
        return units

    def data_to_send(self) -> list[UnitT]:
        """Drain the outbox."""
        units = self.layer.data_to_send()
        for unit in units:
            self._report(self.name, "out", "unit", unit)
        return units

    def _events(self, events: list[EventT]) -> list[EventT]:
        for event in events:
            self._report(self.name, "in", "event", event)
        return events
