"""Namespaces: who gets in, what leaks to nobody, and what parents share with their children."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rawsio.app.namespace import new_id
from rawsio.errors import Refused
from rawsio.socketio.packets import Connect, ConnectError, Disconnect, Event

from .world import World


def test_a_client_is_answered_with_its_id_and_greeted() -> None:
    world = World()
    order: list[Any] = []
    world.io.on("connection", lambda socket: order.append((socket.id, socket.connected)))
    client = world.client("/", {"token": 1})
    (answer,) = client.take()
    assert answer == Connect("/", {"sid": client.socket().id})
    assert order == [(client.socket().id, True)]
    assert client.socket().handshake.auth == {"token": 1}


def test_middleware_refuses_with_a_message_and_data() -> None:
    world = World()
    order: list[str] = []

    @world.io.use
    def first(socket: Any) -> None:
        order.append("first")

    @world.io.use
    def second(socket: Any) -> None:
        order.append("second")
        raise Refused("not you", {"retry": False})

    world.io.use(lambda socket: order.append("never"))
    world.io.on("connection", lambda socket: order.append("connection"))
    world.io.on("disconnect", lambda socket: order.append("disconnect"))
    client = world.client()
    refusal = {"message": "not you", "data": {"retry": False}}
    assert client.take() == [ConnectError("/", refusal)]
    assert order == ["first", "second"]
    assert not world.io.sockets
    assert not client.peer.sockets
    assert not world.errors
    client.send(Connect("/"))
    assert order == ["first", "second"] * 2, "it may ask again"


def test_an_unexpected_exception_refuses_without_telling_its_text() -> None:
    world = World()
    world.io.use(lambda socket: {}["the secret"])
    client = world.client()
    assert client.take() == [ConnectError("/", {"message": "Internal error"})]
    assert isinstance(world.errors[0], KeyError)


def test_asynchronous_middleware_is_waited_for() -> None:
    world = World()

    @world.io.use
    async def check(socket: Any) -> None:
        if "ok" not in socket.handshake.auth:
            raise Refused("no")

    assert type(world.client("/", {"ok": 1}).take()[0]) is Connect
    assert world.client().take() == [ConnectError("/", {"message": "no"})]


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.rule("socketio-v5-connect-judged")
def test_a_client_that_is_being_judged_receives_no_broadcast(accepted: bool) -> None:
    world = World(policy="deferred")
    world.io.use(lambda socket: None)

    @world.io.use
    def judge(socket: Any) -> None:
        socket.join("room")
        world.io.emit("leaked by the namespace")
        world.io.to("room").emit("leaked by the room")
        world.io.to(socket.id).emit("leaked by the id")
        socket.emit("meant for it")
        if not accepted:
            raise Refused("no")

    client = world.client()
    world.io.emit("leaked while waiting")
    world.finish()
    world.io.emit("leaked while waiting")
    assert world.io.fetch_sockets().result() == []
    world.finish()
    taken = client.take()
    assert taken[0] == Event("/", ["meant for it"])
    assert type(taken[1]) is (Connect if accepted else ConnectError)
    world.io.to("room").emit("after")
    assert client.events() == ([["after"]] if accepted else [])
    if not accepted:
        assert not world.io.adapter.rooms
        assert not world.io.adapter.sids


def test_a_client_that_leaves_while_it_is_judged_never_was_there() -> None:
    for end in ("cut", "leave"):
        world = World(policy="deferred")
        called: list[Any] = []
        world.io.use(lambda socket: socket.join("room"))
        world.io.on("connection", called.append)
        world.io.on("disconnect", called.append)
        client = world.client()
        socket = client.socket()
        reply = socket.emit_with_ack("q")
        getattr(client, end)()
        assert reply.done()
        world.finish()
        assert not world.started
        assert not called
        assert not world.io.sockets
        assert not world.io.adapter.rooms
        assert world.io._opening == 0
        assert socket.rooms == frozenset()


def test_a_client_that_cancels_and_asks_again_gets_one_answer_to_each() -> None:
    world = World(policy="deferred")
    world.io.use(lambda socket: None)
    client = world.client()
    client.raw("1", "0")
    world.finish()
    assert client.peer.sockets["/"]._state.value == "opening"
    world.finish()
    assert client.peer.sockets["/"].connected
    assert len(world.io.sockets) == 1


def test_disconnecting_in_middleware_refuses() -> None:
    world = World()
    world.io.use(lambda socket: socket.disconnect())
    client = world.client()
    assert client.take() == [ConnectError("/", {"message": "server namespace disconnect"})]
    assert not world.io.sockets


def test_an_unknown_namespace_is_refused_by_name() -> None:
    world = World()
    client = world.client("/nobody")
    assert client.take() == [ConnectError("/nobody", {"message": "Invalid namespace"})]
    assert client.closed is None


def test_namespaces_are_separate() -> None:
    world = World()
    admin = world.namespaces.of("admin")
    assert admin is world.namespaces.of("/admin")
    assert "'/admin'" in repr(admin)
    world.io.on("e", lambda socket: "main")
    admin.on("e", lambda socket: "admin")
    client = world.client()
    client.send(Connect("/admin"))
    client.take()
    client.emit("e", ack=1, namespace="/admin")
    client.emit("e", ack=2)
    assert [packet.args for packet in client.take()] == [["admin"], ["main"]]
    admin.emit("x")
    assert client.take() == [Event("/admin", ["x"])]
    client.leave("/admin")
    assert not admin.sockets
    assert world.io.sockets


def test_a_pattern_welcomes_names_and_its_children_share_its_handlers() -> None:
    world = World()
    parent = world.namespaces.of(re.compile(r"/room-[0-9]+"))
    told: list[str] = []
    world.io.on("new_namespace", lambda namespace: told.append(namespace.name))
    parent.on("e", lambda socket: socket.namespace.name)
    one = world.client("/room-1")
    parent.on("later", lambda socket: "later")
    two = world.client("/room-2")
    for client, name in ((one, "/room-1"), (two, "/room-2")):
        client.take()
        client.emit("e", ack=1, namespace=name)
        client.emit("later", ack=2, namespace=name)
        assert [packet.args for packet in client.take()] == [[name], ["later"]]
    assert told == ["/room-1", "/room-2"]
    assert world.client("/room-x").take()[0].data == {"message": "Invalid namespace"}
    assert world.client("/room-1 ").take()[0].data == {"message": "Invalid namespace"}
    parent.use(lambda socket: (_ for _ in ()).throw(Refused("full")))
    assert world.client("/room-1").take()[0].data == {"message": "full"}
    parent.off("later")
    one.emit("later", ack=3, namespace="/room-1")
    assert one.take() == []


def test_a_parent_speaks_to_all_of_its_children() -> None:
    world = World()
    parent = world.namespaces.of(lambda name, auth: name.startswith("/a"))
    assert parent.fetch_sockets().result() == []
    assert parent.emit_with_ack("q").result() == []
    one, two = world.client("/a1"), world.client("/a2")
    for client in (one, two):
        client.take()
    parent.emit("x", 1)
    assert one.take() == [Event("/a1", ["x", 1])]
    assert two.take() == [Event("/a2", ["x", 1])]
    sockets = parent.fetch_sockets().result()
    assert sockets == [one.socket("/a1"), two.socket("/a2")]
    reply = parent.emit_with_ack("q")
    one.answer(one.take()[0], 1)
    assert not reply.done()
    two.answer(two.take()[0], 2)
    assert reply.result() == [1, 2]
    parent.disconnect_sockets()
    assert one.take() == [Disconnect("/a1")]


def test_handlers_for_other_servers_of_a_cluster() -> None:
    world = World()
    answers: list[Any] = []

    @world.io.on_server("sum")
    def add(a: int, b: int) -> int:
        return a + b

    world.io.on_server("sum", lambda a, b: "ignored")
    world.io.on_server("fails", lambda: 1 / 0)
    world.io.receive_server_event(["sum", 1, 2, "surplus"], lambda *values: answers.append(values))
    world.io.receive_server_event(["sum", 1], lambda *values: answers.append(values))
    world.io.receive_server_event(["sum", 1, 2], None)
    world.io.receive_server_event(["fails"], lambda *values: answers.append(values))
    world.io.receive_server_event(["unknown"], lambda *values: answers.append(values))
    assert answers == [(3,), (), (), ()]
    assert isinstance(world.errors[0], ZeroDivisionError)


def test_a_parents_handlers_for_other_servers_count_for_every_child() -> None:
    world = World()
    parent = world.namespaces.of(lambda name, auth: True)
    heard: list[Any] = []
    world.client("/before")
    parent.on_server("news", heard.append)
    world.client("/after")
    for name in ("/before", "/after"):
        world.namespaces.of(name).receive_server_event(["news", name], None)
    assert heard == ["/before", "/after"]


@pytest.mark.parametrize("name", ["connect", "connection", "new_namespace"])
def test_events_between_servers_have_no_name_that_official_servers_raise(name: str) -> None:
    world = World()
    with pytest.raises(ValueError, match=f"can be named '{name}': choose another"):
        world.io.server_side_emit(name)
    with pytest.raises(ValueError, match=f"can be named '{name}': choose another"):
        world.io.on_server(name, print)
    with pytest.raises(TypeError, match="is a str, not 5"):
        world.io.server_side_emit(5)


def test_clients_cannot_reach_handlers_for_servers() -> None:
    world = World()
    called: list[Any] = []
    world.io.on_server("secret", lambda *args: called.append(args))
    world.client().emit("secret", 1)
    assert not called


def test_ids_are_120_random_bits_safe_in_a_url() -> None:
    assert new_id(lambda n: b"\xff" * n) == "_" * 20
    assert new_id(lambda n: b"\xfb" * n) == "-_v7" * 5
