"""Connecting to unix sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawsio.net.loop import Loop
from rawsio.net.unix_client import connect_unix


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX) as server:
        path = str(tmp_path / "s")
        server.bind(path)
        server.listen()
        yield path


def test_a_socket_that_listens_is_connected_in_the_next_turn(loop: Loop, listening: str) -> None:
    made: list[socket.socket] = []
    connect_unix(loop, listening, made.append, print)
    assert not made
    loop.step(0)
    assert made[0].getpeername() == listening
    made[0].close()


def test_a_path_without_a_socket_is_a_reason_in_words(loop: Loop, tmp_path: Path) -> None:
    reasons: list[str] = []
    file = tmp_path / "file"
    file.touch()
    for path in (file, tmp_path / "none", "x" * 200):
        connect_unix(loop, str(path), print, reasons.append)
    loop.step(0)
    assert [reason.rpartition(": ")[2] for reason in reasons][:2] == [
        "connection refused",
        "no such file or directory",
    ]
    assert len(reasons) == 3


def test_a_connection_that_was_given_up_is_not_told(loop: Loop, listening: str) -> None:
    connecting = connect_unix(loop, listening, print, print)
    connecting.cancel()
    connecting.cancel()
    loop.step(0)
