"""Two servers of ours and a Redis in memory: every operation, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.cluster import (
    ClassicOptions,
    RedisAdapter,
    RemoteSocket,
    ShardedAdapter,
    ShardedOptions,
    StreamsAdapter,
    StreamsOptions,
)
from rawsio.cluster.messages import SocketsAnswer
from rawsio.cluster.requests import Question, Silence
from rawsio.redis import ErrorReply
from rawsio.socketio.msgpack import pack

from .kit import Cluster

ADAPTERS = [RedisAdapter, ShardedAdapter, StreamsAdapter]


@pytest.fixture(params=ADAPTERS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def cluster(kind: Any) -> Iterator[Cluster]:
    with Cluster(make=kind) as made:
        yield made


def seen(cluster: Cluster, *sockets: Any) -> list[list[Any]]:
    """Return the events that each client has received since it was asked last."""
    cluster.kit.run()
    found: list[list[Any]] = []
    for socket in sockets:
        events = []
        while True:
            try:
                events.append(socket.receive(0.001))
            except TimeoutError:
                break
        found.append(events)
    return found


def result(cluster: Cluster, reply: Any) -> Any:
    cluster.kit.run()
    return reply.result()


def test_an_event_reaches_the_clients_of_both_servers_once(cluster: Cluster) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    cluster.nodes[0].io.emit("news", b"\x00", {"a": [1]})
    assert seen(cluster, a, b) == [[["news", b"\x00", {"a": [1]}]]] * 2


def test_a_room_that_a_client_named_by_half_a_character_is_one_like_others(
    cluster: Cluster,
) -> None:
    first, second = cluster.nodes
    for node in cluster.nodes:
        node.io.on("enter", lambda socket, room: socket.join(room, "good"))
        node.io.on("tell", lambda socket, room: socket.to(room).emit("told"))
        node.io.on("leave", lambda socket, room: socket.leave(room))
    a, b, c = first.connect(), first.connect(), second.connect()
    for socket in (a, b, c):
        socket.emit("enter", "half \ud83d")
    cluster.kit.run()
    a.emit("tell", "half \ud83d")
    assert seen(cluster, b)[0] == [["told"]]
    first.io.to("good").emit("all", "half \ud83d")
    second.io.server_side_emit("half \ud83d", "half \ud83d")
    for socket in (a, b, c):
        assert seen(cluster, socket)[0][-1][0] == "all"
        socket.emit("leave", "half \ud83d")
    cluster.kit.run()
    assert [len(socket.rooms) for node in cluster.nodes for socket in node.io.sockets.values()] == [
        *(2, 2, 2),
    ]


def test_rooms_and_exceptions_hold_on_both_servers(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b, c = first.connect(), second.connect(), second.connect()
    first.io.in_(b.id).sockets_join("red")
    first.io.in_(a.id).sockets_join(["red", "blue"])
    cluster.kit.run()
    second.io.to("red").emit("red")
    second.io.except_("red").emit("others")
    first.io.to("red").except_("blue").emit("only red")
    assert seen(cluster, a, b, c) == [
        [["red"]],
        [["red"], ["only red"]],
        [["others"]],
    ]
    first.io.sockets_leave("red")
    cluster.kit.run()
    second.io.to("red").emit("nobody")
    assert seen(cluster, a, b, c) == [[], [], []]


def test_a_local_event_is_not_published(cluster: Cluster) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    before = len(cluster.published())
    cluster.nodes[0].io.local.emit("here")
    assert seen(cluster, a, b) == [[["here"]], []]
    assert len(cluster.published()) == before


def test_acknowledgements_come_with_the_ids_of_their_sockets(cluster: Cluster) -> None:
    a, b, silent = (
        cluster.nodes[0].connect(),
        cluster.nodes[1].connect(),
        cluster.nodes[1].connect(),
    )
    a.on("q", lambda value: ("a", value))
    b.on("q", lambda value: ("b", value))
    silent.on("q", lambda _value, _ack: None, ack=True)
    reply = cluster.nodes[0].io.timeout(2).emit_with_ack("q", 1)
    cluster.kit.advance(2.0)
    answers = reply.result()
    assert answers.answers == {a.id: ("a", 1), b.id: ("b", 1)}
    assert answers.missing == [silent.id]


def test_sockets_of_both_servers_are_fetched(cluster: Cluster) -> None:
    first, second = cluster.nodes

    @second.io.on("connection")
    def connected(socket: Any) -> None:
        socket.data = {"name": "bob"}
        socket.join("red")

    a, b = first.connect(), second.connect(auth={"token": 1})
    found = {socket.id: socket for socket in result(cluster, first.io.fetch_sockets())}
    assert set(found) == {a.id, b.id}
    remote = found[b.id]
    assert isinstance(remote, RemoteSocket)
    assert (remote.data, remote.rooms) == ({"name": "bob"}, frozenset([b.id, "red"]))
    assert remote.handshake.auth == {"token": 1}
    assert remote.handshake.query["EIO"] == "4"
    assert abs(remote.handshake.issued - cluster.kit.board.now) < 1.0
    remote.emit("hello")
    remote.leave("red")
    assert seen(cluster, a, b) == [[], [["hello"]]]
    assert not second.io.of("/").adapter.rooms
    remote.disconnect(close=True)
    cluster.kit.run()
    assert not b.connected


def test_data_that_has_no_form_is_left_out_and_named(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = cluster.nodes
    second.io.on("connection", lambda socket: setattr(socket, "data", {"x": object()}))
    b = second.connect()
    (remote,) = result(cluster, first.io.fetch_sockets())
    assert (remote.id, remote.data) == (b.id, {})
    assert "socket.data cannot be shown" in caplog.text


def test_servers_emit_to_each_other_and_answer(cluster: Cluster) -> None:
    first, second = cluster.nodes
    heard: list[Any] = []
    first.io.of("/").on_server("hello", lambda *args: heard.append(args))
    second.io.of("/").on_server("hello", lambda *args: ("hi", *args))
    assert result(cluster, first.io.server_side_emit("hello", 1)) == [("hi", 1)]
    assert heard == []


def test_other_namespaces_are_apart(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.io.of("/chat")
    cluster.kit.run()
    a, b = cluster.nodes[0].connect("/chat"), cluster.nodes[1].connect()
    c = cluster.nodes[1].connect("/chat")
    cluster.nodes[0].io.of("/chat").emit("x")
    assert seen(cluster, a, b, c) == [[["x"]], [], [["x"]]]


def test_a_server_without_redis_serves_its_own_clients_at_once(kind: Any) -> None:
    with Cluster(1, make=kind) as cluster:
        # The first one reaches Redis at a port of its own: it can come back later.
        cluster.bench.servers[6380] = cluster.redis
        cluster.options = {**cluster.options, "url": "redis://127.0.0.1:6380"}
        second, first = cluster.nodes[0], cluster.add_node()
        a, b = first.connect(), second.connect()
        cluster.bench.refusing = True
        cluster.bench.cut()
        assert first.states == [False, True]
        assert first.adapter.stats()["degraded"]
        first.io.emit("alone")
        assert seen(cluster, a, b) == [[["alone"]], []]
        fetched = result(cluster, first.io.fetch_sockets())
        assert ([socket.id for socket in fetched], fetched.missing) == ([a.id], [second.uid])
        cluster.bench.refusing, cluster.bench.servers[6380] = False, None
        cluster.kit.advance(2.0)
        assert (first.states, second.states) == ([False, True], [False, True, False])
        cluster.bench.servers[6380] = cluster.redis
        cluster.kit.advance(2.0)
        assert first.states == [False, True, False]
        assert seen(cluster, a, b) == [[], [["alone"]]]  # what waited arrives late, and once
        assert len(result(cluster, first.io.fetch_sockets())) == 2


def test_the_loss_of_redis_is_an_event_and_stands_in_the_statistics(cluster: Cluster) -> None:
    io, told = cluster.nodes[0].io, []
    io.on("cluster_degraded", lambda degraded, reason: told.append((degraded, bool(reason))))
    assert io.stats()["cluster"]["degraded"] is False
    assert io.stats()["cluster"]["servers"] == 2
    cluster.bench.refusing = True
    cluster.bench.cut()
    assert told == [(True, True)]
    assert io.stats()["cluster"]["degraded"] is True
    io.emit("x")
    assert io.stats()["cluster"]["waiting"] == 1
    cluster.bench.refusing = False
    cluster.kit.advance(2.0)
    assert told == [(True, True), (False, False)]


def test_a_handler_that_raises_stops_nothing(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_degraded: bool, _reason: str) -> None:
        raise ZeroDivisionError

    cluster.nodes[0].io.on("cluster_degraded", handler)
    cluster.bench.cut()
    cluster.kit.advance(2.0)
    assert not cluster.nodes[0].adapter.stats()["degraded"]
    assert "cluster_degraded" in caplog.text


def test_a_silent_server_costs_the_timeout_once_and_is_named(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = cluster.nodes
    a = first.connect()
    # Its answers do not leave: as with a process that was stopped.
    cluster.redis.lost = _answers_of(second)
    reply = first.io.fetch_sockets()
    cluster.kit.advance(4.9)
    assert not reply.done()
    cluster.kit.advance(0.2)
    assert ([s.id for s in reply.result()], reply.result().missing) == ([a.id], [second.uid])
    assert f"servers that did not answer a request: {second.uid}" in caplog.text


def test_a_server_that_is_known_to_be_silent_is_not_waited_for_again(kind: Any) -> None:
    with Cluster(3, make=kind) as cluster:
        first, second, third = cluster.nodes
        a, c = first.connect(), third.connect()
        cluster.redis.lost = _answers_of(second)
        cluster.kit.run()
        reply = first.io.fetch_sockets()
        cluster.kit.advance(5.1)
        assert reply.result().missing == [second.uid]
        for _ in range(2):
            reply = first.io.fetch_sockets()
            cluster.kit.advance(cluster.limits.cluster_silent_time - 0.05)
            assert not reply.done(), "it may have come back"
            cluster.kit.advance(0.1)
            assert reply.done()
            found = reply.result()
            assert sorted(s.id for s in found) == sorted([a.id, c.id])
            assert found.missing == [second.uid]
        # It answers again: it is found by the next question, and waited for by the one after.
        cluster.redis.lost = lambda _channel, _payload: False
        reply = first.io.fetch_sockets()
        cluster.kit.run()
        assert reply.done()
        assert reply.result().missing == []
        cluster.redis.lost = _answers_of(second)
        reply = first.io.fetch_sockets()
        cluster.kit.advance(4.9)
        assert not reply.done()


def test_a_silent_server_that_says_anything_is_waited_for_again(cluster: Cluster) -> None:
    first, second = cluster.nodes
    cluster.redis.lost = _answers_of(second)
    reply = first.io.fetch_sockets()
    cluster.kit.advance(5.1)
    assert reply.done()
    cluster.redis.lost = lambda _channel, _payload: False
    second.io.emit("news")
    cluster.kit.run()
    cluster.redis.lost = _answers_of(second)
    reply = first.io.fetch_sockets()
    cluster.kit.advance(4.9)
    assert not reply.done()


def test_who_asks_for_a_short_time_makes_nobody_silent(cluster: Cluster) -> None:
    first, second = cluster.nodes
    cluster.redis.lost = _answers_of(second)
    short = first.io.timeout(0.1).fetch_sockets()
    cluster.kit.advance(0.2)
    assert short.result().missing == [second.uid]
    reply = first.io.fetch_sockets()
    cluster.kit.advance(4.9)
    assert not reply.done()


def test_a_server_that_was_swallowed_by_the_network_costs_the_timeout_once(
    cluster: Cluster,
) -> None:
    first, second = cluster.nodes
    cluster.redis.lost = lambda _channel, payload: second.uid.encode() in payload
    reply = first.io.fetch_sockets()
    cluster.kit.advance(20.0)
    assert reply.result().missing == [second.uid]
    assert first.io.of("/").adapter.server_count() == 1, "Redis counts it, and nobody hears it"
    for _ in range(2):
        reply = first.io.fetch_sockets()
        cluster.kit.advance(0.3)
        assert reply.done()
        assert reply.result().missing == ["unknown"]


def _answers_of(node: Any) -> Any:
    return lambda channel, payload: node.uid.encode() in payload and b"-rawsio" not in channel


class _Stranger:
    """Who publishes and needs no reply."""

    def reply(self, _value: Any) -> None:
        """Take it."""


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_answers_count_once_in_whatever_order_and_however_often_they_come(
    kind: Any, times: int, backwards: bool
) -> None:
    with Cluster(3, make=kind) as cluster:
        first, second, third = cluster.nodes
        clients = [node.connect() for node in cluster.nodes]
        for client in clients:
            client.on("q", lambda name=client.id: name)
        for node in (second, third):
            node.io.of("/").on_server("who", lambda name=node.uid: name)
        cluster.kit.run()
        kept: list[tuple[bytes, bytes]] = []

        def keep(channel: bytes, payload: bytes) -> bool:
            answers = any(_answers_of(node)(channel, payload) for node in (second, third))
            if answers:
                kept.append((channel, payload))
            return answers

        cluster.redis.lost = keep
        fetched = first.io.fetch_sockets()
        asked = first.io.timeout(1.0).emit_with_ack("q")
        servers = first.io.server_side_emit("who")
        cluster.kit.run()
        assert not any(reply.done() for reply in (fetched, asked, servers))
        cluster.redis.lost = lambda _channel, _payload: False
        publish: Any = (
            cluster.redis.do_spublish if kind is ShardedAdapter else cluster.redis.do_publish
        )
        for channel, payload in reversed(kept) if backwards else kept:
            for _ in range(times):
                publish(_Stranger(), channel, payload)
        cluster.kit.run()
        ids = sorted(client.id for client in clients)
        assert sorted(socket.id for socket in fetched.result()) == ids
        assert (sorted(asked.result()), sorted(asked.result().answers)) == (ids, ids)
        assert sorted(servers.result()) == sorted([second.uid, third.uid])
        for reply in (fetched, asked, servers):
            assert reply.result().missing == []


def test_a_socket_that_two_servers_claim_is_found_once(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    adapter: Any = first.io.of("/").adapter
    reply = first.io.fetch_sockets()
    (request,) = adapter._questions
    fields = {"id": a.id, "handshake": {}, "rooms": [], "data": {}}
    adapter._received(SocketsAnswer(request, [fields], "somebody"))
    cluster.kit.run()
    assert sorted(socket.id for socket in reply.result()) == sorted([a.id, b.id])


def test_a_server_that_leaves_is_not_waited_for(kind: Any) -> None:
    with Cluster(3, make=kind) as cluster:
        first, _second, third = cluster.nodes
        cluster.redis.lost = _answers_of(third)
        reply = first.io.fetch_sockets()
        cluster.kit.run()
        assert not reply.done()
        third.io.close(0.0)
        cluster.kit.run()
        assert reply.done()
        assert reply.result().missing == []
        assert first.io.of("/").adapter.server_count() == 2


def test_a_server_that_vanishes_is_forgotten(cluster: Cluster) -> None:
    first, second = cluster.nodes
    adapter = first.io.of("/").adapter
    assert adapter.server_count() == 2
    cluster.redis.lost = lambda _channel, payload: second.uid.encode() in payload
    cluster.kit.advance(20.0)
    assert adapter.server_count() == 1


@pytest.mark.parametrize(
    ("channel", "payload"),
    [
        (b"socket.io#/#", b"junk"),
        (b"socket.io#/#", b'{"type":3,"uid":"x","nsp":"/","data":{"packet":{"data":[]}}}'),
        (b"socket.io#/#", b'{"type":3,"uid":5,"nsp":"/","data":{}}'),
        (b"socket.io#/#", b'{"type":true,"uid":"x","nsp":"/","data":{}}'),
        (b"socket.io#/#", b'{"type":3,"uid":"x","nsp":"/","data":[]}'),
        (b"socket.io#/#", b'{"type":2,"uid":"x","nsp":"/"}'),
        (b"socket.io#/#", pack(["x", {"data": ["connect"], "nsp": "/"}, {"rooms": []}])),
        (b"socket.io-request#/#", b'{"uid":"x","type":2,"opts":{},"rooms":5}'),
        (b"socket.io-request#/#", b'{"uid":"x","type":6,"data":[]}'),
        (b"socket.io-response#/#", b'{"requestId":"nobody asked","sockets":[]}'),
        (b"socket.io-rawsio#/#", b"{}"),
        (b"socket.io-rawsio#/#", b"[1]"),
        (b"socket.io-rawsio#/#", b'{"uid":"x"}'),
    ],
)
def test_what_is_no_message_reaches_nobody_and_stops_nothing(
    cluster: Cluster, channel: bytes, payload: bytes
) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    speaker = next(client for client in cluster.redis.clients if client.layer.version == 3)
    for client in list(cluster.redis.clients):
        named = client.layer.subscriptions
        if channel in named["subscribe"]:
            client.push("message", [channel, payload])
        if channel in named["ssubscribe"]:
            client.push("smessage", [channel, payload])
        for pattern in named["psubscribe"]:
            if channel.startswith(pattern[:-1]):
                client.push("pmessage", [pattern, channel, payload])
    assert speaker
    assert seen(cluster, a, b) == [[], []]
    cluster.nodes[0].io.emit("still here")
    assert seen(cluster, a, b) == [[["still here"]]] * 2


def test_an_event_that_redis_refuses_is_logged_and_local_clients_have_it(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    for word in ("publish", "spublish", "xadd"):
        cluster.redis.refuse[word] = ErrorReply("OOM", "command not allowed")
    cluster.nodes[0].io.emit("x")
    assert seen(cluster, a, b) == [[["x"]], []]
    assert "Redis refused what was published: OOM" in caplog.text


def test_a_server_can_be_made_and_closed_without_ever_running(cluster: Cluster) -> None:
    from rawsio import Server

    before = cluster.bench.dialled
    io = Server(adapter=type(cluster.nodes[0].adapter)(connect=cluster.bench.connect))
    assert cluster.bench.dialled == before
    io.close()
    io.step(0)
    io.step(0)


def test_closing_a_server_leaves_no_connection_and_no_timer(kind: Any) -> None:
    with Cluster(1, make=kind) as cluster:
        (node,) = cluster.nodes
        assert len(cluster.redis.clients) == (3 if kind is StreamsAdapter else 2)
        node.io.close(0.0)
        cluster.kit.run()
        assert not cluster.redis.clients


def test_options_are_checked_when_the_adapter_is_made() -> None:
    with pytest.raises(ValueError, match="redis://"):
        RedisAdapter("localhost:6379")
    with pytest.raises(TypeError, match="requests_timeout"):
        RedisAdapter(requests_timeout="5")
    with pytest.raises(TypeError, match="prefix"):
        RedisAdapter(prefix="x")
    with pytest.raises(ValueError, match="dynamic, static, dynamic-private, not 'no'"):
        ShardedAdapter(subscription_mode="no")


def test_a_number_of_subscribers_that_redis_does_not_tell_is_not_known() -> None:
    with Cluster(2) as cluster:
        link = cluster.nodes[0].adapter.link
        told: list[int | None] = []
        link.count("socket.io-request#/#", told.append)
        cluster.kit.run()
        cluster.redis.refuse["pubsub"] = ErrorReply("NOPERM", "no")
        link.count("socket.io-request#/#", told.append)
        cluster.kit.run()
        assert told == [2, None]


def test_the_options_have_the_defaults_of_the_notes() -> None:
    for options in (ClassicOptions(), ShardedOptions(), StreamsOptions()):
        assert options.requests_timeout == 5.0
        # Two announcements may be lost.
        assert options.heartbeat_interval == 5.0
        assert options.heartbeat_timeout == 12.0


def test_a_question_ends_once_and_takes_no_answer_afterwards() -> None:
    ended: list[Any] = []
    question = Question(["ours"], ended.append, Silence(), ended.append, patient=True)
    question.expect(2)
    question.add(["theirs"], "a")
    question.expire()
    question.add(["late"], "b")
    question.left("c")
    question.expire()
    assert (ended, question.items) == ([question], ["ours", "theirs"])
