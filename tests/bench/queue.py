"""How fast a durable queue is, beside plain ``sqlite3`` in the same run.

``python -m tests.bench.queue [--seconds S] [--only NAME ...]`` prints a table of ratios, for disks
differ by a factor of ten and change from hour to hour.  ``plain`` inserts the same rows into the
same tables in transactions of so many rows, with ``synchronous=FULL``; nothing else runs meanwhile.

callers    so many threads that publish and wait for the commit, one message at a time
websocket  so many clients of Node over WebSocket, each publishes when it was answered
end        publish, handler and acknowledgement in one process, in batches
spike      100,000 publishes at once against a handler of ``--rate`` messages a second
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rawsio import Limits, Server
from rawsio.queue import SQLiteStore

__all__ = ["main"]

BODY = {"text": "x" * 185}
ENCODED = b'{"text":"' + b"x" * 185 + b'"}'
ROOT = Path(__file__).resolve().parent.parent.parent
NODE = """
const { io } = require("socket.io-client");
const [url, many, seconds] = process.argv.slice(1);
let count = 0, over = false, body = { text: "x".repeat(185) };
function start(n) {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  const go = () => !over && socket.emit("publish", "jobs", body, {}, (error) => {
    if (error) throw new Error(error.message);
    count++;
    go();
  });
  socket.on("connect", go);
}
for (let n = 0; n < many; n++) start(n);
setTimeout(() => { count = 0; const t = Date.now(); setTimeout(() => {
  over = true; console.log(count / (Date.now() - t) * 1000); process.exit();
}, seconds * 1000); }, 700);
"""


def plain(folder: str, batch: int, seconds: float) -> float:
    """Return the rows a second of plain sqlite3, in transactions of ``batch`` rows."""
    store = SQLiteStore(f"{folder}/plain{batch}-{time.monotonic_ns()}.db")
    store.open("jobs", 5, 0)
    connection = store.connection
    sql = "INSERT INTO rawsio_message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    number, began = 1, time.perf_counter()
    while time.perf_counter() - began < seconds:
        rows = [
            (n, 1, 0, 0, 0, 0, 0, number, None, None, None, None, len(ENCODED), ENCODED)
            for n in range(number, number + batch)
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(sql, rows)
        connection.execute("COMMIT")
        number += batch
    rate = (number - 1) / (time.perf_counter() - began)
    store.close()
    return rate


class Served:
    """A server with a queue in a file, in a thread."""

    def __init__(self, folder: str, name: str, **options: Any) -> None:
        limits = Limits(queue_messages=10_000_000, queue_bytes=10**11, queue_waiting=200_000)
        limits = limits.but(queue_waiting_bytes=10**9)
        self.io = Server(limits=limits)
        path = f"{folder}/{name}.db"
        self.jobs = self.io.queue("jobs", path=path, namespace="/queue", **options)
        self.port = self.io.listen()[1]
        self.thread = threading.Thread(target=self.io.run)

    def __enter__(self) -> Served:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.io.close()
        self.thread.join()


def callers(folder: str, many: int, seconds: float) -> float:
    """Return the publishes a second of so many threads that wait for each commit."""
    with Served(folder, f"callers{many}") as served:
        counts = [0] * many
        over = threading.Event()

        def run(at: int) -> None:
            publish = served.jobs.publish
            while not over.is_set():
                publish(BODY).result()
                counts[at] += 1

        threads = [threading.Thread(target=run, args=(at,)) for at in range(many)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        before, began = sum(counts), time.perf_counter()
        time.sleep(seconds)
        rate = (sum(counts) - before) / (time.perf_counter() - began)
        over.set()
        for thread in threads:
            thread.join()
    return rate


def websocket(folder: str, many: int, seconds: float) -> float:
    """Return the publishes a second of so many clients of Node."""
    modules = os.environ.get("NODE_MODULES") or str(ROOT / ".interop" / "npm" / "node_modules")
    with Served(folder, f"websocket{many}") as served:
        url = f"http://127.0.0.1:{served.port}/queue"
        command = ["node", "-e", NODE, url, str(many), str(seconds)]
        env = {**os.environ, "NODE_PATH": modules}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    return float(done.stdout)


def end(folder: str, _many: int, seconds: float) -> float:
    """Return the messages a second that were published, handled and acknowledged."""
    with Served(folder, "end") as served:
        jobs, handled = served.jobs, [0]

        def work(messages: list[Any]) -> None:
            handled[0] += len(messages)

        served.io.host.call(lambda: jobs.handler(work, batch=500, linger=0.01, prefetch=1000))
        over = threading.Event()

        def publish() -> None:
            while not over.is_set():
                jobs.publish_many([BODY] * 200)
                while handled[0] < jobs.stats()["published"] - 5000 and not over.is_set():
                    time.sleep(0.001)

        publisher = threading.Thread(target=publish)
        publisher.start()
        time.sleep(0.5)
        before, began = handled[0], time.perf_counter()
        time.sleep(seconds)
        rate = (handled[0] - before) / (time.perf_counter() - began)
        over.set()
        publisher.join()
    return rate


def spike(folder: str, rate: int, many: int) -> None:
    """Publish very many messages at once against a slow handler, and tell what it cost."""
    with Served(folder, "spike", rate=rate) as served:
        jobs, order = served.jobs, []
        served.io.host.call(lambda: jobs.handler(lambda m: order.append(m.body), prefetch=100))
        gc.collect()
        before = _rss()
        began = time.perf_counter()
        slowest = 0.0
        for number in range(0, many, 100):
            asked = time.perf_counter()
            replies = jobs.publish_many(range(number, number + 100))
            replies[-1].result()
            slowest = max(slowest, time.perf_counter() - asked)
        burst = time.perf_counter() - began
        peak = _rss()
        while len(order) < many:
            time.sleep(0.1)
            peak = max(peak, _rss())
        seconds = time.perf_counter() - began
        size = os.path.getsize(f"{folder}/spike.db") / 1e6
        print(f"spike: {many} publishes in {burst:.1f} s, slowest answer {slowest * 1e3:.0f} ms")
        print(f"spike: handled in {seconds:.1f} s, in order: {order == sorted(order)}")
        print(f"spike: memory {before:.0f} MB before, {peak:.0f} MB at most; file {size:.1f} MB")
    after = os.path.getsize(f"{folder}/spike.db") / 1e6
    print(f"spike: file {after:.1f} MB after the end")


def _rss() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


ROWS: list[tuple[str, Callable[[str, int, float], float], int, int, float]] = [
    # name, what, how many, rows in a transaction of plain, the ratio that is asked for
    ("callers", callers, 1, 1, 0.0),
    ("callers", callers, 64, 64, 0.7),
    ("callers", callers, 256, 256, 0.7),
    ("websocket", websocket, 1, 1, 0.0),
    ("websocket", websocket, 64, 64, 0.7),
    ("websocket", websocket, 256, 256, 0.0),
    ("end", end, 0, 500, 0.3),
]


def main(arguments: list[str]) -> int:
    """Print the table; returns 1 if a ratio is lower than it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queue")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--only", nargs="*", default=["callers", "websocket", "end"])
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", help="where files go, instead of the temporary folder")
    given = parser.parse_args(arguments)
    folder = tempfile.mkdtemp(prefix="rawsio-bench-", dir=given.folder)
    short = 0
    try:
        print("| what | messages/s | plain, rows each | messages/s | ratio | asked for |")
        print("|---|---|---|---|---|---|")
        for name, run, many, batch, least in ROWS:
            if name not in given.only:
                continue
            # The disk changes within seconds: before and behind, in turns.
            first = plain(folder, batch, given.seconds / 2)
            rate = run(folder, many, given.seconds)
            floor = (first + plain(folder, batch, given.seconds / 2)) / 2
            ratio = rate / floor
            # For the whole way 15,000 a second are enough, whatever the disk could do.
            good = ratio >= least or (name == "end" and rate >= 15_000)
            short += not good
            asked = f"{least} {'yes' if good else 'NO'}" if least else "-"
            line = f"{name} {many or ''} | {rate:,.0f} | {batch} | {floor:,.0f} | {ratio:.2f}"
            print(f"| {line} | {asked} |", flush=True)
            for file in Path(folder).iterdir():
                file.unlink()
        if "spike" in given.only:
            spike(folder, given.rate, given.messages)
    finally:
        shutil.rmtree(folder)
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
