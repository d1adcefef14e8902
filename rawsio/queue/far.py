"""A queue's store on another machine: Redis, asked over the loop and never waited for.

One turn is on its way at a time, as with a disk.  If the connection is lost meanwhile, the turn is
sent again when there is one, under its old number, so it is done once.  What cannot be sent is
refused after a second: publishers are told ``unavailable``, while acknowledgements are kept.

Several servers share the queue.  Each holds only its own leases; a message that becomes ready is
announced to the others, and a look each second finds what an announcement missed, shows a server
how full the queue is, and tells the others that it lives.

In a Redis Cluster a queue is on one server, since its keys have one slot.  The server that is asked
names the right one (``MOVED``), and is followed.  Where the right one is lost, the servers that are
known are asked in turn, a second each.
"""

from __future__ import annotations

from functools import partial

from rawsio.errors import ConnectionClosed
from rawsio.log import ERROR
from rawsio.redis import RedisClient, RedisError, RedisState
from rawsio.redis.address import parse_url
from rawsio.redis.slots import moved_to

from .operations import Counts, StoreError
from .redis_store import RedisStore, failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.redis import Answer, RedisAddress, RedisOptions
    from rawsio.runtime import Runtime

    from .keeper import Client, Keeper

    Done = Callable[[Any, BaseException | None], None]
    # Operations, who is told, the request, when it was begun.
    Flight = tuple[list[Any], Done, list[bytes], float]

__all__ = ["FarStore"]

_BEAT = 1.0
"""Seconds between two looks at a queue that has nothing to do."""
_PATIENCE = 1.0
"""Seconds without an answer after which publishes are refused."""
_AGAIN = 0.1
"""Seconds after which a server that cannot answer now is asked again."""
_NOT_NOW = ("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "READONLY", "ASK")
"""Errors that say nothing of the turn: it was not done this time, but perhaps the time before."""
_HOPS = 5
"""How many servers of a cluster are followed in a row before there is a pause."""


class FarStore:
    """One queue in Redis; see :class:`~rawsio.queue.operations.Store`, of which it is one.

    ``open`` knows nothing yet: the queue learns how it stands when Redis has answered.  ``connect``
    makes connections, as :func:`rawsio.net.connecting.connect_tcp`, for tests.

    Raises ``ValueError`` for a URL that is none.
    """

    durable = True

    def __init__(
        self,
        host: Runtime,
        url: str,
        *,
        options: RedisOptions | None = None,
        connect: Callable[..., Any] | None = None,
    ) -> None:
        self.address = parse_url(url)
        self._host = host
        self._options = options
        self._connect = {} if connect is None else {"connect": connect}
        self._redis: RedisClient | None = None
        # The servers of the cluster that were named, the one that is asked last.
        self._places = {(self.address.host, self.address.port): self.address}
        self._hops = 0
        self._form: RedisStore | None = None
        self._counts = Counts()
        self._keeper: Keeper | None = None
        self._user: Client | None = None
        self._opened = self._closed = False
        # The turn that is on its way.
        self._flight: Flight | None = None
        self._sent = False
        self._beat: Any = None
        self._late: Any = None

    # The contract

    def open(self, queue: str, max_deliveries: int, _now: int) -> tuple[Counts, int]:
        """Begin to serve a queue, as soon as Redis answers."""
        silence = int(self._host.limits.queue_silence * 1000)
        self._form = RedisStore(queue, max_deliveries=max_deliveries, silence=silence)
        return self._counts, 0

    def serve(self, keeper: Keeper, user: Client) -> None:
        """Say whose queue it is; the connection is made when the loop runs."""
        self._keeper, self._user = keeper, user
        self._host.call_soon(self._start, self.address)

    def apply(self, _operations: list[Any]) -> list[Any]:
        """Nothing is done while somebody waits: see :meth:`ask`."""
        raise StoreError(f"the queue is in Redis at {self.address.shown}: it cannot be waited for")

    def counts(self, _queue: str) -> Counts:
        """Return how the queue stood when Redis answered last."""
        return self._counts

    def close(self) -> None:
        """End the connection; what Redis has stays."""
        self._closed = True
        for timer in (self._beat, self._late):
            if timer is not None:
                timer.cancel()
        if self._redis is not None:
            self._redis.close()

    # The connection

    def _start(self, address: RedisAddress) -> None:
        if self._closed:
            return
        before, self._redis = self._redis, None
        if before is not None:
            before.close()
        self._redis = RedisClient(
            self._host.loop,
            address,
            self._host.limits,
            options=self._options,
            on_state=self._changed,
            random_bytes=self._host.random_bytes,
            **self._connect,
        )
        if self._form is not None:
            self._redis.subscribe(self._form.channel, self._woken)
        self._be_late()
        self._redis.start()

    def _follow(self, message: str) -> bool:
        """Go to the server that a ``MOVED`` names; ``False`` if it names none."""
        place = moved_to(message, self.address.host)
        if place is None:
            return False
        known = self._places.pop(place, None)
        if known is None and len(self._places) >= self._host.limits.cluster_nodes:
            return False
        self._places[place] = self.address.at(*place) if known is None else known
        self._hops += 1
        if self._hops % _HOPS:
            self._host.call_soon(self._start, self._places[place])
        else:
            self._host.call_later(_AGAIN, self._start, self._places[place])
        return True

    def _look_elsewhere(self) -> None:
        """Ask the server that was not asked for longest."""
        place = next(iter(self._places))
        self._places[place] = address = self._places.pop(place)
        self._start(address)

    def _changed(self, state: RedisState, _reason: str) -> None:
        if state is RedisState.READY:
            self._go_on()
        else:
            self._be_late()

    @property
    def _ready(self) -> bool:
        return self._redis is not None and self._redis.state is RedisState.READY

    def _be_late(self) -> None:
        if self._late is None and not self._closed:
            self._late = self._host.call_later(_PATIENCE, self._refuse)

    def _refuse(self) -> None:
        """There is no answer: say so to those whom nothing can be done for."""
        self._late = None
        self._be_late()
        error = StoreError(f"no answer from Redis at {self.address.shown}")
        if self._flight is not None and not self._sent:
            self._finish(None, error)
        if self._user is not None:
            self._user.take(self._user.queue.refuse_waiting(error))
        if len(self._places) > 1 and not self._ready:
            self._look_elsewhere()

    def _try_again(self) -> None:
        if self._ready:
            self._go_on()

    def _go_on(self) -> None:
        if not self._opened:
            self._send(self._request([]), self._take_opening)
        elif self._flight is not None:
            self._sent = True
            self._send(self._flight[2], partial(self._take_answer, self._flight))

    def _request(self, operations: list[Any]) -> list[bytes]:
        return [] if self._form is None else self._form.request(operations)

    def _send(self, request: list[bytes], take: Callable[[Answer], object]) -> None:
        if self._redis is None:
            return
        name, *args = request
        answer = self._redis.execute(name.decode(), *args)
        answer.add_done_callback(partial(self._answered, request, take))

    def _answered(
        self, request: list[bytes], take: Callable[[Answer], object], answer: Answer
    ) -> None:
        error = answer.error
        code = error.code if isinstance(error, RedisError) else ""
        if code == "NOSCRIPT":
            self._send(RedisStore.in_full(request), take)
        elif isinstance(error, RedisError) and code == "MOVED" and self._follow(error.message):
            self._be_late()
        elif code in _NOT_NOW:
            self._be_late()
            self._host.call_later(_AGAIN, self._try_again)
        elif not isinstance(error, ConnectionClosed):  # else it is sent with the next connection
            if self._late is not None:
                self._late.cancel()
                self._late = None
            self._hops = 0
            take(answer)

    # Turns

    def _take_opening(self, answer: Answer) -> None:
        if self._opened:
            return
        try:
            self._counts = self._read([], answer)[1]
        except StoreError as error:
            self._host.log("queue", ERROR, str(error))
            self._host.call_later(_PATIENCE, self._try_again)
            return
        self._opened = True
        if self._user is not None and self._form is not None:
            self._user.queue.opened(self._counts, int(self._form.run))
        self._plan()
        self._touch()
        self._go_on()

    def _read(self, operations: list[Any], answer: Answer) -> tuple[list[Any], Counts]:
        error = answer.error
        if isinstance(error, RedisError):
            raise failure(error.code, error.message, self.address.shown)
        if error is not None or self._form is None:
            raise StoreError(f"Redis at {self.address.shown}: {error}")
        return self._form.take(operations, answer.result())

    def ask(self, operations: list[Any], done: Done) -> None:
        """Let Redis do these; ``done((results, counts, seconds), error)`` follows, once."""
        self._flight = (operations, done, self._request(operations), self._host.time())
        self._sent = False
        if self._opened and self._ready:
            self._go_on()

    def _take_answer(self, flight: Flight, answer: Answer) -> None:
        if flight is not self._flight:  # it was sent twice, and this is the second answer
            return
        operations, _, _, began = flight
        try:
            results, self._counts = self._read(operations, answer)
        except StoreError as error:
            self._finish(None, error)
        else:
            self._finish((results, [self._counts], self._host.time() - began), None)

    def _finish(self, result: Any, error: StoreError | None) -> None:
        flight, self._flight = self._flight, None
        self._plan()
        if flight is not None:
            flight[1](result, error)

    # Others

    def _woken(self, _channel: bytes, run: bytes) -> None:
        if self._form is not None and run != self._form.run:
            self._look()

    def _plan(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        self._beat = None if self._closed else self._host.call_later(_BEAT, self._look)

    def _look(self) -> None:
        self._plan()
        if self._user is not None and self._opened and self._ready:
            self._user.queue.look()
            self._touch()

    def _touch(self) -> None:
        if self._keeper is not None:
            self._keeper.touch()
