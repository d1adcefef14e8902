"""What the adapters of one worker say to those of the others, over socket pairs.

Each worker has a stream to each other one, so a broadcast goes to its receivers by one step, and
the parent has no part in it.  The messages are those of Node's cluster adapter, as
:mod:`rawsio.cluster.envelope` writes them, behind the name of their namespace; what is done with
them is :class:`rawsio.cluster.ClusterAdapter`'s business, as it is with Redis between.

Who is connected is known without asking: a worker that dies takes its end of the pair along.  One
that hangs is told no more when ``Limits.worker_queue`` bytes wait for it.
"""

from __future__ import annotations

from functools import partial

from rawsio.cluster.adapter import ClusterAdapter
from rawsio.cluster.envelope import Envelope
from rawsio.cluster.fields import ClusterError
from rawsio.log import WARNING
from rawsio.net.driver import Driver
from rawsio.net.tcp import TCPStream

from .frames import Frame, FrameConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from rawsio.app.interfaces import NamespaceLike
    from rawsio.limits import Limits
    from rawsio.net.loop_timers import AnyLoop

__all__ = ["WorkersAdapter", "WorkersBus", "WorkersLink", "name_of"]

_TIMEOUT = 5.0
"""Seconds that a request waits for the answers of the other workers."""


def name_of(number: int) -> str:
    """Return the name of a worker, for its adapters and for people.

    >>> name_of(3)
    'worker-3'
    """
    return f"worker-{number}"


class WorkersLink:
    """The streams of one worker to the others, shared by its namespaces."""

    def __init__(self, number: int, limits: Limits) -> None:
        self.name = name_of(number)
        self.limits = limits
        self.peers: dict[str, TCPStream] = {}
        """The streams to the other workers, by their names."""
        self.published = 0
        self.dropped = 0
        self._buses: dict[bytes, WorkersBus] = {}
        self._waiting: list[tuple[int, socket.socket]] = []
        self._driver: Driver | None = None

    def start(self, loop: AnyLoop) -> None:
        """Begin, on the loop of the server."""
        self._driver = Driver(loop, self.limits)
        waiting, self._waiting = self._waiting, []
        for number, sock in waiting:
            self.join(number, sock)

    def join(self, number: int, sock: socket.socket) -> None:
        """Talk to another worker, by this socket."""
        if self._driver is None:
            self._waiting.append((number, sock))
            return
        name = name_of(number)
        layer = FrameConnection(self.limits)
        self.peers[name] = TCPStream(
            self._driver, sock, layer, self._received, partial(self._lost, name), name
        )

    def _lost(self, name: str, _stream: Any, _reason: str) -> None:
        self.peers.pop(name, None)
        for bus in list(self._buses.values()):
            bus.left(name)

    def add(self, namespace: bytes, bus: WorkersBus) -> None:
        """Let a bus hear what is said in its namespace."""
        self._buses[namespace] = bus

    def remove(self, namespace: bytes, bus: WorkersBus) -> None:
        """Undo that."""
        if self._buses.get(namespace) is bus:
            del self._buses[namespace]

    def publish(self, namespace: bytes, payload: bytes, to: str = "") -> None:
        """Say something to all other workers, or to one; never waits."""
        self.published += 1
        data = len(namespace).to_bytes(2, "big") + namespace + payload
        if to:
            peer = self.peers.get(to)
            if peer is not None:
                self._send(peer, data)
            return
        for peer in self.peers.values():
            self._send(peer, data)

    def _send(self, peer: TCPStream, data: bytes) -> None:
        if peer.buffered_amount > self.limits.worker_queue:
            self.dropped += 1
            message = f"{peer.tag} takes nothing: it misses messages (Limits.worker_queue)"
            peer.driver.log("workers", WARNING, message)
            return
        peer.layer.send(Frame(data))
        peer.touch()

    def _received(self, _name: str, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Frame):
                end = 2 + int.from_bytes(event.data[:2], "big")
                bus = self._buses.get(event.data[2:end])
                if bus is not None:
                    bus.take(event.data[end:])

    def stop(self) -> None:
        """Say no more."""
        for peer in list(self.peers.values()):
            peer.flush()
            peer.abort("closed")

    def stats(self) -> dict[str, Any]:
        """Return numbers for people: what was published, what was dropped, how many there are."""
        return {
            "degraded": False,
            "published": self.published,
            "dropped": self.dropped,
            "waiting": sum(peer.buffered_amount for peer in self.peers.values()),
            "servers": 1 + len(self.peers),
        }


class WorkersBus:
    """The bus of one namespace: see :class:`rawsio.cluster.adapter.Bus`."""

    timeout = _TIMEOUT

    def __init__(self, link: WorkersLink, namespace: NamespaceLike) -> None:
        self.node_left: Callable[[str], None] | None = None
        self._link = link
        self._host = namespace.host
        self._name = namespace.name.encode("utf-8", "surrogatepass")
        self._form = Envelope(namespace.name, namespace.host.limits)
        self._received: Callable[[Any], None] | None = None

    def start(self, received: Callable[[Any], None]) -> None:
        """Listen."""
        self._received = received
        self._link.add(self._name, self)

    def stop(self) -> None:
        """Listen no more."""
        self._received = None
        self._link.remove(self._name, self)

    def publish(self, message: Any, to: str = "") -> None:
        """Say something to all other workers, or to one."""
        if self._link.peers:
            self._link.publish(self._name, self._form.encode(message), to)

    def count(self, counted: Callable[[int | None], None]) -> None:
        """Call ``counted`` with the number of workers that are connected."""
        counted(1 + len(self._link.peers))

    def nodes(self) -> list[str]:
        """Return the names of the other workers."""
        return list(self._link.peers)

    def left(self, name: str) -> None:
        """Take note that another worker has gone."""
        if self.node_left is not None:
            self.node_left(name)

    def take(self, payload: bytes) -> None:
        """Take a message of another worker; what is none is dropped."""
        if self._received is None:
            return
        try:
            message = self._form.decode(payload)
        except ClusterError as error:
            text = f"a message of a worker was dropped: {error.message} [{error.rule}]"
            self._host.log("cluster", WARNING, text)
            return
        if message is not None:
            self._received(message)


class WorkersAdapter:
    """Makes the adapter of each namespace of a worker."""

    def __init__(self, link: WorkersLink) -> None:
        self._link = link

    def __call__(self, namespace: NamespaceLike) -> ClusterAdapter:
        """Make the adapter of a namespace."""
        bus = WorkersBus(self._link, namespace)
        adapter = ClusterAdapter(namespace, self._link.name, bus)
        bus.node_left = adapter.node_left
        return adapter

    def stats(self) -> dict[str, Any]:
        """Return what :class:`WorkersLink` says of itself."""
        return self._link.stats()
