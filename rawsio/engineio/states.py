"""What may be sent when: the tables of the Engine.IO layers.

``CONNECTION[role][state]`` maps the class of an event that this role sends to the state that
follows.  What is not in the table is illegal.  ``STAGES`` says how a session on a server may go
from transport to transport.  The probe of a transport, which few connections need, has a table of
its own (:mod:`rawsio.engineio.probe`).

The code, an exhaustive test and a person can read a table; parsing stays in straight code.
Heartbeats are no events, and have a small machine of their own (:class:`Beat`).
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Closed, Role

from .packets import Message, Opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["SessionState", "Beat", "Stage", "CONNECTION", "STAGES"]


class SessionState(Enum):
    """How far a session is, as either end sees it."""

    OPENING = "opening"
    """The open packet is still to come."""
    OPEN = "open"
    CLOSED = "closed"

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use


class Beat(Enum):
    """Where the heartbeat is: the side that pings goes through all, the other rests."""

    UNARMED = "unarmed"
    """The timer starts with the next tick, which knows the time."""
    RESTING = "resting"
    """The next ping is due at the deadline; for the side that answers: it should have come."""
    WAITING = "waiting"
    """A pong should have come at the deadline."""
    HEARD = "heard"
    """The same, but another packet came meanwhile: the peer lives, and may wait once more."""
    EXTENDED = "extended"
    """The wait was extended; it will not be again for this ping."""


class Stage(Enum):
    """How a session on a server is carried."""

    NEW = "new"
    """Its open packet is still to come."""
    STEADY = "steady"
    """By its transport."""
    PROBING = "probing"
    """The same, while another one is probed beside it."""
    LEAVING = "leaving"
    """Ended by us; a last request may take what is queued."""
    OVER = "over"

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use


CONNECTION: dict[Role, dict[SessionState, dict[type[Any], SessionState]]] = {
    Role.SERVER: {
        SessionState.OPENING: {Opened: SessionState.OPEN, Closed: SessionState.CLOSED},
        SessionState.OPEN: {Message: SessionState.OPEN, Closed: SessionState.CLOSED},
        SessionState.CLOSED: {},
    },
    Role.CLIENT: {
        SessionState.OPENING: {Closed: SessionState.CLOSED},
        SessionState.OPEN: {Message: SessionState.OPEN, Closed: SessionState.CLOSED},
        SessionState.CLOSED: {},
    },
}

STAGES: dict[Stage, frozenset[Stage]] = {
    Stage.NEW: frozenset({Stage.STEADY, Stage.OVER}),
    Stage.STEADY: frozenset({Stage.PROBING, Stage.LEAVING, Stage.OVER}),
    Stage.PROBING: frozenset({Stage.STEADY, Stage.OVER}),
    Stage.LEAVING: frozenset({Stage.OVER}),
    Stage.OVER: frozenset(),
}
