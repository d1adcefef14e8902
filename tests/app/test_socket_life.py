"""The life of a socket, as its namespace and its peer see it."""

from __future__ import annotations

from typing import Any

from rawsio.app.socket import Acknowledge, Socket
from rawsio.socketio.packets import Connect

from .world import World


def state_of(socket: Socket) -> str:
    """Return the state that a socket shows."""
    return repr(socket).rpartition(", ")[2].rstrip(">")


def test_a_socket_passes_through_its_states_once() -> None:
    world = World(policy="deferred")
    states: list[str] = []
    world.io.use(lambda socket: states.append(state_of(socket)))
    world.io.on("connection", lambda socket: states.append(state_of(socket)))
    world.io.on("disconnecting", lambda socket: states.append(state_of(socket)))
    world.io.on("disconnect", lambda socket: states.append(state_of(socket)))
    client = world.client()
    world.finish()
    world.finish()
    socket = client.socket()
    client.leave()
    world.finish()
    world.finish()
    assert states == ["opening", "open", "ended", "gone"]
    socket._end("again", None)
    assert state_of(socket) == "gone"


def test_a_dismissed_socket_says_so_until_it_has_left_its_rooms() -> None:
    world = World()
    seen: list[Any] = []
    world.io.on("disconnecting", lambda socket: seen.append(state_of(socket)))
    socket = world.client().socket()
    socket.disconnect()
    assert seen == ["dismissed"]
    assert state_of(socket) == "gone"


def test_from_its_end_on_a_socket_is_out_of_reach_though_its_handlers_still_wait() -> None:
    world = World(policy="deferred")
    world.io.on("slow", lambda socket: None)
    world.io.on("disconnecting", lambda socket: None)
    client = world.client()
    socket = client.socket()
    socket.join("room")
    client.emit("slow")
    client.leave()
    client.take()
    world.io.to("room").emit("x")
    world.io.to(socket.id).emit("x")
    socket.emit("x")
    assert client.take() == []
    assert socket.rooms == {socket.id, "room"}
    socket.join("too late")
    world.finish()
    world.finish()
    assert socket.rooms == frozenset()
    client.send(Connect("/"))
    assert client.socket().rooms == {client.socket().id}


def test_an_acknowledgement_after_the_end_goes_nowhere() -> None:
    world = World()
    kept: list[Any] = []
    world.io.on("e", lambda socket, ack: kept.append(ack), ack=True)
    client = world.client()
    client.take()
    client.emit("e", ack=1)
    client.leave()
    kept[0]("late")
    assert client.take() == []
    assert not world.lines


def test_an_acknowledgement_from_another_thread_is_queued_and_sent_once() -> None:
    world = World()
    client = world.client()
    client.take()
    acknowledge = Acknowledge(client.socket(), 5)
    world.owned = False
    acknowledge("one")
    acknowledge("two")
    assert client.take() == []
    world.run_calls()
    (answer,) = client.take()
    assert (answer.args, answer.id) == (["one"], 5)


def test_a_socket_that_ends_while_it_asks_fails_the_reply() -> None:
    world = World()
    socket = world.client().socket()
    socket.on_any_outgoing(lambda *_event: socket.disconnect())
    reply = socket.emit_with_ack("question")
    assert reply.done()
    assert str(reply.exception()).endswith("server namespace disconnect")
