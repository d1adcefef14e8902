"""What the adapters of one worker say to those of the others, over socket pairs.

Each worker has a stream to each other one, so a broadcast goes to its receivers by one step, and
the parent has no part in it.  The messages are those of Node's cluster adapter, as
:mod:`rawsio.cluster.envelope` writes them, behind the name of their namespace; what is done with
them is :class:`rawsio.cluster.ClusterAdapter`'s business, as it is with Redis between.  The
commonest by far, an event for many, goes as the bytes that their clients get (:mod:`.shared`).

What is said in a turn goes out at its end, in one write for each worker, and before the clients of
this one get theirs: the others send at the same time.  What has come from others goes to the
clients at the end of a turn, too: a broadcast that is the only one leaves without a flush.

Who is connected is known without asking: a worker that dies takes its end of the pair along.  One
that hangs is told no more when ``Limits.worker_queue`` bytes wait for it.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.adapter import Adapter
from rawsio.cluster.adapter import ClusterAdapter
from rawsio.cluster.envelope import Envelope
from rawsio.errors import LocalProtocolError, RemoteProtocolError
from rawsio.log import INFO, WARNING
from rawsio.net.driver import Driver
from rawsio.net.tcp import TCPStream

from .frames import LENGTH, Frame, FrameConnection
from .shared import SHARED, Joined, Run, SharedForm

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.app.adapter import Targets
    from rawsio.app.interfaces import NamespaceLike, Prepared
    from rawsio.limits import Limits
    from rawsio.net.loop_timers import AnyLoop

    class Deliver(Protocol):
        """Sends broadcasts of another worker to those of our clients whom they are for."""

        def __call__(self, joined: Joined, targets: Targets, /, *, last: bool) -> None:
            """``last``: nothing else is to be sent to them in this turn, as far as one knows."""


__all__ = ["WorkerAdapter", "WorkersAdapter", "WorkersBus", "WorkersLink", "name_of"]

_SHARED = bytes((SHARED,))
_TIMEOUT = 5.0
"""Seconds that a request waits for the answers of the other workers."""


def _nobody(_number: int) -> None:
    """Tell nobody."""


def name_of(number: int) -> str:
    """Return the name of a worker, for its adapters and for people.

    >>> name_of(3)
    'worker-3'
    """
    return f"worker-{number}"


class WorkersLink:
    """The streams of one worker to the others, shared by its namespaces.

    ``torn(number)`` is called when the stream to a worker has ended, as that of one which takes
    nothing for ``Limits.write_time`` does; another :meth:`join` mends it.
    """

    def __init__(
        self, number: int, limits: Limits, torn: Callable[[int], object] = _nobody
    ) -> None:
        self.name = name_of(number)
        self.limits = limits
        self.peers: dict[str, TCPStream] = {}
        """The streams to the other workers, by their names."""
        self.published = 0
        self.dropped = 0
        self._torn = torn
        # How many streams there were: one that is replaced tells nobody of its end.
        self._joined = 0
        self._newest: dict[int, int] = {}
        self._buses: dict[bytes, WorkersBus] = {}
        self._waiting: list[tuple[int, socket.socket]] = []
        self._driver: Driver | None = None
        self._turn: Driver | None = None
        # The broadcasts that were said last, which the next one may join.
        self._run: Run | None = None
        self._arrived = _Arrived()

    def start(self, loop: AnyLoop, turn: Driver | None = None) -> None:
        """Begin, on the loop of the server; ``turn`` flushes its clients, and us before them."""
        self._driver = Driver(loop, self.limits)
        self._turn = self._driver if turn is None else turn
        waiting, self._waiting = self._waiting, []
        for number, sock in waiting:
            self.join(number, sock)

    def join(self, number: int, sock: socket.socket) -> None:
        """Talk to another worker, by this socket."""
        if self._driver is None:
            self._waiting.append((number, sock))
            return
        self._end_run()  # what was said before is for those who were there
        name = name_of(number)
        self._joined += 1
        self._newest[number] = self._joined
        before = self.peers.pop(name, None)
        if before is not None:
            before.abort("replaced")
        lost = partial(self._lost, number, self._joined)
        layer = FrameConnection(self.limits)
        stream = TCPStream(self._driver, sock, layer, self._received, lost, name)
        stream.outbox, stream.offer = layer.outbox, partial(self._offered, layer)
        self.peers[name] = stream

    def _lost(self, number: int, which: int, name: str, reason: str) -> None:
        if self._newest.get(number) != which:
            return
        del self._newest[number]
        stream = self.peers.pop(name)
        stream.driver.log("workers", INFO, f"the stream to {name} has ended: {reason}")
        for bus in list(self._buses.values()):
            bus.left(name)
        self._torn(number)

    def add(self, namespace: bytes, bus: WorkersBus) -> None:
        """Let a bus hear what is said in its namespace."""
        self._buses[namespace] = bus

    def remove(self, namespace: bytes, bus: WorkersBus) -> None:
        """Undo that."""
        if self._buses.get(namespace) is bus:
            del self._buses[namespace]

    def publish(self, data: bytes, to: str = "") -> None:
        """Say something to all other workers, or to one; never waits."""
        self._end_run()
        self._soon()
        self.published += 1
        if to:
            peer = self.peers.get(to)
            if peer is not None:
                self._send(peer, data)
            return
        for peer in self.peers.values():
            self._send(peer, data)

    def share(self, bus: WorkersBus, prepared: Prepared, targets: Targets) -> None:
        """Say a broadcast to all other workers, at the end of the turn; never waits.

        Raises ``LocalProtocolError`` if it is too long.
        """
        frame, compress, run = prepared.frame, prepared.compress, self._run
        if run is None or not run.add(bus, frame, targets, compress=compress):
            self._end_run()
            run = Run(bus, targets, self.limits, compress=compress)
            run.begin(frame)
            self._run = run
            self._soon()
        self.published += 1

    def _end_run(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            data = run.bus.named(run.encode())
            for peer in self.peers.values():
                self._send(peer, data, len(run.frames))

    def _soon(self) -> None:
        """Have all that is said in this turn sent at its end."""
        if self._turn is not None:
            self._turn.touch_first(self)

    def _send(self, peer: TCPStream, data: bytes, messages: int = 1) -> None:
        if peer.buffered_amount > self.limits.worker_queue:
            self.dropped += messages
            message = f"{peer.tag} takes nothing: it misses messages (Limits.worker_queue)"
            peer.driver.log("workers", WARNING, message)
            return
        peer.layer.send(Frame(data))

    def arrived(self, bus: WorkersBus, joined: Joined, targets: Targets) -> None:
        """Have broadcasts delivered at the end of the turn."""
        if self._turn is not None:
            self._arrived.add(bus, joined, targets)
            self._turn.touch(self._arrived)

    def settle(self) -> None:
        """Deliver them now: something else is to follow."""
        self._arrived.deliver(last=False)

    def flush(self) -> None:
        """Send what was said in this turn; the driver calls it."""
        self._end_run()
        for peer in list(self.peers.values()):
            peer.flush()

    def _offered(self, layer: FrameConnection, _name: str, data: bytes, _now: float) -> bool:
        """Take a read of whole messages, as most are, without the layer."""
        if not layer.are_whole(data):
            return False
        at, size = 0, len(data)
        while at < size:
            begin = at + LENGTH
            at = begin + int.from_bytes(data[at:begin], "big")
            self._take(data[begin:at])
        return True

    def _received(self, _name: str, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Frame):
                self._take(event.data)

    def _take(self, data: bytes) -> None:
        end = 2 + int.from_bytes(data[:2], "big")
        bus = self._buses.get(data[2:end])
        if bus is not None:
            bus.take(data, end)

    def stop(self) -> None:
        """Say no more."""
        self._torn = _nobody
        self._end_run()
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


class _Arrived:
    """Broadcasts of other workers that our clients are to get with this turn."""

    def __init__(self) -> None:
        self._waiting: list[tuple[WorkersBus, Joined, Targets]] = []

    def add(self, bus: WorkersBus, joined: Joined, targets: Targets) -> None:
        """Put some behind the others."""
        self._waiting.append((bus, joined, targets))

    def flush(self) -> None:
        """Deliver them at the end of the turn; the driver calls it."""
        self.deliver(last=len(self._waiting) == 1)

    def deliver(self, *, last: bool) -> None:
        """Deliver them."""
        waiting, self._waiting = self._waiting, []
        for bus, joined, targets in waiting:
            bus.hand_on(joined, targets, last=last)


class WorkersBus:
    """The bus of one namespace: see :class:`rawsio.cluster.adapter.Bus`."""

    timeout = _TIMEOUT

    def __init__(self, link: WorkersLink, namespace: NamespaceLike) -> None:
        self.node_left: Callable[[str], None] | None = None
        self._link = link
        self._host = namespace.host
        self._name = namespace.name.encode("utf-8", "surrogatepass")
        self._named = len(self._name).to_bytes(2, "big") + self._name
        self._form = Envelope(namespace.name, namespace.host.limits)
        self._shared = SharedForm(namespace.host.limits)
        self.deliver: Deliver | None = None
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
            self._link.publish(self.named(self._form.encode(message)), to)

    def share(self, prepared: Prepared, targets: Targets) -> None:
        """Have all other workers send a packet to those of their clients whom it is for."""
        if self._link.peers:
            self._link.share(self, prepared, targets)

    def named(self, payload: bytes) -> bytes:
        """Return a message behind the name of the namespace."""
        return self._named + payload

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

    def take(self, data: bytes, at: int) -> None:
        """Take the message of another worker that begins there; what is none is dropped."""
        if self._received is None:
            return
        try:
            if data[at : at + 1] == _SHARED:
                self._link.arrived(self, *self._shared.decode(data, at))
                return
            message = self._form.decode(data[at:])
        except RemoteProtocolError as error:
            self._dropped(error)
            return
        if message is not None:
            self._link.settle()
            if self._received is not None:
                self._received(message)

    def _dropped(self, error: RemoteProtocolError) -> None:
        text = f"a message of a worker was dropped: {error.message} [{error.rule}]"
        self._host.log("cluster", WARNING, text)

    def hand_on(self, joined: Joined, targets: Targets, *, last: bool) -> None:
        """Give broadcasts to the adapter; what are none are dropped."""
        if self._received is not None and self.deliver is not None:
            try:
                self.deliver(joined, targets, last=last)
            except RemoteProtocolError as error:
                self._dropped(error)


class WorkerAdapter(ClusterAdapter):
    """Rooms of one namespace, in all workers."""

    def __init__(self, namespace: NamespaceLike, link: WorkersLink) -> None:
        self._workers = bus = WorkersBus(link, namespace)
        super().__init__(namespace, link.name, bus)
        bus.node_left = self.node_left
        bus.deliver = self._deliver

    def broadcast(self, prepared: Prepared, targets: Targets) -> None:
        """Send a packet to the sockets of every worker."""
        if targets.local or prepared.parser is not None:
            super().broadcast(prepared, targets)
            return
        Adapter.broadcast(self, prepared, targets)
        try:
            self._workers.share(prepared, targets)
        except LocalProtocolError as error:
            self.namespace.host.log("cluster", WARNING, f"a broadcast was not shared: {error}")

    def _deliver(self, joined: Joined, targets: Targets, *, last: bool) -> None:
        chosen = self.selected(targets)
        if chosen:
            self.send_joined(chosen, joined, targets, last=last)


class WorkersAdapter:
    """Makes the adapter of each namespace of a worker."""

    def __init__(self, link: WorkersLink) -> None:
        self._link = link

    def __call__(self, namespace: NamespaceLike) -> WorkerAdapter:
        """Make the adapter of a namespace."""
        return WorkerAdapter(namespace, self._link)

    def stats(self) -> dict[str, Any]:
        """Return what :class:`WorkersLink` says of itself."""
        return self._link.stats()
