"""Queues in a real Redis: ``python -m tests.interop.redis_queue [--examples N] [--kills N]``.

The contract of all stores and the machine of ``tests/queue`` on ``redis-server``, and servers of
ours that share a queue while one of them, or Redis, is killed.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import functools
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from rawsio import Limits, Server
from rawsio.queue import QueueError
from rawsio.queue.operations import Claim, Delete, Insert
from tests.queue.contract import Bench, machine_for, store_tests

from .cluster_peers import redis_cluster
from .redis_stores import SECONDS, BlockingStore, QueueRedis, Talk

__all__ = ["main"]

SILENCE = 1.5
KILLS = int(os.environ.get("RAWSIO_KILLS", "4"))
ROOT = Path(__file__).resolve().parent.parent.parent


@functools.cache
def common() -> QueueRedis:
    """Return the server that the contract's tests share."""
    folder = tempfile.TemporaryDirectory(prefix="rawsio-redis-")
    made = QueueRedis(Path(folder.name))
    atexit.register(folder.cleanup)
    atexit.register(made.kill)
    return made


BENCH = Bench(lambda: BlockingStore(common().port), BlockingStore.reopen, shared=True)
TestStore = store_tests(BENCH)
TestMachine = machine_for(BENCH).TestCase
TestMachine.settings = settings(
    max_examples=int(os.environ.get("RAWSIO_EXAMPLES", "50")),
    stateful_step_count=30,
    deadline=None,
)


def until(found: Callable[[], object], what: str = "it never came") -> None:
    """Wait for something that a thread or another process brings."""
    end = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.01)


class Running:
    """A server of ours in a thread, with the shared queue."""

    def __init__(self, url: str, silence: float = SILENCE) -> None:
        self.io = Server(limits=Limits(queue_silence=silence))
        self.jobs = self.io.queue("jobs", store=url)
        self.io.listen()
        running = threading.Event()
        self.io.host.call_soon(running.set)
        self.thread = threading.Thread(target=self.io.run, daemon=True)
        self.thread.start()
        assert running.wait(SECONDS)

    def handle(self, fn: Callable[[Any], object], **options: Any) -> None:
        self.io.host.call(lambda: self.jobs.handler(fn, **options) and None)

    def end(self) -> None:
        self.io.close()
        self.thread.join(SECONDS)


@contextlib.contextmanager
def redis(*, lasting: bool = False) -> Iterator[QueueRedis]:
    with tempfile.TemporaryDirectory() as folder:
        made = QueueRedis(Path(folder), lasting=lasting)
        try:
            yield made
        finally:
            made.kill()


def test_a_server_that_is_closed_gives_back_at_once_what_it_holds() -> None:
    with redis() as server:
        leaving, staying = Running(server.url, 3600), Running(server.url, 3600)
        held: list[Any] = []
        got: list[int] = []
        leaving.io.host.call(lambda: leaving.jobs.consume("me", held.extend, credit=10))
        for reply in leaving.jobs.publish_many(range(5)):
            reply.result(SECONDS)
        until(lambda: len(held) == 5)
        staying.handle(lambda m: got.append(m.body))
        leaving.end()
        until(lambda: sorted(got) == list(range(5)))
        staying.end()


WORKER = """
import os, sys
from rawsio import Limits, Server
url, path, silence = sys.argv[1:]
io = Server(limits=Limits(queue_silence=float(silence)))
jobs = io.queue("jobs", store=url)
done = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
@jobs.handler(prefetch=20)
def work(message):
    os.write(done, b"%d\\n" % message.body)
io.listen()
io.run()
"""


class Worker:
    """A server of ours in a process of its own, that notes in a file what it has done."""

    def __init__(self, url: str, path: Path) -> None:
        command = [sys.executable, "-c", WORKER, url, str(path), str(SILENCE)]
        self.child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()


@pytest.mark.rule("queue-redis-shared")
def test_two_servers_share_a_queue_and_nobody_gets_anothers() -> None:
    with redis() as server:
        # Nobody is silent, however slow the machine is.
        first, second = Running(server.url, 3600), Running(server.url, 3600)
        got: list[list[int]] = [[], []]
        first.handle(lambda m: got[0].append(m.body), prefetch=20)
        second.handle(lambda m: got[1].append(m.body), prefetch=20)
        for number in range(0, 1000, 50):
            publisher = (first, second)[number // 50 % 2]
            for reply in publisher.jobs.publish_many(range(number, number + 50)):
                reply.result(SECONDS)
        until(lambda: len(got[0]) + len(got[1]) >= 1000)
        first.end()
        second.end()
    assert sorted(got[0] + got[1]) == list(range(1000))
    assert all(got), "both had some"


def test_servers_that_know_different_servers_of_a_redis_cluster_share_a_queue() -> None:
    with redis_cluster() as ports:
        urls = [f"redis://127.0.0.1:{port}" for port in ports]
        servers = [Running(url, 3600) for url in urls]
        got: list[int] = []
        for server in servers[1:]:
            server.handle(lambda m: got.append(m.body), prefetch=20)
        for server in servers:
            for reply in server.jobs.publish_many(range(100)):
                reply.result(SECONDS)
        until(lambda: len(got) >= 300)
        for server in servers:
            server.end()
    assert sorted(got) == sorted([*range(100)] * 3)


def test_what_a_silent_server_held_is_given_to_another_and_its_acknowledgement_is_stale() -> None:
    with redis() as server:
        held, got = BlockingStore(server.port), []
        held.mark = ""
        held.open("jobs", 5, 0)
        ((number, _),) = held.apply([Insert("jobs", b"7", 0)])
        held.apply([Claim("jobs", 1, 99)])
        running = Running(server.url)
        running.handle(lambda m: got.append((m.body, m.deliveries)))
        until(lambda: got)
        assert got == [(7, 2)]
        assert held.apply([Delete("jobs", number, 99, 1)]) == [False]
        held.close()
        running.end()


class Load:
    """A publisher that goes on, and a worker in another process; both are killed by the test."""

    def __init__(self, server: QueueRedis, path: Path) -> None:
        self.server, self.path = server, path
        path.touch()
        self.accepted: list[int] = []
        self.publisher = Running(server.url)
        self.worker = Worker(server.url, path)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.publish)
        self.thread.start()

    def publish(self) -> None:
        number = 0
        while not self.over.is_set():
            replies = [self.publisher.jobs.publish(number + n) for n in range(10)]
            for n, reply in enumerate(replies):
                with contextlib.suppress(QueueError):
                    reply.result(SECONDS)
                    self.accepted.append(number + n)
            number += 10

    def processed(self) -> list[str]:
        return self.path.read_text().split()

    def lost(self) -> set[int]:
        return set(self.accepted) - {int(line) for line in self.processed()}

    def strike(self, what: str) -> None:
        """Kill something while publisher and worker are at work."""
        accepted, processed = len(self.accepted) + 50, len(self.processed()) + 50
        until(lambda: len(self.accepted) > accepted, "publishes are stuck")
        until(lambda: len(self.processed()) > processed, "the worker is stuck")
        if what in ("server", "both"):
            self.worker.kill()
        if what in ("redis", "both"):
            self.server.kill()
            self.server.start()
        if what in ("server", "both"):
            self.worker = Worker(self.server.url, self.path)

    def stop(self) -> None:
        self.over.set()
        self.thread.join(SECONDS)

    def end(self) -> None:
        self.stop()
        self.publisher.end()
        self.worker.kill()


@pytest.mark.rule("queue-redis-once")
@pytest.mark.parametrize("what", ["server", "redis", "both"])
def test_nothing_that_was_acknowledged_is_lost_when_it_is_killed(what: str) -> None:
    with redis(lasting=True) as server, tempfile.TemporaryDirectory() as folder:
        load = Load(server, Path(folder) / "done")
        try:
            for _ in range(KILLS):
                load.strike(what)
            load.stop()
            until(lambda: not load.lost(), "acknowledged and never processed")
        finally:
            load.end()
        processed = load.processed()
        twice = len(processed) - len(set(processed))
        print(f"# {what}: {len(load.accepted)} acknowledged, none lost, {twice} processed twice")


def test_without_memory_publishes_are_refused_and_acknowledgements_go_on() -> None:
    with redis() as server:
        running = Running(server.url)
        held: list[Any] = []
        running.io.host.call(
            lambda: running.jobs.consume("me", held.extend, credit=100),
        )
        running.jobs.publish("x" * 1000).result(SECONDS)
        until(lambda: held)
        talk = Talk(server.port)
        talk.ask(b"CONFIG", b"SET", b"maxmemory", b"1")
        with pytest.raises(QueueError, match="no memory left") as caught:
            running.jobs.publish("y").result(SECONDS)
        assert caught.value.code == "full"
        running.io.host.call(lambda: running.jobs.queue.ack(held[0].token))
        running.io.host.call(running.jobs.keeper.touch)
        until(lambda: running.jobs.stats()["leased"] == 0)
        talk.ask(b"CONFIG", b"SET", b"maxmemory", b"0")
        until(lambda: _published(running))
        talk.close()
        running.end()


def _published(running: Running) -> bool:
    with contextlib.suppress(QueueError):
        return bool(running.jobs.publish("z").result(SECONDS))
    return False


class Tap:
    """Prints a line for each test, as the other suites do."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.failed:
            self.count += 1
            word = "ok" if report.passed else "not ok"
            print(f"\n{word} {self.count} - {report.nodeid.split('::', 1)[1]}", flush=True)


def main(arguments: list[str]) -> int:
    """Run the tests of this module; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.interop.redis_queue")
    parser.add_argument("--examples", type=int, help="of the machine")
    parser.add_argument("--kills", type=int, help="of a server, of Redis, and of both")
    parser.add_argument("-k", default="", help="as pytest's")
    given = parser.parse_args(arguments)
    for name, number in (("RAWSIO_EXAMPLES", given.examples), ("RAWSIO_KILLS", given.kills)):
        if number:
            os.environ[name] = str(number)
    options = ["-q", "-s", "-p", "no:cacheprovider", "-k", given.k]
    # It has been imported with this module, and its assertions need no pictures.
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([__file__, *options], plugins=[Tap()]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
