"""What carries the messages of a namespace by streams: its stream, and its channels.

Broadcasts, joins, leaves and disconnections are appended to the stream; what asks for answers goes
by pub/sub (:mod:`rawsio.cluster.streams_adapter` has the names).
"""

from __future__ import annotations

from rawsio.layer import record
from rawsio.redis.resp import text_bytes

from .bus import RedisBus
from .link import RedisLink
from .messages import Broadcast, Disconnect, Join, Leave
from .stream_form import StreamForm, node_stream, own_stream
from .stream_reader import BEGINNING, StreamReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike
    from rawsio.redis import Answer

    from .factory import FactoryKeywords

    class StreamsKeywords(FactoryKeywords, total=False):
        """The fields of :class:`StreamsOptions`, as keywords."""

        stream_name: str
        stream_count: int
        channel_prefix: str
        max_len: int
        read_count: int
        block_time: float
        session_key_prefix: str
        requests_timeout: float
        local_wait: float
        heartbeat_interval: float
        heartbeat_timeout: float


__all__ = ["StreamsBus", "StreamsLink", "StreamsOptions"]


@record
class StreamsOptions:
    """The options of ``@socket.io/redis-streams-adapter``; times are in seconds."""

    stream_name: str = "socket.io"
    """The name of the stream; with several, what their names begin with."""
    stream_count: int = 1
    """How many streams there are: each namespace is in one of them."""
    channel_prefix: str = "socket.io"
    """The first word of every channel: the same for all servers of a cluster."""
    max_len: int = 10_000
    """About how many entries a stream keeps."""
    read_count: int = 100
    """How many entries are read at once."""
    block_time: float = 5.0
    """How long a read waits for entries."""
    session_key_prefix: str = "sio:session:"
    """What the keys of lost sessions begin with."""
    requests_timeout: float = 5.0
    """How long a request waits for the answers of the other servers."""
    local_wait: float = 0.2
    """With recovery: how long the clients of this server wait for what Redis makes of an event."""
    heartbeat_interval: float = 5.0
    """How often servers of this library announce themselves to each other."""
    heartbeat_timeout: float = 12.0
    """After which silence one of them counts as gone."""


class StreamsLink(RedisLink):
    """The connections to Redis, and one that reads streams."""

    rests = False  # who comes back later reads what was said before

    def __init__(self, reader: Callable[[Any], StreamReader], *args: Any) -> None:
        super().__init__(*args)
        self._make_reader = reader
        self.reader: StreamReader | None = None

    def start(self, host: Any) -> None:
        """Connect, on the loop of ``host``; does nothing if that was done."""
        if self.started:
            return
        self.reader = reader = self._make_reader(host)
        reader.use(self.add_client(host, lambda ready: reader.begin() if ready else None))
        super().start(host)

    def stop(self) -> None:
        """End all connections."""
        if self.reader is not None:
            self.reader.stop()
        super().stop()


class StreamsBus(RedisBus):
    """The stream and the channels of one namespace."""

    def __init__(
        self,
        link: StreamsLink,
        namespace: NamespaceLike,
        uid: str,
        options: StreamsOptions,
        gone: Callable[[Any], object],
    ) -> None:
        super().__init__(link, namespace, uid, options, options.channel_prefix, gone)
        self.namespace = namespace.name
        self.options = options
        self.on_own: Callable[[str, bytes], None] | None = None
        self.on_gap: Callable[..., None] | None = None
        self.redis = link
        self.form = StreamForm(namespace.name, namespace.host.limits)
        self.stream = own_stream(namespace.name, options.stream_name, options.stream_count)
        self._node_stream = node_stream(namespace.name, options.stream_name, options.stream_count)
        self._channel = f"{options.channel_prefix}#{namespace.name}#"

    @property
    def position(self) -> str:
        """The id of the last entry of the stream that was read."""
        reader = self.redis.reader
        return BEGINNING if reader is None else reader.positions.get(self.stream, BEGINNING)

    @property
    def ready(self) -> bool:
        """Whether Redis is there."""
        return self.redis.ready

    def listen(self) -> None:
        """Subscribe to the channels of the namespace, and read its stream."""
        for channel in (self._channel, f"{self._channel}{self.uid}#"):
            self.redis.hear(channel, self._heard)
        if self.redis.reader is not None:
            self.redis.reader.add(self.stream)
            self.redis.reader.add(self._node_stream)

    def unlisten(self) -> None:
        """Undo that."""
        for channel in (self._channel, f"{self._channel}{self.uid}#"):
            self.redis.unhear(channel)

    def publish(self, message: Any, to: str = "") -> None:
        """Publish a message; raises ``LocalProtocolError`` if it has no form."""
        if isinstance(message, (Join, Leave, Disconnect)) or (
            isinstance(message, Broadcast) and not message.request
        ):
            self.append(message)
            return
        channel = f"{self._channel}{to}#" if to else self._channel
        self.redis.publish(channel, self.form.encode_packed(message))

    def append(self, message: Any, done: Callable[[Answer], None] | None = None) -> bytes:
        """Append a message to the stream, and return its data as it will be read.

        ``done(answer)`` is called with what came of it.
        """
        fields = self.form.entry(message)
        trim = ("MAXLEN", "~", self.options.max_len, "*")
        self.redis.append(self.stream, *trim, *fields, done=done)
        return text_bytes(fields[-1])

    def append_gap(self, done: Callable[[Answer], None]) -> None:
        """Append an entry that says that what was published before it may be missing."""
        fields = ("rawsio", "gap", "of", self.namespace, "by", self.uid)
        trim = ("MAXLEN", "~", self.options.max_len, "*")
        self.redis.append(self.stream, *trim, *fields, done=done)

    def is_gap(self, fields: dict[bytes, bytes]) -> bool:
        """Tell whether an entry says that something is missing in this namespace."""
        name = self.namespace.encode("utf-8", "surrogatepass")
        return fields.get(b"rawsio") == b"gap" and fields.get(b"of") == name

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Ask Redis how many servers listen."""
        self.redis.count(self._channel, counted)

    def _heard(self, channel: bytes, payload: bytes) -> None:
        self.take(str(channel, "utf-8", "replace"), lambda: self.form.decode(payload))

    def take_entry(self, position: str, fields: dict[bytes, bytes]) -> None:
        """Take an entry of the stream."""
        if self.is_gap(fields):
            if self.on_gap is not None:
                self.on_gap(ours=fields.get(b"by") == self.uid.encode())
            return
        if fields.get(b"uid") == self.uid.encode():
            if self.on_own is not None:
                self.on_own(position, fields.get(b"data", b""))
            return

        def read() -> Any:
            message = self.form.read_entry(fields)
            if isinstance(message, Broadcast):
                message.offset = position
            return message

        self.take(self.stream, read)
