"""Answers of applications on their way: in pieces, on threads, and to clients that go."""

from __future__ import annotations

import itertools
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.testing import TestKit
from tests.net.kit import turn_until


class Lines:
    """What a server logs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        monkeypatch.setattr("rawsio.log._write", self._take)

    def _take(self, _channel: str, _level: int, message: str, _error: Any) -> bool:
        self.lines.append(message)
        return True


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return Lines(monkeypatch).lines


class Asker:
    """A client of an application, over a connection in memory."""

    def __init__(self, kit: TestKit) -> None:
        self.kit = kit
        self.wire = kit.dial()

    def ask(self, path: str = "/", method: str = "GET", version: str = "1.1") -> Asker:
        request = f"{method} {path} HTTP/{version}\r\nHost: a\r\n\r\n"
        self.wire.send(request.encode())
        self.kit.run()
        return self

    def raw(self) -> bytes:
        """Return what has come."""
        got = b""
        while self.wire.readable:
            data = self.wire.recv(1 << 20)
            if not data:
                break
            got += data
            self.kit.run()
        return got


def streamed(pieces: Callable[[], Iterator[bytes]], **options: Any) -> Server:
    def app(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Type", "text/event-stream")])
        return pieces()

    return Server(app=app, **options)


def test_content_without_an_end_is_sent_as_it_is_made_and_others_are_served() -> None:
    closed: list[str] = []

    def ticks() -> Iterator[bytes]:
        try:
            for number in itertools.count():
                yield b"data: %d\n\n" % number
                yield b""  # nothing for now
        finally:
            closed.append("closed")

    io = streamed(ticks)
    with TestKit(io) as kit:
        watching = Asker(kit).ask()
        head, _, content = watching.raw().partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert content == b"9\r\ndata: 0\n\n\r\n"
        kit.advance(1.0)
        assert 10 < watching.raw().count(b"data: ") < 100
        assert kit.connect().emit_with_ack("x") is not None
        watching.wire.close()
        kit.run()
        assert closed == ["closed"]
        assert io.stats()["connections"] == 1


def test_a_client_of_http_1_0_gets_it_until_the_connection_ends() -> None:
    with TestKit(streamed(lambda: iter([b"#" * 40_000] * 3))) as kit:
        head, _, content = Asker(kit).ask(version="1.0").raw().partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"Connection: close" in head
        assert content == b"#" * 120_000


def test_content_that_is_there_at_once_has_its_length_and_the_connection_goes_on() -> None:
    with TestKit(streamed(lambda: iter([b"a", b"b"]))) as kit:
        asker = Asker(kit)
        for _ in range(2):
            said = asker.ask().raw()
            assert b"Content-Length: 2" in said
            assert said.endswith(b"\r\n\r\nab")


class Closable:
    """Content that has to be told when nobody wants more of it."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces, self.closed = iter(pieces), 0

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("pieces", [(), (b"at once",), (b"first", b"", b"later")])
def test_content_is_told_once_that_its_answer_is_over(pieces: tuple[bytes, ...]) -> None:
    made: list[Closable] = []

    def app(_environ: dict[str, Any], start: Any) -> Closable:
        start("200 OK", [])
        made.append(Closable(*pieces))
        return made[-1]

    with TestKit(Server(app=app)) as kit:
        asker = Asker(kit)
        for _ in range(2):
            assert asker.ask().raw()
            kit.advance(1.0)
        assert [content.closed for content in made] == [1, 1]


@pytest.mark.rule("layers-app-pieces")
@pytest.mark.parametrize("slow", [True, False])
def test_it_is_made_as_fast_as_its_client_takes_it(slow: bool) -> None:
    made: list[int] = []

    def frames() -> Iterator[bytes]:
        for _ in range(100):
            made.append(10_000)
            yield b"#" * 10_000

    with TestKit(streamed(frames)) as kit:
        asker = Asker(kit)
        asker.wire.stalled = slow
        asker.ask()
        if slow:
            assert sum(made) < 300_000
            asker.wire.stalled = False
        assert asker.raw().count(b"#") == 1_000_000
        assert sum(made) == 1_000_000


@pytest.mark.rule("layers-app-pieces")
def test_those_that_always_have_more_take_turns() -> None:
    turns: list[int] = []
    kit: TestKit

    def frames(number: int) -> Iterator[bytes]:
        for _ in range(20):
            turns.append(number)
            kit.board.now += 0.02  # it blocks for longer than its share
            yield b"#" * 100

    numbers = itertools.count()
    with TestKit(streamed(lambda: frames(next(numbers)))) as kit:
        askers = [Asker(kit) for _ in range(3)]
        kit.advance(1.0)  # newcomers may have to wait
        for asker in askers:
            asker.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
        assert turns[3:60] == [0, 1, 2] * 19
        assert [asker.raw().count(b"#") for asker in askers] == [2000] * 3


def test_one_that_fails_in_the_middle_is_cut_off_so_that_the_client_knows(
    logged: list[str],
) -> None:
    def broken() -> Iterator[bytes]:
        yield b"a" * 70_000
        raise ValueError("mine")

    with TestKit(streamed(broken)) as kit:
        said = Asker(kit).ask().raw()
    assert b"\r\n0\r\n\r\n" not in said
    assert logged == ["app streamed.<locals>.app for GET '/' failed"]


def test_one_that_does_not_keep_to_its_length_is_cut_off(logged: list[str]) -> None:
    def app(environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start("200 OK", [("Content-Length", "100000")])
        yield b"a" * 70_000
        if environ["PATH_INFO"] == "/long":
            yield b"a" * 70_000

    with TestKit(Server(app=app)) as kit:
        for path in ("/short", "/long"):
            head, _, body = Asker(kit).ask(path).raw().partition(b"\r\n\r\n")
            assert b"Content-Length: 100000" in head
            assert len(body) == 70_000
    assert [line.partition(" for ")[2] for line in logged] == [
        "GET '/short' failed",
        "GET '/long' failed",
    ]


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content")])
def test_where_no_content_belongs_none_is_made(method: str, status: str) -> None:
    made: list[int] = []

    def app(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
        start(status, [])
        for number in itertools.count():
            made.append(number)
            yield b"#" * 10_000

    with TestKit(Server(app=app)) as kit:
        head, _, body = Asker(kit).ask(method=method).raw().partition(b"\r\n\r\n")
        assert (head[9:12], body) == (status[:3].encode(), b"")
    assert len(made) < 10


def test_a_function_of_the_request_may_give_content_in_pieces() -> None:
    def camera(_request: Any) -> Any:
        frames = iter([b"--f\r\n" + b"#" * 70_000] * 2)
        return 200, frames, [("Content-Type", "multipart/x-mixed-replace; boundary=f")]

    with TestKit(Server(app=camera)) as kit:
        said = Asker(kit).ask().raw()
    assert b"Content-Type: multipart/x-mixed-replace; boundary=f\r\n" in said
    assert said.count(b"--f\r\n") == 2
    assert said.endswith(b"0\r\n\r\n")


# What blocks the loop is named


def test_an_application_that_blocks_the_loop_is_named(logged: list[str]) -> None:
    kit: TestKit

    def app(request: Any) -> str:
        kit.board.now += 0.6
        if request.path == "/fails":
            raise ValueError("mine")
        return "done"

    with TestKit(Server(app=app)) as kit:
        Asker(kit).ask("/slow?x=1")
        Asker(kit).ask("/fails")
    name = "app test_an_application_that_blocks_the_loop_is_named.<locals>.app for GET "
    assert logged == [
        name + "'/slow?x=1' blocked the loop for 0.60 s",
        name + "'/fails' blocked the loop for 0.60 s",
        name + "'/fails' failed",
    ]


def test_one_that_blocks_the_loop_for_a_little_each_time_is_named_once(logged: list[str]) -> None:
    kit: TestKit

    def ticks() -> Iterator[bytes]:
        for _ in range(100):
            kit.board.now += 0.05
            yield b"tick"

    with TestKit(streamed(ticks, limits=Limits(slow_handler=0.5))) as kit:
        asker = Asker(kit).ask()
        assert asker.raw().count(b"tick") == 100
    assert len(logged) == 1
    assert logged[0].endswith("for GET '/' has blocked the loop for 0.55 s, piece by piece")


# On an executor


class Threads:
    """A server whose application runs on threads, and a way to hold it."""

    def __init__(self, **options: Any) -> None:
        self.executor = ThreadPoolExecutor(4)
        self.goes_on = threading.Event()
        self.ran_on: list[str] = []
        self.closed = threading.Event()
        self.io = Server(app=self.app, executor=self.executor, **options)
        self.address = self.io.listen()

    def app(self, environ: dict[str, Any], start: Any) -> Any:
        self.ran_on.append(threading.current_thread().name)
        if environ["PATH_INFO"] == "/quick":
            start("200 OK", [])
            return [b"quick"]
        if environ["PATH_INFO"] == "/exit":
            sys.exit(3)
        if environ["PATH_INFO"] == "/held":
            self.goes_on.wait(60)
            start("200 OK", [])
            return [b"held"]
        start("200 OK", [])
        return self.stream()

    def stream(self) -> Iterator[bytes]:
        try:
            while True:
                yield b"tick"
                self.goes_on.wait(0.01)
        finally:
            self.closed.set()

    def ask(self, path: str) -> socket.socket:
        wire = socket.create_connection(self.address)
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wire.setblocking(False)
        return wire

    def answer(self, wire: socket.socket, end: bytes) -> bytes:
        got = b""

        def ended() -> bool:
            nonlocal got
            try:
                got += wire.recv(100_000)
            except BlockingIOError:
                return False
            return got.endswith(end)

        turn_until(self.io, ended)
        return got

    def end(self) -> None:
        self.goes_on.set()
        self.io.close(0.0)
        turn_until(self.io, lambda: self.io.closed)
        self.executor.shutdown()


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads()
    yield made
    made.end()


def test_on_an_executor_the_application_may_block(threads: Threads) -> None:
    with threads.ask("/held") as held, threads.ask("/quick") as quick:
        assert threads.answer(quick, b"quick")
        threads.goes_on.set()
        assert threads.answer(held, b"held")
    assert all(name.startswith("ThreadPoolExecutor") for name in threads.ran_on)


def test_on_an_executor_content_may_block_and_is_closed_when_the_client_goes(
    threads: Threads,
) -> None:
    with threads.ask("/stream") as stream:
        threads.answer(stream, b"tick\r\n")
        threads.answer(stream, b"tick\r\n")
    turn_until(threads.io, threads.closed.is_set)
    assert threads.io.stats()["connections"] == 0


def test_an_exit_on_an_executor_is_an_error_of_that_answer(
    threads: Threads, logged: list[str]
) -> None:
    with threads.ask("/exit") as exiting, threads.ask("/quick") as quick:
        assert threads.answer(exiting, b"\r\n\r\n").startswith(b"HTTP/1.1 500 ")
        assert threads.answer(quick, b"quick")
    assert logged == ["app Threads.app for GET '/exit' failed"]


def test_who_has_no_more_questions_gets_the_answer_to_the_last(threads: Threads) -> None:
    with threads.ask("/held") as wire:
        wire.shutdown(socket.SHUT_WR)
        turn_until(threads.io, lambda: threads.ran_on)
        threads.io.step(0)
        threads.goes_on.set()
        assert b"Connection: close" in threads.answer(wire, b"held")


def test_a_server_that_closes_lets_answers_end_that_were_asked_for(threads: Threads) -> None:
    with threads.ask("/held") as held, threads.ask("/stream") as stream:
        threads.answer(stream, b"tick\r\n")
        turn_until(threads.io, lambda: len(threads.ran_on) == 2)
        threads.io.close(10.0)
        turn_until(threads.io, threads.closed.is_set)
        threads.goes_on.set()
        assert b"Connection: close" in threads.answer(held, b"held")
    turn_until(threads.io, lambda: threads.io.closed)


def test_a_client_that_left_is_not_answered_and_harms_nobody(threads: Threads) -> None:
    threads.ask("/held").close()
    turn_until(threads.io, lambda: threads.ran_on)
    wire = threads.ask("/held")
    turn_until(threads.io, lambda: len(threads.ran_on) == 2)
    threads.goes_on.set()
    assert threads.answer(wire, b"held")
    wire.close()
