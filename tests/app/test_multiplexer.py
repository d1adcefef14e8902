"""One connection: order, reasons, limits, and what hostile clients get."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.log import WARNING
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Ack, Connect, Event
from rawsio.socketio.protocol_v4 import ProtocolV4Parser

from .world import Client, World


def reasons_of(world: World) -> list[Any]:
    reasons: list[Any] = []
    world.io.on("disconnecting", lambda s, reason: reasons.append(("disconnecting", reason)))
    world.io.on("disconnect", lambda s, reason: reasons.append(("disconnect", reason)))
    return reasons


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda c: c.leave(), "client namespace disconnect"),
        (lambda c: c.socket().disconnect(), "server namespace disconnect"),
        (lambda c: c.socket().disconnect(close=True), "server namespace disconnect"),
        (lambda c: c.cut("transport close"), "transport close"),
        (lambda c: c.cut("transport error"), "transport error"),
        (lambda c: c.cut("ping timeout"), "ping timeout"),
        (lambda c: c.cut("parse error"), "parse error"),
        (lambda c: c.cut("server shutting down"), "server shutting down"),
        (lambda c: c.raw("nonsense"), "forced close"),
        (lambda c: c.raw("0"), "forced close"),
        (lambda c: c.raw('2/unknown,["x"]'), "forced close"),
        (lambda c: c.raw('4{"message":"x"}'), "forced close"),
        (lambda c: c.raw(b"binary"), "forced close"),
        (
            lambda c: (c.raw('51-["x",{"_placeholder":true,"num":0}]'), c.raw('2["x"]')),
            "forced close",
        ),
    ],
)
def test_every_end_has_the_reason_of_the_reference(end: Any, reason: str) -> None:
    world = World()
    reasons = reasons_of(world)
    client = world.client()
    socket = client.socket()
    end(client)
    client.cut("too late")
    assert reasons == [("disconnecting", reason), ("disconnect", reason)]
    assert not world.io.sockets
    assert not client.peer.sockets
    assert not socket.connected


@pytest.mark.parametrize("first", [None, "/"])
@pytest.mark.parametrize(
    "message",
    [
        '2["connect",{"REMOTE_ADDR":"127.0.0.1"}]',
        '2["disconnect"]',
        '2["connect_error"]',
        '2["disconnecting"]',
        '2["newListener"]',
        '2["removeListener"]',
        "2[null]",
        "2{}",
        '2"abc"',
        "2[]",
        "2",
        "7",
        "x",
        "",
        '2["x",NaN]',
        '2["x",Infinity]',
        '2["x",1e400]',
        '2 ["x"]',
        "2\u0661[1]",
        "2" + "9" * 17 + '["x"]',
        "50-[]",
        '511-["x"]',
        '599999999999-["x"]',
        '2["x",' + "[" * 200 + "]" * 200 + "]",
    ],
)
def test_a_packet_that_is_wrong_closes_the_connection_and_no_other(
    message: str, first: str | None
) -> None:
    world = World()
    called: list[Any] = []
    reasons = reasons_of(world)
    for name in ("connection", "x", 1):
        world.io.on(name, lambda *args, name=name: called.append(name))
    other = world.client()
    client = world.client(first)
    called.clear()
    client.raw(message)
    client.raw('2["x"]')
    assert client.closed == "forced close"
    assert called == []
    assert reasons == (
        [("disconnecting", "forced close"), ("disconnect", "forced close")] if first else []
    )
    assert len(world.lines) == 1
    assert world.lines[0][:2] == ("socketio", WARNING)
    assert "[socketio-v5-" in world.lines[0][2]
    assert other.closed is None
    assert not world.errors


def test_a_parse_error_is_told_to_error_handlers_first() -> None:
    world = World()
    order: list[Any] = []
    world.io.on("error", lambda socket, error: order.append(type(error)))
    world.io.on("disconnect", lambda socket: order.append("disconnect"))
    world.client().raw("nonsense")
    assert order == [ValueError, "disconnect"]


def test_what_arrives_after_the_end_is_ignored() -> None:
    world = World()
    called: list[Any] = []
    world.io.on("x", called.append)
    client = world.client()
    client.cut()
    client.raw('2["x"]', "nonsense", b"x")
    client.peer.route.send(Event("/", ["x"]))
    client.peer.dismiss("again")
    client.peer.drained()
    assert not called
    assert not world.lines


def test_a_connection_that_joins_nothing_is_closed_in_time() -> None:
    world = World(limits=Limits(connect_time=45.0))
    client = world.client(None)
    other = world.client()
    world.pass_time(44.9)
    assert client.closed is None
    world.pass_time(0.2)
    assert client.closed == "forced close"
    assert other.closed is None
    assert world.timers() == 0


def test_attachments_that_do_not_arrive_in_time_close_the_connection() -> None:
    world = World(limits=Limits(attachment_time=30.0, connect_time=1.0))
    client = world.client()
    world.pass_time(5)
    assert world.timers() == 0
    client.raw('51-["x",{"_placeholder":true,"num":0}]')
    assert world.timers() == 1
    world.pass_time(20)
    client.raw(b"in time", '51-["x",{"_placeholder":true,"num":0}]')
    world.pass_time(20)
    assert client.closed is None
    world.pass_time(11)
    assert client.closed == "forced close"
    assert world.timers() == 0


def test_the_time_for_attachments_does_not_wait_for_the_time_to_join() -> None:
    world = World(limits=Limits(attachment_time=30.0, connect_time=45.0))
    client = world.client()
    assert world.timers() == 0
    client.raw('51-["x",{"_placeholder":true,"num":0}]')
    world.pass_time(31)
    assert client.closed == "forced close"


def test_the_end_of_a_connection_leaves_no_timer() -> None:
    world = World()
    client = world.client(None)
    assert world.timers() == 1
    client.cut()
    assert world.timers() == 0


@pytest.mark.rule("socketio-v5-limit-rate")
def test_a_flood_is_cut_off_and_honest_traffic_is_not() -> None:
    world = World(limits=Limits(events_per_second=10))
    world.io.on("e", lambda socket: None)
    honest, flood = world.client(), world.client()
    for _ in range(30):
        for _ in range(9):
            honest.emit("e")
        world.pass_time(1)
    assert honest.closed is None
    for _ in range(300):
        flood.raw('2["e"]')
    assert flood.closed == "forced close"
    assert "packets a second" in world.lines[-1][2]


@pytest.mark.rule("socketio-v5-event-order")
def test_events_run_in_order_each_after_the_last_has_ended() -> None:
    world = World(policy="deferred")
    order: list[Any] = []
    world.io.on("connection", lambda socket: order.append("connection"))
    world.io.on("e", lambda socket, n: order.append(n))
    world.io.on("disconnect", lambda socket: order.append("disconnect"))
    client = world.client()
    for number in range(3):
        client.emit("e", number)
    client.leave()
    for expected in ("connection", 0, 1, 2, "disconnect"):
        assert len(world.started) == 1
        world.finish()
        assert order[-1] == expected
    assert not world.started
    assert not client.peer.busy


def test_order_is_kept_over_all_namespaces_of_a_connection_but_not_between_connections() -> None:
    world = World(policy="deferred")
    world.namespaces.of("/b").on("e", lambda socket, n: None)
    world.io.on("e", lambda socket, n: None)
    one, two = world.client(), world.client()
    one.send(Connect("/b"))
    one.emit("e", 1)
    one.emit("e", 2, namespace="/b")
    two.emit("e", 3)
    assert [job[1][1] for job in world.started] == [1, 3]
    world.finish()
    assert [job[1][1] for job in world.started] == [3, 2]


def test_acknowledgements_pass_the_queue_so_a_handler_may_wait_for_its_own_client() -> None:
    world = World(policy="deferred")
    replies: list[Any] = []
    world.io.on("e", lambda socket: replies.append(socket.emit_with_ack("q")))
    client = world.client()
    client.take()
    client.emit("e")
    (_fn, args, _done) = world.started[0]
    reply = args[0].emit_with_ack("q")
    client.emit("queued behind")
    client.answer(client.take()[0], "yes")
    assert reply.result() == "yes"
    assert len(world.started) == 1, "the handler is still running"


def test_events_before_the_end_still_reach_handlers_unless_we_dismissed_the_client() -> None:
    for end, expected in (("leave", [1, 2]), ("cut", [1, 2]), ("dismiss", [1])):
        world = World(policy="deferred")
        got: list[int] = []
        world.io.on("e", lambda socket, n, got=got: got.append(n))
        client = world.client()
        client.emit("e", 1)
        client.emit("e", 2)
        client.socket().disconnect() if end == "dismiss" else getattr(client, end)()
        while world.started:
            world.finish()
        assert got == expected
        assert not client.peer.busy


def test_a_full_queue_stops_reading_until_it_is_half_empty() -> None:
    world = World(policy="deferred", limits=Limits(queued_events=4))
    world.io.on("e", lambda socket: None)
    client = world.client()
    for _ in range(5):
        client.emit("e")
    assert not client.paused
    client.emit("e")
    assert client.paused
    assert client.peer.paused
    world.finish()
    world.finish()
    assert client.paused
    world.finish()
    assert not client.paused
    assert not client.peer.paused


@pytest.mark.parametrize("binary", [False, True])
def test_a_queue_of_many_bytes_stops_reading_until_half_of_them_are_done(binary: bool) -> None:
    world = World(policy="deferred", limits=Limits(queued_bytes=4000))
    world.io.on("e", lambda socket, data: None)
    client = world.client()
    data = bytes(500) if binary else "x" * 1000
    client.emit("e", data)
    for _ in range(3):
        client.emit("e", data, data) if binary else client.emit("e", data)
    assert not client.paused
    client.emit("e", data, data) if binary else client.emit("e", data)
    assert client.paused
    world.finish()
    world.finish()
    assert client.paused
    world.finish()
    assert not client.paused
    while world.started:
        world.finish()
    assert client.peer._held == 0


MANY: list[list[int]] = [[] for _ in range(100)]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("options", [{}, {"concurrent": True}, {"ack": True}])
def test_what_a_handler_was_given_counts_until_it_has_ended(options: Any, binary: bool) -> None:
    world = World(policy="deferred")
    world.io.on("e", lambda *_: None, **options)
    client = world.client()
    for _ in range(3):
        client.emit("e", MANY, b"x" * 5000) if binary else client.emit("e", MANY)
    most = client.peer.queued_bytes
    assert most > 3 * (6400 + 5000 * binary)
    world.finish()
    assert 0 < client.peer.queued_bytes < most
    while world.started:
        world.finish()
    assert client.peer.queued_bytes == 0


def test_what_a_handler_was_given_that_ended_at_once_does_not_count() -> None:
    world = World()
    world.io.on("e", lambda *_: None)
    client = world.client()
    client.emit("e", MANY)
    client.emit("nobody hears", MANY)
    world.inline = False
    client.emit("e")
    assert 0 < client.peer.queued_bytes < 6400


def test_handlers_that_do_not_wait_for_each_other_stop_reading_when_they_are_too_many() -> None:
    world = World(policy="deferred", limits=Limits(queued_bytes=9000))
    world.io.on("e", lambda *_: None, concurrent=True)
    client = world.client()
    for _ in range(5):
        client.emit("e")
    assert not client.paused
    client.emit("e")
    assert client.paused
    for _ in range(3):
        assert client.paused
        world.finish()
    world.finish()
    assert not client.paused


def test_a_handler_may_wait_for_its_client_whatever_it_was_given() -> None:
    world = World(policy="deferred", limits=Limits(queued_bytes=4000))
    world.io.on("e", lambda *_: None)
    world.io.on("c", lambda *_: None, concurrent=True)
    client = world.client()
    client.emit("c", MANY)
    client.emit("e", MANY)
    assert not client.paused


def test_answers_that_a_handler_waits_for_do_not_fill_the_queue() -> None:
    world = World(policy="deferred", limits=Limits(queued_bytes=4000))
    world.io.on("e", lambda socket: None)
    client = world.client()
    client.emit("e")
    for number in range(8):
        client.raw(f'3{number}["{"x" * 1000}"]')
    client.emit("e")
    assert not client.paused


def test_a_handler_that_ends_its_own_connection_is_followed_by_disconnect() -> None:
    world = World()
    order: list[str] = []

    @world.io.on("bye")
    def bye(socket: Any) -> str:
        order.append("begin")
        socket.disconnect(close=True)
        order.append("end")
        return "value"

    world.io.on("disconnect", lambda socket: order.append("disconnect"))
    client = world.client()
    client.take()
    client.emit("bye", ack=1)
    assert order == ["begin", "end", "disconnect"]
    assert not [p for p in client.take() if isinstance(p, Ack)]
    assert not client.peer.busy


def test_events_that_a_handler_causes_wait_for_it_to_end() -> None:
    world = World()
    order: list[str] = []
    client = world.client()

    @world.io.on("outer")
    def outer(socket: Any) -> None:
        client.emit("inner")
        order.append("outer")

    world.io.on("inner", lambda socket: order.append("inner"))
    client.emit("outer")
    assert order == ["outer", "inner"]


def test_exceptions_that_are_not_errors_pass_and_do_not_block_the_connection() -> None:
    world = World()

    @world.io.on("stop")
    def stop(socket: Any) -> None:
        raise KeyboardInterrupt

    world.io.on("e", lambda socket: "alive")
    client = world.client()
    client.take()
    with pytest.raises(KeyboardInterrupt):
        client.emit("stop")
    client.emit("e", ack=1)
    assert client.take() == [Ack("/", ["alive"], 1)]


def test_a_handler_that_blocks_the_loop_is_named() -> None:
    world = World()

    def slow(socket: Any, seconds: float) -> None:
        world.now += seconds

    world.io.on("e", slow)
    client = world.client()
    client.emit("e", world.limits.slow_handler - 0.01)
    assert not world.lines
    client.emit("e", 3)
    assert "slow" in world.lines[0][2]
    assert "3.00 s" in world.lines[0][2]


def test_drain_is_told_to_every_socket_of_the_connection() -> None:
    world = World()
    drained: list[Any] = []
    world.io.on("drain", drained.append)
    client = world.client()
    client.peer.drained()
    assert drained == [client.socket()]


def test_rooms_are_intact_in_disconnecting_and_gone_in_disconnect() -> None:
    world = World()
    seen: list[Any] = []
    world.io.on("disconnecting", lambda s: seen.append((s.rooms - {s.id}, s.connected)))
    world.io.on("disconnect", lambda s: seen.append((s.rooms, s.connected)))
    client = world.client()
    client.socket().join("a")
    client.cut()
    assert seen == [({"a"}, False), (frozenset(), False)]


def test_handlers_on_the_socket_hear_of_its_end_with_a_description() -> None:
    world = World()
    heard: list[Any] = []
    client = world.client()
    client.socket().on(
        "disconnect", lambda reason, description: heard.append((reason, description))
    )
    client.peer.ended("transport error", "too big")
    assert heard == [("transport error", "too big")]


def test_events_that_the_protocol_gave_may_be_dispatched_by_somebody_else() -> None:
    world = World()
    world.io.on("e", lambda socket: "x")
    client = world.client()
    client.take()
    client.peer.dispatch(client.peer.protocol.receive('21["e"]'))
    assert client.take() == [Ack("/", ["x"], 1)]


def test_a_packet_to_a_session_that_just_ended_is_dropped_with_a_line() -> None:
    world = World()
    client = world.client()
    client.peer.protocol.receive_eof()
    client.socket().emit("x")
    assert "dropped" in world.lines[-1][2]


def test_a_client_of_socket_io_v2_has_the_id_of_its_session() -> None:
    world = World()
    world.namespaces.of("/admin").on("e", lambda socket: socket.handshake.auth)
    client = Client(world, SocketIOConnection(Role.SERVER, parser=ProtocolV4Parser()), "engine")
    client.raw("0")
    client.raw("0/admin?token=x,", '2/admin,7["e"]')
    assert client.sent == ["0", "0/admin,", '3/admin,7[{"token":"x"}]']
    assert client.socket().id == "engine"
    assert client.socket("/admin").id == "/admin#engine"
    client.raw("1/admin,", "0/admin,")
    client.socket("/admin").join("room")
    assert client.socket("/admin").rooms == {"/admin#engine", "room"}


def test_a_v2_client_that_joins_again_keeps_the_rooms_of_its_new_socket() -> None:
    world = World(policy="deferred")
    world.io.on("disconnecting", lambda socket: None)
    client = Client(world, SocketIOConnection(Role.SERVER, parser=ProtocolV4Parser()), "engine")
    client.raw("0")
    client.raw("1", "0")
    client.socket().join("room")
    while world.started:
        world.finish()
    assert client.socket().rooms == {"engine", "room"}


def test_ten_thousand_ends_leave_nothing_behind() -> None:
    world = World()
    world.io.on("connection", lambda socket: socket.join("a", socket.id + "x"))
    world.io.on("e", lambda socket: None)
    ends: list[Any] = [
        Client.cut,
        Client.leave,
        lambda c: c.raw("x"),
        lambda c: c.socket().disconnect(),
        lambda c: c.socket().disconnect(close=True),
    ]
    for number in range(500):
        client = world.client()
        client.socket().emit_with_ack("q")
        client.socket().timeout(3).emit_with_ack("q")
        client.emit("e", b"attachment")
        ends[number % len(ends)](client)
        client.cut()
    world.pass_time(100)
    assert not world.io.sockets
    assert not world.io.adapter.rooms
    assert not world.io.adapter.sids
    assert world.timers() == 0


@pytest.mark.rule("socketio-v5-connect-cancel")
@pytest.mark.parametrize("judge", ["middleware", "a function for names"])
def test_a_connect_that_is_cancelled_is_answered_at_once(judge: str) -> None:
    world = World(policy="deferred")
    if judge == "middleware":
        world.io.use(lambda socket: None)
    else:
        world.namespaces.of(lambda name, auth: True)
    name = "/" if judge == "middleware" else "/x"
    client = Client(world)
    client.send(Connect(name))
    client.leave(name)
    assert client.sent == [f'4{"" if name == "/" else name + ","}{{"message":"cancelled"}}']


@pytest.mark.rule("socketio-v5-limit-deciding")
@pytest.mark.parametrize("judge", ["middleware", "a function for names"])
def test_who_cancels_to_ask_again_keeps_few_functions_running(judge: str) -> None:
    world = World(policy="deferred", limits=Limits(namespaces=3))
    if judge == "middleware":
        world.io.use(lambda socket: None)
    else:
        world.namespaces.of(lambda name, auth: False)
    client = Client(world)
    for number in range(3):
        name = "/" if judge == "middleware" else f"/{number}"
        client.send(Connect(name))
        client.leave(name)
    while world.started:
        world.finish()
    assert client.closed is None
    for number in range(4):
        name = "/" if judge == "middleware" else f"/{number}"
        client.send(Connect(name))
        client.leave(name)
    assert client.closed == "forced close"
    assert len(world.started) == 3
    assert "[socketio-v5-limit-deciding]" in world.lines[-1][2]


@pytest.mark.rule("socketio-v5-limit-deciding")
def test_namespaces_that_were_decided_about_count_no_more() -> None:
    world = World(limits=Limits(namespaces=2))
    world.io.use(lambda socket: None)
    client = world.client()
    for _ in range(10):
        client.leave()
        client.send(Connect("/"), Connect("/unknown"))
    assert client.closed is None
    assert client.socket().connected


@pytest.mark.rule("socketio-v5-limit-credentials")
def test_the_data_of_connect_is_bounded_by_what_it_becomes() -> None:
    world = World()
    client = world.client("/", {"a": [[]] * 2000})
    assert client.closed is None
    assert 2000 * 56 < client.peer.connect_data < 200_000
    for name in ("/b", "/c"):
        world.namespaces.of(name)
    client.raw('0/b,{"a":[' + "[]," * 500 + "0]}")
    assert client.closed is None
    client.raw('0/c,{"a":[' + "[]," * 2000 + "0]}")
    assert client.closed == "forced close"


@pytest.mark.rule("socketio-v5-limit-credentials")
def test_the_data_of_a_namespace_that_was_left_counts_no_more() -> None:
    world = World()
    client = world.client("/", {})
    world.namespaces.of("/a")
    for _ in range(5):
        client.raw('0/a,{"a":[' + "[]," * 3000 + "0]}", "1/a,")
    assert client.closed is None
    assert client.peer.connect_data == client.peer.held == 0


def test_events_that_wait_count_as_what_they_became() -> None:
    world = World(policy="deferred")
    world.io.on("e", lambda socket, data: None)
    client = world.client()
    client.emit("e", 0)
    client.emit("e", [[]] * 1000)
    assert client.peer.queued_bytes == client.peer.held > 64_000
    while world.started:
        world.finish()
    assert client.peer.held == 0


@pytest.mark.parametrize("left", ["/", "/a", "/b"])
def test_sockets_are_found_and_counted_whichever_namespace_was_left(left: str) -> None:
    world = World()
    world.namespaces.of("/a")
    world.namespaces.of("/b")
    client = world.client("/a")
    for name in ("/", "/b"):
        client.send(Connect(name))
    assert [*client.peer.sockets] == ["/a", "/", "/b"]
    client.leave(left)
    stay = [name for name in ("/a", "/", "/b") if name != left]
    assert [*client.peer.sockets] == stay
    assert client.peer.socket_in(left) is None
    assert [client.peer.socket_in(name).namespace.name for name in stay] == stay
    client.send(Connect(left))
    assert [*client.peer.sockets] == [*stay, left]
