"""How long the collector stops everybody: ``python -m tests.bench.pauses [CONNECTIONS]`` (10,000).

A server in its own process holds idle WebSocket clients, each in a namespace and a room.  Then 32
clients keep it busy with events of several kinds, some come and go, and one quiet client asks every
few milliseconds.  Told are the longest collections by generation, while the clients came and
afterwards, and how long the quiet client waited; first in a loop of the program's own, which leaves
the collector alone, then under ``Server.run()``, which keeps it from what has lived long.
``--check`` fails if a collection took longer than 10 ms there.  A collection is measured in CPU
time, which other programs do not stretch; the waits are the clock's.
"""

from __future__ import annotations

import argparse
import gc
import json
import selectors
import sys
import time
from typing import Any

from rawsio import Limits, Server
from tests.soak.servers import Process, serving
from tests.soak.wire import Client, frame, upgrade

__all__ = ["main", "report"]

MODULE = "tests.bench.pauses"
BOUND = 10.0
"""Milliseconds that a collection may take."""
EVENTS = (
    '42["echo","a short text"]',
    '421["echo",{"nested":[1,2.5,null,{"é":"ü"}],"more":[true,false]}]',
    '42["keep",{"a":[1,2,3],"b":{"c":"d"}}]',
    '42["room",1]',
)


def serve(how: str) -> None:
    """Be the server."""
    io = Server(
        ping_interval=1000.0,
        ping_timeout=1000.0,
        limits=Limits(sessions=20_000, connections=20_000),
    )
    pauses: list[tuple[int, float]] = []
    began = [0.0]

    def noted(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            began[0] = time.thread_time()
        else:
            pauses.append((info["generation"], (time.thread_time() - began[0]) * 1e3))

    gc.callbacks.insert(0, noted)
    kept: list[Any] = []

    @io.on("connection")
    def connection(socket: Any) -> None:
        socket.join("all")
        socket.data = {"name": "somebody", "since": 1}

    @io.on("echo")
    def echo(socket: Any, value: Any) -> Any:
        socket.emit("echo", value)
        return value

    @io.on("keep")
    def keep(_socket: Any, value: Any) -> None:
        kept.append(value)
        del kept[:-1000]

    @io.on("room")
    def room(socket: Any, _number: int) -> None:
        socket.join("some")
        socket.leave("some")

    @io.on("report")
    def take_report(_socket: Any) -> list[tuple[int, float]]:
        taken = pauses[:]
        pauses.clear()
        return taken

    print(io.listen()[1], flush=True)
    if how == "plain":  # a loop of one's own leaves the collector alone
        while not io.closed:
            io.step()
    io.run()


def joined(address: tuple[str, int]) -> Client:
    """Return a client in the namespace."""
    client = Client(address)
    client.say(upgrade(), frame("40"))
    client.wait_for(b'40{"sid"')
    client.heard.clear()
    return client


def asked(client: Client) -> list[tuple[int, float]]:
    """Return what the server noted since it was asked before."""
    client.say(frame('427["report"]'))
    client.wait_for(b"]]]")
    text = bytes(client.heard).partition(b"437")[2].decode()
    client.heard.clear()
    found: list[tuple[int, float]] = json.loads(text)[0]
    return found


def longest(pauses: list[tuple[int, float]]) -> str:
    """Return the longest collection of each generation, and how many there were."""
    parts = []
    for generation in range(3):
        times = [ms for found, ms in pauses if found == generation]
        parts.append(f"{max(times, default=0.0):.2f} ms of {len(times):,}")
    return "  ".join(f"gen {n}: {part}" for n, part in enumerate(parts))


def busy(address: tuple[str, int], quiet: Client, seconds: float) -> list[float]:
    """Keep the server busy; return how long the quiet client waited each time, in ms."""
    chooser, waits = selectors.DefaultSelector(), []
    turns: dict[Client, int] = {}

    def ask(client: Client) -> None:
        turns[client] = turns.get(client, 0) + 1
        client.say(frame('421["echo",1]'), frame(EVENTS[turns[client] % 4]))

    def come() -> None:
        client = joined(address)
        chooser.register(client.sock, selectors.EVENT_READ, client)
        ask(client)

    for _ in range(32):
        come()
    chooser.register(quiet.sock, selectors.EVENT_READ, quiet)
    end, sent, due = time.perf_counter() + seconds, 0.0, 0.0
    while (now := time.perf_counter()) < end:
        if not sent and now > due:
            sent = now
            quiet.say(frame('429["echo",0]'))
        for key, _ in chooser.select(0.001):
            client: Client = key.data
            client.sock.recv(65536)
            if client is quiet:
                waits.append((time.perf_counter() - sent) * 1e3)
                sent, due = 0.0, time.perf_counter() + 0.003
            elif turns[client] > 400:
                chooser.unregister(client.sock)
                client.close()
                del turns[client]
                come()
            else:
                ask(client)
    chooser.close()
    return waits


def report(server: Process, count: int, seconds: float) -> float:
    """Print the figures; return the longest collection, in ms."""
    quiet = joined(server.address)
    began = time.perf_counter()
    idle = [joined(server.address) for _ in range(count)]
    came, memory = time.perf_counter() - began, server.resident() / 1024
    print(f"{count:,} connections in {came:.1f} s, {memory:.0f} MB")
    coming = asked(quiet)
    print(f"  while they came   {longest(coming)}")
    waits = sorted(busy(server.address, quiet, seconds))
    quiet.heard.clear()
    pauses = asked(joined(server.address))
    print(f"  under mixed load  {longest(pauses)}")
    shown = "  ".join(
        f"p{part:g} {waits[int(len(waits) * part / 100)]:.2f}" for part in (50, 99, 99.9)
    )
    print(f"  a quiet client waits, ms: {shown}  max {waits[-1]:.2f}  ({len(waits):,} times)")
    del idle
    return max((ms for _, ms in coming + pauses), default=0.0)


def main(arguments: list[str]) -> int:
    """Print the figures of both."""
    if arguments[:1] == ["serve"]:
        serve(arguments[1])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pauses")
    parser.add_argument("connections", nargs="?", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(arguments)
    gc.disable()
    for how in ("plain", "run"):
        print("a loop of one's own" if how == "plain" else "Server.run()")
        with serving(MODULE, how) as server:
            worst = report(server, given.connections, given.seconds)
    if given.check and worst > BOUND:
        print(f"a collection of {worst:.1f} ms: at most {BOUND:g} were to be")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
