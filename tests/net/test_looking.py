"""Looking at connections: once, for a while, at so many at a time, and nothing is taken."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from rawsio.net.looking import Looking
from rawsio.net.loop import Loop
from tests.net.kit import Clock, closed_after, turn_until


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(clock=self.clock)
        self.seen: list[tuple[socket.socket, bytes]] = []
        self.looking = Looking(
            self.loop,
            lambda sock, first: self.seen.append((sock, first)),
            size=10,
            seconds=2.0,
            most=3,
        )
        self.pairs: list[tuple[socket.socket, socket.socket]] = []

    def connection(self) -> Any:
        here, there = socket.socketpair()
        there.setblocking(False)
        self.pairs.append((here, there))
        return here, there

    def close(self) -> None:
        self.looking.finish()
        for pair in self.pairs:
            for sock in pair:
                sock.close()
        self.loop.close()


bench = closed_after(Bench)


def test_what_is_there_is_seen_at_once_and_stays_there(bench: Bench) -> None:
    client, server = bench.connection()
    client.send(b"GET / HTTP/1.1")
    bench.looking.look(server)
    assert bench.seen == [(server, b"GET / HTTP")]
    assert server.recv(100) == b"GET / HTTP/1.1"


def test_the_first_bytes_are_waited_for(bench: Bench) -> None:
    client, server = bench.connection()
    bench.looking.look(server)
    assert (bench.seen, bench.looking.waiting) == ([], 1)
    client.send(b"G")
    turn_until(bench.loop, lambda: bench.seen)
    assert (bench.seen, bench.looking.waiting) == ([(server, b"G")], 0)
    client.send(b"ET")
    bench.loop.step(0)
    assert len(bench.seen) == 1


def test_who_says_nothing_is_given_on_unseen(bench: Bench) -> None:
    _client, server = bench.connection()
    bench.looking.look(server)
    bench.clock.now += 2.5
    bench.loop.step(0)
    assert bench.seen == [(server, b"")]
    assert bench.looking.sockets() == []


def test_the_one_that_waited_longest_makes_room(bench: Bench) -> None:
    servers = [bench.connection()[1] for _ in range(5)]
    for server in servers:
        bench.looking.look(server)
    assert [sock for sock, _first in bench.seen] == servers[:2]
    assert bench.looking.sockets() == servers[2:]


def test_the_oldest_can_be_given_on_before_their_time(bench: Bench) -> None:
    servers = [bench.connection()[1] for _ in range(3)]
    for server in servers:
        bench.looking.look(server)
    assert bench.looking.finish(2) == 2
    assert bench.seen == [(server, b"") for server in servers[:2]]
    assert (bench.looking.finish(2), bench.looking.finish()) == (1, 0)


@pytest.mark.parametrize("reset", [False, True])
def test_who_has_gone_is_given_on_too(bench: Bench, reset: bool) -> None:
    client, server = bench.connection()
    bench.looking.look(server)
    if reset:
        server.send(b"unread")
    client.close()
    turn_until(bench.loop, lambda: bench.seen)
    assert bench.seen == [(server, b"")]
