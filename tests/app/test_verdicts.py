"""What hooks say by value counts: no refusal lets a client in, and nothing odd counts as a yes."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import Refused
from rawsio.socketio.packets import Connect, ConnectError, Disconnect

from .world import World

ODD = [0, 1, "", "no", [], {}, (), object(), (401, "no")]


def answers(world: World, namespace: str = "/") -> list[Any]:
    client = world.client(namespace)
    return client.take()


@pytest.mark.parametrize(
    ("value", "said"), [(False, "Forbidden"), (Refused("not you", {"a": 1}), "not you")]
)
def test_a_middleware_that_returns_a_refusal_refuses(value: Any, said: str) -> None:
    world = World()
    world.io.use(lambda socket: value)
    (answer,) = answers(world)
    assert isinstance(answer, ConnectError)
    assert answer.data["message"] == said
    assert not world.io.sockets
    assert not world.lines


def test_a_refusal_whose_data_cannot_be_sent_refuses_without_it_and_is_named() -> None:
    world = World()

    @world.io.use
    def refuse(socket: Any) -> None:
        raise Refused("not you", {"ids": {1, 2}})

    client = world.client()
    assert client.take() == [ConnectError("/", {"message": "Internal error"})]
    assert "the refusal of" in world.lines[0][2]
    assert client.closed is None
    assert not client.peer.sockets


def test_the_message_of_a_refusal_is_text() -> None:
    with pytest.raises(TypeError, match="the message is a str, not 5"):
        Refused(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ODD)
def test_a_middleware_that_returns_what_is_no_judgement_refuses_and_is_named(value: Any) -> None:
    world = World()
    world.io.use(lambda socket: value)
    (answer,) = answers(world)
    assert answer == ConnectError("/", {"message": "Internal error"})
    assert "a middleware (use) returned" in str(world.errors[0])


@pytest.mark.parametrize("value", [None, True])
def test_a_middleware_agrees_with_none_and_true(value: Any) -> None:
    world = World()
    world.io.use(lambda socket: value)
    assert isinstance(answers(world)[0], Connect)


@pytest.mark.parametrize("value", [False, Refused("no"), *ODD])
def test_an_event_stops_at_a_middleware_that_returns_anything_but_agreement(value: Any) -> None:
    world = World()
    heard: list[Any] = []
    world.io.on("connection", lambda socket: socket.use(lambda name, args: value) and None)
    world.io.on("x", lambda socket: heard.append("x"))
    world.client().emit("x", ack=1)
    assert not heard
    odd = value is not False and not isinstance(value, Refused)
    assert len(world.errors) == odd


@pytest.mark.parametrize("value", [None, False, Refused("no"), *ODD])
def test_a_namespace_function_welcomes_with_true_alone(value: Any) -> None:
    world = World()
    world.namespaces.of(lambda name, auth: value)
    (answer,) = answers(world, "/x")
    assert answer == ConnectError("/x", {"message": "Invalid namespace"})
    clear = value is None or isinstance(value, (bool, Refused))
    assert len(world.errors) == (not clear)


def test_a_namespace_function_may_raise_a_refusal_and_is_not_blamed() -> None:
    world = World()

    def welcome(name: str, auth: Any) -> bool:
        raise Refused("no")

    world.namespaces.of(welcome)
    assert isinstance(answers(world, "/x")[0], ConnectError)
    assert not world.lines


@pytest.mark.parametrize("way", ["raise", "return", "false"])
def test_a_refusal_in_a_handler_of_connection_disconnects_and_says_where_to_refuse(
    way: str,
) -> None:
    world = World()

    @world.io.on("connection")
    def connected(socket: Any) -> Any:
        if way == "raise":
            raise Refused("not authorized")
        return False if way == "false" else Refused("not authorized")

    joined, left = answers(world)
    assert isinstance(joined, Connect)
    assert isinstance(left, Disconnect)
    ((_channel, _level, line),) = world.lines
    assert "middleware keeps it out" in line
    assert not world.errors


def test_a_refusal_in_a_handler_of_an_event_means_no_acknowledgement() -> None:
    world = World()
    later: list[Any] = []

    @world.io.on("x")
    def handler(socket: Any) -> None:
        raise Refused("not now")

    world.io.on("y", handler)
    world.io.on("y", lambda socket: later.append("ran"))
    client = world.client()
    client.take()
    client.emit("x", ack=1)
    client.emit("y", ack=2)
    assert not client.take()
    assert later == ["ran"]
    assert not world.errors
    assert "Refused('not now'): the event is not acknowledged" in world.lines[0][2]


def test_handlers_of_errors_learn_what_failed_where_and_with_what() -> None:
    from rawsio.app.handlers import Handler

    world = World()
    told: list[Any] = []
    world.error_handlers = (
        Handler(lambda error, socket, event, args: told.append((error, socket, event, args))),
        Handler(lambda error: told.append(type(error))),
        Handler(lambda: 1 / 0),
    )
    broken = KeyError("x")

    def fail(*_: Any) -> None:
        raise broken

    world.io.on("connection", fail)
    world.io.on("plain", fail)
    world.io.on("queued", fail, concurrent=True)
    world.io.on("watched", lambda socket: socket.use(fail) and None)
    client = world.client()
    socket = client.socket()
    client.emit("plain", 1, b"2")
    client.emit("queued", 3)
    client.emit("watched")
    client.emit("stopped", 4)
    expected = [
        (broken, socket, "connection", []),
        (broken, socket, "plain", [1, b"2"]),
        (broken, socket, "queued", [3]),
        (broken, socket, "stopped", [4]),
    ]
    assert [item for item in told if item is not KeyError] == expected
    assert told.count(KeyError) == 4
    assert sum("on_error" in line for _, _, line in world.lines) == 4
