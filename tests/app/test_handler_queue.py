"""One after another, whether a step ends at once or later."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.app.handler_queue import HandlerChain, HandlerQueue, Step, log_failure
from rawsio.limits import Limits
from rawsio.socketio.packets import Event

from .world import World


class Recorded(HandlerChain):
    def __init__(self, world: World, steps: Any, go_on: bool = True) -> None:
        super().__init__(world, steps)
        self.seen: list[Any] = []
        self.go_on = go_on

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        self.seen.append((position, result if error is None else type(error)))
        return self.go_on or error is None

    def finished(self) -> None:
        self.seen.append("finished")

    def proceeded(self) -> None:
        self.seen.append("proceeded")


def test_steps_that_end_at_once_need_no_callback() -> None:
    steps = [(Step.CALL, abs, (-n,)) for n in range(5000)]
    run = Recorded(World(), steps)
    assert run.run()
    assert run.seen[-2:] == [(4999, 4999), "finished"]


def test_a_step_that_ends_later_holds_the_next_one_up() -> None:
    world = World(policy="deferred")
    order: list[str] = []
    run = Recorded(
        world,
        [
            (Step.CALL, order.append, ("first",)),
            (Step.INTERNAL, order.append, ("here",)),
            (Step.CALL, order.append, ("second",)),
        ],
    )
    assert not run.run()
    assert order == []
    world.finish()
    assert order == ["first", "here"]
    world.finish()
    assert order == ["first", "here", "second"]
    assert run.seen == [(0, None), (2, None), "finished", "proceeded"]


def test_a_step_aside_is_started_in_order_and_not_waited_for() -> None:
    world = World(policy="deferred")
    run = Recorded(
        world, [(Step.CONCURRENT, abs, (-1,)), (Step.CALL, abs, (-2,)), (Step.CONCURRENT, int, ())]
    )
    assert not run.run()
    world.finish(1)
    assert run.seen == [(1, 2), "proceeded"]
    world.finish()
    world.finish()
    assert run.seen == [(1, 2), "proceeded", (0, 1), (2, 0), "finished"]


def test_a_sequence_may_stop_at_the_first_error() -> None:
    world = World()
    run = Recorded(world, [(Step.CALL, int, ("x",)), (Step.CALL, abs, (1,))], go_on=False)
    assert run.run()
    assert run.seen == [(0, ValueError), "finished"]


class SessionPort:
    def __init__(self) -> None:
        self.paused: list[bool] = []

    def pause(self, paused: bool) -> None:
        self.paused.append(paused)


def test_jobs_start_in_order_each_when_the_last_one_has_ended() -> None:
    sink: Any = SessionPort()
    queue = HandlerQueue(World(limits=Limits(queued_events=4)), sink)
    done: list[int] = []

    def job(number: int, ends: bool) -> bool:
        done.append(number)
        return ends

    queue.perform(job, 0, True)
    queue.perform(job, 1, False)
    for number in range(2, 8):
        queue.perform(job, number, number != 6)
    assert done == [0, 1]
    assert queue.queued == 6
    assert queue.paused
    queue.proceed()
    assert done == [0, 1, 2, 3, 4, 5, 6]
    assert not queue.paused
    assert sink.paused == [True, False]
    queue.proceed()
    assert done[-1] == 7
    assert not queue.busy
    assert queue.queued == 0


def test_what_waits_is_worked_off_by_shares_of_a_turn() -> None:
    world = World(policy="deferred", limits=Limits(turn_time=1.0))
    queue = HandlerQueue(world, _NoSink())  # type: ignore[arg-type]
    done: list[int] = []

    def job(number: int) -> bool:
        done.append(number)
        world.now += 0.4
        return number > 0

    for number in range(10):
        queue.perform(job, number)
    assert done == [0]
    queue.proceed()
    assert (done, queue.busy) == ([0, 1, 2, 3], True)
    queue.perform(job, 10)  # what comes meanwhile keeps its place
    for _ in range(9):
        world.pass_time(1.5)
    assert (done, queue.busy) == (list(range(11)), False)


def test_a_job_that_stops_the_program_leaves_the_queue_free() -> None:
    sink: Any = SessionPort()
    queue = HandlerQueue(World(), sink)
    done: list[str] = []

    def stop() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.perform(stop)
    assert not queue.busy
    queue.perform(lambda: done.append("next") is None)
    assert (done, queue.busy) == (["next"], False)


def test_what_a_peer_wrote_is_escaped_in_the_log() -> None:
    world = World()
    log_failure(world, "a handler of", "\x1b[2J\n", "/\n", ValueError("x"))
    log_failure(world, "a handler of", 7, "/", ValueError("x"))
    assert all("\n" not in line[2] and "\x1b" not in line[2] for line in world.lines)


def test_a_handler_that_holds_others_up_is_named_once_with_the_cure() -> None:
    world = World(policy="deferred")
    queue = HandlerQueue(world, _NoSink())  # type: ignore[arg-type]
    event = Event("/", ["job", 1])
    queue.perform(lambda *_args: False, "socket", event)
    for _ in range(3):
        queue.perform(lambda: True)
    world.pass_time(world.limits.held_up_time)
    (line,) = [text for _channel, _level, text in world.lines]
    assert line == (
        "the handler of 'job' in '/' has not ended for 5 s, and 3 events of the same connection "
        "wait for it; if it waits for an answer of the other end, register it with "
        "on('job', ..., concurrent=True)"
    )
    world.pass_time(100.0)
    assert len(world.lines) == 1


def test_a_queue_that_moves_on_is_not_named() -> None:
    world = World(policy="deferred")
    queue = HandlerQueue(world, _NoSink())  # type: ignore[arg-type]
    queue.perform(lambda: False)
    for _ in range(4):
        queue.perform(lambda *_args: False, "next")
    for _ in range(4):
        world.pass_time(3.0)
        queue.proceed()
    queue.proceed()
    world.pass_time(100.0)
    assert world.lines == []


class _NoSink:
    def pause(self, _paused: bool) -> None:
        """Hold nothing back."""
