"""Messages on their way through the application's handlers.

A handler that runs on the loop would keep everybody else waiting while it works through a spike, so
after two milliseconds the rest of what is there waits for the next turn.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.app.handler_queue import report_failure
from rawsio.errors import in_words
from rawsio.log import WARNING

from .bodies import decode_body
from .messages import Dead, QueueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .keeper import Keeper
    from .messages import Delivery
    from .queue import Queue

    class Owner(Protocol):
        """The queue that messages are of, as their handlers need it."""

        name: str
        queue: Queue
        keeper: Keeper
        ended: Callable[[], None]
        """Called when a handler has ended after :meth:`Handling.stop`."""


__all__ = ["Handling", "Message"]

_SLICE = 0.002
"""Seconds of a turn that handlers may use up, if they run on the loop."""
_UNKNOWN: Any = object()


class Message:
    """What a handler gets.

    ``id`` names the message, ``deliveries`` counts this one, too; ``published`` is in seconds since
    1970; ``key`` and ``group`` are what its publisher said.  ``lease`` is the number of this
    delivery in the store.
    """

    __slots__ = (
        *("id", "token", "deliveries", "published", "key", "group"),
        *("size", "lease", "finished", "_jobs", "_encoded", "_body"),
    )

    def __init__(self, jobs: Owner, delivery: Delivery) -> None:
        self.id = delivery.id
        self.token = delivery.token
        self.deliveries = delivery.deliveries
        self.published = delivery.published
        self.key = delivery.key
        self.group = delivery.group
        self.size = len(delivery.body)
        self.lease = delivery.lease
        self.finished = False
        self._jobs = jobs
        self._encoded = delivery.body
        self._body = _UNKNOWN

    @property
    def body(self) -> Any:
        """What was published; decoded when it is first asked for."""
        if self._body is _UNKNOWN:
            self._body = decode_body(self._encoded, self._jobs.keeper.host.limits)
        return self._body

    def extend(self, seconds: float) -> None:
        """Let the lease end so many seconds from now; from any thread."""
        self._jobs.keeper.host.call(self._extend, seconds)

    def _extend(self, seconds: float) -> None:
        try:
            self._jobs.queue.extend(self.token, seconds)
        except QueueError as error:
            self._jobs.keeper.host.log("queue", WARNING, f"message {self.id}: {error}")
        self._jobs.keeper.touch()

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self._jobs.name}, delivery {self.deliveries}>"


class Handling:
    """One handler: its calls that run, and the messages that wait for them."""

    def __init__(
        self, jobs: Owner, fn: Callable[..., Any], concurrency: int, *, many: bool
    ) -> None:
        self.running = 0
        self._jobs = jobs
        self._fn = fn
        self._concurrency = concurrency
        self._many = many
        self._waiting: deque[list[Message]] = deque()
        self._scheduled = False
        self._stopped = False

    def give(self, deliveries: list[Delivery]) -> None:
        """Take messages that were delivered."""
        self._waiting.append([Message(self._jobs, delivery) for delivery in deliveries])
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._jobs.keeper.host.call_soon(self._pump)

    def _pump(self) -> None:
        self._scheduled = False
        time = self._jobs.keeper.host.time
        until = time() + _SLICE
        while self._waiting and self.running < self._concurrency:
            if time() > until:
                self._schedule()
                return
            self._start(self._waiting.popleft())

    def _start(self, messages: list[Message]) -> None:
        begin = self._jobs.queue.begin
        mine = [message for message in messages if begin(message.token)]
        if mine:
            self.running += 1
            given = mine if self._many else mine[0]
            host = self._jobs.keeper.host
            try:
                host.start(self._fn, (given,), partial(self._done, mine))
            except BaseException:
                # The program is being stopped.  Should it go on, the messages come again when
                # their leases end, and whatever else waits comes at once.
                self.running -= 1
                self._schedule()
                raise

    def _done(self, messages: list[Message], _result: Any, error: BaseException | None) -> None:
        self.running -= 1
        queue = self._jobs.queue
        if error is not None and not isinstance(error, Dead):
            report_failure(
                self._jobs.keeper.host,
                f"a handler of the queue {self._jobs.name}",
                error,
                name=self._jobs.name,
                args=[messages if self._many else messages[0]],
            )
        for message in messages:
            self._settle(queue, message, error)
        self._jobs.keeper.touch()
        if self._stopped:
            self._jobs.ended()
        elif self._waiting:
            self._schedule()

    def _settle(self, queue: Any, message: Message, error: BaseException | None) -> None:
        if message.finished:
            return
        if queue.lease_of(message.token) is None:
            self._tell_late(message)
        elif error is None:
            queue.ack(message.token)
        else:
            dead = isinstance(error, Dead)
            text = in_words(error, str if dead else repr)
            queue.nack(message.token, error=text, dead=dead)

    def _tell_late(self, message: Message) -> None:
        line = (
            f"a handler of the queue {self._jobs.name} ended after the lease of message"
            f" {message.id}, which is delivered again: raise `lease`, or call message.extend()"
        )
        self._jobs.keeper.host.log("queue", WARNING, line)

    def stop(self) -> None:
        """Start nothing any more: what waits is given back as never delivered."""
        self._stopped = True
        waiting, self._waiting = self._waiting, deque()
        for messages in waiting:
            for message in messages:
                self._jobs.queue.unsee(message.token)
