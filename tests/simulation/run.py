"""One run from a seed: random operations and faults, and what must hold all the same.

What must hold:

- **Nobody gets what is not for it**: another namespace, rooms that it is not in, what excepts it,
  what is local to another server.
- **Nothing comes twice**, and what one server says comes in its order.  (With recovery an event may
  come twice once a server has lost Redis, and never otherwise.)
- **Nothing is lost**: an event that is said while nothing is broken reaches everybody that it is
  for, and who was told that it is in a room gets what any server says there from then on.  What
  Redis has taken into a stream reaches them through every outage in which it keeps its data.
- **Every request is answered or says who is silent**, in its time.
- **Servers are back** within two seconds after Redis is.
- **Nothing is left** at the end: no room, no question, no timer, no connection.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from rawsio.app.broadcast import Broadcast
from rawsio.layer import record

from .world import KINDS, NAMESPACES, Guest, Network, Node

__all__ = ["Run", "Violation"]

ROOMS = ("red", "blue", "green")
DETECTED = 2.5
"""Seconds after which a silent connection is given up."""
CALM = 0.5
"""Seconds that an event needs at most while nothing is broken."""


class Violation(AssertionError):
    """Something that must hold does not."""


@record
class Said:
    """An event that a server has said."""

    number: int
    node: Any
    sequence: int
    namespace: str
    rooms: frozenset[str]
    excluded: frozenset[str]
    sid: str
    local: bool
    volatile: bool
    time: float
    got: Any
    insiders: frozenset[str] = frozenset()
    """Who had been told that it is in the den."""

    def is_for(self, guest: Guest) -> bool:
        """Whether it is for a client, by the rooms that never change."""
        mine = {*guest.rooms, guest.sid, *(["den"] if guest.was_in_den else [])}
        if guest.namespace != self.namespace or (self.local and guest.node is not self.node):
            return False
        if self.rooms and mine.isdisjoint(self.rooms):
            return False
        return mine.isdisjoint(self.excluded)


class Run:
    """One run; ``show`` gets a line for each step."""

    def __init__(self, seed: int, show: Any = None) -> None:
        self.random = Random(seed)
        self.kind = list(KINDS)[seed % len(KINDS)]
        self.show = show
        self.network = Network(self.random)
        self.said: list[Said] = []
        self.guests: list[Guest] = []
        self.faults: list[tuple[float, float]] = []  # from when to when something was broken
        self.lost_data = False
        self.deaf = False  # whether a connection may be dead and nobody knows yet
        self.mending: list[tuple[float, Any]] = []
        self.asked: list[tuple[float, str, Any, list[Any]]] = []
        self.in_extra: set[str] = set()
        self.names = 0

    def note(self, text: str) -> None:
        if self.show is not None:
            self.show(f"{self.network.now - 1000:9.4f}  {text}")

    # The world

    def node(self) -> Node:
        self.names += 1
        return Node(self.network, f"n{self.names}", self.kind, lambda node, *args: node.name)

    @property
    def nodes(self) -> list[Node]:
        return self.network.nodes

    def broken(self) -> bool:
        return bool(self.mending) or not all(node.ready for node in self.nodes)

    def execute(self) -> None:
        """Do all of it; raises ``Violation``."""
        try:
            self._execute()
        finally:
            self.network.loop.close()

    def _execute(self) -> None:
        for _ in range(self.random.choice((2, 2, 3))):
            self.node()
        self.network.run(0.3)
        if self.broken():
            raise Violation("the servers do not come up")
        for number in range(6):
            rooms = [room for room in ROOMS if self.random.random() < 0.5]
            guest = Guest(f"c{number}", self.random.choice(NAMESPACES), rooms, self.took)
            self.guests.append(guest)
            guest.joined = self.tell_den
            guest.enter(self.random.choice(self.nodes))
        self.network.run(0.2)
        for _ in range(self.random.randint(8, 20)):
            self.step()
        self.mend(everything=True)
        if self.deaf:
            self.network.run(DETECTED)
        self.network.run(2.0)
        if not all(node.ready for node in self.nodes):
            raise Violation("a server has not found Redis again after 2 seconds")
        self.network.run(CALM)
        self.come_in()
        self.network.run(CALM)
        self.probe()
        while self.asked:
            self.check_answers()
            self.network.run(0.5)
        self.check_delivered()
        self.end()

    def step(self) -> None:
        roll = self.random.random()
        if roll < 0.45:
            self.emit(self.random.choice(self.nodes))
        elif roll < 0.60:
            self.request(self.random.choice(self.nodes))
        elif roll < 0.70:
            self.membership(self.random.choice(self.nodes))
        elif roll < 0.80:
            self.come_and_go()
        elif roll < 0.85:
            guest = self.random.choice(self.guests)
            self.note(f"{guest.name} asks to be put into the den")
            guest.ask_in()
        else:
            self.fault()
        self.network.run(self.random.choice((0.0, 0.0, 0.001, 0.01, 0.1, 0.3)))
        self.mend()
        self.check_answers()
        for node in self.nodes:
            if node.bad or node.errors:
                raise Violation(f"{node.name} reports {node.bad} {node.errors}")

    # What the application does

    def tell_den(self, guest: Guest) -> None:
        """A client has heard that it is in the den: any server may say something there now."""
        node = self.random.choice(self.nodes)
        said = self.emit(node, plain=True, namespace=guest.namespace, den=True)
        said.insiders = frozenset(
            guest.name
            for guest in self.guests
            if guest.in_den and guest.namespace == said.namespace
        )

    def emit(
        self, node: Node, *, plain: bool = False, namespace: str = "", den: bool = False
    ) -> Said:
        random = self.random
        space = namespace or random.choice(NAMESPACES)
        said = Said(
            len(self.said), node, 0, space, frozenset(), frozenset(), "", False, False, 0.0, {}
        )
        said.time = self.network.now
        operator = Broadcast(node.namespaces.of(space))
        if den:
            said.rooms = frozenset(["den"])
            operator = operator.to("den")
        elif not plain:
            said.rooms = frozenset(r for r in ROOMS if random.random() < 0.3)
            if random.random() < 0.2:
                said.rooms |= {random.choice(self.guests).sid or "nobody"}
            if random.random() < 0.3:
                said.excluded = frozenset([random.choice([*ROOMS, random.choice(self.guests).sid])])
            said.local = random.random() < 0.1
            said.volatile = random.random() < 0.1
            if said.rooms:
                operator = operator.to(*sorted(said.rooms))
            if said.excluded:
                operator = operator.except_(*sorted(said.excluded))
            if said.local:
                operator = operator.local
            if said.volatile:
                operator = operator.volatile
        node.sequence += 1
        said.sequence = node.sequence
        self.said.append(said)
        self.note(f"{node.name} emits {said.number} to {sorted(said.rooms)} in {space}")
        operator.emit("e", said.number)
        return said

    def request(self, node: Node) -> None:
        space = self.random.choice(NAMESPACES)
        namespace: Any = node.namespaces.of(space)
        kind = self.random.choice(("fetch", "ask", "servers"))
        self.note(f"{node.name} asks: {kind} in {space}")
        others = [n for n in self.nodes if n is not node]
        if kind == "fetch":
            reply = namespace.fetch_sockets()
        elif kind == "ask":
            for guest in self.guests:
                guest.silent = self.random.random() < 0.2
            reply = Broadcast(namespace).timeout(2.0).emit_with_ack("q")
        else:
            reply = namespace.server_side_emit("told", node.name)
        self.asked.append((self.network.now, f"{kind} {space}", reply, [node, *others]))

    def membership(self, node: Node) -> None:
        guest = self.random.choice(self.guests)
        operator = Broadcast(node.namespaces.of(guest.namespace)).in_(guest.sid or "nobody")
        kind = self.random.choice(("join", "leave", "kick"))
        self.note(f"{node.name}: {kind} {guest.name}")
        if kind == "join":
            operator.sockets_join("extra")
        elif kind == "leave":
            operator.sockets_leave("extra")
        else:
            operator.disconnect_sockets()

    def come_and_go(self) -> None:
        guest = self.random.choice(self.guests)
        if guest.node is None:
            node = self.random.choice(self.nodes)
            self.note(f"{guest.name} enters {node.name}")
            guest.enter(node)
        elif self.random.random() < 0.3:
            self.note(f"{guest.name} leaves")
            guest.leave()
        else:
            self.note(f"{guest.name} loses its connection")
            guest.lost()

    # Faults

    def fault(self) -> None:
        random, network = self.random, self.network
        kind = random.choice(("cut", "crash", "stop", "hang", "break", "slow"))
        until = network.now + random.choice((0.05, 0.5, 1.5, 4.0))
        node = random.choice(self.nodes)
        self.note(f"fault: {kind} {node.name} for {until - network.now:g} s")
        undo: Any = None
        if kind == "cut" and not node.cut_off:
            node.cut_off = True
            silent = random.random() < 0.5
            self.deaf = True
            undo = partial(self._join_again, node, silent=silent)
        elif kind == "crash" and len(self.nodes) > 1:
            node.kill()
            self._disturbed(network.now)
            undo = self.node
        elif kind == "stop" and not network.bench.refusing:
            forget = random.random() < 0.3
            self.lost_data |= forget
            network.stop_redis(forget=forget)
            undo = network.start_redis
        elif kind == "hang" and not network.redis.hanging:
            network.hang(hanging=True)
            self.deaf = True
            undo = partial(network.hang, hanging=False)
        elif kind == "break":
            for wire in [w for w in node.wires if not w.closed and random.random() < 0.5]:
                wire.reset()
            undo = lambda: None  # noqa: E731 - it mends itself
        elif kind == "slow":
            for guest in node.guests:
                if guest.client is not None:
                    guest.client.writable = False
            return
        if undo is not None:
            self.mending.append((until, undo))
            self._disturbed(network.now)

    def _join_again(self, node: Node, *, silent: bool) -> None:
        node.cut_off = False
        if silent:  # what was on its way is lost, and nobody is told
            for wire in node.wires:
                wire.cut()
            self.mending.append((self.network.now + 3.0, self.network.drop_dead))

    def _disturbed(self, begin: float) -> None:
        self.faults.append((begin, float("inf")))

    def mend(self, *, everything: bool = False) -> None:
        now = self.network.now
        while due := [entry for entry in self.mending if everything or entry[0] <= now]:
            for entry in due:
                self.mending.remove(entry)
                entry[1]()
        if not self.broken():
            self.faults = [(b, now + CALM if e == float("inf") else e) for b, e in self.faults]

    def calm(self, begin: float, end: float) -> bool:
        return not any(b <= end and begin <= e for b, e in self.faults)

    # What must hold

    def took(self, guest: Guest, args: list[Any]) -> None:
        if args[0] != "e":
            return
        said = self.said[args[1]]
        self.note(f"{guest.name} gets {said.number}")
        if not said.is_for(guest):
            raise Violation(f"{guest.name} {guest.rooms} got {said.number}: {said.rooms}")
        if self.kind == "recovery" and self.faults:
            said.got[guest.name] = self.network.now
            return
        if said.got.get(guest.name, 0.0) >= guest.since:  # and not in a life before
            raise Violation(f"{guest.name} got {said.number} twice")
        said.got[guest.name] = self.network.now
        if said.volatile or said.local:
            return
        later = [
            other.number
            for other in self.said[said.number + 1 :]
            if other.node is said.node and other.got.get(guest.name, 0.0) >= guest.since
            if other.namespace == said.namespace and not (other.volatile or other.local)
        ]
        if later:
            raise Violation(f"{guest.name} got {said.number} after {later}")

    def come_in(self) -> None:
        for guest in self.guests:
            if guest.node is None:
                guest.enter(self.random.choice(self.nodes))

    def probe(self) -> None:
        """Say something on each server to everybody, and ask each who is there."""
        inside = [guest for guest in self.guests if guest.inside]
        if len(inside) != len(self.guests):
            raise Violation("a client did not come in")
        for node in self.nodes:
            for space in NAMESPACES:
                said = self.emit(node, plain=True, namespace=space)
                found = node.namespaces.of(space).fetch_sockets()
                self.network.run(0.1)
                wanted = {guest.name for guest in inside if guest.namespace == space}
                if set(said.got) != wanted:
                    raise Violation(f"{said.number} reached {sorted(said.got)}, not {wanted}")
                if not found.done() or {s.data for s in found.result()} != wanted:
                    raise Violation(f"{node.name} found {found!r}, not {wanted}")

    def check_delivered(self) -> None:
        stored = self.network.stored()
        for said in self.said:
            # A client that comes back elsewhere does not get what was local to a server.
            if said.volatile or (said.local and self.kind == "recovery"):
                continue
            through = said.number in stored and not self.lost_data
            if not (self.calm(said.time, said.time + CALM) or through):
                continue
            for guest in self.guests:
                if guest.name in said.got or not said.is_for(guest) or not guest.inside:
                    continue
                if "den" in said.rooms and guest.name not in said.insiders:
                    continue
                if guest.since < said.time:
                    raise Violation(f"{guest.name} never got {said.number} of {said.node.name}")

    def check_answers(self) -> None:
        now = self.network.now
        for entry in list(self.asked):
            began, what, reply, nodes = entry
            if not nodes[0].alive:
                self.asked.remove(entry)
            elif reply.done():
                self.asked.remove(entry)
                self._judge(began, what, reply.result(), nodes)
            elif now - began > 6.0:
                raise Violation(f"no answer to {what} of {nodes[0].name} after {now - began:g} s")

    def _judge(self, began: float, what: str, result: Any, nodes: list[Node]) -> None:
        if not self.calm(began - CALM, self.network.now) or any(not n.alive for n in nodes):
            return
        kind, space = what.split()
        if kind == "servers":
            if len(result) + len(result.missing) != len(nodes) - 1 or result.missing:
                raise Violation(f"{what}: {result} without {result.missing}")
        elif kind == "fetch" and result.missing:
            raise Violation(f"{what}: nobody was silent but {result.missing}")
        elif kind == "ask":
            names = set(result)
            inside = {g.name for g in self.guests if g.namespace == space}
            if not names <= inside:
                raise Violation(f"{what}: answers of {names - inside}")

    def end(self) -> None:
        """Let everybody go: nothing is left."""
        for guest in self.guests:
            guest.leave()
        self.network.run(0.5)
        for node in self.nodes:
            for space in NAMESPACES:
                adapter: Any = node.namespaces.of(space).adapter
                held = {
                    name: getattr(adapter, name)
                    for name in ("rooms", "sids", "_questions", "_askings", "_own", "_live")
                    if getattr(adapter, name, None)
                }
                if held:
                    raise Violation(f"{node.name} still has {held}")
        for node in list(self.nodes):
            node.close()
        self.network.run(6.0)  # connections end, and waits for clients of others
        if self.network.redis.clients:
            raise Violation(f"{len(self.network.redis.clients)} connections are left")
        if (due := self.network.loop.deadlines()) and len(due) > 0:
            raise Violation(f"timers are left: {due}")
