"""UDP sockets on the loop: what comes, what is lost, and how they end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rawsio.net.datagrams import Datagrams, open_datagram
from rawsio.net.loop import Loop

from .kit import turn_until

SECONDS = 0.01


class Bench:
    """A loop, and sockets whose datagrams are kept."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.heard: list[tuple[bytes, Any]] = []
        self.logged: list[Any] = []
        self.open: list[Datagrams] = []

    def socket(self, receive: Callable[[bytes, Any], object] | None = None) -> Datagrams:
        take = (lambda *datagram: self.heard.append(datagram)) if receive is None else receive
        log = lambda *line: self.logged.append(line)  # noqa: E731
        made = Datagrams(self.loop, open_datagram(), take, log, SECONDS)
        self.open.append(made)
        return made

    def until(self, done: Callable[[], object]) -> None:
        turn_until(self.loop, done)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for one in made.open:
        one.close()
    made.loop.close()


def test_a_datagram_comes_whole_with_its_sender(bench: Bench) -> None:
    one, two = bench.socket(), bench.socket()
    assert one.send(b"hello", two.address)
    assert one.send(b"", two.address)
    bench.until(lambda: len(bench.heard) == 2)
    assert bench.heard == [(b"hello", one.address), (b"", one.address)]


def test_what_the_system_does_not_take_is_lost_and_said_to_be(bench: Bench) -> None:
    one = bench.socket()
    assert not one.send(bytes(70_000), one.address)
    assert one.send(b"x", one.address)


def test_an_exception_is_logged_and_the_next_datagram_comes(bench: Bench) -> None:
    def receive(data: bytes, peer: Any) -> None:
        bench.heard.append((data, peer))
        raise ValueError(data)

    one = bench.socket(receive)
    for data in (b"1", b"2"):
        one.send(data, one.address)
    bench.until(lambda: len(bench.heard) == 2)
    assert [line[3].args for line in bench.logged] == [(b"1",), (b"2",)]


def test_a_closed_socket_sends_and_receives_no_more(bench: Bench) -> None:
    one, two = bench.socket(), bench.socket()
    one.send(b"late", two.address)
    two.close()
    two.close()
    with pytest.raises(RuntimeError, match="closed"):
        two.send(b"x", one.address)
    bench.loop.step(0.0)
    assert bench.heard == []


def test_a_socket_may_be_closed_by_what_it_hears(bench: Bench) -> None:
    one = bench.socket(lambda *datagram: (bench.heard.append(datagram), one.close()))
    two = bench.socket()
    for _ in range(2):
        two.send(b"x", one.address)
    bench.until(lambda: bench.heard)
    bench.loop.step(0.0)
    assert len(bench.heard) == 1


def test_a_flood_leaves_the_loop_its_turns(bench: Bench) -> None:
    one, two = bench.socket(), bench.socket()
    for _ in range(200):
        two.send(b"x", one.address)
    turns = 0
    while len(bench.heard) < 100 and turns < 1000:
        bench.loop.step(0.01)
        turns += 1
    assert turns > 1


@pytest.mark.parametrize(
    ("host", "port", "error"),
    [("no such host.invalid", 0, OSError), ("127.0.0.1", -1, ValueError), (7, 0, TypeError)],
)
def test_an_address_that_is_none_is_refused(host: Any, port: int, error: type) -> None:
    with pytest.raises(error):
        open_datagram(host, port)


def test_a_port_in_use_is_named_with_what_to_do(bench: Bench) -> None:
    port = bench.socket().address[1]
    with pytest.raises(OSError, match=f"127.0.0.1:{port}/udp: it is in use: .*choose another"):
        open_datagram("127.0.0.1", port)


def test_members_of_a_group_hear_what_is_sent_there(bench: Bench) -> None:
    group = "239.255.77.7"
    try:
        first = open_datagram("127.0.0.1", 0, group)
    except OSError as error:
        pytest.skip(f"no multicast here: {error}")
    port = first.getsockname()[1]
    second = open_datagram("127.0.0.1", port, group)
    heard: list[Any] = []
    members = [
        Datagrams(bench.loop, sock, lambda data, _peer: heard.append(data), print, SECONDS)
        for sock in (first, second)
    ]
    bench.open += members
    sender = bench.socket()
    sender._sock.setsockopt(  # type: ignore[union-attr]
        socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
    )
    assert sender.send(b"all", (group, port))
    bench.until(lambda: len(heard) == 2)
