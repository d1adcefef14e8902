"""How often a server wakes up that has nothing to do: ``python -m tests.soak.idle``.

The turns of a server's loop are counted for three seconds each: alone; with idle sessions; with
peers that have ended their direction, that take nothing, that are half way through a head; and
while it has no descriptors left for who wants to connect.  A turn that nobody needed is what
makes a processor busy for ever, so there is hardly any.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from rawsio import Server

from .wire import Client, Verdict, frame, request, upgrade

__all__ = ["main"]

SECONDS = 3.0
MOST = 10
"""Turns within these seconds: with nothing to do a step of this script takes one second."""

Peers = list[Client]


def turns(io: Server, count: int = 50) -> None:
    """Let the server do what there is to do."""
    for _ in range(count):
        io.step(0)


def alone(_io: Server, _address: Any) -> Peers:
    """Nobody is there."""
    return []


def sessions(io: Server, address: Any) -> Peers:
    """A hundred clients are connected by WebSocket."""
    peers = [Client(address) for _ in range(100)]
    for peer in peers:
        peer.say(upgrade(), frame("40"))
    turns(io)
    return peers


def half_closed(io: Server, address: Any) -> Peers:
    """Peers have ended their direction: in a head, in a poll, after an answer, as a WebSocket."""
    peers = [Client(address) for _ in range(20)]
    for number, peer in enumerate(peers):
        said = [
            b"GET / HTTP/1.1\r\n",
            request("transport=polling"),
            b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
            upgrade() + frame("40"),
        ]
        peer.say(said[number % 4])
        turns(io, 2)
        peer.half_close()
    turns(io)
    return peers


def waiting_polls(io: Server, address: Any) -> Peers:
    """Clients wait in polls."""
    peers = [Client(address) for _ in range(20)]
    for peer in peers:
        peer.say(request("transport=polling"))
        turns(io, 3)
        peer.read()
        sid = bytes(peer.heard).partition(b'"sid":"')[2].partition(b'"')[0].decode()
        peer.say(request(f"transport=polling&sid={sid}"))
    turns(io)
    return peers


def stalled(io: Server, address: Any) -> Peers:
    """Clients take nothing while megabytes wait for them."""
    peers = sessions(io, address)[:20]
    for _ in range(60):
        io.emit("x", "y" * 65536)
    turns(io)
    return peers


def half_a_head(io: Server, address: Any) -> Peers:
    """Clients stopped in the middle of a head."""
    peers = [Client(address) for _ in range(20)]
    for peer in peers:
        peer.say(upgrade()[:50])
    turns(io)
    return peers


def no_descriptors(_io: Server, address: Any) -> Peers:
    """A client has the last descriptor, and waits for a server that has none to accept it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The list counts the descriptor by which it is read: that one is for the client.
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
    return [Client(address)]


def count_turns(io: Server) -> int:
    """Return how many turns the loop makes within the time."""
    end, count = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        io.step(1.0)
        count += 1
    return count


CASES: list[Callable[[Server, Any], Peers]] = [
    alone,
    sessions,
    half_closed,
    waiting_polls,
    stalled,
    half_a_head,
    no_descriptors,
]


def main(_arguments: list[str]) -> int:
    """Count in all cases; return the exit code."""
    verdict = Verdict()
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    for case in CASES:
        io = Server()
        address = io.listen()
        peers = case(io, address)
        counted = count_turns(io)
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
        name = case.__name__.replace("_", " ")
        verdict.check(f"turns in {SECONDS:.0f} s, {name}", counted, MOST)
        for peer in peers:
            peer.close()
        io.close(0.0)
        turns(io)
    return verdict.code()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
