"""Connections on their way: made, refused, given up; one address after the other."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import pytest

from rawsio.net.connecting import Connecting, connect_tcp, default_tls
from rawsio.net.listener import listen_tcp
from rawsio.net.loop import Loop

from .kit import turn_until


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


def free_port() -> int:
    with listen_tcp() as sock:
        return int(sock.getsockname()[1])


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
        Connecting(ends.loop, addresses, "", ends.made.append, ends.texts.append)
        turn_until(ends.loop, lambda: ends.made)
    assert not ends.texts


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
