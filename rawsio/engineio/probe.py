"""The probe of a better transport, before a session moves to it.

While a session runs over polling, the client opens a WebSocket beside it and asks ``2probe``; the
server answers ``3probe``.  Now both know that the new transport carries packets in both directions.
The client waits until its running requests have ended, then says ``5``, and from there on the
session's packets take the new transport.  Anything else on a candidate, or nothing for too long,
ends the candidate and leaves the session alone::

    client                                   server
      "2probe"  --------------------------->   Probed
      Probed    <---------------------------   "3probe"
      "5"       --------------------------->   Upgraded

The probe is a layer of its own, on the candidate only.  How a session changes its transport stands
in :mod:`rawsio.engineio.server.session` and :mod:`rawsio.engineio.client.session`.
"""

from __future__ import annotations

from enum import Enum

from rawsio.errors import EngineIOError, LocalProtocolError, RemoteProtocolError, escaped
from rawsio.layer import Closed, Closing, Role
from rawsio.limits import DEFAULT

from .packets import UPGRADE, Probed, Upgraded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["PROBE", "PROBE_PING", "PROBE_PONG", "Probe", "ProbeState"]


class ProbeState(Enum):
    """How far the probe of a candidate transport is."""

    PROBING = "probing"
    """``2probe`` is on its way, or has not come."""
    PROBED = "probed"
    """``3probe`` was sent or has come."""
    UPGRADED = "upgraded"
    """``5`` was sent or has come: the session has the transport now."""
    CLOSED = "closed"


PROBE: dict[Role, dict[ProbeState, dict[type[Any], ProbeState]]] = {
    Role.SERVER: {
        ProbeState.PROBING: {Closed: ProbeState.CLOSED},
        ProbeState.PROBED: {Closed: ProbeState.CLOSED},
        ProbeState.UPGRADED: {},
        ProbeState.CLOSED: {},
    },
    Role.CLIENT: {
        ProbeState.PROBING: {Closed: ProbeState.CLOSED},
        ProbeState.PROBED: {Upgraded: ProbeState.UPGRADED, Closed: ProbeState.CLOSED},
        ProbeState.UPGRADED: {},
        ProbeState.CLOSED: {},
    },
}
"""What may be sent when: ``PROBE[role][state]`` maps the class of an event to the next state."""

PROBE_PING = "2probe"
PROBE_PONG = "3probe"

_EXPECTED = {
    Role.SERVER: {ProbeState.PROBING: PROBE_PING, ProbeState.PROBED: UPGRADE},
    Role.CLIENT: {ProbeState.PROBING: PROBE_PONG, ProbeState.PROBED: "nothing"},
}
"""The one packet that may come."""

_OVER = (ProbeState.UPGRADED, ProbeState.CLOSED)


class Probe:
    """One end of a probe: units are packets, events ``Probed Upgraded Closed Failed``.

    ``timeout`` is how long the whole may take, in seconds.  After ``Upgraded`` the probe is over
    and the transport belongs to the session.

    >>> client, server = Probe(Role.CLIENT), Probe(Role.SERVER)
    >>> server.receive(*client.data_to_send()), client.receive(*server.data_to_send())
    ([Probed()], [Probed()])
    >>> client.send(Upgraded())
    >>> server.receive(*client.data_to_send())
    [Upgraded()]
    """

    __slots__ = ("role", "state", "deadline", "_outbox", "_timeout")

    reading = True

    def __init__(self, role: Role, *, timeout: float = DEFAULT.upgrade_time) -> None:
        self.role = role
        self.state = ProbeState.PROBING
        self.deadline: float | None = 0.0
        self._outbox = [PROBE_PING] if role is Role.CLIENT else []
        self._timeout = timeout

    @property
    def waiting(self) -> bool:
        """Whether something is in the outbox."""
        return bool(self._outbox)

    @property
    def closing(self) -> Closing:
        """``NOW`` once the probe has failed or was given up."""
        return Closing.NOW if self.state is ProbeState.CLOSED else Closing.OPEN

    def receive(self, packet: str | bytes) -> list[Any]:
        """Feed one packet."""
        if self.state in _OVER:
            return []
        try:
            return self._receive(packet)
        except RemoteProtocolError as error:
            return self._fail(error)

    def _receive(self, packet: str | bytes) -> list[Any]:
        expected = _EXPECTED[self.role][self.state]
        if packet.__class__ is not str or packet != expected:
            raise self._error(expected, packet)
        if expected == UPGRADE:
            self._finish(ProbeState.UPGRADED)
            return [Upgraded()]
        self.state = ProbeState.PROBED
        if self.role is Role.SERVER:
            self._outbox.append(PROBE_PONG)
        return [Probed()]

    def _error(self, expected: str, packet: str | bytes) -> EngineIOError:
        return EngineIOError(
            f"{expected} should come on a candidate now, not {escaped(packet)}",
            "engineio-v4-upgrade-probe",
        )

    def _fail(self, error: RemoteProtocolError) -> list[Any]:
        self._finish(ProbeState.CLOSED)
        return [error.as_event()]

    def _finish(self, state: ProbeState) -> None:
        self.state = state
        self.deadline = None

    def receive_eof(self) -> list[Any]:
        """The candidate is gone: ``Closed``, unless the probe was over."""
        if self.state in _OVER:
            return []
        self._finish(ProbeState.CLOSED)
        return [Closed(0, "transport close")]

    def send(self, event: Any) -> None:
        """Send ``Upgraded`` (client, once probed), or give the probe up with ``Closed``."""
        after = PROBE[self.role][self.state].get(event.__class__)
        if after is None:
            raise LocalProtocolError(
                f"{type(event).__name__} cannot be sent: the probe is {self.state.value}"
            )
        if after is ProbeState.UPGRADED:
            self._outbox.append(UPGRADE)
        self._finish(after)

    def data_to_send(self) -> list[Any]:
        """Drain the outbox."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def tick(self, now: float) -> list[Any]:
        """Tell the time: starts the timer, or ends a probe that takes too long."""
        if self.deadline is None or now < self.deadline:
            return []
        if self.deadline == 0.0:
            # A sum of zero would ask for a tick again at once, for ever.
            self.deadline = now + self._timeout or None
            return []
        return self._fail(EngineIOError("the probe took too long", "engineio-v4-upgrade-timeout"))
