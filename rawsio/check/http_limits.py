"""``http.limit`` and ``http.slow``: how much a server takes, and how long it waits.

A limit is found by doubling until a refusal, up to a cap.  What a judge asks is that there *is*
one, that it is announced with its status, and that the server is well afterwards.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, noted, rows
from .http_judges import HTTP_JUDGES, control
from .http_wire import GOOD, ended_by, fields, hear, line, post

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Send
    from .talk import Line, Talk

__all__ = ["CASES"]

_MOST_CONNECTIONS = 1000


def _limit(make: Callable[[int], bytes], start: int, cap: int, *right: int) -> Send:
    """Return a case that doubles a size until it is refused with one of the ``right`` statuses."""

    def case(talk: Talk) -> Finding:
        size = start
        while size <= cap:
            wire = talk.dial()
            wire.send(talk.target.fill(make(size)))
            heard = hear(talk, wire, 1, seconds=5.0)
            got = f"{size}: {ended_by(wire, heard)}"
            if not heard.complete and not wire.ended:
                return failed(got, "it hangs")
            status = heard.statuses[0] if heard.answers else 0
            wire.close()
            if status >= 500 and status != 501:
                return failed(got)
            if status == 0 or (status >= 400 and status not in (404, 405)):
                return fine(got) if status in right else lax(got, f"{right[0]} is its status")
            size *= 2
        return lax(f"no limit up to {size // 2}")

    return case


def _long_line(talk: Talk) -> Finding:
    wire = talk.dial()
    path = f"{talk.target.path}?"
    wire.send(talk.target.fill(line(f"GET {path}{'a' * (8000 - len(path) - 13)} HTTP/1.1")))
    heard = hear(talk, wire)
    got = ended_by(wire, heard)
    if not (heard.complete or wire.ended) or any(status >= 500 for status in heard.statuses):
        return failed(got)
    refused = not heard.answers or heard.statuses[0] in (400, 414, 431)
    return lax(got, "lines of 8000 bytes should be taken") if refused else fine(got)


def _head(size: int) -> bytes:
    return fields(*(f"X-{n}: {'v' * 1000}" for n in range(size // 1000)))


def _chunk_line(size: int) -> bytes:
    return post("Transfer-Encoding: chunked", body=b"5;" + b"a" * size + b"\r\nhello\r\n0\r\n\r\n")


def _trailer(size: int) -> bytes:
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 1000) for n in range(size // 1000))
    return post("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n" + lines + b"\r\n")


def _extensions(talk: Talk) -> Finding:
    wire = talk.dial()
    body = (b"1;" + b"a" * 100 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n"
    wire.send(talk.target.fill(post("Transfer-Encoding: chunked", body=body)))
    heard = hear(talk, wire, 1, ["POST"], 5.0)
    got = ended_by(wire, heard)
    if not heard.complete and not wire.ended:
        return failed(got, "it hangs")
    return noted(f"100 KB of extensions for 1000 bytes: {got}")


def _pipeline(talk: Talk) -> Finding:
    wire = talk.dial()
    wire.send(talk.target.fill(GOOD) * 2000)
    heard = hear(talk, wire, 2000, seconds=5.0)
    if heard.complete < 2000 and not wire.ended:
        return failed(f"{heard.complete} of 2000 answers, then silence")
    return noted(f"{heard.complete} of 2000 requests answered")


def _tiny_chunks(talk: Talk) -> Finding:
    wire = talk.dial()
    body = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    began = talk.time()
    wire.send(talk.target.fill(post("Transfer-Encoding: chunked", body=body)))
    heard = hear(talk, wire, 1, ["POST"], 10.0)
    took = talk.time() - began
    if not heard.complete and not wire.ended:
        return failed(ended_by(wire, heard), "it hangs")
    return noted(f"{took:.2f} s for 100,000 chunks of one byte: {ended_by(wire, heard)}")


def _connections(talk: Talk) -> Finding:
    held: list[Line] = []
    try:
        for _ in range(_MOST_CONNECTIONS):
            wire = talk.dial()
            held.append(wire)
    except OSError as error:
        return noted(f"{len(held)} connections, then {error}")
    held[-1].send(talk.target.fill(GOOD))
    heard = hear(talk, held[-1], seconds=5.0)
    if heard.statuses == [control(talk)]:
        return noted(f"{len(held)} connections; the last one is served")
    if not held[-1].ended and not heard.complete:
        return failed(f"{len(held)} connections", "the last one is neither served nor ended")
    return noted(f"{len(held)} connections; the last one: {ended_by(held[-1], heard)}")


_LIMITS: list[tuple[str, str, Send]] = [
    ("line-8000", "a request line of 8000 bytes is accepted", _long_line),
    (
        "line-max",
        "the longest request line; beyond: 414",
        _limit(lambda n: line(f"GET $P?{'a' * n} HTTP/1.1"), 8192, 1 << 20, 414, 431),
    ),
    (
        "field-max",
        "the longest field; beyond: 431",
        _limit(lambda n: fields(f"X: {'v' * n}"), 4096, 1 << 20, 431),
    ),
    (
        "fields-max",
        "the most fields; beyond: 431",
        _limit(lambda n: fields(*(f"X{i}: v" for i in range(n))), 50, 12_800, 431),
    ),
    ("head-max", "the longest head; beyond: 431", _limit(_head, 8000, 1 << 20, 431)),
    ("chunk-line-max", "the longest chunk line", _limit(_chunk_line, 64, 1 << 20, 400, 413, 431)),
    ("ext-total", "extensions of 1000 chunks together", _extensions),
    ("trailer-max", "the longest trailer section", _limit(_trailer, 4000, 1 << 20, 431, 400, 413)),
    (
        "body-max",
        "the largest body; beyond: 413",
        _limit(lambda n: post(f"Content-Length: {n}", body=b"x" * n), 1 << 18, 1 << 26, 413),
    ),
    ("pipeline-max", "2000 requests in one segment", _pipeline),
    ("tiny-chunks", "100,000 chunks of one byte", _tiny_chunks),
    ("connections", "1000 connections from one address", _connections),
]


def _drip(head: bytes, piece: Callable[[int], bytes]) -> Send:
    """Return a case that sends one piece a second, and sees when the server has enough."""

    def case(talk: Talk) -> Finding:
        wire = talk.dial()
        wire.send(talk.target.fill(head))
        began = talk.time()
        for number in range(120):
            wire.receive(1.0)
            if wire.ended:
                heard = hear(talk, wire)
                return fine(f"{ended_by(wire, heard)} after {talk.time() - began:.0f} s")
            other = talk.dial()
            other.send(talk.target.fill(GOOD))
            if number % 10 == 0 and hear(talk, other).statuses != [control(talk)]:
                return failed("other connections suffer")
            other.close()
            wire.send(talk.target.fill(piece(number)))
        return noted(f"not ended after {talk.time() - began:.0f} s")

    return case


def _unread(talk: Talk) -> Finding:
    wire = talk.dial()
    wire.send(talk.target.fill(GOOD))
    began = talk.time()
    for _ in range(60):
        other = talk.dial()
        other.send(talk.target.fill(GOOD))
        if hear(talk, other).statuses != [control(talk)]:
            return failed("other connections suffer")
        other.close()
        talk.world.pause(1.0)
    return noted(f"other connections are served for {talk.time() - began:.0f} s")


_HEAD = b"GET $P HTTP/1.1\r\nHost: $H\r\nX: "
_SLOW: list[tuple[str, str, Send]] = [
    ("head", "one byte of a head a second", _drip(_HEAD, lambda _n: b"v")),
    ("silent", "connect, and say nothing", _drip(b"", lambda _n: b"")),
    (
        "body",
        "one byte of a body a second",
        _drip(post("Content-Length: 1000", body=b""), lambda _n: b"x"),
    ),
    (
        "chunk",
        "one byte of a chunk a second",
        _drip(post("Transfer-Encoding: chunked", body=b"400\r\n"), lambda _n: b"x"),
    ),
    ("read", "never read the answer", _unread),
]

CASES: list[Case] = [
    *rows("http.limit", "9112-3-start-line", "LIM", HTTP_JUDGES, _LIMITS, "limit", "serial"),
    *rows("http.slow", "9112-9.5-408", "TIME", HTTP_JUDGES, _SLOW, "slow"),
]
