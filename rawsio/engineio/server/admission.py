"""Who gets a place in the table of sessions: how many there may be, and who makes room.

A handshake costs its sender a hundred bytes, so a full table must not keep newcomers out.  A new
session is a *guest* until the layer above confirms it (for Socket.IO: until it has joined a
namespace).  When the table is full, or the share of one address, the oldest guest makes room; a
confirmed session never does.  A handshake is refused only if there is no guest left.

Handshakes are counted by address in windows of ten seconds, and all forgotten when a window is
over, so an attacker with many addresses fills a dictionary for ten seconds at most.

This module does not know who stands behind an address.  Behind a proxy everybody has the proxy's,
over a unix socket there is none (nothing is counted then); the defaults allow for that.
"""

from __future__ import annotations

from .checks import RequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

    from .session import Session

__all__ = ["Admission"]

WINDOW = 10.0
"""Seconds over which handshakes are counted."""

_NOBODY = ("", "unix")
"""What stands for an address where there is none: several clients would share it."""


class Admission:
    """Counts sessions and handshakes, and refuses what is too much; see the module."""

    __slots__ = (
        "shut",
        "short",
        "_limits",
        "_share",
        "_guests",
        "_sessions",
        "_handshakes",
        "_since",
    )

    def __init__(self, limits: Limits) -> None:
        self.shut = False
        self.short = False
        """Whether there is no memory for new sessions at the moment."""
        self._limits = limits
        share = limits.sessions_per_address
        self._share = share if share < limits.sessions else 0
        # In the order of their arrival, for each address and (under None) for all together.
        self._guests: dict[str | None, dict[Session, None]] = {None: {}}
        self._sessions: dict[str, int] = {}
        self._handshakes: dict[str, int] = {}
        self._since = 0.0

    def check(self, address: str, sessions: int, now: float) -> Session | None:
        """Count a handshake; return the guest that has to make room for it, if one has to.

        ``sessions`` is how many there are in all.  Raises ``RequestError`` for a handshake that is
        one too many.
        """
        if self.shut:
            context = {"name": "SHUTTING_DOWN"}
            raise RequestError(3, "engineio-v4-handshake-shut", context, status=503)
        # First of all: who is too fast must not push others out.
        self._count(address, now)
        if self.short:
            context = {"name": "TOO_LITTLE_MEMORY"}
            raise RequestError(3, "engineio-v4-handshake-memory", context, status=503)
        full: str | None
        if self._share and self._sessions.get(address, 0) >= self._share:
            full = address
        elif sessions >= self._limits.sessions:
            full = None
        else:
            return None
        oldest = next(iter(self._guests.get(full, ())), None)
        if oldest is None:
            context = {"name": "TOO_MANY_SESSIONS", "address": address}
            raise RequestError(3, "engineio-v4-handshake-sessions", context, status=503)
        return oldest

    def _count(self, address: str, now: float) -> None:
        if address in _NOBODY:
            return
        if not 0.0 <= now - self._since < WINDOW:
            self._since = now
            self._handshakes.clear()
        count = self._handshakes[address] = self._handshakes.get(address, 0) + 1
        if count > self._limits.handshakes_per_second * WINDOW:
            context = {"name": "TOO_MANY_HANDSHAKES", "address": address}
            raise RequestError(3, "engineio-v4-handshake-rate", context, status=429)

    def take_back(self, address: str) -> None:
        """Count the handshake that was just refused no more: it is about to be checked again."""
        if not self.shut and address in self._handshakes:
            self._handshakes[address] -= 1

    def opened(self, session: Session) -> None:
        """Take note of a session."""
        address = session.address
        somebody = address not in _NOBODY
        if session.guest:
            self._guests[None][session] = None
            if self._share and somebody:
                self._guests.setdefault(address, {})[session] = None
        if somebody:
            self._sessions[address] = self._sessions.get(address, 0) + 1

    def confirmed(self, session: Session) -> None:
        """Take note that a session has a place of its own."""
        address = session.address
        self._guests[None].pop(session, None)
        guests = self._guests.get(address) if self._share else None
        if guests is not None:
            guests.pop(session, None)
            if not guests:
                del self._guests[address]

    def closed(self, session: Session) -> None:
        """Take note of the end of a session."""
        if session.guest:
            self.confirmed(session)
        address = session.address
        count = self._sessions.get(address, 0) - 1
        if count > 0:
            self._sessions[address] = count
        else:
            self._sessions.pop(address, None)
