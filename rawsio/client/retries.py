"""Emits that are sent again: the option ``retries``.

Every event is a question, whether its sender asked for the answer or not.  One is on its way at a
time, and the next is sent when it was acknowledged, so the order holds.  What was not acknowledged
within ``ack_timeout`` seconds, or before the connection was lost, is sent again, ``retries`` times
at most.  So an event arrives at least once, and perhaps twice: there is no number on the wire by
which the server could tell.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.app.reply import Promise, Reply
from rawsio.errors import escaped
from rawsio.log import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.adapter import Targets
    from rawsio.runtime import Runtime

__all__ = ["Attempt", "Retries"]


class Attempt:
    """One event that is sent until it is acknowledged; ``reply`` is what its sender has of it."""

    __slots__ = ("name", "args", "targets", "reply", "sends")

    def __init__(
        self, name: str | int, args: tuple[Any, ...], targets: Targets, reply: Promise
    ) -> None:
        self.name = name
        self.args = args
        self.targets = targets
        self.reply = reply
        self.sends = 0


class Retries:
    """The queue of one socket; everything on the loop's thread.

    ``ask(attempt, reply)`` sends an event once, and ends ``reply`` with its acknowledgement, its
    time-out, or the end of the connection; ``connected()`` tells whether there is one.
    """

    __slots__ = ("_host", "_most", "_ask", "_connected", "_waiting", "_sent")

    def __init__(
        self,
        host: Runtime,
        retries: int,
        ask: Callable[[Attempt, Promise], None],
        connected: Callable[[], bool],
    ) -> None:
        self._host = host
        self._most = retries + 1
        self._ask = ask
        self._connected = connected
        self._waiting: deque[Attempt] = deque()
        self._sent: Promise | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, attempt: Attempt) -> None:
        """Send an event in its turn."""
        self._waiting.append(attempt)
        self.proceed()

    def proceed(self) -> None:
        """Send the first, if it is not on its way: one was added, or a connection made."""
        while self._waiting and self._sent is None and self._connected():
            attempt = self._waiting[0]
            if attempt.reply.done():  # cancelled
                self._waiting.popleft()
                continue
            attempt.sends += 1
            self._sent = Promise(self._host)
            self._sent.add_done_callback(partial(self._ended, attempt))
            self._ask(attempt, self._sent)

    def _ended(self, attempt: Attempt, sent: Reply) -> None:
        if sent is not self._sent:
            return
        self._sent = None
        error = sent.exception()
        if error is None:
            self._waiting.popleft()
            attempt.reply.resolve(sent.result())
        elif attempt.sends >= self._most:
            self._waiting.popleft()
            self._give_up(attempt, error)
        # In a turn of its own: replies that end at once would send without end in this one.
        self._host.call_later(0.0, self.proceed)

    def _give_up(self, attempt: Attempt, error: BaseException) -> None:
        name = escaped(attempt.name) if isinstance(attempt.name, str) else str(attempt.name)
        message = f"the event {name} was sent {attempt.sends} times and not acknowledged: {error}"
        self._host.log("socketio", WARNING, message)
        attempt.reply.fail(error)

    def close(self, error: Exception) -> None:
        """Give up whatever waits."""
        waiting, self._waiting = self._waiting, deque()
        sent, self._sent = self._sent, None
        if sent is not None:
            sent.cancel()
        for attempt in waiting:
            attempt.reply.fail(error)
