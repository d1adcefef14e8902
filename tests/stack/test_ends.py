"""Connections that end in the middle of something leave nothing; those that are slow go on."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.net.memory import Wire
from rawsio.testing import TestKit
from rawsio.websocket.frames import TEXT, encode_frame
from tests.pool import Pool
from tests.raw import Polling, RawWebSocket, request

HANDSHAKE = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    io = Server()
    yield io
    io.close(0.0)
    io.step(0.0)


def turns_until(io: Server, **counts: int) -> None:
    for _ in range(200):
        stats = io.stats()
        if all(stats[name] == count for name, count in counts.items()):
            return
        io.step(0.05)
    raise AssertionError(f"{counts} is not reached: {io.stats()}")


def polling(io: Server) -> tuple[socket.socket, bytes]:
    wire = socket.create_connection(io.listen())
    wire.sendall(HANDSHAKE)
    turns_until(io, connections=1, sessions=1)
    sid = json.loads(wire.recv(4096).partition(b"\r\n\r\n0")[2])["sid"]
    return wire, HANDSHAKE.replace(b"polling", b"polling&sid=" + sid.encode())


@pytest.mark.parametrize("half", [True, False])
def test_a_poll_that_its_client_gives_up_ends_its_session_and_connection(
    server: Server, half: bool
) -> None:
    wire, poll = polling(server)
    with wire:
        wire.sendall(poll)
        if half:
            wire.shutdown(socket.SHUT_WR)
        else:
            wire.close()
        turns_until(server, connections=0, sessions=0)


def upload(kit: TestKit, wire: Wire, data: bytes) -> None:
    """Send 10,000 bytes each ten seconds, and never a pong."""
    for start in range(0, len(data), 10_000):
        wire.send(data[start : start + 10_000])
        kit.advance(10)


@pytest.mark.rule("engineio-v4-heartbeat-upload")
def test_a_long_message_over_a_slow_websocket_is_no_silence() -> None:
    with TestKit(Server()) as kit:
        seen: list[int] = []
        kit.io.on("up", lambda _socket, text: seen.append(len(text)))
        client = RawWebSocket(kit)
        client.say("40")
        frame = encode_frame(TEXT, b'42["up","' + b"x" * 200_000 + b'"]', mask=b"\0\0\0\0")
        upload(kit, client.end.wire, frame)
        assert seen == [200_000]
        kit.advance(60)
        assert kit.io.stats()["sessions"] == 0


@pytest.mark.rule("engineio-v4-heartbeat-upload")
def test_a_long_post_over_a_slow_line_is_no_silence() -> None:
    with TestKit(Server()) as kit:
        seen: list[int] = []
        kit.io.on("up", lambda _socket, text: seen.append(len(text)))
        client = Polling(kit)
        client.post(b"40")
        body = b'42["up","' + b"x" * 200_000 + b'"]'
        upload(kit, client.posts.wire, request(client.query, "POST", body))
        assert seen == [200_000]


def run_all(pool: Pool, kit: TestKit) -> None:
    while pool.jobs:
        pool.run_one()
        kit.run()


@pytest.mark.rule("engineio-v4-heartbeat-held")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_client_that_waits_for_slow_handlers_is_not_silent(transport: Any) -> None:
    pool = Pool()
    io = Server(executor=pool, limits=Limits(queued_events=4))  # type: ignore[arg-type]
    handled: list[int] = []
    ends: list[str] = []
    io.on("slow", lambda _socket, number: handled.append(number))
    io.on("disconnect", lambda _socket, reason: ends.append(reason))
    with TestKit(io) as kit:
        socket = kit.connect(transports=[transport])
        for _ in range(3):
            for number in range(20):
                socket.emit("slow", number)
                kit.run()
            kit.advance(400)
            run_all(pool, kit)
        kit.run()
        assert handled == 3 * list(range(20))
        assert ends == []
        assert socket.connected


@pytest.mark.rule("engineio-v4-heartbeat-held")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_client_that_goes_while_it_is_held_back_is_missed_in_the_end(transport: Any) -> None:
    pool = Pool()
    io = Server(executor=pool, limits=Limits(queued_events=4))  # type: ignore[arg-type]
    io.on("slow", lambda _socket, _number: None)
    with TestKit(io) as kit:
        socket = kit.connect(transports=[transport], reconnection=False)
        for number in range(20):
            socket.emit("slow", number)
            kit.run()
        kit.cut(socket, silent=True)
        kit.advance(200)
        run_all(pool, kit)
        kit.advance(90)
        assert io.stats()["sessions"] == 0
