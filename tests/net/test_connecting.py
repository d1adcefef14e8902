"""Connections on their way: made, refused, given up; one address after the other."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rawsio.net.attempts import STAGGER
from rawsio.net.connecting import Connecting, Dialer, connect_tcp, default_tls
from rawsio.net.listener import listen_tcp
from rawsio.net.loop import Loop
from tests.jobs import free_port

from .kit import Clock, turn_until


class Ends:
    def __init__(self) -> None:
        self.loop = Loop()
        self.made: list[socket.socket] = []
        self.texts: list[str] = []

    def connect(self, host: str, port: int) -> Connecting:
        return connect_tcp(self.loop, host, port, self.made.append, self.texts.append)

    def close(self) -> None:
        for sock in self.made:
            sock.close()
        self.loop.close()


@pytest.fixture
def ends() -> Any:
    made = Ends()
    yield made
    made.close()


@pytest.mark.rule("6455-4.1-direct")
def test_a_connection_is_made_and_small_writes_are_not_delayed(ends: Ends) -> None:
    with listen_tcp() as server:
        ends.connect(*server.getsockname())
        turn_until(ends.loop, lambda: ends.made)
        assert ends.made[0].getpeername() == server.getsockname()
        assert ends.made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.rule("6455-4.1-open")
def test_a_refused_connection_is_reported_with_the_reason(ends: Ends) -> None:
    ends.connect("127.0.0.1", free_port())
    turn_until(ends.loop, lambda: ends.texts)
    assert ends.texts == ["connection refused"]
    assert not ends.made


def test_a_name_without_an_address_is_reported_later(ends: Ends) -> None:
    ends.connect("name.invalid", 80)
    assert not ends.texts
    turn_until(ends.loop, lambda: ends.texts)
    assert len(ends.texts) == 1


def test_the_next_address_is_tried(ends: Ends) -> None:
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with listen_tcp() as server:
        addresses = [
            (-1, *kind[1:], ("127.0.0.1", 1)),  # a family that does not exist
            (*kind, ("127.0.0.1", free_port())),
            (*kind, server.getsockname()),
        ]
        made = Connecting(
            ends.loop, lambda sock, _address: ends.made.append(sock), ends.texts.append
        )
        made.try_all(addresses)
        turn_until(ends.loop, lambda: ends.made)
    assert not ends.texts


@pytest.fixture
def hole() -> Iterator[tuple[str, int]]:
    """An address that swallows what is sent to it: its queue is full, and nobody accepts."""
    with socket.socket() as listening, ExitStack() as fillers:
        listening.bind(("127.0.0.2", 0))
        listening.listen(0)
        for _ in range(3):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield listening.getsockname()


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> list[int]:
    """Let every name have these addresses; return the threads that ask."""
    asked: list[int] = []
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")

    def look_up(_host: str, _port: int, **more: Any) -> list[Any]:
        if more.get("flags"):
            raise socket.gaierror("not numeric")
        asked.append(threading.get_ident())
        return [(*kind, address) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.rule("layers-connect-stagger")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")
def test_an_address_that_leads_nowhere_costs_a_quarter_of_a_second_once(
    hole: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    loop, dialer = Loop(clock=clock), Dialer()
    made: list[socket.socket] = []
    with listen_tcp() as server:
        resolve(monkeypatch, hole, server.getsockname())
        dialer.connect(loop, "two.example", 80, made.append, print)
        turn_until(loop, lambda: loop.next_deadline() is not None)
        loop.step(0)
        assert not made
        clock.now += STAGGER
        turn_until(loop, lambda: made)
        assert made[0].getpeername() == server.getsockname()
        # The address that answered begins the next time.
        dialer.connect(loop, "two.example", 80, made.append, print)
        turn_until(loop, lambda: len(made) == 2)
        assert loop.next_deadline() is None
        for sock in made:
            sock.close()
    loop.close()


@pytest.mark.rule("layers-connect-doubt")
def test_an_address_that_was_no_use_is_the_last_to_be_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, dialer = Loop(clock=Clock()), Dialer()
    met: list[Any] = []

    def meet() -> Any:
        """Connect; return who answered."""
        made: list[socket.socket] = []
        dialer.connect(loop, "three.example", 80, made.append, print)
        turn_until(loop, lambda: made)
        with made[0]:
            met.append(made[0].getpeername())
        return met[-1]

    with listen_tcp() as one, listen_tcp() as two, listen_tcp() as three:
        names = [sock.getsockname() for sock in (one, two, three)]
        resolve(monkeypatch, *names)
        dialer.doubt("three.example", 80)  # of which nothing is known
        for _ in range(5):
            assert meet() == meet()
            dialer.doubt("three.example", 80)
        assert met[::2] == [*names, *names[:2]]
        monkeypatch.undo()
        resolve(monkeypatch, names[1])  # it is the only one now
        assert meet() == names[1]
    loop.close()


@pytest.mark.rule("layers-connect-lookup")
def test_a_name_is_looked_up_in_a_thread_and_a_number_is_not(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listen_tcp() as server:
        ends.connect(*server.getsockname())
        asked = resolve(monkeypatch, server.getsockname())
        ends.connect("name.example", 80)
        turn_until(ends.loop, lambda: len(ends.made) == 2)
    assert len(asked) == 1
    assert asked[0] != threading.get_ident()


def test_without_threads_a_name_is_looked_up_all_the_same(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("rawsio.net.connecting.start_new_thread", no_thread)
    with listen_tcp() as server:
        resolve(monkeypatch, server.getsockname())
        ends.connect("name.example", 80)
        turn_until(ends.loop, lambda: ends.made)


def test_an_answer_that_comes_after_the_end_of_the_loop_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[Any] = []
    monkeypatch.setattr("rawsio.net.connecting.start_new_thread", lambda fn, _: waits.append(fn))
    loop = Loop()
    with listen_tcp() as server:
        resolve(monkeypatch, server.getsockname())
        connect_tcp(loop, "name.example", 80, print, print).cancel()
        connect_tcp(loop, "name.example", 80, print, print)
        waits[0]()
        loop.step(0)
        loop.close()
        waits[1]()


def test_a_name_that_cannot_be_one_is_reported_later(ends: Ends) -> None:
    ends.connect("x" * 64 + ".example", 80)
    assert not ends.texts
    turn_until(ends.loop, lambda: ends.texts)
    assert "label" in ends.texts[0]


def test_who_gives_up_hears_nothing_more(ends: Ends) -> None:
    with listen_tcp() as server:
        ends.connect(*server.getsockname()).cancel()
        ends.connect("name.invalid", 80).cancel()
        for _ in range(3):
            ends.loop.step(0.01)
    assert not ends.made
    assert not ends.texts


@pytest.mark.rule("9110-4.3.4-identity", "9110-4.3.4-no-common-name")
def test_the_context_of_the_system_checks_names() -> None:
    context = default_tls()
    assert context.check_hostname
    assert context.hostname_checks_common_name is not ssl.HAS_NEVER_CHECK_COMMON_NAME
    assert context.verify_mode is ssl.CERT_REQUIRED
