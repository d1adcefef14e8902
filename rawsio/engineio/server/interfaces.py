"""What uses a session on the server, as a type.

It exists for type checkers only; at run time the name is ``object``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class SessionUser(Protocol):
        """The layer above, as one session sees it."""

        @property
        def held(self) -> int:
            """Bytes that are kept above."""
            ...

        @property
        def incoming(self) -> int:
            """Of these: of a packet that is not whole."""
            ...

        @property
        def connect_data(self) -> int:
            """Of these: the data of CONNECTs."""
            ...

        def abandon(self) -> None:
            """Drop the events that wait: the session is over."""

        @property
        def queued_bytes(self) -> int:
            """Of these: of events that wait for their handlers."""
            ...

        @property
        def reading(self) -> bool:
            """Whether more messages are of use: not while a long one is read in steps."""
            ...

        @property
        def paused(self) -> bool:
            """Whether the client is held back: too many of its events wait for handlers."""
            ...

        def receive(self, data: str | bytes, /) -> None:
            """Take a message."""

        def go_on(self) -> None:
            """Read the next step of the long message."""

        def go_on_alone(self) -> None:
            """Read the long message to its end, in turns of its own."""

        def moved(self) -> None:
            """Another transport has taken over."""

        def clogged(self) -> None:
            """Much waits to be sent."""

        def flowing(self) -> None:
            """Less waits again."""

        def reroute(self) -> None:
            """Somebody wants to see every packet from now on."""

        def drained(self) -> None:
            """What waited to be sent has been taken."""

        def ended(self, reason: str, description: str | None = None, /) -> None:
            """The session is over, for this reason; called once or more."""

else:
    SessionUser = object

__all__ = ["SessionUser"]
