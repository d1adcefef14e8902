"""Operators: who is reached, with which flags, and how often a packet is encoded."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.app.broadcast import room_names
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.socketio.packets import Event

from .world import Client, World


def three(world: World) -> tuple[Client, Client, Client]:
    a, b, c = world.client(), world.client(), world.client()
    a.socket().join("red")
    b.socket().join("red", "blue")
    c.socket().join("blue")
    for client in (a, b, c):
        client.take()
    return a, b, c


def received(*clients: Client) -> list[Any]:
    return [client.events() for client in clients]


def test_a_namespace_emits_to_everybody_inside() -> None:
    world = World()
    clients = three(world)
    outside = world.client(None)
    world.io.emit("news", 1, b"x")
    assert received(*clients, outside) == [[["news", 1, b"x"]]] * 3 + [[]]


def test_rooms_are_united_and_each_socket_gets_it_once() -> None:
    world = World()
    clients = three(world)
    world.io.to("red").to("blue").emit("x")
    world.io.to("red", "blue").emit("y")
    world.io.in_(["red", "blue"]).emit("z")
    assert received(*clients) == [[["x"], ["y"], ["z"]]] * 3


def test_no_room_at_all_is_nobody_by_mistake_and_not_everybody() -> None:
    world = World()
    clients = three(world)
    for begin in (world.io, world.io.except_("red"), clients[0].socket()):
        for word in (begin.to, begin.in_):
            with pytest.raises(ValueError, match="leave to"):
                word()
            with pytest.raises(ValueError, match="leave to"):
                word([])
    world.io.to("red").to([]).except_().emit("x")
    assert received(*clients) == [[["x"]], [["x"]], []]


def test_except_takes_rooms_and_ids_away() -> None:
    world = World()
    a, b, c = three(world)
    world.io.except_("red").emit("x")
    world.io.to("red").except_(a.socket().id).emit("y")
    assert received(a, b, c) == [[], [["y"]], [["x"]]]


def test_a_socket_broadcasts_to_all_but_itself() -> None:
    world = World()
    a, b, c = three(world)
    a.socket().broadcast.emit("1")
    a.socket().to("red").emit("2")
    a.socket().in_("blue").emit("3")
    a.socket().except_("blue").emit("4")
    a.socket().local.emit("5")
    a.socket().broadcast.volatile.compress(False).to("blue").emit("6")
    assert received(a, b, c) == [
        [],
        [["1"], ["2"], ["3"], ["5"], ["6"]],
        [["1"], ["3"], ["5"], ["6"]],
    ]


def test_an_operator_is_not_changed_by_going_on_with_it() -> None:
    world = World()
    a, b, c = three(world)
    red = world.io.to("red")
    both = red.to("blue")
    red.except_("blue")
    red.emit("x")
    assert received(a, b, c) == [[["x"]], [["x"]], []]
    both.emit("y")
    assert received(a, b, c) == [[["y"]]] * 3


def test_a_packet_is_encoded_once_for_any_number_of_receivers() -> None:
    world = World()
    clients = [world.client() for _ in range(50)]
    world.prepared.clear()
    world.io.emit("news", {"a": [1, 2]}, b"picture")
    assert len(world.prepared) == 1
    units = {id(client.sent[-1]) for client in clients}
    assert units == {id(world.prepared[0])}


def test_what_cannot_be_encoded_raises_where_it_was_said_and_reaches_nobody() -> None:
    world = World()
    clients = three(world)
    for bad in (float("nan"), object(), {1, 2}):
        with pytest.raises(LocalProtocolError):
            world.io.emit("x", bad)
    for name in ("connect", "disconnect", "connect_error", "disconnecting", "newListener"):
        with pytest.raises(LocalProtocolError):
            world.io.to("red").emit(name)
    assert received(*clients) == [[], [], []]


def test_send_is_an_event_named_message() -> None:
    world = World()
    a, *_ = three(world)
    world.io.send("hello")
    world.io.to("red").send("again")
    assert a.events() == [["message", "hello"], ["message", "again"]]


def test_volatile_leaves_out_those_who_are_behind() -> None:
    world = World()
    a, b, c = three(world)
    b.writable = False
    world.io.volatile.emit("x")
    world.io.emit("y")
    assert received(a, b, c) == [[["x"], ["y"]], [["y"]], [["x"], ["y"]]]


def test_the_compress_flag_reaches_the_encoder() -> None:
    world = World()
    three(world)
    world.io.compress(False).emit("x")
    world.io.compress(True).emit("x")
    assert [p.compress for p in world.prepared[-2:]] == [False, True]


def test_operators_act_on_many_sockets() -> None:
    world = World()
    a, b, c = three(world)
    world.io.to("red").sockets_join("green", "gold")
    assert a.socket().rooms >= {"green", "gold"}
    assert b.socket().rooms >= {"green", "gold"}
    assert "green" not in c.socket().rooms
    world.io.in_("green").sockets_leave("gold")
    assert "gold" not in a.socket().rooms
    found = world.io.to("green").fetch_sockets().result()
    assert {socket.id for socket in found} == {a.socket().id, b.socket().id}
    world.io.to("green").disconnect_sockets()
    assert len(world.io.sockets) == 1
    assert a.closed is None
    world.io.disconnect_sockets(close=True)
    assert not world.io.sockets
    assert c.closed == "server namespace disconnect"


def test_a_socket_that_is_in_all_the_rooms_it_may_be_in_keeps_nobody_else_out() -> None:
    world = World(limits=Limits(rooms=2))
    full, other = (world.client().socket() for _ in range(2))
    full.join("a", "b")
    world.io.sockets_join("c")
    assert full.rooms == {full.id, "a", "b"}
    assert other.rooms == {other.id, "c"}
    assert "joined no room: a socket may be in 2 rooms at most" in str(world.lines)


def test_a_broadcast_gathers_all_answers() -> None:
    world = World()
    a, b, c = three(world)
    reply = world.io.timeout(5).emit_with_ack("q", 1)
    questions = [client.take()[0] for client in (a, b, c)]
    assert {q.id for q in questions} == {0}
    a.answer(questions[0], "A")
    b.answer(questions[1])
    assert not reply.done()
    c.answer(questions[2], 1, 2)
    responses = reply.result()
    assert responses == ["A", None, (1, 2)]
    assert responses.answers[c.socket().id] == (1, 2)
    assert responses.missing == []
    assert world.timers() == 0, "the time-out was not cancelled"


def test_a_broadcast_to_nobody_is_answered_at_once() -> None:
    world = World()
    assert world.io.to("nowhere").emit_with_ack("q").result() == []
    assert world.timers() == 0


def test_when_the_time_is_over_it_says_who_did_not_answer() -> None:
    world = World()
    a, b, c = three(world)
    reply = world.io.timeout(5).emit_with_ack("q")
    a.answer(a.take()[0], "A")
    lost = c.socket().id
    c.cut()
    world.pass_time(5)
    responses = reply.result()
    assert responses == ["A"]
    assert responses.missing == [lost, b.socket().id]
    late = b.take()[0]
    b.answer(late, "late")
    assert reply.result() is responses
    assert b.socket()._pending == {}, "the question was kept for ever"


def test_without_a_timeout_a_broadcast_waits_a_sane_time() -> None:
    world = World()
    a = world.client()
    reply = world.io.emit_with_ack("q")
    world.pass_time(world.limits.ack_time - 0.1)
    assert not reply.done()
    world.pass_time(0.2)
    assert reply.result().missing == [a.socket().id]


def test_everybody_gone_ends_the_wait() -> None:
    world = World()
    a, b = world.client(), world.client()
    sids = [a.socket().id, b.socket().id]
    reply = world.io.emit_with_ack("q")
    a.leave()
    assert not reply.done()
    b.cut()
    assert reply.result() == []
    assert reply.result().missing == sids


def test_a_cancelled_broadcast_is_forgotten_by_its_sockets() -> None:
    world = World()
    a = world.client()
    reply = world.io.emit_with_ack("q")
    assert reply.cancel()
    assert a.socket()._pending == {}


def test_listeners_of_what_is_sent_see_broadcasts() -> None:
    world = World()
    a, b, _ = three(world)
    seen: list[tuple[Any, ...]] = []
    a.socket().on_any_outgoing(lambda *args: seen.append(args))
    world.io.to("red").emit("x", 1)
    b.socket().emit("not for a")
    assert seen == [("x", 1)]


def test_from_another_thread_emits_are_encoded_at_once_and_queued_in_order() -> None:
    world = World()
    a, *_ = three(world)
    world.owned = False
    changing = [1]
    world.io.emit("first", changing)
    changing.append(2)
    a.socket().emit("second")
    world.io.to("red").emit("third")
    reply = world.io.to("red").emit_with_ack("fourth")
    found = world.io.fetch_sockets()
    with pytest.raises(LocalProtocolError):
        world.io.emit("bad", float("inf"))
    assert a.take() == []
    assert not found.done()
    world.run_calls()
    assert a.events() == [["first", [1]], ["second"], ["third"], ["fourth"]]
    assert not reply.done()
    assert len(found.result()) == 3


@pytest.mark.parametrize("bad", [1, None, [1]])
def test_a_room_is_named_by_text(bad: Any) -> None:
    with pytest.raises(TypeError, match="the name of a room is a str"):
        room_names((bad,))


@pytest.mark.parametrize("wrong", ["5", True, [1]])
def test_a_time_to_wait_is_a_number_of_seconds(wrong: Any) -> None:
    world = World()
    socket = world.client().socket()
    for asker in (world.io, world.io.to("a"), socket, socket.volatile):
        with pytest.raises(TypeError, match="number of seconds, not"):
            asker.timeout(wrong)
        with pytest.raises(ValueError, match="below zero seconds, as -1 is"):
            asker.timeout(-1)
        with pytest.raises(ValueError, match="that a float can hold"):
            asker.timeout(10**400)


def test_flags_for_one_socket() -> None:
    world = World()
    a, b, _ = three(world)
    socket = a.socket()
    a.writable = False
    socket.volatile.emit("dropped")
    socket.volatile.compress(False).to("red").emit("x")
    assert world.prepared[-1].compress is False
    socket.compress(False).send("y")
    assert world.prepared[-1].compress is False
    socket.timeout(1).broadcast.emit("z")
    socket.volatile.local.except_("red").emit("only c")
    socket.volatile.in_("red").emit("w")
    assert a.events() == [["message", "y"]]
    assert b.events() == [["x"], ["z"], ["w"]]
    reply = socket.timeout(2).compress(False).emit_with_ack("q")
    question = a.take()[0]
    assert isinstance(question, Event)
    a.answer(question, "A")
    assert reply.result() == "A"


def test_an_operator_shows_what_it_is() -> None:
    assert "red" in repr(World().io.to("red"))
