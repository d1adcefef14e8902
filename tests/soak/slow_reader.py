"""Clients that never read, under a fan-out of 50 MB to each: ``python -m tests.soak.slow_reader``.

A server in its own process sends 800 pieces of 64 KiB to everybody, one each 5 ms.  Ten clients
read; one, and then ten more, join and never read.  Printed are how much memory the server takes
at its peak, and how old a piece is when a reading client has it, beside the same without the slow
ones, for each policy of back-pressure.  Two bounds hold: memory grows by what the limits say, and
no piece is lost for those who read.  Latency has a generous bound; it is there to be looked at.
"""

from __future__ import annotations

import re
import selectors
import sys
import time
from typing import Any

from rawsio import Limits, Server

from .servers import Process, serving
from .wire import Client, Verdict, frame, upgrade

__all__ = ["main"]

MODULE = "tests.soak.slow_reader"
PIECES = 800
SIZE = 65536
PAUSE = 0.005
READERS = 10
LIMITS = Limits()
POLICIES = ("pause", "drop-volatile", "disconnect")
SLACK = 16 * 1024
"""KiB that the server may take for the clients that read, and for the allocator's pleasure."""


def serve(policy: str, flag: str) -> None:
    """Be the server: send all pieces when a client says go."""
    io = Server(backpressure=policy, ping_interval=1000.0, ping_timeout=1000.0)
    to_all: Any = io.volatile if flag == "volatile" else io
    filling = "x" * SIZE

    def piece(number: int) -> None:
        if number < PIECES:
            io.host.call_later(PAUSE, piece, number + 1)
            to_all.emit("p", f"{number:04} {time.monotonic():017.6f}", filling)

    io.on("go", lambda _socket: piece(0))
    print(io.listen()[1], flush=True)
    io.run()


class Reader:
    """A client that reads, and notes how old each piece is when it is there."""

    stamp = re.compile(rb'42\["p","([0-9]{4}) ([0-9.]{17})"')

    def __init__(self, address: Any) -> None:
        self.client = connected(address)
        self.client.sock.setblocking(False)
        self.ages: list[float] = []
        self._rest = b""

    def read(self) -> None:
        """Read what is there."""
        data = self._rest + self.client.sock.recv(1 << 20)
        now = time.monotonic()
        places = [match.start() for match in self.stamp.finditer(data)]
        for match in self.stamp.finditer(data):
            self.ages.append(now - float(match[2]))
        # A stamp may be cut: the last bytes are looked at again, behind the last one found.
        keep = max(len(data) - 40, places[-1] + 40 if places else 0)
        self._rest = data[keep:]


def connected(address: Any) -> Client:
    """Return a client in the main namespace."""
    client = Client(address)
    client.say(upgrade(), frame("40"))
    client.wait_for(b'40{"sid"')
    return client


def fan_out(server: Process, slow: int) -> tuple[float, list[float], list[int]]:
    """Run one fan-out; return the growth in KiB, all ages, and how many pieces each reader has."""
    readers = [Reader(server.address) for _ in range(READERS)]
    idle = [connected(server.address) for _ in range(slow)]
    selector = selectors.DefaultSelector()
    for reader in readers:
        selector.register(reader.client.sock, selectors.EVENT_READ, reader)
    server.forget_peak()
    before = server.resident()
    readers[0].client.say(frame('42["go"]'))
    while any(len(reader.ages) < PIECES for reader in readers):
        ready = selector.select(2.0)
        if not ready:
            break
        for key, _ in ready:
            key.data.read()
    growth = server.peak() - before
    for client in idle:
        client.close()
    ages = sorted(age for reader in readers for age in reader.ages)
    counts = [len(reader.ages) for reader in readers]
    for reader in readers:
        reader.client.close()
    selector.close()
    return growth, ages, counts


def measure(verdict: Verdict, policy: str, flag: str, slow: int, usual: float) -> float:
    """Run one case in a new server, print its row, check it; return the 99th percentile."""
    with serving(MODULE, policy, flag) as server:
        growth, ages, counts = fan_out(server, slow)
    name = f"{policy}, {flag}, {slow} never read"
    late = ages[int(len(ages) * 0.99)]
    print(
        f"{name}: ages of pieces in ms: median {ages[len(ages) // 2] * 1e3:.1f}, "
        f"99 % {late * 1e3:.1f}, most {ages[-1] * 1e3:.1f}"
    )
    queue = LIMITS.high_water if policy == "disconnect" else LIMITS.queue
    verdict.check(f"{name}: memory grew by", growth, SLACK + slow * queue / 1024, "KiB")
    verdict.check(f"{name}: pieces lost by readers", READERS * PIECES - sum(counts), 0)
    if usual:
        verdict.check(f"{name}: 99 % against none slow", late / usual, 20, "times")
    return late


def main(arguments: list[str]) -> int:
    """Serve, or run all cases; return the exit code."""
    if arguments[:1] == ["serve"]:
        serve(*arguments[1:])
        return 0
    verdict = Verdict()
    usual = measure(verdict, "pause", "plain", 0, 0.0)
    for policy in POLICIES:
        for slow in (1, 10):
            measure(verdict, policy, "plain", slow, usual)
    measure(verdict, "drop-volatile", "volatile", 10, usual)
    return verdict.code()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
