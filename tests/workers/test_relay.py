"""A connection that stays here and is served by another process: bytes both ways, and the ends."""

from __future__ import annotations

import contextlib
import socket

from rawsio.layer import Closing
from rawsio.limits import Limits
from rawsio.net.loop import Loop
from rawsio.workers.relay import Relay
from tests.net.kit import closed_after, turn_until

LIMITS = Limits(low_water=1000)


class Stream:
    """The client's connection; says what the relay asked of it."""

    def __init__(self) -> None:
        self.buffered_amount = 0
        self.said: list[str] = []

    def touch(self) -> None:
        self.said.append("touch")

    def pause(self) -> None:
        self.said.append("pause")

    def resume(self) -> None:
        self.said.append("resume")


class Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        self.stream = Stream()
        here, self.there = socket.socketpair()
        self.there.setblocking(False)
        self.relay = Relay(self.stream, self.loop, here, LIMITS)

    def close(self) -> None:
        self.relay.gone()
        self.there.close()
        self.loop.close()


bench = closed_after(Bench)


def test_bytes_go_both_ways(bench: Bench) -> None:
    assert bench.relay.receive(b"GET /") == []
    assert bench.there.recv(100) == b"GET /"
    bench.there.send(b"HTTP/1.1 200 OK")
    turn_until(bench.loop, lambda: "touch" in bench.stream.said)
    assert bench.relay.data_to_send() == [b"HTTP/1.1 200 OK"]
    assert bench.relay.data_to_send() == []


def test_who_takes_nothing_holds_back_the_other(bench: Bench) -> None:
    bench.relay.receive(bytes(4_000_000))
    assert bench.relay.held > 3_000_000
    assert bench.stream.said == ["pause"]
    taken = 0

    def all_taken() -> bool:
        nonlocal taken
        with contextlib.suppress(BlockingIOError):
            taken += len(bench.there.recv(1 << 20))
        return "resume" in bench.stream.said

    turn_until(bench.loop, all_taken)
    assert taken > 3_000_000
    bench.stream.buffered_amount = 5000
    bench.there.send(b"one")
    turn_until(bench.loop, lambda: "touch" in bench.stream.said)
    bench.there.send(b"two")
    bench.loop.step(0)
    assert bench.relay.data_to_send() == [b"one"]
    bench.stream.buffered_amount = 0
    bench.relay.sent()
    turn_until(bench.loop, lambda: bench.stream.said.count("touch") == 2)
    assert bench.relay.data_to_send() == [b"two"]


def test_the_end_of_each_side_is_passed_on(bench: Bench) -> None:
    assert bench.relay.receive_eof() == []
    assert bench.there.recv(10) == b""
    bench.there.send(b"bye")
    bench.there.close()
    turn_until(bench.loop, lambda: bench.relay.closing is not Closing.OPEN)
    assert bench.relay.data_to_send() == [b"bye"]
    assert bench.relay.closing is Closing.HALF


def test_the_end_of_this_process_ends_both(bench: Bench) -> None:
    bench.relay.end()
    assert bench.relay.closing is Closing.NOW
    assert bench.there.recv(10) == b""
