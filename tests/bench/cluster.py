"""Broadcasts through Redis, beside Node's servers: ``python -m tests.bench.cluster [ADAPTER ...]``.

Two servers of each kind share a Redis, with 100 clients on each.  One emits, and every client of
both receives.  What counts is a ratio: messages in a second, and the processor time of both servers
for each delivery.  Below it stands what decoding a message alone costs.  Node's modules are those
that the interoperability suites install, or ``NODE_PATH``.
"""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rawsio.app.adapter import Targets
from rawsio.cluster.classic import ClassicFormat
from rawsio.cluster.envelope import Envelope
from rawsio.cluster.messages import Broadcast
from rawsio.cluster.stream_form import StreamForm
from tests.interop.cluster import HERE, Member, until
from tests.interop.cluster_peers import answers
from tests.interop.redis_client import free_port
from tests.interop.run import install

__all__ = ["Receivers", "connected_client", "main", "processor_time"]

CLIENTS = 100
BURST = 20
BURSTS = 25
TEXT = "x" * 40
FRAME = 2 + len(f'42["bench","{TEXT}"]')
TICK = os.sysconf("SC_CLK_TCK")


def connected_client(url: str) -> socket.socket:
    """Return a connected WebSocket in the main namespace, from bare bytes."""
    host, port = url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), 10)
    sock.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    received = b""
    while b"pingInterval" not in received or not received.endswith(b"}"):
        received += sock.recv(4096)
    sock.sendall(b"\x81\x82\x00\x00\x00\x0040")
    received = b""
    while not received.endswith(b'"}'):
        received += sock.recv(4096)
    return sock


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Receivers:
    """So many clients of each server; they count bytes."""

    def __init__(self, urls: list[str], clients: int = CLIENTS) -> None:
        self.selector = selectors.DefaultSelector()
        self.socks = [connected_client(url) for url in urls for _ in range(clients)]
        for sock in self.socks:
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ)

    def wait(self, messages: int, frame: int = FRAME) -> None:
        """Wait until every client has so many messages more, of ``frame`` bytes each."""
        left = messages * frame * len(self.socks)
        end = time.monotonic() + 60
        while left > 0:
            if time.monotonic() > end:
                raise AssertionError(f"{left} bytes never came")
            for key, _mask in self.selector.select(1):
                left -= len(key.fileobj.recv(1 << 20))  # type: ignore[union-attr]

    def close(self) -> None:
        for sock in self.socks:
            sock.close()
        self.selector.close()


def _measure(kind: str, adapter: str, url: str) -> tuple[float, float]:
    """Return messages a second, and microseconds of processor time for a delivery."""
    command = (
        ["node", str(HERE / "cluster_server.js")]
        if kind == "node"
        else [sys.executable, "-m", "tests.interop.cluster_server"]
    )
    options = ["--redis", url, "--adapter", adapter]
    members = [Member(kind, n, [*command, *options]) for n in (1, 2)]
    try:
        until(lambda: len(members[0].do("fetch")) == 2)
        receivers = Receivers([member.url for member in members])
        pids = [member.child.pid for member in members]
        _burst(members[0], receivers)  # warm
        before, began = sum(map(processor_time, pids)), time.monotonic()
        for _ in range(BURSTS):
            _burst(members[0], receivers)
        seconds = time.monotonic() - began
        used = sum(map(processor_time, pids)) - before
        receivers.close()
    finally:
        for member in members:
            member.end()
    deliveries = BURST * BURSTS * 2 * (CLIENTS + 1)
    return BURST * BURSTS / seconds, used / deliveries * 1e6


def _burst(asked: Member, receivers: Receivers) -> None:
    asked.control_socket.emit("do", "burst", {"args": ["bench", TEXT], "count": BURST})
    receivers.wait(BURST)


def _decoding() -> None:
    """Say what a message costs to decode, and nothing else."""
    message: Any = Broadcast("uid", ["bench", TEXT], Targets())
    classic, sharded, streams = ClassicFormat("/"), Envelope("/"), StreamForm("/")
    channel, payload = classic.encode(message)
    text = sharded.encode(message)
    words = [word.encode() for word in streams.entry(message)]
    fields = dict(zip(words[::2], words[1::2], strict=True))
    for name, decode in (
        ("classic", lambda: classic.decode(channel, payload)),
        ("sharded", lambda: sharded.decode(text)),
        ("streams", lambda: streams.read_entry(fields)),
    ):
        began = time.process_time()
        for _ in range(5000):
            decode()
        print(f"decoding alone, {name}: {(time.process_time() - began) / 5000 * 1e6:.1f} us")


def main(chosen: list[str]) -> int:
    """Measure each adapter, the kinds in turn, and print the ratios."""
    if "NODE_PATH" not in os.environ:
        os.environ["NODE_PATH"] = str(install())
    rows = [
        "| adapter | Node: msg/s | rawsio: msg/s | ratio | Node: us/delivery | rawsio | ratio |"
    ]
    rows.append("|---|---|---|---|---|---|---|")
    for adapter in chosen or ("classic", "sharded", "streams"):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            redis = subprocess.Popen(
                [
                    *("redis-server", "--port", str(port), "--save", "", "--appendonly", "no"),
                    *("--dir", folder),
                ],
                stdout=subprocess.DEVNULL,
            )
            try:
                until(lambda port=port: answers(port))
                url = f"redis://127.0.0.1:{port}"
                kinds = ("node", "rawsio", "node", "rawsio")
                found = [_measure(kind, adapter, url) for kind in kinds]
            finally:
                redis.kill()
                redis.wait()
        node, ours = (
            (max(a[0], b[0]), min(a[1], b[1]))
            for a, b in ((found[0], found[2]), (found[1], found[3]))
        )
        rows.append(
            f"| {adapter} | {node[0]:.0f} | {ours[0]:.0f} | {ours[0] / node[0]:.2f} | "
            f"{node[1]:.2f} | {ours[1]:.2f} | {ours[1] / node[1]:.2f} |"
        )
    print("\n".join(rows))
    _decoding()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
