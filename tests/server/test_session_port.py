"""What a client costs that takes less than it is sent, under each policy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rawsio import Client, Limits, Server
from rawsio.net.memory import CAPACITY
from rawsio.routes import Direct, Layered
from rawsio.testing import TestKit
from tests.bench.counts import NobodyLooks

SMALL = Limits(low_water=100_000, high_water=400_000, queue=1_000_000)
CHUNK = "x" * 20_000
POLICIES = ["pause", "drop-volatile", "disconnect"]


class Story:
    """A server, one client that stalls, one that does not, and what happened."""

    def __init__(self, transport: str = "websocket", **options: Any) -> None:
        self.io = Server(limits=SMALL, ping_interval=1000.0, **options)
        self.happened: list[Any] = []
        self.sockets: list[Any] = []
        self.io.on("connection", self.sockets.append)
        self.io.on("drain", lambda socket: self.happened.append("drain"))
        self.io.on("disconnect", lambda socket, why: self.happened.append(why))
        self.io.on("word", lambda socket, n: self.happened.append(n))
        self.kit = TestKit(self.io)
        self.slow = self.kit.connect(transports=[transport], reconnection=False)
        self.quick = self.kit.connect(transports=[transport], reconnection=False)
        self.got = 0
        self.quick.on("news", self._count)
        self.kit.stall(self.slow)

    def _count(self, _text: str) -> None:
        self.got += 1

    @property
    def waiting(self) -> int:
        return int(self.sockets[0].conn.buffered_amount)

    def fan_out(self, turns: int, volatile: bool = False) -> int:
        """Send 20 kB to everybody in each of so many turns; return the most that waited."""
        most = 0
        for _ in range(turns):
            (self.io.volatile if volatile else self.io).emit("news", CHUNK)
            self.kit.run()
            most = max(most, self.waiting)
        return most

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kit.close()


@pytest.mark.rule("layers-backpressure-queue")
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_who_never_reads_is_cut_off_and_costs_no_more_than_the_mark(
    policy: str, transport: str
) -> None:
    with Story(transport, backpressure=policy) as story:
        most = story.fan_out(100)
        bound = SMALL.high_water if policy == "disconnect" else SMALL.queue
        assert bound <= most <= bound + 2 * len(CHUNK)
        assert story.happened == ["transport error"]
        assert story.io.stats()["sessions"] == 1
        assert story.got == 100


@pytest.mark.rule("layers-backpressure-queue")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_what_is_sent_in_one_turn_counts_at_once(transport: str) -> None:
    with Story(transport) as story:
        amounts = []
        for _ in range(200):
            story.io.emit("news", CHUNK)
            amounts.append(story.waiting)
        assert amounts[0] >= len(CHUNK)
        assert amounts[1] >= 2 * len(CHUNK)
        assert max(amounts) <= SMALL.queue + 2 * len(CHUNK)
        # Sockets are lost at the end of the turn, not in the middle of an emit.
        assert story.happened == []
        story.kit.run()
        assert story.io.stats()["sessions"] == 0


def test_text_is_counted_by_its_bytes() -> None:
    with Story() as story:
        story.io.emit("news", "\N{GRINNING FACE}" * 10_000)
        assert story.waiting > 40_000


@pytest.mark.rule("layers-backpressure-queue")
def test_text_reaches_the_mark_by_its_bytes_however_few_characters_it_has() -> None:
    text = "\N{GRINNING FACE}" * 5_000
    with Story() as story:
        amounts = []
        for _ in range(100):
            story.io.emit("news", text)
            amounts.append(story.waiting)
        assert SMALL.queue <= max(amounts) <= SMALL.queue + 2 * len(text.encode())


def test_one_packet_may_be_larger_than_the_mark() -> None:
    with Story() as story:
        got: list[Any] = []
        story.quick.on("large", lambda *all_of_it: got.append([len(data) for data in all_of_it]))
        story.sockets[1].emit("large", b"x" * 900_000, b"y" * 900_000)
        story.kit.run()
        assert got == [[900_000, 900_000]]
        assert story.io.stats()["sessions"] == 2


@pytest.mark.rule("layers-backpressure-volatile")
@pytest.mark.parametrize("policy", POLICIES)
def test_volatile_packets_are_dropped_above_the_low_mark(policy: str) -> None:
    with Story(backpressure=policy) as story:
        most = story.fan_out(60, volatile=True)
        assert SMALL.low_water <= most <= SMALL.low_water + 2 * len(CHUNK)
        assert story.happened == []
        assert story.got == 60


@pytest.mark.rule("layers-backpressure-volatile")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_volatile_packets_of_one_turn_are_bounded_too(transport: str) -> None:
    with Story(transport) as story:
        for _ in range(60):
            story.io.volatile.emit("news", CHUNK)
        assert story.waiting <= SMALL.low_water + 2 * len(CHUNK)


@pytest.mark.rule("layers-backpressure-policy")
@pytest.mark.parametrize(("policy", "heard"), [("pause", []), ("drop-volatile", [1, 2, 3])])
def test_above_the_high_mark_a_client_is_read_or_not_as_the_policy_says(
    policy: str, heard: list[int]
) -> None:
    with Story(backpressure=policy) as story:
        story.fan_out((SMALL.high_water + CAPACITY) // len(CHUNK) + 3)
        for word in (1, 2, 3):
            story.slow.emit("word", word)
        story.kit.run()
        assert story.happened == heard
        story.kit.resume(story.slow)
        story.kit.run()
        assert sorted(story.happened, key=str) == [1, 2, 3, "drain"]


@pytest.mark.rule("layers-backpressure-drain")
def test_a_sender_that_goes_on_at_drain_sends_everything_to_a_slow_reader() -> None:
    with Story() as story:
        conn, left, got = story.sockets[0].conn, [150], []
        story.slow.on("news", lambda text: got.append(len(text)))

        def send_some(_socket: Any = None) -> None:
            while left[0] and conn.buffered_amount < SMALL.high_water:
                left[0] -= 1
                story.sockets[0].emit("news", CHUNK)

        story.io.on("drain", send_some)
        send_some()
        story.kit.run()
        assert SMALL.high_water <= story.waiting + CAPACITY <= SMALL.high_water + 2 * len(CHUNK)
        assert got == []
        story.kit.resume(story.slow)
        assert got == [len(CHUNK)] * 150


@pytest.mark.rule("layers-backpressure-drain")
def test_a_polling_client_drains_when_a_poll_takes_the_queue() -> None:
    with Story("polling") as story:
        for _ in range(25):
            story.sockets[0].emit("news", CHUNK)
        assert story.waiting >= SMALL.high_water
        assert story.happened == []
        story.kit.resume(story.slow)
        story.kit.run()
        assert story.happened == ["drain"]
        assert story.waiting == 0


@pytest.mark.rule("layers-backpressure-drain")
def test_what_waits_while_a_client_upgrades_drains_through_its_websocket() -> None:
    with Story() as story:
        late = story.kit.connect(transports=["polling", "websocket"])
        conn = story.sockets[2].conn
        assert conn.transport == "polling"
        for _ in range(25):
            story.sockets[2].emit("news", CHUNK)
        assert conn.buffered_amount > SMALL.high_water
        story.kit.advance(1.0)
        assert conn.transport == "websocket"
        assert late.connected
        assert "drain" in story.happened
        assert conn.buffered_amount == 0


def test_below_the_high_mark_nobody_hears_of_drains() -> None:
    with Story() as story:
        story.kit.resume(story.slow)
        story.fan_out(100)
        assert story.happened == []


def test_who_is_cut_off_is_named_in_the_log_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "logging", raising=False)
    with Story() as story:
        story.fan_out(100)
    assert capsys.readouterr().err.count("[layers-backpressure-queue]") == 1


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="pause, drop-volatile, disconnect"):
        Server(backpressure="hope")


@pytest.mark.parametrize("act", [lambda conn: conn.close(), lambda conn: conn.pause(True)])
def test_a_session_that_is_over_takes_everything_in_silence(act: Callable[[Any], None]) -> None:
    with Story() as story:
        conn = story.sockets[0].conn
        conn.close()
        story.kit.run()
        conn.send(["2[]", b"x"])
        act(conn)
        assert conn.buffered_amount == 0


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_closing_a_connection_by_hand_ends_its_sockets(transport: str) -> None:
    io = Server()
    ended: list[Any] = []
    io.on("connection", lambda socket: socket.conn.close())
    io.on("disconnect", lambda socket, why: ended.append((socket.connected, why)))
    with TestKit(io) as kit:
        client = kit.client(transports=[transport], reconnection=False)
        client.main.connect()
        kit.advance(60.0)
        assert ended == [(False, "forced close")]
        assert not io.sockets
        assert io.stats()["sessions"] == 0
        assert not client.main.connected


def test_a_connection_in_memory_has_no_kernel_below() -> None:
    with Story() as story:
        assert story.sockets[0].conn.tcp_info is None
        assert story.sockets[1].conn.tcp_info is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_connection_tells_what_the_kernel_knows_of_it(transport: str) -> None:
    io = Server()

    @io.on("tcp")
    def tcp(socket: Any) -> Any:
        info = socket.conn.tcp_info
        return None if info is None else [info.round_trip, info.congestion_window]

    port = io.listen()[1]
    thread = threading.Thread(target=io.run)
    thread.start()
    try:
        with Client(f"http://127.0.0.1:{port}", transports=[transport]) as client:
            told = client.emit_with_ack("tcp").result(timeout=60)
    finally:
        io.close()
        thread.join()
    # Between two polls there is no connection to ask.
    assert transport == "polling" if told is None else told[0] > 0 < told[1]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("route", [Direct, Layered])
def test_a_session_gets_a_port_and_a_route(transport: str, route: type) -> None:
    io = Server(trace=NobodyLooks() if route is Layered else None)
    sockets: list[Any] = []
    io.on("connection", sockets.append)
    with TestKit(io) as kit:
        kit.connect(transports=[transport])
        (socket,) = sockets
        assert socket.conn.transport == transport
        assert socket.conn.session.user is socket._peer
        assert isinstance(socket._peer.route, Direct) is (route is Direct)


def test_handlers_of_the_first_event_may_end_the_session() -> None:
    # A client of Socket.IO v2 is in the main namespace before its session has been given back.
    io = Server(allow_eio3=True)
    reasons: list[str] = []
    io.on("connection", lambda socket: socket.conn.close())
    io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(b"GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
        kit.advance(100.0)
        assert reasons == ["forced close"]
        assert kit.io.stats()["sessions"] == 0
