"""An emitter: what it says reaches the clients of servers, and nothing is lost without a word."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Emitter
from rawsio.cluster import RedisAdapter, StreamsAdapter
from rawsio.emitter import EmitterOptions
from rawsio.errors import LocalProtocolError
from rawsio.limits import DEFAULT
from rawsio.redis import ErrorReply

from .kit import Cluster
from .test_adapter import seen

KINDS = [("classic", RedisAdapter), ("streams", StreamsAdapter)]


def emitter(cluster: Cluster, kind: str = "classic", **options: Any) -> Emitter:
    return Emitter(adapter=kind, loop=cluster.kit.loop, connect=cluster.bench.connect, **options)


@pytest.mark.parametrize(("kind", "make"), KINDS)
def test_what_it_says_reaches_the_clients_of_all_servers(kind: str, make: Any) -> None:
    with Cluster(2, make=make) as cluster:
        for node in cluster.nodes:
            node.io.of("/chat")
        cluster.kit.run()
        a, b = (node.connect() for node in cluster.nodes)
        c = cluster.nodes[1].connect("/chat")
        io = emitter(cluster, kind)
        io.emit("all", b"\x00", {"a": [1]})
        io.to(a.id).emit("you")
        io.in_(b.id).sockets_join("red")
        io.to("red").emit("red")
        io.except_("red").emit("others")
        io.sockets_leave("red")
        io.to("red").emit("nobody")
        io.of("chat").send("hi")
        assert seen(cluster, a, b, c) == [
            [["all", b"\x00", {"a": [1]}], ["you"], ["others"]],
            [["all", b"\x00", {"a": [1]}], ["red"]],
            [["message", "hi"]],
        ]
        heard: list[Any] = []
        for node in cluster.nodes:
            node.io.on_server("told", lambda *args: heard.append(args))
        io.server_side_emit("told", 1)
        cluster.kit.run()
        assert heard == [(1,), (1,)]
        io.in_(a.id).disconnect_sockets(close=True)
        cluster.kit.run()
        assert not a.connected
        assert b.connected
        io.close()
        cluster.kit.run()


def test_what_it_says_has_the_form_of_the_official_emitter() -> None:
    form = EmitterOptions().form("/", DEFAULT)
    with Cluster(1) as cluster:
        io = emitter(cluster)
        io.server_side_emit("hello", "w")
        cluster.kit.run()
        (said,) = cluster.published()
        assert said == (b"socket.io-request#/#", b'{"uid":"emitter","type":6,"data":["hello","w"]}')
        io.close()
    assert callable(form)


def test_what_needs_an_answer_is_refused_in_words() -> None:
    with Cluster(1) as cluster:
        io = emitter(cluster)
        for reply in (io.emit_with_ack("x"), io.fetch_sockets()):
            with pytest.raises(LocalProtocolError, match="an emitter hears no answers"):
                reply.result()
        with pytest.raises(LocalProtocolError, match="reserved"):
            io.emit("connect")
        with pytest.raises(ValueError, match="no event between servers"):
            io.server_side_emit("connection")
        with pytest.raises(TypeError, match="'/admin', not 5"):
            io.of(5)  # type: ignore[arg-type]
        io.close()


def test_what_reaches_nobody_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Cluster(1) as cluster:
        io = emitter(cluster)
        io.local.emit("x")
        assert "no clients of its own" in caplog.text
        cluster.redis.refuse["publish"] = ErrorReply("OOM", "no")
        io.emit("x")
        cluster.kit.run()
        assert "an event was not published: OOM no" in caplog.text
        assert io.stats() == {"degraded": False, "published": 1, "waiting": 0, "failed": 1}
        io.close()


def test_without_redis_what_is_said_waits() -> None:
    with Cluster(1) as cluster:
        a = cluster.nodes[0].connect()
        cluster.bench.refusing = True
        io = emitter(cluster)
        io.emit("late")
        cluster.kit.run()
        assert io.stats() == {"degraded": True, "published": 1, "waiting": 1, "failed": 0}
        cluster.bench.refusing = False
        cluster.kit.advance(2.0)
        assert seen(cluster, a) == [[["late"]]]
        io.close()


def test_in_a_thread_of_its_own_it_waits_for_redis_no_longer_than_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Emitter("unix:///nowhere/redis.sock") as io:
        io.emit("x")
        with pytest.raises(TimeoutError, match="1 events wait for unix:///nowhere/redis"):
            io.flush(0.3)
        io.close(0.01)
        io.close()
    assert "the emitter is closed: 1 events wait" in caplog.text


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="'classic' or 'streams' is expected, not 'sharded'"):
        Emitter(adapter="sharded")
    with pytest.raises(ValueError, match="redis://"):
        Emitter("localhost")
    with pytest.raises(TypeError, match="prefix"):
        Emitter(prefix="x")
