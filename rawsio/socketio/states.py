"""What may be sent and received in a namespace, and when: three tables.

Theory of operation
===================
Each namespace of a connection is in one :class:`State`, seen from our end.  A CONNECT is asked by
the client and answered by the server exactly once; either end leaves with a DISCONNECT, which has
no answer.  So for a while the two ends disagree, and packets sent in good faith arrive at an end
that has left.  :data:`DROPPED` lists these, :data:`RECEIVED` what is handed up, :data:`SENT` what
may be sent; a type that stands in no row is a mistake, of the peer or of ours.

::

    client                                    server
    ABSENT      - send Connect ->             ABSENT      - receive Connect ->
    CONNECTING  - receive Connect ->          CONNECTING  - send Connect ->
    JOINED      - send Disconnect ->          JOINED      - send Disconnect ->
    LEFT        (the past still arrives)      LEFT        (the past still arrives)

The end that *received* a DISCONNECT or a CONNECT_ERROR is sure that nothing of that time follows,
and forgets the namespace (``ABSENT``); the end that *sent* a DISCONNECT must still bear the past
(``LEFT``).  A client that joins again from there is ``REJOINING``: what comes before the answer may
be of the past.  A client may send DISCONNECT before its CONNECT was answered, which cancels it; the
answer still comes (the server's layer sends one by itself), and the connection counts it, so that
it is never taken for the answer to the next CONNECT.

A server may send events before it answers: middleware does.  A DISCONNECT for a namespace in which
the client is not is dropped, because it may have crossed our CONNECT_ERROR, and remembering
every refused name would let a peer fill our memory.

:mod:`rawsio.socketio.connection` keeps limits and counts.
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Role

from .packets import Ack, Connect, ConnectError, Disconnect, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Table = dict[Role, "dict[State, dict[Any, State]]"]

__all__ = ["State", "SENT", "RECEIVED", "DROPPED"]


class State(Enum):
    """Where a namespace of a connection stands."""

    ABSENT = "absent"
    """Never joined, or left by the peer."""
    CONNECTING = "connecting"
    """The client's CONNECT has no answer yet."""
    REJOINING = "rejoining"
    """The same after we left: packets of the past may still arrive (client only)."""
    JOINED = "joined"
    LEFT = "left"
    """We sent DISCONNECT: packets of the past may still arrive."""

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use


_ABSENT, _CONNECTING, _REJOINING = State.ABSENT, State.CONNECTING, State.REJOINING
_JOINED, _LEFT = State.JOINED, State.LEFT

SENT: Table = {
    Role.CLIENT: {
        _ABSENT: {Connect: _CONNECTING},
        _CONNECTING: {Disconnect: _LEFT},
        _REJOINING: {Disconnect: _LEFT},
        _JOINED: {Event: _JOINED, Ack: _JOINED, Disconnect: _LEFT},
        _LEFT: {Connect: _REJOINING},
    },
    Role.SERVER: {
        _ABSENT: {},
        _CONNECTING: {Connect: _JOINED, ConnectError: _ABSENT, Event: _CONNECTING},
        _JOINED: {Event: _JOINED, Ack: _JOINED, Disconnect: _LEFT},
        _LEFT: {},
    },
}
"""What we may send: role, state, type of packet -> next state."""

RECEIVED: Table = {
    Role.CLIENT: {
        _ABSENT: {},
        _CONNECTING: {Connect: _JOINED, ConnectError: _ABSENT, Event: _CONNECTING},
        _REJOINING: {Connect: _JOINED, ConnectError: _ABSENT, Event: _REJOINING},
        _JOINED: {Event: _JOINED, Ack: _JOINED, Disconnect: _ABSENT},
        _LEFT: {},
    },
    Role.SERVER: {
        _ABSENT: {Connect: _CONNECTING},
        _CONNECTING: {Disconnect: _ABSENT},
        _JOINED: {Event: _JOINED, Ack: _JOINED, Disconnect: _ABSENT},
        _LEFT: {Connect: _CONNECTING},
    },
}
"""What is handed up: role, state, type of packet -> next state."""

DROPPED: Table = {
    Role.CLIENT: {
        _ABSENT: {},
        _CONNECTING: {},
        _REJOINING: {Ack: _REJOINING, Disconnect: _CONNECTING},
        _JOINED: {},
        _LEFT: {Event: _LEFT, Ack: _LEFT, Disconnect: _ABSENT},
    },
    Role.SERVER: {
        _ABSENT: {Disconnect: _ABSENT},
        _CONNECTING: {Event: _CONNECTING, Ack: _CONNECTING},
        _JOINED: {},
        _LEFT: {Event: _LEFT, Ack: _LEFT, Disconnect: _ABSENT},
    },
}
"""What is dropped without a word: role, state, type of packet -> next state."""
