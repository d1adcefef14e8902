"""How much one address may take: sessions at a time, and handshakes in a while.

The one idea: counters by address, nothing else.  Handshakes are counted in windows of ten seconds,
and all forgotten when a window is over, so an attacker with many addresses fills a dictionary for
ten seconds at most.

What is left out: who stands behind an address.  Behind a proxy everybody has the proxy's, over a
unix socket there is none (nothing is counted then); the defaults allow for that.
"""

from __future__ import annotations

from .checks import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

__all__ = ["Admission"]

WINDOW = 10.0
"""Seconds over which handshakes are counted."""

_NOBODY = ("", "unix")
"""What stands for an address where there is none: several clients would share it."""


class Admission:
    """Counts the sessions of each address, and refuses what is too much.

    >>> from rawsio.limits import Limits
    >>> door = Admission(Limits(sessions_per_address=1))
    >>> door.check("192.0.2.1", 0, now=0.0); door.opened("192.0.2.1")
    >>> door.check("192.0.2.1", 1, now=0.0)
    Traceback (most recent call last):
    rawsio.engineio.checks.RequestError: Bad request
    >>> door.closed("192.0.2.1")
    >>> door.check("192.0.2.1", 0, now=0.0)
    """

    __slots__ = ("shut", "_limits", "_sessions", "_handshakes", "_since")

    def __init__(self, limits: Limits) -> None:
        self.shut = False
        self._limits = limits
        self._sessions: dict[str, int] = {}
        self._handshakes: dict[str, int] = {}
        self._since = 0.0

    def check(self, address: str, sessions: int, now: float) -> None:
        """Count a handshake; raise ``RequestError`` if it is one too many.

        ``sessions`` is how many there are in all.
        """
        limits = self._limits
        if self.shut:
            context = {"name": "SHUTTING_DOWN"}
            raise RequestError(3, "engineio-v4-handshake-shut", context, status=503)
        if sessions >= limits.sessions or (
            self._sessions.get(address, 0) >= limits.sessions_per_address
        ):
            context = {"name": "TOO_MANY_SESSIONS", "address": address}
            raise RequestError(3, "engineio-v4-handshake-sessions", context, status=503)
        if address in _NOBODY:
            return
        if not 0.0 <= now - self._since < WINDOW:
            self._since = now
            self._handshakes.clear()
        count = self._handshakes[address] = self._handshakes.get(address, 0) + 1
        if count > limits.handshakes_per_second * WINDOW:
            context = {"name": "TOO_MANY_HANDSHAKES", "address": address}
            raise RequestError(3, "engineio-v4-handshake-rate", context, status=429)

    def opened(self, address: str) -> None:
        """Take note of a session."""
        if address not in _NOBODY:
            self._sessions[address] = self._sessions.get(address, 0) + 1

    def closed(self, address: str) -> None:
        """Take note of the end of a session."""
        count = self._sessions.get(address, 0) - 1
        if count > 0:
            self._sessions[address] = count
        else:
            self._sessions.pop(address, None)
