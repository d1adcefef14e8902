"""Listening and accepting: every family, every way to be short of something."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rawsio.limits import DEFAULT, Limits
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, connected, listen_tcp
from rawsio.net.loop import Loop

from .kit import Clock, CountingSelector, turn_until, unhurried


class Bench:
    def __init__(self, limits: Limits | None = None, clock: Any = None) -> None:
        self.selector = CountingSelector()
        self.loop = Loop(self.selector, clock) if clock else Loop(self.selector)
        given = limits or DEFAULT
        self.driver = Driver(self.loop, given if clock else unhurried(given))
        self.lines: list[str] = []
        self.driver.log.sink = lambda *line: self.lines.append(line[2])
        self.accepted: list[tuple[socket.socket, Any]] = []
        self.clients: list[socket.socket] = []
        self.listeners: list[Listener] = []

    def listen(self, listening: Any, on_accept: Any = None, **options: Any) -> Listener:
        keep = lambda sock, peer: self.accepted.append((sock, peer))  # noqa: E731
        self.listeners.append(Listener(self.driver, listening, on_accept or keep, **options))
        return self.listeners[-1]

    def connect(self, address: Any, family: int = socket.AF_INET) -> socket.socket:
        client = socket.socket(family, socket.SOCK_STREAM)
        client.settimeout(60)
        client.connect(address)
        self.clients.append(client)
        return client

    def until(self, done: Any) -> None:
        """Make turns until it is so: the kernel may take its time over a handshake."""
        turn_until(self.loop, done)

    def close(self) -> None:
        for open_ in [*self.listeners, *self.clients, *(sock for sock, _ in self.accepted)]:
            open_.close()
        self.loop.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with closing(Bench()) as made:
        yield made


class Short:
    """A listening socket whose ``accept`` fails as often as a test says."""

    def __init__(self, sock: socket.socket, errors: list[OSError]) -> None:
        self.sock = sock
        self.errors = errors
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def accept(self) -> Any:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.sock.accept()


def test_an_accepted_socket_does_not_block_and_does_not_delay(bench: Bench) -> None:
    listener = bench.listen(listen_tcp())
    client = bench.connect(listener.address)
    bench.until(lambda: bench.accepted)
    sock, address = bench.accepted[0]
    assert address == client.getsockname()
    assert sock.gettimeout() == 0.0
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_where_children_do_not_inherit_it_each_is_told_not_to_delay(bench: Bench) -> None:
    listening = listen_tcp()
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    listener = bench.listen(listening)
    for _ in range(2):
        bench.connect(listener.address)
    bench.until(lambda: len(bench.accepted) == 2)
    for sock, _ in bench.accepted:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no unix sockets")
def test_a_crowd_is_accepted_in_portions(bench: Bench, tmp_path: Path) -> None:
    crowd = socket.socket(socket.AF_UNIX)  # who is connected there is in the queue at once
    bench.listen(crowd)
    crowd.bind(str(tmp_path / "s"))
    crowd.listen(200)
    for _ in range(100):
        bench.connect(str(tmp_path / "s"), socket.AF_UNIX)
    bench.loop.step(0)
    assert len(bench.accepted) == 64
    bench.loop.step(0)
    assert len(bench.accepted) == 100


@pytest.mark.rule("layers-listener-exhausted")
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_out_of_descriptors_it_pauses_says_so_once_and_tries_again(number: int) -> None:
    clock = Clock()
    with closing(Bench(clock=clock)) as bench:
        errors = [OSError(number, "Too many open files")]
        short: Any = Short(listen_tcp(), errors)
        listener = bench.listen(short)
        bench.connect(listener.address)
        bench.until(lambda: bench.lines)
        woken = bench.selector.woken
        for _ in range(50):
            bench.loop.step(0)
        assert bench.selector.woken == woken, "it spins"
        assert bench.lines == ["accepting is paused for 1 s: Too many open files"]
        assert short.calls == 1
        clock.now += 1
        bench.until(lambda: bench.accepted)


def test_whoever_can_free_descriptors_is_asked_before_it_pauses() -> None:
    with closing(Bench(clock=Clock())) as bench:
        short: Any = Short(listen_tcp(), [OSError(errno.EMFILE, "Too many open files")] * 3)
        left = [True, True, False]
        listener = bench.listen(short, free=lambda: left.pop(0))
        bench.connect(listener.address)
        bench.until(lambda: bench.lines)
        assert (left, bench.lines) == ([], ["accepting is paused for 1 s: Too many open files"])


def test_closing_while_paused_takes_the_timer_back() -> None:
    with closing(Bench(clock=Clock())) as bench:
        short: Any = Short(listen_tcp(), [OSError(errno.EMFILE, "Too many open files")])
        listener = bench.listen(short)
        bench.connect(listener.address)
        bench.until(lambda: bench.loop.next_deadline() is not None)
        listener.close()
        assert bench.loop.next_deadline() is None


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EPERM, errno.EPROTO])
def test_a_client_that_gave_up_in_the_queue_is_skipped(bench: Bench, number: int) -> None:
    short: Any = Short(listen_tcp(), [OSError(number, "gone")])
    listener = bench.listen(short)
    bench.connect(listener.address)
    bench.until(lambda: bench.accepted)
    assert len(bench.accepted) == 1


@pytest.mark.rule("layers-listener-connections")
def test_above_the_limit_a_connection_is_closed_at_once() -> None:
    with closing(Bench(Limits(connections=1))) as bench:
        listener = bench.listen(listen_tcp())
        bench.driver.streams.add(object())
        client = bench.connect(listener.address)
        bench.until(lambda: bench.lines)
        assert client.recv(10) == b""
        assert bench.accepted == []
        assert bench.lines == ["127.0.0.1: a connection is refused: limits.connections are open"]
        bench.driver.streams.clear()
        bench.connect(listener.address)
        bench.until(lambda: len(bench.accepted) == 1)


def test_an_owner_that_raises_loses_that_connection_only(bench: Bench) -> None:
    def refuse(_sock: socket.socket, _address: Any) -> None:
        raise ZeroDivisionError

    listener = bench.listen(listen_tcp(), refuse)
    client = bench.connect(listener.address)
    bench.until(lambda: bench.lines)
    assert client.recv(10) == b""
    assert len(bench.lines) == 1


def test_closing_in_the_callback_and_closing_twice_are_harmless(bench: Bench) -> None:
    def close(sock: socket.socket, _address: Any) -> None:
        bench.accepted.append((sock, None))
        listener.close()
        listener.close()

    listener = bench.listen(listen_tcp(), close)
    for _ in range(2):
        bench.connect(listener.address)
    bench.until(lambda: bench.accepted)
    bench.loop.step(0)
    assert len(bench.accepted) == 1


def test_a_listening_socket_moves_to_another_loop_without_losing_anybody(bench: Bench) -> None:
    listener = bench.listen(listen_tcp())
    bench.connect(listener.address)  # waits in the queue
    listening = listener.detach()
    listener.close()
    bench.loop.step(0)
    assert bench.accepted == []
    with closing(Bench()) as other:
        other.listen(listening)
        other.until(lambda: len(other.accepted) == 1)


def test_the_same_port_can_be_listened_at_again_at_once(bench: Bench) -> None:
    listener = bench.listen(listen_tcp())
    host, port = listener.address
    bench.connect((host, port))
    bench.until(lambda: bench.accepted)
    listener.close()
    bench.accepted[0][0].close()  # we close first: the port is in TIME_WAIT
    again = bench.listen(listen_tcp(host, port))
    assert again.address == (host, port)
    again.close()


def test_a_port_that_is_taken_is_an_error(bench: Bench) -> None:
    listener = bench.listen(listen_tcp())
    host, port = listener.address
    with pytest.raises(OSError, match=f"cannot listen on {host}:{port}: .*another") as raised:
        listen_tcp(host, port)
    assert raised.value.errno == errno.EADDRINUSE


def test_a_name_without_an_address_is_named_in_the_error() -> None:
    with pytest.raises(
        socket.gaierror, match=r"cannot listen on nowhere.invalid:80: it is unknown"
    ):
        listen_tcp("nowhere.invalid", 80)


def test_an_address_of_somebody_else_is_named_in_the_error() -> None:
    with pytest.raises(OSError, match=r"cannot listen on 192.0.2.1:0: .*no such address"):
        listen_tcp("192.0.2.1")


def test_of_the_addresses_of_a_name_the_first_that_this_machine_has_is_listened_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))
        for address in ("192.0.2.1", "127.0.0.1", "127.0.0.2")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with listen_tcp("both.example") as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    del found[1:]
    with pytest.raises(OSError, match=r"cannot listen on both.example:0: .*no such address"):
        listen_tcp("both.example")


@pytest.mark.parametrize(
    ("host", "port", "error", "complaint"),
    [
        (3000, 0, TypeError, r"host is a str, not 3000 \(listen\(port=3000\)"),
        (None, 0, TypeError, "host is a str, not None"),
        ("127.0.0.1", "80", TypeError, "port is an int, not '80'"),
        ("127.0.0.1", True, TypeError, "port is an int, not True"),
        ("127.0.0.1", 99999, ValueError, "from 0 .* to 65535, not 99999"),
        ("127.0.0.1", -1, ValueError, "from 0 .* to 65535, not -1"),
        ("a\0b", 0, ValueError, r"a name or an address, not 'a\\x00b'"),
        ("a" * 300, 0, ValueError, "a name or an address, not 'aaa"),
        ("[::1]", 0, ValueError, r"without brackets, as '::1', not '\[::1\]'"),
    ],
)
def test_what_is_no_address_is_refused_before_the_system_is_asked(
    host: Any, port: Any, error: type[Exception], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        listen_tcp(host, port)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_alone_and_both_families_together(bench: Bench) -> None:
    only = bench.listen(listen_tcp("::1"))
    bench.connect(only.address, socket.AF_INET6)
    bench.until(lambda: len(bench.accepted) == 1)
    only.close()
    both = bench.listen(listen_tcp(""))
    port = both.address[1]
    bench.connect(("::1", port), socket.AF_INET6)
    bench.connect(("127.0.0.1", port))
    bench.until(lambda: len(bench.accepted) == 3)
    both.close()


def test_a_socket_that_a_parent_left_open_is_taken_over(bench: Bench) -> None:
    parent = socket.create_server(("127.0.0.1", 0))
    listener = bench.listen(socket.socket(fileno=os.dup(parent.fileno())))
    bench.connect(parent.getsockname())
    bench.until(lambda: bench.accepted)
    assert bench.accepted[0][0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    listener.close()
    parent.close()


def test_what_is_no_stream_socket_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match=r"not 0 \(socket.socket\(fileno=0\)\)"):
        connected(0)
    with pytest.raises(TypeError, match="a socket that listens, or is connected, is expected"):
        connected("127.0.0.1")
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    with datagrams, pytest.raises(ValueError, match="a stream socket"):
        connected(datagrams)
    with pytest.raises(ValueError, match="the socket is closed"):
        connected(datagrams)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    wrapped = context.wrap_socket(socket.socket())
    with wrapped, pytest.raises(TypeError, match="as tls="):
        connected(wrapped)
