"""``StreamsAdapter``: the cluster of ``@socket.io/redis-streams-adapter`` 0.3, with recovery.

Broadcasts, and what joins, leaves and disconnects sockets, are entries of a Redis stream, which
every server reads from where it is.  So an outage of Redis delays them, and loses none.  What asks
for answers goes by pub/sub, as do the answers::

    stream socket.io      broadcasts, join, leave, disconnect
    socket.io#/#          requests: broadcasts with acknowledgements, fetch, events of servers
    socket.io#/#UID#      answers to one server

With ``connection_state_recovery`` the stream is also the log from which a client gets what it
missed, on whichever server it comes back (:mod:`rawsio.cluster.stream_recovery`).
"""

from __future__ import annotations

from .factory import AdapterFactory
from .stream_reader import StreamReader
from .stream_recovery import StreamRooms
from .streams_bus import StreamsBus, StreamsLink, StreamsOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Unpack

    from rawsio.app.interfaces import NamespaceLike
    from rawsio.redis import RedisAddress

    from .streams_bus import StreamsKeywords

__all__ = ["StreamsAdapter"]


class StreamsAdapter(AdapterFactory):
    """The adapter of a server that shares its clients through Redis streams.

    ::

        io = Server(adapter=StreamsAdapter("redis://127.0.0.1:6379"),
                    connection_state_recovery=True)

    ``options`` are those of :class:`StreamsOptions`; the rest is what
    :class:`~rawsio.cluster.factory.AdapterFactory` says.
    """

    options_type = StreamsOptions

    def __init__(
        self, url: str = "redis://127.0.0.1:6379", **options: Unpack[StreamsKeywords]
    ) -> None:
        super().__init__(url, **options)
        if self.options.stream_count < 1:
            raise ValueError(f"stream_count: 1 or more, not {self.options.stream_count!r}")
        self._by_name: dict[bytes, StreamsBus] = {}

    def make_link(self, address: RedisAddress) -> StreamsLink:
        """Return the connections to Redis."""
        return StreamsLink(self._reader, address, self.redis, self._told, self._connect)

    def _reader(self, host: Any) -> StreamReader:
        options = self.options
        # A namespace is in one stream for good, so that recovery finds the position of a client.
        mark = ["rawsio", "begin"] if host.recovery is not None else []
        reader = StreamReader(
            host, self._took, count=options.read_count, block=options.block_time, mark=mark
        )
        if options.stream_count > 1:
            for number in range(options.stream_count):
                reader.add(f"{options.stream_name}-{number}")
        return reader

    def _took(self, position: str, fields: dict[bytes, bytes]) -> None:
        bus = self._by_name.get(fields.get(b"nsp") or fields.get(b"of", b""))
        if bus is not None:
            bus.take_entry(position, fields)

    def make_bus(self, namespace: NamespaceLike) -> StreamsBus:
        """Return the bus of a namespace."""
        uid = namespace.host.random_bytes(8).hex()
        bus = StreamsBus(self.link, namespace, uid, self.options, self.gone)
        self._by_name[namespace.name.encode("utf-8", "surrogatepass")] = bus
        return bus

    def make_adapter(self, namespace: NamespaceLike, bus: Any) -> StreamRooms:
        """Return the adapter of a namespace."""
        return StreamRooms(namespace, bus, self.listener)

    def gone(self, bus: Any) -> None:
        """Take note that a bus has stopped; the last one ends the connections."""
        name = bus.namespace.encode("utf-8", "surrogatepass")
        if self._by_name.get(name) is bus:
            del self._by_name[name]
        super().gone(bus)
