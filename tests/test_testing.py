"""The test kit itself: wires, the clock, and what it can do to a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import ConnectionClosed, Limits, Refused, Server
from rawsio.net.memory import CAPACITY
from rawsio.testing import TestKit


@pytest.fixture
def kit() -> Iterator[TestKit]:
    io = Server()

    @io.on("ack")
    def ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
        return args

    with TestKit(io) as made:
        yield made


def test_an_event_is_answered_and_no_time_passes(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"])
    assert socket.emit_with_ack("ack", 1, b"\0").result() == (1, b"\0")
    assert kit.time == 0.0
    assert kit.io.stats()["sockets"] == 1


def test_the_upgrade_takes_the_tenth_of_a_second_that_the_protocol_has(kit: TestKit) -> None:
    socket = kit.connect(transports=["polling", "websocket"])
    assert socket.client.transport == "polling"
    kit.advance(0.1)
    assert socket.client.transport == "websocket"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_a_day_of_heartbeats_goes_by(kit: TestKit, transports: list[str]) -> None:
    socket = kit.connect(transports=transports)
    kit.advance(3600.0)
    assert socket.connected
    assert kit.time == 3600.0


def test_a_reset_is_learnt_at_once_by_both(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"], reconnection=False)
    kit.cut(socket)
    assert not socket.connected
    assert kit.io.stats()["sessions"] == 0


def test_a_silent_cut_is_learnt_from_the_heartbeat(kit: TestKit) -> None:
    reasons: list[str] = []
    kit.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    socket = kit.connect(transports=["websocket"], reconnection=False)
    socket.on("disconnect", lambda reason, _text: reasons.append(reason))
    kit.cut(socket, silent=True)
    kit.advance(44.9)
    assert reasons == []
    kit.advance(0.2)
    assert reasons == ["ping timeout", "ping timeout"]


def test_a_client_that_does_not_read_lets_it_pile_up(kit: TestKit) -> None:
    socket = kit.connect(transports=["websocket"])
    kit.stall(socket)
    for _ in range(3):
        kit.io.emit("news", "x" * CAPACITY)
    kit.run()
    (server,) = kit.io.sockets.values()
    assert server.conn.buffered_amount > CAPACITY
    kit.resume(socket)
    assert server.conn.buffered_amount == 0
    assert [len(socket.receive()[1]) for _ in range(3)] == [CAPACITY] * 3


def test_a_refusal_and_a_server_that_is_not_there_are_raised(kit: TestKit) -> None:
    @kit.io.of("/secret").use
    def refuse(_socket: Any) -> None:
        raise Refused("not you")

    with pytest.raises(Refused, match="not you"):
        kit.connect("/secret")
    kit.refusing = True
    with pytest.raises(ConnectionClosed, match="http://testkit: connection refused"):
        kit.connect()


def test_another_server_takes_over(kit: TestKit) -> None:
    socket = kit.connect()
    first = kit.io
    kit.serve(Server())
    first.close()
    kit.advance(2.0)
    assert socket.connected
    assert (first.stats()["sockets"], kit.io.stats()["sockets"]) == (0, 1)


def test_waiting_for_what_never_happens_ends(kit: TestKit) -> None:
    socket = kit.connect()
    with pytest.raises(TimeoutError):
        socket.receive(5.0)
    assert kit.time >= 5.0
    with pytest.raises(RuntimeError, match="3600 virtual seconds"):
        socket.receive()


def test_everything_is_the_same_in_each_run() -> None:
    def story() -> list[Any]:
        with TestKit(Server(), seed=1) as kit:
            socket = kit.connect()
            seen: list[Any] = [socket.id]
            kit.cut(socket)
            kit.advance(10.0)
            return [*seen, socket.id, kit.time]

    first, second = story(), story()
    assert first == second


def test_closing_twice_is_closing_once_and_frees_the_server() -> None:
    kit = TestKit(Server(limits=Limits()))
    socket = kit.connect()
    kit.close()
    kit.close()
    assert kit.io.closed
    assert not socket.connected
    kit.io.close()


def test_a_held_wire_shows_every_piece_and_loses_none() -> None:
    with TestKit(Server()) as kit:
        kit.hold()
        socket = kit.client().main.connect()
        kit.run()
        (request,) = kit.coming
        assert request.coming[0] is not None
        assert request.coming[0].startswith(b"GET /socket.io/")
        request.deliver(20)
        kit.run()
        assert not socket.connected
        kit.release()
        assert socket.connected
        assert kit.coming == []


class TestCoroutines:
    def test_a_handler_may_sleep_on_the_clock_of_the_kit(self) -> None:
        io = Server()

        @io.on("later")
        async def later(_socket: Any, seconds: float) -> str:
            await asyncio.sleep(seconds)
            return "done"

        with TestKit(io) as kit:
            reply = kit.connect().emit_with_ack("later", 3000.0)
            kit.advance(2999.0)
            assert not reply.done()
            kit.advance(1.0)
            assert reply.result() == "done"

    def test_hooks_middleware_and_client_handlers_may_be_coroutines(self) -> None:
        async def allow(request: Any) -> str | None:
            await asyncio.sleep(0.5)
            return None if "token=x" in request.query_string else "who are you?"

        io = Server(allow_request=allow)

        @io.use
        async def admit(socket: Any) -> None:
            await asyncio.sleep(0.5)
            socket.data["admitted"] = True

        @io.on("ask")
        async def ask(socket: Any) -> Any:
            return await socket.emit_with_ack("name")

        with TestKit(io) as kit:
            with pytest.raises(ConnectionClosed, match="who are you"):
                kit.connect()
            client = kit.client(query={"token": "x"}).main

            @client.on("name")
            async def name() -> str:
                await asyncio.sleep(1.0)
                return "ann"

            client.connect().opening.result(60)
            assert client.emit_with_ack("ask").result() == "ann"
            assert next(iter(io.sockets.values())).data["admitted"] is True

    def test_in_a_handler_the_next_event_is_awaited(self) -> None:
        io = Server()
        heard: list[Any] = []
        with TestKit(io) as kit:
            client = kit.connect()

            @client.on("begin")
            async def begin() -> None:
                heard.append(await client.receive())

            io.emit("begin")
            kit.run()
            io.emit("news", 1)
            kit.run()
        assert heard == [["news", 1]]

    def test_what_has_not_ended_is_cancelled_with_the_kit(self) -> None:
        io, outcomes = Server(), []

        @io.on("wait")
        async def wait(_socket: Any) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                outcomes.append("cancelled")
                raise

        with TestKit(io) as kit:
            kit.connect().emit("wait")
            kit.run()
        assert outcomes == ["cancelled"]

    def test_a_test_that_runs_on_asyncio_itself_keeps_its_loop(self) -> None:
        io = Server()
        io.on("ack", _answer)

        async def main() -> None:
            here = asyncio.get_running_loop()
            with TestKit(io) as kit:
                assert kit.connect().emit_with_ack("ack", 1).result() == 1
            assert asyncio.get_running_loop() is here

        asyncio.run(main())


async def _answer(_socket: Any, value: Any) -> Any:
    await asyncio.sleep(1.0)
    return value


class TestSeveralPeers:
    def test_servers_are_found_by_their_urls(self) -> None:
        first, second = Server(), Server()
        for name, io in (("first", first), ("second", second)):
            io.on("who", lambda _socket, name=name: name)
        with TestKit(first, url="http://first") as kit:
            kit.serve(second, "http://second:3000")
            for name, url in (("first", None), ("second", "http://second:3000")):
                client = kit.client(url=url).main
                client.connect().opening.result(60)
                assert client.emit_with_ack("who").result() == name
            lost = kit.client(url="http://second:3001", reconnection=False).main
            with pytest.raises(ConnectionClosed, match="connection refused"):
                lost.connect().opening.result(60)

    def test_dial_reaches_each_of_them_and_peers_of_other_kinds(self) -> None:
        accepted: list[Any] = []
        with TestKit(Server()) as kit:
            kit.serve(Server(app=lambda question: "other"), "http://other:8080")
            kit.listen("redis", 6379, lambda wire, address: accepted.append((wire, address)))
            for url, status in ((None, b"404"), ("http://other:8080", b"200")):
                wire = kit.dial(url)
                wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                kit.run()
                assert wire.recv(1000).split()[1] == status
            here = kit.dial("http://redis:6379", address="10.0.0.7")
            ((there, address),) = accepted
            here.send(b"PING")
            assert (there.recv(10), address[0]) == (b"PING", "10.0.0.7")
            with pytest.raises(ConnectionRefusedError, match="nobody listens at nowhere"):
                kit.dial("http://nowhere")

    def test_an_extension_of_a_server_connects_to_them(self) -> None:
        accepted: list[Any] = []

        class Speaks:
            def start(self, runtime: Any) -> None:
                runtime.connect_tcp("redis", 6379, lambda wire: wire.send(b"PING"), print)

            def stop(self, deadline: float) -> None:
                """Nothing is left."""

        io = Server()
        with TestKit(io) as kit:
            kit.listen("redis", 6379, lambda wire, _address: accepted.append(wire))
            io.extend(Speaks())
            kit.run()
            assert accepted[0].recv(10) == b"PING"
