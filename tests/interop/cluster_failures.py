"""What a caller sees when something breaks, of Node's servers and ours: a table.

``python -m tests.interop.cluster_failures [ADAPTER ...]``: for each adapter (``classic``,
``sharded``, ``streams``) two servers of each kind, A and B, on a Redis of their own, a client on
each.  Times are in milliseconds.  The exit code is 1 if one of ours misses what
``rfc_notes/cluster.md`` promises.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from .cluster import HERE, Member, until
from .cluster_peers import Crossing, answers
from .redis_client import free_port
from .run import install

__all__ = ["main"]

KINDS = ("node", "rawsio")
ADAPTERS = ("classic", "sharded", "streams")


class Pair:
    """Two servers of one kind; B reaches Redis by a crossing, so that it can be cut off."""

    def __init__(self, kind: str, adapter: str) -> None:
        self.kind, self.adapter = kind, adapter
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.redis = self.start_redis()
        self.crossing = Crossing(f"http://127.0.0.1:{self.port}")
        self.a = self.start("A", f"redis://127.0.0.1:{self.port}")
        self.b = self.start("B", self.crossing.url.replace("http", "redis"))
        until(self.whole)

    def start_redis(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [
                *("redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no"),
                *("--dir", self.folder.name),
            ],
            stdout=subprocess.DEVNULL,
        )
        until(lambda: answers(self.port))
        return child

    def start(self, name: str, url: str) -> Member:
        command = (
            ["node", str(HERE / "cluster_server.js")]
            if self.kind == "node"
            else [sys.executable, "-m", "tests.interop.cluster_server"]
        )
        made = Member(name, 0, [*command, "--redis", url, "--adapter", self.adapter])
        made.socket.on("probe", lambda *_args: None)
        return made

    def whole(self) -> bool:
        with contextlib.suppress(Exception):
            return len(self.a.do("fetch")) == 2
        return False

    def admin(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.check_output(command, text=True, timeout=60)

    def ask(self, operation: str, **details: Any) -> str:
        """Return how long an answer took, and what it was."""
        began = time.monotonic()
        try:
            answer = self.a.control_socket.emit_with_ack("do", operation, details).result(15)
        except Exception as error:  # noqa: BLE001 - that is the measurement
            return f"{(time.monotonic() - began) * 1000:.0f} {type(error).__name__}"
        took = (time.monotonic() - began) * 1000
        if answer.get("error") is not None:
            return f"{took:.0f} rejected"
        silent = answer.get("missing")
        text = f"{took:.0f}, {len(answer['value'])} found"
        return f"{text}, {len(silent)} named" if silent else text

    def asks(self) -> list[str]:
        return [
            self.ask("fetch"),
            self.ask("serverAsk", args=["asked", 1]),
            self.ask("ask", args=["question"], flags={"timeout": 700}),
        ]

    def emit(self, name: str) -> str:
        """Have A emit; return after how long its own client has the event."""
        began = time.monotonic()
        self.a.control_socket.emit("do", "emit", {"args": [name]})
        while [name] not in self.a.seen:
            if time.monotonic() - began > 8:
                return "never"
            time.sleep(0.001)
        return f"{(time.monotonic() - began) * 1000:.0f}"

    def end(self) -> None:
        for member in (self.a, self.b):
            with contextlib.suppress(Exception):
                member.child.send_signal(signal.SIGCONT)
                member.end()
        self.crossing.end()
        self.redis.kill()
        self.redis.wait()
        self.folder.cleanup()


# What is broken; each gives cells: fetch, event of servers, broadcast with acknowledgement


def healthy(pair: Pair) -> list[str]:
    return pair.asks()


def b_is_stopped(pair: Pair) -> list[str]:
    pair.b.child.send_signal(signal.SIGSTOP)
    try:
        return pair.asks()
    finally:
        pair.b.child.send_signal(signal.SIGCONT)


def b_is_cut_off_without_a_word(pair: Pair) -> list[str]:
    pair.crossing.held = True
    try:
        return pair.asks()
    finally:
        pair.crossing.held = False
        pair.crossing.lead_to(pair.crossing.target)


def b_is_dead(pair: Pair) -> list[str]:
    pair.b.child.kill()
    time.sleep(0.2)
    return pair.asks()


def redis_is_down(pair: Pair) -> list[str]:
    pair.redis.kill()
    pair.redis.wait()
    time.sleep(0.2)
    try:
        return pair.asks()
    finally:
        pair.redis = pair.start_redis()


# What becomes of events: A's client has it after, B's has it, the process lives, whole again after


def _events(pair: Pair, broken: Callable[[], object], mended: Callable[[], object]) -> list[str]:
    name = f"e{time.monotonic_ns()}"
    broken()
    local = pair.emit(name)
    time.sleep(0.5)
    mended()
    began = time.monotonic()
    after = "never"
    while time.monotonic() - began < 8:
        if pair.whole():
            after = f"{(time.monotonic() - began) * 1000:.0f}"
            break
        time.sleep(0.01)
    theirs = "yes" if [name] in pair.b.seen else "no"
    lives = "yes" if pair.a.child.poll() is None and pair.b.child.poll() is None else "NO"
    return [local, theirs, lives, after]


def redis_is_killed_for_a_second(pair: Pair) -> list[str]:
    def broken() -> None:
        pair.redis.kill()
        pair.redis.wait()
        time.sleep(0.3)

    def mended() -> None:
        pair.redis = pair.start_redis()

    return _events(pair, broken, mended)


def redis_hangs_for_a_second(pair: Pair) -> list[str]:
    return _events(
        pair,
        lambda: pair.redis.send_signal(signal.SIGSTOP),
        lambda: pair.redis.send_signal(signal.SIGCONT),
    )


def redis_has_no_memory(pair: Pair) -> list[str]:
    return _events(
        pair,
        lambda: pair.admin("config", "set", "maxmemory", "1"),
        lambda: pair.admin("config", "set", "maxmemory", "0"),
    )


def redis_has_the_keys_of_others(pair: Pair) -> list[str]:
    def fill() -> None:
        pair.admin("eval", "for i=1,200000 do redis.call('set','other:'..i,i) end", "0")
        for name in ("socket.io", "socket.io#/#", "socket.io-request#/#", "socketio"):
            pair.admin("set", f"{name}:key", "x")
            pair.admin("publish", name, "what others say")

    return _events(pair, fill, lambda: None)


REQUESTS = (healthy, b_is_stopped, b_is_cut_off_without_a_word, redis_is_down, b_is_dead)
EVENTS = (
    redis_has_the_keys_of_others,
    redis_has_no_memory,
    redis_hangs_for_a_second,
    redis_is_killed_for_a_second,
)


def _row(case: Callable[[Pair], list[str]], columns: list[list[str]]) -> None:
    title = case.__name__.replace("_", " ")
    print(f"| {title} | " + " | ".join("; ".join(cells) for cells in columns) + " |", flush=True)


def _run(case: Callable[[Pair], list[str]], pair: Pair) -> list[str]:
    for member in (pair.a, pair.b):
        member.seen.clear()
    try:
        return case(pair)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stands in the table
        return [f"{type(error).__name__}: {error}"[:80]]


def main(chosen: list[str]) -> int:
    """Measure, and print the tables."""
    if "NODE_PATH" not in os.environ:
        os.environ["NODE_PATH"] = str(install())
    problems = []
    for adapter in chosen or ADAPTERS:
        pairs = {kind: Pair(kind, adapter) for kind in KINDS}
        try:
            print(f"\n### {adapter}\n")
            print("| broken | Node: events | rawsio: events |\n|---|---|---|")
            print("| | A's client after ms; B's client; both live; whole again after ms | same |")
            for case in EVENTS:
                found = {kind: _run(case, pairs[kind]) for kind in KINDS}
                _row(case, list(found.values()))
                local, _theirs, lives, after = [*found["rawsio"], "", "", "", ""][:4]
                if lives != "yes" or not local.isdecimal() or int(local) > 1000:
                    problems.append(f"{adapter}, {case.__name__}: {found['rawsio']}")
                elif not after.isdecimal() or int(after) > 2000:
                    problems.append(f"{adapter}, {case.__name__}: whole again after {after} ms")
            print("\n| broken | Node: requests | rawsio: requests |\n|---|---|---|")
            print("| | fetch; event of servers; broadcast with ack (700 ms) | same |")
            for case in REQUESTS:
                for kind in KINDS:
                    if pairs[kind].a.child.poll() is None:
                        with contextlib.suppress(AssertionError):
                            until(pairs[kind].whole)
                _row(case, [_run(case, pairs[kind]) for kind in KINDS])
        finally:
            for pair in pairs.values():
                pair.end()
    print("\n".join(["", *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
