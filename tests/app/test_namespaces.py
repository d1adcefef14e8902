"""Names that lead to namespaces."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rawsio.errors import Refused
from rawsio.limits import Limits
from rawsio.log import WARNING
from rawsio.socketio.packets import Connect, ConnectError

from .world import World


def test_the_same_name_is_the_same_namespace() -> None:
    spaces = World().namespaces
    assert spaces.of("/") is spaces.of("") is spaces.main
    assert spaces.of("chat") is spaces.of("/chat")
    pattern = re.compile("x")
    assert spaces.of(pattern) is spaces.of(pattern)
    with pytest.raises(TypeError):
        spaces.of(5)


def test_a_name_that_no_client_could_ask_for_is_refused() -> None:
    world = World(limits=Limits(namespace_name=5))
    for name, complaint in (
        ("/a,b", "no comma"),
        ("/abcde", "5 characters at most: '/abcde'"),
        ("/\ud800", "no lone surrogates"),
    ):
        with pytest.raises(ValueError, match=complaint):
            world.namespaces.of(name)
    assert list(world.namespaces.named) == ["/"]


def test_a_name_of_yours_that_a_pattern_welcomes_is_its_child() -> None:
    world = World()
    parent = world.namespaces.of(re.compile("/ws-.*"))
    parent.on("e", lambda socket: "parent")
    child = world.namespaces.of("/ws-1")
    assert child._parent is parent
    assert "e" in child._handlers.events
    assert world.namespaces.of("/other")._parent is None


def test_parents_are_asked_in_order_and_the_first_that_welcomes_wins() -> None:
    world = World(policy="deferred")
    asked: list[Any] = []

    def says(answer: Any) -> Any:
        def welcome(name: str, auth: Any) -> Any:
            asked.append((answer, name, auth))
            if answer == "fails":
                raise ValueError
            return answer == "yes"

        return welcome

    world.namespaces.of(says("fails"))
    world.namespaces.of(re.compile("/never"))
    world.namespaces.of(says("no"))
    winner = world.namespaces.of(says("yes"))
    world.namespaces.of(says("not asked"))
    client = world.client("/x", {"a": 1})
    for _ in range(3):
        world.finish()
    assert [answer for answer, *_ in asked] == ["fails", "no", "yes"]
    assert asked[0][1:] == ("/x", {"a": 1})
    assert client.socket("/x").namespace._parent is winner
    assert isinstance(world.errors[0], ValueError)


def test_a_namespace_made_meanwhile_is_used() -> None:
    world = World(policy="deferred")
    world.namespaces.of(lambda name, auth: True)
    one, two = world.client("/x"), world.client("/x")
    world.finish()
    world.finish()
    assert one.socket("/x").namespace is two.socket("/x").namespace
    assert len(world.namespaces.of("/x").sockets) == 2


def test_a_client_that_is_gone_when_the_answer_comes_is_not_admitted() -> None:
    for end in ("cut", "leave"):
        world = World(policy="deferred")
        world.namespaces.of(lambda name, auth: True)
        client = world.client("/x")
        client.leave("/x") if end == "leave" else client.cut()
        world.finish()
        assert not client.peer.sockets
        assert not world.namespaces.of("/x").sockets


def test_a_namespace_made_for_a_client_that_is_gone_is_forgotten_again() -> None:
    world = World(policy="deferred", cleanup_empty=True)
    world.namespaces.of(lambda name, auth: True)
    world.client("/x").cut()
    world.finish()
    assert set(world.namespaces.named) == {"/"}


def test_a_client_that_cancelled_and_asked_again_is_admitted_once() -> None:
    world = World(policy="deferred")
    world.namespaces.of(lambda name, auth: True)
    client = world.client("/x")
    client.leave("/x")
    client.send(Connect("/x"))
    world.finish()
    assert not client.peer.sockets
    world.finish()
    assert client.socket("/x").connected
    assert len(world.namespaces.of("/x").sockets) == 1


def test_empty_children_are_forgotten_if_you_say_so() -> None:
    world = World(cleanup_empty=True)
    world.namespaces.of(re.compile("/room-.*"))
    mine = world.namespaces.of("/mine")
    one = world.client("/room-1")
    world.client("/mine").cut()
    assert "/room-1" in world.namespaces.named
    one.cut()
    assert "/room-1" not in world.namespaces.named
    assert world.namespaces.of("/mine") is mine
    assert world.io is world.namespaces.of("/")


def test_a_refused_client_leaves_no_child_behind() -> None:
    world = World(cleanup_empty=True)
    parent = world.namespaces.of(re.compile("/room-.*"))

    @parent.use
    def refuse(socket: Any) -> None:
        raise Refused("no")

    assert type(world.client("/room-1").take()[0]) is ConnectError
    assert set(world.namespaces.named) == {"/"}
    assert not parent._children


def test_names_that_clients_make_up_are_bounded() -> None:
    world = World(limits=Limits(child_namespaces=3))
    world.namespaces.of(re.compile("/room-.*"))
    clients = [world.client(f"/room-{n}") for n in range(5)]
    assert [type(client.take()[0]) for client in clients] == [Connect] * 3 + [ConnectError] * 2
    clients[1].cut()
    assert type(world.client("/room-9").take()[0]) is Connect
    assert "/room-1" not in world.namespaces.named


@pytest.mark.parametrize(
    ("name", "odd"), [("/news", False), ("/a-b_c.d", False), ("/news-.*", True)]
)
def test_a_name_that_looks_like_a_pattern_is_one_name_and_a_line(name: str, odd: bool) -> None:
    world = World()
    assert world.namespaces.of(name).name == name
    assert [level for _channel, level, _text in world.lines] == [WARNING] * odd
