"""A Python without one of its optional modules: the rest goes on, and what is missing is named.

Distributions leave modules out, and small systems are built without libraries.  Each is blocked in
a child process, which runs a server and a client through everything that needs no module.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

_RUN = """
from rawsio import Client, Limits, Server, folder
# A dozen of these run at a time: how slow that is is no matter here.
io = Server(app=folder(sys.argv[2]), limits=Limits(slow_handler=60.0))

@io.on("echo")
def echo(socket, *values):
    socket.broadcast.emit("heard", *values)
    return values

@io.on("big")
def big(socket, size):
    return "x" * size

from time import monotonic
def turns(done):
    end = monotonic() + 60
    while monotonic() < end:
        if done():
            return
        for one in (io, *clients):
            one.step(0.005)
    raise AssertionError("it never came to that")

def connected(transports):
    client = Client(f"http://127.0.0.1:{port}", transports=transports)
    clients.append(client)
    socket = client.main.connect()
    turns(lambda: socket.connected and client.net.streams)
    return socket

def asked(socket, *values):
    reply = socket.emit_with_ack(*values)
    turns(reply.done)
    return reply.result()

clients, heard = [], []
port = io.listen("127.0.0.1", 0)[1]
for transports in (["polling"], ["websocket"], ["polling", "websocket"]):
    first, second = connected(transports), connected(transports)
    second.on("heard", lambda *values: heard.append(values))
    assert asked(first, "echo", "text", b"bytes", {"deep": [b"er"]}) is not None
    turns(lambda: heard)
    assert heard.pop() == ("text", b"bytes", {"deep": [b"er"]})
    assert asked(first, "big", 5000) == "x" * 5000
    for client in clients:
        client.close()
    turns(lambda: all(client.closed for client in clients))
    clients.clear()

import socket
def page(path):
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"GET %b HTTP/1.0\\r\\nAccept-Encoding: gzip\\r\\n\\r\\n" % path)
        wire.setblocking(False)
        got = b""
        def done():
            nonlocal got
            try:
                data = wire.recv(100_000)
            except BlockingIOError:
                return False
            got += data
            return not data
        turns(done)
        return got
assert b" 200 " in page(b"/socket.io/socket.io.js")[:15]
assert b" 200 " in page(b"/page.html")[:15]
io.close()
turns(lambda: io.closed)
from rawsio.testing import TestKit
from rawsio import Recovery
from rawsio.explain import as_text, explain_engineio
io, seen = Server(connection_state_recovery=Recovery()), []
jobs = io.queue("jobs", namespace="/jobs")
jobs.handler(lambda message: seen.append(message.body))
with TestKit(io) as kit:
    client = kit.connect()
    kit.connect("/jobs").emit("publish", "jobs", {"a": b"1"})
    io.emit("told", 1)
    kit.run()
    kit.cut(client)
    kit.advance(10)
    assert (client.connected, client.recovered, seen) == (True, True, [{"a": b"1"}])
assert "EVENT" in as_text(explain_engineio('42["a"]'))
for name in [name for name, module in sys.modules.items() if module is None]:
    del sys.modules[name]  # the interpreter looks for threading at its end
"""

# Alone, what rawsio uses itself; together, what is left out with a library, and what is far away.
_MISSING = (
    *(["zlib"], ["ssl"], ["asyncio"], ["threading"], ["logging"], ["sqlite3"], ["hashlib"]),
    *(["signal"], ["mimetypes"], ["concurrent.futures"]),
    ["_ssl", "_sqlite3", "_hashlib", "_decimal", "_ctypes", "_posixsubprocess"],
    ["multiprocessing", "ctypes", "bz2", "readline", "curses"],
)
_WAYS = {
    ", ".join(names): f"sys.modules.update(dict.fromkeys({names!r}))" for names in _MISSING
} | {
    "no epoll and no poll": "import select; del select.epoll, select.poll",
    "no IPv6": "import socket; socket.has_ipv6 = False; socket.has_dualstack_ipv6 = lambda: False",
    "no fork": "import os; del os.fork, os.register_at_fork",
}


@pytest.mark.skipif(sys.platform == "win32", reason="what is taken away is POSIX's")
def test_a_server_and_a_client_need_no_optional_module(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "page.html").write_text("<p>hi")
    children = {
        name: subprocess.Popen(
            [sys.executable, "-c", f"import sys; {way}\n{_RUN}", name, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, way in _WAYS.items()
    }
    said = {
        name: (child.communicate(timeout=120)[0], child.wait()) for name, child in children.items()
    }
    assert said == dict.fromkeys(children, ("", 0))


@pytest.mark.parametrize(
    ("missing", "use", "words"),
    [
        ("zlib", "rawsio.Server(per_message_deflate=True)", "zlib"),
        ("zlib", "rawsio.Client('http://a', per_message_deflate=True)", "zlib"),
        ("threading", "rawsio.connect('http://127.0.0.1:1')", "threading"),
        ("asyncio", "rawsio.Server().serve().send(None)", "asyncio"),
        ("ssl", "rawsio.Client('https://127.0.0.1:1')", "ssl"),
    ],
)
def test_what_needs_a_module_that_is_missing_names_it(missing: str, use: str, words: str) -> None:
    program = (
        f"import sys, rawsio; sys.modules[{missing!r}] = None\n"
        f"try: {use}\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        f"del sys.modules[{missing!r}]"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert words in done.stdout, done
