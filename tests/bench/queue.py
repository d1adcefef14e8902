"""How fast a durable queue is, beside plain ``sqlite3`` in the same run.

``python -m tests.bench.queue [--seconds S] [--only NAME ...]`` prints a table of ratios, for disks
differ by a factor of ten and change from hour to hour.  While a row is measured, the number of rows
of each transaction is written down.  ``plain`` then inserts the same rows into the same tables in
the same transactions, one after the other, with ``synchronous=FULL``; nothing else runs meanwhile.

callers    so many threads that publish and wait for the commit, one message at a time
chains     so many callers on the loop's thread: each publishes again when it was answered
coroutines so many tasks of asyncio that await each publish, on asyncio's loop
websocket  so many clients over WebSocket, each publishes when it was answered (the load generator
           in C, which leaves the machine to the server)
node       the same with official clients in one process of Node, whose own work is in it
end        publish, handler and acknowledgement in one process, in batches
spike      100,000 publishes at once against a handler of ``--rate`` messages a second
echo       what others' events wait while clients publish, beside as many plain events

A row is measured in rounds, with plain behind each, and the median of the ratios counts.  Behind it
stands what plain does if every caller is in every transaction, and what the queue has of that.

The last columns show what Python itself can do there, in the same round, and what the queue has of
it.  For callers this is *by hand*: as many threads that hand each row to one thread of plain, and
wait for a lock; nothing is encoded, checked or counted.  For clients it is the same server and the
same clients, and an event whose handler answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import repeat
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from rawsio import Limits, Server
from rawsio.queue import SQLiteStore
from rawsio.queue.operations import Bodies, Insert

from .peers import generator

if TYPE_CHECKING:
    from rawsio.queue.operations import Store

__all__ = ["main"]

BODY = {"text": "x" * 185}
ENCODED = b'{"text":"' + b"x" * 185 + b'"}'
ROOT = Path(__file__).resolve().parent.parent.parent
NODE = """
const { io } = require("socket.io-client");
const [url, many, seconds, name] = process.argv.slice(1);
let count = 0, over = false, body = { text: "x".repeat(185) };
function start(n) {
  const socket = io(url, { transports: ["websocket"], forceNew: true });
  const go = () => !over && socket.emit(name, "jobs", body, {}, (error) => {
    if (error) throw new Error(error.message);
    count++;
    go();
  });
  socket.on("connect", go);
}
for (let n = 0; n < many; n++) start(n);
setTimeout(() => { count = 0; const t = Date.now(); setTimeout(() => {
  over = true; console.log(count, t / 1000, Date.now() / 1000); process.exit();
}, seconds * 1000); }, 700);
"""
FLOOD = """
const { io } = require("socket.io-client");
const [url, rate, name] = process.argv.slice(1);
const socket = io(url, { transports: ["websocket"] }), body = { text: "x".repeat(185) };
socket.on("connect", () => {
  let sent = 0, answered = 0; const began = Date.now();
  setInterval(() => {
    const due = (Date.now() - began) * rate / 1000;
    for (; sent < due; sent++) socket.emit(name, "jobs", body, {}, () => answered++);
  }, 5);
  process.on("SIGTERM", () => {
    console.log(answered / (Date.now() - began) * 1000); process.exit();
  });
  console.log("begun");
});
"""
ECHO = """
const { io } = require("socket.io-client");
const [url, seconds] = process.argv.slice(1);
const socket = io(url, { transports: ["websocket"] }), times = [];
let over = false;
const go = () => {
  const asked = process.hrtime.bigint();
  socket.emit("echo", 1, () => {
    times.push(Number(process.hrtime.bigint() - asked) / 1e6);
    if (over) {
      times.sort((a, b) => a - b);
      const at = (part) => times[Math.floor(times.length * part)];
      console.log(at(0.5), at(0.99));
      process.exit();
    }
    setTimeout(go, 2);
  });
};
socket.on("connect", () => { go(); setTimeout(() => { over = true; }, seconds * 1000); });
"""


class Run(NamedTuple):
    """What a measurement found: messages, seconds, and the rows of each transaction."""

    messages: float
    seconds: float
    batches: list[int]

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def plain(folder: str, batches: Iterable[int], most: float) -> Run:
    """Insert rows by plain sqlite3 in transactions of so many; ``most`` seconds, about."""
    store = SQLiteStore(f"{folder}/plain-{time.monotonic_ns()}.db")
    store.open("jobs", 5, 0)
    number, done = 1, []
    began = now = time.perf_counter()
    for batch in batches:
        number = _insert(store.connection, number, batch)
        done.append(batch)
        now = time.perf_counter()
        if now - began > most:
            break
    store.close()
    return Run(number - 1, now - began, done)


def _insert(connection: Any, number: int, batch: int) -> int:
    """Insert so many rows in one transaction of plain sqlite3; returns the next number."""
    sql = "INSERT INTO rawsio_message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
    rows = [
        (n, 1, 0, 0, 0, 0, 0, number, None, None, None, None, len(ENCODED), ENCODED)
        for n in range(number, number + batch)
    ]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(sql, rows)
    connection.execute("COMMIT")
    return number + batch


class Watched:
    """The store of a queue, and how many rows each of its transactions inserted, and when."""

    durable = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self.open = store.open
        self.counts = store.counts
        self.close = store.close
        self.inserted: list[tuple[float, int]] = []

    def apply(self, operations: list[Any]) -> list[Any]:
        """Do all operations in one transaction."""
        results = self._store.apply(operations)
        rows = sum([operation.__class__ is Insert for operation in operations])
        rows += sum([len(op.bodies) for op in operations if op.__class__ is Bodies])
        self.inserted.append((time.time(), rows))
        return results

    def between(self, begin: float, end: float) -> list[int]:
        """Return the rows of the transactions that ended in this time (since 1970)."""
        return [rows for when, rows in self.inserted if begin < when <= end and rows]


class Served:
    """A server with a queue in a file, in a thread."""

    def __init__(self, folder: str, name: str, *, aio: bool = False, **options: Any) -> None:
        limits = Limits(queue_messages=10_000_000, queue_bytes=10**11, queue_waiting=200_000)
        limits = limits.but(queue_waiting_bytes=10**9)
        self.io = Server(limits=limits)
        path = f"{folder}/{name}.db"
        self.jobs = self.io.queue("jobs", path=path, namespace="/queue", **options)
        self.store = self.jobs.keeper.store = Watched(self.jobs.keeper.store)
        space = self.io.of("/queue")
        space.on("plain", lambda _socket, *_values: None)
        space.on("echo", lambda *_: None)
        self.port = self.io.listen()[1]
        run = partial(asyncio.run, self.io.serve()) if aio else self.io.run
        self.thread = threading.Thread(target=run)

    def __enter__(self) -> Served:
        runs = threading.Event()
        self.io.host.call_soon_threadsafe(runs.set)
        self.thread.start()
        runs.wait()  # before, this thread is the loop's
        return self

    def __exit__(self, *_error: object) -> None:
        self.io.close()
        self.thread.join()

    def measure(self, seconds: float, count: Callable[[], int]) -> Run:
        """Return what was counted in so many seconds, a little later."""
        time.sleep(0.3)
        before, begin = count(), time.time()
        time.sleep(seconds)
        messages, end = count() - before, time.time()
        return Run(messages, end - begin, self.store.between(begin, end))


def callers(folder: str, many: int, seconds: float) -> Run:
    """Measure so many threads that publish and wait for each commit."""
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
        found = served.measure(seconds, lambda: sum(counts))
        over.set()
        for thread in threads:
            thread.join()
    return found


def chains(folder: str, many: int, seconds: float) -> Run:
    """Measure so many callers on the loop's thread."""
    with Served(folder, f"chains{many}") as served:
        count, over = [0], threading.Event()
        publish = served.jobs.publish

        def go(_reply: Any = None) -> None:
            count[0] += 1
            if not over.is_set():
                publish(BODY).add_done_callback(go)

        for _ in range(many):
            served.io.host.call(go)
        found = served.measure(seconds, lambda: count[0])
        over.set()
    return found


def coroutines(folder: str, many: int, seconds: float) -> Run:
    """Measure so many tasks that await each commit."""
    with Served(folder, f"coroutines{many}", aio=True) as served:
        count, over = [0], threading.Event()
        tasks: list[Any] = []

        async def go() -> None:
            while not over.is_set():
                await served.jobs.publish(BODY)
                count[0] += 1

        served.io.host.call(lambda: tasks.extend(asyncio.ensure_future(go()) for _ in range(many)))
        found = served.measure(seconds, lambda: count[0])
        over.set()
        while not all(task.done() for task in tasks):
            time.sleep(0.01)
    return found


def handed(folder: str, many: int, seconds: float) -> float:
    """Return the rows a second of so many threads that hand each row to a plain writer, and wait.

    The writer commits what has come meanwhile; there is nothing between caller and ``sqlite3``.
    """
    store = SQLiteStore(f"{folder}/handed{many}-{time.monotonic_ns()}.db")
    store.open("jobs", 5, 0)
    waiting: SimpleQueue[Any] = SimpleQueue()
    counts, over = [0] * many, threading.Event()

    def run(at: int) -> None:
        while not over.is_set():
            lock = threading.Lock()
            lock.acquire()
            waiting.put(lock)
            lock.acquire()
            counts[at] += 1

    def write() -> None:
        number = 1
        while (first := waiting.get()) is not None:
            locks = [first, *(waiting.get() for _ in range(waiting.qsize()))]
            number = _insert(store.connection, number, len(locks))
            for lock in locks:
                if lock is not None:
                    lock.release()

    threads = [threading.Thread(target=run, args=(at,)) for at in range(many)]
    writer = threading.Thread(target=write)
    for thread in (writer, *threads):
        thread.start()
    time.sleep(0.3)
    before, began = sum(counts), time.perf_counter()
    time.sleep(seconds)
    rate = (sum(counts) - before) / (time.perf_counter() - began)
    over.set()
    for thread in threads:
        thread.join()
    waiting.put(None)
    writer.join()
    store.close()
    return rate


def _node(script: str, *arguments: Any) -> subprocess.Popen[str]:
    modules = os.environ.get("NODE_MODULES") or str(ROOT / ".interop" / "npm" / "node_modules")
    command = ["node", "-e", script, *map(str, arguments)]
    env = {**os.environ, "NODE_PATH": modules}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def websocket(folder: str, many: int, seconds: float, event: str = "publish") -> Run:
    """Measure so many clients of the load generator."""
    with Served(folder, f"websocket{many}") as served:
        arguments = f'"jobs",{ENCODED.decode()},{{}}'
        options = {"p": served.port, "c": many, "t": seconds, "w": 0.7, "n": "/queue"}
        options |= {"E": event, "m": arguments, "g": '[null,{"id":' if event == "publish" else "[]"}
        command = [generator(), "echo", *(f"-{name}{value}" for name, value in options.items())]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        end, found = time.time(), json.loads(done.stdout)
        if found["errors"] or found["different"]:
            raise AssertionError(f"events were not answered as they should be: {found}")
        batches = served.store.between(end - found["seconds"], end)
        return Run(found["count"], found["seconds"], batches)


def bound(folder: str, run: Any, many: int, seconds: float) -> float | None:
    """Return how many a second Python can do there without a queue; ``None`` where it is open."""
    if run is callers:
        return handed(folder, many, seconds)
    return websocket(folder, many, seconds, "plain").rate if run is websocket else None


def node(folder: str, many: int, seconds: float) -> Run:
    """Measure so many clients of Node."""
    with Served(folder, f"node{many}") as served:
        url = f"http://127.0.0.1:{served.port}/queue"
        printed, _ = _node(NODE, url, many, seconds, "publish").communicate()
        count, begin, end = map(float, printed.split())
        return Run(count, end - begin, served.store.between(begin, end))


def echo(folder: str, seconds: float) -> bool:
    """Measure what others' events wait during publishes, and during as many plain events."""
    worst = {}
    for rate in (1000, 3000):
        for event in ("plain", "publish"):
            with Served(folder, f"echo{event}{rate}") as served:
                url = f"http://127.0.0.1:{served.port}/queue"
                flood = _node(FLOOD, url, rate, event)
                assert flood.stdout is not None
                flood.stdout.readline()
                printed, _ = _node(ECHO, url, seconds).communicate()
                flood.terminate()
                real = float(flood.stdout.readline())
                flood.wait()
            middle, late = map(float, printed.split())
            worst[rate, event] = late
            print(
                f"echo beside {real:,.0f} {event} events/s: p50 {middle:.2f} ms, p99 {late:.2f} ms"
            )
        ratio = worst[rate, "publish"] / worst[rate, "plain"]
        print(f"echo: p99 beside {rate} publishes/s is {ratio:.2f} of that beside plain events")
    return all(worst[rate, "publish"] <= 3 * worst[rate, "plain"] for rate in (1000, 3000))


def end(folder: str, _many: int, seconds: float) -> Run:
    """Measure messages that are published, handled and acknowledged, in batches."""
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
        found = served.measure(seconds, lambda: handled[0])
        over.set()
        publisher.join()
    return found


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


Measure = Callable[[str, int, float], Run]
ROWS: list[tuple[str, Measure, int, int, float]] = [
    # name, what, how many, rows in a transaction if all are in it, the ratio asked for
    ("callers", callers, 1, 1, 0.0),
    ("callers", callers, 64, 64, 0.7),
    ("callers", callers, 256, 256, 0.7),
    ("chains", chains, 64, 64, 0.0),
    ("chains", chains, 256, 256, 0.0),
    ("coroutines", coroutines, 64, 64, 0.0),
    ("coroutines", coroutines, 256, 256, 0.0),
    ("websocket", websocket, 1, 1, 0.0),
    ("websocket", websocket, 64, 64, 0.7),
    ("websocket", websocket, 256, 256, 0.0),
    ("node", node, 64, 64, 0.0),
    ("end", end, 0, 500, 0.3),
]


def _row(folder: str, row: tuple[Any, ...], given: argparse.Namespace) -> bool:
    """Measure one row, print it, and tell whether it is good."""
    name, run, many, full, least = row
    found = []
    for _ in range(given.rounds):
        ours = run(folder, many, given.seconds)
        # The disk changes within seconds: plain at once, and as long.
        batches = repeat(full) if run is end else ours.batches
        same = plain(folder, batches, given.seconds if run is end else 10 * given.seconds)
        most = plain(folder, repeat(full), given.seconds / 2)
        size = sum(ours.batches) / len(ours.batches)
        python = bound(folder, run, many, given.seconds)
        found.append((ours.rate / same.rate, ours.rate, size, same.rate, most.rate, python))
        for file in Path(folder).iterdir():
            file.unlink()
    ratio, rate, size, same_rate, most_rate, python = sorted(found)[len(found) // 2]
    # For the whole way 15,000 a second are enough, whatever the disk could do.
    good: bool = ratio >= least or (name == "end" and rate >= 15_000)
    asked = f"{least} {'yes' if good else 'NO'}" if least else "-"
    line = f"{name} {many or ''} | {rate:,.0f} | {size:.0f} | {same_rate:,.0f} | {ratio:.2f}"
    last = "- | -" if python is None else f"{python:,.0f} | {rate / python:.2f}"
    full_line = f"{full} | {most_rate:,.0f} | {rate / most_rate:.2f}"
    print(f"| {line} | {asked} | {full_line} | {last} |", flush=True)
    return good


def main(arguments: list[str]) -> int:
    """Print the table; returns 1 if a ratio is lower than it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.queue")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(dict.fromkeys(name for name, *_ in ROWS)))
    parser.add_argument("--many", type=int, nargs="*", help="how many callers, instead of all")
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--folder", help="where files go, instead of the temporary folder")
    given = parser.parse_args(arguments)
    folder = tempfile.mkdtemp(prefix="rawsio-bench-", dir=given.folder)
    good = True
    try:
        print("| what | messages/s | rows each | plain, the same | ratio | asked for |", end="")
        print(" all rows | plain, all | ratio | Python | ratio |\n" + "|---" * 11 + "|")
        for row in ROWS:
            if row[0] in given.only and (not given.many or row[2] in given.many):
                good &= _row(folder, row, given)
        if "echo" in given.only:
            good &= echo(folder, 3 * given.seconds)
        if "spike" in given.only:
            spike(folder, given.rate, given.messages)
    finally:
        shutil.rmtree(folder)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
