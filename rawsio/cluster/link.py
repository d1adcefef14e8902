"""The two connections to Redis of one server: one that says, one that hears.

They are shared by the adapters of all namespaces, and made in the first turn of the loop that the
server runs on: until then there is no socket, so a server can be made at import, or before a fork.

``ready`` is true while both are.  Without Redis the server goes on alone (*degraded*): operations
reach its own sockets, what is to be published waits in a bounded queue of which the oldest goes
first, and whoever asks the other servers is answered at once with what is known here.
"""

from __future__ import annotations

from rawsio.errors import ConnectionClosed, LocalProtocolError
from rawsio.log import ERROR, WARNING
from rawsio.redis import Answer, RedisClient, RedisError, RedisOptions, RedisState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.redis import RedisAddress

__all__ = ["RedisLink"]


class RedisLink:
    """Publishing, hearing and counting.

    ``told(ready, reason)`` is called when Redis is reached, lost, and reached again.
    ``refused(channel, error)`` is asked about subscriptions that Redis refuses, as ``on_refused``
    of :class:`~rawsio.redis.RedisClient`.  ``connect`` makes connections, as
    :func:`rawsio.net.connecting.connect_tcp`, for tests.
    """

    rests = True
    """Whether what is said after an outage waits until the others have had time to come back."""

    def __init__(
        self,
        address: RedisAddress,
        options: RedisOptions,
        told: Callable[[bool, str], object] | None = None,
        connect: Callable[..., Any] | None = None,
        refused: Callable[[bytes, RedisError], bool] | None = None,
    ) -> None:
        self.address = address
        self.ready = False
        self.published = 0
        self.refused = 0
        self._options = options
        self._told = told
        self._refused = refused
        self._connect = connect
        self._clients: list[RedisClient] = []
        self._says: RedisClient | None = None
        self._hears: RedisClient | None = None
        self._log: Any = None

    def start(self, host: Any) -> None:
        """Connect, on the loop of ``host``; does nothing if that was done."""
        if self._says is not None:
            return
        self._log = host.log
        self._says, self._hears = self.add_client(host), self.add_client(host)
        self._says.rest = host.limits.redis_retry_time if self.rests else 0.0
        for client in self._clients:
            client.start()

    def add_client(self, host: Any, told: Callable[[bool], object] | None = None) -> RedisClient:
        """Return a new client of the same Redis; ``told(ready)`` hears of its changes.

        It is started by :meth:`start`, and the link is ready when all of them are.
        """

        def changed(state: RedisState, reason: str) -> None:
            if told is not None:
                told(state is RedisState.READY)
            self._changed(reason)

        client = RedisClient(
            host.loop,
            self.address,
            host.limits,
            options=self._options,
            on_state=changed,
            on_refused=self._refused,
            random_bytes=host.random_bytes,
            connect=self._connect,
        )
        self._clients.append(client)
        return client

    def stop(self) -> None:
        """End all connections."""
        self._says = self._hears = None
        clients, self._clients = self._clients, []
        for client in clients:
            client.close()

    def _changed(self, reason: str) -> None:
        ready = all(client.state is RedisState.READY for client in self._clients)
        ready = ready and bool(self._clients)
        if ready == self.ready:
            return
        self.ready = ready
        if self._told is not None:
            try:
                self._told(ready, reason)
            except Exception as error:  # noqa: BLE001 - the application's mistake
                self._log("cluster", ERROR, "on_degraded raised an exception", error)

    @property
    def started(self) -> bool:
        """Whether there is a client to give commands to."""
        return self._says is not None

    # Saying

    def run(
        self,
        name: str,
        *words: str | bytes | float,
        done: Callable[[Answer], None] | None = None,
    ) -> None:
        """Send a command; without a connection it waits, and the oldest that waits may be dropped.

        ``done(answer)`` is called with what came of it.
        """
        if self._says is None:
            answer = Answer()
            answer.fail(ConnectionClosed("there is no link to Redis: the server does not run"))
        else:
            answer = self._says.execute(name, *words)
        if done is not None:
            answer.add_done_callback(done)

    def publish(
        self,
        channel: str | bytes,
        payload: bytes,
        command: str = "PUBLISH",
        done: Callable[[Answer], None] | None = None,
    ) -> None:
        """Publish; without a connection it waits, and the oldest that waits may be dropped."""
        self.published += 1
        self.run(command, channel, payload, done=self.published_to if done is None else done)

    def append(
        self, stream: str, *words: str | float, done: Callable[[Answer], None] | None = None
    ) -> None:
        """Append an entry to a stream, as :meth:`publish`."""
        self.published += 1

        def appended(answer: Answer) -> None:
            self.published_to(answer)
            if done is not None:
                done(answer)

        self.run("XADD", stream, *words, done=appended)

    def published_to(self, answer: Answer) -> None:
        """Report what Redis itself refused (OOM); a lost connection is reported by the client."""
        error = answer.error
        if isinstance(error, RedisError):
            self.refused += 1
            self._log("cluster", WARNING, f"Redis refused what was published: {error}")

    def count(self, channel: str, counted: Callable[[int | None], None], kind: str = "") -> None:
        """Call ``counted`` with the number of subscribers, ``None`` if Redis cannot be asked."""
        if self._says is None or not self.ready:
            counted(None)
            return

        def answered(answer: Answer) -> None:
            value = None if answer.error is not None else answer.result()
            if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
                counted(value[1])
            else:
                counted(None)

        asked = self._says.execute("PUBSUB", f"{kind}NUMSUB", channel)
        asked.add_done_callback(answered)

    # Hearing

    def hear(
        self,
        channel: str | bytes,
        heard: Callable[[bytes, bytes], object],
        kind: str = "subscribe",
        done: Callable[[Answer], None] | None = None,
    ) -> None:
        """Call ``heard(channel, payload)`` for what is published there.

        ``done(answer)`` is called when Redis has confirmed that, or not.
        """
        if self._hears is not None:
            subscribed = self._hears.subscribe(channel, heard, kind=kind)
            subscribed.add_done_callback(self._subscribed if done is None else done)

    def _subscribed(self, answer: Answer) -> None:
        if self._refused is None and answer.error is not None and self._hears is not None:
            self._log("cluster", ERROR, f"Redis refused a subscription: {answer.error}")

    def unhear(self, channel: str | bytes, kind: str = "subscribe") -> None:
        """Hear no more of a channel."""
        if self._hears is not None:
            try:
                self._hears.unsubscribe(channel, kind=kind)
            except LocalProtocolError as error:  # too many commands wait already
                self._log("cluster", WARNING, f"a subscription was left: {error}")

    def stats(self) -> dict[str, Any]:
        """Return numbers for people: what was published, what waits, what was dropped."""
        says = self._says
        return {
            "degraded": not self.ready,
            "published": self.published,
            "refused": self.refused,
            "waiting": 0 if says is None else says.queued,
            "dropped": 0 if says is None else says.dropped,
        }
