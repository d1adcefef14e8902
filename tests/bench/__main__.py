"""Our server and clients beside their peers: ``python3 -m tests.bench [PART ...] [--quick]``.

The parts are ``servers``, ``clients`` and ``browser``; without any, all are done.  ``servers``
builds the load generator (``load/``), installs the peers (:mod:`.peers`), and does every row of
:mod:`.rows` with every server: server on one core, generator on another, the repetitions
interleaved (``--repeat N``; 5, or 3 with ``--quick``), so that what else the machine does hits all
alike.  The figure is the server's own CPU time for one operation, the median; **P** is how many
times less than that the hand-tuned file takes (1.0: as fast), **N** the same for Node.  ``clients``
(:mod:`.clients`) and ``browser`` (:mod:`.browser`) do the rows of :mod:`.talks`.

``--before CHECKOUT`` measures the library of another checkout in the same run, ``--also-python
PATH`` ours and the hand-tuned file under another interpreter as well.  ``--only ROW,...`` does some
rows, ``--servers A,B`` some servers, ``--clients A,B`` some clients, ``--python PATH`` runs ours
and the hand-tuned file, ``--seconds S`` measures for so long each time.

``--json FILE``, ``--markdown FILE`` and ``--svg FILE`` write what was found, ``--readme`` puts
tables and chart into the README; ``--from FILE`` measures nothing and shows what a JSON file has,
and more than once joins the parts of several.  A wrong answer voids its row, and the command ends
with 1; answers in other bytes that mean the same (escaped JSON) are named below the table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT

from . import browser, clients
from .peers import (
    LOAD_CORE,
    Missing,
    Peer,
    Running,
    described,
    generator,
    machine,
    pinned,
    servers,
)
from .report import CHART, chart, in_readme, tables
from .rows import ROWS, Row
from .talks import TALKS

__all__ = ["main"]

PARTS = ("servers", "clients", "browser")
MEMORY = 3
"""How often memory is measured at most: it varies little, and each time takes a new process."""


def busy() -> tuple[int, int]:
    """Return the time that all cores were busy, and all of it, in ticks."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def once(program: str, server: Running, row: Row, seconds: float) -> dict[str, Any]:
    """Run the generator once against a server, and return what it found."""
    command = [program, *row.load.split(" "), "-p", str(server.port), "-x", str(server.pid)]
    command += ["-t", str(seconds), "-w", str(max(0.3, seconds / 4))]
    before, memory = busy(), server.memory()
    child = subprocess.Popen(pinned(command, LOAD_CORE), stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = {"ok": False, "fail": "the generator says nothing"}
    most = memory
    try:
        assert child.stdout is not None
        for line in child.stdout:
            said = json.loads(line)
            if said.get("event") == "up":
                time.sleep(0.3)
                most = server.memory()
                found["connections"] = said["connections"]
            else:
                found.update(said)
        child.wait(60)
    finally:
        child.kill()
        child.wait()
    if "connections" in found:
        found["kib"] = (most - memory) / found["connections"]
    found["busy"] = (busy()[0] - before[0]) / max(1, busy()[1] - before[1])
    if found.get("errors"):
        found.update(ok=False, fail=f"{found['errors']} wrong answers")
    if not (found["ok"] or found.get("fail")):
        found["fail"] = f"nothing was done in {seconds:g} seconds"
    return found


def measure(name: str, row: Row, peers: dict[str, Peer], options: Any) -> list[dict[str, Any]]:
    """Do one row with every server that can, repetition by repetition."""
    found: list[dict[str, Any]] = []
    running: dict[str, Running] = {}
    program = generator()
    try:
        memory = row.figure == "kib"
        for repetition in range(min(options.repeat, MEMORY) if memory else options.repeat):
            for server, peer in peers.items():
                if not peer.does(name, row):
                    continue
                if server in running and memory:  # freed memory would be used again
                    running.pop(server).stop()
                if server not in running:
                    running[server] = Running(peer, row.words)
                    time.sleep(0.2)
                result = once(program, running[server], row, options.seconds)
                found.append({"row": name, "server": server, "repetition": repetition, **result})
                figure = result.get(row.figure, 0.0)
                note = result.get("fail") or ""
                print(f"{name:16} {server:10} {figure:10.2f} {note}", file=sys.stderr, flush=True)
    finally:
        for server_running in running.values():
            server_running.stop()
    return found


def available(options: Any) -> dict[str, Peer]:
    """Return the servers that there are, and say which are left out."""
    wanted = options.servers.split(",") if options.servers else None
    found = {}
    for name, peer in servers(options.python, options.also_python, options.before).items():
        if wanted is not None and name not in wanted:
            continue
        try:
            peer.interpreter()
        except Missing as error:
            print(f"left out: {peer.title}: {error}", file=sys.stderr)
        else:
            found[name] = peer
    return found


def facts(peers: dict[str, Peer]) -> dict[str, Any]:
    """Return what the figures belong to: machine, titles, versions."""
    versions = {name: described(peer) for name, peer in peers.items()}
    titles = {name: peer.title for name, peer in peers.items()}
    for name in {"also", "also-tuned"} & {*titles}:
        number = ".".join(versions[name].split()[-1].split(".")[:2])
        titles[name] = titles[name].replace("other Python", number)
    return {**machine(), "titles": titles, "versions": versions}


def arguments(words: list[str]) -> Any:
    parser = argparse.ArgumentParser(prog="python3 -m tests.bench", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", metavar="ROW,...")
    parser.add_argument("--servers", default="", metavar="NAME,...")
    parser.add_argument("--repeat", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--clients", default="", metavar="NAME,...")
    parser.add_argument("--before", type=Path, metavar="CHECKOUT")
    parser.add_argument("--also-python", default="", metavar="PATH")
    parser.add_argument("--from", dest="read", type=Path, action="append", metavar="FILE")
    for form in ("json", "markdown", "svg"):
        parser.add_argument(f"--{form}", type=Path, metavar="FILE")
    parser.add_argument("--readme", action="store_true")
    options = parser.parse_args(words)
    options.repeat = options.repeat or (3 if options.quick else 5)
    options.seconds = options.seconds or (0.7 if options.quick else 1.0)
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    known = {*ROWS, *TALKS}
    unknown = set(options.only.split(",") if options.only else ()) - known
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join((*ROWS, *TALKS))}")
    return options


def do_servers(options: Any, found: dict[str, Any]) -> Iterator[None]:
    """Do the rows of the servers, one by one, into ``found``."""
    only = options.only.split(",") if options.only else None
    peers = available(options)
    found.update(facts=facts(peers), runs=[])
    for name, row in ROWS.items():
        if name in only if only else (row.quick or not options.quick):
            try:
                found["runs"] += measure(name, row, peers, options)
            except Missing as error:
                print(f"{name}: {error}", file=sys.stderr)
            yield


def run(options: Any) -> dict[str, Any]:
    """Measure, and return everything."""
    only = set(options.only.split(",")) if options.only else {*ROWS, *TALKS}
    parts = options.parts or PARTS
    found: dict[str, Any] = {}
    if "servers" in parts and only & {*ROWS}:
        found["servers"] = {}
        for _row in do_servers(options, found["servers"]):
            keep(options, found)
    for part, measured in (("clients", clients.measure), ("browser", browser.measure)):
        if part in parts and only & {*TALKS}:
            try:
                found[part] = measured(options)
            except Missing as error:
                print(f"left out: {part}: {error}", file=sys.stderr)
            keep(options, found)
    return found


def keep(options: Any, found: dict[str, Any]) -> None:
    """Write what was found so far: the whole takes its time."""
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), "utf-8")


def main(words: list[str]) -> int:
    """Measure or read, and show."""
    options = arguments(words)
    found: dict[str, Any] = {}
    for file in options.read or ():
        found |= json.loads(file.read_text("utf-8"))
    found = found or run(options)
    text = tables(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, "utf-8")
    if options.svg:
        options.svg.write_text(chart(found["servers"]), "utf-8")
    if options.readme:
        readme = ROOT / "README.md"
        readme.write_text(in_readme(readme.read_text("utf-8"), found), "utf-8")
        (ROOT / CHART).write_text(chart(found["servers"]), "utf-8")
    return 0 if all(one["ok"] for part in found.values() for one in part["runs"]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
