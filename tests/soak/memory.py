"""What a connection costs, idle and at its worst: ``python -m tests.soak.memory [COUNT]``.

A server in its own process; its resident memory before and after COUNT connections (2,000)
that are idle, by transport; and with clients that take whatever the limits give them and
then stop: half a head, requests behind one in work, half a message, fragments, attachments that
are never complete.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from rawsio import Limits, Server
from rawsio.websocket.frames import BINARY, CONTINUATION

from .servers import Process, serving
from .wire import Client, Verdict, frame, request, upgrade

__all__ = ["main"]

MODULE = "tests.soak.memory"
LIMITS = Limits()
SLACK = 4 * 1024
"""KiB that are the allocator's."""


def serve() -> None:
    """Be the server."""
    io = Server(ping_interval=1000.0, ping_timeout=1000.0)
    print(io.listen()[1], flush=True)
    io.run()


def websocket(address: Any) -> Iterator[Client]:
    """Yield idle clients in a namespace, by WebSocket."""
    while True:
        client = Client(address)
        client.say(upgrade(), frame("40"))
        client.wait_for(b'40{"sid"')
        yield client


def polling(address: Any) -> Iterator[Client]:
    """Yield idle clients in a namespace that wait in a poll."""
    while True:
        client = Client(address)
        client.say(request("transport=polling"))
        head = client.wait_for(b'"maxPayload":1000000}')
        sid = head.partition(b'"sid":"')[2].partition(b'"')[0].decode()
        query = f"transport=polling&sid={sid}"
        client.say(request(query, "POST", b"40"), request(query))
        client.wait_for(b'40{"sid"')
        client.heard.clear()
        client.say(request(query))
        yield client


def half_a_head(client: Client) -> float:
    """Send all of a head but its end; return how many bytes the limits let it hold."""
    client.say(b"GET / HTTP/1.1\r\n" + b"X: %b\r\n" % (b"a" * 8000) * 2)
    return LIMITS.head


def behind_a_poll(client: Client) -> float:
    """Send requests behind one that waits."""
    client.say(request("transport=polling"))
    head = client.wait_for(b'"maxPayload":1000000}')
    sid = head.partition(b'"sid":"')[2].partition(b'"')[0].decode()
    client.say(request(f"transport=polling&sid={sid}") * 200)
    return LIMITS.pipeline + LIMITS.head


def half_a_message(client: Client) -> float:
    """Send all of the longest message but its last byte."""
    client.say(upgrade(), frame(b"x" * LIMITS.message, BINARY)[:-1])
    return LIMITS.message


def fragments(client: Client) -> float:
    """Send as many fragments as are allowed, and no end."""
    first = frame("4", fin=False)
    client.say(upgrade(), first, frame("x" * 900, CONTINUATION, fin=False) * (LIMITS.fragments - 2))
    return LIMITS.message


def attachments(client: Client) -> float:
    """Send nine of ten attachments."""
    head = frame('4510-["up",{"_placeholder":true,"num":0}]')
    client.say(upgrade(), frame("40"), head, frame(b"x" * 880_000, BINARY) * 9)
    return LIMITS.attachment_bytes


GREEDY_WAYS: list[Callable[[Client], float]] = [
    half_a_head,
    behind_a_poll,
    half_a_message,
    fragments,
    attachments,
]


def grown(server: Process, before: float) -> float:
    """Return what the server has taken since, when it has read everything."""
    probe = Client(server.address)
    for _ in range(3):
        probe.say(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        probe.wait_for(b"404")
        probe.heard.clear()
    probe.close()
    return server.resident() - before


def idle(verdict: Verdict, name: str, make: Callable[[Any], Iterator[Client]], count: int) -> None:
    """Print what idle connections cost."""
    with serving(MODULE) as server:
        clients = make(server.address)
        kept = [next(clients) for _ in range(20)]
        before = server.resident()
        kept += [next(clients) for _ in range(count)]
        verdict.check(f"an idle {name} connection", grown(server, before) / count, 16, "KiB")
        for client in kept:
            client.close()


def greedy(verdict: Verdict, way: Callable[[Client], float]) -> None:
    """Print what greedy clients cost."""
    with serving(MODULE) as server:
        clients = [Client(server.address)]
        allowed = way(clients[0]) / 1024
        count = 1000 if allowed < 100 else 50
        before = server.resident()
        for _ in range(count):
            clients.append(Client(server.address))
            way(clients[-1])
        # A buffer that grows is up to an eighth larger than what is in it.
        bound = allowed * 9 / 8 + SLACK / count
        name = way.__name__.replace("_", " ")
        verdict.check(f"{name}, each of {count}", grown(server, before) / count, bound, "KiB")
        for client in clients:
            client.close()


def main(arguments: list[str]) -> int:
    """Serve, or measure; return the exit code."""
    if arguments[:1] == ["serve"]:
        serve()
        return 0
    count = int(arguments[0]) if arguments else 2000
    verdict = Verdict()
    idle(verdict, "WebSocket", websocket, count)
    idle(verdict, "polling", polling, count)
    for way in GREEDY_WAYS:
        greedy(verdict, way)
    return verdict.code()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
