"""Kill a server with a durable queue, again and again, under load: what it acknowledged is there.

``python -m tests.soak.queue_kill [--rounds N]``: producers and consumers in Node (the official
client, over real sockets) use two queues of one file.  The server is killed with SIGKILL after a
random time, ``N`` times.  Then:

- of ``plain``, which clients process, every message whose publish was acknowledged was processed
  or is still in the file;
- of ``exact``, whose handler in the server writes its effect in ``jobs.transaction``, every such
  message has exactly one effect, or is still in the file, and never both.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rawsio import Server

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def serve(path: str, port: int) -> None:
    """Serve both queues until the end of the process, however it comes."""
    io = Server(executor=ThreadPoolExecutor(2))
    io.queue("plain", path=path, namespace="/queue", max_deliveries=1000)
    exact = io.queue("exact", path=path, namespace="/queue", max_deliveries=1000)

    @exact.handler(concurrency=2)
    def work(message: Any) -> None:
        with exact.transaction(message) as db:
            db.execute("INSERT INTO effect VALUES (?, ?)", (message.id, message.body["number"]))

    io.listen(port=port)
    io.host.call_later(0.0, lambda: print("serving", flush=True))
    io.run()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _start(path: str, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.soak.queue_kill", "--serve", path, str(port)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout is not None
    if child.stdout.readline() != "serving\n":
        raise SystemExit("the server did not start")
    return child


def rounds(path: str, count: int, seed: int) -> dict[str, Any]:
    """Kill a server ``count`` times under load; return what the clients saw."""
    from tests.interop.run import install

    rng, port = random.Random(seed), _free_port()
    url = f"http://127.0.0.1:{port}/queue"
    server = _start(path, port)
    load = subprocess.Popen(
        ["node", str(HERE / "queue_load.js"), url, "8", "4"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "NODE_PATH": str(install())},
    )
    try:
        time.sleep(1.0)
        for _ in range(count):
            time.sleep(rng.uniform(0.05, 0.4))
            server.send_signal(signal.SIGKILL)
            server.wait()
            server = _start(path, port)
        time.sleep(1.0)
        output, _ = load.communicate("", timeout=30)
    finally:
        load.kill()
        server.kill()
        server.wait()
    return dict(json.loads(output))


def judge(path: str, seen: dict[str, Any]) -> list[str]:
    """Return what was lost, or happened twice."""
    connection = sqlite3.connect(path)
    left: dict[str, set[int]] = {"plain": set(), "exact": set()}
    sql = "SELECT q.name, m.id FROM rawsio_message m JOIN rawsio_queue q ON q.id = m.queue"
    for name, number in connection.execute(sql):
        left[name].add(number)
    effects = Counter(number for (number,) in connection.execute("SELECT id FROM effect"))
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    published = {name: set(ids) for name, ids in seen["published"].items()}
    processed = Counter(seen["processed"])
    lost = published["plain"] - set(processed) - left["plain"]
    gone = published["exact"] - set(effects) - left["exact"]
    both = set(effects) & left["exact"]
    twice = {number for number, times in effects.items() if times > 1}
    again = sum(1 for times in processed.values() if times > 1)
    print(f"acknowledged: {len(published['plain'])} plain, {len(published['exact'])} exact")
    print(f"processed: {len(processed)} plain ({again} more than once), {len(effects)} exact")
    print(f"left in the file: {len(left['plain'])} plain, {len(left['exact'])} exact")
    print(f"sent {seen['sent']}, refused {seen['refused']}, integrity {verdict}")
    wrong = {
        "plain messages lost": lost,
        "exact messages lost": gone,
        "messages with an effect that are still there": both,
        "effects that happened twice": twice,
    }
    found = [f"{len(ids)} {what}: {sorted(ids)[:5]}" for what, ids in wrong.items() if ids]
    if verdict != "ok":
        found.append(f"the file is damaged: {verdict}")
    if min(len(published["plain"]), len(published["exact"])) < 10:
        found.append("too little was published to show anything")
    return found


def main(arguments: list[str]) -> int:
    """Run the rounds; return 1 if anything was lost or happened twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.queue_kill")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--serve", nargs=2, metavar=("DB", "PORT"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.serve:
        serve(given.serve[0], int(given.serve[1]))
        return 0
    with tempfile.TemporaryDirectory(prefix="rawsio-kill-") as folder:
        path = f"{folder}/app.db"
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE effect (id INTEGER, number INTEGER)")
        connection.close()
        began = time.monotonic()
        seen = rounds(path, given.rounds, given.seed)
        print(f"killed {given.rounds} times in {time.monotonic() - began:.0f} s")
        wrong = judge(path, seen)
    print("\n".join(wrong) or "nothing was lost, nothing happened twice")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
