"""Connections that end in the middle of something leave nothing behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from rawsio import Server

HANDSHAKE = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    io = Server()
    yield io
    io.close(0.0)
    io.step(0.0)


def turns_until(io: Server, **counts: int) -> None:
    for _ in range(200):
        stats = io.stats()
        if all(stats[name] == count for name, count in counts.items()):
            return
        io.step(0.05)
    raise AssertionError(f"{counts} is not reached: {io.stats()}")


def polling(io: Server) -> tuple[socket.socket, bytes]:
    wire = socket.create_connection(io.listen())
    wire.sendall(HANDSHAKE)
    turns_until(io, connections=1, sessions=1)
    sid = json.loads(wire.recv(4096).partition(b"\r\n\r\n0")[2])["sid"]
    return wire, HANDSHAKE.replace(b"polling", b"polling&sid=" + sid.encode())


@pytest.mark.parametrize("half", [True, False])
def test_a_poll_that_its_client_gives_up_ends_its_session_and_connection(
    server: Server, half: bool
) -> None:
    wire, poll = polling(server)
    with wire:
        wire.sendall(poll)
        if half:
            wire.shutdown(socket.SHUT_WR)
        else:
            wire.close()
        turns_until(server, connections=0, sessions=0)
