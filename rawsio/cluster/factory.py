"""What all adapters on Redis have in common: one object for a server, an adapter a namespace.

The connections are shared by all namespaces, and made when the server begins to run; so an object
can be made at import, or before a fork.
"""

from __future__ import annotations

from rawsio.app.handlers import check_plain
from rawsio.app.lifecycle_events import raise_namespace_event
from rawsio.errors import meant
from rawsio.layer import check_fields
from rawsio.redis import RedisOptions

from .adapter import ClusterAdapter
from .link import RedisLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypedDict

    from rawsio.app.interfaces import NamespaceLike
    from rawsio.redis import RedisAddress

    from .adapter import Listener
    from .bus import RedisBus

    class FactoryKeywords(TypedDict, total=False):
        """What every adapter on Redis takes, by name."""

        redis: RedisOptions | None
        on_degraded: Callable[[bool, str], object] | None
        connect: Callable[..., Any] | None


__all__ = ["AdapterFactory", "check_hooks", "made_of"]


def made_of(name: str, kind: Any, options: dict[str, Any]) -> Any:
    """Return the record of these options; ``TypeError`` for one that ``name`` does not have."""
    known = kind.__match_args__
    for option in options:
        if option not in known:
            raise TypeError(f"{name}() has no option {option!r}{meant(option, known)}")
    return kind(**options)


def check_hooks(**hooks: Any) -> None:
    """Refuse what is no function, and ``async def``: nobody waits for these; ``None`` is fine."""
    for name, hook in hooks.items():
        if hook is not None:
            check_plain(hook, name)


class AdapterFactory:
    """Makes the adapter of each namespace; see its subclasses for the options.

    ``redis`` says how to connect (:class:`rawsio.redis.RedisOptions`; its ``policy`` is
    ``"drop_oldest"`` here).  ``on_degraded(degraded, reason)`` is called on the loop's thread when
    Redis is lost (``True``) and reached again (``False``); handlers of ``cluster_degraded`` of the
    main namespace are called with the same.  ``connect`` makes connections, for tests.

    Raises ``ValueError`` for a URL that is none, ``TypeError`` for an option that there is not.
    One object serves one server.
    """

    options_type: Any = None

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379",
        *,
        redis: RedisOptions | None = None,
        on_degraded: Callable[[bool, str], object] | None = None,
        connect: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        self.options = made_of(type(self).__name__, self.options_type, options)
        check_fields(self.options)
        self.redis = RedisOptions.of(redis, policy="drop_oldest")
        check_hooks(on_degraded=on_degraded, connect=connect)
        self._on_degraded = on_degraded
        self._connect = connect
        self._buses: list[RedisBus] = []
        self.listener: Listener | None = None
        self._main: Any = None
        self.link = self.make_link(self.redis.address_of(url))

    def make_link(self, address: RedisAddress) -> Any:
        """Return the connections to Redis."""
        return RedisLink(address, self.redis, self._told, self._connect)

    def make_bus(self, namespace: NamespaceLike) -> RedisBus:
        """Return the bus of a namespace."""
        raise NotImplementedError

    def make_adapter(self, namespace: NamespaceLike, bus: Any) -> ClusterAdapter:
        """Return the adapter of a namespace."""
        return ClusterAdapter(namespace, bus.uid, bus, self.listener)

    def __call__(self, namespace: NamespaceLike) -> ClusterAdapter:
        """Make the adapter of a namespace; called by the server."""
        if namespace.name == "/":
            self._main = namespace
        bus = self.make_bus(namespace)
        self._buses.append(bus)
        adapter = self.make_adapter(namespace, bus)
        bus.node_left = adapter.node_left
        return adapter

    def gone(self, bus: RedisBus) -> None:
        """Take note that a bus has stopped; the last one ends the connections."""
        self._buses.remove(bus)
        if not self._buses:
            self.link.stop()

    def _told(self, ready: bool, reason: str) -> None:  # noqa: FBT001 - a state
        if ready:
            for bus in self._buses:
                bus.announce("new")
        try:
            if self._on_degraded is not None:
                self._on_degraded(not ready, reason)
        finally:
            if self._main is not None:
                raise_namespace_event(self._main, "cluster_degraded", not ready, reason)

    def stats(self) -> dict[str, Any]:
        """Return whether Redis is reached, what was published, what waits, what was dropped.

        Also in ``Server.stats()``, as ``"cluster"``.
        """
        return {**self.link.stats(), "servers": 1 + max(map(_others, self._buses), default=0)}


def _others(bus: RedisBus) -> int:
    return len(bus.nodes())
