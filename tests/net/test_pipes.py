"""Sockets without layers: bytes, half-closes, resets, back-pressure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import pack

import pytest

from rawsio.net.loop import Loop
from rawsio.net.pipes import Pipe

from .kit import turn_until


class Owner:
    def __init__(self) -> None:
        self.said: list[object] = []
        self.data = b""

    def received(self, pipe: Pipe, data: bytes) -> None:
        self.data += data

    def ended(self, pipe: Pipe) -> None:
        self.said.append("ended")

    def drained(self, pipe: Pipe) -> None:
        self.said.append("drained")

    def lost(self, pipe: Pipe, reason: str, *, reset: bool) -> None:
        self.said.append(("lost", reset))

    def closed(self, pipe: Pipe) -> None:
        self.said.append("closed")


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def ends(loop: Loop) -> Iterator[tuple[Pipe, Owner, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    owner = Owner()
    far.settimeout(60)
    pipe = Pipe(loop, near, owner)
    pipe.resume()
    with far:
        yield pipe, owner, far
    pipe.abort()


def test_bytes_pass_and_each_direction_ends_by_itself(
    loop: Loop, ends: tuple[Pipe, Owner, socket.socket]
) -> None:
    pipe, owner, far = ends
    far.sendall(b"hello")
    far.shutdown(socket.SHUT_WR)
    turn_until(loop, lambda: "ended" in owner.said)
    assert owner.data == b"hello"
    pipe.write(b"still ")
    pipe.write(b"here")
    pipe.end()
    pipe.write(b"too late")
    assert far.recv(100) + far.recv(100) == b"still here"
    assert far.recv(1) == b""
    assert owner.said == ["ended", "drained", "drained", "closed"]


def test_what_is_not_taken_waits_and_is_sent_before_the_end(
    loop: Loop, ends: tuple[Pipe, Owner, socket.socket]
) -> None:
    pipe, owner, far = ends
    data = bytes(range(256)) * 40_000
    pipe.write(data)
    pipe.end()
    assert pipe.unsent > 0
    assert owner.said == []
    far.setblocking(False)
    got = bytearray()

    def read() -> bool:
        try:
            got.extend(far.recv(1 << 20))
        except BlockingIOError:
            return False
        return len(got) >= len(data)

    turn_until(loop, read)
    assert got == data
    assert pipe.unsent == 0


def test_a_paused_pipe_does_not_read(loop: Loop, ends: tuple[Pipe, Owner, socket.socket]) -> None:
    pipe, owner, far = ends
    pipe.pause()
    far.sendall(b"x")
    for _ in range(5):
        loop.step(0.01)
    assert owner.data == b""
    pipe.resume()
    turn_until(loop, lambda: owner.data == b"x")


def test_a_reset_is_told_from_an_end(loop: Loop, ends: tuple[Pipe, Owner, socket.socket]) -> None:
    pipe, owner, far = ends
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
    far.close()
    turn_until(loop, lambda: owner.said)
    assert owner.said == [("lost", True)]
    pipe.write(b"nobody")
    pipe.end()


def test_a_reset_is_sent_when_it_is_asked_for(
    loop: Loop, ends: tuple[Pipe, Owner, socket.socket]
) -> None:
    pipe, owner, far = ends
    pipe.abort(reset=True)
    pipe.abort(reset=True)
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    assert owner.said == []


def test_a_pipe_on_which_nothing_waits_is_not_woken(
    loop: Loop, ends: tuple[Pipe, Owner, socket.socket]
) -> None:
    pipe, owner, far = ends
    pipe.write(b"at once")
    for _ in range(3):
        loop.step(0)
    assert owner.said == ["drained"]
    assert far.recv(100) == b"at once"
