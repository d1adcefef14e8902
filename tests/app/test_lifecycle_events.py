"""What the library raises by itself."""

from __future__ import annotations

from typing import Any

from rawsio.app.lifecycle_events import refusal
from rawsio.errors import Refused
from rawsio.socketio.packets import Connect

from .world import World


def test_every_beginning_has_its_end_even_if_the_client_is_already_gone() -> None:
    world = World(policy="deferred")
    order: list[str] = []
    world.io.on("connection", lambda socket: order.append("connection"))
    world.io.on("disconnect", lambda socket: order.append("disconnect"))
    client = world.client()
    client.cut()
    while world.started:
        world.finish()
    assert order == ["connection", "disconnect"]


def test_a_failing_handler_of_an_end_does_not_stop_the_others() -> None:
    world = World()
    order: list[Any] = []
    world.io.on("connection", lambda socket: 1 / 0)
    world.io.on("disconnecting", lambda socket: 1 / 0)
    world.io.on("disconnect", lambda socket: 1 / 0)
    world.io.on("disconnect", lambda socket, reason: order.append(reason))
    client = world.client()
    client.socket().join("room")
    client.cut()
    assert order == ["transport close"]
    assert len(world.errors) == 3
    assert not world.io.adapter.rooms


def test_asynchronous_handlers_of_beginnings_and_ends_are_waited_for() -> None:
    world = World()
    order: list[Any] = []

    @world.io.on("connection")
    async def begin(socket: Any) -> None:
        order.append("begin")

    @world.io.on("disconnect")
    async def end(socket: Any, reason: str, description: Any) -> None:
        order.append((reason, description))

    world.client().cut()
    assert order == ["begin", ("transport close", None)]


def test_handlers_for_one_end_only() -> None:
    world = World()
    order: list[Any] = []
    world.io.once("connection", lambda socket: order.append("first client"))
    one, two = world.client(), world.client()
    one.socket().once("disconnect", lambda reason: order.append(reason))  # noqa: PLW0108 - its arity is the test
    one.cut()
    two.cut()
    assert order == ["first client", "transport close"]


def test_a_handler_that_needs_more_than_there_is_is_one_line() -> None:
    world = World()
    world.io.on("connection", lambda socket, environ: None)
    world.io.on_server("x", lambda a: None)
    world.client()
    world.io.receive_server_event(["x"], None)
    assert len(world.lines) == 2
    assert "not called" in world.lines[0][2]
    assert "has arguments: 0, and" in world.lines[1][2]


def test_new_namespaces_are_told_to_the_main_one() -> None:
    world = World()
    told: list[Any] = []
    world.io.once("new_namespace", lambda namespace: told.append(("once", namespace.name)))
    world.io.on("new_namespace", lambda namespace: told.append(namespace.name))
    world.io.on("new_namespace", lambda namespace: 1 / 0)
    world.namespaces.of("/a")
    world.namespaces.of("/a")
    world.namespaces.of("/b")
    assert told == [("once", "/a"), "/a", "/b"]
    assert len(world.errors) == 2


def test_what_a_client_is_told_of_a_refusal() -> None:
    assert refusal(Refused("no")) == {"message": "no"}
    assert refusal(Refused("no", 0)) == {"message": "no", "data": 0}
    assert refusal(ValueError("password=1")) == {"message": "Internal error"}


def test_handlers_registered_on_connection_see_the_first_event() -> None:
    world = World(policy="deferred")
    got: list[Any] = []

    @world.io.on("connection")
    def connected(socket: Any) -> None:
        socket.on("e", lambda n: got.append(n))  # noqa: PLW0108 - its arity is the test

    client = world.client(None)
    client.send(Connect("/"))
    client.emit("e", 1)
    while world.started:
        world.finish()
    assert got == [1]
