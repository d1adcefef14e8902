"""Messages that carry open sockets along: order, borders, what is full, the end."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from rawsio.net.descriptors import (
    LONGEST,
    DescriptorChannel,
    channel_pair,
    detached,
    stream_pair,
)
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from tests.net.kit import Parrot, closed_after, turn_until

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SOCK_SEQPACKET") or not hasattr(socket, "send_fds"),
    reason="the system passes no descriptors in messages with borders",
)


class Bench:
    def __init__(self) -> None:
        self.loop = Loop()
        here, there = channel_pair()
        self.got: list[tuple[bytes, socket.socket | None]] = []
        self.ended: list[str] = []
        self.here = DescriptorChannel(
            self.loop, here, self._received, lambda: self.ended.append("here")
        )
        self.there = DescriptorChannel(
            self.loop, there, self._received, lambda: self.ended.append("there")
        )

    def _received(self, data: bytes, sock: socket.socket | None) -> None:
        self.got.append((data, sock))

    def close(self) -> None:
        self.here.close()
        self.there.close()
        for _data, sock in self.got:
            if sock is not None:
                sock.close()
        self.loop.close()


bench = closed_after(Bench)


def test_a_connection_arrives_with_what_nobody_has_read_of_it(bench: Bench) -> None:
    one, other = stream_pair()
    one.send(b"hello")
    descriptor = other.fileno()
    bench.here.send(b"take it", other)
    assert other.fileno() == -1
    turn_until(bench.loop, lambda: bench.got)
    ((data, sock),) = bench.got
    assert data == b"take it"
    assert sock is not None
    assert sock.recv(10) == b"hello"
    assert sock.fileno() >= 0 <= descriptor
    one.close()


def test_messages_keep_their_order_and_borders_when_the_kernel_is_full(bench: Bench) -> None:
    pairs = [stream_pair() for _ in range(100)]
    for number, (one, other) in enumerate(pairs):
        one.send(b"%d" % number)
        bench.here.send(bytes([number]) * (1 + number * 500), other)
    assert bench.here.waiting > 0
    turn_until(bench.loop, lambda: len(bench.got) == 100)
    assert [data for data, _sock in bench.got] == [bytes([n]) * (1 + n * 500) for n in range(100)]
    assert [sock.recv(10) for _data, sock in bench.got if sock] == [b"%d" % n for n in range(100)]
    assert bench.here.waiting == 0
    bench.here.send(bytes(LONGEST))
    turn_until(bench.loop, lambda: len(bench.got) == 101)
    with pytest.raises(ValueError, match="at most 65536 bytes, not 65537"):
        bench.here.send(bytes(LONGEST + 1))
    for one, _other in pairs:
        one.close()


def test_it_is_known_whether_the_other_end_has_read_what_was_sent(bench: Bench) -> None:
    assert not bench.here.unread
    bench.here.send(b"a")
    bench.here.send(b"b")
    assert bench.here.unread
    turn_until(bench.loop, lambda: len(bench.got) == 2)
    assert not bench.here.unread
    bench.here.close()
    assert bench.here.unread


def test_the_end_of_one_is_told_to_the_other_once(bench: Bench) -> None:
    one, other = stream_pair()
    bench.here.close()
    bench.here.close()
    turn_until(bench.loop, lambda: bench.ended)
    bench.there.send(b"nobody hears it", other)
    bench.loop.step(0)
    assert (bench.ended, bench.got) == (["there"], [])
    assert one.recv(1) == b""
    one.close()


class Full:
    """A socket whose kernel has no room for descriptors, for a while."""

    def __init__(self, sock: Any, code: int) -> None:
        self.sock = sock
        self.code = code
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def send(self, data: bytes) -> int:
        if self.refused < 3:
            self.refused += 1
            raise OSError(self.code, "full")
        sent: int = self.sock.send(data)
        return sent


def test_too_many_descriptors_on_their_way_are_waited_for(bench: Bench) -> None:
    full: Any = Full(bench.here.sock, errno.ETOOMANYREFS)
    bench.here.sock = full
    bench.here.send(b"later")
    bench.here.send(b"and this")
    turn_until(bench.loop, lambda: len(bench.got) == 2)
    assert [data for data, _sock in bench.got] == [b"later", b"and this"]
    assert full.refused == 3


def test_a_channel_that_breaks_while_something_waits_ends(bench: Bench) -> None:
    full: Any = Full(bench.here.sock, errno.EPIPE)
    bench.here.sock = full
    bench.here.send(b"lost")
    turn_until(bench.loop, lambda: len(bench.ended) == 2)
    assert bench.got == []


def test_a_stream_can_let_its_connection_go() -> None:
    loop = Loop()
    driver = Driver(loop)
    one, other = stream_pair()
    closed: list[str] = []
    layer = Parrot()
    stream = TCPStream(
        driver, other, layer, lambda *_args: None, lambda _tag, reason: closed.append(reason)
    )
    loop.step(0)
    sock = detached(stream)
    one.send(b"for somebody else")
    loop.step(0)
    assert (closed, driver.streams) == (["handed over"], set())
    assert sock.recv(100) == b"for somebody else"
    sock.close()
    one.close()
    loop.close()
