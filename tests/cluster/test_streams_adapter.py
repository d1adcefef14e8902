"""The streams form: entries captured from official servers, reading on, and several streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from rawsio.app.adapter import Targets
from rawsio.cluster import ClusterError, StreamsAdapter
from rawsio.cluster import messages as m
from rawsio.cluster.stream_form import StreamForm, java_hash, node_stream, own_stream
from rawsio.cluster.stream_reader import as_position
from rawsio.redis import ErrorReply
from rawsio.socketio.msgpack import unpack

from .kit import Cluster
from .test_adapter import result, seen
from .test_classic import any_message

UID = "7f0f5e62d399bf79"
FORM = StreamForm("/")
R1 = Targets(frozenset(["r1"]))
BINARY = "gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQIDpG9wdHODpXJvb21zkKZleGNlcHSQpWZsYWdzgA=="

CAPTURED = [
    (
        m.Broadcast(UID, ["foo", "bar"], R1),
        "3",
        '{"packet":{"type":2,"data":["foo","bar"]},"opts":{"rooms":["r1"],"except":[],"flags":{}}}',
    ),
    (m.Broadcast(UID, ["bin", b"\x01\x02\x03"], Targets()), "3", BINARY),
    (
        m.Join(UID, R1, ["r2"]),
        "4",
        '{"opts":{"rooms":["r1"],"except":[],"flags":{}},"rooms":["r2"]}',
    ),
    (
        m.Disconnect(UID, R1, True),
        "6",
        '{"opts":{"rooms":["r1"],"except":[],"flags":{}},"close":true}',
    ),
]


def as_fields(words: list[str]) -> dict[bytes, bytes]:
    encoded = [word.encode() for word in words]
    return dict(zip(encoded[::2], encoded[1::2], strict=True))


@pytest.mark.parametrize(("message", "kind", "data"), CAPTURED, ids=["r1", "bytes", "join", "out"])
def test_entries_are_those_of_official_servers(message: Any, kind: str, data: str) -> None:
    entry = ["uid", UID, "nsp", "/", "type", kind, "data", data]
    assert FORM.entry(message) == entry
    assert FORM.read_entry(as_fields(entry)) == message


def test_requests_are_messagepack_even_without_bytes() -> None:
    with Cluster(2, make=StreamsAdapter) as cluster:
        result(cluster, cluster.nodes[0].io.fetch_sockets())
        (channel, request), (to, answer) = cluster.published()[:2]
        first, second = (node.uid for node in cluster.nodes)
        assert channel == b"socket.io#/#"
        assert list(unpack(request, 20)) == ["type", "data", "uid", "nsp"]
        assert to == f"socket.io#/#{first}#".encode()
        assert unpack(answer, 20)["uid"] == second


@given(any_message.filter(lambda message: isinstance(message, (m.Broadcast, m.Join, m.Leave))))
def test_what_one_server_appends_another_reads(message: Any) -> None:
    assert FORM.read_entry(as_fields(FORM.entry(message))) == message


@pytest.mark.parametrize(
    "fields",
    [
        {b"nsp": b"/", b"uid": b"x", b"type": b"99", b"data": b"{}"},
        {b"nsp": b"/", b"uid": b"x", b"type": b"3"},
        {b"nsp": b"/", b"uid": b"x", b"type": b"3", b"data": b"{"},
        {b"nsp": b"/", b"uid": b"x", b"type": b"3", b"data": b"?"},
        {b"nsp": b"/", b"uid": b"x", b"type": b"4", b"data": b'{"opts":{},"rooms":5}'},
        {b"nsp": b"/", b"type": b"3", b"data": b'{"packet":{"data":["x"]},"opts":{"rooms":[]}}'},
    ],
)
def test_what_is_no_message_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(ClusterError):
        FORM.read_entry(fields)


def test_what_is_of_another_namespace_is_left_alone() -> None:
    assert FORM.read_entry({b"nsp": b"/a", b"uid": b"x", b"type": b"3", b"data": b"{}"}) is None
    assert FORM.read_entry({}) is None


@pytest.mark.parametrize("text", ["", "1", "-1", "1-", "1-x", "1-2-3", "٣-1", "1" * 30 + "-0", "$"])
def test_what_is_no_id_of_an_entry_is_no_position(text: str) -> None:
    assert as_position(text) is None


# The hashes are those of the official adapter's own function.
@pytest.mark.parametrize(
    ("namespace", "number"),
    [("/", 47), ("/chat", 46457863), ("/notifications", -1014064871), ("/é€😀", 60157493)],
)
def test_hashes_are_those_of_official_servers(namespace: str, number: int) -> None:
    assert java_hash(namespace) == number


def test_a_namespace_with_a_negative_hash_is_written_where_all_read() -> None:
    assert node_stream("/notifications", "s", 5) == "s--1"
    assert own_stream("/notifications", "s", 5) == "s-4"
    assert node_stream("/chat", "s", 5) == own_stream("/chat", "s", 5) == "s-3"
    with Cluster(2, make=StreamsAdapter, stream_count=5) as cluster:
        for node in cluster.nodes:
            node.io.of("/notifications")
        cluster.kit.run()
        a, b = (node.connect("/notifications") for node in cluster.nodes)
        cluster.nodes[0].io.of("/notifications").emit("x")
        assert seen(cluster, a, b) == [[["x"]]] * 2
        assert list(cluster.redis.streams) == [b"socket.io-4"]
        # As an official server writes it:
        message = m.Broadcast(UID, ["y"], Targets())
        entry = [word.encode() for word in StreamForm("/notifications").entry(message)]
        cluster.append(b"socket.io--1", entry)
        assert seen(cluster, a, b) == [[["y"]]] * 2


def test_what_others_wrote_while_redis_was_away_comes_afterwards_and_once() -> None:
    with Cluster(2, make=StreamsAdapter) as cluster:
        first, second = cluster.nodes
        b = second.connect()
        first.io.emit("before")
        cluster.kit.run()
        cluster.bench.refusing = True
        cluster.bench.cut()
        for n in range(5):
            first.io.emit("during", n)
        cluster.bench.refusing = False
        cluster.kit.advance(2.0)
        first.io.emit("after")
        expected = [["before"], *(["during", n] for n in range(5)), ["after"]]
        assert seen(cluster, b) == [expected]


def test_a_stream_that_was_lost_is_read_from_its_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Cluster(2, make=StreamsAdapter) as cluster:
        first, second = cluster.nodes
        b = second.connect()
        first.io.emit("before")
        cluster.kit.run()
        cluster.kit.advance(10.0)
        cluster.redis.streams.clear()
        cluster.bench.cut()
        cluster.kit.advance(2.0)
        assert "was lost, and began anew" in caplog.text
        first.io.emit("after")
        assert seen(cluster, b) == [[["before"], ["after"]]]


def test_many_entries_are_read_in_shares() -> None:
    with Cluster(2, make=StreamsAdapter, read_count=3) as cluster:
        first, second = cluster.nodes
        b = second.connect()
        for n in range(20):
            first.io.emit("x", n)
        assert seen(cluster, b) == [[["x", n] for n in range(20)]]


def test_a_read_that_redis_refuses_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(2, make=StreamsAdapter) as cluster:
        first, second = cluster.nodes
        b = second.connect()
        cluster.redis.refuse["xread"] = ErrorReply("OOM", "no")
        first.io.emit("one")
        cluster.kit.advance(3.0)
        assert "Redis refused to read a stream: OOM" in caplog.text
        first.io.emit("two")
        cluster.redis.refuse.clear()
        cluster.kit.advance(2.0)
        assert seen(cluster, b) == [[["one"], ["two"]]]


def test_an_entry_that_is_none_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(1, make=StreamsAdapter) as cluster:
        a = cluster.nodes[0].connect()
        for entry in ([b"x", b"y"], [b"nsp", b"/", b"uid", b"u", b"type", b"3", b"data", b"{"]):
            cluster.append(b"socket.io", entry)
        assert seen(cluster, a) == [[]]
        assert "was dropped" in caplog.text
        cluster.nodes[0].io.emit("still here")
        assert seen(cluster, a) == [[["still here"]]]


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="stream_count: 1 or more"):
        StreamsAdapter(stream_count=0)
