"""The sharded form: bytes captured from official servers, rooms with channels, a Redis Cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given

from rawsio.app.adapter import Targets
from rawsio.cluster import ClusterError, ShardedAdapter
from rawsio.cluster import messages as m
from rawsio.cluster.envelope import Envelope
from rawsio.redis import ErrorReply
from rawsio.redis.slots import slot_of
from rawsio.socketio.msgpack import unpack
from tests.redis.fake import FakeRedis

from .kit import Cluster
from .test_adapter import result, seen
from .test_classic import any_message

UID = "88bca5a6f9558bb4"
R1 = Targets(frozenset(["r1"]))
NOBODY = '{"rooms":[],"except":[],"flags":{}}'

CAPTURED = [
    (
        m.Broadcast(UID, ["foo", "bar"], R1),
        '{"type":3,"data":{"packet":{"type":2,"data":["foo","bar"]},"opts":{"rooms":["r1"],'
        '"except":[],"flags":{}}},"uid":"88bca5a6f9558bb4","nsp":"/"}',
    ),
    (m.Join(UID, Targets(), ["r2"]), f'{{"type":4,"data":{{"opts":{NOBODY},"rooms":["r2"]}},$'),
    (m.Leave(UID, Targets(), ["r2"]), f'{{"type":5,"data":{{"opts":{NOBODY},"rooms":["r2"]}},$'),
    (m.Disconnect(UID, Targets(), True), f'{{"type":6,"data":{{"opts":{NOBODY},"close":true}},$'),
    (
        m.Fetch(UID, "f0ad4527495fa80a", Targets()),
        f'{{"type":7,"data":{{"opts":{NOBODY},"requestId":"f0ad4527495fa80a"}},$',
    ),
    (m.SocketsAnswer("r", [], UID), '{"type":8,"data":{"requestId":"r","sockets":[]},$'),
    (m.ServerEvent(UID, ["hello", "w"]), '{"type":9,"data":{"packet":["hello","w"]},$'),
]


@pytest.mark.parametrize(("message", "text"), CAPTURED, ids=lambda v: type(v).__name__)
def test_messages_have_the_bytes_of_official_servers(message: Any, text: str) -> None:
    payload = text.replace("$", f'"uid":"{UID}","nsp":"/"}}').encode()
    form = Envelope("/")
    assert form.encode(message) == payload
    assert form.decode(payload) == message


def test_bytes_make_a_message_messagepack() -> None:
    form = Envelope("/")
    payload = form.encode(m.Broadcast(UID, ["bin", b"\x01"], Targets()))
    assert payload.startswith(b"\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02")
    assert list(unpack(payload, 20)) == ["type", "data", "uid", "nsp"]


@given(any_message.filter(lambda message: type(message).__name__[:3] not in ("All", "Roo")))
def test_what_one_server_says_another_reads(message: Any) -> None:
    message.uid = message.uid or UID
    form = Envelope("/a")
    for payload in (form.encode(message), form.encode_packed(message)):
        assert form.decode(payload) == message
        assert Envelope("/").decode(payload) is None


def channels(cluster: Cluster) -> set[str]:
    """Return the channels of rooms that somebody is subscribed to."""
    uids = {node.uid for node in cluster.nodes}
    named = [c.layer.subscriptions["ssubscribe"] for c in cluster.redis.clients]
    rooms = {name.decode().split("#")[2] for name in set().union(*named)}
    return rooms - uids - {""}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("dynamic", {"red"}), ("static", set()), ("dynamic-private", {"red", "SID"})],
)
def test_rooms_have_channels_while_they_have_members(mode: str, expected: set[str]) -> None:
    with Cluster(2, make=ShardedAdapter, subscription_mode=mode) as cluster:
        first, second = cluster.nodes
        a = first.connect()
        first.io.in_(a.id).sockets_join("red")
        cluster.kit.run()
        assert {"SID" if room == a.id else room for room in channels(cluster)} == expected
        second.io.to("red").emit("x")
        second.io.to(a.id).emit("y")
        assert sorted(seen(cluster, a)[0]) == [["x"], ["y"]]
        first.io.sockets_leave("red")
        a.disconnect()
        cluster.kit.run()
        assert channels(cluster) == set()


def test_a_server_without_members_hears_nothing_of_a_room() -> None:
    with Cluster(3, make=ShardedAdapter) as cluster:
        first, second, third = cluster.nodes
        a = second.connect()
        first.io.in_(a.id).sockets_join("red")
        cluster.kit.run()
        heard = []
        for node in (second, third):
            adapter: Any = node.io.of("/").adapter
            adapter._bus._received = lambda message, node=node: heard.append((node, message))
        first.io.to("red").emit("x")
        cluster.kit.run()
        assert [(node, message.args) for node, message in heard] == [(second, ["x"])]


def test_a_listener_of_the_adapter_still_hears_of_rooms() -> None:
    with Cluster(1, make=ShardedAdapter) as cluster:
        (node,) = cluster.nodes
        heard = []
        node.io.of("/").adapter.on_event = lambda kind, room, _sid: heard.append((kind, room))
        a = node.connect()
        node.io.in_(a.id).sockets_join("red")
        assert heard[-2:] == [("create-room", "red"), ("join-room", "red")]


class RedisCluster:
    """Three servers that share the slots; ``bench.connect`` goes by the port."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.servers = {6379: cluster.redis, 6380: FakeRedis(), 6381: FakeRedis()}
        self.owners = {slot: 6379 + slot % 3 for slot in range(16384)}
        for port, server in self.servers.items():
            server.owner = lambda slot, port=port: self.owner(slot, port)
        bench = cluster.bench
        bench.servers = {**self.servers}

    def owner(self, slot: int, asked: int) -> str | None:
        port = self.owners[slot]
        return None if port == asked else f"127.0.0.1:{port}"

    def subscribers(self, channel: bytes) -> list[int]:
        return [
            port
            for port, server in self.servers.items()
            for client in server.clients
            if channel in client.layer.subscriptions["ssubscribe"]
        ]


@pytest.fixture
def sharded() -> Any:
    with Cluster(0, make=ShardedAdapter) as cluster:
        redis = RedisCluster(cluster)
        for _ in range(2):
            cluster.add_node()
        cluster.kit.run()
        yield cluster, redis


def test_in_a_redis_cluster_each_channel_is_at_its_server(sharded: Any) -> None:
    cluster, redis = sharded
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    rooms = [f"room {n}" for n in range(9)]
    first.io.sockets_join(rooms)
    cluster.kit.run()
    for room in rooms:
        name = f"socket.io#/#{room}#".encode()
        assert redis.subscribers(name) == [redis.owners[slot_of(name)]] * 2
        first.io.to(room).emit(room)
        assert seen(cluster, a, b) == [[[room]]] * 2
    assert len(result(cluster, first.io.fetch_sockets())) == 2
    assert first.adapter.stats()["degraded"] is False
    assert first.adapter.stats()["refused"] == 0


def test_a_slot_that_moves_takes_its_channels_along(sharded: Any) -> None:
    cluster, redis = sharded
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    first.io.sockets_join("red")
    cluster.kit.run()
    name = b"socket.io#/#red#"
    before = redis.owners[slot_of(name)]
    for slot, owner in redis.owners.items():
        redis.owners[slot] = 6379 + (owner - 6379 + 1) % 3
    for server in redis.servers.values():
        server.give_up_slots()
    cluster.kit.run()
    assert redis.subscribers(name) == [redis.owners[slot_of(name)]] * 2 != [before] * 2
    first.io.to("red").emit("x")
    first.io.emit("y")
    assert seen(cluster, a, b) == [[["x"], ["y"]]] * 2
    assert len(result(cluster, first.io.fetch_sockets())) == 2


def test_the_channels_of_a_server_that_is_lost_are_looked_for_at_the_others(sharded: Any) -> None:
    cluster, redis = sharded
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    first.io.sockets_join([f"room {n}" for n in range(6)])
    cluster.kit.run()
    lost = redis.servers[6380]
    cluster.bench.servers[6380] = None  # refuses connections
    for client in list(lost.clients):
        client.stream.sock.reset()
    cluster.kit.run()
    assert first.adapter.stats()["degraded"]
    redis.owners = {slot: 6381 if port == 6380 else port for slot, port in redis.owners.items()}
    cluster.kit.advance(4.0)
    assert not first.adapter.stats()["degraded"]
    for n in range(6):
        second.io.to(f"room {n}").emit("x", n)
    # Events by way of different servers of the Redis Cluster come in any order.
    assert [sorted(events) for events in seen(cluster, a, b)] == [[["x", n] for n in range(6)]] * 2


def test_a_subscription_that_redis_forbids_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(1, make=ShardedAdapter) as cluster:
        cluster.redis.refuse["ssubscribe"] = ErrorReply("NOPERM", "no")
        (node,) = cluster.nodes
        a = node.connect()
        node.io.in_(a.id).sockets_join("red")
        cluster.kit.run()
        assert "Redis refused a subscription: NOPERM no" in caplog.text
        node.io.to("red").emit("x")
        assert seen(cluster, a) == [[["x"]]]


@pytest.mark.rule("cluster-type-known")
@pytest.mark.parametrize("kind", [99, None, True, "3", 3.0, [], {}])
def test_a_message_of_a_type_that_is_none_is_refused(kind: object) -> None:
    with pytest.raises(ClusterError, match="no message has the type") as caught:
        Envelope("/").message({"nsp": "/", "uid": UID, "type": kind, "data": {}})
    assert caught.value.rule == "cluster-type-known"


# The moment between a join and its confirmation


def hang(cluster: Cluster) -> None:
    """Have Redis do nothing."""
    cluster.redis.hanging = True


def resume(cluster: Cluster) -> None:
    """Have it go on, with what it was asked meanwhile."""
    redis = cluster.redis
    redis.hanging = False
    held, redis.held = redis.held, []
    for client, args in held:
        redis.run(client, args)
    cluster.kit.run()


class Joining:
    """Two servers; a client of the first joins rooms by asking, and Redis hangs meanwhile."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.first, self.second = cluster.nodes

        @self.first.io.on("join")
        def join(socket: Any, *rooms: str) -> str:
            socket.join(*rooms)
            return "joined"

        self.client = self.first.connect()
        self.client.on_any(lambda *args: self.heard.append(list(args)))
        self.heard: list[Any] = []
        cluster.kit.run()

    def ask(self, *rooms: str) -> Any:
        reply = self.client.emit_with_ack("join", *rooms)
        self.cluster.kit.run()
        return reply


@pytest.fixture
def joining() -> Iterator[Joining]:
    with Cluster(2, make=ShardedAdapter) as cluster:
        yield Joining(cluster)


def test_who_is_told_of_a_join_can_be_sure_that_the_next_event_of_another_server_comes(
    joining: Joining,
) -> None:
    hang(joining.cluster)
    reply = joining.ask("red", "blue")
    assert not reply.done()
    resume(joining.cluster)
    assert reply.result() == "joined"
    joining.second.io.to("red").emit("x")
    joining.second.io.to("blue").emit("y")
    joining.cluster.kit.run()
    assert joining.heard == [["x"], ["y"]]


def test_what_is_sent_to_a_client_that_joins_keeps_its_order_and_holds_up_no_other(
    joining: Joining,
) -> None:
    other = joining.first.connect()
    others: list[Any] = []
    other.on_any(lambda *args: others.append(list(args)))
    hang(joining.cluster)
    reply = joining.ask("red")
    joining.first.io.emit("all", 1)
    joining.first.io.to("red").emit("red", 2)
    joining.cluster.kit.run()
    assert (joining.heard, others) == ([], [["all", 1]])
    order: list[Any] = []
    reply.add_done_callback(lambda _: order.extend(joining.heard))
    resume(joining.cluster)
    assert (order, joining.heard) == ([], [["all", 1], ["red", 2]])


def test_a_client_that_joins_goes_the_long_way_until_its_room_is_confirmed(
    joining: Joining,
) -> None:
    (socket,) = joining.first.io.sockets.values()
    lane = socket._lane
    assert lane is not None
    hang(joining.cluster)
    joining.ask("red")
    assert socket._lane is None
    resume(joining.cluster)
    assert socket._lane is lane


def test_a_second_client_that_joins_meanwhile_waits_as_well(joining: Joining) -> None:
    other = joining.first.connect()
    hang(joining.cluster)
    first = joining.ask("red")
    second = other.emit_with_ack("join", "red")
    third = joining.ask("red")
    assert not any(reply.done() for reply in (first, second, third))
    resume(joining.cluster)
    assert [reply.result() for reply in (first, second, third)] == ["joined"] * 3


def test_a_room_that_is_left_and_joined_again_is_waited_for_again(joining: Joining) -> None:
    hang(joining.cluster)
    first = joining.ask("red")
    joining.first.io.sockets_leave("red")
    joining.cluster.kit.run()
    assert first.done()
    second = joining.ask("red")
    assert not second.done()
    resume(joining.cluster)
    assert second.result() == "joined"
    joining.second.io.to("red").emit("x")
    joining.cluster.kit.run()
    assert joining.heard == [["x"]]


def test_a_redis_that_hangs_costs_the_wait_once_until_it_answers_again(joining: Joining) -> None:
    hang(joining.cluster)
    first = joining.ask("red")
    joining.cluster.kit.advance(0.1)
    assert not first.done()
    joining.cluster.kit.advance(0.11)
    assert first.result() == "joined"
    assert joining.ask("blue").done()
    resume(joining.cluster)
    hang(joining.cluster)
    again = joining.ask("green")
    assert not again.done()
    resume(joining.cluster)
    assert again.done()


def test_without_redis_nobody_waits(joining: Joining) -> None:
    joining.cluster.bench.refusing = True
    hang(joining.cluster)
    waiting = joining.ask("red")
    assert not waiting.done()
    joining.cluster.bench.cut()
    joining.cluster.kit.run()
    assert waiting.done()
    assert joining.ask("blue").done()


def test_a_client_with_a_channel_of_its_own_is_welcome_when_that_is_confirmed() -> None:
    with Cluster(2, make=ShardedAdapter, subscription_mode="dynamic-private") as cluster:
        first, second = cluster.nodes
        cluster.kit.serve(first.io)
        heard: list[Any] = []
        hang(cluster)
        client = cluster.kit.client().main
        client.on_any(lambda *args: heard.append(list(args)))
        client.connect()
        cluster.kit.run()
        (sid,) = first.io.sockets
        assert not client.connected
        resume(cluster)
        assert client.connected
        second.io.to(sid).emit("x")
        cluster.kit.run()
        assert heard == [["x"]]


def test_what_waits_goes_out_over_the_transport_that_the_session_has_then() -> None:
    with Cluster(1, make=ShardedAdapter, join_wait=1.0) as cluster:
        (node,) = cluster.nodes
        client = node.connect(transports=["polling", "websocket"])
        hang(cluster)
        (socket,) = node.io.sockets.values()
        socket.join("red")
        socket.emit("first")
        heard: list[str] = []
        client.on("first", lambda: heard.append(socket.conn.transport))
        cluster.kit.advance(0.5)
        assert (socket.conn.transport, heard) == ("websocket", [])
        resume(cluster)
        assert heard == ["websocket"]
