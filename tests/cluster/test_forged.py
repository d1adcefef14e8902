"""Cut, changed, foreign and odd messages on every channel: dropped, with a line in the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import pytest

from rawsio import Server
from rawsio.cluster import RedisAdapter, ShardedAdapter, StreamsAdapter
from rawsio.socketio.msgpack import pack
from rawsio.testing import TestKit

from .kit import Cluster

ADAPTERS = [RedisAdapter, ShardedAdapter, StreamsAdapter]
ODD_NAMES = [
    "__proto__",
    "constructor",
    "toString",
    "__class__",
    "__dict__",
    "*",
    "[a-z]",
    "?",
    "#",
]


@pytest.fixture(params=ADAPTERS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


Said = tuple[bytes, list[bytes]]
"""A channel and a payload, or a stream and the fields of an entry."""


@cache
def exercise(kind: Any) -> list[Said]:
    """Return all that two servers say to each other while everything is done once."""
    with Cluster(make=kind) as cluster:
        first, second = cluster.nodes
        a, b = first.connect(), second.connect()
        for client in (a, b):
            client.on("q", lambda: ["an answer", b"\x00"])
        for node in cluster.nodes:
            node.io.of("/").on_server("who", lambda: "me")
        first.io.emit("all", {"a": [1, 2.5, None, "é"]})
        first.io.in_("red", "blue").except_("green").emit("some", b"\x01\x02")
        first.io.in_(b.id).volatile.emit("one", "x" * 300)
        first.io.in_(b.id).sockets_join("red", "blue")
        cluster.kit.run()
        first.io.to("red").emit("red", 1)
        first.io.fetch_sockets()
        first.io.timeout(1.0).emit_with_ack("q")
        first.io.server_side_emit("who")
        first.io.in_(b.id).sockets_leave("blue")
        cluster.kit.run()
        first.io.in_(b.id).disconnect_sockets()
        cluster.kit.run()
        words = {b"PUBLISH", b"SPUBLISH", b"XADD"}
        ran = [args for args in cluster.redis.ran if args[0] in words]
        said = [
            (args[1], args[args.index(b"*") + 1 :] if b"*" in args else args[2:]) for args in ran
        ]
    assert len(said) > 10
    return said


class Target:
    """Two servers with clients in rooms; what is forged is put onto their channels."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.nodes = cluster.nodes
        self.heard: list[list[Any]] = []
        for node in self.nodes:
            client = node.connect()
            client.on_any(lambda *args: self.heard.append(list(args)))
        for node in self.nodes:
            for socket in list(node.io.sockets.values()):
                socket.join("red", "blue")
        cluster.kit.run()
        self.before = self.state()

    def state(self) -> list[Any]:
        return [
            sorted((socket.id, sorted(socket.rooms)) for socket in node.io.sockets.values())
            for node in self.nodes
        ]

    def forge(self, channel: bytes, payload: list[bytes]) -> None:
        """Put it onto a channel, or as an entry into a stream."""
        if len(payload) > 1:
            self.cluster.append(channel, payload)
            return
        for client in list(self.cluster.redis.clients):
            named = client.layer.subscriptions
            if channel in named["subscribe"]:
                client.push("message", [channel, *payload])
            if channel in named["ssubscribe"]:
                client.push("smessage", [channel, *payload])
            for pattern in named["psubscribe"]:
                if channel.startswith(pattern[:-1].replace(b"\\", b"")):
                    client.push("pmessage", [pattern, channel, *payload])

    def channels(self) -> list[bytes]:
        found: set[bytes] = {b"socket.io"}
        for client in self.cluster.redis.clients:
            for names in client.layer.subscriptions.values():
                found |= names
        return sorted(found)

    def here(self, channel: bytes) -> bytes:
        """Return a channel of this cluster for one of another, whose servers have other names."""
        uids = [node.uid.encode() for node in self.nodes]
        return channel if channel in self.channels() else channel[:12] + uids[0] + b"#"

    def settle(self) -> None:
        self.cluster.kit.run()

    def untouched(self) -> bool:
        self.settle()
        return self.heard == [] and self.state() == self.before

    def works(self) -> bool:
        """Tell whether new clients of both servers hear each other."""
        heard: list[Any] = []
        for node in self.nodes:
            node.connect().on("works", lambda name=node.uid: heard.append(name))
        self.settle()
        self.nodes[0].io.emit("works")
        found = self.nodes[1].io.fetch_sockets()
        self.settle()
        return len(heard) == 2 and found.result().missing == []


@pytest.fixture
def target(kind: Any) -> Iterator[Target]:
    with Cluster(make=kind) as cluster:
        yield Target(cluster)


@pytest.fixture(autouse=True)
def no_failures(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of this is an error of ours."""
    yield
    assert [
        r.getMessage() for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR
    ] == []


def cuts(payload: bytes) -> list[bytes]:
    """Return a message cut behind many of its bytes, and with something behind it."""
    step = max(1, len(payload) // 12)
    return [payload[:length] for length in range(0, len(payload), step)] + [payload + b"\x00"]


def test_a_message_that_was_cut_anywhere_does_nothing(kind: Any, target: Target) -> None:
    for channel, payload in exercise(kind):
        if len(payload) == 1:
            for piece in cuts(payload[0]):
                target.forge(target.here(channel), [piece])
            continue
        *fields, data = payload
        for piece in cuts(data):
            target.forge(channel, [*fields, piece])
        for length in range(2, len(payload), 2):
            target.forge(channel, payload[:length])
    assert target.untouched()
    assert target.works()


@pytest.mark.parametrize("seed", range(2))
def test_a_message_that_was_changed_anywhere_stops_nothing(
    kind: Any, target: Target, seed: int
) -> None:
    random = Random(seed)
    said = exercise(kind)
    channels = target.channels()
    for _ in range(150):
        channel, payload = random.choice(said)
        pieces = [bytearray(piece) for piece in payload]
        for _ in range(random.choice((1, 1, 2, 8))):
            piece = random.choice(pieces)
            if piece:
                piece[random.randrange(len(piece))] = random.randrange(256)
        where = target.here(channel) if random.random() < 0.7 else random.choice(channels)
        target.forge(where, [bytes(piece) for piece in pieces])
    target.settle()
    assert target.works()


def test_what_the_servers_of_other_formats_say_does_nothing(kind: Any, target: Target) -> None:
    foreign = [
        payload[0]
        for other in ADAPTERS
        # The packed messages of sharded channels and of streams are the same by design.
        if other is not kind and {other, kind} != {ShardedAdapter, StreamsAdapter}
        for _channel, payload in exercise(other)
        if len(payload) == 1
    ]
    foreign += [
        b'{"method": "emit", "event": "x", "data": [], "binary": false, "namespace": "/", '
        b'"room": null, "skip_sid": null, "callback": null, "host_id": "h"}',
        b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00\x8c\x08an event\x94.",  # pickle
        b"HTTP/1.1 200 OK\r\n\r\n",
    ]
    for channel in target.channels():
        if b"-rawsio" not in channel:
            for payload in foreign:
                target.forge(channel.rstrip(b"*"), [payload])
    assert target.untouched()
    assert target.works()


def test_names_that_mean_something_elsewhere_are_names_like_others(
    kind: Any, target: Target
) -> None:
    first, second = target.nodes
    for name in ODD_NAMES:
        first.io.in_("red").sockets_join(name)
        target.settle()
        second.io.to(name).emit(name, {name: name})
        target.settle()
        assert target.heard == [[name, {name: name}]] * 2
        target.heard.clear()
        assert len(first.io.in_(name).fetch_sockets().result()) == 2
        first.io.sockets_leave(name)
        target.settle()
    assert target.untouched()


def test_answers_to_questions_with_odd_names_or_of_others_are_overlooked(
    kind: Any, target: Target
) -> None:
    for name in ODD_NAMES:
        for number in (8, 10, 11, 12):
            data = {"requestId": name, "sockets": [], "packet": 1, "clientCount": 5}
            message = {"uid": name, "nsp": "/", "type": number, "data": data}
            for channel in target.channels():
                if b"-rawsio" not in channel:
                    target.forge(channel.rstrip(b"*"), [pack(message)])
        target.forge(b"socket.io-response#/#", [b'{"requestId":"%b"}' % name.encode()])
    assert target.untouched()
    assert target.works()


def test_a_message_that_is_none_is_one_line_in_the_log(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Cluster(1, make=kind) as cluster:
        target = Target(cluster)
        caplog.clear()
        target.forge(b"socket.io#/#", [b"junk"])
        assert target.untouched()
        (record,) = caplog.records
        assert "a message on 'socket.io#/#' was dropped" in record.getMessage()


def test_no_password_is_shown_by_an_adapter(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    adapter = kind("rediss://ann:s%65same%40@db.example/1", connect=_refuses)
    with pytest.raises(ValueError, match="no number") as caught:
        kind("redis://ann:sesame@db:port")
    shown = [repr(adapter), str(adapter.stats()), repr(vars(adapter)), str(caught.value)]
    with TestKit(Server(adapter=adapter)) as kit:
        kit.advance(3.0)
        shown += [caplog.text, str(kit.io.stats()), repr(kit.io.of("/").adapter)]
        shown += [str(error) for error in _errors(adapter)]
    assert "no connection to rediss://ann@db.example" in caplog.text
    for text in shown:
        assert "sesame" not in text
        assert "s%65same" not in text


def _refuses(_loop: Any, _host: str, _port: int, _done: Any, failed: Any) -> Any:
    failed("connection refused")


def _errors(adapter: Any) -> Iterator[BaseException]:
    link = getattr(adapter.link, "_first", adapter.link)
    answer = link._says.execute("GET", "a")
    link.stop()
    yield answer.error
