"""One process, and one and two workers: ``python -m tests.bench.workers [--rounds N] [--check]``.

What counts is the processor time of all processes of the server, the parent's among it, for each
echo (an event there and back, 1 and 16 at a time on each connection) and for each delivery of a
broadcast to 100 clients; and, beside it, the processor time for a client that connects, by
polling, asks, and leaves.  Echoes in a second depend on how many cores are free: the load generator
takes one.  The kinds take turns, and the best of the rounds counts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rawsio import Server
from rawsio.workers import Place, run_workers
from tests.soak.workers import Client

from .cluster import FRAME, TEXT, Receivers, processor_time

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
KINDS = {"one process": 0, "1 worker": 1, "2 workers": 2}
CLIENTS, BROADCAST_TO, AT_A_TIME = 32, 100, 16
SECONDS = 3.0
MOST = 1.15
"""What an echo or a delivery may cost at most, beside one process."""


def _frame(text: str) -> bytes:
    """Return a short text message of a client, masked with zeros."""
    data = text.encode()
    return b"\x81" + bytes([0x80 | len(data)]) + bytes(4) + data


ECHO = _frame(f'42["bench","{TEXT}"]')
ASK_ALL = _frame(f'42["all","{TEXT}"]')


def _serve(workers: int) -> None:
    io = Server(max_http_buffer_size=1 << 20)
    io.on("bench")(lambda socket, text: socket.emit("bench", text))
    io.on("all")(lambda _socket, text: io.emit("bench", text))
    io.on("who")(lambda _socket: 1)
    port = io.listen()[1]

    def ready() -> None:
        print(port, flush=True)

    if workers:
        places = [Place(*given) for given in io.net.give_away()]
        run_workers(lambda: io, places, workers, ready=ready)
    else:
        ready()
        io.run()


class Kind:
    """A server of one kind."""

    def __init__(self, workers: int) -> None:
        command = [sys.executable, "-m", "tests.bench.workers", "--serve", str(workers)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pids = [self.process.pid, *map(int, children.read_text("ascii").split())]

    def used(self) -> float:
        """Return the processor time of all its processes so far."""
        return sum(map(processor_time, self.pids))

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate()


def _timed(kind: Kind, step: Callable[[], int]) -> tuple[float, float]:
    """Return how many a second, and microseconds of processor time for each."""
    step()
    before, began, count = kind.used(), time.monotonic(), 0
    while time.monotonic() - began < SECONDS:
        count += step()
    seconds = time.monotonic() - began
    return count / seconds, (kind.used() - before) / count * 1e6


def _measure(kind: Kind) -> dict[str, tuple[float, float]]:
    url = f"http://127.0.0.1:{kind.port}"
    found = {}
    echoing = Receivers([url], CLIENTS)

    def echo(depth: int) -> int:
        for sock in echoing.socks:
            sock.send(ECHO * depth)
        echoing.wait(depth)
        return CLIENTS * depth

    found["echo, 1 at a time"] = _timed(kind, lambda: echo(1))
    found["echo, 16 at a time"] = _timed(kind, lambda: echo(AT_A_TIME))
    echoing.close()
    receiving = Receivers([url], BROADCAST_TO)

    def broadcast() -> int:
        receiving.socks[0].send(ASK_ALL * 4)
        receiving.wait(4, FRAME)
        return 4 * BROADCAST_TO

    found["delivery"] = _timed(kind, broadcast)
    receiving.close()

    async def connects() -> int:
        await asyncio.gather(*(Client(kind.port).live() for _ in range(AT_A_TIME)))
        return AT_A_TIME

    found["connect, ask, leave"] = _timed(kind, lambda: asyncio.run(connects()))
    return found


def _rounds(count: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Return the best of the rounds, by kind and row."""
    best: dict[str, dict[str, tuple[float, float]]] = {name: {} for name in KINDS}
    for _ in range(count):
        for name, workers in KINDS.items():
            kind = Kind(workers)
            try:
                found = _measure(kind)
            finally:
                kind.end()
            for row, (rate, cost) in found.items():
                before = best[name].get(row, (0.0, float("inf")))
                best[name][row] = max(before[0], rate), min(before[1], cost)
    return best


def main(arguments: list[str]) -> int:
    """Measure, and print a table; with ``--check`` the exit code is 1 if it costs too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help=f"fail above {MOST} of one process")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given: Any = parser.parse_args(arguments)
    if given.serve is not None:
        _serve(given.serve)
        return 0
    best = _rounds(given.rounds)
    print("| what | kind | a second | ratio | us of processor time | ratio |")
    print("|---|---|---|---|---|---|")
    wrong = []
    for row, (rate, cost) in best["one process"].items():
        for name in KINDS:
            here = best[name][row]
            ratio = here[1] / cost
            print(
                f"| {row} | {name} | {here[0]:.0f} | {here[0] / rate:.2f} | {here[1]:.1f} |"
                f" {ratio:.2f} |"
            )
            if ratio > MOST and not row.startswith("connect"):
                wrong.append(f"{row}, {name}: {ratio:.2f} of one process, more than {MOST}")
    print("\n".join(wrong))
    return 1 if wrong and given.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
