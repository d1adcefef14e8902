"""rawsio's side of the interop tests: ``python -m tests.interop.interop_server --mode MODE``.

It is the same application as ``official_server.js``, and ``harness.js`` starts either of them.
It prints ``PORT n`` once it listens, and ends with 0 on SIGTERM.  The modes:

========== ==========================================================================
client     what ``official_client.test.js`` and ``browser_client.test.js`` talk to
socketio   the application of the Socket.IO protocol suite
engineio   that of the Engine.IO protocol suite: echoes on ``/engine.io/``
queue      durable queues, in memory: what ``queue.test.js`` talks to
features   what ``features.test.js`` talks to, in four editions: ``feature_server.py``
========== ==========================================================================

The environment variable ``SERVER_TIMES`` has the heartbeat of the second and the third
(``harness.js``).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import Any

from rawsio import Refused, Server
from rawsio.workers import Place, run_workers

from .engine_server import EngineEcho
from .feature_server import EDITIONS

__all__ = ["MODES", "application", "main"]

TIMES = {
    "pingInterval": "ping_interval",
    "pingTimeout": "ping_timeout",
    "connectTimeout": "connect_timeout",
}
SUITE: dict[str, Any] = {
    "max_http_buffer_size": 1_000_000,
    "cors": "*",
    **{TIMES[k]: ms / 1000 for k, ms in json.loads(os.environ.get("SERVER_TIMES", "{}")).items()},
}


def application(space: Any) -> None:
    """Register the handlers of the mode ``client`` on a namespace."""

    @space.on("connection")
    def connected(socket: Any) -> None:
        socket.emit("auth", socket.handshake.auth)

    @space.on("disconnect")
    def gone(socket: Any, reason: str) -> None:
        space.emit("gone", socket.id, reason)

    _answers(space)
    _rooms(space)


def _answers(space: Any) -> None:
    @space.on("echo")
    def echo(socket: Any, *args: Any) -> None:
        socket.emit("echo back", *args)

    @space.on("ack")
    def ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
        return args

    @space.on("size")
    def size(_socket: Any, data: Any) -> int:
        return len(data)

    @space.on("never", ack=True)
    def never(_socket: Any, *_args: Any) -> None:
        return None

    @space.on("ask")
    def ask(socket: Any, *args: Any) -> None:
        reply = socket.emit_with_ack("question", *args)
        reply.add_done_callback(lambda done: socket.emit("answered", done.result()))

    @space.on("burst")
    def burst(socket: Any, count: int) -> None:
        for number in range(count):
            socket.emit("burst", number)

    @space.on("leave me")
    def leave_me(socket: Any, close: bool) -> None:
        socket.disconnect(close=close)


def _rooms(space: Any) -> None:
    @space.on("join")
    def join(socket: Any, room: str) -> None:
        socket.join(room)

    @space.on("leave")
    def leave(socket: Any, room: str) -> None:
        socket.leave(room)

    @space.on("rooms")
    def rooms(socket: Any) -> list[str]:
        return sorted(socket.rooms)

    @space.on("to room")
    def to_room(socket: Any, room: str, *args: Any) -> None:
        socket.to(room).emit("news", *args)

    @space.on("in room")
    def in_room(_socket: Any, room: str, *args: Any) -> None:
        space.in_(room).emit("news", *args)

    @space.on("except")
    def except_room(_socket: Any, room: str, *args: Any) -> None:
        space.except_(room).emit("news", *args)

    @space.on("broadcast")
    def broadcast(socket: Any, *args: Any) -> None:
        socket.broadcast.emit("news", *args)

    @space.on("everyone")
    def everyone(_socket: Any, *args: Any) -> None:
        space.emit("news", *args)


def client() -> Server:
    """Return the server that the clients' tests talk to."""
    io = Server(max_http_buffer_size=4_000_000, cors="*")
    admin = io.of("/admin")

    @admin.use
    def authenticate(socket: Any) -> None:
        if socket.handshake.auth.get("token") != "secret":
            raise Refused("not authorized", {"retry": False})

    for space in (io, io.of("/custom"), admin):
        application(space)
    return io


def socketio() -> Server:
    """Return the server of the Socket.IO protocol suite."""
    io = Server(**SUITE)
    for space in (io, io.of("/custom")):

        @space.on("connection")
        def connected(socket: Any) -> None:
            socket.emit("auth", socket.handshake.auth)

    @io.on("message")
    def message(socket: Any, *args: Any) -> None:
        socket.emit("message-back", *args)

    @io.on("message-with-ack")
    def message_with_ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
        return args

    return io


def engineio() -> EngineEcho:
    """Return the server of the Engine.IO protocol suite."""
    return EngineEcho(path="/engine.io", **SUITE)


def queue() -> Server:
    """Return a server with durable queues, in memory."""
    io = Server()
    for name in ("polling", "websocket", "batches", "ours", "cut"):
        io.queue(name, namespace="/queue", backoff=(0, 0))
    io.queue("managed", namespace="/queue", allow=lambda *_: True)
    return io


MODES: dict[str, Callable[[], Any]] = {
    "client": client,
    "socketio": socketio,
    "engineio": engineio,
    "queue": queue,
    **EDITIONS,
}


def main() -> None:
    """Serve one mode until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.interop_server")
    parser.add_argument("--mode", choices=sorted(MODES), default="client")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, help="serve by so many processes")
    given = parser.parse_args()
    server = MODES[given.mode]()
    port = server.listen("127.0.0.1", given.port)[1]
    if given.workers is None:
        print("PORT", port, flush=True)
        server.run()
    else:
        places = [Place(*place) for place in server.net.give_away()]
        run_workers(
            lambda: server, places, given.workers, ready=lambda: print("PORT", port, flush=True)
        )


if __name__ == "__main__":
    main()
