"""Heads as bytes and back, and: what we accept, written again, is accepted as the same events."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import HTTPError, LocalProtocolError
from rawsio.http.bodies import encode_body, encode_end
from rawsio.http.connection import HTTPConnection
from rawsio.http.framing import request_framing
from rawsio.http.headers import Headers
from rawsio.http.messages import (
    Body,
    EndOfMessage,
    Request,
    Response,
    accepted_coding,
    answer,
    decode_head,
    encode_head,
    refusal,
)
from rawsio.layer import Closed, Failed, Role

from .feeding import joined, reply
from .strategies import wire


def received(wire: bytes) -> list[Any]:
    """Return the events of all exchanges on a wire."""
    server = HTTPConnection(Role.SERVER)
    server.tick(0.0)
    events = new = server.receive(wire)
    while new:
        for event in new:
            reply(server, event)
        new = server.tick(0.0) if server.deadline == 0.0 else []
        events = events + new
    return joined([e for e in events if not isinstance(e, (Closed, Failed))])


def written(events: list[Any]) -> bytes:
    """Return the events as bytes, by the pure codec."""
    pieces: list[bytes] = []
    framing = 0
    for event in events:
        if isinstance(event, Request):
            framing = request_framing(event.headers.framing_fields(), event.version)
            pieces.append(encode_head(event))
        elif isinstance(event, Body):
            pieces += encode_body(framing, event.data)
        else:
            pieces += encode_end(framing, event.trailers)
    return b"".join(pieces)


@given(wire(Role.SERVER))
def test_what_is_accepted_and_written_again_is_accepted_as_the_same(units: list[bytes]) -> None:
    events = received(b"".join(units))
    assert received(written(events)) == events
    plain = [
        Request(e.method, e.target, Headers(list(e.headers)), e.version)
        if isinstance(e, Request)
        else e
        for e in events
    ]
    assert received(written(plain)) == events


_TEXT = st.text(st.characters(max_codepoint=255), max_size=8)


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=4), _TEXT, _TEXT)
@pytest.mark.rule("9110-17-injection", "9110-2.2-role", "9112-2.2-no-bare-cr")
def test_nothing_that_we_write_can_add_a_line(
    pairs: list[tuple[str, str]], text: str, reason: str
) -> None:
    for message in (
        Response(200, Headers(pairs), reason),
        Request("GET", text, Headers(pairs)),
        Request(text, "/", Headers(pairs)),
    ):
        try:
            head = encode_head(message)
        except LocalProtocolError:
            continue
        assert head.count(b"\n") == head.count(b"\r") == len(pairs) + 2
        assert not set(head) & (set(range(32)) - set(b"\r\n\t"))
        if isinstance(message, Response):
            assert decode_head(Role.SERVER, head[:-2]) == message


@pytest.mark.rule("9112-4-status-line")
@pytest.mark.rule("9112-5.1-no-space", "9112-2.2-no-crlf", "9112-2.2-no-space-sent")
@pytest.mark.rule("9110-2.5-own", "9110-5.6.3-ows", "9112-2.3-downgrade")
def test_heads_are_written_exactly() -> None:
    headers = Headers([("Host", "a"), ("x", "")])
    assert encode_head(Request("GET", "/", headers)) == b"GET / HTTP/1.1\r\nHost: a\r\nx: \r\n\r\n"
    assert encode_head(Response(204, headers)) == b"HTTP/1.1 204 \r\nHost: a\r\nx: \r\n\r\n"
    assert encode_head(Response(404, headers, "No \xe9", "1.0")) == (
        b"HTTP/1.0 404 No \xe9\r\nHost: a\r\nx: \r\n\r\n"
    )


def test_a_request_that_names_no_host_is_for_none() -> None:
    for target in ("/", "*", "/a?b"):
        assert Request("OPTIONS", target, Headers(), "1.0").host == ""


def test_a_whole_head_is_decoded() -> None:
    head = decode_head(Role.SERVER, b"HTTP/1.0 200 \t OK \r\nX: a\r\n")
    assert head == Response(200, Headers([("X", "a")]), "OK", "1.0")
    with pytest.raises(HTTPError):
        decode_head(Role.CLIENT, b"GET\r\n")


@pytest.mark.rule("9110-8.6-no-length", "9110-8.6-known", "9110-8.3-type")
def test_answers_have_a_length_if_they_may() -> None:
    assert list(answer(200, b"abc").headers) == [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "3"),
    ]
    assert list(answer(304, headers=[("ETag", '"x"')]).headers) == [("ETag", '"x"')]
    assert [len(answer(status).headers) for status in (101, 204, 404)] == [0, 0, 1]
    assert answer(299).reason == ""
    assert refusal(431).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


@pytest.mark.parametrize(
    ("field", "coding"),
    [
        (None, None),
        ("gzip", "gzip"),
        ("deflate, GZIP;q=0.5", "gzip"),
        ("Deflate", "deflate"),
        ("deflate;q=0", None),
        ("gzip;q=0", None),
        ("gzip; q=0.000", None),
        ("br, identity", None),
        ("xgzip", None),
        ("*", "gzip"),
        ("identity, *;q=0.1", "gzip"),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0, deflate;q=0, *", None),
        ("gzip, *;q=0", "gzip"),
    ],
)
def test_a_coding_is_accepted_by_name_and_quality(field: str | None, coding: str | None) -> None:
    fields = [] if field is None else [("Accept-Encoding", field)]
    assert accepted_coding(Request("GET", "/", Headers(fields))) == coding


def test_events_are_equal_by_value() -> None:
    assert EndOfMessage() == EndOfMessage(Headers())
    assert Body(b"a") != Body(b"b")
    assert Request("GET", "/", Headers()) != Response(200, Headers())


def test_without_zlib_no_coding_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Request("GET", "/", Headers([("Accept-Encoding", "gzip")]))
    assert accepted_coding(asked) == "gzip"
    monkeypatch.setitem(sys.modules, "zlib", None)
    assert accepted_coding(asked) is None
