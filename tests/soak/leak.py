"""Connections that end in every way there is leave nothing: ``python -m tests.soak.leak [COUNT]``.

A real server on real sockets makes its turns in this process; the clients are in it, too, and are
closed before anything is counted.  Its clock can be set forward, so time-outs take no time.  The
ways are those of :mod:`tests.soak.ways`; rounds of fifty connections run beside each other.  In the
end the server is closed with sessions open, and must be as empty.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from collections import Counter
from importlib import import_module
from typing import Any

from rawsio import Limits, Refused, Server
from rawsio.net.loop import Loop

from .ways import SILENCE, WAYS
from .wire import Client, Verdict, frame, upgrade

__all__ = ["Soak", "main"]

for _name in ("connections", "sessions", "namespaces"):
    import_module(f"tests.soak.ways_{_name}")

AT_ONCE = 50


class Soak:
    """The server, and what it holds."""

    def __init__(self, **options: Any) -> None:
        self.offset = 0.0
        self.loop = Loop(None, self.clock)
        limits = Limits(queue=200_000, high_water=100_000, low_water=50_000)
        self.io = Server(
            limits=limits,
            cleanup_empty_child_namespaces=True,
            per_message_deflate=True,
            allow_eio3=True,
            app=lambda _environ, start: (start("200 OK", []) and []) or [b"x"],
            **options,
        )
        self.io.net.start(self.loop)
        self.io.host.wall = self.clock
        self.reasons: Counter[str] = Counter()
        self.rules: Counter[str] = Counter()
        self.io.host.log.sink = self._note  # type: ignore[attr-defined]
        self._handlers()
        self.address = self.io.listen()

    def clock(self) -> float:
        """Return the time, as far as it was set forward."""
        return time.monotonic() + self.offset

    def _note(self, _channel: str, _level: int, message: str, _error: Any) -> None:
        # The log is limited in rate, so this tells which rules were at work, not how often.
        self.rules.update(re.findall(r"\[([a-z0-9.-]+?-[a-z0-9.-]+)[,\]]", message))

    def _handlers(self) -> None:
        io = self.io
        io.on("disconnect", lambda _socket, reason: self.reasons.update([reason]))
        io.on("go", lambda socket: socket.disconnect(True))
        io.on("leave", lambda socket: socket.disconnect())
        io.on("fail", lambda _socket: 1 // 0)
        io.on("up", lambda _socket, *_data: None)
        io.on("flood", lambda socket: [socket.emit("x", "y" * 20_000) for _ in range(30)])

        @io.on("settle")
        def settle(socket: Any) -> None:
            socket.join(f"room {id(socket)}", "shared")
            socket.data["self"] = socket
            socket.emit_with_ack("question")
            socket.timeout(5.0).emit_with_ack("question")
            io.to("shared").timeout(5.0).emit_with_ack("question")

        @io.of("/refused").use
        def refuse(_socket: Any) -> None:
            raise Refused("no")

        io.of(re.compile(r"/child-[0-9]+"))

    def turns(self, count: int = 3) -> None:
        """Let the server do what there is to do."""
        for _ in range(count):
            self.io.step(0)

    def silence(self) -> None:
        """Let an hour go by, in steps that leave room for what follows a time-out."""
        for seconds in (15, 30, 60, 300, 3600):
            self.offset += seconds
            self.turns(4)

    def round(self, names: list[str]) -> None:
        """Run these ways beside each other, to their end."""
        clients = [Client(self.address) for _ in names]
        # In the pool a connection may come before it is accepted: `accept` takes turns, too.
        self.turns(2)
        running = [WAYS[name](client) for name, client in zip(names, clients, strict=True)]
        while running:
            asked = [next(way, StopIteration) for way in running]
            self.turns()
            if SILENCE in asked:
                self.silence()
            running = [w for w, a in zip(running, asked, strict=True) if a is not StopIteration]
        self.turns()
        for client in clients:
            client.close()
        self.turns()
        self.silence()

    def holds(self) -> dict[str, int]:
        """Count what is there, by kind."""
        gc.collect()
        kinds = Counter(
            f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects()
        )
        ours = {name: count for name, count in kinds.items() if name.startswith("rawsio")}
        rooms = self.io.namespaces.main.adapter.rooms
        counts = self.io.stats()
        memory = counts.pop("memory")
        return {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "all objects": sum(kinds.values()),
            "our objects": sum(ours.values()),
            "rooms": len(rooms),
            "touched": len(self.io.net.driver.dirty),
            "timers of sessions": len(self.io.net.driver.timers),
            **counts,
            **{f"bytes {part}": memory[part] for part in ("unsent", "unpolled", "incoming")},
        }


def compare(verdict: Verdict, before: dict[str, int], after: dict[str, int]) -> None:
    """Check that no more is there than before."""
    for what, was in before.items():
        # A few objects come and go with caches; one leak in any way would be hundreds.
        slack = 60 if what == "all objects" else 0
        verdict.check(f"{what} left (there were {was})", after[what] - was, slack)


def run(title: str, count: int, verdict: Verdict, **options: Any) -> None:
    """End ``count`` connections and compare what is left with what was there before."""
    soak = Soak(**options)
    names = list(WAYS)
    for _ in range(2):
        soak.round(names)
    before = soak.holds()
    began, done = time.monotonic(), Counter[str]()
    while done.total() < count:
        start = done.total() % len(names)
        now = (names[start:] + names[:start])[: min(AT_ONCE, count - done.total())]
        soak.round(now)
        done.update(now)
    seconds = time.monotonic() - began
    print(f"{title}: {done.total()} connections, {len(done)} ways to end, {seconds:.1f} s")
    print("  sockets ended:", ", ".join(f"{n} {why}" for why, n in soak.reasons.most_common()))
    print("  rules at work:", " ".join(sorted(soak.rules)))
    compare(verdict, before, soak.holds())
    close(soak, verdict)


def close(soak: Soak, verdict: Verdict) -> None:
    """Close the server under clients that are connected, and see that nobody is left."""
    clients = [Client(soak.address) for _ in range(AT_ONCE)]
    for client in clients:
        client.say(upgrade(), frame("40"))
    soak.turns(5)
    open_now = soak.io.stats()["sockets"]
    soak.io.close(0.0)
    soak.turns(10)
    left = soak.io.stats()
    for what in ("connections", "sessions", "sockets"):
        verdict.check(f"{what} left when the server closed with {open_now} open", left[what], 0)
    for client in clients:
        client.close()


def main(arguments: list[str]) -> int:
    """Run both passes; return the exit code."""
    import logging

    logging.getLogger("rawsio").addHandler(logging.NullHandler())
    logging.getLogger("rawsio").propagate = False
    count = int(arguments[0]) if arguments else 10_000
    verdict = Verdict()
    run("plain", count, verdict)
    run("with recovery", count // 10, verdict, connection_state_recovery=True)
    return verdict.code()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
