"""A server and clients on held wires, the steps that are possible, and what can be observed."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from rawsio import ConnectionClosed, Limits, Server
from rawsio.app.reply import Reply
from rawsio.client.socket import ClientSocket
from rawsio.net.memory import Wire
from rawsio.testing import TestKit

_FIRST = 1 << 24
_DATE = re.compile(rb"\r\n(?:Date|date): [^\r]*")

LIMITS = Limits(poll_grace=5.0, close_time=2.0, upgrade_time=3.0, write_time=8.0, idle_time=12.0)
"""Short ones: fewer heartbeats go by until everything is over."""


class Failures(logging.Handler):
    """What is logged as an error, or with an exception."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.lines.append(logging.Formatter().format(record))


class Party:
    """What one side of one client's connection has done and seen, in its order.

    ``log`` has ``(what, value)``: ``connect``, ``disconnect`` (with the reason), ``sent`` (a
    number, to the other side), ``kept`` (the same while not connected) and ``got``.
    ``sent_in`` and ``got_in`` have, for each number, the id of the socket at that moment; ``ends``
    has the reason for each id that is over.  ``stays`` has what was sent, ``end`` and ``recover``
    with the id of the socket: two stays may overlap.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []
        self.sent_in: dict[int, str | None] = {}
        self.got_in: dict[int, str | None] = {}
        self.ends: dict[str | None, str] = {}
        self.stays: list[tuple[str, str | None, int]] = []
        self.sid: str | None = None

    def note(self, what: str, value: Any = None) -> None:
        self.log.append((what, value))

    def connected(self, sid: str | None, recovered: bool) -> None:
        self.note("recover" if recovered else "connect")
        self.sid = sid
        if recovered:
            self.stays.append(("recover", sid, 0))
            self.ends.pop(sid, None)

    def disconnected(self, sid: str | None, reason: str) -> None:
        self.note("disconnect", reason)
        self.ends[sid] = reason
        self.stays.append(("end", sid, 0))

    def sent(self, sid: str | None, number: int, *, kept: bool = False) -> None:
        self.note("kept" if kept else "sent", number)
        self.sent_in[number] = sid
        if not kept:
            self.stays.append(("sent", sid, number))

    def got(self, sid: str | None, number: int) -> None:
        self.note("got", number)
        self.got_in[number] = sid

    def all(self, *kinds: str) -> list[Any]:
        return [value for what, value in self.log if what in kinds]


class World:
    """One run of a scenario; see the package's essay for steps."""

    def __init__(
        self,
        seed: int = 0,
        *,
        cuts: int = 0,
        splits: int = 0,
        joins: int = 0,
        tls: Any = None,
        **options: Any,
    ) -> None:
        self.failures = Failures()
        logger = logging.getLogger("rawsio")
        logger.addHandler(self.failures)
        logger.propagate = False
        self.io = self.new_server(**options)
        url = "http://testkit" if tls is None else "https://localhost"
        self.kit = TestKit(self.io, seed=seed, tls=tls, url=url)
        self.cuts, self.splits, self.joins = cuts, splits, joins
        self.lossy = False
        """Whether a step has lost something that was sent."""
        self.opaque = tls is not None
        """Whether the bytes on the wires are others in each run."""
        self.actors: dict[str, list[Callable[[], object]]] = {}
        self.clients: list[ClientSocket] = []
        self.parties: dict[str, Party] = {}
        self.replies: list[tuple[Reply, list[int]]] = []
        self.expects: Callable[[], None] | None = None
        """Checked after quiet where nothing was lost and no time-out was reached."""
        self._number = 0
        self.began = 0.0

    def new_server(self, **options: Any) -> Server:
        given = {"ping_interval": 6.0, "ping_timeout": 4.0, "limits": LIMITS, **options}
        io = Server(**given)
        for name in ("/", "/room"):
            space = io.of(name)
            space.on("connection", partial(self._joined, name))
        return io

    # What both sides note.  Handlers are set at once, so nothing is kept for who comes later.

    def _joined(self, name: str, socket: Any) -> None:
        party, sid = self.party("server", name), socket.id
        party.connected(sid, socket.recovered)
        socket.on("disconnect", lambda reason: party.disconnected(sid, reason))
        socket.on("n", lambda number, *_: party.got(sid, number))
        socket.on("ask", lambda number: (party.got(sid, number), number)[1])

    def party(self, side: str, namespace: str = "/") -> Party:
        return self.parties.setdefault(side + namespace, Party())

    def other(self, name: str) -> Party:
        """Return the party at the other end of one."""
        side, namespace = name.split("/", 1)
        return self.party("client" if side == "server" else "server", "/" + namespace)

    def client(
        self, namespace: str = "/", *, connected: bool = True, **options: Any
    ) -> ClientSocket:
        """Return a client's socket that notes what it hears."""
        more = {"reconnection_delay": 1.0, "randomization_factor": 0.0, "random_bytes": bytes}
        socket: ClientSocket = self.kit.client(namespace, **{**more, **options}).main
        self.watch(socket)
        if connected:
            socket.connect()
            self.kit.run()
        return socket

    def watch(self, socket: ClientSocket) -> ClientSocket:
        party = self.party("client", socket.namespace)
        socket.on("connect", lambda: party.connected(socket.id, socket.recovered))
        socket.on("disconnect", lambda reason, _text: party.disconnected(party.sid, reason))
        socket.on("n", lambda number, *_: party.got(socket.id, number))
        socket.on("ask", lambda number: (party.got(socket.id, number), number)[1])
        self.clients.append(socket)
        return socket

    def restart(self) -> None:
        """Let a new server take the place of the one before."""
        self.io = self.new_server()
        self.kit.serve(self.io)

    def begin(self, **actors: list[Callable[[], object]]) -> None:
        """Hold the wires; from here on the explorer decides."""
        self.actors = actors
        self.kit.hold()
        self.began = self.kit.time

    # Calls of actors

    def emit(self, socket: Any, *more: Any) -> None:
        """Emit the next number, from a client or from the server."""
        self._number += 1
        number, party = self._number, self._side(socket)
        kept = not socket.connected
        try:
            socket.emit("n", number, *more)
        except ConnectionClosed:
            return
        if not kept or isinstance(socket, ClientSocket):
            party.sent(socket.id, number, kept=kept)

    def tell_all(self) -> None:
        """Have the server emit the next number to everybody; recovery keeps it for who is away."""
        self._number += 1
        party = self.party("server")
        party.sent(party.sid, self._number)
        self.io.emit("n", self._number)

    def ask(self, socket: Any, seconds: float | None = None) -> None:
        """Ask for an acknowledgement, and count how often the reply ends."""
        self._number += 1
        asker = socket if seconds is None else socket.timeout(seconds)
        reply, ends = asker.emit_with_ack("ask", self._number), []
        reply.add_done_callback(lambda _reply: ends.append(1))
        self.replies.append((reply, ends))

    def _side(self, socket: Any) -> Party:
        if isinstance(socket, ClientSocket):
            return self.party("client", socket.namespace)
        return self.party("server", socket.namespace.name)

    def there_of(self, socket: ClientSocket) -> Any:
        """Return the server's socket of a client that is connected."""
        return self.io.of(socket.namespace).sockets[socket.id]

    # Steps

    def steps(self) -> list[str]:
        """Return what can happen next."""
        found = [name for name, calls in self.actors.items() if calls]
        if self.joins:
            found += [f"{name}+{_name(wire)}" for name in found for wire in self.kit.coming]
        for wire in self.kit.coming:
            name = _name(wire)
            found.append(name)
            first = wire.coming[0]
            if self.splits and first is not None and len(first) > 1:
                found.append(name + "/")
            if self.splits and len(wire.coming) > 1:
                found.append(name + "*")
        if self.kit.loop.next_deadline() is not None:
            found.append("t")
        if self.cuts:
            found += [f"x{n}" for n in self._open()] + [f"~{n}" for n in self._open()]
        return found

    def _open(self) -> list[int]:
        wires = (wire for wire in self.kit.board.wires if not wire.closed)
        return sorted({(wire.fileno() - _FIRST) // 2 for wire in wires})

    def step(self, step: str) -> None:
        """Do one of them, and let everybody do what follows from it."""
        if step in self.actors:
            self.actors[step].pop(0)()
        elif "+" in step:
            self.joins -= 1
            actor, arrival = step.split("+")
            self.actors[actor].pop(0)()
            self._deliver(arrival)
        elif step == "t":
            self.pass_time()
        elif step[0] in "x~":
            self.cuts -= 1
            self.lossy = True
            wire = self._wire(2 * int(step[1:]))
            (wire.reset if step[0] == "x" else wire.cut)()
        else:
            self._deliver(step)
        self.kit.run()

    def _deliver(self, step: str) -> None:
        wire = self._wire(2 * int(step[1:].rstrip("/*")) + (step[0] == ">"))
        if step[-1] in "/*":
            self.splits -= 1
        if step[-1] == "/":
            wire.deliver(max(1, len(wire.coming[0] or b"") // 2))
        elif step[-1] == "*":
            while wire.coming:
                wire.deliver()
        else:
            wire.deliver()

    def _wire(self, number: int) -> Wire:
        (found,) = (w for w in self.kit.board.wires if w.fileno() == _FIRST + number)
        return found

    def pass_time(self) -> None:
        """Let time pass until the next timer."""
        due = self.kit.loop.next_deadline()
        if due is not None:
            self.kit.advance(max(0.0, due - self.kit.loop.time()))

    def deliver_all(self) -> None:
        """Let everything arrive."""
        while self.kit.coming:
            for wire in self.kit.coming:
                wire.deliver()
            self.kit.run()

    def quieten(self, seconds: float) -> None:
        """Let everything arrive and so much time pass, with everything that happens then."""
        for wire in self.kit.board.wires:
            wire.stalled = False
        self.kit.release()
        self.kit.advance(seconds)

    # What can be observed

    def state(self) -> tuple[Any, ...]:
        """Return everything that tells this state from others, as one value."""
        now = self.kit.loop.time()
        wires = self.kit.board.wires
        return (
            tuple(len(calls) for calls in self.actors.values()),
            (self.cuts, self.splits, self.joins, self.lossy, self.kit.refusing),
            tuple((name, tuple(party.log)) for name, party in sorted(self.parties.items())),
            tuple((len(ends), reply.done()) for reply, ends in self.replies),
            tuple(self._shown(wire) for wire in wires),
            tuple(round(due - now, 4) for due in self.kit.loop.deadlines()),
            tuple(
                (s.connected, s.active, s.client.state, s.client.transport) for s in self.clients
            ),
            self._server_state(now),
        )

    def _shown(self, wire: Wire) -> Any:
        coming: Any = wire.coming
        coming = len(coming) if self.opaque else tuple(c and _DATE.sub(b"", c) for c in coming)
        return (wire.fileno() % 2, wire.closed, wire.readable, wire.writable, coming)

    def _server_state(self, now: float) -> Any:
        sessions = [
            (session.transport.name, _left(session.deadline, now))
            for session in self.io.engine.sessions.values()
        ]
        sockets = [
            (name, socket.connected, socket.conn.buffered_amount)
            for name in ("/", "/room")
            for socket in self.io.of(name).sockets.values()
        ]
        stats = self.io.stats()
        return (tuple(sessions), tuple(sockets), stats["connections"], stats["sessions"])

    def close(self) -> None:
        """End it all."""
        self.kit.close()
        logging.getLogger("rawsio").removeHandler(self.failures)
        logging.getLogger("rawsio").propagate = True


def _left(deadline: float | None, now: float) -> float | None:
    return None if deadline is None else round(deadline - now, 4)


def _name(wire: Wire) -> str:
    number = wire.fileno() - _FIRST
    return f"{'<>'[number % 2]}{number // 2}"
