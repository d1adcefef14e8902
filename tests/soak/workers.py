"""``python -m tests.soak.workers``: clients connect while workers are replaced, again and again.

Each client makes a connection, begins a session by polling, joins the main namespace, asks who
serves it, and hangs up.  What counts as an error: a connection that is refused, reset, or ends
without an answer; a session that does not begin; an answer other than 200.  A session that ends
because its worker is replaced is told so, and counted apart; some are served between any two
restarts, however slow the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from typing import Any

from rawsio.layer import record
from tests.workers.kit import Workers

__all__ = ["Client", "Report", "run"]

AT_A_TIME = 64
BETWEEN = 20
"""So many are served before workers are replaced again."""
PATIENCE = 120.0
"""What one client may take, in seconds."""
PATH = "/socket.io/?EIO=4&transport=polling"


@record
class Report:
    """What became of the clients."""

    served: int
    told: int
    errors: list[str]
    restarts: int
    processes: int
    seconds: float

    def line(self) -> str:
        """Return it for people."""
        rate = (self.served + self.told) / self.seconds
        return (
            f"{self.served + self.told} connects, {self.restarts} restarts, {self.processes}"
            f" processes: {self.served} served, {self.told} told that their worker ends,"
            f" {len(self.errors)} errors, {self.seconds:.1f} s, {rate:.0f} connects/s"
        )


class Client:
    """One client, on one connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.query = ""

    async def live(self) -> int:
        """Return the process that serves it; 0 if the session was ended meanwhile."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            status, content = await self._request()
            if status != 200 or b'"sid":"' not in content:
                raise ValueError(f"no session: {status} {content[:80]!r}")
            self.query = "&sid=" + str(content.split(b'"')[3], "ascii")
            return await self._ask()
        finally:
            self.writer.close()

    async def _ask(self) -> int:
        for body in (b"40", b'420["who"]'):
            if _is_over(*await self._request(body)):
                return 0
        while True:
            status, content = await self._request()
            if _is_over(status, content):
                return 0
            if b"430[" in content:
                return int(content.partition(b"430[")[2].partition(b"]")[0])

    async def _request(self, body: bytes | None = None) -> tuple[int, bytes]:
        method, content = ("GET", b"") if body is None else ("POST", body)
        head = f"{method} {PATH}{self.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}"
        self.writer.write(head.encode() + b"\r\n\r\n" + content)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(answer.split()[1]), await self.reader.readexactly(length)


def _is_over(status: int, content: bytes) -> bool:
    """Tell whether the session has ended; raises ``ValueError`` for what is no answer at all."""
    if status == 200:
        return content in (b"1", b"41") or content.endswith((b"\x1e1", b"41\x1e1"))
    if status == 400 and b'"code":1' in content:
        return True
    raise ValueError(f"{status} {content[:80]!r}")


async def _load(workers: Workers, count: int, every: float) -> Report:
    served, told, restarts, goal = 0, 0, 0, 0
    errors: list[str] = []
    pids: set[int] = set()

    async def clients() -> None:
        nonlocal served, told
        while served < count and len(errors) < count:
            try:
                pid = await asyncio.wait_for(Client(workers.port).live(), PATIENCE)
            except Exception as error:  # noqa: BLE001 - each is one of the errors that are counted
                errors.append(f"{type(error).__name__}: {error}")
                continue
            pids.add(pid)
            served, told = served + bool(pid), told + (not pid)

    began = time.monotonic()
    running: asyncio.Future[Any] = asyncio.gather(*(clients() for _ in range(AT_A_TIME)))
    while not running.done():
        if served >= goal:
            workers.signal(signal.SIGHUP)
            restarts, goal = restarts + 1, served + BETWEEN
        await asyncio.wait({running}, timeout=every)
    await running
    return Report(served, told, errors, restarts, len(pids - {0}), time.monotonic() - began)


def run(count: int, *, every: float = 2.0) -> Report:
    """Have so many clients served, with a restart of all workers every so many seconds."""
    with Workers(quiet=True) as workers:
        report = asyncio.run(_load(workers, count, every))
        if report.errors:
            report.errors += workers.end()[1].splitlines()
        return report


def main(arguments: list[str]) -> int:
    """Run; the exit code is 1 if there is an error."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.workers")
    parser.add_argument("--connects", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two restarts")
    given = parser.parse_args(arguments)
    report = run(given.connects, every=given.every)
    print(report.line())
    for error in report.errors[-20:]:
        print(error)
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
