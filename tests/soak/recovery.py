"""Kill a server with recoverable clients, again and again, under traffic: everybody comes back.

``python -m tests.soak.recovery [--clients N] [--kills K] [--power LEVEL]``: half of the clients
are official ones (Node), a quarter is ours in Python, a quarter ours for browsers (in Node, too); a
third of each polls at first.  Each is in a room, says something there every second, and counts in
its ``data``; the server says things, too.  It is killed with SIGKILL a random time after everybody
has come back, ``K`` times, and started again on the same file.  Then:

- every client has come back after each kill with its session, its room and its data, and what it
  counted is not less than what the server has acknowledged;
- all members of a room have seen the same things in the same order, none of them twice;
- what was acknowledged to whoever said it is among that.

With ``--power`` each kill is a loss of power, too: what was written and not synced is not in the
file (``unsynced.c``, built by ``cc``).  ``FULL`` has to lose nothing; what ``NORMAL`` loses is
printed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rawsio import Recovery, Server

__all__ = ["Killed", "judge", "main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROOMS = 10
PATIENCE = 60.0
"""Seconds in which everybody has to be in a room."""


def serve(path: str, port: int, level: str, clients: int) -> None:
    """Serve until the end of the process; say so when so many clients have come back."""
    recovery = Recovery(path=path, synchronous=level)
    # Official clients that lose a server amid an upgrade notice it by a missing heartbeat alone.
    io = Server(connection_state_recovery=recovery, ping_interval=3.0, ping_timeout=5.0)
    run, numbers = os.getpid(), itertools.count()

    @io.on("enter")
    def enter(client: Any, name: str, room: str) -> None:
        client.join(room)
        client.data.update(name=name, room=room, counted=0)

    @io.on("say")
    def say(client: Any, what: str) -> int:
        counted = client.data["counted"] = client.data.get("counted", 0) + 1
        # A client that has lost its session is in no room.
        io.to(client.data.get("room", client.id)).emit("said", what)
        return int(counted)

    back: set[str] = set()

    @io.on("who")
    def who(client: Any) -> tuple[str, list[str], int]:
        back.add(client.id)
        if len(back) == clients:
            print("whole", flush=True)
        rooms = sorted(room for room in client.rooms if room != client.id)
        return client.data.get("name"), rooms, client.data.get("counted", -1)

    quiet: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _frame: quiet.append(number))

    def speak() -> None:
        if quiet:
            print("quiet", flush=True)
            return
        number = next(numbers)
        io.to(f"room {number % ROOMS}").emit("said", [run, number])
        io.call_later(0.02, speak)

    io.listen(port=port)
    io.call_later(0.0, lambda: print("serving", flush=True))
    io.call_later(0.02, speak)
    io.run()


def unsynced(folder: str) -> str:
    """Build the library that forgets what was not synced; return its path."""
    library = f"{folder}/unsynced.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, str(HERE / "unsynced.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def end(child: subprocess.Popen[str]) -> None:
    """Kill a process, and close what it was heard by."""
    child.send_signal(signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


class Killed:
    """A server that is killed, and its clients."""

    def __init__(
        self, path: str, level: str = "NORMAL", library: str | None = None, *, many: int = 0
    ) -> None:
        self.path = os.path.realpath(path)
        self.level = level
        self.env = dict(os.environ)
        if library is not None:
            self.env |= {"LD_PRELOAD": library, "UNSYNCED": self.path}
        self.port = free_port()
        self.many = many
        self.server = self.start()
        self.clients: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        """Start the server."""
        command = [sys.executable, "-m", "tests.soak.recovery", "--serve", self.path]
        child = subprocess.Popen(
            [*command, str(self.port), self.level, str(self.many)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self.env,
        )
        assert child.stdout is not None
        if child.stdout.readline() != "serving\n":
            raise SystemExit("the server did not start")
        return child

    def add(
        self, command: list[str], name: str, count: int, env: dict[str, str], *more: str
    ) -> None:
        """Start ``count`` clients in one process."""
        url = f"http://127.0.0.1:{self.port}"
        child = subprocess.Popen(
            [*command, url, name, str(count), str(ROOMS), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **env},
        )
        self.clients.append(child)
        assert child.stderr is not None
        for _ in range(count):
            line = child.stderr.readline()
            if line != "entered\n":
                raise SystemExit(f"a client of {name} did not enter: {line}{child.stderr.read()}")

    def kill(self) -> None:
        """Kill the server, and start another one on its file."""
        end(self.server)
        self.server = self.start()

    def wait(self) -> None:
        """Wait until all clients have come back to a server that was started again."""
        assert self.server.stdout is not None
        ready, _, _ = select.select([self.server.stdout], [], [], PATIENCE)
        if not ready or self.server.stdout.readline() != "whole\n":
            raise SystemExit(f"not all of {self.many} clients came back within {PATIENCE} s")

    def end(self) -> list[dict[str, Any]]:
        """Let the clients come to their end; return what they saw."""
        found: list[dict[str, Any]] = []
        self.server.send_signal(signal.SIGUSR1)
        assert self.server.stdout is not None
        if self.server.stdout.readline() != "quiet\n":
            raise SystemExit("the server did not come to rest")
        for child in self.clients:
            assert child.stdin is not None
            child.stdin.close()
        for child in self.clients:
            assert child.stdout is not None
            found += json.loads(child.stdout.read())
            child.wait(PATIENCE)
        return found

    def stop(self) -> None:
        """End every process."""
        for child in (*self.clients, self.server):
            end(child)


def difference(longer: list[Any], shorter: list[Any]) -> str:
    """Return where two clients saw different things."""
    start = longer.index(shorter[0]) if shorter and shorter[0] in longer else 0
    for at, (one, other) in enumerate(zip(longer[start:], shorter, strict=False)):
        if one != other:
            return f"behind {at} things {one!r} and {other!r}"
    return f"{len(longer) - start} and {len(shorter)} things"


def judge(found: list[dict[str, Any]], kills: int | None) -> list[str]:
    """Return what is wrong with what the clients saw; ``None``: they may have missed a kill."""
    wrong = [f"{one['name']}: {text}" for one in found for text in one["wrong"]]
    wrong += [
        f"{one['name']} came back {one['back']} times"
        for one in found
        if kills is not None and one["back"] < kills
    ]
    rooms: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        rooms[one["room"]].append(one)
    for room, members in rooms.items():
        first = max(members, key=lambda one: len(one["seen"]))  # who came first
        seen = [json.dumps(what) for what in first["seen"]]
        twice = [what for what, times in Counter(seen).items() if times > 1]
        if twice:
            wrong.append(f"{room}: {len(twice)} were seen twice: {twice[:3]}")
        said = {json.dumps(what) for one in members for what in one["said"]}
        if said - set(seen):
            wrong.append(f"{room}: lost though acknowledged: {sorted(said - set(seen))[:3]}")
        for one in members:
            shared = one["seen"]
            if not shared or first["seen"][-len(shared) :] != shared:
                where = difference(first["seen"], shared)
                wrong.append(f"{room}: {first['name']} and {one['name']} differ: {where}")
    return wrong


def main(arguments: list[str]) -> int:
    """Run it; return 1 if anything was lost, came twice, or did not come back."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.recovery")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--power", choices=("FULL", "NORMAL"), metavar="LEVEL")
    parser.add_argument("--serve", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        path, port, level, many = given.serve
        serve(path, int(port), level, int(many))
        return 0
    wrong = run(given)
    print("\n".join(wrong[:20]) or "all came back, nothing was lost, nothing came twice")
    return 1 if wrong and given.power != "NORMAL" else 0


def run(given: argparse.Namespace) -> list[str]:
    """Run clients and kill the server; return what is wrong."""
    from tests.interop.run import install

    official = given.clients // 2
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="rawsio-recovery-") as folder:
        library = unsynced(folder) if given.power else None
        path, level = f"{folder}/app.db", given.power or "NORMAL"
        killed = Killed(path, level, library, many=given.clients)
        try:
            node = ["node", str(HERE / "recovery_clients.js")]
            modules = {"NODE_PATH": str(install())}
            killed.add(node, "official", official, modules)
            killed.add(node, "browser", official // 2, modules)
            ours = [sys.executable, "-m", "tests.soak.recovery_clients"]
            killed.add(ours, "ours", given.clients - official - official // 2, {})
            began = time.monotonic()
            for _ in range(given.kills):
                time.sleep(rng.uniform(0.5, 2.0))
                killed.kill()
                killed.wait()
            found = killed.end()
            seconds = time.monotonic() - began
            size = os.path.getsize(killed.path)
        finally:
            killed.stop()
    seen = sum(len(one["seen"]) for one in found)
    said = sum(len(one["said"]) for one in found)
    back = sum(one["back"] for one in found)
    print(f"killed {given.kills} times in {seconds:.0f} s; the file has {size} bytes")
    print(f"{len(found)} clients came back {back} times; {said} things were said and acknowledged,")
    print(f"{seen} were seen")
    return judge(found, given.kills)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
