"""What may be sent when: the tables of the Engine.IO layers.

``CONNECTION[role][state]`` and ``PROBE[role][state]`` map the class of an event that this role
sends to the state that follows.  What is not in the table is illegal.  ``STAGES`` says how a
session on a server may go from transport to transport.

The code, an exhaustive test and a person can read a table; parsing stays in straight code.
Heartbeats are no events, and have a small machine of their own (:class:`Beat`).
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Closed, Role

from .packets import Message, Opened, Upgraded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["State", "Beat", "ProbeState", "Stage", "Carrier", "CONNECTION", "PROBE", "STAGES"]


class State(Enum):
    """How far a session is, as either end sees it."""

    OPENING = "opening"
    """The open packet is still to come."""
    OPEN = "open"
    CLOSED = "closed"


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


class ProbeState(Enum):
    """How far the probe of a candidate transport is."""

    PROBING = "probing"
    """``2probe`` is on its way, or has not come."""
    PROBED = "probed"
    """``3probe`` was sent or has come."""
    UPGRADED = "upgraded"
    """``5`` was sent or has come: the session has the transport now."""
    CLOSED = "closed"


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


class Carrier(Enum):
    """What carries a session, as the client sees it."""

    POLLING = "polling"
    WEBSOCKET = "websocket"
    NONE = "none"
    """It is over."""


CONNECTION: dict[Role, dict[State, dict[type[Any], State]]] = {
    Role.SERVER: {
        State.OPENING: {Opened: State.OPEN, Closed: State.CLOSED},
        State.OPEN: {Message: State.OPEN, Closed: State.CLOSED},
        State.CLOSED: {},
    },
    Role.CLIENT: {
        State.OPENING: {Closed: State.CLOSED},
        State.OPEN: {Message: State.OPEN, Closed: State.CLOSED},
        State.CLOSED: {},
    },
}

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

STAGES: dict[Stage, frozenset[Stage]] = {
    Stage.NEW: frozenset({Stage.STEADY, Stage.OVER}),
    Stage.STEADY: frozenset({Stage.PROBING, Stage.LEAVING, Stage.OVER}),
    Stage.PROBING: frozenset({Stage.STEADY, Stage.OVER}),
    Stage.LEAVING: frozenset({Stage.OVER}),
    Stage.OVER: frozenset(),
}
