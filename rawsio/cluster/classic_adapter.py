"""``RedisAdapter``: servers of this library and Node's as one, by ``@socket.io/redis-adapter``."""

from __future__ import annotations

from rawsio.layer import record

from .bus import RedisBus
from .classic import ClassicFormat
from .factory import AdapterFactory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Unpack

    from rawsio.app.interfaces import NamespaceLike

    from .factory import FactoryKeywords
    from .link import RedisLink

    class ClassicKeywords(FactoryKeywords, total=False):
        """The fields of :class:`ClassicOptions`, as keywords."""

        key: str
        requests_timeout: float
        publish_on_specific_response_channel: bool
        heartbeat_interval: float
        heartbeat_timeout: float


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


class RedisAdapter(AdapterFactory):
    """The adapter of a server that shares its clients with others through Redis.

    ::

        io = Server(adapter=RedisAdapter("redis://127.0.0.1:6379"))

    ``options`` are those of :class:`ClassicOptions`; the rest is what
    :class:`~rawsio.cluster.factory.AdapterFactory` says.
    """

    options_type = ClassicOptions

    if TYPE_CHECKING:

        def __init__(self, url: str = ..., **options: Unpack[ClassicKeywords]) -> None: ...

    def make_bus(self, namespace: NamespaceLike) -> ClassicBus:
        """Return the bus of a namespace."""
        uid = "".join(_ALPHABET[byte & 63] for byte in namespace.host.random_bytes(6))
        return ClassicBus(self.link, namespace, uid, self.options, self.gone)


class ClassicBus(RedisBus):
    """The channels of one namespace."""

    def __init__(
        self,
        link: RedisLink,
        namespace: NamespaceLike,
        uid: str,
        options: ClassicOptions,
        gone: Callable[[Any], object],
    ) -> None:
        super().__init__(link, namespace, uid, options, options.key, gone)
        self._redis = link
        self._specific = options.publish_on_specific_response_channel
        self._form = ClassicFormat(namespace.name, key=options.key, limits=namespace.host.limits)

    def listen(self) -> None:
        """Subscribe to the channels of the namespace."""
        self._redis.hear(self._form.pattern(), self._heard, "psubscribe")
        for channel in self._form.channels(self.uid):
            self._link.hear(channel, self._heard)

    def unlisten(self) -> None:
        """Undo that."""
        self._redis.unhear(self._form.pattern(), "psubscribe")
        for channel in self._form.channels(self.uid):
            self._link.unhear(channel)

    def publish(self, message: Any, to: str = "") -> None:
        """Publish a message; raises ``LocalProtocolError`` if it has no form."""
        self._link.publish(*self._form.encode(message, to if self._specific else ""))

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Ask Redis how many servers listen to requests."""
        self._link.count(self._form.requests, counted)

    def _heard(self, channel: bytes, payload: bytes) -> None:
        name = str(channel, "utf-8", "replace")
        self.take(name, lambda: self._form.decode(name, payload))
