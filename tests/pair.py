"""Two layers joined by wires that a test can cut, hold back and drain.

A ``Wire`` holds what one side sent and the other has not received yet.  For layers whose unit is
bytes it can be cut anywhere; for packet layers it is a queue of units.
"""

from __future__ import annotations

from typing import Any

from rawsio.layer import Role

__all__ = ["Pair", "Wire"]


class Wire:
    """What is in flight in one direction."""

    def __init__(self, *, bytewise: bool) -> None:
        self.bytewise = bytewise
        self.units: list[Any] = []
        self.all_units: list[Any] = []

    def put(self, units: list[Any]) -> None:
        """Put units into flight."""
        self.units += units
        self.all_units += units

    def size(self) -> int:
        """Return what is in flight: bytes, or units of a packet layer."""
        return sum(map(len, self.units)) if self.bytewise else len(self.units)

    def take(self, count: int) -> list[Any]:
        """Take ``count`` bytes (as one unit) or ``count`` units off the wire."""
        if not self.bytewise:
            taken, self.units = self.units[:count], self.units[count:]
            return taken
        joined = b"".join(self.units)
        self.units = [joined[count:]] if joined[count:] else []
        return [joined[:count]] if joined[:count] else []


class Pair:
    """A client layer and a server layer, joined.

    ``flatten`` expands what an outbox may hold in place of units (see ``rawsio.prepared``).
    """

    def __init__(
        self, client: Any, server: Any, *, bytewise: bool, flatten: Any = None, now: float = 0.0
    ) -> None:
        self.layers = {Role.CLIENT: client, Role.SERVER: server}
        self.wires = {role: Wire(bytewise=bytewise) for role in Role}
        self.received: dict[Role, list[Any]] = {role: [] for role in Role}
        self.now = now
        self._flatten = flatten or (lambda units: units)

    def drain(self, role: Role) -> list[Any]:
        """Put the outbox of ``role`` on its wire; return the units."""
        units = list(self._flatten(self.layers[role].data_to_send()))
        self.wires[role].put(units)
        return units

    def deliver(self, sender: Role, count: int | None = None) -> list[Any]:
        """Deliver what ``sender`` has in flight (all of it, or ``count``) to its peer."""
        self.drain(sender)
        wire = self.wires[sender]
        peer = self.layers[sender.peer]
        events: list[Any] = []
        for unit in wire.take(wire.size() if count is None else count):
            events += peer.receive(unit)
        while peer.deadline == 0.0:  # it works a long input off in shares
            events += peer.tick(self.now)
        self.received[sender.peer] += events
        return events

    def tick(self, role: Role, seconds: float) -> list[Any]:
        """Let time pass, and tell one side."""
        self.now += seconds
        events = self.layers[role].tick(self.now)
        self.received[role] += events
        return list(events)

    def settle(self, turns: int = 50) -> None:
        """Deliver in both directions until nothing is in flight."""
        for _ in range(turns):
            for role in Role:
                self.deliver(role)
            if not any(self.drain(role) or self.wires[role].size() for role in Role):
                return
        raise AssertionError("the two sides never stop talking")
