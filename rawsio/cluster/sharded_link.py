"""The link to Redis by sharded channels: one server, or all servers of a Redis Cluster.

A sharded channel belongs to one server of a Redis Cluster.  This link asks the server that it
knows; one that is the wrong one answers ``MOVED`` with the address of the right one, which is then
asked, and remembered for the slot.  So nothing has to be configured, and a plain Redis is the case
in which nobody ever answers ``MOVED``.  A slot that moves to another server ends its subscriptions
there; a server that is lost is asked for no longer than two seconds before the others are asked
who has its slots now.
"""

from __future__ import annotations

from functools import partial

from rawsio.layer import record
from rawsio.log import ERROR
from rawsio.redis import RedisError
from rawsio.redis.resp import text_bytes
from rawsio.redis.slots import moved_to, slot_of

from .link import RedisLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.redis import Answer, RedisAddress, RedisOptions

    Heard = Callable[[bytes, bytes], object]

__all__ = ["ShardedLink"]

_HOPS = 5
"""How many times one message follows a ``MOVED``."""
_PATIENCE = 2.0
"""Seconds that a lost server keeps its channels."""


@record
class _Channel:
    heard: Any
    link: Any
    confirmed: Any
    hops: int = 0
    moved: float = 0.0

    def settle(self) -> None:
        """Let nobody wait for it any longer."""
        confirmed, self.confirmed = self.confirmed, None
        if confirmed is not None:
            confirmed()


class ShardedLink:
    """As :class:`~rawsio.cluster.link.RedisLink`, on sharded channels."""

    def __init__(
        self,
        address: RedisAddress,
        options: RedisOptions,
        told: Callable[[bool, str], object] | None = None,
        connect: Callable[..., Any] | None = None,
    ) -> None:
        self.ready = False
        self._options = options
        self._told = told
        self._connect = connect
        self._host: Any = None
        self._links: dict[tuple[str, int], RedisLink] = {}
        self._slots: dict[int, RedisLink] = {}
        self._channels: dict[bytes, _Channel] = {}
        self._timers: dict[int, Any] = {}
        self._first = self._link(address)

    def _link(self, address: RedisAddress) -> RedisLink:
        key = address.host, address.port
        if key in self._links:
            return self._links[key]
        link = RedisLink(
            address,
            self._options,
            lambda ready, reason: self._changed(link, ready, reason),
            self._connect,
            lambda channel, error: self._moved(link, channel, error),
        )
        self._links[key] = link
        if self._host is not None:
            link.start(self._host)
        return link

    def start(self, host: Any) -> None:
        """Connect, on the loop of ``host``; does nothing if that was done."""
        if self._host is None:
            self._host = host
            self._first.start(host)

    def stop(self) -> None:
        """End all connections."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._channels.clear()
        for link in self._links.values():
            link.stop()

    def _changed(self, link: RedisLink, ready: bool, reason: str) -> None:  # noqa: FBT001 - a state
        timer = self._timers.pop(id(link), None)
        if timer is not None:
            timer.cancel()
        if not ready and len(self._links) > 1 and self._channels:
            later = self._host.call_later(_PATIENCE, self._look_elsewhere, link)
            self._timers[id(link)] = later
        self._check(reason)

    def _check(self, reason: str) -> None:
        needed = {id(channel.link): channel.link for channel in self._channels.values()}
        ready = all(link.ready for link in needed.values() or (self._first,))
        if ready != self.ready:
            self.ready = ready
            if self._told is not None:
                self._told(ready, reason)

    # Which server has what

    def _of(self, channel: bytes) -> RedisLink:
        known = self._channels.get(channel)
        return self._slots.get(slot_of(channel), self._first) if known is None else known.link

    def _owner(self, link: RedisLink, error: RedisError) -> RedisLink | None:
        """Return the server that a ``MOVED`` of this one names."""
        place = moved_to(error.message, link.address.host) if error.code == "MOVED" else None
        if place is None:
            return None
        if place not in self._links and len(self._links) >= self._host.limits.cluster_nodes:
            return None
        return self._link(self._first.address.at(*place))

    def _moved(self, link: RedisLink, name: bytes, error: RedisError) -> bool:
        """A server refuses a channel, or gives it up: subscribe at another; ``True`` if so."""
        channel = self._channels.get(name)
        if channel is None or channel.link is not link:
            return True  # nobody wants it there any more
        owner = self._owner(link, error)
        if owner is None and error.code == "MOVED":  # the slot has moved, nobody says where
            owner = link
        now = self._host.time()
        channel.hops = 1 if now - channel.moved > _PATIENCE else channel.hops + 1
        channel.moved = now
        if owner is None or channel.hops > _HOPS:
            self._host.log("cluster", ERROR, f"Redis refused a subscription: {error}")
            channel.settle()
            return True
        self._subscribe_at(owner, name, channel)
        return True

    def _subscribe_at(self, link: RedisLink, name: bytes, channel: _Channel) -> None:
        channel.link = link
        self._slots[slot_of(name)] = link
        link.hear(name, channel.heard, "ssubscribe", partial(self._answered, channel))
        self._check("a channel has moved to another server of the cluster")

    def _look_elsewhere(self, link: RedisLink) -> None:
        """Ask the servers that are there who has the channels of one that is lost."""
        self._timers[id(link)] = self._host.call_later(_PATIENCE, self._look_elsewhere, link)
        others = [other for other in self._links.values() if other.ready]
        for name, channel in list(self._channels.items()):
            if channel.link is link and others:
                link.unhear(name, "ssubscribe")
                self._subscribe_at(others[0], name, channel)

    # As a link

    def publish(self, channel: str, payload: bytes) -> None:
        """Publish; without a connection it waits, and the oldest that waits may be dropped."""
        name = text_bytes(channel)
        self._publish(self._of(name), name, payload, _HOPS)

    def _publish(self, link: RedisLink, name: bytes, payload: bytes, hops: int) -> None:
        def published(answer: Answer) -> None:
            error = answer.error
            if hops and isinstance(error, RedisError) and error.code == "MOVED":
                owner = self._owner(link, error)
                if owner is not None:
                    self._slots[slot_of(name)] = owner
                    self._publish(owner, name, payload, hops - 1)
                    return
            link.published_to(answer)

        link.publish(name, payload, "SPUBLISH", published)

    def count(self, channel: str, counted: Callable[[int | None], None]) -> None:
        """Call ``counted`` with the number of subscribers, ``None`` if Redis cannot be asked."""
        self._of(text_bytes(channel)).count(channel, counted, "SHARD")

    def hear(
        self, channel: str, heard: Heard, confirmed: Callable[[], object] | None = None
    ) -> None:
        """Call ``heard(channel, payload)`` for what is published there.

        ``confirmed()`` is called once a server has confirmed that, or it cannot be had now.
        """
        name = text_bytes(channel)
        made = self._channels[name] = _Channel(heard, self._of(name), confirmed)
        made.link.hear(name, heard, "ssubscribe", partial(self._answered, made))

    @staticmethod
    def _answered(channel: _Channel, answer: Answer) -> None:
        if not isinstance(answer.error, RedisError):  # which may lead to another server
            channel.settle()

    def unhear(self, channel: str) -> None:
        """Hear no more of a channel."""
        name = text_bytes(channel)
        known = self._channels.pop(name, None)
        if known is not None:
            known.link.unhear(name, "ssubscribe")

    def stats(self) -> dict[str, Any]:
        """Return numbers for people, of all servers together."""
        every = [link.stats() for link in self._links.values()]
        total = {name: sum(stats[name] for stats in every) for name in every[0]}
        return {**total, "degraded": not self.ready, "servers": len(every)}
