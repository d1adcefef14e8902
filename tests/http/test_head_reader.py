"""Heads in pieces: what is kept, and what it costs."""

from __future__ import annotations

import tracemalloc

import pytest

from rawsio.http.connection import HTTPConnection
from rawsio.http.head_reader import HeadReader, Section
from rawsio.http.messages import Request
from rawsio.layer import Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits

from .feeding import client_that_asked
from .strategies import REQUESTS


def test_the_fast_path_and_line_by_line_give_the_same_heads() -> None:
    slow = Limits(start_line=DEFAULT.start_line)
    for wire in REQUESTS[:: len(REQUESTS) // 60]:
        fast, lines = HeadReader(Role.CLIENT, DEFAULT), HeadReader(Role.CLIENT, slow)
        lines._fast = 0
        one, two = bytearray(wire), bytearray(wire)
        head = fast.read(one)
        assert isinstance(head, Request)
        assert (head, one) == (lines.read(two), two)


@pytest.mark.rule("9110-5.4-fields", "9110-2.3-defensive")
def test_a_flood_of_fields_costs_no_more_than_the_limits() -> None:
    flood = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Name: some value\r\n" * 5_000
    tracemalloc.start()
    try:
        server = HTTPConnection(Role.SERVER)
        events = []
        for at in range(0, len(flood), 100):
            events += server.receive(flood[at : at + 100])
            assert server.buffered <= DEFAULT.head + 100
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [e.code for e in events] == [431]
    assert peak < 6 * DEFAULT.head


def test_every_byte_of_a_slow_head_is_searched_once() -> None:
    section = Section(Role.CLIENT, DEFAULT)
    buffer = bytearray(b"GET / HTTP/1.1\r\nX: ")
    assert section.read(buffer) is None
    searched = [section._line.searched]
    for _ in range(100):
        buffer += b"a"
        assert section.read(buffer) is None
        searched.append(section._line.searched)
    assert searched == list(range(19, 120))


def test_a_mistake_is_seen_at_the_end_of_its_line() -> None:
    for make, lines, rule in (
        (lambda: HTTPConnection(Role.SERVER), b"GET /\r\n", "9112-3-request-line"),
        (lambda: HTTPConnection(Role.SERVER), b"GET / HTTP/1.1\r\na\r\n", "9112-5-field-line"),
        (client_that_asked, b"HTTP/1.1 20 OK\r\n", "9112-4-status-line"),
    ):
        layer = make()
        assert layer.receive(lines[:-1]) == []
        assert [event.rule for event in layer.receive(lines[-1:])] == [rule]


CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.rule("9110-15.2-interim-most", "9110-2.3-defensive")
@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b"HTTP/1.1 200 " + b"x" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"a" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 20),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4),
        (CHUNKED_ANSWER, b"0" * 100),
        (CHUNKED_ANSWER, b"1;" + b"x" * 100),
        (CHUNKED_ANSWER + b"0\r\n", b"X: a\r\n" * 20),
    ],
    ids=["status line", "field", "fields", "interim", "chunk size", "extension", "trailers"],
)
def test_a_server_that_never_comes_to_the_point_is_left(start: bytes, more: bytes) -> None:
    client = client_that_asked()
    events = client.receive(start)
    for _ in range(10_000):
        events += client.receive(more)
        assert client.buffered <= DEFAULT.head + len(more)
        if client.closing is not Closing.OPEN:
            break
    assert type(events[-1]) is Failed
