"""What a message costs as connections become more: ``python -m tests.bench.growth [--check]``.

First instructions of Python, which are the same in every run (:mod:`.counts`): for an echo where
every connection asks, for one where all but one are idle, and for a delivery of a broadcast to all.
Then the server's own CPU time for the first and the last, which the load generator measures; then
how many messages one turn of the loop takes, where each of very many connections has said one.

``--check`` fails where an echo costs more than 1.5 times as much at the most connections as at the
fewest, or a delivery more than 1.1 times as much, in instructions; or where a turn takes more than
the loop asks the kernel for (:mod:`rawsio.net.poll`).  Times are told and never held.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

from rawsio.limits import Limits
from rawsio.net.poll import MOST
from tests.soak.wire import Client, upgrade
from tests.soak.wire import frame as framed

from .__main__ import once
from .counts import UPGRADE, Operation, Rig, check, counted, frame
from .peers import Running, generator, servers
from .rows import Row
from .server import make_server

__all__ = ["ROWS", "instructions", "main", "widest"]

CONNECTIONS = (10, 100, 1000, 10_000)
ECHO, DELIVERY = 1.5, 1.1
"""How many times as much each may cost at the most connections as at the fewest."""
ROOM = Limits(sessions=20_000, connections=20_000)


def _joined(rig: Rig, many: int) -> list[Any]:
    """Return connections that are in the main namespace; all open at once, which takes less."""
    wires = [rig.kit.dial() for _ in range(many)]
    for said in (UPGRADE % rig.word(22, 22).encode(), frame(b"40")):
        for wire in wires:
            wire.send(said)
        rig.kit.run()
    for wire in wires:
        check(wire.recv(1 << 16), b'40{"sid"')
    return wires


def _all_ask(rig: Rig, many: int) -> tuple[Operation, int]:
    wires = _joined(rig, many)

    def operation(n: int) -> None:
        for wire in wires:
            wire.send(frame(f'42{n}["one","{rig.word(8, 40)}"]'.encode()))
        rig.kit.run()
        for wire in wires:
            check(wire.recv(1 << 16), b"43")

    return operation, many


def _one_asks(rig: Rig, many: int) -> tuple[Operation, int]:
    wire, *_idle = _joined(rig, many)

    def operation(n: int) -> None:
        check(rig.say(wire, frame(f'42{n}["one","{rig.word(8, 40)}"]'.encode())), b"43")

    return operation, 1


def _all_hear(rig: Rig, many: int) -> tuple[Operation, int]:
    wires = _joined(rig, many)

    def operation(_n: int) -> None:
        rig.io.emit("news", rig.word(8, 40))
        rig.kit.run()
        for wire in wires:
            check(wire.recv(1 << 16), b"news")

    return operation, many


ROWS: dict[str, tuple[Callable[[Rig, int], tuple[Operation, int]], float, str]] = {
    "echo, all ask": (_all_ask, ECHO, "echo -c {} -d 1"),
    "echo, one asks": (_one_asks, ECHO, ""),
    "delivery of a broadcast": (_all_hear, DELIVERY, "fanout -c {} -W 4"),
}
"""Name -> what is counted, how much it may grow, and the words of the generator."""


def instructions(name: str, many: int, seed: int = 1) -> float:
    """Return the instructions of one operation where there are so many connections."""
    make, _most, _load = ROWS[name]
    rounds = max(1, min(8, 200 // many))
    return counted(lambda rig: make(rig, many), rounds, seed=seed, limits=ROOM).bytecodes


def times(load: str, many: int, options: Any) -> float:
    """Return the server's CPU time for one operation, in microseconds."""
    peer = servers(sys.executable)["rawsio"]
    row = Row("growth", load.format(many))
    server = Running(peer)
    try:
        runs = [once(generator(), server, row, options.seconds) for _ in range(options.repeat)]
    finally:
        server.stop()
    wrong = [run["fail"] for run in runs if not run["ok"]]
    if wrong:
        raise SystemExit(f"{load}: {wrong[0]}")
    return float(median(run["us_op"] for run in runs))


def widest(many: int) -> int:
    """Return how many messages a turn takes at most, where so many connections said one."""
    io = make_server()
    address = io.listen()
    turns = [0]

    @io.on("turn")
    def turn(_socket: Any) -> None:
        turns[-1] += 1

    clients = []
    for _ in range(many):
        clients.append(client := Client(address))
        client.say(upgrade(), framed("40"))
        io.step(0.01)
    while len(io.sockets) < many:
        io.step(0.1)
    for client in clients:
        client.say(framed('42["turn"]'))
    while sum(turns) < many:
        turns.append(0)
        io.step(0.1)
    for client in clients:
        client.close()
    io.close()
    while not io.closed:
        io.step(0.1)
    return max(turns)


def shown(name: str, figures: list[float]) -> str:
    """Return a line of a table."""
    cells = "".join(f"{figure:10.2f}" for figure in figures)
    return f"{name:26}{cells}   x {figures[-1] / figures[0]:.2f}"


def main(arguments: list[str]) -> int:
    """Print the tables; with ``--check`` return 1 if something grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth")
    parser.add_argument("--connections", nargs="+", type=int, default=list(CONNECTIONS))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--counts", action="store_true", help="without times")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wrong = []
    heads = "".join(f"{many:>10,}" for many in options.connections)
    print(f"{'instructions':26}{heads}")
    for name, (_make, most, _load) in ROWS.items():
        figures = [instructions(name, many) for many in options.connections]
        print(shown(name, figures), flush=True)
        if figures[-1] > most * figures[0]:
            wrong.append(name)
    print(f"\n{'microseconds of CPU':26}{heads}")
    for name, (_make, _most, load) in ROWS.items():
        if load and not options.counts:
            print(shown(name, [times(load, many, options) for many in options.connections]))
    many = 3 * MOST
    found = widest(many)
    print(f"\n{many:,} connections said something: {found:,} of them in one turn, at most {MOST}")
    if found > MOST:
        wrong.append("messages in one turn")
    print(f"\ngrows: {', '.join(wrong) or 'nothing'}")
    return 1 if wrong and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
