"""Content in pieces: how many at a time, and how it is framed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.server.streaming import Streaming

GET = Request("GET", "/", Headers([("Host", "a")]))


def fetched(*pieces: Any, clock: Any = lambda: 0.0) -> list[bytes]:
    streaming = Streaming(iter(pieces))
    streaming.fetch(clock)
    return streaming.take()


def test_a_fetch_ends_with_enough_bytes_pieces_or_time() -> None:
    assert len(fetched(*[b"x" * 40_000] * 9)) == 2
    assert len(fetched(*[b"x"] * 900)) == 64
    ticks = itertools.count(0, 0.004)
    assert len(fetched(*[b"x"] * 9, clock=lambda: next(ticks))) == 3


def test_an_empty_piece_says_that_there_is_nothing_now() -> None:
    streaming = Streaming(iter([b"a", b"", b"b"]))
    streaming.fetch(lambda: 0.0)
    assert (streaming.take(), streaming.idle, streaming.ended) == ([b"a"], True, False)
    streaming.fetch(lambda: 0.0)
    assert (streaming.take(), streaming.idle, streaming.ended) == ([b"b"], False, True)


def test_pieces_are_bytes() -> None:
    assert fetched(bytearray(b"a"), memoryview(b"b")) == [b"a", b"b"]
    with pytest.raises(TypeError, match="the pieces of an answer are bytes, not str"):
        fetched("text")


@pytest.mark.parametrize("status", [200, 204, 304])
def test_a_length_is_told_when_it_is_known(status: int) -> None:
    streaming = Streaming(iter(()), Response(status, Headers()))
    bodiless = status != 200
    assert streaming.begun().headers.get("content-length") is None
    streaming.length = 7
    assert streaming.begun().headers.get("content-length") == (None if bodiless else "7")
    head, body = streaming.whole(GET, [b"a", b"b"])
    assert (head.headers.get("content-length"), body) == (None if bodiless else "2", b"ab")


@pytest.mark.rule("9110-8.6-head")
def test_the_answer_to_head_has_the_length_that_the_application_tells() -> None:
    streaming = Streaming(iter(()), Response(200, Headers()))
    asked = Request("HEAD", "/", GET.headers)
    assert streaming.whole(asked, [])[0].headers.get("content-length") is None
    streaming.length = 7
    assert streaming.whole(asked, [])[0].headers.get("content-length") == "7"


def test_closing_tells_the_iterator() -> None:
    closed: list[bool] = []

    def pieces() -> Any:
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    streaming = Streaming(pieces())
    streaming.fetch(iter([0.0, 1.0]).__next__)
    streaming.close()
    assert closed == [True]
    Streaming(iter(())).close()
