"""A WebSocket that is probed, and may take over a session.

The probe itself is a layer (:mod:`rawsio.engineio.probe`).  A :class:`Candidate` is the user of the
link meanwhile: it feeds the probe, and asks the transport of the session every
:data:`NOOP_INTERVAL` to let no request wait.
"""

from __future__ import annotations

from rawsio.engineio.packets import Probed
from rawsio.engineio.probe import Probe, ProbeState
from rawsio.layer import Role

from .links import NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from .links import Link
    from .transport import CarriedSession, Transport

    class ProbedSession(CarriedSession, Protocol):
        """A session that another transport may take over."""

        candidate: Candidate | None
        """The transport that is probed."""

        def upgrade(self, candidate: Candidate, /) -> None:
            """Let a candidate take over, whose probe has succeeded."""

        def drop_candidate(self) -> None:
            """Give up the candidate; the session stays where it is."""


__all__ = ["NOOP_INTERVAL", "Candidate"]

NOOP_INTERVAL = 0.1
"""Seconds between the noops that end a waiting poll while a WebSocket is probed."""


class Candidate:
    """A transport on its way to a session."""

    __slots__ = ("session", "transport", "probe", "_noop")

    def __init__(self, session: ProbedSession, transport: Transport, timeout: float) -> None:
        self.session = session
        self.transport = transport
        self.probe = Probe(Role.SERVER, timeout=timeout)
        # When the next noop is due; None before the probe.
        self._noop: float | None = None

    @property
    def deadline(self) -> float | None:
        """When the probe or the noop is due."""
        due = self.probe.deadline
        return due if self._noop is None or due is None else min(due, self._noop)

    # The user of the link

    def accepted(self, link: Link) -> None:
        """The link is a WebSocket already."""

    def receive_packet(self, packet: str | bytes) -> bool:
        """Feed the probe with one packet, and send its reply; a mistake ends the probe alone."""
        session = self.session
        if session.candidate is self:
            self._feed(session, packet)
        return True

    def _feed(self, session: ProbedSession, packet: str | bytes) -> None:
        if any(event.__class__ is Probed for event in self.probe.receive(packet)):
            # The first noop comes from the timer: often the poll ends by itself before.
            self._noop = 0.0
        for reply in self.probe.data_to_send():
            self.transport.send(reply)
        if self.probe.state is ProbeState.UPGRADED:
            session.upgrade(self)
        elif self.probe.state is ProbeState.CLOSED:
            session.drop_candidate()
        else:
            session.touch()

    def receive_body(self, link: Link, body: bytes) -> None:
        """A WebSocket brings no body."""
        NOBODY.receive_body(link, body)

    def go_on(self, link: Link) -> None:
        """Nothing was deferred."""

    def lost(self, link: Link, reason: str) -> None:
        """The candidate is gone, and the session goes on without it."""
        if self.session.candidate is self:
            self.session.drop_candidate()

    def drained(self, link: Link) -> None:
        """Nobody waits for it."""

    # Time

    def tick(self, now: float) -> None:
        """Tell the time: ends a probe that takes too long, and polls that wait."""
        session = self.session
        self.probe.tick(now)
        if self.probe.state is ProbeState.CLOSED:
            session.drop_candidate()
        elif self._noop is not None and now >= self._noop:
            due = self._noop != 0.0
            self._noop = now + NOOP_INTERVAL
            if due:
                session.transport.make_way()
