"""Servers of one cluster, their clients and a Redis, in one process, on one clock that jumps.

Everything between the wires is what runs in production: namespaces, adapters, the client of Redis,
RESP.  The wires to Redis are held (:mod:`rawsio.net.memory`): what is sent stays on its way, and a
generator of random numbers decides what arrives next, and how much of it.  So the same seed gives
the same run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any

from rawsio.app.recovery import Recovery
from rawsio.cluster import RedisAdapter, ShardedAdapter, StreamsAdapter
from rawsio.limits import DEFAULT
from rawsio.log import ERROR
from rawsio.net.loop import Loop
from rawsio.net.memory import Switchboard
from rawsio.socketio.packets import Ack, Connect, Disconnect, Event
from tests.app.world import Client, World
from tests.redis.fake import Bench, FakeRedis

__all__ = ["KINDS", "NAMESPACES", "Guest", "Network", "Node"]

KINDS: dict[str, Any] = {
    "classic": RedisAdapter,
    "sharded": ShardedAdapter,
    "streams": StreamsAdapter,
    "recovery": StreamsAdapter,
}
NAMESPACES = ("/", "/b")
_EVENT = re.compile(rb'"data":\["e",([0-9]+)\]')
LIMITS = DEFAULT.but(resp_ping=1.0, resp_reply_time=1.0, redis_connect_time=1.0)


class Network:
    """The clock, the wires, and Redis."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.board = Switchboard()
        self.board.held = True
        self.loop = Loop(self.board, self.board.time)  # type: ignore[arg-type]  # what it asks for
        self.redis = FakeRedis()
        self.bench = Bench(self.redis, LIMITS, self.board, self.loop)
        self.nodes: list[Node] = []
        self.deliveries = 0

    @property
    def now(self) -> float:
        return self.board.now

    def run(self, seconds: float) -> None:
        """Let time pass: what is on its way arrives bit by bit, in any order of the wires."""
        end = self.now + seconds
        while True:
            self.loop.step(0)
            for node in self.nodes:
                node.settle_clients()
            blocked = {id(wire) for node in self.nodes if node.cut_off for wire in node.ends()}
            coming = [w for w in self.board.wires if w.coming and id(w) not in blocked]
            if coming:
                self._deliver(coming)
                continue
            if self.board.ready():
                continue
            due = self.loop.next_deadline()
            if due is not None and due <= end:
                self.board.now = max(self.board.now, due)
            else:
                self.board.now = max(self.board.now, end)
                self.loop.step(0)
                return

    def _deliver(self, coming: list[Any]) -> None:
        wire = self.random.choice(coming)
        whole = self.random.random() < 0.8
        piece = wire.coming[0]
        wire.deliver(None if whole or not piece else self.random.randint(1, len(piece)))
        self.deliveries += 1
        if self.random.random() < 0.2:
            self.board.now += self.random.random() * 0.002

    def stop_redis(self, *, forget: bool) -> None:
        """End Redis: every connection breaks; perhaps it keeps nothing."""
        self.bench.refusing = True
        for client in list(self.redis.clients):
            client.stream.sock.reset()  # type: ignore[attr-defined]
        if forget:
            self.redis.streams.clear()
            self.redis.values.clear()

    def drop_dead(self) -> None:
        """Have Redis notice connections whose other end is gone, as its keepalive does."""
        for client in list(self.redis.clients):
            if client.stream.sock.dead:  # type: ignore[attr-defined]
                client.stream.abort("keepalive")

    def stored(self) -> set[int]:
        """Return the numbers of the events that Redis has in its streams."""
        found = set()
        for entries in self.redis.streams.values():
            for _position, fields in entries:
                match = _EVENT.search(fields[-1])
                if match is not None:
                    found.add(int(match[1]))
        return found

    def start_redis(self) -> None:
        self.bench.refusing = False

    def hang(self, *, hanging: bool) -> None:
        """Let Redis do nothing, or go on with what was asked meanwhile."""
        self.redis.hanging = hanging
        held, self.redis.held = self.redis.held, []
        for client, args in held:
            if client in self.redis.clients:
                self.redis.run(client, args)


class Node(World):
    """One server: a host with namespaces, on the network's clock."""

    def __init__(
        self, network: Network, name: str, kind: str, heard: Callable[..., object]
    ) -> None:
        self.network = network
        self.name = name
        self.loop = network.loop
        self.cut_off = False
        self.alive = True
        self.guests: list[Guest] = []
        self.sequence = 0
        self.wires: list[Any] = []
        self.bad: list[str] = []
        options = {"block_time": 1.0} if kind in ("streams", "recovery") else {}
        self.factory = KINDS[kind](connect=self._connect, **options)
        recovery = Recovery() if kind == "recovery" else None
        super().__init__(recovery=recovery, limits=LIMITS, make_adapter=self.factory)
        for space in NAMESPACES:
            namespace = self.namespaces.of(space)
            namespace.on("connection", self._connected)
            namespace.on("den", lambda socket: socket.join("den"))
            namespace.on_server("told", lambda *args: heard(self, *args))
        self.namespaces.start(self)
        network.nodes.append(self)

    @property
    def random_bytes(self) -> Callable[[int], bytes]:
        return self.network.random.randbytes

    @random_bytes.setter
    def random_bytes(self, _value: Any) -> None:
        """The network's generator stays."""

    def time(self) -> float:
        return self.network.now

    wall = time

    def call_later(self, delay: float, fn: Callable[..., None], /, *args: Any) -> Any:
        return self.loop.call_later(delay, fn, *args)

    def log(
        self, channel: str, level: int, message: str, error: BaseException | None = None, /
    ) -> None:
        if level >= ERROR or error is not None:
            self.bad.append(f"{message}: {error!r}")

    @property
    def ready(self) -> bool:
        return bool(self.factory.link.ready)

    def _connect(self, loop: Any, host: str, port: int, done: Any, failed: Any) -> Any:
        def joined(wire: Any) -> None:
            self.wires.append(wire)
            done(wire)

        if not self.alive or self.cut_off:  # nothing answers
            return self.network.loop.call_later(3600.0, print)
        return self.network.bench.connect(loop, host, port, joined, failed)

    def ends(self) -> list[Any]:
        return [end for wire in self.wires for end in (wire, wire.peer)]

    @staticmethod
    def _connected(socket: Any) -> None:
        auth = socket.handshake.auth
        socket.data = auth["name"]
        if not socket.recovered:
            socket.join(*auth["rooms"])

    def settle_clients(self) -> None:
        for guest in self.guests:
            guest.take()

    def kill(self) -> None:
        """End it at once: nobody is told but by broken connections."""
        self.alive = False
        for guest in list(self.guests):
            guest.lost()
        for wire in self.wires:
            if not wire.closed:
                wire.reset()
        self.close()
        self.network.nodes.remove(self)

    def close(self) -> None:
        """End it in order; what is dead already says nothing any more."""
        if not self.alive:
            self.factory.link.stop()
        self.alive = False
        self.namespaces.stop(0.0)


class Guest:
    """One client, on one server after another."""

    def __init__(
        self, name: str, namespace: str, rooms: list[str], took: Callable[..., object]
    ) -> None:
        self.name, self.namespace, self.rooms = name, namespace, rooms
        self.took = took
        self.node: Node | None = None
        self.client: Client | None = None
        self.sid = ""
        self.pid: str | None = None
        self.offset: str | None = None
        self.since = 0.0
        self.recovered = False
        self.silent = False
        self.was_in_den = False
        self.in_den = False
        self.joined: Callable[[Guest], object] | None = None

    def enter(self, node: Node) -> None:
        """Connect to a server, with what it remembers."""
        auth = {"name": self.name, "rooms": self.rooms}
        if self.pid is not None:
            auth |= {"pid": self.pid, "offset": self.offset}
        self.node = node
        node.guests.append(self)
        self.client = Client(node)
        self.client.send(Connect(self.namespace, auth))
        self.take()

    def take(self) -> None:
        client = self.client
        if client is None:
            return
        for packet in client.take():
            if isinstance(packet, Connect):
                self.recovered = packet.data["sid"] == self.sid
                self.sid = packet.data["sid"]
                self.pid = packet.data.get("pid")
                self.offset = packet.data.get("offset", self.offset)
                assert self.node is not None
                self.since = self.since if self.recovered else self.node.network.now
            elif isinstance(packet, Event):
                args = packet.args
                if packet.id is not None:
                    if not self.silent and self.inside:
                        client.answer(packet, self.name)
                elif self.pid is not None:
                    self.offset = args.pop()
                self.took(self, args)
            elif isinstance(packet, Ack):
                self.in_den = True
                if self.joined is not None:
                    self.joined(self)
            elif isinstance(packet, Disconnect):
                self.gone()
        if client.closed is not None and self.client is client:
            self.lost()

    @property
    def inside(self) -> bool:
        """Whether it is in its namespace."""
        return self.node is not None and self.sid in self.node.namespaces.of(self.namespace).sockets

    def ask_in(self) -> None:
        """Ask to be put into the den; who hears of the acknowledgement may count on it."""
        if self.client is not None and self.inside:
            self.was_in_den = True
            self.client.emit("den", ack=0, namespace=self.namespace)
            self.take()

    def gone(self) -> None:
        """It was disconnected, and remembers nothing."""
        self.pid = self.offset = None
        self.lost()

    def lost(self) -> None:
        """Its connection is gone."""
        if self.node is not None and self in self.node.guests:
            self.node.guests.remove(self)
        client, self.client = self.client, None
        self.node = None
        self.in_den = False
        if client is not None and client.closed is None:
            client.cut()

    def leave(self) -> None:
        """Say goodbye."""
        if self.client is not None:
            self.client.leave(self.namespace)
        self.gone()
