"""The short way of HTTP comes to the same as the long one, whatever is said, however it is cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import EndOfMessage, Request, Response, answer, fields_with_length
from rawsio.http.repeated import answer_whole
from rawsio.http.states import BODY, IDLE, WAITING
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.stack import ServerStack

from .feeding import Forgetful, joined

LIMITS = Limits(head=400, field=200, start_line=120, fields=9, body=40, pipeline=300)
LIMITS = LIMITS.but(read_ahead=300)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

GET = b"GET /a?sid=1 HTTP/1.1\r\nHost: a\r\nCookie: x=1\r\n\r\n"
POST = b"POST /a?sid=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
UPGRADE = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
REQUESTS = [
    *[GET, GET, POST + b"hello", POST + b"world"],
    POST.replace(b": 5", b": 6") + b"hello!",
    POST.replace(b": 5", b": 05") + b"hello",
    POST.replace(b": 5", b": 0"),
    POST.replace(b": 5", b": 41") + bytes(41),  # longer than the limit
    POST.replace(b": 5", b": 5\r\nContent-Length: 5") + b"hello",
    POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n",
    POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    POST.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue") + b"hello",
    POST.replace(b"Host: a", b"Host: a\r\nExpect: 200-ok") + b"hello",
    POST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + b"hello",
    POST[:-4] + b"\r\nX:hello",  # as long as the known request
    POST + b"hello" + GET,
    POST + b"hello" + POST,
    GET + GET,
    GET + b"G",
    GET.replace(b"Host: a", b"Host: b"),
    GET.replace(b"x=1", b"x=2"),
    GET.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    UPGRADE,
    GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"),
    GET.replace(b"1.1", b"1.0"),
    GET.replace(b"1.1", b"1.0").replace(b"Host", b"Connection: keep-alive\r\nHost"),
    GET.replace(b"GET", b"HEAD"),
    GET.replace(b"GET", b"OPTIONS"),
    GET.replace(b"GET", b"BREW"),
    GET.replace(b"Host: a\r\n", b""),
    GET.replace(b"\r\n", b"\n"),
    GET.replace(b"Cookie:", b"Cookie :"),
    GET.replace(b"/a?sid=1", b"/" + b"a" * 130),
    b"\r\n" + GET,
    b"\r\n\r\n\r\n\r\n",
    b"\r\n" * 5 + GET,
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    b"junk",
    b"",
]

_OWN = Headers([("Content-Type", "text/html"), ("Content-Length", "2")])
ANSWERS: list[tuple[Response, bytes]] = [
    *[(answer(200, b"ok"), b"ok")] * 3,
    (answer(404), b""),
    (answer(204), b""),
    (answer(304), b""),
    (answer(200, bytes(3000)), bytes(3000)),
    (Response(200, _OWN, "OK"), b"ok"),
    (Response(404, _OWN, "Not Found"), b"no"),
    (Response(200, _OWN, "Fine"), b"ok"),
    (Response(200, _OWN), b"ok"),
    (Response(200, _OWN, "OK", "1.0"), b"ok"),
    (Response(200, _OWN, "OK"), b"longer than that"),
    (Response(205, fields_with_length((), 0), "Reset Content"), b""),
    (Response(205, fields_with_length((), 2), "Reset Content"), b"ok"),
    (Response(200, Headers([("Content-Length", "0x2")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "02")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "\xb2")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "\u0662")]), "OK"), b"ok"),
    (Response(201, _OWN, "OK"), b"ok"),
    (Response(304, _OWN, "Not Modified"), b"ok"),
    (Response(204, _OWN, "No Content"), b"ok"),
    (Response(200, Headers([("Content-Length", "2"), ("Content-Length", "2")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "2"), ("Connection", "close")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "2"), ("Upgrade", "h2c")]), "OK"), b"ok"),
    (Response(200, Headers([("Transfer-Encoding", "chunked")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "2"), ("X", "a\r\nb")]), "OK"), b"ok"),
    (Response(200, Headers([("Content-Length", "2"), ("x y", "z")]), "OK"), b"ok"),
    (Response(200, Headers([]), "OK"), b"ok"),
    (Response(200, _OWN, "a\nb"), b"ok"),
    (Response(600, _OWN, "Strange"), b"ok"),
    (Response(99, _OWN, "Strange"), b"ok"),
]


class Way:
    """A stack with a connection of this kind, driven step by step."""

    def __init__(self, kind: type[HTTPConnection]) -> None:
        self.stack = ServerStack(LIMITS, date=lambda: DATE)
        self.http = kind(Role.SERVER, LIMITS, date=lambda: DATE)
        self.stack._http = self.stack._layer = self.http
        self.take(self.stack.tick(0.0))

    def take(self, events: list[Any]) -> list[Any]:
        for event in events:
            if isinstance(event, Request):
                self.stack.request = event
        return joined(events)

    def respond(self, response: Response, body: bytes) -> str:
        """Answer a request; what an answer that may not be sent raises is a result."""
        if self.stack.request is None:
            return ""
        try:
            self.stack.respond(response, body)
        except LocalProtocolError as error:
            return str(error)
        return "answered"

    def state(self) -> tuple[Any, ...]:
        http, stack = self.http, self.stack
        return (
            *(http._ours, http._theirs, http._persists, http._since, http._received, http._due),
            *(http._expected, http._ended, http._reader is None, http.buffered, http.keep_alive),
            *(http._heads.blank, stack.deadline, stack.closing, stack.reading, stack.request),
        )


def compare(steps: list[tuple[str, Any]]) -> HTTPConnection:
    """Do the steps both ways; return the connection of the short one."""
    short, long = Way(HTTPConnection), Way(Forgetful)
    for number, (kind, value) in enumerate(steps):
        results = []
        for way in (short, long):
            if kind == "receive":
                found: Any = way.take(way.stack.receive(value))
            elif kind == "answer":
                found = way.respond(*value)
            elif kind == "eof":
                found = way.take(way.stack.receive_eof())
            else:
                found = way.take(way.stack.tick(value))
            while way.stack.deadline == 0.0 and way.stack.reading:
                found = [found, way.take(way.stack.tick(0.0))]
            sent = b"".join(way.stack.data_to_send()) if number % 2 else b""
            results.append((found, sent, way.state()))
        assert results[0] == results[1], (number, kind, value)
    assert b"".join(short.stack.data_to_send()) == b"".join(long.stack.data_to_send())
    return short.http


@st.composite
def conversations(draw: Any) -> list[tuple[str, Any]]:
    """Draw what is said and answered: few different requests, often again, whole and cut."""
    said = draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=3))
    said.append(draw(st.sampled_from([GET, POST + b"hello"])))
    steps: list[tuple[str, Any]] = []
    for wire in draw(st.lists(st.sampled_from(said), min_size=2, max_size=8)):
        cut = draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
        if cut == 1 and wire:
            at = draw(st.integers(0, len(wire)))
            steps += [("receive", wire[:at]), ("receive", wire[at:])]
        elif cut == 2 and wire:
            at = draw(st.integers(0, len(wire) - 1))
            other = bytes((draw(st.sampled_from(b"\r\n\x00 :aA0")),))
            steps.append(("receive", wire[:at] + other + wire[at + 1 :]))
        else:
            steps.append(("receive", wire))
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 0, 2]))):
            steps.append(("answer", draw(st.sampled_from(ANSWERS))))
        if draw(st.booleans()):
            steps.append(("tick", draw(st.floats(0, 20))))
    if draw(st.booleans()):
        steps.insert(draw(st.integers(0, len(steps))), ("eof", None))
    return steps


OK = ("answer", ANSWERS[0])


@given(conversations())
@example([("receive", GET), OK, ("receive", GET), ("receive", GET), OK, OK])
@example([("receive", GET), ("eof", None), OK, ("receive", GET)])
@example([("receive", POST + b"he"), OK, ("receive", b"llo"), ("receive", GET), OK])
@example(
    [("receive", GET), OK, ("receive", b"\r\n" * 4), ("receive", GET), OK, ("receive", b"\r\n")]
)
def test_both_ways_give_the_same_events_bytes_and_states(steps: list[tuple[str, Any]]) -> None:
    compare(steps)


@pytest.mark.parametrize("wire", REQUESTS, ids=lambda wire: repr(wire[:24]))
def test_each_request_is_read_the_same_when_it_comes_again_cut_anywhere(wire: bytes) -> None:
    for cut in range(len(wire) + 1):
        cut_steps = [("receive", wire[:cut]), ("receive", wire[cut:]), OK]
        compare([("receive", wire), OK, *cut_steps, ("receive", wire), OK])


@pytest.mark.parametrize("wire", REQUESTS, ids=lambda wire: repr(wire[:24]))
def test_each_request_is_read_the_same_between_known_ones_cut_anywhere(wire: bytes) -> None:
    known = [("receive", GET), OK, ("receive", POST + b"hello"), OK]
    for cut in range(len(wire) + 1):
        compare([*known, ("receive", wire[:cut]), ("receive", wire[cut:]), OK, *known])


@pytest.mark.parametrize("which", range(len(ANSWERS)))
def test_each_answer_is_the_same_when_it_is_given_again(which: int) -> None:
    for request in (GET, POST + b"hello", GET.replace(b"GET", b"HEAD"), UPGRADE):
        compare([("receive", request), ("answer", ANSWERS[which]), OK] * 3)


def test_a_poll_and_a_post_in_turns_are_both_known() -> None:
    http = compare([("receive", GET), OK, ("receive", POST + b"hello"), OK] * 3)
    before = http._heads.whole
    for wire, head in ((GET, GET), (POST + b"world", POST), (GET, GET)):
        http.receive(wire)
        assert answer_whole(http, answer(404), b"", DATE)
        assert http.known[0].head == head
    assert http._heads.whole is before, "a head was read again"


def test_what_comes_behind_the_end_of_input_is_not_read() -> None:
    http = HTTPConnection(Role.SERVER, LIMITS)
    http.tick(0.0)
    http.receive(GET)
    assert answer_whole(http, answer(404), b"", DATE)
    http.receive(GET)
    assert http.receive_eof() == []
    http.send(answer(404))
    http.send(EndOfMessage())
    assert http._theirs is IDLE
    assert http.receive(GET) == []


def test_a_known_head_is_not_read_again_and_the_answer_is_one_unit() -> None:
    http = HTTPConnection(Role.SERVER, LIMITS)
    http.tick(0.0)
    response = answer(200, b"ok")
    sent = []
    for _ in range(2):
        http.receive(GET)
        assert answer_whole(http, response, b"ok", DATE)
        sent.append(http.data_to_send())
    assert len(sent[1]) == 1
    assert sent[0] == sent[1]
    assert response.headers is answer(200, b"ok").headers


def test_a_new_second_has_a_new_date() -> None:
    http = HTTPConnection(Role.SERVER, LIMITS)
    http.tick(0.0)
    for date in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"):
        http.receive(GET)
        assert answer_whole(http, answer(404), b"", date)
        assert f"\r\nDate: {date}\r\n\r\n".encode() in b"".join(http.data_to_send())


def test_what_cannot_come_again_in_one_piece_is_not_remembered() -> None:
    long = GET.replace(b"x=1", b"x=" + b"1" * 2048)
    chunked = POST.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    for wire in (
        long,
        chunked,
        UPGRADE,
        GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    ):
        http = HTTPConnection(Role.SERVER)
        http.tick(0.0)
        assert http.receive(wire)
        assert http.known == ()


def test_nothing_is_answered_in_one_go_while_an_answer_has_begun() -> None:
    http = HTTPConnection(Role.SERVER, LIMITS)
    http.tick(0.0)
    http.receive(GET)
    http.send(answer(200, b"ok"))
    assert http._ours is BODY
    assert answer_whole(http, answer(200, b"ok"), b"ok", DATE) is None
    assert http._ours is not WAITING


def test_what_was_made_of_a_head_is_shared_by_the_requests_that_repeat_it_alone() -> None:
    http = HTTPConnection(Role.SERVER, LIMITS)
    http.tick(0.0)
    found = []
    other = GET.replace(b"sid=1", b"sid=2")
    for wire in (GET, other, GET, other, GET.replace(b"x=1", b"x=2"), GET[:9], GET[9:]):
        for event in http.receive(wire):
            if isinstance(event, Request):
                event.found.setdefault(str, event.target)
                found.append(event.found)
                assert answer_whole(http, answer(404), b"", DATE)
    assert found[0] is found[2]
    assert found[1] is found[3]
    assert len({id(each) for each in found}) == 4
    assert [each[str] for each in found[:2]] == ["/a?sid=1", "/a?sid=2"]
