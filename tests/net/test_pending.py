"""A loop that has not begun: nothing is lost on the way to the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rawsio.net.loop import Loop
from rawsio.net.pending import PendingLoop


class World:
    """A pending loop, a real one with a clock of its own, and what was called."""

    def __init__(self) -> None:
        self.now = 500.0
        self.called: list[object] = []
        self.pending = PendingLoop()
        self.pending.time = lambda: 10.0  # type: ignore[method-assign]
        self.loop = Loop(None, lambda: self.now)

    def turn(self) -> list[object]:
        self.loop.step(0)
        called = self.called.copy()
        self.called.clear()
        return called


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def test_callbacks_wait_for_the_loop_in_their_order(world: World) -> None:
    for number in range(3):
        world.pending.call_soon(world.called.append, number)
    world.pending.call_soon_threadsafe(world.called.append, 3)
    assert not world.called
    world.pending.hand_over(world.loop)
    assert world.turn() == [0, 1, 2, 3]


def test_a_timer_has_its_time_on_the_clock_of_the_loop(world: World) -> None:
    world.pending.call_later(5.0, world.called.append, "late")
    world.pending.hand_over(world.loop)
    assert world.turn() == []
    world.now += 4.9
    assert world.turn() == []
    world.now += 0.2
    assert world.turn() == ["late"]


@pytest.mark.parametrize("handed_over", [False, True])
def test_a_cancelled_timer_is_not_called(world: World, handed_over: bool) -> None:
    timer = world.pending.call_later(1.0, world.called.append, "never")
    if handed_over:
        world.pending.hand_over(world.loop)
    timer.cancel()
    if not handed_over:
        world.pending.hand_over(world.loop)
    world.now += 2.0
    assert world.turn() == []
    assert not world.loop.deadlines()


def test_who_still_holds_it_reaches_the_loop(world: World) -> None:
    world.pending.hand_over(world.loop)
    thread = threading.Thread(
        target=world.pending.call_soon_threadsafe, args=(world.called.append, "from a thread")
    )
    thread.start()
    thread.join()
    world.pending.call_later(1.0, world.called.append, "a timer")
    assert world.turn() == ["from a thread"]
    world.now += 1.5
    assert world.turn() == ["a timer"]


def test_nothing_is_lost_or_doubled_when_threads_call_while_it_is_handed_over(
    world: World,
) -> None:
    def call() -> None:
        for number in range(200):
            world.pending.call_soon_threadsafe(world.called.append, number)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    world.pending.hand_over(world.loop)
    for thread in threads:
        thread.join()
    world.loop.step(0)
    assert sorted(world.called) == sorted([*range(200)] * 4)  # type: ignore[type-var]


def test_the_thread_that_made_it_owns_it(world: World) -> None:
    assert world.pending.owned()
    owned: list[bool] = []
    thread = threading.Thread(target=lambda: owned.append(world.pending.owned()))
    thread.start()
    thread.join()
    assert owned == [False]
