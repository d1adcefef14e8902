"""A connection that stays with this process, and is served by another one.

TLS cannot change processes: its keys are in the library's memory.  So whoever has the connection
deciphers what comes, and a pair of sockets carries it to the worker that serves it, and the answers
back.  The same is done with a connection whose unread bytes are too many to go along with it.
"""

from __future__ import annotations

from rawsio.layer import Closing
from rawsio.net.pipes import Pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Protocol

    from rawsio.limits import Limits
    from rawsio.net.loop_timers import AnyLoop

    class Stream(Protocol):
        """The connection of the client."""

        @property
        def buffered_amount(self) -> int: ...
        def touch(self) -> None: ...
        def pause(self) -> None: ...
        def resume(self) -> None: ...


__all__ = ["Relay"]


class Relay:
    """The uppermost layer of such a connection: what the client sends goes into ``sock``.

    It has no events of its own: requests are the business of the worker at the other end.
    """

    reading = True
    deadline: float | None = None

    def __init__(self, stream: Stream, loop: AnyLoop, sock: socket.socket, limits: Limits) -> None:
        self.closing = Closing.OPEN
        self._stream = stream
        self._limits = limits
        self._outbox: list[bytes] = []
        self._pipe = Pipe(loop, sock, self)
        self._pipe.resume()

    @property
    def held(self) -> int:
        """Bytes that wait here."""
        return self._pipe.unsent + sum(map(len, self._outbox))

    # Towards the worker

    def receive(self, data: bytes) -> list[Any]:
        """Pass on what the client sent."""
        self._pipe.write(data)
        if self._pipe.unsent > self._limits.low_water:
            self._stream.pause()
        return []

    def receive_eof(self) -> list[Any]:
        """The client sends no more."""
        self._pipe.end()
        return []

    def tick(self, _now: float) -> list[Any]:
        """Time means nothing here."""
        return []

    def drained(self, _pipe: Pipe) -> None:
        """Read on: the worker has taken everything."""
        self._stream.resume()

    # Towards the client

    def send(self, _event: Any) -> None:
        """Nothing is sent by events."""

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def received(self, pipe: Pipe, data: bytes) -> None:
        """Pass on what the worker sent."""
        self._outbox.append(data)
        self._stream.touch()
        if self._stream.buffered_amount > self._limits.low_water:
            pipe.pause()

    def sent(self) -> None:
        """Take note that the client has taken what was sent to it."""
        self._pipe.resume()

    # The end

    def ended(self, _pipe: Pipe) -> None:
        """The worker sends no more."""
        self._close(Closing.HALF)

    def closed(self, _pipe: Pipe) -> None:
        """Both have ended."""

    def lost(self, _pipe: Pipe, _reason: str, *, reset: bool) -> None:
        """The worker is gone."""
        self._close(Closing.NOW if reset else Closing.HALF)

    def _close(self, closing: Closing) -> None:
        self.closing = closing
        self._stream.touch()

    def end(self) -> None:
        """End both sides: this process ends."""
        self._close(Closing.NOW)
        self.gone()

    def gone(self) -> None:
        """Take note that the client's connection is gone."""
        self._pipe.abort()
