"""What holds up others is named, as long as somebody looks."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.app.watchdog import Watchdog
from rawsio.testing import TestKit

from .world import World


def test_a_handler_that_blocks_the_loop_is_named_with_its_event() -> None:
    world = World(limits=Limits(slow_handler=0.5))

    @world.io.on("work")
    def work(_socket: Any, seconds: float) -> None:
        world.now += seconds

    client = world.client()
    client.emit("work", 0.5)
    assert not world.lines
    client.emit("work", 0.75)
    ((_channel, _level, line),) = world.lines
    assert line.endswith("of 'work' in '/' blocked the loop for 0.75 s")


def test_nobody_is_named_once_it_has_stopped() -> None:
    world = World(limits=Limits(slow_handler=0.5))
    world.watchdog.stop(0.0)
    world.io.on("work", lambda _socket: world.pass_time(5.0))
    client = world.client()
    client.emit("work")
    assert not world.lines
    assert world.watchdog is None


def test_without_a_runtime_it_says_nothing_and_looks_at_nothing() -> None:
    watchdog = Watchdog(Limits())
    watchdog.blocked("work", 9.0)
    watchdog.stop(0.0)
    world = World()
    assert watchdog.watch(world.client().peer) is None


def test_a_server_has_one_from_its_beginning_to_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server(limits=Limits(held_up_time=2.0))
    assert io.host.watchdog is None

    @io.on("ask")
    async def ask(socket: Any) -> None:
        await socket.emit_with_ack("question")

    with TestKit(io) as kit:
        assert io.host.watchdog is not None
        client = kit.connect()
        client.emit("ask")
        client.emit("ask")
        kit.advance(1.9)
        assert "has not ended" not in caplog.text
        kit.advance(0.2)
        assert "the handler of 'ask' in '/' has not ended for 2 s, and 1 events" in caplog.text
    assert io.host.watchdog is None
