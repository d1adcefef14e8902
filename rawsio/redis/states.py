"""What may be sent when on a RESP connection, and which commands are special.

``CONNECTION[role][state]`` maps the class of an event that this role sends to the state that
follows.  What is not in the table is illegal.
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Closed, Role

from .events import Command, Push, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CONNECTION", "CONFIRMED", "MESSAGES", "REFUSED", "WHILE_SUBSCRIBED", "RESPState"]


class RESPState(Enum):
    """Whether the connection may still be used."""

    OPEN = "open"
    CLOSED = "closed"


CONNECTION: dict[Role, dict[RESPState, dict[type[Any], RESPState]]] = {
    Role.CLIENT: {
        RESPState.OPEN: {Command: RESPState.OPEN, Closed: RESPState.CLOSED},
        RESPState.CLOSED: {},
    },
    Role.SERVER: {
        RESPState.OPEN: {
            Reply: RESPState.OPEN,
            Push: RESPState.OPEN,
            Closed: RESPState.CLOSED,
        },
        RESPState.CLOSED: {},
    },
}

CONFIRMED = {
    "subscribe": "subscribe",
    "unsubscribe": "subscribe",
    "psubscribe": "psubscribe",
    "punsubscribe": "psubscribe",
    "ssubscribe": "ssubscribe",
    "sunsubscribe": "ssubscribe",
}
"""The commands that are confirmed by a push for each channel -> the kind of subscription."""

MESSAGES = frozenset({"message", "pmessage", "smessage"})
"""The pushes that carry what somebody published."""

WHILE_SUBSCRIBED = frozenset({*CONFIRMED, "ping", "quit", "reset"})
"""The commands that version 2 allows on a connection with subscriptions."""

REFUSED = frozenset({"monitor", "sync", "psync"})
"""Commands after which replies no longer answer commands one by one."""
