"""The application of ``features.test.js``: every feature of a server that a client can see.

Modes of :mod:`tests.interop.interop_server`: ``features`` with the standard form of packets (which
serves Socket.IO v2 clients, too), ``features-msgpack``, and both with ``-recovery``, whose clients
go on where they were.  Heartbeats come three times a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rawsio import Refused, Server
from rawsio.socketio.msgpack import MsgpackParser

__all__ = ["EDITIONS"]

OPTIONS: dict[str, Any] = {
    "path": "/rt",
    "ping_interval": 0.3,
    "ping_timeout": 60.0,
    "max_http_buffer_size": 2_000_000,
    "allow_eio3": True,
    "cookie": True,
    "cors": "*",
    "per_message_deflate": True,
    "http_compression": 1024,
    "cleanup_empty_child_namespaces": True,
}


class Application:
    """The server and what it remembers for later questions."""

    def __init__(self, **options: Any) -> None:
        self.errors: list[Any] = []
        self.ends: dict[str, list[Any]] = {}
        self.io = Server(
            allow_request=lambda request: "refuse=1" not in request.target,
            middleware=(self._engine_middleware,),
            on_headers=lambda fields, _request: fields.append(("X-Each", "1")),
            on_initial_headers=lambda fields, _request: fields.append(("X-First", "1")),
            on_connection_error=lambda _request, code, message, context: self.errors.append(
                [code, message, context.get("name")]
            ),
            **OPTIONS,
            **options,
        )
        self._namespaces()
        self._life(self.io)
        self._answers(self.io)
        self._rooms(self.io)
        self._many(self.io)

    @staticmethod
    def _engine_middleware(request: Any) -> Any:
        return (418, b"short and stout") if "teapot=1" in request.target else None

    def _namespaces(self) -> None:
        admin = self.io.of("/admin")

        @admin.use
        def authenticate(socket: Any) -> None:
            if socket.handshake.auth.get("token") != "secret":
                raise Refused("not authorized", {"retry": False})

        def for_users(name: str, auth: Any) -> bool:
            return name.startswith("/user-") and (auth or {}).get("token") == "secret"

        for space in (admin, self.io.of(re.compile(r"/room-[0-9]+")), self.io.of(for_users)):
            space.on("where", lambda socket: socket.namespace.name)

    def _life(self, io: Any) -> None:
        @io.on("connection")
        def connected(socket: Any) -> None:
            shake = socket.handshake
            socket.emit(
                "hello",
                {
                    "auth": shake.auth,
                    "query": shake.query.get("colour"),
                    "agent": "host" in shake.headers,
                    "address": shake.address,
                    "secure": shake.secure,
                    "xdomain": shake.xdomain,
                    "issued": shake.issued > 0,
                    "recovered": socket.recovered,
                },
            )
            self._hooks(socket)

        @io.on("disconnecting")
        def leaving(socket: Any, _reason: str) -> None:
            self.ends[socket.id] = [sorted(socket.rooms - {socket.id})]

        @io.on("disconnect")
        def gone(socket: Any, reason: str) -> None:
            self.ends[socket.id].append(reason)

        io.on("end of", lambda _socket, sid: self.ends.get(sid, []))
        io.on("errors", lambda _socket: self.errors[-1])
        io.on("spaces", lambda _socket: sorted(io.namespaces.named))

        @io.on("leave me")
        def leave_me(socket: Any, close: bool) -> None:
            socket.disconnect(close=close)

    @staticmethod
    def _hooks(socket: Any) -> None:
        seen: list[Any] = []
        sent: list[Any] = []

        @socket.use
        def permit(name: str, _args: list[Any]) -> None:
            if name == "forbidden":
                raise Refused("not that")

        socket.on("error", lambda error: socket.emit("was refused", str(error)))
        socket.on_any(lambda name, *_args: seen.append(name))
        socket.on_any_outgoing(lambda name, *_args: sent.append(name))
        socket.on("seen", lambda: [seen, sent])

    @staticmethod
    def _answers(io: Any) -> None:
        io.on("echo", lambda _socket, *args: args)
        io.on("back", lambda socket, *args: socket.emit("back", *args))
        io.on("nothing", lambda _socket: None)
        io.on("a list", lambda _socket: [1, [2]])
        io.on("size", lambda _socket, data: len(data))
        io.on("send", lambda socket, *args: socket.send(*args))
        io.on("long", lambda _socket, size: "y" * size)

        @io.on("late", ack=True)
        def late(_socket: Any, value: Any, ack: Any) -> None:
            io.host.call_later(0.05, ack, value, "late")

        @io.on("never", ack=True)
        def never(_socket: Any, *_args: Any) -> None:
            return None

        @io.on("ask")
        def ask(socket: Any, seconds: float, name: str, *args: Any) -> None:
            def answered(reply: Any) -> None:
                error = reply.exception()
                socket.emit("answered", type(error).__name__ if error else reply.result())

            socket.timeout(seconds).emit_with_ack(name, *args).add_done_callback(answered)

        @io.on("burst")
        def burst(socket: Any, count: int) -> None:
            for number in range(count):
                socket.emit("burst", number)

        @io.on("quiet")
        def quiet(socket: Any) -> None:
            socket.volatile.emit("quiet", 1)
            socket.compress(False).emit("quiet", "z" * 5000)

    @staticmethod
    def _rooms(io: Any) -> None:
        io.on("join", lambda socket, *rooms: socket.join(*rooms))
        io.on("leave", lambda socket, room: socket.leave(room))
        io.on("rooms", lambda socket: sorted(socket.rooms - {socket.id}))

        @io.on("cast")
        def cast(socket: Any, how: dict[str, Any], *args: Any) -> None:
            to: Any = socket.broadcast if how.get("from me") else io
            if how.get("to"):
                to = to.to(*how["to"])
            if how.get("except"):
                to = to.except_(*how["except"])
            if how.get("local"):
                to = to.local
            if how.get("volatile"):
                to = to.volatile
            if how.get("plain"):
                to = to.compress(False)
            to.emit("news", *args)

    @staticmethod
    def _many(io: Any) -> None:
        @io.on("ask all", ack=True)
        def ask_all(_socket: Any, room: str, seconds: float, ack: Any) -> None:
            reply = io.to(room).timeout(seconds).emit_with_ack("question")
            reply.add_done_callback(
                lambda done: ack(sorted(done.result()), len(done.result().missing))
            )

        @io.on("who", ack=True)
        def who(_socket: Any, room: str, ack: Any) -> None:
            reply = io.in_(room).fetch_sockets()
            reply.add_done_callback(lambda done: ack(sorted(socket.id for socket in done.result())))

        io.on("all join", lambda _socket, room, other: io.in_(room).sockets_join(other))
        io.on("all leave", lambda _socket, room, other: io.in_(room).sockets_leave(other))
        io.on("all go", lambda _socket, room: io.in_(room).disconnect_sockets(close=True))
        io.on("to servers", lambda _socket: io.server_side_emit("x").result(0))


EDITIONS: dict[str, Callable[[], Server]] = {
    "features": lambda: Application().io,
    "features-recovery": lambda: Application(connection_state_recovery=True).io,
    "features-msgpack": lambda: Application(parser=MsgpackParser()).io,
    "features-msgpack-recovery": lambda: (
        Application(parser=MsgpackParser(), connection_state_recovery=True).io
    ),
}
"""The server of each mode."""
