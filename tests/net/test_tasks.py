"""asyncio's tasks on a loop of ours, with a clock that a test sets."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from rawsio.net.loop import Loop
from rawsio.net.tasks import TaskLoop

from .kit import only_new_objects


class World:
    """A loop whose clock jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loop = Loop(None, lambda: self.now)
        self.tasks = TaskLoop(self.loop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        task = self.tasks.create_task(coroutine)
        for _ in range(1000):
            self.loop.step(0)
            if task.done():
                return task.result()
            due = self.loop.next_deadline()
            if due is None:
                break
            self.now = max(self.now, due)
        raise AssertionError("it never ends")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def test_sleeping_takes_the_time_of_the_clock(world: World) -> None:
    async def main() -> float:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - began

    assert world.run(main()) == 3600.0


def test_the_tools_of_asyncio_work(world: World) -> None:
    async def worker(queue: asyncio.Queue[int], lock: asyncio.Lock) -> int:
        async with lock:
            await asyncio.sleep(1)
            return 2 * await queue.get()

    async def main() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        lock = asyncio.Lock()
        for number in range(3):
            queue.put_nowait(number)
        return await asyncio.gather(*[worker(queue, lock) for _ in range(3)])

    assert world.run(main()) == [0, 2, 4]
    assert world.now == 3.0


def test_a_time_out_is_one_and_leaves_no_timer(world: World) -> None:
    async def main() -> str:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 5)
        return await asyncio.wait_for(asyncio.sleep(1, "in time"), 60)

    assert world.run(main()) == "in time"
    assert world.now == 6.0
    assert not world.loop.deadlines()


def test_a_cancelled_task_and_a_cancelled_callback_do_not_run(world: World) -> None:
    called: list[int] = []
    world.tasks.call_soon(called.append, 1).cancel()
    world.tasks.call_later(1.0, called.append, 2).cancel()
    world.tasks.call_soon_threadsafe(called.append, 3)
    task = world.tasks.create_task(asyncio.sleep(60))
    world.loop.step(0)
    task.cancel()
    world.loop.step(0)
    assert task.cancelled()
    assert called == [3]


def test_it_is_the_running_loop_only_while_its_callbacks_run(world: World) -> None:
    async def main() -> Any:
        return asyncio.get_running_loop()

    assert world.run(main()) is world.tasks
    with pytest.raises(RuntimeError, match="no running"):
        asyncio.get_running_loop()


def test_a_task_that_nobody_asks_about_has_its_failure_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise KeyError("mine")

    with only_new_objects(), caplog.at_level(logging.ERROR):
        task = world.tasks.create_task(fail())
        world.loop.step(0)
        del task
        gc.collect()
    assert "never retrieved" in caplog.text


def test_threads_are_refused(world: World) -> None:
    with pytest.raises(RuntimeError, match="a clock of its own"):
        world.run(asyncio.to_thread(print))
