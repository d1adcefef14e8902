"""What the buses of all Redis adapters have in common: begin, hear, find the others, and stop.

A bus carries the messages of one namespace; see :class:`rawsio.cluster.adapter.Bus`.  Each kind of
adapter says which channels it hears and how messages look there.
"""

from __future__ import annotations

from rawsio.log import WARNING

from .fields import ClusterError
from .membership import Membership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.app.interfaces import NamespaceLike

    class Link(Protocol):
        """What a bus needs of a connection to Redis."""

        ready: bool

        def start(self, host: Any, /) -> None:
            """Connect, if that was not done."""

        def stop(self) -> None:
            """End all connections."""

        def publish(self, channel: str, payload: bytes, /) -> None:
            """Publish; never raises and never waits."""

        def count(self, channel: str, counted: Callable[[int | None], None], /) -> None:
            """Call ``counted`` with the number of subscribers, ``None`` if nobody knows."""

        def hear(self, channel: str, heard: Callable[[bytes, bytes], object], /) -> None:
            """Call ``heard(channel, payload)`` for what is published there."""

        def unhear(self, channel: str, /) -> None:
            """Hear no more of a channel."""

        def stats(self) -> dict[str, Any]:
            """Return numbers for people."""
            ...

    class Timing(Protocol):
        """The options that all kinds share."""

        @property
        def requests_timeout(self) -> float:
            """Seconds that a request waits for answers."""
            ...

        @property
        def heartbeat_interval(self) -> float:
            """Seconds between announcements."""
            ...

        @property
        def heartbeat_timeout(self) -> float:
            """Seconds of silence after which a server is gone."""
            ...


__all__ = ["RedisBus"]


class RedisBus:
    """The bus of one namespace.  ``prefix`` is the first word of its channels.

    ``gone(bus)`` is called when it has stopped; ``node_left(uid)``, if it is set, when another
    server has.
    """

    def __init__(
        self,
        link: Link,
        namespace: NamespaceLike,
        uid: str,
        options: Timing,
        prefix: str,
        gone: Callable[[Any], object],
    ) -> None:
        self.timeout = options.requests_timeout
        self.node_left: Callable[[str], None] | None = None
        self.host: Any = namespace.host
        self.uid = uid
        self._link = link
        self._gone = gone
        self._beats = f"{prefix}-rawsio#{namespace.name}#"
        self._members = Membership(
            self.host,
            uid,
            self._say,
            self._left,
            interval=options.heartbeat_interval,
            timeout=options.heartbeat_timeout,
        )
        self._received: Callable[[Any], None] | None = None
        self._stopped = False

    def start(self, received: Callable[[Any], None]) -> None:
        """Begin to listen, in the first turn of the loop that the server will run on."""
        self.host.loop.call_soon(self._begin, received)

    def _begin(self, received: Callable[[Any], None]) -> None:
        if self._stopped:
            return
        self._received = received
        self._link.start(self.host)
        self.listen()
        self._link.hear(self._beats, lambda _channel, payload: self._members.heard(payload))
        self.announce("new")
        self._members.start()

    def stop(self) -> None:
        """Say that we leave, and listen no more."""
        if self._stopped:
            return
        self._stopped = True
        if self.started:
            self._members.stop()
            self.unlisten()
            self._link.unhear(self._beats)
        self._gone(self)

    @property
    def started(self) -> bool:
        """Whether it has begun to listen."""
        return self._received is not None

    def listen(self) -> None:
        """Subscribe to the channels of the namespace."""
        raise NotImplementedError

    def unlisten(self) -> None:
        """Undo that."""
        raise NotImplementedError

    def take(self, channel: str, read: Callable[[], Any]) -> None:
        """Give the message that ``read()`` returns to the adapter; what is none is dropped."""
        if self._received is None or self._stopped:
            return
        try:
            message = read()
        except ClusterError as error:
            text = f"a message on {channel!r} was dropped: {error.message} [{error.rule}]"
            self.host.log("cluster", WARNING, text)
            return
        if message is not None:
            self._received(message)

    # Who else is there

    def nodes(self) -> list[str]:
        """Return the names of the other servers of this library that live."""
        return self._members.nodes()

    def announce(self, state: str) -> None:
        """Tell the other servers of this library that we are ``new``, ``here``, or have left."""
        self._members.announce(state)

    def _say(self, payload: bytes) -> None:
        if self._link.ready:  # else everybody would hear of it when it is long over
            self._link.publish(self._beats, payload)

    def _left(self, uid: str) -> None:
        if self.node_left is not None:
            self.node_left(uid)
