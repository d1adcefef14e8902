"""Our server in the benchmark: ``python -m tests.bench.server PORT [WORD ...]``.

The handlers of every server in that table, in the namespaces ``/`` and ``/chat``: ``echo``,
``echo3`` and ``bin`` acknowledge their arguments, ``say`` answers with the event ``said``,
``note`` takes its argument, ``bcast`` sends it to all as ``news`` (``flow``: so many times),
``ask`` has the server ask (``asked``) for as long as the client acknowledges, ``move`` joins and
leaves a room.  Beside them ``GET /hello``, and messages up to 100 MB.

Words: ``deflate`` compresses, ``executor`` runs handlers on threads, ``asyncio`` and ``uvloop``
serve on such a loop, ``tls CERTIFICATE KEY`` over TLS.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rawsio import Server
from rawsio.websocket.deflate import DeflateOptions

__all__ = ["main", "make_server"]


def hello(request: Any) -> Any:
    """Answer ``GET /hello`` with ``hello``."""
    return "hello" if request.path == "/hello" else 404


def make_server(*words: str, app: Any = hello) -> Server:
    """Return the server with its handlers."""
    io = Server(
        app=app,
        max_http_buffer_size=100_000_000,
        per_message_deflate=DeflateOptions(threshold=0) if "deflate" in words else None,
        executor=ThreadPoolExecutor(4) if "executor" in words else None,
    )
    add_handlers(io, io)
    add_handlers(io.of("/chat"), io.of("/chat"))
    return io


def add_handlers(space: Any, everybody: Any) -> None:
    """Give a namespace its handlers."""

    @space.on("echo")
    def echo(_socket: Any, data: Any) -> Any:
        return data

    @space.on("echo3")
    def echo3(_socket: Any, a: Any, b: Any, c: Any) -> Any:
        return a, b, c

    @space.on("bin")
    def binary(_socket: Any, data: Any) -> Any:
        return data

    @space.on("say")
    def say(socket: Any, data: Any) -> None:
        socket.emit("said", data)

    @space.on("note")
    def note(_socket: Any, data: Any) -> None:
        pass

    @space.on("bcast")
    def broadcast(_socket: Any, data: Any) -> None:
        everybody.emit("news", data)

    @space.on("flow")
    def flow(_socket: Any, count: int, data: Any) -> None:
        for _ in range(count):
            everybody.emit("news", data)

    @space.on("ask")
    def ask(socket: Any, data: Any) -> None:
        def again(_reply: Any = None) -> None:
            if socket.connected:
                socket.emit_with_ack("asked", data).add_done_callback(again)

        again()

    @space.on("move")
    def move(socket: Any) -> None:
        if "hall" in socket.rooms:
            socket.leave("hall")
        else:
            socket.join("hall")


async def serve(io: Server, **where: Any) -> None:
    """Serve on the running loop."""
    io.listen(**where)
    await io.serve()


def main(port: str, *words: str) -> None:
    """Listen on 127.0.0.1 at this port, until a signal."""
    io = make_server(*words)
    where: dict[str, Any] = {"port": int(port)}
    if "tls" in words:
        at = words.index("tls")
        where["tls"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        where["tls"].load_cert_chain(words[at + 1], words[at + 2])
    if "asyncio" in words:
        asyncio.run(serve(io, **where))
    elif "uvloop" in words:
        import uvloop

        uvloop.run(serve(io, **where))
    else:
        io.listen(**where)
        io.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
