"""The life of a server's socket, from its CONNECT to its last handler."""

from __future__ import annotations

from enum import Enum

__all__ = ["RECOVERABLE", "SocketState"]


class SocketState(Enum):
    """Where a socket is in its life."""

    OPENING = "opening"
    """The client's CONNECT is being judged by middleware."""
    OPEN = "open"
    ENDED = "ended"
    """The client or its connection is gone; events that came before still reach handlers."""
    DISMISSED = "dismissed"
    """We disconnected it; events that wait for their handlers are dropped."""
    GONE = "gone"
    """It has left its rooms."""


RECOVERABLE = frozenset(
    (
        "transport error",
        "transport close",
        "forced close",
        "ping timeout",
        "server shutting down",
        "forced server close",
    )
)
"""The reasons after which a client may continue its session."""
