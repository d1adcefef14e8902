"""Sockets as applications use them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.socketio.packets import Connect, Disconnect, Event

from .world import World


def test_a_socket_is_in_the_room_of_its_id_and_in_those_it_joined() -> None:
    world = World()
    socket = world.client().socket()
    assert socket.rooms == {socket.id}
    socket.join("a", "b")
    socket.join(["c"])
    rooms = socket.rooms
    socket.leave("a", "never joined", socket.id)
    assert rooms == {socket.id, "a", "b", "c"}, "a copy does not change"
    assert socket.rooms == {socket.id, "b", "c"}


def test_after_the_end_a_socket_does_nothing_any_more() -> None:
    world = World()
    client = world.client()
    socket = client.socket()
    socket.join("a")
    client.take()
    client.cut()
    socket.join("b")
    socket.leave("a")
    socket.emit("x")
    socket.volatile.emit("x")
    socket.disconnect()
    socket.disconnect(close=True)
    assert socket.rooms == frozenset()
    assert not socket.connected
    assert client.take() == []
    assert not world.io.adapter.rooms
    assert not world.io.adapter.sids
    assert "gone" in repr(socket)


def test_rooms_of_a_socket_are_bounded() -> None:
    world = World(limits=Limits(rooms=3))
    socket = world.client().socket()
    socket.join("a", "b", "c")
    socket.join("a", "b")
    with pytest.raises(LocalProtocolError, match="3 rooms"):
        socket.join("d")
    with pytest.raises(TypeError):
        socket.join(5)
    assert socket.rooms == {socket.id, "a", "b", "c"}


def test_data_is_a_dict_of_your_own() -> None:
    socket = World().client().socket()
    socket.data["name"] = "x"
    assert socket.data == {"name": "x"}
    socket.data = 5
    assert socket.data == 5


def test_disconnecting_from_one_namespace_leaves_the_others() -> None:
    world = World()
    world.namespaces.of("/admin")
    client = world.client()
    client.send(Connect("/admin"))
    client.take()
    client.socket("/admin").disconnect()
    assert client.take() == [Disconnect("/admin")]
    assert client.closed is None
    assert client.socket().connected


def test_disconnecting_and_closing_ends_the_connection() -> None:
    world = World()
    world.namespaces.of("/admin")
    reasons: list[Any] = []
    for name in ("/", "/admin"):
        space = world.namespaces.of(name)
        space.on("disconnect", lambda s, reason: reasons.append((s.namespace.name, reason)))
    client = world.client()
    client.send(Connect("/admin"))
    client.take()
    client.socket().disconnect(close=True)
    assert client.take() == [Disconnect("/"), Disconnect("/admin")]
    assert client.closed == "server namespace disconnect"
    assert reasons == [
        ("/", "server namespace disconnect"),
        ("/admin", "server namespace disconnect"),
    ]


def test_names_that_are_reserved_and_values_that_are_not_json_are_refused() -> None:
    world = World()
    client = world.client()
    client.take()
    socket = client.socket()
    for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener"):
        with pytest.raises(LocalProtocolError):
            socket.emit(name)
    for value in (float("nan"), float("-inf"), object(), {1}):
        with pytest.raises(LocalProtocolError):
            socket.emit("x", value)
        with pytest.raises(LocalProtocolError):
            socket.emit_with_ack("x", {"deep": [value]})
    assert client.take() == []
    assert not socket._pending
    socket.emit("fine")
    assert client.events() == [["fine"]]


def test_volatile_to_one_socket_is_dropped_only_when_it_is_behind() -> None:
    world = World()
    client = world.client()
    socket = client.socket()
    client.take()
    socket.emit("a")
    socket.volatile.emit("b")
    client.writable = False
    socket.volatile.emit("c")
    socket.emit("d")
    assert client.events() == [["a"], ["b"], ["d"]]


def test_outgoing_listeners_see_events_but_not_acknowledgements() -> None:
    world = World()
    seen: list[Any] = []
    world.io.on("e", lambda socket: "value")
    client = world.client()
    socket = client.socket()

    @socket.on_any_outgoing
    def listener(*args: Any) -> None:
        seen.append(args)

    def failing(*args: Any) -> None:
        raise ValueError

    socket.on_any_outgoing(failing)
    socket.emit("x", 1)
    socket.emit_with_ack("y")
    client.emit("e", ack=1)
    assert seen == [("x", 1), ("y",)]
    assert len(world.errors) == 2
    socket.off_any_outgoing(listener)
    socket.emit("z")
    assert len(seen) == 2
    socket.off_any_outgoing()
    socket.emit("z")
    assert len(world.errors) == 3


def test_from_another_thread_everything_is_queued_in_order() -> None:
    world = World()
    client = world.client()
    socket = client.socket()
    client.take()
    world.owned = False
    socket.join("room")
    socket.to("room").emit("not to itself")
    world.io.to("room").emit("1")
    socket.emit("2")
    socket.leave("room")
    world.io.to("room").emit("nobody is there")
    socket.disconnect()
    socket.emit("too late")
    assert socket.connected
    assert client.take() == []
    world.run_calls()
    assert client.take() == [Event("/", ["1"]), Event("/", ["2"]), Disconnect("/")]


def test_the_connection_below_is_at_hand() -> None:
    client = World().client()
    assert client.socket().conn is client
    assert client.socket().conn.buffered_amount == 0


def test_an_idle_socket_is_small() -> None:
    socket = World().client().socket()
    assert not hasattr(socket, "__dict__")
    lazy = ("_data", "_handshake", "_pending", "_handlers", "_hooks", "_session")
    assert all(getattr(socket, name) is None for name in lazy)
    assert sys.getsizeof(socket) < 200


def test_ids_are_unpredictable_and_differ_from_each_other() -> None:
    world = World()
    found = {world.client().socket().id for _ in range(100)}
    assert len(found) == 100
    assert all(len(sid) == 20 for sid in found)


def test_a_client_that_joins_again_is_another_socket() -> None:
    world = World()
    client = world.client()
    first = client.socket()
    client.leave()
    client.send(Connect("/"))
    assert client.socket() is not first
    assert client.socket().id != first.id
    assert list(world.io.sockets) == [client.socket().id]


@pytest.mark.parametrize("kind", ["any", "any_outgoing"])
def test_listeners_can_be_put_in_front_and_counted(kind: str) -> None:
    socket = World().client().socket()
    assert getattr(socket, f"listeners_{kind}") == ()

    def first(*_args: Any) -> None: ...
    def second(*_args: Any) -> None: ...

    getattr(socket, f"on_{kind}")(second)
    getattr(socket, f"prepend_{kind}")(first)
    assert getattr(socket, f"listeners_{kind}") == (first, second)
    getattr(socket, f"off_{kind}")(first)
    assert getattr(socket, f"listeners_{kind}") == (second,)
