"""What is legal when: role x state x event.  Unlisted is illegal.

A WebSocket is open, and then two close frames cross.  :data:`SENDING` says what the application
may send and where it leads, :data:`RECEIVING` what may come from the peer.  The two roles differ
in one thing: when both close frames are through, the server closes the TCP connection, and the
client waits for that, so that the TIME_WAIT of TCP is the server's (RFC 6455 section 7.1.1).

The tables are data: the connection, the exhaustive test and ``rfc_notes/6455.md`` read them.
Failure is not in them: it leads from everywhere to ``ENDED`` and stays there.
"""

from __future__ import annotations

from enum import Enum

from rawsio.layer import Closed, Role

from .events import Message, Ping, Pong

__all__ = ["State", "SENDING", "RECEIVING"]


class State(Enum):
    """Where the closing handshake stands."""

    OPEN = "open"
    """No close frame was sent or received."""
    CLOSING = "closing"
    """We sent a close frame, and wait for the peer's."""
    ENDING = "ending"
    """A client: both close frames are through, the server is about to close the connection."""
    ENDED = "ended"
    """The terminal event was given."""

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use


_OPEN = {
    Message: State.OPEN,
    Ping: State.OPEN,
    Pong: State.OPEN,
    Closed: State.CLOSING,
}

SENDING: dict[Role, dict[State, dict[type, State]]] = {
    role: {State.OPEN: _OPEN, State.CLOSING: {}, State.ENDING: {}, State.ENDED: {}} for role in Role
}
"""The events that may be sent.  Section 5.5.1: no data after a close frame."""


def _receiving(closed: State) -> dict[State, dict[type, State]]:
    return {
        State.OPEN: {Message: State.OPEN, Ping: State.OPEN, Pong: State.OPEN, Closed: closed},
        State.CLOSING: {
            Message: State.CLOSING,
            Ping: State.CLOSING,
            Pong: State.CLOSING,
            Closed: closed,
        },
        State.ENDING: {},
        State.ENDED: {},
    }


RECEIVING: dict[Role, dict[State, dict[type, State]]] = {
    Role.SERVER: _receiving(State.ENDED),
    Role.CLIENT: _receiving(State.ENDING),
}
"""What may come; where a row is empty, bytes are ignored (section 1.4: data after close)."""
