"""The two connections to Redis of one server: one that says, one that hears.

They are shared by the adapters of all namespaces, and made in the first turn of the loop that the
server runs on: until then there is no socket, so a server can be made at import, or before a fork.

``ready`` is true while both are.  Without Redis the server goes on alone (*degraded*): operations
reach its own sockets, what is to be published waits in a bounded queue of which the oldest goes
first, and whoever asks the other servers is answered at once with what is known here.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.log import ERROR, WARNING
from rawsio.redis import RedisClient, RedisError, RedisOptions, RedisState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.redis import Answer, RedisAddress

__all__ = ["RedisLink"]


class RedisLink:
    """Publishing, hearing and counting.

    ``told(ready, reason)`` is called when Redis is reached, lost, and reached again.
    ``refused(channel, error)`` is asked about subscriptions that Redis refuses, as ``on_refused``
    of :class:`~rawsio.redis.RedisClient`.  ``connect`` makes connections, as
    :func:`rawsio.net.connecting.connect_tcp`, for tests.
    """

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
        self._connect = {} if connect is None else {"connect": connect}
        self._says: RedisClient | None = None
        self._hears: RedisClient | None = None
        self._log: Any = None

    def start(self, host: Any) -> None:
        """Connect, on the loop of ``host``; does nothing if that was done."""
        if self._says is not None:
            return
        self._log = host.log
        self._says, self._hears = (
            RedisClient(
                host.loop,
                self.address,
                host.limits,
                options=self._options,
                on_state=self._changed,
                on_refused=self._refused,
                random_bytes=host.random_bytes,
                **self._connect,
            )
            for _ in range(2)
        )
        self._says.start()
        self._hears.start()

    def stop(self) -> None:
        """End both connections."""
        says, hears = self._says, self._hears
        self._says = self._hears = None
        for client in (says, hears):
            if client is not None:
                client.close()

    def _changed(self, _state: RedisState, reason: str) -> None:
        says, hears = self._says, self._hears
        ready = says is not None and hears is not None
        ready = ready and says.state is hears.state is RedisState.READY  # type: ignore[union-attr]
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

    def execute(self, *words: str | bytes | float) -> Answer:
        """Send a command; without a connection it waits, and the oldest that waits may be dropped.

        Raises ``LocalProtocolError`` if the link was stopped, or never started.
        """
        if self._says is None:
            raise LocalProtocolError("the link to Redis is not there: the server has not begun")
        return self._says.execute(*words)  # type: ignore[arg-type]  # the first is a name

    def publish(self, channel: str, payload: bytes, command: str = "PUBLISH") -> None:
        """Publish; without a connection it waits, and the oldest that waits may be dropped."""
        if self._says is None:
            return
        self.published += 1
        self._says.execute(command, channel, payload).add_done_callback(self.published_to)

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
        self, channel: str | bytes, heard: Callable[[bytes, bytes], object], kind: str = "subscribe"
    ) -> None:
        """Call ``heard(channel, payload)`` for what is published there."""
        if self._hears is not None:
            self._hears.subscribe(channel, heard, kind=kind).add_done_callback(self._subscribed)

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
