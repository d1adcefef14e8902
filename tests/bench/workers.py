"""One process, and one and two workers: ``python -m tests.bench.workers [--rounds N] [--check]``.

What counts is the processor time of all processes of the server, the parent's among it, for each
echo (an event there and back, 1 and 16 at a time on each connection) and for each delivery of a
broadcast to 100 clients; and, beside it, for a client that connects and leaves, and for an echo
over long-polling.  Echoes in a second depend on how many cores are free: the load generator
(:mod:`.peers`) takes a part of one.

``apart`` are two processes that know nothing of each other, with half of the clients and a
generator each.  What they cost more than one process is the machine's: smaller batches, and caches
that two processes share.  What workers cost more than they do is ours.

The kinds take turns, so that all see the same neighbours; a ratio is that of two figures of one
round, and the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from rawsio.workers import Place, run_workers

from .peers import generator
from .server import make_server

__all__ = ["main"]

ROOT = Path(__file__).parents[2]
KINDS = ("one process", "1 worker", "2 workers", "apart")
ROWS = {
    "echo, 1 at a time": "echo -c 32 -d 1",
    "echo, 16 at a time": "echo -c 32 -d 16",
    "delivery, 4 in flight": "fanout -c 100 -W 4",
    "delivery, 16 in flight": "fanout -c 100 -W 16",
    "connect and leave": "connect -k 16",
    "echo over long-polling": "polling -c 20",
}
"""What is measured: the words of the load generator."""

COSTS = 1.15
"""What an echo or a delivery may cost at most, beside one process."""
RATE = 1.5
"""How many times as many echoes two workers should do, 16 at a time."""


def _serve(workers: int) -> None:
    io = make_server()
    port = io.listen(port=0)[1]

    def ready() -> None:
        print(port, flush=True)

    if workers:
        places = [Place(*given) for given in io.net.give_away()]
        run_workers(lambda: io, places, workers, ready=ready)
    else:
        ready()
        io.run()


class _Served:
    """A server of so many workers; 0 is one process."""

    def __init__(self, workers: int) -> None:
        command = [sys.executable, "-m", "tests.bench.workers", "--serve", str(workers)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pids = [self.process.pid, *map(int, children.read_text("ascii").split())]

    def load(self, words: str, seconds: float) -> subprocess.Popen[str]:
        """Begin to ask it something for so long."""
        command = [generator(), *words.split(), "-p", str(self.port), "-t", str(seconds)]
        command += ["-w", "0.2", "-T", "20", "-x", ",".join(map(str, self.pids))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.communicate()


def _halved(words: str) -> str:
    """Return a load with half of the clients: the connections that open at once, too."""
    parts = words.split()
    for flag in ("-c", "-k"):
        if flag in parts:
            at = parts.index(flag) + 1
            parts[at] = str(int(parts[at]) // 2)
    return " ".join(parts)


def _start(kind: str) -> list[_Served]:
    if kind == "apart":
        return [_Served(0), _Served(0)]
    return [_Served({"one process": 0, "1 worker": 1, "2 workers": 2}[kind])]


def _measured(servers: list[_Served], words: str, seconds: float) -> tuple[float, float]:
    """Return how many a second, and microseconds of processor time for each."""
    if len(servers) > 1:
        words = _halved(words)
    children = [server.load(words, seconds) for server in servers]
    count = rate = used = 0.0
    for child in children:
        found = json.loads(child.communicate()[0])
        if not found["count"] or found["errors"]:
            raise AssertionError(f"{words}: {found}")
        count, rate, used = (
            count + found["count"],
            rate + found["rate"],
            used + found["server_s"],
        )
    return rate, used / count * 1e6


Figures = dict[str, dict[str, list[tuple[float, float]]]]
"""Of each row and kind, rate and cost in each round."""


def _rounds(rows: list[str], count: int, seconds: float) -> Figures:
    found: Figures = {row: {kind: [] for kind in KINDS} for row in rows}
    running: dict[str, list[_Served]] = {}
    try:
        for kind in KINDS:
            running[kind] = _start(kind)
        for _ in range(count):
            for row in rows:
                for kind in KINDS:
                    found[row][kind].append(_measured(running[kind], ROWS[row], seconds))
    finally:
        for servers in running.values():
            for server in servers:
                server.end()
    return found


def _ratio(here: list[tuple[float, float]], one: list[tuple[float, float]], which: int) -> float:
    return statistics.median(a[which] / b[which] for a, b in zip(here, one, strict=True))


def _judge(found: Figures) -> list[str]:
    """Print the table, and return what is not as it should be."""
    print("| what | kind | a second | ratio | us of processor time | ratio | lowest |")
    print("|---|---|---|---|---|---|---|")
    wrong = []
    for row, kinds in found.items():
        one = kinds["one process"]
        for kind, here in kinds.items():
            rate, cost = _ratio(here, one, 0), _ratio(here, one, 1)
            print(
                f"| {row} | {kind} | {max(a for a, _ in here):.0f} | {rate:.2f} |"
                f" {statistics.median(b for _, b in here):.2f} | {cost:.2f} |"
                f" {min(b for _, b in here):.2f} |"
            )
            if kind == "apart" or not row.startswith(("echo,", "delivery")):
                continue
            if cost > COSTS:
                wrong.append(f"{row}, {kind}: {cost:.2f} of one process, more than {COSTS}")
            if row == "echo, 16 at a time" and kind == "2 workers" and rate < RATE:
                wrong.append(f"{row}, {kind}: {rate:.2f} of one process, less than {RATE}")
    return wrong


def main(arguments: list[str]) -> int:
    """Measure, and print a table; with ``--check`` the exit code is 1 if it costs too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--only", default="", help="rows that begin with this")
    parser.add_argument("--check", action="store_true", help="fail where it costs too much")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given: Any = parser.parse_args(arguments)
    if given.serve is not None:
        _serve(given.serve)
        return 0
    rows = [row for row in ROWS if row.startswith(given.only)]
    print(f"load of the machine: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    wrong = _judge(_rounds(rows, given.rounds, given.seconds))
    print("\n".join(wrong))
    return 1 if wrong and given.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
