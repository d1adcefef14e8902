"""``RedisAdapter``: servers of this library and Node's as one, by ``@socket.io/redis-adapter``.

Servers of this library also announce themselves to each other, on a channel that others do not
know.  That is how a silent server gets a name, and how one that leaves is not waited for.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError, RemoteProtocolError
from rawsio.layer import check_fields, record
from rawsio.log import WARNING
from rawsio.redis import RedisOptions, parse_url

from .adapter import ClusterAdapter
from .classic import ClassicFormat
from .fields import ClusterError, decode, text
from .link import RedisLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike

__all__ = ["ClassicBus", "ClassicOptions", "RedisAdapter"]

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@record
class ClassicOptions:
    """The options of ``@socket.io/redis-adapter``; times are in seconds."""

    key: str = "socket.io"
    """The first word of every channel: the same for all servers of a cluster."""
    requests_timeout: float = 5.0
    """How long a request waits for the answers of the other servers."""
    publish_on_specific_response_channel: bool = False
    """Answer on the channel of the server that asked, so that the others need not hear it."""
    heartbeat_interval: float = 5.0
    """How often servers of this library announce themselves to each other."""
    heartbeat_timeout: float = 12.0
    """After which silence one of them counts as gone."""


class RedisAdapter:
    """The adapter of a server that shares its clients with others through Redis.

    ::

        io = Server(adapter=RedisAdapter("redis://127.0.0.1:6379"))

    ``options`` are those of :class:`ClassicOptions`.  ``redis`` says how to connect
    (:class:`rawsio.redis.RedisOptions`; its ``policy`` is ``"drop_oldest"`` here).
    ``on_degraded(degraded, reason)`` is called on the loop's thread when Redis is lost (``True``)
    and reached again (``False``).

    Raises ``ValueError`` for a URL that is none, ``TypeError`` for an option that there is not.
    One object serves one server.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        redis: RedisOptions | None = None,
        on_degraded: Callable[[bool, str], object] | None = None,
        connect: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        parse_url(url)
        self.options = ClassicOptions(**options)
        check_fields(self.options)
        if redis is None:
            redis = RedisOptions(policy="drop_oldest")
        self._on_degraded = on_degraded
        self.link = RedisLink(url, redis, self._told, connect)
        self._buses: list[ClassicBus] = []

    def __call__(self, namespace: NamespaceLike) -> ClusterAdapter:
        """Make the adapter of a namespace; called by the server."""
        uid = "".join(_ALPHABET[byte & 63] for byte in namespace.host.random_bytes(6))
        bus = ClassicBus(self.link, namespace, uid, self.options, self._gone)
        self._buses.append(bus)
        adapter = ClusterAdapter(namespace, uid, bus)
        bus.node_left = adapter.node_left
        return adapter

    def _gone(self, bus: ClassicBus) -> None:
        self._buses.remove(bus)
        if not self._buses:
            self.link.stop()

    def _told(self, ready: bool, reason: str) -> None:  # noqa: FBT001 - a state
        if ready:
            for bus in self._buses:
                bus.announce("new")
        if self._on_degraded is not None:
            self._on_degraded(not ready, reason)

    def stats(self) -> dict[str, Any]:
        """Return whether Redis is reached, what was published, what waits, what was dropped."""
        return self.link.stats()


class ClassicBus:
    """The channels of one namespace; a :class:`~rawsio.cluster.adapter.Bus`."""

    def __init__(
        self,
        link: RedisLink,
        namespace: NamespaceLike,
        uid: str,
        options: ClassicOptions,
        gone: Callable[[ClassicBus], None],
    ) -> None:
        self.timeout = options.requests_timeout
        self.node_left: Callable[[str], None] | None = None
        self._link = link
        self._host: Any = namespace.host
        self._uid = uid
        self._options = options
        self._gone = gone
        self._form = ClassicFormat(namespace.name, key=options.key, limits=namespace.host.limits)
        self._beats = f"{options.key}-rawsio#{namespace.name}#"
        self._received: Callable[[Any], None] | None = None
        self._timer: Any = None
        self._stopped = False
        # The other servers of this library -> when they were heard last.
        self._nodes: dict[str, float] = {}

    def start(self, received: Callable[[Any], None]) -> None:
        """Begin to listen, in the first turn of the loop that the server will run on."""
        self._host.loop.call_soon(self._begin, received)

    def _begin(self, received: Callable[[Any], None]) -> None:
        if self._stopped:
            return
        self._received = received
        self._link.start(self._host)
        self._link.hear(self._form.pattern(), self._heard, "psubscribe")
        for channel in self._form.channels(self._uid):
            self._link.hear(channel, self._heard)
        self._link.hear(self._beats, self._beat)
        if self._link.ready:
            self.announce("new")
        self._timer = self._host.call_later(self._options.heartbeat_interval, self._tick)

    def stop(self) -> None:
        """Say that we leave, and listen no more."""
        if self._stopped:
            return
        self._stopped = True
        if self._received is not None:
            self.announce("left")
            self._link.unhear(self._form.pattern(), "psubscribe")
            for channel in (*self._form.channels(self._uid), self._beats):
                self._link.unhear(channel)
            self._timer.cancel()
        self._gone(self)

    # Saying

    def publish(self, message: Any, to: str = "") -> None:
        """Publish a message; raises ``LocalProtocolError`` if it has no form."""
        specific = to if self._options.publish_on_specific_response_channel else ""
        self._link.publish(*self._form.encode(message, specific))

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Ask Redis how many servers listen to requests."""
        self._link.count(self._form.requests, counted)

    def nodes(self) -> list[str]:
        """Return the names of the other servers of this library that live."""
        return sorted(self._nodes)

    # Hearing

    def _heard(self, channel: bytes, payload: bytes) -> None:
        if self._received is None or self._stopped:
            return
        name = str(channel, "utf-8", "replace")
        try:
            message = self._form.decode(name, payload)
        except ClusterError as error:
            text = f"a message on {name!r} was dropped: {error.message} [{error.rule}]"
            self._host.log("cluster", WARNING, text)
            return
        if message is not None:
            self._received(message)

    # Who else is there

    def announce(self, state: str) -> None:
        """Tell the other servers of this library: we are ``new``, ``here``, or have ``left``."""
        if self._link.ready:  # else everybody would hear of it when it is long over
            payload = b'{"uid":"%b","state":"%b"}' % (self._uid.encode(), state.encode())
            self._link.publish(self._beats, payload)

    def _tick(self) -> None:
        self.announce("here")
        before = self._host.time() - self._options.heartbeat_timeout
        for uid in [uid for uid, heard in self._nodes.items() if heard < before]:
            self._forget(uid)
        self._timer = self._host.call_later(self._options.heartbeat_interval, self._tick)

    def _beat(self, _channel: bytes, payload: bytes) -> None:
        try:
            fields = decode(payload, self._form.limits)
            uid, state = text(fields, "uid"), text(fields, "state")
        except (RemoteProtocolError, LocalProtocolError, AttributeError):
            return  # somebody else's channel
        if uid == self._uid or self._stopped:
            return
        if state == "left":
            self._forget(uid)
        elif uid in self._nodes or len(self._nodes) < self._form.limits.cluster_nodes:
            self._nodes[uid] = self._host.time()
        if state == "new":
            self.announce("here")

    def _forget(self, uid: str) -> None:
        if self._nodes.pop(uid, None) is not None and self.node_left is not None:
            self.node_left(uid)
