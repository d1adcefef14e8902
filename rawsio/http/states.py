"""What each side of an exchange may say, and when: a table.

An exchange is one request and its response.  Each side goes through its own states; both are the
same wherever the two sides run, so a connection keeps two of them: where *we* are and where *the
peer* is, and judges both by the same rows.  What is not in the table is illegal.

=============  ==================================================================
``IDLE``       between two exchanges
``WAITING``    a server owes the response to a request that came in
``BODY``       the head is out, its body is on the way
``DONE``       the message is complete; the other side's may not be
``SWITCHED``   another protocol has taken over (101, or CONNECT accepted)
``CLOSED``     nothing more
=============  ==================================================================

Moves that no event of this side makes: a server goes from ``IDLE`` to ``WAITING`` when a request
arrives, and a 101 or an accepted CONNECT takes the client to ``SWITCHED`` too; when both sides are
``DONE`` they go to ``IDLE`` together, or to ``CLOSED`` if the connection does not persist; every
failure leads to ``CLOSED``.

A :class:`~rawsio.http.messages.Response` counts as one of three kinds of event: :class:`Interim`
(100 to 199 without 101), :class:`Switch` (101, 2xx to CONNECT), or itself.
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Closed, Role

from .messages import Body, EndOfMessage, Request, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    Row = dict[type, "State"]

__all__ = [
    "State",
    "IDLE",
    "WAITING",
    "BODY",
    "DONE",
    "SWITCHED",
    "CLOSED",
    "Interim",
    "Switch",
    "TRANSITIONS",
]


class State(Enum):
    """Where one side of an exchange is."""

    IDLE = "idle"
    WAITING = "waiting"
    BODY = "body"
    DONE = "done"
    SWITCHED = "switched"
    CLOSED = "closed"

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use


# Looking a member up in its class costs more than comparing it.
IDLE = State.IDLE
WAITING = State.WAITING
BODY = State.BODY
DONE = State.DONE
SWITCHED = State.SWITCHED
CLOSED = State.CLOSED


class Interim:
    """Stands for a response that announces another one."""


class Switch:
    """Stands for the last response before another protocol."""


TRANSITIONS: dict[Role, dict[State, Row]] = {
    Role.CLIENT: {
        IDLE: {Request: BODY, Closed: CLOSED},
        BODY: {Body: BODY, EndOfMessage: DONE, Closed: CLOSED},
        DONE: {Closed: CLOSED},
        SWITCHED: {},
        CLOSED: {},
    },
    Role.SERVER: {
        IDLE: {Closed: CLOSED},
        WAITING: {
            Interim: WAITING,
            Switch: SWITCHED,
            Response: BODY,
            Closed: CLOSED,
        },
        BODY: {Body: BODY, EndOfMessage: DONE, Closed: CLOSED},
        DONE: {Closed: CLOSED},
        SWITCHED: {},
        CLOSED: {},
    },
}
"""Role, state, kind of event: the next state."""
