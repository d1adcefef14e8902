"""One worker in this process, its parent played by the test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rawsio import Server
from rawsio.net.descriptors import DescriptorChannel, channel_pair
from rawsio.workers.certificates import encode_certificate
from rawsio.workers.control import MOST_BYTES, Go, Leaving, Passed, Ready, Stop, decode, encode
from rawsio.workers.owner import prefix_of
from rawsio.workers.worker import Worker
from tests.net.kit import turn_until

REQUEST = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n"


UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SHOWN = encode_certificate({"subject": ((("commonName", "a"),),), "version": 3})


class Bench:
    """Worker 5 of a parent that is this test."""

    def __init__(self, *, hooks: bool = True, app: Callable[[Any], Any] | None = None) -> None:
        self.on_request: Callable[[], object] = bool
        self.asked: list[Any] = []

        def allow(request: Any) -> bool | None:
            self.asked.append(request)
            return bool(self.on_request()) or None

        self.io = Server(allow_request=allow, app=app) if hooks else Server(app=app)
        here, self.control = channel_pair()
        self.worker = Worker(self.io, 5, self.control, [None])
        self.worker.prepare()
        self.io.net.start()
        self.loop = self.io.net.loop
        self.said: list[tuple[Any, socket.socket | None]] = []
        self.parent = DescriptorChannel(self.loop, here, self._heard, bool)
        self.clients: list[socket.socket] = []
        turn_until(self.loop, lambda: self.said)

    def _heard(self, data: bytes, sock: socket.socket | None) -> None:
        message = decode(data)
        if isinstance(message, Leaving):
            self.parent.send(encode(Go()))
        else:
            self.said.append((message, sock))

    def connection(self, message: Passed | None = None) -> socket.socket:
        """Give the worker a connection, and return the client's end."""
        client, server = socket.socketpair()
        client.settimeout(60)
        self.clients.append(client)
        self.parent.send(encode(Passed(-1, 0) if message is None else message), server)
        turn_until(self.loop, lambda: self.io.net.connections >= len(self.clients))
        return client

    def answer(self, client: socket.socket) -> bytes:
        """Return what comes next."""
        client.setblocking(False)
        found: list[bytes] = []

        def heard() -> bool:
            try:
                found.append(client.recv(65536))
            except BlockingIOError:
                return False
            return True

        turn_until(self.loop, heard)
        return found[0]

    def close(self) -> None:
        self.io.close(0.0)
        while not self.io.closed:
            self.io.step(0.01)
        for sock in (*self.clients, *(sock for _message, sock in self.said)):
            if sock is not None:
                sock.close()
        self.parent.sock.close()
        self.control.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def test_a_worker_says_that_it_serves_and_its_ids_bear_its_number(bench: Bench) -> None:
    assert bench.said == [(Ready(), None)]
    client = bench.connection()
    client.send(REQUEST)
    answer = bench.answer(client)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'"sid":"' + prefix_of(5).encode() in answer


def test_a_request_of_another_goes_to_the_parent_with_its_connection(bench: Bench) -> None:
    client = bench.connection(Passed(-1, -1, address="192.0.2.1", secure=True))
    wire = b"GET /socket.io/?EIO=4&sid=AAGxyz HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(wire)
    turn_until(bench.loop, lambda: len(bench.said) == 2)
    message, sock = bench.said[1]
    assert message == Passed(6, -1, secure=True, address="192.0.2.1", first=wire)
    assert sock is not None
    sock.send(b"from somebody else")
    assert client.recv(100) == b"from somebody else"
    assert bench.io.net.connections == 0


def test_what_was_read_of_a_connection_is_answered_at_once(bench: Bench) -> None:
    client = bench.connection(Passed(-1, -1, address="192.0.2.1", first=REQUEST))
    client.setblocking(False)
    for _ in range(3):
        bench.loop.step(0)
    assert client.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.fixture
def plain() -> Iterator[Bench]:
    """Return a worker without hooks, which knows the request that opens a WebSocket."""
    made = Bench(hooks=False)
    known = made.connection()
    known.send(UPGRADE)
    assert made.answer(known).startswith(b"HTTP/1.1 101")
    yield made
    made.close()


def test_a_known_request_behind_what_was_read_is_read_after_it(plain: Bench) -> None:
    client, server = socket.socketpair()
    client.send(UPGRADE)
    plain.clients.append(client)
    first = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
    plain.parent.send(encode(Passed(-1, 0, first=first)), server)
    heard = plain.answer(client)
    assert heard.startswith(b"HTTP/1.1 404")
    if b" 101 " not in heard:
        assert plain.answer(client).startswith(b"HTTP/1.1 101")


def test_nothing_that_is_known_here_is_answered_here_once_somebody_else_is_asked(
    plain: Bench,
) -> None:
    client = plain.connection()
    client.send(REQUEST)
    sid = plain.answer(client).split(b'"')[3]
    known = b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: x\r\n" % sid
    known += b"Content-Length: 2\r\n\r\n40"
    for _ in range(3):
        client.send(known)
        assert plain.answer(client).endswith(b"ok")
    for stack in plain.io.net.stacks():
        # So long that what was read does not fit beside it: the worker stays between.
        stack.show({"subject": "x" * (MOST_BYTES - 100)})  # type: ignore[attr-defined]
    theirs = b"GET /socket.io/?EIO=4&sid=AAGxyz HTTP/1.1\r\nHost: x\r\nA: %b\r\n\r\n" % (b"y" * 99)
    client.setblocking(True)
    client.send(theirs)
    turn_until(plain.loop, lambda: len(plain.said) == 2)
    _message, sock = plain.said[1]
    assert sock is not None
    client.send(known)
    sock.setblocking(False)
    heard = bytearray()

    def all_heard() -> bool:
        with contextlib.suppress(BlockingIOError):
            heard.extend(sock.recv(65536))
        return len(heard) >= len(theirs + known)

    turn_until(plain.loop, all_heard)
    assert heard == theirs + known


def test_who_retires_begins_no_session_though_the_request_is_known(plain: Bench) -> None:
    plain.parent.send(encode(Stop(60.0, retire=True)))
    client, server = socket.socketpair()
    plain.clients.append(client)
    client.send(UPGRADE)
    plain.parent.send(encode(Passed(-1, 0)), server)
    turn_until(plain.loop, lambda: len(plain.said) == 2)
    message, sock = plain.said[1]
    assert isinstance(message, Passed)
    assert sock is not None
    assert (message.number, message.first or sock.recv(65536)) == (-1, UPGRADE)


def test_what_a_client_has_shown_to_another_worker_goes_with_its_connection(bench: Bench) -> None:
    shown: list[Any] = []
    bench.on_request = lambda: shown.append(bench.asked[-1].peer.certificate) or True
    first = Passed(-1, -1, address="192.0.2.1", secure=True, certificate=SHOWN)
    client = bench.connection(first)
    client.send(REQUEST)
    assert bench.answer(client).startswith(b"HTTP/1.1 200")
    assert shown == [{"subject": ((("commonName", "a"),),), "version": 3}]
    wire = b"GET /socket.io/?EIO=4&sid=AAGxyz HTTP/1.1\r\nHost: x\r\n\r\n"
    client.send(wire)
    turn_until(bench.loop, lambda: len(bench.said) == 2)
    message, _sock = bench.said[1]
    assert message == Passed(6, -1, False, True, "192.0.2.1", SHOWN, wire)


def test_the_application_is_told_of_it_with_each_request_whose_head_came_before_as_well() -> None:
    bench = Bench(hooks=False, app=lambda question: repr(question.peer.certificate))
    try:
        client = bench.connection(Passed(-1, -1, secure=True, certificate=SHOWN))
        for _ in range(3):
            client.send(b"GET /who HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"commonName" in bench.answer(client)
    finally:
        bench.close()


def test_a_certificate_that_is_too_long_to_be_passed_on_ends_the_connection(bench: Bench) -> None:
    client = bench.connection()
    (stack,) = bench.io.net.stacks()
    stack.show({"subject": "x" * MOST_BYTES})  # type: ignore[attr-defined]  # a WorkerStack
    client.send(b"GET /socket.io/?EIO=4&sid=AAGxyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert bench.answer(client) == b""
    assert len(bench.said) == 1


def test_what_the_parent_settled_is_answered_here(bench: Bench) -> None:
    client = bench.connection(Passed(6, 0, settled=True))
    client.send(b"GET /socket.io/?EIO=4&transport=polling&sid=AAGxyz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b'"code":1' in bench.answer(client)


def test_an_answer_that_is_not_sent_yet_goes_out_before_its_connection_goes_away(
    bench: Bench,
) -> None:
    client = bench.connection()
    stop = encode(Stop(1.0, retire=True))
    # Later in the turn of the request, and before its end.
    bench.on_request = lambda: bench.loop.call_soon(bench.worker._told, stop, None)
    client.send(REQUEST)
    turn_until(bench.loop, lambda: len(bench.said) == 2)
    assert bench.said[1][0].number == -1
    assert client.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_connection_for_a_worker_without_sessions_that_ends_goes_back(bench: Bench) -> None:
    bench.parent.send(encode(Stop(1.0, retire=True)))
    client, server = socket.socketpair()
    bench.clients.append(client)
    more: dict[str, Any] = {
        **{"secure": True, "address": "192.0.2.1", "certificate": SHOWN, "first": REQUEST}
    }
    bench.parent.send(encode(Passed(5, -1, **more)), server)
    turn_until(bench.loop, lambda: len(bench.said) == 2)
    assert bench.said[1][0] == Passed(-1, -1, settled=True, **more)
