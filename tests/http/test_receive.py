"""The loop that reads: what may stand in one read, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response, answer
from rawsio.layer import Closing, Failed, Role
from rawsio.limits import Limits

from .feeding import client_that_asked

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def test_a_read_gives_all_that_is_complete_and_then_the_mistake() -> None:
    server = HTTPConnection(Role.SERVER)
    chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nx\r\n"
    events = server.receive(chunked)
    assert [type(e) for e in events] == [Request, Body, Failed]
    assert events[1] == Body(b"hi")


def test_nothing_is_parsed_behind_a_request_in_work() -> None:
    server = HTTPConnection(Role.SERVER)
    assert [type(e) for e in server.receive(POST + b"junk")] == [Request, Body, EndOfMessage]
    assert server.buffered == 4


LINES = [
    *(b"GET / HTTP/1.1", b"GET /other?x HTTP/1.1", b"POST /a HTTP/1.1", b"POST / HTTP/1.0"),
    *(
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.1",
        b"GET x HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"BY / HTTP/1.1",
    ),
    *(b"CONNECT a:1 HTTP/1.1", b"\r\nGET / HTTP/1.1", b"GET / HTTP/1.1\r\nX: y", b""),
]
GOOD = [b"Host: A", b"X: y", b"Content-Length: 2", b"Connection: upgrade", b"Upgrade: websocket"]
BAD = [
    b"X : y",
    b"Host: a",
    b"Content-Length: x",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
]


@given(
    st.sets(st.sampled_from(GOOD[1:]), max_size=2).map(sorted),
    st.sampled_from(LINES),
    st.just([]) | st.lists(st.sampled_from(GOOD + BAD), max_size=2),
)
def test_a_head_is_read_alike_whatever_head_came_before(
    fields: list[bytes], line: bytes, more: list[bytes]
) -> None:
    """Fields that are those of the request before are not read again; nobody may notice."""
    first = b"\r\n".join([b"POST / HTTP/1.1", b"Host: a", *fields, b"", b""])
    second = b"\r\n".join([line, b"Host: a", *fields, *more, b"", b"2\r\nhi\r\n0\r\n\r\n"])
    fresh, later = HTTPConnection(Role.SERVER), HTTPConnection(Role.SERVER)
    later.receive(first + b"hi" if b"Content-Length: 2" in fields else first)
    _answer(later)
    assert later.closing is Closing.OPEN
    assert _told(later, second) == _told(fresh, second)


def _answer(server: HTTPConnection) -> None:
    server.send(answer(200))
    server.send(EndOfMessage())
    server.data_to_send()


def _told(server: HTTPConnection, wire: bytes) -> Any:
    events = server.receive(wire)
    return events, server.data_to_send(), server.closing, server.keep_alive, server.deadline


def test_empty_input_is_no_input() -> None:
    server = HTTPConnection(Role.SERVER)
    assert server.receive(b"") == []
    assert server.receive_eof() != []
    assert server.receive(GET) == []


@pytest.mark.rule("9110-7.8-early-switch")
def test_a_switch_in_the_middle_of_a_request_is_refused() -> None:
    client = HTTPConnection(Role.CLIENT)
    fields = [("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "x"), ("Content-Length", "2")]
    client.send(Request("POST", "/", Headers(fields)))
    events = client.receive(b"HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n")
    assert [(e.rule, e.code) for e in events] == [("9110-7.8-early-switch", 0)]


@pytest.mark.rule("9110-15.2-interim")
def test_interim_responses_come_before_the_final_one() -> None:
    client = client_that_asked()
    wire = b"HTTP/1.1 103 Early\r\n\r\n" * 3 + b"HTTP/1.1 204 No\r\n\r\n"
    assert [e.status for e in client.receive(wire) if isinstance(e, Response)] == [103] * 3 + [204]


@pytest.mark.rule("9110-15.2-interim-most", "9110-15.2-interim")
def test_so_many_interim_responses_are_taken_for_each_request() -> None:
    client = client_that_asked(Limits(interim=3))
    early, final = b"HTTP/1.1 103 Early\r\n\r\n", b"HTTP/1.1 204 No\r\n\r\n"
    for _ in range(2):
        events = client.receive(early * 3 + final)
        assert [e.status for e in events if isinstance(e, Response)] == [103, 103, 103, 204]
        client.send(Request("GET", "/", Headers([("Host", "a")])))
        client.send(EndOfMessage())
    *_, failed = client.receive(early * 4 + final)
    assert (failed.rule, failed.code) == ("9110-15.2-interim-most", 0)


@pytest.mark.rule("9110-15.5.14-body")
def test_a_head_whose_body_is_too_long_is_told_before_the_failure() -> None:
    server = HTTPConnection(Role.SERVER, Limits(body=10))
    events = server.receive(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
    assert [type(event) for event in events] == [Request, Failed]
    assert server.data_to_send()[0].startswith(b"HTTP/1.1 413 ")
