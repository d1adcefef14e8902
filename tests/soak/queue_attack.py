"""Misuse a durable queue from outside, and let others use it meanwhile.

``python -m tests.soak.queue_attack`` serves a queue in a file and has clients do everything that
they should not: foreign, stale and doubled tokens, bodies that are huge, empty or deep, options of
every wrong kind, consumers that never answer, answer everything, or leave in the middle of a batch,
floods of every request, queues that are not there; with ``--polling`` over polling, with
``--msgpack`` in MessagePack.  Beside each of them two honest clients publish, consume and
measure.  It ends with 1 if anything that was accepted is lost, an error has no code, the server
says something worse than a warning, or honest clients wait ten times as long as without.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rawsio import Client, Limits, MsgpackParser, Server
from rawsio.queue.messages import CODES

__all__ = ["ATTACKS", "main"]

SECONDS = 20.0
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
NONSENSE: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 2**53, 10**400, 1e308, "", "x", "\ud800", "\0", "a" * 100_000),
    *([], [[]], {}, {"": ""}, {"__proto__": 1}, b"", b"\0" * 70_000, [b"1"] * 11, "0-0", "-", DEEP),
]


# What every client is made with.
HOW: dict[str, Any] = {"transports": ["websocket"]}


class Asked(Exception):
    """An answer that no request should get."""


class Person:
    """A client that asks and is answered."""

    def __init__(self, url: str) -> None:
        self.client = Client(url, reconnection=False, **HOW)
        self.client.start()
        self.socket = self.client.socket("/queue")
        self.socket.connect()

    def send(self, *args: Any) -> Any:
        """Send a request; returns the reply to wait for."""
        return self.socket.emit_with_ack(*args)

    def ask(self, *args: Any) -> Any:
        """Return the value of an answer, or the code of an error."""
        return value_of(self.send(*args))

    def close(self) -> None:
        self.client.close()


def value_of(reply: Any) -> Any:
    """Return the value of an answer, or the code of an error."""
    answer = reply.result(SECONDS)
    error, value = answer if isinstance(answer, tuple) else (answer, None)
    if error is None:
        return value
    if error.__class__ is not dict or error.get("code") not in CODES:
        raise Asked(f"an error without a code: {str(error)[:200]}")
    return error["code"]


def lets_look(_socket: Any, operation: str, _queue: str) -> bool:
    """Everybody may look, too."""
    return operation not in ("purge", "redrive")


class Scene:
    """A server, two honest clients, and what they have seen."""

    def __init__(self, folder: str, store: str | None) -> None:
        limits = Limits(queue_silence=2.0)
        self.io = Server(limits=limits, parser=HOW.get("parser"))
        options: Any = {"path": f"{folder}/app.db"} if store is None else {"store": store}
        options |= {"namespace": "/queue", "max_deliveries": 100, "allow": lets_look}
        self.jobs = self.io.queue("jobs", **options)
        self.honest = self.io.queue("honest", **options)
        self.url = f"http://127.0.0.1:{self.io.listen()[1]}"
        self.thread = threading.Thread(target=self.io.run, daemon=True)
        self.thread.start()
        self.publisher, self.consumer = Person(self.url), Person(self.url)
        self.came: dict[int, float] = {}
        self.times: list[float] = []
        self.sent = 0
        self.lock = threading.Lock()
        self.consumer.socket.on("message", self.take)
        assert "consumer" in self.consumer.ask("consume", "honest", {"credit": 10})

    def take(self, message: Any) -> None:
        with self.lock:
            self.came[message["body"]] = time.perf_counter()

    def one(self) -> None:
        """Publish honestly, and wait until it has been processed."""
        self.sent += 1
        began = time.perf_counter()
        answer = self.publisher.ask("publish", "honest", self.sent)
        if not isinstance(answer, dict):
            raise Asked(f"an honest publish was refused: {answer}")
        while self.sent not in self.came:
            if time.perf_counter() > began + SECONDS:
                raise Asked("an honest message never came")
            time.sleep(0.0005)
        self.times.append(time.perf_counter() - began)

    def measure(self, attack: Callable[[Scene, Counter[str]], None], seconds: float) -> Any:
        """Run an attack beside honest clients; return what was answered, and their times."""
        self.times = []
        seen: Counter[str] = Counter()
        wrong: list[BaseException] = []
        over = time.monotonic() + seconds

        def run() -> None:
            try:
                while time.monotonic() < over:
                    attack(self, seen)
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                wrong.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        while time.monotonic() < over or thread.is_alive():
            self.one()
        thread.join()
        times = sorted(self.times)
        return seen, times[len(times) // 2] * 1e3, times[len(times) * 99 // 100] * 1e3, wrong


def note(seen: Counter[str], answer: Any) -> None:
    """Count an answer: its code, or that it was none."""
    seen[answer if isinstance(answer, str) else "ok"] += 1


def attempt(seen: Counter[str], person: Person, *request: Any) -> None:
    """Ask for what may be nonsense, and count the answer."""
    try:
        note(seen, person.ask(*request))
    except ValueError:  # our own client does not send everything
        seen["not sent"] += 1


def nothing(_scene: Scene, _seen: Counter[str]) -> None:
    """For comparison: nobody does anything wrong."""
    time.sleep(0.05)


def tokens(scene: Scene, seen: Counter[str]) -> None:
    """Foreign, stale, doubled and forged tokens."""
    owner, thief = Person(scene.url), Person(scene.url)
    held: list[Any] = []
    owner.socket.on("message", lambda message, _ack: held.append(message), ack=True)
    for number in range(5):
        owner.ask("publish", "jobs", number)
    owner.ask("consume", "jobs", {"credit": 5})
    thief.ask("consume", "jobs", {"credit": 0})
    end = time.monotonic() + SECONDS
    while len(held) < 5 and time.monotonic() < end:
        time.sleep(0.001)
    token = held[0]["token"]
    for name in ("ack", "nack"):
        answer = thief.ask(name, token)
        stale = answer == "stale" or answer == {"done": 0, "stale": [token]}
        if not stale:
            raise Asked(f"a foreign token counted: {name} {answer}")
        note(seen, "stale")
    note(seen, thief.ask("extend", token, 5))
    both = owner.ask("ack", [token, token])
    if both != {"done": 1, "stale": [token]}:
        raise Asked(f"a doubled token: {both}")
    token = held[-1]["token"]
    for nonsense in NONSENSE:
        attempt(seen, owner, "ack", nonsense)
        attempt(seen, owner, "ack", [nonsense] * 3)
        attempt(seen, owner, "nack", nonsense, {"error": nonsense})
        attempt(seen, owner, "extend", token, nonsense)
        attempt(seen, owner, "nack", token, {"error": nonsense, "delay": 0})
        token = held[-1]["token"]
    note(seen, owner.ask("ack", ["x"] * 1001))
    thief.close()
    owner.close()


def bodies(scene: Scene, seen: Counter[str]) -> None:
    """Bodies and options of every kind."""
    person = Person(scene.url)
    for nonsense in NONSENSE:
        for request in (
            ("publish", "jobs", nonsense),
            *[
                ("publish", "jobs", 1, {option: nonsense})
                for option in ("key", "group", "delay", "priority", "expires", "more")
            ],
            ("publish", "jobs", 1, nonsense),
            ("publish", nonsense, 1),
            ("publish_many", "jobs", nonsense),
            ("publish_many", "jobs", [nonsense, [nonsense], [1, nonsense], [1, 2, 3]]),
            ("consume", nonsense, {}),
            ("consume", "jobs", nonsense if nonsense else {"credit": -1}),
            *[
                ("consume", "jobs", {option: nonsense, "credit": 0})
                for option in ("lease", "batch", "linger", "on_disconnect", "drained")
            ],
            ("credit", nonsense, nonsense),
            ("cancel", nonsense),
            *[(name, nonsense) for name in ("peek", "stats", "purge", "redrive", "publish")],
        ):
            attempt(seen, person, *request)
    for size in (200_000, 300_000, 900_000):
        note(seen, person.ask("publish", "jobs", "x" * size))
    person.close()


def never(scene: Scene, seen: Counter[str]) -> None:
    """A consumer that never answers, with much credit and a long lease."""
    person = Person(scene.url)
    person.socket.on("message", lambda _message, _ack: None, ack=True)
    for number in range(50):
        note(seen, person.ask("publish", "jobs", number))
    note(seen, person.ask("consume", "jobs", {"credit": 1000, "lease": 3600}))
    time.sleep(0.1)
    person.close()


def everything(scene: Scene, seen: Counter[str]) -> None:
    """A consumer that gives back all that it gets, at once, again and again."""
    person = Person(scene.url)
    person.socket.on("message", lambda _message: {"error": "no", "delay": 0})
    for number in range(20):
        note(seen, person.ask("publish", "jobs", number))
    note(seen, person.ask("consume", "jobs", {"credit": 20}))
    time.sleep(0.3)
    person.close()


def leaver(scene: Scene, seen: Counter[str]) -> None:
    """A consumer that disconnects in the middle of a batch."""
    person, came = Person(scene.url), threading.Event()
    person.socket.on("messages", lambda _messages, _ack: came.set(), ack=True)
    for number in range(40):
        note(seen, person.ask("publish", "jobs", number))
    how = random.choice(["return", "lease"])
    options = {"batch": 20, "credit": 40, "lease": 0.3, "on_disconnect": how}
    note(seen, person.ask("consume", "jobs", options))
    came.wait(1)
    person.close()


def flood(scene: Scene, seen: Counter[str]) -> None:
    """Four clients that publish without waiting for answers."""
    people = [Person(scene.url) for _ in range(4)]
    replies = [
        person.send("publish", "jobs", number, {"expires": 1})
        for number in range(300)
        for person in people
    ]
    for reply in replies:
        note(seen, value_of(reply))
    for person in people:
        person.close()


def busybodies(scene: Scene, seen: Counter[str]) -> None:
    """Clients that ask for everything without waiting for answers."""
    people = [Person(scene.url) for _ in range(4)]
    replies = [
        person.send(*request)
        for _ in range(100)
        for person in people
        for request in (
            ("stats", "jobs"),
            ("peek", "jobs", {"count": 20}),
            ("purge", "jobs"),
            ("consume", "jobs", {"credit": 0}),
            ("cancel", "1"),
            ("extend", "1-1", 5),
        )
    ]
    for reply in replies:
        note(seen, value_of(reply))
    for person in people:
        person.close()


def crowd(scene: Scene, seen: Counter[str]) -> None:
    """A client with as many consumers as it may have, and more."""
    person = Person(scene.url)
    for _ in range(1100):
        note(seen, person.ask("consume", "jobs", {"credit": 0}))
    person.close()


ATTACKS = (nothing, tokens, bodies, never, everything, leaver, flood, busybodies, crowd)


class Heard(logging.Handler):
    """What the server said that is worse than a warning."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def left_over(scene: Scene) -> str:
    """Return what is wrong with what the attacks left behind; they took none of it away."""
    stats = scene.jobs.stats()
    left = sum(stats[state] for state in ("ready", "delayed", "blocked", "leased", "dead"))
    gone = stats["acked"] + stats["expired"] + stats["dropped"]
    if stats["published"] != left + gone:
        return f"{stats['published']} were accepted, {left} are there, {gone} are accounted for"
    if scene.honest.stats()["acked"] != scene.sent:
        return "an honest message was not processed once"
    return ""


def main(arguments: list[str]) -> int:
    """Run the attacks; return 1 if something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.queue_attack")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each attack")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--store", help="a URL of an empty Redis, instead of a file")
    parser.add_argument("--polling", action="store_true", help="instead of WebSocket")
    parser.add_argument("--msgpack", action="store_true", help="instead of JSON")
    given = parser.parse_args(arguments)
    if given.polling:
        HOW["transports"] = ["polling"]
    if given.msgpack:
        HOW["parser"] = MsgpackParser()
    heard, wrong = Heard(), []
    logging.getLogger("rawsio").addHandler(heard)
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder, given.store)
        print("| attack | honest clients p50, ms | p99, ms | answers |\n|---|---|---|---|")
        quiet = 0.0
        for attack in ATTACKS:
            if given.only and attack is not nothing and attack.__name__ not in given.only:
                continue
            seen, middle, late, failed = scene.measure(attack, given.seconds)
            quiet = quiet or late
            told = ", ".join(f"{word} {many}" for word, many in sorted(seen.items()))
            print(f"| {attack.__name__} | {middle:.1f} | {late:.1f} | {told} |", flush=True)
            wrong += [f"{attack.__name__}: {error!r}" for error in failed]
            if late > max(10 * quiet, 100):
                wrong.append(f"{attack.__name__}: honest clients waited {late:.0f} ms")
        time.sleep(1.0)
        wrong += [line for line in (left_over(scene), *heard.lines) if line]
        scene.io.close()
        scene.thread.join(SECONDS)
    for line in wrong:
        print(f"wrong: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
