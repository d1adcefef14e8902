"""Functions on an executor's threads: how many are called, and when and how results come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from rawsio.limits import DEFAULT
from rawsio.log import Log
from rawsio.net.crew import Crew
from rawsio.net.loop import Loop

SOON = 20.0


class Counting(ThreadPoolExecutor):
    """Counts what it is given."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.given = 0

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        self.given += 1
        return super().submit(fn, *args, **more)


class Host:
    """A loop, and what came of the functions that a crew did for it."""

    def __init__(self, executor: Executor) -> None:
        self.executor: Any = executor
        self.loop, self.limits = Loop(), DEFAULT
        self.log: Any = Log(self.loop.time)
        self.results: list[Any] = []
        self.crew = Crew(executor, self)

    def begin(self, fn: Any, *args: Any) -> None:
        self.crew.begin(fn, args, lambda result, error: self.results.append(error or result))

    def on_loop(self) -> bool:
        return threading.get_ident() == self.loop.owner

    def call(self, fn: Any, *args: Any) -> None:
        """Do as a runtime does for another thread."""
        self.loop.call_soon_threadsafe(fn, *args)
        self.crew.posted = True

    def until(self, many: int) -> list[Any]:
        end = self.loop.time() + SOON
        while len(self.results) < many:
            assert self.loop.time() < end, self.results
            self.loop.step(0.05)
        return self.results


@pytest.fixture
def made() -> Iterator[Any]:
    hosts: list[Host] = []
    with Counting(1) as one, Counting(4) as four:

        def make(threads: int) -> Host:
            hosts.append(Host(one if threads == 1 else four))
            return hosts[-1]

        yield make
    for host in hosts:
        host.loop.close()


def test_what_a_turn_begins_is_submitted_once_for_each_thread_at_most(made: Any) -> None:
    host = made(1)
    for number in range(200):
        host.begin(int, number)
    assert host.until(200) == list(range(200))
    assert host.executor.given < 40


def test_as_many_work_as_there_are_threads(made: Any) -> None:
    host, barrier = made(4), threading.Barrier(4)
    for _ in range(4):
        host.begin(barrier.wait, SOON)
    assert sorted(host.until(4)) == [0, 1, 2, 3]


def test_a_result_does_not_wait_for_the_next_function_of_its_thread(made: Any) -> None:
    host, go_on = made(1), threading.Event()
    try:
        for number in range(5):
            host.begin(int, number)
        host.begin(go_on.wait, SOON)
        assert host.until(5) == [0, 1, 2, 3, 4]
    finally:
        go_on.set()
    assert host.until(6)[5] is True


class CountingLock:
    """A lock that counts how often somebody waits for it for a while."""

    waits = 0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release = self._lock.release

    def acquire(self, *, timeout: float = -1) -> bool:
        if timeout > 0:
            CountingLock.waits += 1
        return self._lock.acquire(timeout=timeout)

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._lock.release()


def test_functions_that_block_are_waited_for_seldom(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.net.crew.allocate_lock", CountingLock)
    host, go_on = made(4), threading.Event()
    try:
        for _ in range(60):
            host.begin(go_on.wait, SOON)
            host.loop.step(0.0)
        assert 2 <= CountingLock.waits <= 6
    finally:
        go_on.set()
    host.until(60)


@pytest.mark.parametrize("block", [0.0, 0.002])
def test_what_a_function_gave_the_loop_comes_before_its_result(made: Any, block: float) -> None:
    host = made(4)
    order: list[Any] = []

    def work(number: int) -> int:
        host.call(order.append, ("said", number))
        if block and number % 3 == 0:
            threading.Event().wait(block)
        host.call(order.append, ("said more", number))
        return number

    for number in range(60):
        host.crew.begin(work, (number,), lambda result, _error: order.append(("done", result)))
        if number % 7 == 0:
            host.loop.step(0)
    end = host.loop.time() + SOON
    while len(order) < 180 and host.loop.time() < end:
        host.loop.step(0.05)
    for number in range(60):
        places = [order.index((what, number)) for what in ("said", "said more", "done")]
        assert places == sorted(places)


class TellingLock(CountingLock):
    """One that tells which wait begins, and then waits for longer."""

    began: Any = None

    def acquire(self, *, timeout: float = -1) -> bool:
        if timeout > 0:
            TellingLock.began()
            timeout = 0.3
        return self._lock.acquire(timeout=timeout)


def test_it_comes_before_its_result_also_where_another_ended_meanwhile(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.net.crew.allocate_lock", TellingLock)
    waits, said, last_wait = iter(range(99)), threading.Event(), threading.Event()
    TellingLock.began = lambda: last_wait.set() if next(waits) == 2 else None
    host = made(4)
    host.limits = DEFAULT.but(turn_time=4.0)
    order: list[str] = []

    def say_and_go_on() -> str:
        second.wait(SOON)
        host.call(order.append, "said")
        said.set()
        last_wait.wait(0.2)
        return "done"

    def be_second() -> str:
        second.set()
        said.wait(SOON)
        return "second"

    def told(result: str, _error: Any) -> None:
        order.append(result)
        if result == "first":
            host.crew.begin(be_second, (), told)

    second = threading.Event()
    host.crew.begin(say_and_go_on, (), told)
    host.crew.begin(lambda: "first", (), told)
    end = host.loop.time() + SOON
    while len(order) < 4 and host.loop.time() < end:
        host.loop.step(0.05)
    assert sorted(order) == ["done", "first", "said", "second"]
    assert order.index("said") < order.index("done")


def test_what_follows_a_result_may_begin_the_next(made: Any) -> None:
    host = made(1)
    left = iter(range(50))

    def again(_result: Any, _error: Any) -> None:
        number = next(left, None)
        if number is None:
            host.results.append("over")
        else:
            host.crew.begin(int, (number,), again)

    again(None, None)
    assert host.until(1) == ["over"]


def test_what_raises_is_told_and_the_others_go_on(made: Any) -> None:
    host = made(1)
    lines: list[Any] = []
    host.log = lambda *line: lines.append(line[2])
    host.begin(int, "x")
    host.crew.begin(int, (), lambda _result, _error: 1 // 0)
    host.begin(int, "7")
    error, seven = host.until(2)
    assert isinstance(error, ValueError)
    assert seven == 7
    assert lines == ["what follows a handler raised an exception"]


def test_an_exit_in_what_follows_leaves_the_loop_and_the_others_are_told(made: Any) -> None:
    host = made(1)

    def leave(_result: Any, _error: Any) -> None:
        raise SystemExit

    host.crew.begin(int, (), leave)
    host.begin(int, "7")
    with pytest.raises(SystemExit):
        host.until(1)
    assert host.until(1) == [7]


def test_functions_that_were_begun_before_the_loop_came_run_on_it(made: Any) -> None:
    host = made(1)
    before = host.loop
    host.begin(int, "7")
    before.close()
    host.loop = Loop()
    host.crew.moved()
    assert host.until(1) == [7]


class Lost(Executor):
    """An executor that was shut down."""

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        raise RuntimeError("shut down")


def test_an_executor_that_takes_nothing_fails_them_all() -> None:
    host = Host(Lost())
    for _ in range(3):
        host.begin(int)
    assert [str(error) for error in host.until(3)] == ["shut down"] * 3
    host.loop.close()


def test_functions_that_an_executor_drops_have_failed() -> None:
    with ThreadPoolExecutor(1) as executor:
        host, began, go_on = Host(executor), threading.Event(), threading.Event()

        def wait() -> None:
            began.set()
            go_on.wait(SOON)

        host.begin(wait)
        host.begin(int)
        host.loop.step(0)
        assert began.wait(SOON)
        executor.shutdown(wait=False, cancel_futures=True)
        (error,) = host.until(1)
        assert "shut down before" in str(error)
        go_on.set()
        assert host.until(2)[1] is None
    host.loop.close()


@pytest.mark.parametrize("times", [1, 2])
def test_an_executor_whose_threads_do_not_begin_fails_them(
    times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise ValueError("no database")

    monkeypatch.setattr(logging.getLogger("concurrent.futures"), "disabled", True)
    with ThreadPoolExecutor(1, initializer=fails) as executor:
        host = Host(executor)
        for number in range(1, times + 1):
            host.begin(int)
            assert isinstance(host.until(number)[-1], BrokenExecutor)
    host.loop.close()


class AtOnce(Executor):
    """An executor without threads."""

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **more))
        return future


def test_an_executor_that_calls_at_once_calls_all_in_their_order() -> None:
    host = Host(AtOnce())
    for number in range(2000):
        host.begin(int, number)
    assert host.until(2000) == list(range(2000))
    host.loop.close()


def test_what_else_the_executor_was_given_does_not_wait_until_nothing_is_left() -> None:
    with ThreadPoolExecutor(1) as executor:
        host, done = Host(executor), threading.Event()
        before: list[int] = []

        def work() -> None:
            before.append(len(before))
            done.wait(0.01)

        for _ in range(20):  # each takes longer than a turn, and all longer than the patience
            host.begin(work)
        host.loop.step(0)
        while not before:
            host.loop.step(0.01)
        other = executor.submit(lambda: len(before))
        host.until(20)
        assert other.result() < 10
    host.loop.close()
