"""The bridge to python-socketio: its messages both ways, with and without another adapter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from rawsio import Server
from rawsio.cluster import PythonBridge, RedisAdapter
from rawsio.cluster.python_bridge import decode_data, encode_data
from rawsio.redis import RedisClient

from .kit import Cluster
from .test_adapter import result, seen
from .test_classic import args_with_bytes

HOST = "23577b5d52ea41d1a74a21adee9a6217"


class Other:
    """A server of python-socketio, as it is heard and speaks."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.heard: list[dict[str, Any]] = []
        connect = cluster.bench.connect
        self.redis = RedisClient(cluster.kit.loop, "redis://other", connect=connect)
        self.redis.start()
        self.redis.subscribe("socketio", self._heard)
        cluster.kit.run()

    def _heard(self, _channel: bytes, payload: bytes) -> None:
        message = json.loads(payload)
        if message["host_id"] != HOST:
            self.heard.append({k: v for k, v in message.items() if k != "host_id"})

    def say(self, method: str, **fields: Any) -> None:
        message = {"method": method, "namespace": "/", "host_id": HOST, **fields}
        self.redis.execute("PUBLISH", "socketio", json.dumps(message))
        self.cluster.kit.run()

    def emit(self, event: str, data: Any, **fields: Any) -> None:
        usual = {"binary": False, "room": None, "skip_sid": None, "callback": None}
        self.say("emit", event=event, data=data, **{**usual, **fields})

    def end(self) -> None:
        self.redis.close()
        self.cluster.kit.run()


@pytest.fixture
def cluster() -> Any:
    with Cluster(2, make=PythonBridge) as made:
        yield made


@pytest.fixture
def other(cluster: Cluster) -> Any:
    made = Other(cluster)
    yield made
    made.end()


@given(args_with_bytes)
def test_data_comes_back(args: list[Any]) -> None:
    data, binary = encode_data(args)
    assert decode_data(json.loads(json.dumps(data)), binary=binary) == args


def test_what_we_say_has_the_form_of_python_socketio(cluster: Cluster, other: Other) -> None:
    io = cluster.nodes[0].io
    a = cluster.nodes[0].connect()
    io.emit("foo", {"a": 1}, 2)
    io.to("r1").emit("foo", b"\x01\x02")
    io.to(["r2", "r1"]).except_(a.id).emit("bar")
    cluster.kit.run()
    usual = {"method": "emit", "namespace": "/", "callback": None, "skip_sid": None}
    assert other.heard == [
        {**usual, "event": "foo", "data": [{"a": 1}, 2], "binary": False, "room": None},
        {
            **usual,
            "event": "foo",
            "data": [[{"_placeholder": True, "num": 0}], "AQI="],
            "binary": True,
            "room": "r1",
        },
        {
            **usual,
            "event": "bar",
            "data": [],
            "binary": False,
            "room": ["r1", "r2"],
            "skip_sid": [a.id],
        },
    ]
    other.heard.clear()
    far = "A" * 20
    io.in_(far).sockets_join("red")
    io.in_(far).sockets_leave("red")
    io.in_(far).disconnect_sockets()
    cluster.kit.run()
    assert other.heard == [
        {"method": "enter_room", "sid": far, "room": "red", "namespace": "/"},
        {"method": "leave_room", "sid": far, "room": "red", "namespace": "/"},
        {"method": "disconnect", "sid": far, "namespace": "/"},
    ]


def test_what_has_no_words_there_is_named_once(
    cluster: Cluster, other: Other, caplog: pytest.LogCaptureFixture
) -> None:
    io = cluster.nodes[0].io
    for _ in range(2):
        io.except_("room").emit("x")
        io.to("red").sockets_join("blue")
        io.disconnect_sockets()
    io.timeout(0.1).emit_with_ack("q")
    cluster.kit.run()
    assert other.heard == []
    for what in ("except_(room)", "join of many", "disconnect of many", "emit_with_ack to many"):
        assert caplog.text.count(what) == 1, what


def test_what_python_socketio_says_is_done_here(cluster: Cluster, other: Other) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    other.emit("all", [1, {"x": 2}])
    other.emit("bytes", [[{"_placeholder": True, "num": 0}], "AQI="], binary=True)
    other.emit("not b", [], skip_sid=b.id)
    other.emit("neither", [], skip_sid=[a.id, b.id])
    other.say("enter_room", sid=b.id, room="red")
    other.emit("red", ["in"], room="red")
    other.emit("several", [], room=["red", a.id])
    other.say("leave_room", sid=b.id, room="red")
    other.emit("red", ["out"], room="red")
    other.say("enter_room", sid=a.id, room="red")
    other.say("close_room", room="red")
    other.emit("red", ["closed"], room="red")
    common = [["all", 1, {"x": 2}], ["bytes", b"\x01\x02"]]
    assert seen(cluster, a, b) == [
        [*common, ["not b"], ["several"]],
        [*common, ["red", "in"], ["several"]],
    ]
    other.say("disconnect", sid=a.id)
    assert not a.connected
    assert b.connected
    assert other.heard == []


def test_a_callback_is_answered(cluster: Cluster, other: Other) -> None:
    a = cluster.nodes[1].connect()
    a.on("q", lambda value: ("yes", value))
    other.emit("q", [7], room=a.id, callback=[a.id, "/", 3])
    cluster.kit.run()
    # The host id of an answer is that of who asked, so that it is not taken for another's.
    answers = [json.loads(data) for channel, data in cluster.published() if channel == b"socketio"]
    assert answers[-1] == {
        "method": "callback",
        "host_id": HOST,
        "sid": a.id,
        "namespace": "/",
        "id": 3,
        "args": ["yes", 7],
    }


def test_servers_with_only_the_bridge_hear_each_other(cluster: Cluster, other: Other) -> None:
    a, b = (node.connect() for node in cluster.nodes)
    cluster.nodes[0].io.emit("x")
    assert seen(cluster, a, b) == [[["x"]]] * 2
    assert cluster.nodes[0].adapter.stats()["bridge"]["degraded"] is False


@pytest.mark.parametrize("relay", [False, True])
def test_beside_another_adapter_nothing_comes_twice(relay: bool) -> None:
    with Cluster(0) as cluster:
        bridges = []
        for n in range(2):
            inner = RedisAdapter(connect=cluster.bench.connect)
            made: Any = inner
            if not relay or n == 0:
                made = PythonBridge(adapter=inner, relay=relay, connect=cluster.bench.connect)
            bridges.append(Server(adapter=made))
            cluster.kit.serve(bridges[-1])
        other = Other(cluster)
        sockets = []
        for io in bridges:
            cluster.kit.serve(io)
            sockets.append(cluster.kit.connect())
        for n, io in enumerate(bridges):
            io.emit("from us", n)
        other.emit("from them", [])
        cluster.kit.run()
        events = [["from us", 0], ["from us", 1], ["from them"]]
        for found in seen(cluster, *sockets):
            assert sorted(found) == sorted(events)
        assert [(m["event"], m["data"]) for m in other.heard] == [
            ("from us", [0]),
            ("from us", [1]),
        ]
        assert len(result(cluster, bridges[0].fetch_sockets())) == 2
        assert bridges[0].stats()["cluster"]["bridge"]["degraded"] is False
        other.end()


@pytest.mark.parametrize(
    "payload",
    [
        b"junk",
        b"[1]",
        b'{"method":"emit"}',
        b'{"method":"emit","event":"x","data":[[],"A"],"binary":true}',
        b'{"method":"emit","event":"x","data":[[{"_placeholder":true,"num":9}]],"binary":true}',
        b'{"method":"emit","event":"x","data":[],"room":{"a":1}}',
        b'{"method":"emit","event":"connect","data":[]}',
        b'{"method":"__class__"}',
        b'{"method":["emit"]}',
        b'{"method":"disconnect","sid":5}',
        b'{"method":"enter_room","sid":"a","room":[1.5]}',
        b'{"method":"emit","event":"x","data":[],"namespace":"/nobody"}',
    ],
)
def test_what_is_no_message_reaches_nobody(cluster: Cluster, other: Other, payload: bytes) -> None:
    a = cluster.nodes[0].connect()
    other.redis.execute("PUBLISH", "socketio", payload)
    assert seen(cluster, a) == [[]]
    cluster.nodes[0].io.emit("still here")
    assert seen(cluster, a) == [[["still here"]]]
