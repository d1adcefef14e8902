"""Timers of the application, on every host."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rawsio import ConnectionClosed, Server
from rawsio.testing import TestKit


def test_a_timer_calls_once_and_another_again_and_again_at_their_times() -> None:
    io, seen = Server(), []
    with TestKit(io) as kit:
        once = io.call_later(2, lambda *args: seen.append((kit.time, *args)), "once", 1)
        often = io.every(1.5, lambda: seen.append((kit.time,)))
        kit.advance(4.6)
        assert seen == [(1.5,), (2.0, "once", 1), (3.0,), (4.5,)]
        assert once.over
        assert not often.over
        assert "every 1.5 s" in repr(often)
        often.cancel()
        kit.advance(10)
        assert len(seen) == 4
        assert "over" in repr(often)


def test_a_timer_that_was_set_before_goes_along_to_the_loop_that_runs() -> None:
    io, seen = Server(), []
    io.call_later(5, seen.append, "five")
    io.call_later(1, seen.append, "one").cancel()
    with TestKit(io) as kit:
        kit.advance(4.5)
        assert not seen
        kit.advance(0.6)
        assert seen == ["five"]


def test_a_late_timer_leaves_out_what_it_missed_and_keeps_its_times() -> None:
    io, seen = Server(), []
    with TestKit(io) as kit:

        def slow() -> None:
            seen.append(kit.time)
            if len(seen) == 1:
                kit.board.now += 2.2  # it takes so long

        io.every(1, slow)
        kit.advance(6.5)
    assert seen == pytest.approx([1, 4, 5, 6])


def test_a_failing_timer_is_reported_and_goes_on() -> None:
    io, told = Server(), []
    io.on_error(lambda error, socket, event, args: told.append((error, socket, event, args)))
    with TestKit(io) as kit:
        timer = io.every(1, lambda value: 1 / value, 0)
        kit.advance(2.5)
        assert not timer.over
    assert [(type(error), *rest) for error, *rest in told] == [
        (ZeroDivisionError, None, None, [0])
    ] * 2


def test_closing_ends_timers_and_sets_no_more() -> None:
    io, seen = Server(), []
    kit = TestKit(io)
    io.every(1, seen.append, 1)
    io.call_later(1, seen.append, 2)
    kit.close()
    for register in (io.call_later, io.every):
        with pytest.raises(ConnectionClosed, match="the server is closed: it calls no more timers"):
            register(1, print)
    assert not seen


@pytest.mark.parametrize(
    ("seconds", "error"),
    [("1", TypeError), (None, TypeError), (True, TypeError), (-1, ValueError), (1e999, ValueError)],
)
def test_what_is_no_time_is_refused(seconds: Any, error: type[Exception]) -> None:
    with TestKit(Server()) as kit:
        with pytest.raises(error, match="a timer waits"):
            kit.io.call_later(seconds, print)
        with pytest.raises(error, match="a timer waits"):
            kit.io.every(seconds, print)
        with pytest.raises(ValueError, match="more than zero"):
            kit.io.every(0, print)
        with pytest.raises(TypeError, match="what a timer calls is a function, not 5"):
            kit.io.call_later(1, 5)  # type: ignore[arg-type]


def test_on_asyncio_timers_may_be_coroutines_and_do_not_overlap() -> None:
    seen: list[Any] = []

    async def main() -> None:
        io = Server()
        running = 0

        async def tick() -> None:
            nonlocal running
            running += 1
            seen.append(running)
            await asyncio.sleep(0.03)
            running -= 1
            if len(seen) == 3:
                io.close()

        io.every(0.01, tick)
        io.listen()
        await asyncio.wait_for(io.serve(), 60)

    asyncio.run(main())
    assert seen == [1, 1, 1]


def test_timers_run_on_the_executor_and_are_set_and_cancelled_from_any_thread() -> None:
    with ThreadPoolExecutor(1) as executor:
        io = Server(executor=executor)
        io.listen()
        names: list[str] = []
        thread = threading.Thread(target=io.run)
        thread.start()

        def done() -> None:
            names.append(threading.current_thread().name)
            never.cancel()
            io.close()

        never = io.call_later(60, names.append, "never")
        io.call_later(0.01, done)
        thread.join(60)
        assert never.over
    assert len(names) == 1
    assert names[0].startswith("ThreadPoolExecutor")
