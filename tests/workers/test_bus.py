"""What workers say to each other: two or three of them in one process, over real socket pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import MsgpackParser, Server
from rawsio.app.adapter import Targets
from rawsio.cluster.messages import AllRooms, Broadcast, Fetch
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.net.descriptors import stream_pair
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.memory import Switchboard
from rawsio.testing import TestKit
from rawsio.workers.bus import WorkersAdapter, WorkersBus, WorkersLink, name_of
from rawsio.workers.shared import Run
from tests.net.kit import closed_after, turn_until

LIMITS = Limits(worker_queue=100_000, worker_message=10_000_000)


class Host:
    """What a bus needs of a server."""

    limits = LIMITS

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _channel: str, _level: int, message: str) -> None:
        self.lines.append(message)


class Namespace:
    def __init__(self, name: str) -> None:
        self.name = name
        self.host = Host()


class Member:
    """One worker, with a bus of one namespace."""

    def __init__(self, loop: Loop, number: int, name: str = "/") -> None:
        self.link = WorkersLink(number, LIMITS)
        self.link.start(loop)
        self.namespace: Any = Namespace(name)
        self.bus = WorkersBus(self.link, self.namespace)
        self.heard: list[Any] = []
        self.left: list[str] = []
        self.bus.node_left = self.left.append
        self.bus.start(self.heard.append)

    def say(self, *args: Any, to: str = "") -> None:
        self.bus.publish(Broadcast(self.link.name, list(args), Targets()), to)


def join(one: Member, other: Member) -> None:
    here, there = stream_pair()
    one.link.join(int(other.link.name[7:]), here)
    other.link.join(int(one.link.name[7:]), there)


loop = closed_after(Loop)


@pytest.fixture
def members(loop: Loop) -> Iterator[list[Member]]:
    made = [Member(loop, number) for number in range(3)]
    join(made[0], made[1])
    join(made[0], made[2])
    join(made[1], made[2])
    yield made
    for member in made:
        member.link.stop()


def test_all_others_hear_what_one_says_and_one_what_is_for_it(
    loop: Loop, members: list[Member]
) -> None:
    one, other, third = members
    one.say("a", b"\x00", {"n": 1.5})
    one.say("b", to=name_of(2))
    turn_until(loop, lambda: len(third.heard) == 2)
    first = Broadcast("worker-0", ["a", b"\x00", {"n": 1.5}], Targets())
    assert other.heard == [first]
    assert third.heard == [first, Broadcast("worker-0", ["b"], Targets())]
    assert one.heard == []
    counted: list[Any] = []
    one.bus.count(counted.append)
    assert (counted, one.bus.nodes()) == ([3], ["worker-1", "worker-2"])
    assert one.link.stats()["servers"] == 3
    one.say("c", to="worker-9")
    loop.step(0)
    assert one.link.stats()["dropped"] == 0


def test_a_namespace_hears_what_is_said_in_it(loop: Loop, members: list[Member]) -> None:
    one, other, _third = members
    bus = WorkersBus(other.link, Namespace("/ä"))  # type: ignore[arg-type]  # what it asks for
    heard: list[Any] = []
    bus.start(heard.append)
    theirs = WorkersBus(one.link, Namespace("/ä"))  # type: ignore[arg-type]
    theirs.publish(Fetch("worker-0", "1", Targets()))
    turn_until(loop, lambda: heard)
    assert other.heard == []
    bus.stop()
    theirs.publish(Fetch("worker-0", "2", Targets()))
    one.say("last")
    turn_until(loop, lambda: other.heard)
    assert len(heard) == 1


def test_a_worker_that_is_gone_is_told_to_all(loop: Loop, members: list[Member]) -> None:
    one, other, third = members
    other.link.stop()
    turn_until(loop, lambda: one.left and third.left)
    assert one.left == third.left == ["worker-1"]
    assert one.bus.nodes() == ["worker-2"]


def test_a_stream_that_ended_can_be_made_again(loop: Loop) -> None:
    torn: list[int] = []
    one, other = Member(loop, 0), Member(loop, 1)
    one.link._torn = torn.append
    join(one, other)
    other.link.stop()
    turn_until(loop, lambda: torn)
    assert (torn, one.left, one.bus.nodes()) == ([1], ["worker-1"], [])
    join(one, other)
    one.say("a")
    turn_until(loop, lambda: other.heard)
    one.link.stop()
    loop.step(0)
    assert torn == [1], "its own end it tells nobody"
    other.link.stop()


def test_a_stream_that_another_one_replaces_ends_without_a_word(
    loop: Loop, members: list[Member]
) -> None:
    torn: list[int] = []
    one, other, _third = members
    one.link._torn = torn.append
    join(one, other)
    one.say("a")
    turn_until(loop, lambda: other.heard)
    for _ in range(5):
        loop.step(0)
    assert (torn, one.left, other.left) == ([], [], [])
    assert one.bus.nodes() == ["worker-2", "worker-1"]


def test_one_that_hangs_misses_messages_and_holds_up_nobody(
    loop: Loop, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    one, other, third = members
    for peer in other.link.peers.values():
        peer.pause()
    with caplog.at_level(logging.WARNING):
        for n in range(20):
            one.say(n, "x" * 50_000)
            turn_until(loop, lambda n=n: len(third.heard) == n + 1)
    dropped = one.link.stats()["dropped"]
    assert dropped > 5
    assert "worker-1 takes nothing" in caplog.text
    for peer in other.link.peers.values():
        peer.resume()
    turn_until(loop, lambda: len(other.heard) == 20 - dropped)


def test_what_is_no_message_is_dropped_and_the_next_one_heard(
    loop: Loop, members: list[Member]
) -> None:
    one, other, _third = members
    for payload in (b"", b"\xc1", b'{"type":99,"nsp":"/"}', b"[]", b'{"nsp":"/x"}'):
        one.link.publish(one.bus.named(payload), "worker-1")
    one.link.publish(b"\x00\x00", "worker-1")
    one.say("good")
    turn_until(loop, lambda: other.heard)
    assert len(other.heard) == 1
    assert len(other.namespace.host.lines) == 4


def test_what_has_no_form_is_refused_where_it_is_said(members: list[Member]) -> None:
    with pytest.raises(LocalProtocolError, match="AllRooms has no form"):
        members[0].bus.publish(AllRooms("worker-0", "1"))
    with pytest.raises(LocalProtocolError, match=r"Limits\.worker_message"):
        members[0].say("x" * 11_000_000)


class Pair:
    """Two servers as two workers, and their clients, on one clock."""

    def __init__(self, **options: Any) -> None:
        self.servers = [Server(**options), Server(**options)]
        self.links = [WorkersLink(number, io.limits) for number, io in enumerate(self.servers)]
        for io, link in zip(self.servers, self.links, strict=True):
            io.core.namespaces.use(WorkersAdapter(link))
        self.kit = TestKit(self.servers[0])
        self.kit.serve(self.servers[1], "http://other")
        ends = self.kit.board.pair()
        for number, link in enumerate(self.links):
            link.start(self.kit.loop, self.servers[number].net.driver)
            link.join(1 - number, ends[number])

    def connect(self, number: int, namespace: str = "/", **options: Any) -> tuple[Any, list[Any]]:
        """Return the socket of a client of one of them, and what it is told."""
        url = None if number == 0 else "http://other"
        socket = self.kit.connect(namespace, url=url, **options)
        told: list[Any] = []
        socket.on("news", lambda *args: told.append(args))
        return socket, told


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.kit.close()


def test_a_broadcast_reaches_the_clients_of_the_other_worker_by_any_transport(pair: Pair) -> None:
    told = [
        pair.connect(number, transports=transports)[1]
        for number in (0, 1)
        for transports in (["websocket"], ["polling"])
    ]
    values = ("a", 1.5, {"n": [None, b"\x00"]}, b"")
    pair.servers[0].emit("news", *values)
    pair.servers[1].emit("news", "ä\u2028")
    pair.kit.run()
    assert [sorted(heard, key=len) for heard in told] == [[("ä\u2028",), values]] * 4


def test_what_is_said_in_a_turn_keeps_its_order_for_clients_of_every_transport(pair: Pair) -> None:
    told = [
        pair.connect(1, transports=transports)[1]
        for transports in (["websocket"], ["polling"], ["websocket"])
    ]
    volatile = pair.connect(1)[1]
    io = pair.servers[0]
    joined = io.fetch_sockets()
    for n in range(3):
        io.emit("news", n, b"%d" % n)
    io.volatile.emit("news", "v")
    io.compress(False).emit("news", "c")
    io.sockets_join("here")
    io.to("here").emit("news", "room")
    io.of("/other").emit("news", "nobody")
    for n in range(3, 5):
        io.emit("news", n)
    published = pair.links[0].published
    pair.kit.run()
    assert joined.done()
    expected = [(n, b"%d" % n) for n in range(3)]
    assert told == [[*expected, ("v",), ("c",), ("room",), (3,), (4,)]] * 3
    assert volatile == told[0]
    assert published == 11, "each broadcast, the join, and the question for sockets"


def test_what_was_said_before_clients_are_disconnected_reaches_them(pair: Pair) -> None:
    socket, told = pair.connect(1)
    reasons: list[str] = []
    socket.on("disconnect", lambda reason, _details: reasons.append(reason))
    pair.servers[0].emit("news", "last words")
    pair.servers[0].disconnect_sockets()
    pair.kit.run()
    assert (told, reasons) == ([("last words",)], ["io server disconnect"])


UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Counting:
    """The socket of a client, which notes how much is sent at a time."""

    def __init__(self, sock: Any, sends: list[int]) -> None:
        self.sock = sock
        self.sends = sends

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def send(self, data: bytes) -> int:
        sent: int = self.sock.send(data)
        self.sends.append(sent)
        return sent


def test_a_client_is_sent_once_in_a_turn_what_another_worker_says(pair: Pair) -> None:
    wires = [pair.kit.dial("http://other") for _ in range(20)]
    pair.servers[1].on("connection", lambda socket: socket.join("room"))
    for wire in wires:
        wire.send(UPGRADE)
        pair.kit.run()
        wire.send(b"\x81\x82\0\0\0\0" + b"40")
        pair.kit.run()
        wire.recv(1000)
    sends: list[int] = []
    for stream in pair.servers[1].net.driver.streams:
        stream.sock = Counting(stream.sock, sends)
    pair.servers[0].emit("news", 1)
    pair.kit.run()
    assert len(sends) == 20
    for n in range(3):
        pair.servers[0].emit("news", n)
        pair.servers[0].to("room").emit("news", "room")
    pair.kit.run()
    assert len(sends) == 40
    assert {wire.recv(1000).count(b"news") for wire in wires} == {7}


def test_a_worker_that_is_joined_hears_what_is_said_from_then_on(pair: Pair) -> None:
    _socket, told = pair.connect(1)
    io, link = pair.servers[0], pair.links[0]
    here, there = pair.kit.board.pair()
    io.emit("news", "before")
    link.join(2, here)
    io.emit("news", "after")
    pair.kit.run()
    assert told == [("before",), ("after",)]
    heard = there.recv(1000)
    assert b"after" in heard
    assert b"before" not in heard


def test_rooms_and_who_is_left_out_are_looked_up_where_they_are(pair: Pair) -> None:
    joined: list[Any] = []
    pair.servers[1].on("join", lambda socket, room: (socket.join(room), joined.append(socket.id)))
    (red, in_red), (blue, in_blue), (_none, nowhere) = (pair.connect(1) for _ in range(3))
    red.emit_with_ack("join", "red\ud800").result()
    blue.emit_with_ack("join", "blue").result()
    io = pair.servers[0]
    io.to("red\ud800").emit("news", 1)
    io.to("red\ud800", "blue").except_("blue").emit("news", 2)
    io.to(joined[1]).volatile.compress(False).emit("news", 3)
    io.local.emit("news", 4)
    io.except_("blue").emit("news", 5)
    pair.kit.run()
    assert (in_red, in_blue, nowhere) == ([(1,), (2,), (5,)], [(3,)], [(5,)])


def test_listeners_of_what_goes_out_hear_what_another_worker_sent(pair: Pair) -> None:
    heard: list[Any] = []
    pair.servers[1].of("/chat")
    pair.servers[1].of("/chat").on(
        "connection", lambda socket: socket.on_any_outgoing(lambda *args: heard.append(args))
    )
    _socket, told = pair.connect(1, "/chat")
    pair.servers[0].of("/chat").emit("news", {"a": b"1"})
    pair.kit.run()
    assert heard == [("news", {"a": b"1"})]
    assert told == [({"a": b"1"},)]


def test_packets_of_another_parser_are_encoded_where_they_are_sent() -> None:
    pair = Pair(parser=MsgpackParser())
    _socket, told = pair.connect(1, parser=MsgpackParser())
    pair.servers[0].emit("news", b"1", {"a": 2})
    pair.kit.run()
    pair.kit.close()
    assert told == [(b"1", {"a": 2})]


def test_a_broadcast_that_is_broken_is_dropped_and_the_next_one_heard(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    pair.servers[1].on("connection", lambda socket: socket.on_any_outgoing(lambda *args: None))
    _socket, told = pair.connect(1)
    link = pair.links[0]
    run = Run(None, Targets(), LIMITS, compress=True)
    run.begin(pair.servers[0].core.runtime.prepare(_event("x")).frame)
    good = run.encode()
    for broken in (good[:-1], good[:3], good[:1], good[:-5] + b"\xff" + good[-4:]):
        link.publish(b"\x00\x01/" + broken)
    pair.servers[0].emit("news", 1)
    pair.kit.run()
    assert told == [(1,)]
    assert caplog.text.count("a message of a worker was dropped") == 4
    assert pair.links[1].peers, "the connection between the workers goes on"


def _event(*args: Any) -> Any:
    from rawsio.socketio.packets import Event

    return Event("/", list(args))


def test_too_long_a_broadcast_is_had_by_our_own_clients_and_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pair = Pair(limits=Limits(worker_message=1000))
    (_one, here), (_other, there) = pair.connect(0), pair.connect(1)
    pair.servers[0].emit("news", "x" * 2000)
    pair.servers[0].emit("news", "y")
    pair.kit.run()
    pair.kit.close()
    assert (len(here), there) == (2, [("y",)])
    assert "a broadcast was not shared" in caplog.text


class Client:
    """Whoever is flushed in a turn; notes whether the other worker knows by then."""

    def __init__(self, other: Any) -> None:
        self.other = other
        self.late = False

    def flush(self) -> None:
        self.late = self.other.readable


def test_other_workers_are_told_before_the_clients_of_this_one() -> None:
    board = Switchboard()
    loop = Loop(board, board.time)  # type: ignore[arg-type]  # what it asks for
    driver = Driver(loop)
    link = WorkersLink(0, LIMITS)
    link.start(loop, driver)
    here, there = board.pair()
    link.join(1, here)
    loop.step(0)
    clients = [Client(there) for _ in range(40)]
    for client in clients:
        driver.touch(client)
    for n in range(3):
        link.publish(b"\x00\x01/%d" % n)
    loop.step(0)
    assert all(client.late for client in clients)
    assert there.recv(1000).count(b"\x00\x01/") == 3, "all of a turn in one write"
    loop.close()


def test_a_bus_that_has_another_in_its_place_takes_nothing_along_when_it_ends(
    loop: Loop, members: list[Member]
) -> None:
    one, other, _third = members
    heard: list[Any] = []
    newer = WorkersBus(other.link, other.namespace)
    newer.start(heard.append)
    other.bus.stop()
    one.say("a")
    turn_until(loop, lambda: heard)
    newer.stop()
    one.say("b")
    one.say("c", to=name_of(2))
    turn_until(loop, lambda: len(members[2].heard) == 3)
    assert (len(heard), other.heard) == (1, [])
