"""A handshake that is known is answered as one that is read: same bytes, log, sessions, requests.

A server that is traced reads every head, so it is the judge: each example gives the same
connections to two servers, one of them traced, and compares everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.limits import Limits
from rawsio.stack import Recognised
from rawsio.testing import TestKit
from tests.bench.counts import NobodyLooks

from .test_core import frame

DATE = re.compile(rb"Date: [^\r]*")
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEAD = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nOrigin: http://a\r\n\r\n"
)
OTHER = HEAD.replace(KEY, b"AAAAAAAAAAAAAAAAAAAAAA==")


class Way:
    """A server, and what comes of the connections that it is given."""

    def __init__(self, *, traced: bool, limits: Limits, **options: Any) -> None:
        self.seen: list[Any] = []
        self.io = Server(limits=limits, trace=NobodyLooks() if traced else None, **options)
        self.io.host.log = lambda *line: self.seen.append(["log", *map(str, line[:3])])

        @self.io.on("connection")
        def connected(socket: Any) -> None:
            request = socket.request
            self.seen.append([request, socket.handshake.headers, socket.handshake.address])

        self.kit = TestKit(self.io, seed=1)

    def give(self, *pieces: bytes) -> Any:
        """Let these bytes come over a new connection; return it."""
        wire = self.kit.dial()
        for piece in pieces:
            self.say(wire, piece)
        return wire

    def say(self, wire: Any, data: bytes) -> None:
        try:
            wire.send(data)
            self.kit.run()
            self.seen.append(DATE.sub(b"", wire.recv(99999)))
        except (BlockingIOError, BrokenPipeError, ConnectionResetError) as error:
            self.seen.append(type(error).__name__)

    def outcome(self) -> Any:
        counts: dict[str, Any] = {**self.io.stats()}
        del counts["memory"]  # of a head that is known less is kept
        return self.seen, counts, sorted(self.io.core.registry.sessions)


def both(act: Callable[[Way], object], limits: Limits | None = None, **options: Any) -> Way:
    """Let both do the same, and compare; return the one that is not traced."""
    ways = [
        Way(traced=traced, limits=Limits() if limits is None else limits, **options)
        for traced in (True, False)
    ]
    read, known = ways
    try:
        for way in ways:
            act(way)
        assert read.outcome() == known.outcome()
        assert read.io.core.router.known is None
        return known
    finally:
        for way in ways:
            way.kit.close()


def taught(*pieces: bytes, **options: Any) -> Way:
    def act(way: Way) -> None:
        way.give(HEAD, frame("40"))
        way.give(*pieces, frame("40"))

    return both(act, **options)


@pytest.fixture
def recognised(monkeypatch: pytest.MonkeyPatch) -> list[Recognised]:
    """Return a list that fills with what servers recognise."""
    from rawsio.server.handshakes import Handshakes

    found: list[Recognised] = []
    find = Handshakes.find

    def finding(self: Handshakes, data: bytes, *, secure: bool) -> Recognised | None:
        result = find(self, data, secure=secure)
        if result is not None:
            found.append(result)
        return result

    monkeypatch.setattr(Handshakes, "find", finding)
    return found


def test_a_head_with_another_key_is_recognised(recognised: list[Recognised]) -> None:
    known = taught(OTHER)
    assert [found.key for found in recognised] == [b"AAAAAAAAAAAAAAAAAAAAAA=="]
    assert b"".join(piece for piece in known.seen if isinstance(piece, bytes)).count(b"101") == 2


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(KEY, b"dGhlIHNhbXBsZSBub25jZQ="),
        HEAD.replace(KEY, b"dGhlIHNhbXBsZSBub25jZQ===="),
        HEAD.replace(KEY, b"dGhlIHNhbXBsZSBub25j\r\n=="),
        HEAD.replace(KEY, b" " + KEY[1:]),
        HEAD.replace(KEY, KEY[:22] + b"AA"),
        HEAD.replace(b"Sec-WebSocket-Key", b"sec-websocket-key"),
        HEAD.replace(b"Host: a", b"Host: b"),
        HEAD.replace(b"http://a", b"http://b"),
        HEAD.replace(b"EIO=4", b"EIO=3"),
        HEAD.replace(b"websocket HTTP", b"websocket&sid=x HTTP"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"),
        HEAD.replace(b"Version: 13", b"Version: 8"),
        HEAD + frame("40"),
        HEAD[:-2],
        b"\r\n" + HEAD,
        HEAD[:100],
    ],
)
def test_a_head_that_differs_is_read(head: bytes, recognised: list[Recognised]) -> None:
    taught(head)
    assert recognised == []


@given(
    st.integers(0, len(HEAD) - 1),
    st.sampled_from([b"", b" ", b"\r\n", b"=", b"A", b"\x00", b"\xff", b":"]),
    st.integers(0, 1),
    st.integers(1, len(HEAD)),
)
@example(HEAD.index(KEY), b"A", 1, len(HEAD))
@example(HEAD.index(KEY), b" ", 1, len(HEAD))
@example(HEAD.index(KEY), b"\xff", 1, len(HEAD))
def test_heads_that_hardly_differ_are_the_same_both_ways(
    at: int, byte: bytes, cut: int, split: int
) -> None:
    head = HEAD[:at] + byte + HEAD[at + cut :]
    taught(head[:split], head[split:]) if split < len(head) else taught(head)


@pytest.mark.parametrize(
    "options",
    [
        {"cookie": True},
        {"allow_request": lambda _request: True},
        {"generate_id": lambda request: "id" + request.headers.get("sec-websocket-key")[:20]},
        {"cors": lambda origin: origin == "http://a"},
        {"per_message_deflate": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_where_more_than_the_bytes_counts_nothing_is_remembered(options: Any) -> None:
    deflate = b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    head = HEAD.replace(b"\r\n\r\n", deflate) if "per_message_deflate" in options else HEAD
    known = both(
        lambda way: [way.give(head), way.give(head.replace(KEY, OTHER[115:139]))], **options
    )
    assert not known.io.core.router.known


@pytest.mark.parametrize("field", [b"Cookie: id=1", b"Authorization: Basic eDp5"])
def test_secrets_of_clients_are_not_remembered(field: bytes) -> None:
    head = HEAD.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n")
    known = both(lambda way: [way.give(head), way.give(head)])
    assert not known.io.core.router.known


def test_an_origin_that_cors_names_gets_its_fields(recognised: list[Recognised]) -> None:
    head = HEAD.replace(b"http://a", b"https://b.example")
    both(lambda way: [way.give(head), way.give(head)], cors="https://b.example")
    assert len(recognised) == 1


def test_who_finds_no_place_is_refused_as_ever(recognised: list[Recognised]) -> None:
    limits = Limits(sessions=1)

    def act(way: Way) -> None:
        way.give(HEAD, frame("40"))
        way.give(OTHER, frame("40"))

    both(act, limits)
    assert len(recognised) == 1


def test_who_is_too_fast_is_refused_as_ever(recognised: list[Recognised]) -> None:
    both(lambda way: [way.give(HEAD) for _ in range(14)], Limits(handshakes_per_second=1))
    assert len(recognised) == 13


def test_a_guest_makes_room_for_a_client_that_is_recognised(recognised: list[Recognised]) -> None:
    both(lambda way: [way.give(HEAD), way.give(OTHER)], Limits(sessions=1))
    assert len(recognised) == 1


def test_old_heads_make_room_for_new_ones() -> None:
    heads = [HEAD.replace(b"Host: a", b"Host: a\r\nX: %d" % number) for number in range(70)]
    known = both(lambda way: [way.give(head) for head in heads])
    handshakes = known.io.core.router.known
    assert handshakes is not None
    assert len(handshakes) == 64
    assert handshakes.find(heads[0], secure=False) is None
    assert handshakes.find(heads[-1], secure=False) is not None
    assert handshakes.find(heads[-1], secure=True) is None


def test_long_heads_are_not_kept() -> None:
    head = HEAD.replace(b"Host: a", b"Host: a\r\nX: " + b"x" * 1024)
    known = both(lambda way: [way.give(head), way.give(head)])
    assert not known.io.core.router.known


@pytest.mark.parametrize("seconds", [1.0, 74.0, 76.0, 200.0])
def test_a_connection_on_which_nothing_comes_ends_as_ever(seconds: float) -> None:
    def act(way: Way) -> None:
        way.give(HEAD)
        wire = way.give()
        way.kit.advance(seconds)
        way.say(wire, OTHER)

    both(act)


@pytest.mark.parametrize(("interval", "timeout"), [(0.5, 0.2), (25.0, 20.0), (70.0, 1.0)])
@pytest.mark.parametrize("waits", [0.0, 3.0])
def test_a_client_that_is_recognised_is_pinged_and_given_up_in_time(
    interval: float, timeout: float, waits: float, recognised: list[Recognised]
) -> None:
    def act(way: Way) -> None:
        way.give(HEAD)
        wire = way.kit.dial()
        way.kit.run()
        way.kit.advance(waits)
        way.say(wire, OTHER)
        way.say(wire, frame("40"))
        for step in (interval - 0.01, 0.02, timeout - 0.02, 0.02, 1.0):
            way.kit.advance(step)
            way.seen.append(wire.recv(99999) if wire.readable else b"")

    both(act, ping_interval=interval, ping_timeout=timeout)
    assert len(recognised) == 1


@pytest.mark.parametrize("packet", ["hello", b"\x00hello", "Gr\u00fc\u00dfe", ""])
def test_a_client_that_is_recognised_gets_the_initial_packet(
    packet: str | bytes, recognised: list[Recognised]
) -> None:
    known = both(lambda way: [way.give(HEAD), way.give(OTHER)], initial_packet=packet)
    assert len(recognised) == 1
    sent = packet.encode() if isinstance(packet, str) else packet
    assert sent in b"".join(piece for piece in known.seen if isinstance(piece, bytes))
