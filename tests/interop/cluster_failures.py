"""What a caller sees when something breaks, of Node's servers and ours: a table.

``python -m tests.interop.cluster_failures [--write] [ADAPTER ...]``: for each adapter (``classic``,
``sharded``, ``streams``) two servers of each kind, A and B, on a Redis of their own, a client on
each.  Times are in milliseconds.  The exit code is 1 if one of ours misses what
``rfc_notes/cluster.md`` promises; ``--write`` puts the tables there.

A network that swallows everything needs a network of our own.  Where the system lets everybody make
one (``unshare``), the command runs in it, and Redis beyond a cable that can be unplugged.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from .cluster import HERE, Member, until
from .cluster_peers import Crossing, answers
from .conformance import rewrite
from .redis_client import free_port
from .run import install

__all__ = ["main"]

NOTE = HERE.parent.parent / "rfc_notes" / "cluster.md"
KINDS = ("node", "rawsio")
ADAPTERS = ("classic", "sharded", "streams")
WITHIN = "RAWSIO_OWN_NETWORK"
"""Set where this command runs in a network of its own."""
BUSY = """
local began = redis.call('TIME')
repeat
  local now = redis.call('TIME')
until (now[1] - began[1]) * 1e6 + now[2] - began[2] > tonumber(ARGV[1])
"""


class Cable:
    """A network with nothing but a Redis in it, and the cable that leads there."""

    made = 0

    def __init__(self) -> None:
        Cable.made += 1
        self.here, self.host = f"10.77.{Cable.made}.1", f"10.77.{Cable.made}.2"
        near, far = f"near{Cable.made}", f"far{Cable.made}"
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        self.within = ["nsenter", "-t", str(self.holder.pid), "-n"]
        own = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != own)
        for command in (
            ["ip", "link", "add", near, "type", "veth", "peer", "name", far],
            ["ip", "link", "set", far, "netns", str(self.holder.pid)],
            ["ip", "addr", "add", f"{self.here}/24", "dev", near],
            ["ip", "link", "set", near, "up"],
            [*self.within, "ip", "addr", "add", f"{self.host}/24", "dev", far],
            [*self.within, "ip", "link", "set", far, "up"],
        ):
            subprocess.run(command, check=True)

    def unplug(self) -> None:
        """Swallow everything, in both directions, without a word."""
        self._route("add")

    def plug(self) -> None:
        self._route("del")

    def _route(self, what: str) -> None:
        command = ["ip", "route", what, "blackhole", f"{self.here}/32"]
        subprocess.run([*self.within, *command], check=True)

    def end(self) -> None:
        self.holder.kill()
        self.holder.wait()


def may_own_a_network() -> bool:
    """Tell whether this system lets us make networks."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    probe = "ip link set lo up && ip link add probe0 type veth peer name probe1"
    command = ["unshare", "-rn", "sh", "-c", probe]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Pair:
    """Two servers of one kind; B may reach Redis by a crossing, so that it can be cut off."""

    def __init__(self, kind: str, adapter: str, *, crossing: bool = False) -> None:
        self.kind, self.adapter = kind, adapter
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.cable = Cable() if os.environ.get(WITHIN) else None
        self.host = "127.0.0.1" if self.cable is None else self.cable.host
        self.redis = self.start_redis()
        self.crossing = Crossing(f"http://{self.host}:{self.port}")
        self.a = self.start("A", f"redis://{self.host}:{self.port}")
        way = self.crossing.url if crossing else f"http://{self.host}:{self.port}"
        self.b = self.start("B", way.replace("http", "redis"))
        until(self.whole)

    def start_redis(self) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(
            [
                *(() if self.cable is None else self.cable.within),
                *("redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no"),
                *("--dir", self.folder.name, "--bind", self.host, "--protected-mode", "no"),
            ],
            stdout=subprocess.DEVNULL,
        )
        until(lambda: answers(self.port, self.host))
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
        command = ["redis-cli", "-h", self.host, "-p", str(self.port), *words]
        return subprocess.check_output(command, text=True, timeout=60)

    def ask(self, operation: str, **details: Any) -> str:
        """Return how long an answer took, and what it was."""
        began = time.monotonic()
        try:
            answer = self.a.control_socket.emit_with_ack("do", operation, details).result(8)
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
        if self.cable is not None:
            self.cable.end()
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


def b_is_killed_half_a_second_into_the_request(pair: Pair) -> list[str]:
    pair.b.child.send_signal(signal.SIGSTOP)  # else it would have answered
    threading.Timer(0.5, pair.b.child.kill).start()
    return [pair.ask("fetch")]


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


def redis_is_shut_down_for_a_second(pair: Pair) -> list[str]:
    def broken() -> None:
        pair.redis.terminate()
        pair.redis.wait()
        time.sleep(0.3)

    def mended() -> None:
        pair.redis = pair.start_redis()

    return _events(pair, broken, mended)


def redis_is_killed_and_started_again(pair: Pair) -> list[str]:
    def broken() -> None:
        pair.redis.kill()
        pair.redis.wait()
        pair.redis = pair.start_redis()

    return _events(pair, broken, lambda: None)


def redis_is_slow(pair: Pair) -> list[str]:
    """Between two commands it is busy for a quarter of a second, for two seconds."""
    turns = [threading.Thread(target=_busy, args=(pair,)) for _ in range(2)]

    def broken() -> None:
        for turn in turns:
            turn.start()
        time.sleep(0.1)

    def mended() -> None:
        for turn in turns:
            turn.join()

    return _events(pair, broken, mended)


def _busy(pair: Pair) -> None:
    for _ in range(4):
        pair.admin("eval", BUSY, "0", "250000")


def redis_is_out_of_reach_for_five_seconds(pair: Pair) -> list[str]:
    if pair.cable is None:
        return ["needs a network of its own"]
    return _out_of_reach(pair, pair.cable, 5.0)


def redis_is_out_of_reach_for_nine_seconds(pair: Pair) -> list[str]:
    if pair.cable is None:
        return ["needs a network of its own"]
    return _out_of_reach(pair, pair.cable, 9.0)


def _out_of_reach(pair: Pair, cable: Cable, seconds: float) -> list[str]:
    def mended() -> None:
        time.sleep(seconds - 0.5)
        cable.plug()

    return _events(pair, cable.unplug, mended)


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


REQUESTS = (
    healthy,
    b_is_stopped,
    b_is_cut_off_without_a_word,
    redis_is_down,
    b_is_killed_half_a_second_into_the_request,
    b_is_dead,
)
EVENTS = (
    redis_has_the_keys_of_others,
    redis_has_no_memory,
    redis_is_slow,
    redis_hangs_for_a_second,
    redis_is_killed_and_started_again,
    redis_is_shut_down_for_a_second,
    redis_is_killed_for_a_second,
    redis_is_out_of_reach_for_five_seconds,
    redis_is_out_of_reach_for_nine_seconds,
)


def _row(case: Callable[[Pair], list[str]], columns: list[list[str]]) -> str:
    title = case.__name__.replace("_", " ")
    row = f"| {title} | " + " | ".join("; ".join(cells) for cells in columns) + " |"
    print(row, flush=True)
    return row


def _run(case: Callable[[Pair], list[str]], pair: Pair) -> list[str]:
    for member in (pair.a, pair.b):
        member.seen.clear()
    try:
        return case(pair)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stands in the table
        return [f"{type(error).__name__}: {error}"[:80]]


class Pairs:
    """The servers of both kinds: those that are there, or new ones if they are broken."""

    def __init__(self, adapter: str, *, crossing: bool = False) -> None:
        self._make = partial(Pair, adapter=adapter, crossing=crossing)
        self._pairs: dict[str, Pair] = {}

    def __enter__(self) -> Pairs:
        return self

    def __exit__(self, *_error: object) -> None:
        for pair in self._pairs.values():
            pair.end()

    def run(self, case: Callable[[Pair], list[str]]) -> dict[str, list[str]]:
        """Run a case with each kind; return what came of it."""
        return {kind: _run(case, self._of(kind)) for kind in KINDS}

    def _of(self, kind: str) -> Pair:
        pair = self._pairs.pop(kind, None)
        if pair is not None:
            with contextlib.suppress(AssertionError):
                if pair.a.child.poll() is None and pair.b.child.poll() is None:
                    until(pair.whole)
                    self._pairs[kind] = pair
                    return pair
            pair.end()
        made = self._pairs[kind] = self._make(kind)
        return made


def _problems(case: Callable[[Pair], list[str]], cells: list[str]) -> list[str]:
    """Return what of ours is not as promised."""
    local, _theirs, lives, after = [*cells, "", "", "", ""][:4]
    if len(cells) == 1 and cells[0].startswith("needs"):
        return []
    if lives != "yes" or not local.isdecimal() or int(local) > 1000:
        return [f"{case.__name__}: {cells}"]
    if not after.isdecimal() or int(after) > 2000:
        return [f"{case.__name__}: whole again after {after} ms"]
    return []


def table(adapter: str) -> tuple[str, list[str]]:
    """Measure with one adapter; return the tables, and what is not as promised."""
    problems = []
    rows = ["| broken | Node: events | rawsio: events |", "|---|---|---|"]
    rows.append("| | A's client after ms; B's client; both live; whole again after ms | same |")
    with Pairs(adapter) as pairs:
        for case in EVENTS:
            found = pairs.run(case)
            rows.append(_row(case, list(found.values())))
            problems += [f"{adapter}, {line}" for line in _problems(case, found["rawsio"])]
    rows += ["", "| broken | Node: requests | rawsio: requests |", "|---|---|---|"]
    rows.append("| | fetch; event of servers; broadcast with ack (700 ms) | same |")
    with Pairs(adapter, crossing=True) as pairs:
        rows += [_row(case, list(pairs.run(case).values())) for case in REQUESTS]
    return "\n".join(rows) + "\n", problems


def main(arguments: list[str]) -> int:
    """Measure, and print or write the tables."""
    if "NODE_PATH" not in os.environ:
        os.environ["NODE_PATH"] = str(install())
    if WITHIN not in os.environ and may_own_a_network():
        command = [sys.executable, "-m", "tests.interop.cluster_failures", *arguments]
        again = f"ip link set lo up && exec {shlex.join(command)}"
        os.environ[WITHIN] = "1"
        os.execvp("unshare", ["unshare", "-rn", "sh", "-c", again])
    write = "--write" in arguments
    problems = []
    for adapter in [word for word in arguments if word != "--write"] or ADAPTERS:
        print(f"\n### {adapter}\n", flush=True)
        text, wrong = table(adapter)
        problems += wrong
        if write:
            rewrite(f"failures of {adapter}", text, NOTE)
    print("\n".join(["", *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
