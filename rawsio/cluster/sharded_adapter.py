"""``ShardedAdapter``: the cluster of ``createShardedAdapter``, on the sharded channels of Redis 7.

Channels, for the namespace ``/`` and the default prefix::

    socket.io#/#          what all servers hear
    socket.io#/#UID#      answers to one server
    socket.io#/#ROOM#     events for one room: only servers with members hear them

The last kind makes it scale: a server has no work with rooms of which it has no members.  It
subscribes to a room's channel when the first of its sockets joins, and Redis confirms that a moment
later; an event that another server sends within that moment does not reach it.  So that nobody
learns of a join too early, what is sent to the client that has joined waits for that moment, the
acknowledgement that says so before all else: who knows of it can be sure that the next event for
the room comes.  In a Redis Cluster each channel belongs to one of its servers.

All servers must have the same ``subscription_mode``: it says which rooms have channels.

- ``"dynamic"``: all but those whose names have 20 characters, as the ids of sockets have.
- ``"dynamic-private"``: all, those of the single sockets as well.
- ``"static"``: none.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.gate import HeldRoute
from rawsio.layer import record

from .adapter import ClusterAdapter
from .bus import RedisBus
from .envelope import Envelope
from .factory import AdapterFactory
from .messages import (
    Broadcast,
    ClientAnswer,
    ClientCount,
    ServerAnswer,
    SocketsAnswer,
)
from .sharded_link import ShardedLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Literal

    from typing_extensions import Unpack

    from rawsio.app.interfaces import MultiplexerLike, NamespaceLike
    from rawsio.redis import RedisAddress

    from .adapter import Listener
    from .factory import FactoryKeywords

    OnEvent = Callable[[str, str, str], None]

    Mode = Literal["dynamic", "static", "dynamic-private"]

    class ShardedKeywords(FactoryKeywords, total=False):
        """The fields of :class:`ShardedOptions`, as keywords."""

        channel_prefix: str
        subscription_mode: Mode
        requests_timeout: float
        heartbeat_interval: float
        heartbeat_timeout: float
        join_wait: float


__all__ = ["RoomsAdapter", "ShardedAdapter", "ShardedBus", "ShardedOptions"]

_ANSWERS = (SocketsAnswer, ServerAnswer, ClientCount, ClientAnswer)

_MODES = ("dynamic", "static", "dynamic-private")
_ID_LENGTH = 20


@record
class ShardedOptions:
    """The options of ``createShardedAdapter``; times are in seconds."""

    channel_prefix: str = "socket.io"
    """The first word of every channel: the same for all servers of a cluster."""
    subscription_mode: str = "dynamic"
    """``"dynamic"``, ``"static"`` or ``"dynamic-private"``; see the module's text."""
    requests_timeout: float = 5.0
    """How long a request waits for the answers of the other servers."""
    heartbeat_interval: float = 5.0
    """How often servers of this library announce themselves to each other."""
    heartbeat_timeout: float = 12.0
    """After which silence one of them counts as gone."""
    join_wait: float = 0.2
    """How long a client that has joined a room waits for Redis to confirm its channel."""


class RoomsAdapter(ClusterAdapter):
    """A cluster's adapter that tells its bus which rooms have members here."""

    waits_for_rooms = True

    def __init__(
        self, namespace: NamespaceLike, uid: str, bus: ShardedBus, listener: Listener | None = None
    ) -> None:
        self._told = bus
        self._on_rooms: OnEvent | None = None
        super().__init__(namespace, uid, bus, listener)

    @property
    def on_event(self) -> OnEvent | None:
        """Who is told of changes of membership; the bus is told first."""
        return self._changed

    @on_event.setter
    def on_event(  # pyright: ignore[reportIncompatibleVariableOverride]  # the bus hears first
        self, listener: OnEvent | None
    ) -> None:
        self._on_rooms = listener

    def _changed(self, kind: str, room: str, sid: str) -> None:
        if kind == "create-room":
            self._told.open_room(room)
        elif kind == "delete-room":
            self._told.close_room(room)
        if self._on_rooms is not None:
            self._on_rooms(kind, room, sid)

    def connected(self, sid: str) -> None:
        """Open the room of a single socket, if it has a channel: the client hears of that later."""
        super().connected(sid)
        self.entered(self.namespace.sockets[sid]._peer, (sid,))

    def entered(self, peer: MultiplexerLike, rooms: Collection[str]) -> None:
        """Hold what is sent to a client until the channels of its rooms are confirmed."""
        for room in rooms:
            waiting = self._told.opening(room)
            if waiting is not None:
                waiting.append(HeldRoute.of(peer).open)


class ShardedAdapter(AdapterFactory):
    """The adapter of a server that shares its clients through the sharded channels of Redis 7.

    ::

        io = Server(adapter=ShardedAdapter("redis://127.0.0.1:6379"))

    The URL may be that of any server of a Redis Cluster: the others are found.  ``options`` are
    those of :class:`ShardedOptions`; the rest is what
    :class:`~rawsio.cluster.factory.AdapterFactory` says.
    """

    options_type = ShardedOptions

    def __init__(
        self, url: str = "redis://127.0.0.1:6379", **options: Unpack[ShardedKeywords]
    ) -> None:
        super().__init__(url, **options)
        mode = self.options.subscription_mode
        if mode not in _MODES:
            raise ValueError(f"subscription_mode: one of {', '.join(_MODES)}, not {mode!r}")

    def make_link(self, address: RedisAddress) -> ShardedLink:
        """Return the connections to Redis."""
        return ShardedLink(address, self.redis, self._told, self._connect)

    def make_bus(self, namespace: NamespaceLike) -> ShardedBus:
        """Return the bus of a namespace."""
        uid = namespace.host.random_bytes(8).hex()
        return ShardedBus(self.link, namespace, uid, self.options, self.gone)

    def make_adapter(self, namespace: NamespaceLike, bus: Any) -> RoomsAdapter:
        """Return the adapter of a namespace."""
        return RoomsAdapter(namespace, bus.uid, bus, self.listener)


class ShardedBus(RedisBus):
    """The channels of one namespace."""

    def __init__(
        self,
        link: ShardedLink,
        namespace: NamespaceLike,
        uid: str,
        options: ShardedOptions,
        gone: Callable[[Any], object],
    ) -> None:
        super().__init__(link, namespace, uid, options, options.channel_prefix, gone)
        self._sharded = link
        self._channel = f"{options.channel_prefix}#{namespace.name}#"
        self._form = Envelope(namespace.name, namespace.host.limits)
        self._mode = options.subscription_mode
        self._rooms: set[str] = set()
        self._join_wait = options.join_wait
        # Who waits for the channels that Redis has not confirmed yet.
        self._opening: dict[str, list[Callable[[], object]]] = {}
        self._late = False
        self._timer: Any = None

    def listen(self) -> None:
        """Subscribe to the channels of the namespace."""
        for name in ("", f"{self.uid}#", *(f"{room}#" for room in self._rooms)):
            self._link.hear(self._channel + name, self._heard)

    def unlisten(self) -> None:
        """Undo that."""
        for room in list(self._opening):
            self._opened(room)
        for name in ("", f"{self.uid}#", *(f"{room}#" for room in self._rooms)):
            self._link.unhear(self._channel + name)

    def has_channel(self, room: str) -> bool:
        """Tell whether events for this room alone have a channel of their own."""
        if self._mode == "dynamic":
            return len(room.encode("utf-16-le", "surrogatepass")) != 2 * _ID_LENGTH
        return self._mode == "dynamic-private"

    def open_room(self, room: str) -> None:
        """Take note that sockets of this server are in a room."""
        if self.has_channel(room):
            self._rooms.add(room)
            if self.started:
                waiting = self._opening[room] = []
                confirmed = partial(self._confirmed, room, waiting)
                self._sharded.hear(f"{self._channel}{room}#", self._heard, confirmed)

    def close_room(self, room: str) -> None:
        """Take note that none is any more."""
        if room in self._rooms:
            self._rooms.remove(room)
            self._opened(room)
            if self.started:
                self._link.unhear(f"{self._channel}{room}#")

    def opening(self, room: str) -> list[Callable[[], object]] | None:
        """Return who is called when Redis confirms the channel of a room; ``None`` if it is late.

        Also if it has, or cannot.
        """
        waiting = self._opening.get(room)
        if waiting is None or self._late or not self._link.ready:
            return None
        if self._timer is None:
            self._timer = self.host.call_later(self._join_wait, self._overdue)
        return waiting

    def _confirmed(self, room: str, waiting: list[Callable[[], object]]) -> None:
        self._late = False
        if self._opening.get(room) is waiting:  # and not closed and opened again since
            self._opened(room)

    def _opened(self, room: str) -> None:
        for go_on in self._opening.pop(room, ()):
            go_on()
        if not self._opening and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        """Redis does not answer: let everybody go on, and nobody wait until it does."""
        self._timer = None
        self._late = True
        for room in list(self._opening):
            self._opened(room)

    def publish(self, message: Any, to: str = "") -> None:
        """Publish a message; raises ``LocalProtocolError`` if it has no form."""
        channel = self._channel
        if isinstance(message, _ANSWERS):
            channel = f"{channel}{to}#"
        elif isinstance(message, Broadcast) and not message.request:
            # Who asks for acknowledgements counts all servers, so that all have to hear of it.
            rooms = message.targets.rooms
            if len(rooms) == 1:
                (room,) = rooms
                if self.has_channel(room):
                    channel = f"{channel}{room}#"
        self._link.publish(channel, self._form.encode(message))

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Ask Redis how many servers listen."""
        self._link.count(self._channel, counted)

    def _heard(self, channel: bytes, payload: bytes) -> None:
        self.take(str(channel, "utf-8", "replace"), lambda: self._form.decode(payload))
