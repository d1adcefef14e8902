"""How long a quiet client waits beside floods: ``python -m tests.bench.starvation [--check]``.

The quiet client asks for an acknowledgement every few milliseconds, over a WebSocket, while one or
eight other connections send what is dear to a server as fast as it takes it.  Printed are for each
kind of flood the median, the 99th percentile and the maximum of the waits in milliseconds, for
rawsio and, where node finds ``socket.io`` (in ``.interop/npm`` or ``NODE_PATH``), for the official
server in the same run.  Server, flooders and the quiet client are processes of their own.

The official server is asked as often, but for no longer than ``--seconds`` in a row.

``--check`` ends with 1 where rawsio's 99th percentile is above 50 ms, or more than 10 ms above that
of the official server.  ``--kinds``, ``--flooders`` and ``--asks`` choose less; ``--loop asyncio``
runs rawsio on asyncio's loop; ``--told N`` is the other measurement: the waits beside broadcasts to
``N`` receivers, one a second.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import socket
import subprocess
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path

__all__ = ["KINDS", "main"]

ROOT = Path(__file__).resolve().parents[2]
MOST = 0.050
"""Seconds that the 99th percentile may be."""
MOST_TOLD = 0.025
"""Seconds that the longest wait after a broadcast may be, in the median of the broadcasts."""
EQUAL = 0.010
"""Seconds by which it may be above that of the official server."""
PATIENCE = 20.0

RAWSIO = """
import sys
from rawsio import Server
parser = None
if sys.argv[2] == "msgpack":
    from rawsio.socketio.msgpack import MsgpackParser
    parser = MsgpackParser()
io = Server(per_message_deflate=sys.argv[2] == "deflate", parser=parser)
io.on("e", lambda socket, *values: "ok")
@io.on("j")
def rooms(socket):
    for number in range(100):
        socket.join(f"room {number}")
    for number in range(100):
        socket.leave(f"room {number}")
io.on("b", lambda socket: io.emit("news", "x" * 64))
io.listen("127.0.0.1", int(sys.argv[1]))
print("up", flush=True)
if sys.argv[3] == "asyncio":
    import asyncio
    asyncio.run(io.serve())
else:
    io.run()
"""
OFFICIAL = """
const { Server } = require("socket.io");
const options = { perMessageDeflate: process.argv[2] === "deflate" };
if (process.argv[2] === "msgpack") options.parser = require("socket.io-msgpack-parser");
const io = new Server(options);
io.on("connection", (s) => {
  s.on("j", () => {
    for (let n = 0; n < 100; n++) s.join("room " + n);
    for (let n = 0; n < 100; n++) s.leave("room " + n);
  });
  s.on("e", (...a) => { const f = a.pop(); if (typeof f === "function") f("ok"); });
  s.on("b", () => io.emit("news", "x".repeat(64)));
});
io.listen(+process.argv[1], { host: "127.0.0.1" });
setTimeout(() => console.log("up"), 300);
"""


def frame(data: bytes | str, first: int = 0x81) -> bytes:
    """Return a masked frame whose mask is zero."""
    data = data.encode() if isinstance(data, str) else data
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + b"\0\0\0\0" + data


def deflated(data: bytes) -> bytes:
    """Return a compressed text frame."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return frame((stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4], 0xC1)


def finals(count: int) -> bytes:
    """Return a compressed text frame of so many final blocks, each of which ends a stream."""
    head, tail = b'42["z","', b'"]'
    data = [head, *[b"a"] * (count - 2), tail]
    blocks = b"".join(
        b"\x01" + len(d).to_bytes(2, "little") + (len(d) ^ 0xFFFF).to_bytes(2, "little") + d
        for d in data
    )
    return frame(blocks + b"\0", 0xC1)


LISTS = b'42["z",[' + b"[]," * 330_000 + b"0]]"
PAIRS = b'42["z",[' + b"[1,2]," * 165_000 + b"0]]"
NESTS = b'42["z"' + (b"," + b"[" * 90 + b"]" * 90) * 3_880 + b"]"
TREES = b'42["z",[' + b'{"a":[{}]},' * 66_000 + b"0]]"
FRACTIONS = b'42["z",[' + b"0.1," * 247_000 + b"0]]"
PLACED = b'451-["z",{"_placeholder":true,"num":0}' + b',{"a":0}' * 120_000 + b"]"
PACKED = b"\x82\xa4type\x00\xa3nsp\xa1/"
ASKED = b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1e\xa2id\x01"
MAPS = (
    b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1z\xdd"
    + (198_000).to_bytes(4, "big")
    + b"\x81\xa1a\xc0" * 198_000
)
TEXTS = (
    b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1z\xdd"
    + (495_000).to_bytes(4, "big")
    + b"\xa1a" * 495_000
)
NUMBERS = b'42["z",[' + b"0," * 495_000 + b"0]]"
OBJECTS = b'42["z",[' + b'{"a":1},' * 20_000 + b"0]]"
ATTACHMENT = frame('451-["z",{"_placeholder":true,"num":0}]') + frame(b"x" * 100, 0x82)
MISSING = b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKS = (
    b"POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\na\r\n" * 20_000
    + b"0\r\n\r\n"
)
PACKETS = b"\x1e".join([b"41", b"40"] * 500)

KINDS: dict[str, tuple[str, bytes]] = {
    "events": ("websocket", frame('42["z"]') * 20_000),
    "acked": ("websocket", frame('420["e"]') * 20_000),
    "pings": ("websocket", frame("", 0x89) * 20_000),
    "unknown": ("websocket", frame("40/a") * 20_000),
    "rejoin": ("websocket", (frame("41") + frame("40")) * 10_000),
    "binary": ("websocket", ATTACHMENT * 1000),
    "fragments": ("websocket", (frame('42["z"]', 1) + frame("", 0) * 1000 + frame("", 0x80)) * 20),
    "json": ("websocket", frame(LISTS)),
    "objects": ("websocket", frame(OBJECTS)),
    "pairs": ("websocket", frame(PAIRS)),
    "trees": ("websocket", frame(TREES)),
    "nests": ("websocket", frame(NESTS)),
    "fractions": ("websocket", frame(FRACTIONS)),
    "placed": ("websocket", frame(PLACED) + frame(b"x", 0x82)),
    "maps": ("msgpack", frame(MAPS, 0x82)),
    "texts": ("msgpack", frame(TEXTS, 0x82)),
    "rooms": ("websocket", frame('42["j"]') * 2000),
    "bomb": ("deflate", deflated(LISTS) * 100),
    "numbers": ("deflate", deflated(NUMBERS) * 100),
    "text": ("deflate", deflated(b'42["z","' + b"a" * 990_000 + b'"]') * 100),
    "finals": ("deflate", finals(60) * 500),
    "missing": ("http", MISSING * 1000),
    "chunks": ("http", CHUNKS),
    "posts": ("polling", PACKETS),
}
"""Kind -> what a flooder speaks, and what it sends again and again."""


class Flooder:
    """One connection that sends on and on, and dials anew if it is cut off."""

    def __init__(self, port: int, speaks: str, data: bytes) -> None:
        self.port = port
        self.speaks = speaks
        self.data = data
        self.at = self.sent = 0
        self.heard = b""
        self.dial()

    def dial(self) -> None:
        self.at = 0
        if self.speaks in ("websocket", "deflate", "msgpack"):
            self.sock = websocket(self.port, self.speaks)
        else:
            self.sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
            if self.speaks == "polling":
                self.begin_polling()
        self.sock.setblocking(False)

    def begin_polling(self) -> None:
        target = "/socket.io/?EIO=4&transport=polling"
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        heard = self.sock.recv(65536)
        while b'"sid":"' not in heard:
            heard += self.sock.recv(65536)
        sid = heard.split(b'"sid":"')[1].split(b'"')[0].decode()
        post = f"POST {target}&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: {{}}\r\n\r\n"
        poll = f"GET {target}&sid={sid} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        self.sock.sendall(post.format(2).encode() + b"40" + poll)
        self.heard = b""
        self.cycle = post.format(len(PACKETS)).encode() + PACKETS + poll

    def work(self, *, readable: bool, writable: bool) -> None:
        with suppress(BlockingIOError):
            if readable:
                heard = self.sock.recv(1 << 18)
                if not heard:
                    raise ConnectionResetError
                self.heard = (self.heard + heard)[-4096:] if self.speaks == "polling" else b""
            if self.speaks == "polling":
                self.ask_again()
            elif writable:
                took = self.sock.send(memoryview(self.data)[self.at : self.at + 262_144])
                self.sent += took
                self.at = (self.at + took) % len(self.data)

    def ask_again(self) -> None:
        # A poll and a post at a time: the next ones when both are answered.
        if self.at == 0 and b"\r\n\r\n" in self.heard.rpartition(b"HTTP/1.1 200")[2]:
            self.heard, self.data, self.at = b"", self.cycle, -1
        if self.at < 0:
            self.data = self.data[self.sock.send(self.data) :]
            self.at = 0 if not self.data else -1


def websocket(port: int, speaks: str = "websocket") -> socket.socket:
    """Return a connection that is in the main namespace."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if speaks == "deflate" else b""
    sock.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n" + offer + b"\r\n"
    )
    heard = b""
    while _frames(heard) < 1:
        heard += _some(sock)
    sock.sendall(frame(PACKED, 0x82) if speaks == "msgpack" else frame("40"))
    while _frames(heard) < 2:
        heard += _some(sock)
    return sock


def _frames(heard: bytes) -> int:
    """Return how many whole frames of less than 126 bytes follow the head of the answer."""
    rest, count = heard.partition(b"\r\n\r\n")[2], 0
    while len(rest) > 1 and len(rest) >= 2 + rest[1]:
        rest, count = rest[2 + rest[1] :], count + 1
    return count


def _some(sock: socket.socket) -> bytes:
    heard = sock.recv(65536)
    if not heard:
        raise ConnectionResetError
    return heard


def flood(port: int, kind: str, count: int) -> None:
    """Be the flooders, until killed."""
    speaks, data = KINDS[kind]
    flooders = [Flooder(port, speaks, data) for _ in range(count)]
    print("up", flush=True)
    while True:
        socks = {flooder.sock: flooder for flooder in flooders}
        readable, writable, _ = select.select(list(socks), list(socks), [], 0.05)
        for sock in {*readable, *writable}:
            flooder = socks[sock]
            try:
                flooder.work(readable=sock in readable, writable=sock in writable)
            except OSError:
                sock.close()
                time.sleep(0.01)
                with suppress(OSError):
                    flooder.dial()
        time.sleep(0.0005)


def listen(port: int, count: int) -> None:
    """Be the receivers of broadcasts, until killed; read what comes, and drop it."""
    import selectors

    os.nice(19)  # receivers are elsewhere: here they would take the core from the server

    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = websocket(port)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    print("up", flush=True)
    while True:
        for key, _mask in selector.select():
            with suppress(BlockingIOError):
                if not key.fileobj.recv(65536):  # type: ignore[union-attr]
                    selector.unregister(key.fileobj)
        time.sleep(0.005)


def ask(
    port: int,
    asks: int,
    pause: float,
    speaks: str = "websocket",
    told: float = 0.0,
    worst: list[float] | None = None,
    most: float = float("inf"),
) -> list[float]:
    """Be the quiet client: return the waits, sorted, of ``most`` seconds.

    ``told`` seconds are between broadcasts; the longest wait after each goes into ``worst``.
    """
    waits: list[float] = []
    packed = speaks == "msgpack"
    question = frame(ASKED, 0x82) if packed else frame('421["e"]')
    answer = b"type\x03" if packed else b"431"
    try:
        sock = websocket(port, "msgpack" if packed else "websocket")
        teller = websocket(port) if told else None
        next_told = time.perf_counter()
        end = next_told + most
        for _ in range(asks):
            if time.perf_counter() > end:
                break
            if teller is not None and time.perf_counter() > next_told:
                teller.sendall(frame('42["b"]'))
                next_told += told
                if worst is not None:
                    worst.append(0.0)
            began = time.perf_counter()
            sock.sendall(question)
            while answer not in _some(sock):
                pass
            waits.append(time.perf_counter() - began)
            if worst:
                worst[-1] = max(worst[-1], waits[-1])
            time.sleep(pause)
    except OSError:
        waits.append(PATIENCE)
    return sorted(waits)


class Child:
    """A process that says when it is up, and is killed in the end."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}, cwd=ROOT
        )
        if self.process.stdout is None or not self.process.stdout.readline():
            raise RuntimeError(f"it did not start: {command[:3]}")

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _server(name: str, speaks: str, loop: str) -> tuple[Child, int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if name == "rawsio":
        return Child([sys.executable, "-c", RAWSIO, str(port), speaks, loop]), port
    env = {"NODE_PATH": os.environ.get("NODE_PATH", str(ROOT / ".interop/npm/node_modules"))}
    return Child(["node", "-e", OFFICIAL, str(port), speaks], env), port


def _me(*arguments: object) -> Child:
    return Child([sys.executable, "-m", "tests.bench.starvation", *map(str, arguments)])


def measure(name: str, kind: str, flooders: int, options: argparse.Namespace) -> list[float]:
    """Return the waits of one server beside one flood, sorted."""
    server, port = _server(name, KINDS[kind][0], options.loop)
    with server, _me("--flood", port, kind, flooders):
        time.sleep(0.5)
        most = float("inf") if name == "rawsio" else options.seconds
        return ask(port, options.asks, options.pause, KINDS[kind][0], most=most)


def _at(waits: list[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))]


def _cells(waits: list[float]) -> str:
    return " | ".join(f"{_at(waits, share) * 1e3:.1f}" for share in (0.5, 0.99, 1.0))


def _official() -> bool:
    modules = os.environ.get("NODE_PATH", str(ROOT / ".interop/npm/node_modules"))
    return shutil.which("node") is not None and (Path(modules) / "socket.io").is_dir()


def _table(options: argparse.Namespace) -> list[str]:
    names = ["rawsio", *(["official"] if _official() and not options.alone else [])]
    print("waits of a quiet client in ms\n")
    print("| flood | flooders | " + " | ".join(f"{n} p50 | p99 | max" for n in names) + " |")
    print("|---" * (2 + 3 * len(names)) + "|")
    wrong = []
    for kind in options.kinds:
        for flooders in options.flooders:
            found = {name: measure(name, kind, flooders, options) for name in names}
            cells = " | ".join(_cells(found[name]) for name in names)
            print(f"| {kind} | {flooders} | {cells} |", flush=True)
            bounds = [MOST]
            if "official" in found:
                bounds.append(_at(found["official"], 0.99) + EQUAL)
            if _at(found["rawsio"], 0.99) > min(bounds):
                wrong.append(f"{kind} x{flooders}")
    return wrong


def _broadcasts(options: argparse.Namespace) -> list[str]:
    server, port = _server("rawsio", "websocket", options.loop)
    each = 500
    with server:
        listeners = [_me("--listen", port, each) for _ in range(options.told // each)]
        try:
            worst: list[float] = []
            waits = ask(port, options.asks, options.pause, "websocket", 1.0, worst)
        finally:
            for listener in listeners:
                listener.__exit__()
    longest = sorted(worst)[len(worst) // 2]
    print(f"beside {len(worst)} broadcasts to {options.told}: p50 | p99 | max = {_cells(waits)} ms")
    print(f"the longest wait after each, in the median: {longest * 1e3:.1f} ms")
    return [] if longest <= MOST_TOLD else ["broadcasts"]


def main(arguments: list[str]) -> int:
    """Print the table; with ``--check`` return 1 if a wait is too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.starvation")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--flooders", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--asks", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=0.003)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the official server")
    parser.add_argument("--loop", choices=["own", "asyncio"], default="own")
    parser.add_argument("--alone", action="store_true", help="without the official server")
    parser.add_argument("--told", type=int, default=0)
    parser.add_argument("--flood", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--listen", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.flood:
        flood(int(options.flood[0]), options.flood[1], int(options.flood[2]))
    if options.listen:
        listen(*options.listen)
    wrong = _broadcasts(options) if options.told else _table(options)
    print(f"\ntoo long: {', '.join(wrong) or 'nothing'}")
    return 1 if wrong and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
