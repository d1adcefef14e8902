"""A request that was answered before comes to the same by the short way as through the layers.

A server that is traced has no short way, so it is the judge: each example says the same to two
servers, one of them traced, and compares what the clients hear, what the application is asked, the
log, and the states of all connections after each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.http.messages import answer
from rawsio.limits import Limits
from rawsio.server.http_apps import WholeHead
from rawsio.server.repeats import Repeats
from rawsio.stack import GoOn, ServerStack
from rawsio.testing import TestKit
from tests.bench.counts import NobodyLooks
from tests.http.test_repeated import GET, POST, REQUESTS

from .test_handshakes import DATE

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

    def __init__(
        self, *, traced: bool, limits: Limits = LIMITS, app: bool = True, **options: Any
    ) -> None:
        self.seen: list[Any] = []
        self.answer = "text"
        application = self.application if app else None
        self.io = Server(
            app=application,
            limits=limits,
            trace=NobodyLooks() if traced else None,
            **options,
        )
        self._add_handlers()
        self.sid = b""
        core: Any = self.io.core
        core.registry._log = core.registry._replies._log = core.router.log = self.log
        core.runtime.log = self.log
        self.kit = TestKit(self.io, seed=1)
        self.wires: list[Any] = []

    def log(self, *line: Any) -> None:
        self.seen.append(["log", *map(str, line[:3])])

    def application(self, request: Any) -> Any:
        head = request.method, request.target, list(request.headers), request.version
        self.seen.append([head, request.body, request.peer, request.data, request.cookies])
        request.data["seen"] = True  # of this request alone
        if self.answer == "close":
            self.io.close(1.0)
            return "bye"
        return ANSWERS[self.answer](request)

    def _add_handlers(self) -> None:
        io, seen = self.io, self.seen
        io.on("connection", lambda socket: seen.append(["connected", socket.id]))
        io.on("disconnect", lambda _socket, reason: seen.append(["gone", reason]))
        io.on("echo", lambda _socket, *values: values)
        io.on("tell", lambda _socket, *values: io.emit("told", *values))
        io.on("many", lambda socket: [socket.emit("told", n) for n in range(9)] and None)
        io.on("hold", lambda socket: socket.conn.pause(True))
        io.on("leave", lambda socket: socket.disconnect(True))
        io.on("boom", fails)

    def put(self, wire: bytes) -> bytes:
        """Return the bytes of a request with the session's id in place."""
        return wire.replace(b"SID", self.sid)

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
                heard = DATE.sub(b"", wire.recv(1 << 20))
                self.sid = self.sid or heard.partition(b'"sid":"')[2].partition(b'"')[0]
                self.seen.append(heard)
            except (BlockingIOError, ConnectionResetError) as error:
                self.seen.append(type(error).__name__)
        driver = self.io.net.driver
        states = []
        for stream in driver.streams:
            stack = stream.tag
            request = None if stack.request is None else stack.request.target
            states.append((
                *(stack.deadline, stack.closing, stack.reading, request, stack.body, stack.last),
                *(stack.incoming, stack.asked, stream.state, stream.buffered_amount, stack.early),
                *(getattr(stack.user.session, "id", None), stream.deadline, stream._hold),
            ))  # fmt: skip
        application = self.io.core.application
        counts = {**self.io.stats(), "answers": application and len(application._answers)}
        del counts["memory"]
        sessions: Any = self.io.core.registry.sessions.values()
        waiting = [
            (one.id, one.stage, one.state, one.pending, one.deadline, one.held, one._grace)
            for one in sessions
        ]
        self.seen.append((sorted(states, key=repr), waiting, counts))


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
                elif kind == "act":
                    value(way)
                    way.kit.run()
                else:
                    way.say(int(kind), way.put(value))
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
@example([("0", GET.replace(b"GET", b"HEAD"))] * 3)
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
            kit.advance(0.1)
            ready.clear()
            wire.send(post)
            kit.run()
            kit.advance(0.1)
            held = io.net.budget.total
            ready.set()
            while not wire.readable:
                kit.run()
            assert held >= 5000


def test_nothing_is_known_while_anything_else_waits() -> None:
    for wait in ("early", "end", "last"):
        stack = ServerStack(LIMITS, date=lambda: "")
        stack.tick(1.0)
        stack.request = stack.receive(GET)[0]
        stack.respond(answer(404), b"")
        assert stack.at_once is not None
        if wait == "last":
            stack.last = True
        else:
            stack.put_back([GoOn()])
        if wait == "end":
            stack.receive_eof()
            stack.early = ()
        assert stack.at_once is None, wait


def test_an_answer_that_nobody_waits_for_any_more_is_closed() -> None:
    closed = []

    def content() -> Iterator[bytes]:
        try:
            yield b"one"
            closed.append("went on")
        finally:
            closed.append("closed")

    def application(_request: Any) -> Any:
        if asked:
            for stream in list(io.net.driver.streams):
                stream.abort("gone")
        asked.append("")
        made = content()
        next(made)
        return 200, made

    asked: list[str] = []
    io = Server(app=application)
    with TestKit(io) as kit:
        wire = kit.dial()
        for _ in range(2):
            closed.clear()
            wire.send(GET)
            kit.run()
        assert closed == ["closed"]
        assert io.core.application is not None
        assert not io.core.application._answers


# Polls and posts

HEAD = b" /socket.io/?EIO=4&transport=polling%b HTTP/1.1\r\nHost: a\r\n"
OPEN = b"GET" + HEAD % b"" + b"\r\n"
POLL = b"GET" + HEAD % b"&sid=SID" + b"\r\n"


def post(body: bytes, kind: bytes = b"text/plain;charset=UTF-8") -> bytes:
    """Return a post; bodies of one length have one head."""
    fields = b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    return b"POST" + HEAD % b"&sid=SID" + fields + body


def text(packet: str) -> bytes:
    """Return a packet that is as long as most others."""
    return packet.encode().ljust(16)


BODIES = [
    *[text('421["echo","a"]'), text('422["echo","b"]'), text('42["tell","c"]'), text('42["many"]')],
    *[text('42["hold"]'), text('42["leave"]'), text('423["boom"]'), text('42["unknown"]')],
    *[text("42[]"), text("40"), text("41"), text("44"), text("9"), text("6"), text("4")],
    *[text("43[1]"), text("430[1]"), text("3"), text("2"), text("1"), text('424{"a":1}')],
    b'42["echo",1]\x1e421["echo",2]',
    b'421["echo",1]\x1e42["hold"]\x1e422["echo",2]',
    b'421["echo",1]\x1e9\x1e422["echo",2]',
    b'451-1["echo",{"_placeholder":true,"num":0}]\x1ebAQID',
    *[b"bAQIDBAUGBwgJCgs=", b"b!!!!!!!!!!!!!!!", b"\xff" * 16, b"\x1e" * 16, b"\x1e" * 40],
    *[b"40", b"1", b"3", b"4" * 16, b"", b"x" * 200, '421["echo","\u00e9"]'.encode()],
    b'421["echo","\\ud800"]',
]
SAID = [
    *[POLL, POLL, POLL, post(BODIES[0]), post(BODIES[1]), post(BODIES[2])],
    *[post(body) for body in BODIES],
    post(BODIES[0], b"application/octet-stream"),
    POLL.replace(b"\r\n\r\n", b"\r\nOrigin: http://a\r\n\r\n"),
    POLL.replace(b"\r\n\r\n", b"\r\nOrigin: http://b\r\n\r\n"),
    POLL.replace(b"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"),
    POLL.replace(b"EIO=4", b"EIO=3"),
    POLL.replace(b"SID", b"SIDX"),
    POLL.replace(b"GET", b"HEAD"),
    POLL.replace(b"GET", b"OPTIONS"),
    POLL.replace(b"polling", b"websocket"),
    POLL + POLL,
    post(BODIES[0]) + POLL,
    OPEN,
]
JOINED: list[Step] = [("0", OPEN), ("1", post(b"40")), ("0", POLL), ("0", POLL)]
KNOWN: list[Step] = [*JOINED, ("1", post(BODIES[0])), ("0", POLL), ("1", post(BODIES[1]))]


def _emit(way: Way) -> None:
    way.io.emit("news", "x" * 10)


def _emit_much(way: Way) -> None:
    way.io.emit("news", "x" * 1200)
    way.io.emit("news", {"a": ["\u00e9"]})


def _resume(way: Way) -> None:
    for socket in way.io.sockets.values():
        socket.conn.pause(False)


def _leave(way: Way) -> None:
    way.io.disconnect_sockets(close=True)


def _end(way: Way) -> None:
    for session in list(way.io.core.registry.sessions.values()):
        session.close("enough")


ACTS = [_emit, _emit, _emit_much, _resume, _leave, _end]
POLLING = Limits(unpolled=20, unpolled_bytes=300, body=400)


@st.composite
def sessions(draw: Any) -> list[Step]:
    """Draw what a client that polls says, over three connections, and what else happens."""
    steps = list(draw(st.sampled_from([JOINED, KNOWN, KNOWN])))
    for _ in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(["say", "say", "say", "poll", "ask", "cut", "act", "advance"]))
        which, wire = draw(st.sampled_from("0112")), draw(st.sampled_from(SAID))
        if kind == "say":
            steps.append((which, wire))
        elif kind == "poll":
            steps.append(("0", POLL))
        elif kind == "ask":
            steps.append(("1", post(draw(st.sampled_from(BODIES[:8])))))
        elif kind == "cut":
            at = draw(st.integers(0, len(wire)))
            steps += [(which, wire[:at]), (which, wire[at:])]
        elif kind == "act":
            steps.append((kind, draw(st.sampled_from(ACTS))))
        else:
            steps.append((kind, draw(st.sampled_from([0.01, 1.0, 20.0, 26.0]))))
        if draw(st.sampled_from([False] * 9 + [True])):
            steps.append(("end", draw(st.integers(0, 2))))
    return steps


OPTIONS: dict[str, Any] = {"limits": POLLING, "max_http_buffer_size": 150, "app": False}


@given(sessions())
@example([*KNOWN, ("0", POLL), ("2", POLL), ("0", POLL)])
@example([*KNOWN, ("1", post(BODIES[4])), ("1", post(BODIES[0])), ("act", _resume), ("0", POLL)])
@example([*KNOWN, ("1", post(BODIES[4])), ("2", post(BODIES[0])), ("2", post(BODIES[0]))])
@example([*KNOWN, ("1", post(BODIES[5])), ("0", POLL), ("1", post(BODIES[0])), ("0", POLL)])
@example([*KNOWN, ("act", _end), ("0", POLL), ("0", POLL), ("1", post(BODIES[0]))])
@example([*KNOWN, *[("act", _emit)] * 30, ("0", POLL), ("1", post(BODIES[0]))])
@example([*JOINED[:2], ("2", POLL), ("2", POLL), ("act", _emit), ("0", POLL), ("2", POLL)])
@example([*KNOWN, ("2", post(BODIES[0])), ("1", post(BODIES[4])), ("2", post(BODIES[0]))])
@example([*KNOWN, ("0", POLL), ("advance", 26.0), ("0", POLL), ("1", post(text("3")))])
def test_polls_and_posts_are_the_same_both_ways(steps: list[Step]) -> None:
    both(steps, **OPTIONS)


@pytest.mark.parametrize("wire", SAID, ids=lambda wire: repr(wire[:4] + wire[-24:]))
def test_each_poll_or_post_is_the_same_among_known_ones(wire: bytes) -> None:
    for which in "01":
        both([*KNOWN, (which, wire), *KNOWN[3:], (which, wire), (which, wire)], **OPTIONS)


@pytest.mark.parametrize("wire", [POLL, *map(post, BODIES[:6])], ids=lambda wire: repr(wire[-9:]))
def test_each_poll_or_post_is_the_same_cut_anywhere(wire: bytes) -> None:
    for cut in range(0, len(wire), 23):
        both([*KNOWN, ("1", wire[:cut]), ("1", wire[cut:]), ("0", POLL)], **OPTIONS)


def test_polls_and_posts_that_are_known_go_the_short_way(taken: list[bytes]) -> None:
    way = both([*KNOWN, ("0", POLL), ("1", post(BODIES[2]))], **OPTIONS)
    asked = [way.put(wire) for wire in (POLL, POLL, post(BODIES[1]), POLL, post(BODIES[2]))]
    assert taken == asked


@pytest.mark.parametrize(
    "options",
    [
        {"cookie": True},
        {"allow_request": lambda _request: True},
        {"middleware": [lambda _request: None]},
        {"on_headers": lambda fields, _request: fields.append(("X", "y"))},
        {"cors": lambda _origin: True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_is_judged_each_time_goes_through_the_layers(options: Any, taken: list[bytes]) -> None:
    both([*KNOWN, ("0", POLL), ("1", post(BODIES[2]))], **{**OPTIONS, **options})
    assert taken == []


def test_answers_have_the_fields_of_cors(taken: list[bytes]) -> None:
    poll = POLL.replace(b"\r\n\r\n", b"\r\nOrigin: http://b\r\n\r\n")
    steps = [*JOINED, *[("act", _emit), ("0", poll)] * 3]
    both(steps, **OPTIONS, cors="http://b")
    assert len(taken) == 3


def test_binary_posts_of_protocol_3_are_the_same_both_ways(taken: list[bytes]) -> None:
    def old(wire: bytes) -> bytes:
        return wire.replace(b"EIO=4", b"EIO=3")

    packet = b'420["echo",1]'
    text, binary = b"13:" + packet, b"\x00\x01\x03\xff" + packet
    octets = b"application/octet-stream"
    steps: list[Step] = [("0", old(OPEN)), ("0", old(POLL))]
    for body, kind in ((binary, octets), (text, b"text/plain")) * 3:
        steps += [("1", old(post(body, kind))), ("0", old(POLL))]
    both(steps, **OPTIONS, allow_eio3=True)
    assert any(octets in wire for wire in taken)
