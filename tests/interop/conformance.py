"""Measure peers with ``rawsio check``: ``python -m tests.interop.conformance``.

Each peer is started on a free port, checked with ``--fast`` (servers) or with its driver (clients),
and ended.  What is printed is the table of ``rfc_notes/conformance.md``; ``--write`` puts it there.
Peers whose packages or programs are missing are left out, and named.  Node's packages are those of
``.interop/npm``; Python's go into ``.interop/peers``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rawsio.check.case import VERDICTS, prefix_of
from rawsio.check.programs import program
from rawsio.check.reports import LAYERS
from tests.__main__ import EnvironmentFailed, environment

__all__ = ["CLIENTS", "SERVERS", "main"]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".interop"
NOTE = ROOT / "rfc_notes" / "conformance.md"
MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"
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
SERVERS = ("rawsio", "node", "python-socketio", "websockets", "aiohttp", "nginx", "haproxy")
CLIENTS = ("rawsio", "socket.io-client", "python-socketio", "ws", "websockets", "websocket-client")
_SPEAK_WS = {"ws", "websockets", "websocket-client"}


class Missing(Exception):
    """A program or a package that a peer needs is not there."""


def _peers_python() -> str:
    try:
        return environment(FOLDER / "peers", PYTHON)
    except EnvironmentFailed as error:
        raise Missing(str(error)) from None


def _node() -> list[str]:
    if shutil.which("node") is None or not (FOLDER / "npm" / "node_modules").is_dir():
        raise Missing("node, or its packages in .interop/npm")
    return ["node"]


def _text(folder: Path, kind: str, name: str) -> list[str]:
    """Return the command that runs a program of the package."""
    text = program(kind, name)
    if text.startswith("//"):
        path = folder / "program.js"
        (folder / "node_modules").symlink_to(FOLDER / "npm" / "node_modules")
        command = [*_node(), str(path)]
    else:
        path = folder / "program.py"
        command = [sys.executable if name == "rawsio" else _peers_python(), str(path)]
    path.write_text(text)
    return command


def _proxy(folder: Path, name: str, port: int) -> list[str]:
    if shutil.which(name) is None:
        raise Missing(name)
    path = folder / "proxy.conf"
    if name == "nginx":
        path.write_text(
            f"daemon off; pid {folder}/pid; error_log /dev/null; events {{}}\n"
            f"http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};\n"
            f"fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 hello; }} }} }}\n"
        )
        return ["nginx", "-c", str(path), "-p", str(folder)]
    path.write_text(
        "defaults\n  mode http\n  timeout client 30s\n  timeout server 30s\n  timeout connect 5s\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n"
        '  http-request return status 200 content-type text/plain string "hello"\n'
    )
    return ["haproxy", "-f", str(path)]


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int = 0) -> Iterator[str]:
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        start_new_session=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        if port:
            _until_listening(port)
            yield f"http://127.0.0.1:{port}"
        else:
            line = child.stdout.readline().strip() if child.stdout is not None else ""
            if not line:
                raise Missing(f"{' '.join(command)} did not start")
            yield line
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _until_listening(port: int) -> None:
    import socket
    import time

    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.05)


def _check(arguments: list[str], report: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "rawsio", "check", "--fast", "--json", str(report), *arguments]
    subprocess.run(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        timeout=900, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def server(name: str, folder: Path) -> dict[str, Any]:
    """Check a server; raises :class:`Missing`."""
    port, more = 0, []
    if name in ("websockets", "aiohttp"):
        path = folder / "echo.py"
        path.write_text(_WEBSOCKETS if name == "websockets" else _AIOHTTP)
        command = [_peers_python(), str(path)]
    elif name in ("nginx", "haproxy"):
        port = _free_port()
        command = _proxy(folder, name, port)
        more = ["--layer", "http"]
    else:
        command = [*_text(folder, "contract", name), "--fast"]
    with _running(command, port) as url:
        if name == "websockets":
            more = ["--layer", "ws", "--echo", url.replace("http", "ws") + "/"]
        return _check([url, *more], folder / "report.json")


def client(name: str, folder: Path) -> dict[str, Any]:
    """Check a client; raises :class:`Missing`."""
    command = _text(folder, "driver", name)
    speaks = "ws" if name in _SPEAK_WS else "socketio"
    return _check(["--client", "--speaks", speaks, "--", *command], folder / "report.json")


def _version(name: str) -> str:
    if name == "rawsio":
        return name
    if name in ("node", "socket.io-client", "ws"):
        package = "socket.io" if name == "node" else name
        path = FOLDER / "npm" / "node_modules" / package / "package.json"
        shown = json.loads(path.read_text())["version"]
        return f"{package} {shown}"
    if name in ("nginx", "haproxy"):
        said = subprocess.run([name, "-v"], capture_output=True, text=True, check=False)
        found = re.search(r"[0-9]+\.[0-9]+\.[0-9]+", said.stdout + said.stderr)
        return f"{name} {found[0] if found else ''}"
    wanted = next(item for item in PYTHON if item.startswith(name + "=="))
    more = " (uvicorn 0.54.0)" if name == "python-socketio" else ""
    return wanted.replace("==", " ") + more


def table(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Return the counts by peer and layer, then the FAILED cases of each."""
    shown = [verdict for verdict in VERDICTS if verdict != "ERROR"]
    lines = [f"| peer | layer | {' | '.join(shown)} |", "|---|---|" + "---:|" * len(shown)]
    for peer, report in reports.items():
        for layer in LAYERS:
            cases = [c for c in report["cases"] if c["id"].partition(".")[0] == layer]
            row = [sum(c["verdict"] == v for c in cases) for v in shown]
            if any(row) and row[3] != sum(row):
                lines.append(f"| {peer} | {layer} | {' | '.join(map(str, row))} |")
    for peer, report in reports.items():
        failed = [c["id"] for c in report["cases"] if c["verdict"] == "FAILED"]
        lines += ["", f"{peer}: {len(failed)} FAILED", ""]
        lines += [f"- {prefix}: {words}" for prefix, words in _grouped(failed).items()]
    return lines


def _grouped(ids: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for case_id in ids:
        prefix, word = prefix_of(case_id)
        found.setdefault(f"`{prefix}`", []).append(word)
    return {prefix: ", ".join(words) for prefix, words in found.items()}


def main(arguments: list[str]) -> int:
    """Measure, and print or write the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.conformance")
    parser.add_argument("peers", nargs="*", help=f"of {', '.join([*SERVERS, *CLIENTS])}")
    parser.add_argument("--write", action="store_true", help="put the tables into the note")
    given = parser.parse_args(arguments)
    lines: list[str] = []
    for title, names, check in (
        ("### Servers", SERVERS, server), ("### Clients", CLIENTS, client),
    ):  # fmt: skip
        reports = {}
        for name in names:
            if given.peers and name not in given.peers:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    reports[_version(name)] = check(name, Path(folder))
                except Missing as error:
                    print(f"left out: {name}: {error}", file=sys.stderr)
            print(f"{name}: done", file=sys.stderr, flush=True)
        lines += [title, "", *table(reports), ""]
    text = "\n".join(lines)
    print(text)
    if given.write:
        note = NOTE.read_text("utf-8")
        before, _, rest = note.partition(MARKS[0])
        behind = rest.partition(MARKS[1])[2]
        NOTE.write_text(f"{before}{MARKS[0]}\n\n{text}\n{MARKS[1]}{behind}", "utf-8")
    wrong = [r for p, r in reports.items() if p == "rawsio" and r["counts"]["FAILED"]]
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
