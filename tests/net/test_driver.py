"""The driver: one flush a turn for all that was touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rawsio.net.driver import Driver
from rawsio.net.loop import Loop

from .kit import joined


class Target:
    def __init__(self, log: list[Any], name: str, then: Any = None) -> None:
        self.log = log
        self.name = name
        self.then = then

    def flush(self) -> None:
        self.log.append(self.name)
        if self.then is not None:
            self.then()


@pytest.fixture
def driver():
    loop = Loop()
    made = Driver(loop)
    made.log.sink = lambda *_line: None
    yield made
    loop.close()


def test_what_was_touched_is_flushed_once_in_order(driver: Driver) -> None:
    log: list[str] = []
    a, b = Target(log, "a"), Target(log, "b")
    for target in (a, b, a, b, a):
        driver.touch(target)
    assert log == []
    driver.loop.step(0)
    assert log == ["a", "b"]
    driver.loop.step(0)
    assert log == ["a", "b"]


def test_what_a_flush_touches_is_flushed_in_the_same_turn(driver: Driver) -> None:
    log: list[str] = []
    stream = Target(log, "stream")
    session = Target(log, "session", lambda: driver.touch(stream))
    driver.loop.call_soon_threadsafe(driver.touch, session)  # an emit from another thread
    driver.loop.step(0)
    assert log == ["session", "stream"]


def test_targets_that_touch_each_other_for_ever_leave_the_loop_its_turns(driver: Driver) -> None:
    log: list[str] = []
    target = Target(log, "x")
    target.then = lambda: driver.touch(target)
    driver.touch(target)
    driver.loop.step(0)
    assert len(log) < 10
    before = len(log)
    driver.loop.step(0)
    assert len(log) > before


def test_a_flush_that_raises_does_not_stop_the_others_and_aborts_its_target(
    driver: Driver,
) -> None:
    log: list[Any] = []
    broken: Any = Target(log, "broken", lambda: 1 // 0)
    driver.touch(broken)
    other: Any = Target(log, "aborted", lambda: 1 // 0)
    other.abort = log.append
    driver.touch(other)
    driver.touch(Target(log, "fine"))
    driver.loop.step(0)
    assert log == ["broken", "aborted", "internal error", "fine"]


@pytest.mark.rule("layers-driver-wake")
def test_a_touch_outside_a_turn_wakes_the_host() -> None:
    import select

    with joined() as t:
        t.say(b"emitted outside")
        assert select.select([t.loop.fileno()], [], [], 0)[0]
        t.loop.step(0)
        assert t.peer.recv(100) == b"emitted outside"
        assert not select.select([t.loop.fileno()], [], [], 0)[0]


def test_a_hundred_touches_schedule_one_flush() -> None:
    scheduled: list[Any] = []
    loop = Loop()
    loop_like: Any = type(
        "L", (), {"time": loop.time, "call_soon": staticmethod(scheduled.append)}
    )()
    driver = Driver(loop_like)
    for number in range(100):
        driver.touch(number)
    assert len(scheduled) == 1
    loop.close()


def test_a_forgotten_target_is_not_flushed(driver: Driver) -> None:
    log: list[str] = []
    target = Target(log, "x")
    driver.touch(target)
    driver.forget(target)
    driver.loop.step(0)
    assert log == []


def test_watched_targets_report_where_the_driver_says() -> None:
    class Session:
        deadline: float | None = 0.0

        def tick(self, _now: float) -> list[Any]:
            self.deadline = None
            return ["ping"]

    loop = Loop()
    got: list[Any] = []
    driver = Driver(loop, on_events=lambda target, events: got.append((target, events)))
    session = Session()
    driver.watch(session)
    loop.step(0)
    assert got == [(session, ["ping"])]
    lines: list[str] = []
    nobody = Driver(loop)
    nobody.log.sink = lambda *line: lines.append(repr(line[3]))
    session.deadline = 0.0
    nobody.watch(session)
    loop.step(0)
    assert "nobody takes them" in lines[0]
    loop.close()


def test_on_asyncio_the_flush_is_one_call_soon() -> None:
    async def main() -> list[str]:
        log: list[str] = []
        driver = Driver(asyncio.get_running_loop())
        driver.touch(Target(log, "x"))
        driver.touch(Target(log, "y"))
        await asyncio.sleep(0)
        return log

    assert asyncio.run(main()) == ["x", "y"]
