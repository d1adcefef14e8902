r"""A connection recorded from within: what its layers report, as bytes that passed.

The layers of a connection that is traced report every unit and every event
(:class:`rawsio.trace.Traced`).  The bytes of the connection are the units of its lowest layers.
"""

from __future__ import annotations

from rawsio.layer import Closed, Failed, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Hearer(Protocol):
        """Who is told what passes."""

        def data(self, sender: Role, data: bytes) -> None:
            """Bytes have passed."""

        def end(self, sender: Role) -> None:
            """One side sends no more."""


__all__ = ["Inside"]

_CARRIERS = ("http", "websocket")


class Inside:
    r"""Tells ``hearer`` the bytes of a connection whose own end is ``role``.

    >>> class Printer:
    ...     def data(self, sender, data):
    ...         print(sender.value, len(data))
    ...     def end(self, sender):
    ...         print(sender.value, "ends")
    >>> Inside(Printer())("http", "in", "unit", b"GET / HTTP/1.1\r\n")
    client 16
    """

    def __init__(self, hearer: Hearer, role: Role = Role.SERVER) -> None:
        self._hearer = hearer
        self._senders = {"in": role.peer, "out": role}
        self._rest = b""

    def __call__(self, layer: str, direction: str, what: str, value: Any) -> None:
        """Take a report."""
        if layer not in _CARRIERS:
            return
        if what == "event":
            if direction == "in" and isinstance(value, (Closed, Failed)):
                self._hearer.end(self._senders["in"])
                self._hearer.end(self._senders["out"])
            return
        data = bytes(value)
        if direction == "in":
            if layer == "websocket" and self._rest:
                # What came behind the 101 in one read is handed on to the next layer.
                rest, self._rest = self._rest, b""
                if rest.endswith(data):
                    return
            elif layer == "http":
                self._rest = data
        self._hearer.data(self._senders[direction], data)
