"""python-socketio under uvicorn: ``uvicorn_socketio.py PORT [deflate] [tls CERTIFICATE KEY]``."""

from __future__ import annotations

import sys
from typing import Any

import socketio
import uvicorn

sio = socketio.AsyncServer(
    async_mode="asgi",
    max_http_buffer_size=10**8,
    cors_allowed_origins="*",
    namespaces=["/", "/chat"],
)


async def echo(sid: str, data: Any) -> Any:
    return data


async def echo3(sid: str, a: Any, b: Any, c: Any) -> Any:
    return a, b, c


def add(name: str) -> None:
    async def say(sid: str, data: Any) -> None:
        await sio.emit("said", data, to=sid, namespace=name)

    async def note(sid: str, data: Any) -> None:
        pass

    async def bcast(sid: str, data: Any) -> None:
        await sio.emit("news", data, namespace=name)

    async def ask(sid: str, data: Any) -> None:
        async def again(*_answer: Any) -> None:
            await ask(sid, data)

        await sio.emit("asked", data, to=sid, namespace=name, callback=again)

    async def move(sid: str) -> None:
        if "hall" in sio.rooms(sid, namespace=name):
            await sio.leave_room(sid, "hall", namespace=name)
        else:
            await sio.enter_room(sid, "hall", namespace=name)

    for event, handler in (
        *(("echo", echo), ("echo3", echo3), ("bin", echo), ("say", say)),
        *(("note", note), ("bcast", bcast), ("ask", ask), ("move", move)),
    ):
        sio.on(event, handler, namespace=name)


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"hello"})


def main(port: str, *words: str) -> None:
    for name in ("/", "/chat"):
        add(name)
    more: dict[str, Any] = {}
    if "tls" in words:
        at = words.index("tls")
        more = {"ssl_certfile": words[at + 1], "ssl_keyfile": words[at + 2]}
    uvicorn.run(
        socketio.ASGIApp(sio, hello),
        host="127.0.0.1",
        port=int(port),
        log_level="error",
        access_log=False,
        ws_max_size=10**8,
        ws_per_message_deflate="deflate" in words,
        backlog=4096,
        **more,
    )


main(*sys.argv[1:])
