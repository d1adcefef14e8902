"""What things cost in this interpreter, on this machine: ``python -m tests.bench.prices``.

Nanoseconds of CPU time for one of each, the best of some rounds, without the loop around it.
``rfc_notes/performance.md`` says what follows from them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import sys
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

__all__ = ["main", "prices"]

ROUNDS, SECONDS = 7, 0.02


class _Thing:
    __slots__ = ("a", "b", "c")

    def __init__(self, a: int, b: int, c: int) -> None:
        self.a, self.b, self.c = a, b, c

    def method(self) -> int:
        return self.a

    @property
    def asked(self) -> int:
        return self.a


def _nothing() -> None:
    return


def _raised() -> None:
    try:
        raise ValueError
    except ValueError:
        pass


def best(function: Callable[[], Any]) -> float:
    """Return the nanoseconds of one call."""
    count = 1
    while True:
        began = time.process_time_ns()
        for _ in range(count):
            function()
        if time.process_time_ns() - began > SECONDS * 1e9:
            break
        count *= 2
    found = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time_ns()
        for _ in range(count):
            function()
        found = min(found, (time.process_time_ns() - began) / count)
    return found


def loopback() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there = listener.accept()[0]
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return here, there


class Secured:
    """The two ends of a TLS connection between memory BIOs."""

    def __init__(self) -> None:
        from .peers import certificate

        served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        served.load_cert_chain(*certificate())
        asked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        asked.check_hostname, asked.verify_mode = False, ssl.CERT_NONE
        self.up, self.down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.here = asked.wrap_bio(self.down, self.up)
        self.there = served.wrap_bio(self.up, self.down, server_side=True)
        for end in (self.here, self.there, self.here, self.there):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()

    def exchange(self) -> None:
        """Send a record of 32 bytes, and read it."""
        self.here.write(b"0123456789abcdef" * 2)
        self.there.read(65536)

    def nothing(self) -> None:
        """Read where there is nothing to read."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.there.read(65536)


def prices() -> dict[str, float]:
    """Return what each thing costs, in nanoseconds."""
    thing, table, text = _Thing(1, 2, 3), dict.fromkeys(range(100), 1), b"0123456789abcdef" * 2
    frames = [text] * 16
    here, there = loopback()
    epoll = select.epoll()
    epoll.register(there.fileno(), select.EPOLLIN)
    fd = there.fileno()
    heap: list[Any] = [(float(n), n, thing) for n in range(10000)]
    queue: deque[Any] = deque()
    turn = iter(range(10**9))
    tls = Secured()

    def exchange() -> None:
        here.send(text)
        there.recv(65536)

    def sixteen() -> None:
        for frame in frames:
            here.send(frame)
        there.recv(65536)

    def joined() -> None:
        here.send(b"".join(frames))
        there.recv(65536)

    def pushed() -> None:
        n = next(turn)
        heappush(heap, (10000.0 + n, n, thing))
        heappop(heap)

    def queued() -> None:
        n = next(turn)
        if not queue or queue[-1][0] <= n:
            queue.append((n, n, thing))
        queue.popleft()

    rows: dict[str, Callable[[], Any]] = {
        "call of a Python function": _nothing,
        "call of a method": thing.method,
        "property": lambda: thing.asked,
        "attribute": lambda: thing.a,
        "call of a C function": lambda: len(text),
        "object with three slots": lambda: _Thing(1, 2, 3),
        "tuple of three": lambda: (thing, text, table),
        "look-up in a dictionary": lambda: table[7],
        "exception, raised and caught": _raised,
        "clock": time.monotonic,
        "timer in a heap of 10,000, in and out": pushed,
        "timer in a queue, in and out": queued,
        "send and recv of 32 bytes": exchange,
        "16 sends and a recv": sixteen,
        "16 frames joined, a send and a recv": joined,
        "TLS record of 32 bytes, written and read": tls.exchange,
        "read of TLS that finds nothing": tls.nothing,
        "epoll that has one ready": lambda: epoll.poll(0, 512),
        "epoll_ctl": lambda: epoll.modify(fd, select.EPOLLIN),
        "a megabyte, allocated and freed": lambda: bytes(1 << 20).translate(None),
    }
    found: dict[str, float] = {}
    around = best(lambda: None)
    for name, function in rows.items():
        if name == "epoll that has one ready":
            here.send(text)
        bare = name in ("call of a Python function", "call of a method", "clock")
        found[name] = best(function) - (0.0 if bare else around)
    epoll.close()
    here.close()
    there.close()
    return found


def main() -> None:
    """Print the table."""
    print(f"Python {sys.version.split()[0]}, ns of CPU time\n\n| what | ns |\n|---|---:|")
    for name, cost in prices().items():
        print(f"| {name} | {cost:,.0f} |")


if __name__ == "__main__":
    main()
