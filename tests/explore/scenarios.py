"""The scenarios: who is there, how far they have come, and what they will do."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from rawsio import Recovery

from .invariants import Broken
from .world import LIMITS, World

UPGRADE = ["polling", "websocket"]


@dataclass
class Scenario:
    """How to make its world; ``depth`` is explored in the suite, ``deep`` at most elsewhere."""

    name: str
    make: Callable[[], World]
    depth: int
    deep: int = 12


SCENARIOS: dict[str, Scenario] = {}


def scenario(depth: int, deep: int = 12) -> Callable[[Callable[[], World]], Callable[[], World]]:
    def register(make: Callable[[], World]) -> Callable[[], World]:
        name = make.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, make, depth, deep)
        return make

    return register


def _kicked(world: World, there: Any) -> list[Callable[[], object]]:
    """Return the calls of a server that says one thing more, and then ends the connection."""

    def expect() -> None:
        (party,) = (p for name, p in world.parties.items() if name == "client/")
        reasons = party.all("disconnect")
        if there.connected:
            return
        if reasons not in (["io server disconnect"], ["io client disconnect"]):
            raise Broken(f"the server has disconnected the client, which learnt {reasons}")
        if len(party.all("connect")) > 1:
            raise Broken("the client was kicked, and came back")

    world.expects = expect
    return [partial(world.emit, there), partial(there.disconnect, close=True)]


@scenario(depth=2)
def upgrade_from_the_start() -> World:
    """Everything from the first poll on, with something to say as soon as it is possible."""
    world = World(splits=1)
    socket = world.client(transports=UPGRADE, connected=False)
    world.begin(client=[partial(world.emit, socket), partial(world.emit, socket)])
    socket.connect()
    world.kit.run()
    return world


@scenario(depth=2)
def upgrade_emits() -> World:
    """The probe is answered, and both have something to say."""
    world = World()
    socket = world.client(transports=UPGRADE)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), partial(world.emit, socket)],
        server=[partial(world.emit, there), partial(world.emit, there)],
    )
    return world


@scenario(depth=3)
def upgrade_kick() -> World:
    """The server ends the connection during the upgrade."""
    world = World()
    socket = world.client(transports=UPGRADE)
    there = world.there_of(socket)
    server = [partial(world.emit, there), *_kicked(world, there)]
    world.begin(client=[partial(world.emit, socket)], server=server)
    return world


@scenario(depth=3)
def upgrade_server_close() -> World:
    """The server closes during the upgrade; it takes nobody any more."""
    world = World()
    socket = world.client(transports=UPGRADE, reconnection=False)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket)],
        server=[partial(world.emit, there), partial(world.emit, there), world.io.close],
    )
    return world


@scenario(depth=3)
def upgrade_client_leaves() -> World:
    """The client leaves, or closes, during the upgrade."""
    world = World()
    socket = world.client(transports=UPGRADE)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), socket.disconnect, partial(socket.client.close, 5.0)],
        server=[partial(world.emit, there)],
    )
    return world


@scenario(depth=3)
def rejoin() -> World:
    """A client leaves a namespace and joins it again, while the server speaks and kicks."""
    world = World()
    main = world.client(transports=["websocket"])
    room = world.watch(main.client.socket("/room"))
    world.kit.run()
    there = world.there_of(room)

    def tell() -> None:
        for socket in world.io.of("/room").sockets.values():
            world.emit(socket)

    world.begin(
        client=[room.disconnect, room.connect, partial(world.emit, room)],
        server=[tell, tell, there.disconnect],
    )
    return world


@scenario(depth=3)
def leave_before_joined() -> World:
    """A CONNECT is taken back before its answer, and made again."""
    world = World()
    main = world.client(transports=["websocket"])
    room = world.watch(main.client._socket("/room", None))

    def tell() -> None:
        for socket in world.io.of("/room").sockets.values():
            world.emit(socket)

    world.begin(client=[room.connect, room.disconnect, room.connect], server=[tell, tell])
    return world


@scenario(depth=2)
def recovery() -> World:
    """The connection is cut, and the session goes on."""
    world = World(cuts=1, connection_state_recovery=Recovery())
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket)],
        server=[partial(world.emit, there), world.tell_all, world.tell_all],
    )
    return world


@scenario(depth=2)
def replies() -> World:
    """Both ask, with and without an end of their patience, and the connection may break."""
    world = World(cuts=1)
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.ask, socket, 1.0), partial(world.ask, socket)],
        server=[partial(world.ask, there, 1.0), partial(world.ask, there), there.disconnect],
    )
    return world


@scenario(depth=2)
def replies_polling() -> World:
    """The same over polling, with one who leaves."""
    world = World(cuts=1)
    socket = world.client(transports=["polling"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.ask, socket), socket.disconnect],
        server=[partial(world.ask, there, 1.0)],
    )
    return world


@scenario(depth=3)
def reconnection() -> World:
    """The server goes away, another one comes, and the client always has something to say."""
    world = World()
    socket = world.client(transports=["websocket"])
    emit = partial(world.emit, socket)

    def restart() -> None:
        world.restart()

    world.begin(client=[emit, emit, emit], server=[world.io.close, restart])
    return world


@scenario(depth=3)
def closing_websocket() -> World:
    """Both ends close at once, with something to say and to ask before and after."""
    world = World()
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), partial(world.ask, socket), socket.client.close],
        server=_kicked(world, there),
    )
    return world


@scenario(depth=2)
def closing_polling() -> World:
    """The same over polling."""
    world = World()
    socket = world.client(transports=["polling"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), socket.disconnect],
        server=_kicked(world, there),
    )
    return world


@scenario(depth=2)
def stalled_reader() -> World:
    """A client stops reading while the server has more to say than fits on the way."""
    limits = LIMITS.but(high_water=60_000, low_water=20_000)
    world = World(limits=limits)
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    big = partial(world.emit, there, "x" * 40_000)
    world.begin(
        server=[big, big, big, partial(there.disconnect, close=True)],
        client=[
            partial(world.kit.stall, socket),
            partial(world.emit, socket),
            partial(world.kit.resume, socket),
        ],
    )
    return world


@scenario(depth=2)
def binary_and_splits() -> World:
    """Binary packets in both directions, split anywhere, and cut."""
    world = World(cuts=1, splits=2)
    socket = world.client(transports=["websocket"], reconnection=False)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket, b"\0\1")],
        server=[partial(world.emit, there, b"\2", b"\3")],
    )
    return world


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a client's and a server's context, with a certificate of the openssl command."""
    with tempfile.TemporaryDirectory() as folder:
        key, cert = str(Path(folder) / "key.pem"), str(Path(folder) / "cert.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert]
        command += ["-days", "2", "-subj", "/CN=localhost", "-addext"]
        command += ["subjectAltName=DNS:localhost"]
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        client = ssl.create_default_context(cafile=cert)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(cert, key)
    return client, server


@scenario(depth=2, deep=8)
def tls() -> World:
    """The upgrade over TLS, with records split, and a server that ends the connection."""
    client, server = contexts()
    world = World(splits=1, tls=server)
    socket = world.client(transports=UPGRADE, tls=client)
    there = world.there_of(socket)
    world.begin(client=[partial(world.emit, socket)], server=_kicked(world, there))
    return world


@scenario(depth=2)
def upgrade_cut() -> World:
    """A connection breaks during the upgrade: the poll's, or the WebSocket on its way."""
    world = World(cuts=1)
    socket = world.client(transports=UPGRADE)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), partial(world.ask, socket)],
        server=[partial(world.emit, there)],
    )
    return world


@scenario(depth=3)
def upgrade_given_up() -> World:
    """The client says what it has to say and closes, while its WebSocket is on its way."""
    world = World(splits=1, joins=1)
    socket = world.client(transports=UPGRADE)
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), partial(socket.client.close, 5.0)],
        server=[partial(world.emit, there), partial(world.emit, there)],
    )
    return world


@scenario(depth=2)
def last_room() -> World:
    """The last socket leaves, which ends the connection, while another one joins."""
    world = World()
    room = world.client("/room", transports=["websocket"])
    main = world.watch(room.client._socket("/", None))
    there = world.there_of(room)
    world.begin(
        room=[room.disconnect, room.connect],
        main=[main.connect, partial(world.emit, main), main.disconnect],
        server=[there.disconnect],
    )
    return world


@scenario(depth=2)
def kicked_and_back() -> World:
    """The server disconnects a client, which comes back of its own will."""
    world = World()
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    emit = partial(world.emit, socket)
    world.begin(
        client=[emit, socket.disconnect, socket.connect, emit],
        server=[partial(world.emit, there), partial(there.disconnect, close=True)],
    )
    return world


@scenario(depth=2)
def polling_cut() -> World:
    """Over polling, requests and answers break anywhere, split or whole."""
    world = World(cuts=1, splits=1)
    socket = world.client(transports=["polling"])
    there = world.there_of(socket)
    world.begin(
        client=[partial(world.emit, socket), partial(world.emit, socket)],
        server=[partial(world.emit, there), partial(world.emit, there)],
    )
    return world
