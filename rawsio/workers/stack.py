"""The layers of a connection in a worker: a request of another worker's session goes there.

A connection that is kept may carry requests of several sessions: those of one browser, or of many
behind a proxy.  So the first line of each request is looked at before the HTTP layer reads it, as
the parent does with the first one, and by the same function.  Requests that are sent before the
answer to the one before are not looked at: no client sends those of two sessions that way.
"""

from __future__ import annotations

from rawsio.stack import ServerStack

from .owner import ANYBODY, owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.http.connection import HTTPConnection
    from rawsio.limits import Limits
    from rawsio.stack import Recognised

    class Owners(Protocol):
        """Who knows which connections are ours."""

        def takes(self, number: int, /) -> bool:
            """Tell whether a request is served here, by whose it is."""
            ...

        def hand_over(self, stack: WorkerStack, number: int, first: bytes, /) -> None:
            """Give the connection to somebody else, with what was read of it."""

    class Ending(Protocol):
        """What a connection has become that another worker serves."""

        def end(self) -> None:
            """End it."""


__all__ = ["WorkerStack"]


class WorkerStack(ServerStack):
    """The layers of one connection; ``owners`` decides who serves each request."""

    __slots__ = ("_first", "_owners", "_read", "_settled", "_shown", "relay")

    def __init__(self, limits: Limits, owners: Owners, **options: Any) -> None:
        super().__init__(limits, **options)
        self._owners = owners
        # What was read here and does not tell yet whose it is; what somebody else has read.
        self._first = self._read = b""
        self._settled = False
        self._shown: dict[str, Any] | None = None
        self.relay: Ending | None = None
        """What stands between the client and its worker, if that is another one."""

    @property
    def idle(self) -> bool:
        """Whether the next bytes begin a request, and nothing waits."""
        if self._websocket is not None or self.early or self._read:
            return False
        return self._http is None or self._http.idle

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that the client has shown, to us or to the worker that deciphers."""
        return super().certificate if self._shown is None else self._shown

    def show(self, certificate: dict[str, Any] | None) -> None:
        """Take what the client has shown to another worker."""
        self._shown = certificate

    def take_over(self, first: bytes, *, settled: bool) -> None:
        """Begin with what was read already; if ``settled``, serve the first request here.

        That is one of somebody's session: he is gone, and we say so.
        """
        self._read, self._settled = first, settled
        if first and self.stream is not None:
            self.stream.touch()  # it is ticked at the end of this turn, before the rest is read

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        return 0.0 if self._read else super().deadline

    def tick(self, now: float) -> list[Any]:
        """Tell the time."""
        if not self._read:
            return super().tick(now)
        first, self._read = self._read, b""
        return super().tick(now) + self.receive(first)

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes from the socket."""
        if self._first:
            data, self._first = self._first + data, b""
        elif not self.idle:
            return super().receive(data)
        number = owner_of(data)
        if number is None:
            self._first = data
            return []
        here = self._owners.takes(number) or (self._settled and number != ANYBODY)
        self._settled = False
        if here:
            return super().receive(data)
        self._owners.hand_over(self, number, data)
        return []

    def receive_eof(self) -> list[Any]:
        """The peer sends no more."""
        first, self._first = self._first, b""
        events = super().receive(first) if first else []
        return events + super().receive_eof()

    def recognise(self, data: bytes) -> Recognised | None:
        """Return what the first bytes are, if others have begun with the same, for us to serve."""
        if self._waits or not self._owners.takes(ANYBODY):
            return None
        return super().recognise(data)

    @property
    def at_once(self) -> HTTPConnection | None:
        """The HTTP layer, if nothing is to be seen to before the input, and it is ours."""
        return None if self._waits else super().at_once

    @property
    def _waits(self) -> bool:
        """Whether something that came before the next bytes waits, or they are not for us."""
        return bool(self._read or self._first) or self.relay is not None

    @property
    def incoming(self) -> int:
        """Bytes that no event holds yet."""
        return super().incoming + len(self._first) + len(self._read)

    def close(self, code: int = 1005, reason: str = "") -> None:
        """Close the connection; one that waits for its next request goes to another worker."""
        if self.relay is not None:
            self.relay.end()
        elif self.upgraded or self._owners.takes(ANYBODY):
            super().close(code, reason)
        elif self.idle:
            self._owners.hand_over(self, ANYBODY, self._first)
        elif self.request is not None:
            self.last = True  # it ends with the answer
        else:
            super().close(code, reason)
