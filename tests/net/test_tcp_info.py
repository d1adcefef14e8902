"""What the kernel tells of a TCP connection."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest

from rawsio.net.tcp_info import decode, tcp_info

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the struct is Linux's")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near, far:
        yield near, far


@linux
def test_a_connection_has_a_round_trip_a_window_and_counts(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    near.sendall(b"hello")
    assert far.recv(10) == b"hello"
    info = tcp_info(near)
    assert info is not None
    assert 0 < info.round_trip < 10
    assert info.congestion_window > 500
    assert info.segments_out >= 2
    assert info.retransmits == 0


@linux
def test_what_the_peer_does_not_take_is_seen_in_the_kernel(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, _ = ends
    near.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while near.send(bytes(1 << 16)):
            pass
    info = tcp_info(near)
    assert info is not None
    assert info.in_flight + info.unsent > 1 << 16


def test_what_is_no_tcp_connection_has_none() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert tcp_info(one) is None
    assert tcp_info(one) is None
    assert tcp_info(object()) is None


def test_an_older_kernel_tells_less() -> None:
    assert decode(bytes(103)) is None
    old = decode(bytes(104))
    assert old is not None
    assert (old.unsent, old.segments_out) == (0, 0)
