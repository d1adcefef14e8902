"""Clients that are cut off, and come back on another server, by the log that a stream is."""

from __future__ import annotations

import asyncio
from binascii import b2a_base64
from collections.abc import Iterator
from contextlib import contextmanager
from struct import pack
from typing import Any

import pytest

from rawsio.cluster import StreamsAdapter
from rawsio.cluster.stream_form import from_base64
from rawsio.limits import DEFAULT, Limits
from rawsio.redis import ErrorReply
from rawsio.socketio.msgpack import unpack

from .kit import Cluster
from .test_adapter import seen


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(make=StreamsAdapter, recovery=True) as made:
        yield made


def sessions(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the sessions that Redis keeps."""
    kept = cluster.redis.values
    return [unpack(from_base64(v), 20) for k, v in kept.items() if k.startswith(b"sio:session:")]


def with_event(cluster: Cluster) -> Any:
    """Return a client of the first server that has seen an event."""
    first = cluster.nodes[0]
    socket = first.connect()
    first.io.emit("one")
    cluster.kit.run()
    return socket


def ask_middleware_again(node: Any) -> None:
    """Have the middleware of a server asked about clients that are recovered, too."""
    node.io.host.recovery.skip_middlewares = False


def move(cluster: Cluster, socket: Any, node: Any, between: Any = lambda: None) -> None:
    """Cut a client off, let something happen, and let it come back on this server."""
    cluster.kit.refusing = True
    cluster.kit.cut(socket)
    between()
    cluster.kit.run()
    cluster.kit.serve(node.io)
    cluster.kit.refusing = False
    cluster.kit.advance(6.0)
    assert socket.connected


def test_a_client_goes_on_where_it_was_on_another_server(cluster: Cluster) -> None:
    first, second = cluster.nodes
    first.io.on("connection", lambda socket: setattr(socket, "data", {"n": 1}))
    a, b = first.connect(), second.connect()
    first.io.in_(a.id).sockets_join("red")
    first.io.emit("one")
    cluster.kit.run()
    before = a.id
    for node, text in ((second, "two"), (first, "three"), (first, "four")):

        def between(text: str = text) -> None:
            second.io.to("red").emit(text)
            first.io.to("blue").emit("not this")
            first.io.except_("red").emit("nor this")
            second.io.volatile.emit("nor a volatile one")

        move(cluster, a, node, between)
        assert (a.recovered, a.id) == (True, before)
        node.io.to("red").emit("live")
    events = seen(cluster, a)[0]
    assert events == [["one"], ["two"], ["live"], ["three"], ["live"], ["four"], ["live"]]
    assert sessions(cluster) == []
    (socket,) = [s for s in first.io.sockets.values() if s.id == before]
    assert socket.data == {"n": 1}
    assert b.connected


def test_a_client_without_any_event_is_recovered(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a = first.connect()
    move(cluster, a, second, lambda: first.io.emit("missed"))
    assert (a.recovered, seen(cluster, a)) == (True, [[["missed"]]])


def test_events_of_all_servers_come_in_one_order_with_their_places(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    for n in range(10):
        cluster.nodes[n % 2].io.emit("x", n)
    one, other = seen(cluster, a, b)
    assert one == other
    assert sorted(one) == [["x", n] for n in range(10)]


def test_what_was_said_to_a_socket_comes_before_its_end(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b, c = first.connect(), first.connect(), second.connect()
    heard: dict[Any, list[Any]] = {a: [], b: [], c: []}
    for socket, events in heard.items():
        socket.on_any(lambda *event, events=events: events.append(list(event)))
    first.io.in_([a.id, b.id, c.id]).sockets_join("red")
    cluster.kit.run()
    first.io.to("red").emit("bye")
    first.io.in_(a.id).disconnect_sockets()
    first.io.sockets[b.id].emit("you")
    first.io.sockets[b.id].disconnect()
    cluster.kit.run()
    assert list(heard.values()) == [[["bye"]], [["bye"], ["you"]], [["bye"]]]
    assert not a.connected
    assert not b.connected


def test_who_leaves_a_room_has_what_was_sent_there_before(cluster: Cluster) -> None:
    first = cluster.nodes[0]
    a = first.connect()
    first.io.sockets_join("red")
    first.io.to("red").emit("one")
    first.io.sockets_leave("red")
    first.io.to("red").emit("two")
    assert seen(cluster, a) == [[["one"]]]


@pytest.mark.parametrize("silent", [True, False], ids=["silent", "gone"])
def test_local_clients_wait_for_redis_no_longer_than_they_must(
    cluster: Cluster, silent: bool
) -> None:
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    if silent:
        cluster.redis.silent = True
        first.io.emit("one")
        assert seen(cluster, a) == [[]]
        cluster.kit.advance(0.2)
    else:
        cluster.bench.refusing = True
        cluster.bench.cut()
        first.io.emit("one")
    assert seen(cluster, a, b) == [[["one"]], []]
    first.io.emit("two")
    assert seen(cluster, a, b) == [[["two"]], []]
    cluster.redis.silent = cluster.bench.refusing = False
    cluster.bench.cut()
    cluster.kit.advance(3.0)
    first.io.emit("three")
    assert seen(cluster, a) == [[["three"]]]
    assert seen(cluster, b)[0][-1] == ["three"]


def test_an_event_that_redis_refuses_reaches_local_clients(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    cluster.redis.refuse["xadd"] = ErrorReply("OOM", "command not allowed")
    first.io.emit("x")
    assert seen(cluster, a, b) == [[["x"]], []]


def test_a_session_is_used_once(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a = first.connect()
    first.io.emit("one")
    cluster.kit.run()
    cluster.kit.cut(a)
    (session,) = sessions(cluster)
    auth = {"pid": session["pid"], "offset": session["offset"]}
    assert session["sid"] in session["rooms"]
    cluster.kit.serve(second.io)
    thief = cluster.kit.connect(auth=auth)
    assert thief.id == session["sid"]
    cluster.kit.serve(first.io)
    assert cluster.kit.connect(auth=auth).id != session["sid"]
    cluster.kit.advance(6.0)
    assert not a.recovered


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": "nobody", "offset": "1-1"},
        {"pid": "../x", "offset": "1-1"},
        {"pid": "a" * 100, "offset": "1-1"},
        {"pid": "PID", "offset": "no id"},
        {"pid": "PID", "offset": "1-1"},
        {"pid": "PID", "offset": "99999999999999-0"},
    ],
)
def test_who_asks_for_something_else_begins_anew(cluster: Cluster, auth: dict[str, str]) -> None:
    first, second = cluster.nodes
    a = first.connect(reconnection=False)
    first.io.emit("one")
    cluster.kit.run()
    cluster.kit.cut(a)
    (session,) = sessions(cluster)
    cluster.kit.serve(second.io)
    pid = auth["pid"].replace("PID", session["pid"])
    other = cluster.kit.client(auth={**auth, "pid": pid}).main.connect()
    cluster.kit.advance(2.0)
    assert other.connected
    assert other.id != session["sid"]


HEAD = b"\x83\xa3sid\xa1x\xa5rooms\x90\xa4data\xdd" + pack(">I", DEFAULT.containers)
MANY = b2a_base64(HEAD + DEFAULT.containers * b"\x90", newline=False)
"""A session whose data are one list too many."""


@pytest.mark.parametrize("value", [b"junk!", b"gA==", b"kA==", MANY])
def test_a_session_that_is_none_is_dropped(
    cluster: Cluster, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.redis.values[b"sio:session:x"] = value
    a = cluster.nodes[0].connect(auth={"pid": "x", "offset": "1-1"})
    assert (a.connected, a.recovered) == (True, False)
    assert "a session in Redis was dropped" in caplog.text


def test_who_returns_before_the_end_was_noticed_is_recovered(cluster: Cluster) -> None:
    first = cluster.nodes[0]
    a = first.connect()
    first.io.emit("one")
    cluster.kit.run()
    (old,) = first.io.sockets.values()
    auth = {"pid": old._session.secret, "offset": old._session.offset}
    before, again = a.id, first.connect(auth=auth)
    assert again.id == before
    assert again.receive(0.1) == ["one"]


def test_what_comes_while_middleware_thinks_is_not_lost(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a = first.connect()
    first.io.emit("one")
    cluster.kit.run()

    @second.io.use
    def think(_socket: Any) -> None:
        first.io.emit("meanwhile")

    ask_middleware_again(second)
    move(cluster, a, second)
    assert a.recovered
    assert seen(cluster, a) == [[["one"], ["meanwhile"]]]


def test_a_client_that_has_seen_more_than_its_new_server_gets_nothing_twice(
    cluster: Cluster,
) -> None:
    first, second = cluster.nodes
    a = first.connect()
    first.io.emit("one")
    cluster.kit.run()
    adapter: Any = second.io.of("/").adapter
    reader = adapter._stream.redis.reader
    # The second server is slow: it has not read the stream yet when the client comes.
    took, held = reader._took, {}
    reader._took = lambda position, fields: held.update({position: fields})
    positions = dict(reader.positions)
    first.io.emit("two")
    cluster.kit.run()
    reader.positions.update(positions)
    move(cluster, a, second)
    assert a.recovered
    reader._took = took
    for position, fields in held.items():
        reader.positions["socket.io"] = position
        took(position, fields)
    second.io.emit("three")
    assert seen(cluster, a) == [[["one"], ["two"], ["three"]]]


def test_data_that_has_no_form_is_left_out(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    first = cluster.nodes[0]
    first.io.on("connection", lambda socket: setattr(socket, "data", {"x": object()}))
    a = first.connect()
    cluster.kit.cut(a)
    (session,) = sessions(cluster)
    assert session["data"] == {}
    assert "socket.data cannot be kept" in caplog.text


def test_a_server_that_closes_keeps_its_sessions(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a = first.connect()
    first.io.emit("one")
    cluster.kit.run()
    cluster.kit.serve(second.io)
    first.io.close(0.0)
    cluster.kit.advance(6.0)
    assert (a.connected, a.recovered) == (True, True)


def hang(cluster: Cluster, *, hanging: bool) -> None:
    """Let Redis answer nothing, or go on with what was asked meanwhile."""
    cluster.redis.hanging = hanging
    held, cluster.redis.held = cluster.redis.held, []
    for client, args in held:
        if client in cluster.redis.clients:
            cluster.redis.run(client, args)


def return_slowly(cluster: Cluster, socket: Any, node: Any, between: Any) -> None:
    """Cut a client off, and let something happen while Redis keeps its server waiting."""
    cluster.kit.refusing = True
    cluster.kit.cut(socket)
    cluster.kit.serve(node.io)
    cluster.kit.refusing = False
    hang(cluster, hanging=True)
    cluster.kit.advance(2.0)
    between()
    cluster.kit.run()
    hang(cluster, hanging=False)
    cluster.kit.run()
    assert socket.connected


@contextmanager
def slow_readers(cluster: Cluster) -> Iterator[None]:
    """Have the servers read the stream only afterwards."""
    redis = cluster.redis
    waiting, redis.blocked = redis.blocked, []
    for blocked in waiting:
        blocked.timer.cancel()
    yield
    redis.blocked += waiting
    for blocked in waiting:
        redis._wake(blocked, redis._behind(blocked))
    cluster.kit.run()


@pytest.mark.parametrize("wait", [0.0, 0.3], ids=["in the order of the stream", "sent too early"])
def test_what_is_said_while_a_client_is_restored_is_not_lost(cluster: Cluster, wait: float) -> None:
    first = cluster.nodes[0]
    a, b = first.connect(), first.connect()
    first.io.in_(a.id).sockets_join("red")
    first.io.emit("one")
    cluster.kit.run()

    def between() -> None:
        first.io.to("red").emit("to a room with nobody else")
        first.io.emit("two")
        cluster.kit.advance(wait)

    with slow_readers(cluster):
        return_slowly(cluster, a, first, between)
    assert a.recovered
    first.io.emit("three")
    events, others = seen(cluster, a, b)
    assert events == [["one"], ["to a room with nobody else"], ["two"], ["three"]]
    assert others == [["one"], ["two"], ["three"]]


@pytest.mark.parametrize("where", [0, 1], ids=["the same server", "another server"])
def test_who_was_away_when_redis_refused_an_event_is_not_recovered(
    cluster: Cluster, where: int
) -> None:
    first, a = cluster.nodes[0], with_event(cluster)

    def between() -> None:
        cluster.redis.refuse["xadd"] = ErrorReply("OOM", "command not allowed")
        first.io.emit("lost")
        cluster.kit.run()
        del cluster.redis.refuse["xadd"]
        first.io.emit("two")

    move(cluster, a, cluster.nodes[where], between)
    assert not a.recovered
    move(cluster, a, cluster.nodes[where], lambda: first.io.emit("three"))
    assert a.recovered
    assert seen(cluster, a) == [[["one"], ["three"]]]


def test_an_event_that_redis_refuses_while_a_client_is_restored_ends_its_recovery(
    cluster: Cluster,
) -> None:
    first, a = cluster.nodes[0], with_event(cluster)

    def between() -> None:
        first.io.emit("lost")
        cluster.kit.run()
        cluster.redis.refuse["xadd"] = ErrorReply("OOM", "command not allowed")

    cluster.kit.run()
    return_slowly(cluster, a, first, between)
    cluster.kit.advance(2.0)
    assert (a.connected, a.recovered) == (True, False)


def test_who_missed_more_than_is_kept_while_it_was_restored_begins_anew(cluster: Cluster) -> None:
    (first, second), a = cluster.nodes, with_event(cluster)
    first.io.sockets_join("red")
    second.io.host.limits = second.io.host.limits.but(recovery_packets=5)

    @second.io.use
    async def think(_socket: Any) -> None:
        for n in range(10):
            first.io.emit("meanwhile", n)
        await asyncio.sleep(0.1)

    ask_middleware_again(second)
    move(cluster, a, second)
    assert (a.connected, a.recovered) == (True, False)
    (socket,) = second.io.sockets.values()
    assert (socket.recovered, set(socket.rooms), socket.data) == (False, {a.id}, {})
    second.io.emit("two")
    assert seen(cluster, a)[0][-1] == ["two"]


def test_a_stream_that_is_trimmed_while_it_is_read_for_a_client_recovers_nobody(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.cluster.stream_recovery._PAGE", 4)
    (first, second), a = cluster.nodes, with_event(cluster)
    read = cluster.redis.do_xrange
    pages = []

    def trimmed(client: Any, name: bytes, *words: bytes) -> None:
        read(client, name, *words)
        pages.append(words)
        del cluster.redis.streams[name][:-2]

    monkeypatch.setattr(cluster.redis, "do_xrange", trimmed)

    def between() -> None:
        for n in range(10):
            first.io.emit("missed", n)

    move(cluster, a, second, between)
    assert len(pages) == 2
    assert not a.recovered


def test_a_client_that_missed_several_pages_gets_each_event_once(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.cluster.stream_recovery._PAGE", 4)
    (first, second), a = cluster.nodes, with_event(cluster)

    def between() -> None:
        for n in range(10):
            first.io.emit("missed", n)

    move(cluster, a, second, between)
    assert a.recovered
    assert seen(cluster, a) == [[["one"], *(["missed", n] for n in range(10))]]


@pytest.mark.rule("layers-turn-replay")
def test_what_comes_between_two_shares_of_what_was_missed_is_not_lost() -> None:
    with Cluster(make=StreamsAdapter, recovery=True, limits=Limits(turn_frames=1)) as cluster:
        (first, second), a = cluster.nodes, with_event(cluster)
        turns: list[int] = []

        def between() -> None:
            for n in range(50):
                first.io.emit("missed", n)

        @second.io.use
        def think(_socket: Any) -> None:
            second.io.call_later(0.0, turn)

        def turn() -> None:
            turns.append(len(second.io.sockets))
            for node in cluster.nodes:
                node.io.emit("meanwhile")

        ask_middleware_again(second)
        move(cluster, a, second, between)
        assert a.recovered
        assert turns == [0]
        missed = [["one"], *(["missed", n] for n in range(50))]
        assert seen(cluster, a) == [[*missed, ["meanwhile"], ["meanwhile"]]]


def test_a_local_event_with_recovery_stays_on_its_server(cluster: Cluster) -> None:
    first, second = cluster.nodes
    a, b = first.connect(), second.connect()
    first.io.local.emit("here")
    assert seen(cluster, a, b) == [[["here"]], []]
    first.io.emit("everywhere")
    assert seen(cluster, a, b) == [[["everywhere"]]] * 2
