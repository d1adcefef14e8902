"""Acknowledged events arrive once and in order: ``python -m tests.soak.lossless [SECONDS]`` (600).

A server in its own process.  Clients of ours and official ones reach it through a relay that ends
connections at random times: with a FIN, with a reset, or after a silence.  Hostile peers send it
what is no HTTP, WebSocket or Socket.IO, floods, halves, and go.  Everyone counts:

* an event that was acknowledged was handled once; one whose fate its sender could not know, at
  most once; each sender's in the order in which they were sent;
* what the server told a client arrived once and in order, without a gap, unless the client was told
  that its session was not recovered;
* when everybody has gone, the server has no session and no more descriptors than at its start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import socket as sockets
import struct
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import rawsio
from rawsio import Client, Limits, Recovery, Server

from .servers import Process, serving
from .wire import frame, request, upgrade

__all__ = ["Relay", "Sender", "judge", "main"]

HERE = Path(__file__).parent
MODULE = "tests.soak.lossless"
WAYS = (["polling"], ["websocket"], ["polling", "websocket"])
ANSWER = 20.0
"""Seconds after which an event that neither failed nor was answered is an error."""
PAUSE = 0.004
"""Seconds between two events of one sender: the server is to be busy, not saturated."""

Tellings = list[tuple[int, bool]]
"""What a client heard: numbers, and whether a session that was not recovered lay before them."""


def serve() -> None:
    """Be the server: handle, tell, and report."""
    io = Server(
        ping_interval=2.0,
        ping_timeout=1.5,
        per_message_deflate=True,
        connection_state_recovery=Recovery(max_disconnection_duration=60.0),
        limits=Limits(connect_time=2.0),
    )
    handled: dict[str, list[int]] = defaultdict(list)
    told: Counter[str] = Counter()

    @io.on("connection")
    def connection(socket: Any) -> None:
        auth = socket.handshake.auth
        if auth and not socket.recovered:
            socket.join(f"inbox {auth['who']}")

    @io.on("add")
    def add(_socket: Any, who: str, number: int, _filling: Any) -> int:
        handled[who].append(number)
        return number

    @io.on("tell")
    def tell(_socket: Any, whom: str, filling: Any) -> int:
        told[whom] += 1
        io.to(f"inbox {whom}").emit("told", told[whom], filling)
        return told[whom]

    @io.of("/report").on("report")
    def report(_socket: Any) -> dict[str, Any]:
        return {"handled": handled, "told": told}

    @io.of("/report").on("sessions")
    def sessions(_socket: Any) -> int:
        return io.stats()["sessions"]

    print(io.listen()[1], flush=True)
    io.run()


class Relay:
    """TCP to the server and back, until a connection's time is over."""

    def __init__(self, target: tuple[str, int], rng: random.Random) -> None:
        self.target, self.rng = target, rng
        self.cuts: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.gentle = False
        """Whether connections are no longer ended."""

    async def start(self) -> tuple[asyncio.Server, str]:
        """Listen; return the listener and its URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """End every connection that is left."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)

    async def _serve(self, here: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):  # asyncio's streams log a cancelled one
            await self._relay(here, writer)

    async def _relay(self, here: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent = asyncio.Event()
        try:
            there, onward = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pumps = [
            asyncio.ensure_future(self._pump(here, onward, silent)),
            asyncio.ensure_future(self._pump(there, writer, silent)),
        ]
        how = "close"
        try:
            how = await self._live(pumps, silent)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in (writer, onward):
                if how == "close":
                    end.close()
                else:
                    end.transport.abort()

    async def _live(self, pumps: list[Any], silent: asyncio.Event) -> str:
        """Return how to end the connection, once it is to end or one side has ended it."""
        wait = asyncio.FIRST_COMPLETED
        await asyncio.wait(pumps, timeout=self.rng.expovariate(1 / 2.0) + 0.05, return_when=wait)
        if self.gentle or any(pump.done() for pump in pumps):
            await asyncio.wait(pumps, return_when=wait)
            return "close"
        how = self.rng.choice(("close", "reset", "silence"))
        self.cuts[how] += 1
        if how == "silence":
            silent.set()
            await asyncio.sleep(self.rng.uniform(0.5, 6.0))
        return how

    @staticmethod
    async def _pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if silent.is_set():
                    await asyncio.sleep(3600)
                writer.write(data)
                await writer.drain()


class Sender:
    """One of our clients: what it sent and how that ended, and what it was told."""

    def __init__(self, who: str, url: str, ways: list[Any]) -> None:
        self.who = who
        self.acked: list[int] = []
        self.unknown: list[int] = []
        self.heard: Tellings = []
        self.errors: list[str] = []
        self._fresh = True
        self._url, self._ways = url, ways
        self.client = self._made()

    def _made(self) -> Client:
        client = Client(
            self._url,
            auth={"who": self.who},
            transports=self._ways,
            reconnection_delay=0.02,
            reconnection_delay_max=0.3,
            timeout=5.0,
        )
        client.main.on("told", self._told)
        client.main.on("connect", self._connected)
        return client

    def _told(self, number: int, _filling: Any) -> None:
        self.heard.append((number, self._fresh))
        self._fresh = False

    def _connected(self) -> None:
        self._fresh = self._fresh or not self.client.main.recovered

    async def run(self, over: asyncio.Event, others: list[str], rng: random.Random) -> None:
        """Send until it is over, then hear what is still coming, and leave."""
        while True:
            try:
                async with self.client as socket:
                    await self._live(socket, over, others, rng)
                    return
            except rawsio.ConnectionClosed:  # the first attempt was cut, which is told at once
                self.client = self._made()

    async def _live(
        self, socket: Any, over: asyncio.Event, others: list[str], rng: random.Random
    ) -> None:
        number = 0
        while not over.is_set():
            number += 1
            filling: Any = rng.choice(("", "x" * 300, b"\0\xff" * 50, {"é": [1, None]}))
            await self._send(socket, "add", number, self.who, number, filling)
            await self._send(socket, "tell", None, rng.choice(others), filling)
            await asyncio.sleep(PAUSE)
        await asyncio.sleep(8.0)

    async def _send(self, socket: Any, name: str, number: int | None, *args: Any) -> None:
        try:
            await asyncio.wait_for(socket.emit_with_ack(name, *args), ANSWER)
        except rawsio.ConnectionClosed:
            if number is not None:
                self.unknown.append(number)
        except asyncio.TimeoutError:
            self.errors.append(f"{name} {args[0]} {number}: neither answered nor failed")
        else:
            if number is not None:
                self.acked.append(number)

    def record(self) -> dict[str, Any]:
        """Return what it saw, as the official clients print it."""
        parts = ("acked", "unknown", "heard", "errors")
        return {"who": self.who, **{part: getattr(self, part) for part in parts}}


async def be_hostile(address: tuple[str, int], over: asyncio.Event, rng: random.Random) -> int:
    """Send the server what no client sends, one connection after the other; return how many."""
    count = 0
    poll = request("transport=polling")
    texts = (
        b"\x16\x03\x01\x02\x00" + bytes(512),
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000,
        b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n"
        b"Content-Length: 9\r\n\r\n4",
        poll * 50,
        upgrade() + frame("40") + frame("42[") * 5,
        upgrade() + frame("40") + frame('42["add","hostile",1,2]') * 2_000,
        upgrade() + frame("40/nowhere,") * 100,
        upgrade() + frame('451-["x",{"_placeholder":true,"num":0}]'),
        upgrade() + b"\x81\xff" + b"\xff" * 200,
        upgrade() + bytes(rng.randrange(256) for _ in range(2_000)),
        upgrade() + frame("40") + frame("41") + frame("40"),
        bytes(rng.randrange(256) for _ in range(3_000)),
    )
    while not over.is_set():
        text = rng.choice(texts)
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*address)
            count += 1
            writer.write(text[: rng.randrange(1, len(text) + 1)] if rng.random() < 0.5 else text)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(reader.read(65536), rng.uniform(0.0, 0.2))
            if rng.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    sockets.SOL_SOCKET, sockets.SO_LINGER, linger
                )
            writer.close()
        await asyncio.sleep(rng.uniform(0.0, 0.05))
    return count


def judge(records: list[dict[str, Any]], report: dict[str, Any]) -> list[str]:
    """Return what was lost, doubled or out of order."""
    wrong = []
    for record in records:
        who, handled = record["who"], report["handled"].get(record["who"], [])
        times = Counter(handled)
        wrong += [f"{who}: {text}" for text in record["errors"]]
        found = {
            "acknowledged, not handled": [n for n in record["acked"] if n not in times],
            "handled twice": [n for n, count in times.items() if count > 1],
            "handled, never sent": sorted(times.keys() - {*record["acked"], *record["unknown"]}),
            "handled out of order": [b for a, b in itertools.pairwise(handled) if b < a],
        }
        wrong += [f"{who}: {what}: {numbers[:5]}" for what, numbers in found.items() if numbers]
        wrong += _gaps(who, record["heard"], report["told"].get(who, 0))
    return wrong


def _gaps(who: str, heard: Tellings, told: int) -> list[str]:
    wrong, last = [], 0
    for number, fresh in heard:
        if number <= last:
            wrong.append(f"{who}: told {number} after {last}")
        elif number != last + 1 and not fresh:
            wrong.append(f"{who}: told {number} after {last}, though it was recovered")
        last = number
    if last != told:
        wrong.append(f"{who}: {last} was the last it was told, of {told}")
    return wrong


async def load(server: Process, seconds: float, seed: int) -> tuple[list[dict[str, Any]], str]:
    """Let everybody in for some time; return what they saw, and a line of figures."""
    from tests.interop.run import install

    relay, over = Relay(server.address, random.Random(seed)), asyncio.Event()
    listener, url = await relay.start()
    names = [f"{kind} {n}" for kind in ("ours", "official") for n in range(12)]
    senders = [Sender(who, url, WAYS[n % 3]) for n, who in enumerate(names[:12])]
    node = await asyncio.create_subprocess_exec(
        "node",
        str(HERE / "lossless.js"),
        url,
        json.dumps(names[12:]),
        json.dumps(names),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 28,
        env={**os.environ, "NODE_PATH": str(install())},
    )
    hostile = [
        asyncio.ensure_future(be_hostile(server.address, over, random.Random(seed + n)))
        for n in range(1, 5)
    ]
    ours = [
        asyncio.ensure_future(one.run(over, names, random.Random(seed + n)))
        for n, one in enumerate(senders, 100)
    ]
    await asyncio.sleep(seconds / 2)
    half = server.resident()
    await asyncio.sleep(seconds / 2)
    grown = (server.resident() - half) / 1024
    over.set()
    relay.gentle = True
    output, _ = await node.communicate(b"over")
    await asyncio.gather(*ours)
    attacks = sum(await asyncio.gather(*hostile))
    listener.close()
    await relay.close()
    records = [*(one.record() for one in senders), *json.loads(output)]
    cuts = f"{sum(relay.cuts.values())} cuts {dict(relay.cuts)}, {attacks} hostile peers"
    return records, f"{cuts}; memory {half / 1024:.1f} MB half way, {grown:+.1f} MB since"


def descriptors(server: Process) -> int:
    """Return how many descriptors the server has open."""
    return len(os.listdir(f"/proc/{server.child.pid}/fd"))


def ask(server: Process, what: str) -> Any:
    """Return what the server says about itself."""
    with rawsio.connect(f"http://127.0.0.1:{server.address[1]}/report") as socket:
        return socket.emit_with_ack(what).result(30.0)


def main(arguments: list[str]) -> int:
    """Run the soak; return 1 if anything was lost, doubled, out of order, or left over."""
    if arguments[:1] == ["serve"]:
        serve()
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.soak.lossless")
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with serving(MODULE) as server:
        ask(server, "sessions")
        before, left = descriptors(server), 0
        records, figures = asyncio.run(load(server, given.seconds, given.seed))
        wrong = judge(records, report := ask(server, "report"))
        end = time.monotonic() + 30.0
        while descriptors(server) > before or (left := ask(server, "sessions") - 1):
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        after = descriptors(server)
        wrong += [f"{after} descriptors, {before} at the start"] if after > before else []
        wrong += [f"{left} sessions are left"] if left else []
    parts = {part: sum(len(one[part]) for one in records) for part in ("acked", "unknown", "heard")}
    fresh = sum(1 for one in records for _, new in one["heard"] if new)
    print(f"{parts['acked']:,} events acknowledged, {parts['unknown']:,} of unknown fate")
    print(f"{parts['heard']:,} of {sum(report['told'].values()):,} tellings heard,", end=" ")
    print(f"{fresh} times after a session that was not recovered")
    print(f"{figures}; descriptors {before} -> {after}")
    print("\n".join(wrong[:40]) or "nothing was lost, doubled, out of order or left over")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
