"""Peers that ``rawsio check`` and others are held against: how each is started, and its version.

A server prints its URL in its first line.  Peers whose packages or programs are missing raise
:class:`Missing`; those that say nothing, or end while they are needed, ``tests.jobs.Stuck``.
Node's packages are those of ``.interop/npm``; Python's go into ``.interop/peers``.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rawsio.check.programs import program
from tests.__main__ import EnvironmentFailed, environment
from tests.jobs import Stuck, first_line, free_port, serving

__all__ = ["CLIENTS", "ROOT", "SERVERS", "Client", "Missing", "Server", "running", "foreign"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".interop"
PYTHON = ["python-socketio==5.18.1", "python-engineio==4.15.1", "uvicorn==0.54.0",
          "websockets==17.4", "aiohttp==3.14.5", "websocket-client==1.9.2", "requests"]  # fmt: skip

_WEBSOCKETS = """
import asyncio, sys, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, compression="deflate") as server:
        print("http://127.0.0.1:%d" % server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
_AIOHTTP = """
import asyncio
from aiohttp import web
async def page(request):
    return web.Response(body=await request.read() or b"hello")
async def echo(request):
    socket = web.WebSocketResponse(max_msg_size=1000000)
    await socket.prepare(request)
    async for message in socket:
        if message.type == web.WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == web.WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket
async def main():
    app = web.Application(client_max_size=1000000)
    app.router.add_get("/echo", echo)
    app.router.add_route("*", "/{tail:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
_UVICORN = """
import asyncio, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] != "/echo":
            return await send({"type": "websocket.close"})
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            kind = "text" if event.get("text") is not None else "bytes"
            await send({"type": "websocket.send", kind: event[kind]})
        return
    body, more = b"", scope["type"] == "http"
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body or b"hello"})
async def main():
    config = uvicorn.Config(app, "127.0.0.1", 0, log_level="critical", ws_max_size=1000000)
    server = uvicorn.Server(config)
    task = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print("http://{}:{}".format(*server.servers[0].sockets[0].getsockname()[:2]), flush=True)
    await task
asyncio.run(main())
"""
_WS = """
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({
  host: "127.0.0.1", port: 0, perMessageDeflate: true, maxPayload: 1e6,
});
server.on("connection", (client) => {
  client.on("message", (data, binary) => client.send(data, { binary }));
  client.on("error", () => {});
});
server.on("listening", () => console.log(`http://127.0.0.1:${server.address().port}`));
"""
_ON_AIOHTTP = """
async def page(request):
    return web.Response(body=await request.read() or b"hello")


async def main():
    app = web.Application(client_max_size=1000000)
    io.attach(app)
    engine.attach(app, "engine.io")
    app.router.add_route("*", "/{tail:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print("http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
"""
_NGINX = """
daemon off; pid $F/pid; error_log /dev/null; events {}
http { access_log off; client_body_temp_path $F; proxy_temp_path $F;
fastcgi_temp_path $F; uwsgi_temp_path $F; scgi_temp_path $F;
server { listen 127.0.0.1:$P; location / { return 200 hello; } } }
"""
_HAPROXY = """
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend f
  bind 127.0.0.1:$P
  http-request return status 200 content-type text/plain string "hello"
"""
_HAPROXY_TCP = """
defaults
  mode tcp
  timeout client 60s
  timeout server 60s
  timeout connect 5s
listen l
  bind 127.0.0.1:$P
  server s 127.0.0.1:$B
"""


class Missing(Exception):
    """A program or a package that a peer needs is not there."""


def peers_python() -> str:
    """Return a Python that has the packages; raises :class:`Missing`."""
    try:
        return environment(FOLDER / "peers", PYTHON)
    except EnvironmentFailed as error:
        raise Missing(str(error)) from None


def _command(folder: Path, text: str, python: str = "") -> list[str]:
    """Write a program into a folder and return the command that runs it."""
    if "require(" not in text:
        path = folder / "program.py"
        path.write_text(text)
        return [python or peers_python(), str(path)]
    if shutil.which("node") is None or not (FOLDER / "npm" / "node_modules").is_dir():
        raise Missing("node, or its packages in .interop/npm")
    path = folder / "program.js"
    path.write_text(text)
    (folder / "node_modules").symlink_to(FOLDER / "npm" / "node_modules")
    return ["node", str(path)]


def _on_aiohttp() -> str:
    """Return the contract of python-socketio, served by aiohttp."""
    text = program("contract", "python-socketio").partition("async def page")[0]
    text = text.replace("import uvicorn", "from aiohttp import web")
    return text.replace('async_mode="asgi"', 'async_mode="aiohttp"') + _ON_AIOHTTP


def _ours(text: str) -> Callable[[Path], list[str]]:
    return lambda folder: _command(folder, text, sys.executable)


def foreign(text: str) -> Callable[[Path], list[str]]:
    """Return what starts a program in JavaScript or Python with packages of others."""
    return lambda folder: _command(folder, text)


def _configured(name: str, text: str, behind: int = 0) -> Callable[[Path], tuple[list[str], int]]:
    """Return how a program with a configuration file is started; it listens on a port."""

    def start(folder: Path) -> tuple[list[str], int]:
        if shutil.which(name) is None:
            raise Missing(name)
        port, path = free_port(), folder / "conf"
        filled = text.replace("$F", str(folder)).replace("$P", str(port))
        path.write_text(filled.replace("$B", str(behind)))
        return [name, *(["-p", str(folder), "-c"] if name == "nginx" else ["-f"]), str(path)], port

    return start


@dataclass(frozen=True)
class Server:
    """A server: the command that starts it, what its version is read from, and how it is checked.

    ``options`` are those of ``rawsio check``; ``{ws}`` in them is its URL with the scheme ``ws``.
    """

    command: Callable[[Path], list[str] | tuple[list[str], int]]
    versions: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    fast: bool = False

    @contextlib.contextmanager
    def running(self, folder: Path, *, apart: bool = True) -> Iterator[str]:
        """Start it, and yield its URL; ``apart`` as in :func:`tests.jobs.serving`."""
        made = self.command(folder)
        command, port = made if isinstance(made, tuple) else (made, 0)
        command = [*command, *(["--fast"] if self.fast else [])]
        with running(command, port, apart=apart) as url:
            yield url


@dataclass(frozen=True)
class Client:
    """A client: its driver, and what it speaks."""

    driver: str
    versions: tuple[str, ...] = ()
    speaks: str = "socketio"

    def command(self, folder: Path) -> list[str]:
        """Return the command of its driver."""
        python = sys.executable if self.driver == "rawsio" else ""
        return _command(folder, program("driver", self.driver), python)


@contextlib.contextmanager
def running(command: list[str], port: int = 0, *, apart: bool = True) -> Iterator[str]:
    """Run a server; yield its URL, which it prints unless its port is known."""
    with serving(command, apart=apart) as child:
        if port:
            _until_listening(port)
            yield f"http://127.0.0.1:{port}"
        else:
            line = first_line(child).replace("listening on ", "http://127.0.0.1:")
            if not line.startswith("http"):
                raise Stuck(f"`{' '.join(command)}` said {line!r} instead of its URL")
            yield line


def _until_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)
    raise Stuck(f"nobody listens on port {port}")


def haproxy_tcp(port: int) -> Server:
    """Return haproxy in TCP mode, in front of a port."""
    return Server(_configured("haproxy", _HAPROXY_TCP, port), ("haproxy",))


def version(names: tuple[str, ...]) -> str:
    """Return names with their versions: the first one, and the others in brackets."""
    if not names:
        return "rawsio"
    shown = [_version(name) for name in names]
    return shown[0] + (f" ({', '.join(shown[1:])})" if len(shown) > 1 else "")


def _version(name: str) -> str:
    if name in ("nginx", "haproxy", "node"):
        said = subprocess.run([name, "-v"], capture_output=True, text=True, check=False, timeout=60)
        found = re.search(r"[0-9]+\.[0-9]+\.[0-9]+", said.stdout + said.stderr)
        return f"{name} {found[0] if found else ''}"
    pinned = next((item for item in PYTHON if item.startswith(name + "==")), "")
    if pinned:
        return pinned.replace("==", " ")
    path = FOLDER / "npm" / "node_modules" / name / "package.json"
    return f"{name} {json.loads(path.read_text())['version']}"


_ECHO = ("--echo", "{ws}/")
SERVERS = {
    "rawsio": Server(_ours(program("contract", "rawsio")), fast=True),
    "socket.io": Server(
        foreign(program("contract", "node")), ("socket.io", "ws", "node"), fast=True
    ),
    "ws": Server(foreign(_WS), ("ws", "node"), ("--layer", "ws", *_ECHO)),
    "python-socketio": Server(
        foreign(program("contract", "python-socketio")), ("python-socketio", "uvicorn"), fast=True
    ),
    "python-socketio-aiohttp": Server(
        lambda folder: _command(folder, _on_aiohttp()), ("python-socketio", "aiohttp"), fast=True
    ),
    "websockets": Server(foreign(_WEBSOCKETS), ("websockets",), ("--layer", "ws", *_ECHO)),
    "aiohttp": Server(foreign(_AIOHTTP), ("aiohttp",)),
    "uvicorn": Server(foreign(_UVICORN), ("uvicorn", "websockets")),
    "nginx": Server(_configured("nginx", _NGINX), ("nginx",), ("--layer", "http")),
    "haproxy": Server(_configured("haproxy", _HAPROXY), ("haproxy",), ("--layer", "http")),
}
CLIENTS = {
    "rawsio": Client("rawsio"),
    "socket.io-client": Client("socket.io-client", ("socket.io-client", "node")),
    "python-socketio": Client("python-socketio", ("python-socketio", "websocket-client")),
    "ws": Client("ws", ("ws", "node"), "ws"),
    "websockets": Client("websockets", ("websockets",), "ws"),
    "websocket-client": Client("websocket-client", ("websocket-client",), "ws"),
}
