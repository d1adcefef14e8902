"""What a server's connection adds to the answers that go through it."""

from __future__ import annotations

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Response, answer
from rawsio.layer import Closing
from rawsio.stack import ServerStack

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
DATE = b"Date: today\r\n"
CLOSE = b"Connection: close\r\n"


def asked(wire: bytes) -> ServerStack:
    stack = ServerStack(date=lambda: "today")
    stack.tick(0.0)
    stack.request = stack.receive(wire)[0]
    return stack


def answered(wire: bytes, status: int = 200, body: bytes = b"hi") -> tuple[ServerStack, bytes]:
    stack = asked(wire)
    stack.respond(answer(status, body), body)
    return stack, b"".join(stack.data_to_send())


@pytest.mark.rule("9110-6.6.1-date", "9110-15.4.5-fields")
def test_every_answer_has_the_date_also_that_to_a_mistake() -> None:
    for status in (200, 204, 304, 404, 500):
        assert DATE in answered(GET, status, b"")[1]
    for wire in (b"\n", GET[:-2] + b"X\r\n", b"x / HTTP/1.1\r\n\r\n", b"G" * 9000):
        stack = ServerStack(date=lambda: "today")
        stack.receive(wire)
        assert DATE in b"".join(stack.data_to_send())


@pytest.mark.rule("9110-6.6.1-no-clock")
def test_without_a_clock_no_answer_is_dated() -> None:
    stack = ServerStack()
    stack.receive(b"\n")
    assert b"Date" not in b"".join(stack.data_to_send())


@pytest.mark.rule("9112-9.6-send-close", "9112-9.3-persist")
def test_the_last_answer_says_so() -> None:
    stack, wire = answered(GET[:-2] + CLOSE + b"\r\n")
    assert CLOSE in wire
    assert stack.closing is Closing.HALF
    stack, wire = answered(OLD)
    assert CLOSE in wire
    assert stack.closing is Closing.HALF
    stack, wire = answered(OLD[:-2] + b"Connection: keep-alive\r\n\r\n")
    assert b"Connection: keep-alive\r\n" in wire
    assert stack.closing is Closing.OPEN
    stack, wire = answered(GET)
    assert b"Connection" not in wire
    assert stack.closing is Closing.OPEN


@pytest.mark.rule("9110-10.1.1-early-final")
def test_an_answer_before_the_body_is_there_leaves_the_connection_open_to_it() -> None:
    stack, wire = answered(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", 403, b"")
    assert CLOSE not in wire
    assert stack.closing is Closing.OPEN
    first, *_ = stack.receive(b"hi" + GET)
    assert first.data == b"hi"


def test_an_answer_that_was_begun_and_ended_leaves_nothing_of_its_request() -> None:
    stack = asked(GET)
    waits = stack.held
    stack.begin(Response(200, Headers()))
    stack.send_content(b"content")
    stack.finish()
    assert b"".join(stack.data_to_send()).endswith(b"7\r\ncontent\r\n0\r\n\r\n")
    assert stack.request is None
    assert stack.held <= waits  # its head may come again
    stack.relax()
    assert stack.held == 0
