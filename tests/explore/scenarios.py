"""What the explorer explores: small worlds, each with the calls that may cross in it."""

from __future__ import annotations

from functools import partial
from typing import Any

from rawsio import ConnectionClosed, Server

from .explorer import World

__all__ = ["SCENARIOS"]


def _watch(world: World, socket: Any) -> None:
    """Note what a client's socket hears; its end ends both streams."""
    world.sockets.append(socket)
    got = world.got.setdefault("down", [])

    def down(number: int, stay: str, *_data: object) -> None:
        got.append(number)
        if stay != socket.id:
            world.wrong.append(f"event {number} of one stay reached another")

    def over(reason: str, *_more: object) -> None:
        world.notes.append(reason)
        world.ended.add("up")
        if reason != "io server disconnect":  # what was emitted before that one comes before it
            world.ended.add("down")
        if reason.startswith(("transport", "parse")) and not world.disturbed:
            world.wrong.append(f"the client learned {reason!r}, and nothing broke")

    socket.on("down", down)
    socket.on("disconnect", over)


def _serve(world: World, name: str = "/") -> None:
    up = world.got.setdefault("up", [])
    space = world.io.of(name)
    space.on("up", lambda _socket, number, *_data: up.append(number))
    space.on("ask", lambda _socket, number: number)


def _emit(world: World, socket: Any, number: int, *data: object) -> None:
    try:
        socket.emit("up", number, *data)
    except ConnectionClosed:
        return
    world.sent.setdefault("up", []).append(number)


def _down(world: World, number: int, *data: object, name: str = "/") -> None:
    for there in list(world.io.of(name).sockets.values()):
        there.emit("down", number, there.id, *data)
        world.sent.setdefault("down", []).append(number)


def _kick(world: World, *, close: bool = True, name: str = "/") -> None:
    for there in list(world.io.of(name).sockets.values()):
        there.disconnect(close=close)


def _ask(world: World, socket: Any) -> None:
    try:
        world.replies.append(socket.timeout(2.0).emit_with_ack("ask", 1))
    except ConnectionClosed:
        return


def _world(**options: Any) -> World:
    world = World(Server(**options))
    _serve(world)
    return world


def upgrade() -> World:
    """A session goes over from polling to WebSocket while both sides speak, and ends."""
    world = _world()
    socket = world.kit.connect(transports=["polling", "websocket"])
    _watch(world, socket)
    world.freeze()
    world.calls = [
        (
            ("emit down 1", partial(_down, world, 1)),
            ("emit down 2", partial(_down, world, 2)),
        ),
        (("emit up 1", partial(_emit, world, socket, 1)),),
        (("kick", partial(_kick, world)),),
    ]
    world.jumps = 2
    return world


def crossing() -> World:
    """A namespace is left and joined anew while the server emits there, or disconnects."""
    world = _world()
    _serve(world, "/room")
    main = world.kit.connect()
    room = main.client.socket("/room")
    world.kit.run()
    _watch(world, room)
    world.freeze()
    world.calls = [
        (("leave", room.disconnect), ("join", room.connect)),
        (("emit down 1", partial(_down, world, 1, name="/room")),),
        (("kick", partial(_kick, world, close=False, name="/room")),),
        (("emit up 1", partial(_emit, world, room, 1)),),
    ]
    return world


def acknowledgements() -> World:
    """Replies, their time-outs, and a connection that breaks."""
    world = _world()
    socket = world.kit.connect()
    _watch(world, socket)
    world.freeze()
    world.calls = [
        (
            ("ask", partial(_ask, world, socket)),
            ("ask again", partial(_ask, world, socket)),
        ),
        (("emit up 1", partial(_emit, world, socket, 1)),),
    ]
    world.breaks, world.jumps = 1, 3
    return world


def recovery() -> World:
    """A connection breaks while the server speaks to a room; a recovered stay misses nothing."""
    world = _world(connection_state_recovery=True)
    socket = world.kit.connect()
    world.io.emit("down", 0)  # its offset is what recovery goes on from
    world.kit.run()
    world.sockets.append(socket)
    down = world.got.setdefault("down", [])
    socket.on("down", lambda number, *_offset: down.append(number))
    socket.on("connect", lambda: None if socket.recovered else world.ended.add("down"))
    socket.on("disconnect", lambda *_args: world.ended.add("up"))
    down.clear()
    world.freeze()

    def emit(number: int) -> None:
        world.io.emit("down", number)
        world.sent.setdefault("down", []).append(number)

    world.calls = [
        (("emit down 1", partial(emit, 1)), ("emit down 2", partial(emit, 2))),
        (("emit up 1", partial(_emit, world, socket, 1)),),
    ]
    world.breaks, world.jumps = 1, 1
    return world


def closing() -> World:
    """Server and client close, one before the other or crosswise, while both speak."""
    world = _world()
    socket = world.kit.connect(reconnection=False)
    _watch(world, socket)
    world.freeze()
    world.calls = [
        (("emit down 1", partial(_down, world, 1)),),
        (
            ("emit up 1", partial(_emit, world, socket, 1)),
            ("ask", partial(_ask, world, socket)),
        ),
        (("close the client", lambda: socket.client.close(0.0)),),
        (("kick", partial(_kick, world)),),
    ]
    return world


def _shut(world: World) -> None:
    world.disturbed = True  # the client learns it by the end of its connection
    world.ended.add("down")
    world.io.close()


def shutdown() -> World:
    """The server closes for good while the client speaks, and connects again in vain."""
    world = _world()
    socket = world.kit.connect()
    _watch(world, socket)
    world.freeze()
    world.calls = [
        (("close the server", partial(_shut, world)),),
        (
            ("emit up 1", partial(_emit, world, socket, 1)),
            ("ask", partial(_ask, world, socket)),
        ),
        (("emit up 2", partial(_emit, world, socket, 2)),),
    ]
    world.halves = 1
    return world


def splits() -> World:
    """Frames and binary packets arrive in halves, and the connection may break between."""
    world = _world()
    socket = world.kit.connect()
    _watch(world, socket)
    world.freeze()
    world.calls = [
        (("emit down 1", partial(_down, world, 1, b"12345")),),
        (("emit up 1", partial(_emit, world, socket, 1, b"123", b"45")),),
        (("emit up 2", partial(_emit, world, socket, 2)),),
    ]
    world.halves, world.breaks = 2, 1
    return world


SCENARIOS = {
    "upgrade": (upgrade, 4),
    "crossing": (crossing, 5),
    "acknowledgements": (acknowledgements, 4),
    "recovery": (recovery, 5),
    "closing": (closing, 5),
    "shutdown": (shutdown, 4),
    "splits": (splits, 4),
}
"""Name -> scenario, and the depth that the suite explores."""
