"""A request that was answered before comes to the same by the short way as through the layers.

A server that is traced has no short way, so it is the judge: each example says the same to two
servers, one of them traced, and compares what the clients hear, what the application is asked, the
log, and the states of all connections after each step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.limits import Limits
from rawsio.server.http_apps import WholeHead
from rawsio.server.repeats import Repeats
from rawsio.testing import TestKit
from tests.bench.counts import NobodyLooks
from tests.http.test_repeated import GET, POST, REQUESTS

DATE = re.compile(rb"Date: [^\r]*")
LIMITS = Limits(head=400, field=200, start_line=120, fields=9, body=40, pipeline=300)
LIMITS = LIMITS.but(read_ahead=300)
KEPT = WholeHead([("Content-Type", "text/plain"), ("Content-Length", "4")])


def pieces() -> Iterator[bytes]:
    """Give an answer piece by piece."""
    yield b"one"
    yield b"two"


def waits() -> Iterator[bytes]:
    """Give an answer that takes a while."""
    for _ in range(3):
        yield b""
    yield b"late"


def fails(_request: Any) -> Any:
    raise ValueError("no")


def closes_after(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from pieces
    raise ValueError("no more")


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "text": lambda request: f"you asked for {request.path} with {request.body!r}",
    "empty": lambda _request: "",
    "bytes": lambda _request: (200, b"\x00" * 10),
    "long": lambda _request: "x" * 5000,
    "status": lambda _request: 404,
    "no content": lambda _request: 204,
    "not modified": lambda _request: 304,
    "fields": lambda _request: (200, "ok", {"X": "y", "Connection": "close"}),
    "whole": lambda _request: (200, b"four", KEPT),
    "wrong whole": lambda _request: (200, b"five!", KEPT),
    "pieces": lambda _request: (200, pieces()),
    "waits": lambda _request: (200, waits()),
    "breaks": lambda _request: (200, closes_after(pieces())),
    "raises": fails,
    "wrong": lambda _request: (200, "ok", {"x y": "z"}),
    "nothing": lambda _request: None,
    "interim": lambda _request: 101,
}


class Way:
    """A server with an application, and what comes of what is said to it."""

    def __init__(self, *, traced: bool, limits: Limits = LIMITS, **options: Any) -> None:
        self.seen: list[Any] = []
        self.answer = "text"
        self.io = Server(
            app=self.application,
            limits=limits,
            trace=NobodyLooks() if traced else None,
            **options,
        )
        self.io.host.log = lambda *line: self.seen.append(["log", *map(str, line[:3])])
        self.kit = TestKit(self.io, seed=1)
        self.wires: list[Any] = []

    def application(self, request: Any) -> Any:
        head = request.method, request.target, list(request.headers), request.version
        self.seen.append([head, request.body, request.peer, request.data, request.cookies])
        request.data["seen"] = True  # of this request alone
        if self.answer == "close":
            self.io.close(1.0)
            return "bye"
        return ANSWERS[self.answer](request)

    def say(self, which: int, data: bytes) -> None:
        """Let these bytes come over a connection, the first ones over a new one."""
        while len(self.wires) <= which:
            self.wires.append(self.kit.dial())
        try:
            while data:
                data = data[self.wires[which].send(data) :]
                self.kit.run()
        except (BlockingIOError, BrokenPipeError, ConnectionResetError) as error:
            self.seen.append(type(error).__name__)

    def hear(self) -> None:
        """Note what has come over each connection, and in which state it is."""
        for wire in self.wires:
            try:
                self.seen.append(DATE.sub(b"", wire.recv(1 << 20)))
            except (BlockingIOError, ConnectionResetError) as error:
                self.seen.append(type(error).__name__)
        driver = self.io.net.driver
        states = []
        for stream in driver.streams:
            stack = stream.tag
            request = None if stack.request is None else stack.request.target
            states.append((
                *(stack.deadline, stack.closing, stack.reading, request, stack.body, stack.last),
                *(stack.held, stream.state, stream.buffered_amount, stack.early),
                *(stack.user.session, stream.deadline, stream._hold),
            ))  # fmt: skip
        application = self.io.core.application
        assert application is not None
        counts = {**self.io.stats(), "answers": len(application._answers)}
        del counts["memory"]
        self.seen.append((sorted(states, key=repr), counts))


Step = tuple[str, Any]


def both(steps: list[Step], **options: Any) -> Way:
    """Do the steps both ways, and compare; return the short one."""
    ways = [Way(traced=True, **options), Way(traced=False, **options)]
    try:
        for number, (kind, value) in enumerate(steps):
            for way in ways:
                way.seen.clear()
                if kind == "answer":
                    way.answer = value
                elif kind == "advance":
                    way.kit.advance(value)
                elif kind == "end":
                    if value < len(way.wires):
                        way.wires[value].close()
                        way.kit.run()
                else:
                    which = int(kind)
                    way.say(which, value)
                way.hear()
            assert ways[0].seen == ways[1].seen, (number, kind, value)
        return ways[1]
    finally:
        for way in ways:
            way.kit.close()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list that fills with what goes the short way."""
    found: list[bytes] = []
    take = Repeats.take

    def taking(self: Repeats, stack: Any, data: bytes, now: float) -> bool:
        if not take(self, stack, data, now):
            return False
        found.append(data)
        return True

    monkeypatch.setattr(Repeats, "take", taking)
    return found


@st.composite
def conversations(draw: Any) -> list[Step]:
    """Draw what is said: few different requests, often again, whole and cut, on two connections."""
    said = draw(st.lists(st.sampled_from(REQUESTS), max_size=2))
    said += [draw(st.sampled_from([GET, POST + b"hello"])), GET]
    steps: list[Step] = []
    for wire in draw(st.lists(st.sampled_from(said), min_size=2, max_size=7)):
        if draw(st.sampled_from([False, False, True])):
            steps.append(("answer", draw(st.sampled_from(sorted(ANSWERS)))))
        which = draw(st.sampled_from("0001"))
        cut = draw(st.sampled_from([0, 0, 0, 1, 2]))
        if cut and wire:
            at = draw(st.integers(0, len(wire) - 1))
            byte = bytes((draw(st.sampled_from(b"\r\n\x00 :aA0")),))
            changed = wire[:at] + byte + wire[at + 1 :]
            steps += [(which, wire[:at]), (which, wire[at:])] if cut == 1 else [(which, changed)]
        else:
            steps.append((which, wire))
        more = draw(st.sampled_from(["", "", "", "advance", "end"]))
        if more == "advance":
            steps.append((more, draw(st.sampled_from([0.01, 1.0, 14.0, 40.0, 80.0]))))
        elif more:
            steps.append((more, 0))
    return steps


@given(conversations())
@example([("0", GET), ("0", GET), ("0", GET + GET), ("0", GET)])
@example([("0", GET), ("answer", "waits"), ("0", GET), ("0", GET), ("advance", 1.0), ("0", GET)])
@example([("0", GET), ("answer", "waits"), ("0", GET), ("end", 0)])
@example([("0", GET), ("advance", 40.0), ("0", GET), ("advance", 40.0), ("0", GET)])
def test_both_ways_give_the_same_answers_calls_and_states(steps: list[Step]) -> None:
    both(steps)


@pytest.mark.parametrize("answer", sorted(ANSWERS))
def test_each_answer_is_the_same_when_it_is_given_again(answer: str) -> None:
    requests = [("0", GET), ("1", POST + b"hello"), ("0", GET), ("1", POST + b"world")]
    heads = [("2", GET.replace(b"GET", b"HEAD")), ("2", GET.replace(b"GET", b"HEAD"))]
    both([*requests, ("answer", answer), *requests, *heads, ("advance", 1.0), *requests, *heads])


@pytest.mark.parametrize("wire", REQUESTS, ids=lambda wire: repr(wire[:24]))
def test_each_request_is_the_same_between_known_ones(wire: bytes) -> None:
    known = [("0", GET), ("0", POST + b"hello"), ("0", GET), ("0", POST + b"world")]
    both([*known, ("0", wire), *known, ("0", wire), ("0", wire)])


def test_what_is_known_goes_the_short_way(taken: list[bytes]) -> None:
    other = POST + b"world"
    both([("0", GET), ("0", POST + b"hello"), ("0", GET), ("0", other), ("1", GET), ("1", GET)])
    assert taken == [GET, other, GET]


@pytest.mark.parametrize("part", [GET[:-1], GET + GET, GET + b"\r\n", POST + b"hell"])
def test_what_is_no_whole_request_goes_through_the_layers(part: bytes, taken: list[bytes]) -> None:
    both([("0", GET), ("0", POST + b"hello"), ("0", part)])
    assert taken == []


def test_a_host_that_is_not_allowed_is_refused_each_time(taken: list[bytes]) -> None:
    good = GET.replace(b"Host: a", b"Host: good")
    both([("0", GET), ("0", GET), ("0", good), ("0", good)], allowed_hosts=["good"])
    assert taken == [good]


def test_without_an_application_it_is_not_found_and_files_are(taken: list[bytes]) -> None:
    file = b"GET /socket.io/socket.io.js HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
    answers: list[bytes] = []
    io = Server()
    with TestKit(io) as kit:
        wire = kit.dial()
        for request in (GET, GET, file, file):
            wire.send(request)
            kit.run()
            answers.append(DATE.sub(b"", wire.recv(1 << 20)))
    assert answers[0] == answers[1]
    assert answers[0].startswith(b"HTTP/1.1 404 ")
    assert answers[2] == answers[3]
    assert b"gzip" in answers[2]
    assert taken == [GET, file]


def test_an_application_that_closes_the_server_has_its_answer_sent() -> None:
    both([("0", GET), ("1", GET), ("0", GET), ("answer", "close"), ("0", GET), ("advance", 3.0)])


def test_engine_io_and_other_protocols_go_through_the_layers(taken: list[bytes]) -> None:
    wrong = b"GET /socket.io/?EIO=4&transport=none HTTP/1.1\r\nHost: a\r\n\r\n"
    tunnel = b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"
    both([("0", wrong), ("0", wrong), ("0", tunnel), ("0", tunnel)])
    assert taken == []


def test_what_an_application_works_on_for_long_is_counted() -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    ready = Event()
    limits = Limits()
    post = POST.replace(b": 5", b": 5000") + bytes(5000)

    def application(_request: Any) -> str:
        ready.wait(20)
        return "done"

    with ThreadPoolExecutor(1) as executor:
        ready.set()
        io = Server(app=application, executor=executor, limits=limits)
        with TestKit(io) as kit:
            wire = kit.dial()
            wire.send(post)
            while not wire.readable:
                kit.run()
            wire.recv(1 << 20)
            ready.clear()
            wire.send(post)
            kit.run()
            kit.advance(0.1)
            held = io.stats()["memory"]["incoming"]
            ready.set()
            while not wire.readable:
                kit.run()
            assert held >= 5000
