"""The lazy heap: postponing is free, nothing is late, nothing is kept."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.net.deadlines import Deadlines
from rawsio.net.loop import Loop

from .kit import Clock, only_new_objects


class Target:
    """Something with a deadline; a tick reports itself and takes the next deadline from a list."""

    def __init__(self, deadline: float | None, then: tuple[float | None, ...] = ()) -> None:
        self.deadline = deadline
        self.then = list(then)
        self.ticks: list[float] = []

    def tick(self, now: float) -> list[Any]:
        self.ticks.append(now)
        self.deadline = self.then.pop(0) if self.then else None
        return [("tick", now)]


class Bench:
    def __init__(self) -> None:
        self.clock = Clock(0.0)
        self.loop = Loop(clock=self.clock)
        self.events: list[Any] = []
        self.lines: list[str] = []
        self.timers = Deadlines(self.loop, lambda _target, events: self.events.extend(events))
        self.timers.log.sink = lambda *line: self.lines.append(line[2])

    def at(self, now: float) -> None:
        self.clock.now = now
        self.loop.step(0)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_error: object) -> None:
        self.loop.close()


def test_who_is_only_expected_to_need_its_deadline_is_watched_if_it_has_one_a_second_later() -> (
    None
):
    with Bench() as b:
        lasting, passing, hasty = Target(5.0), Target(60.0), Target(0.5)
        for target in (lasting, passing, hasty):
            b.timers.expect(target, target.deadline or 0.0)
        assert b.timers.targets == [hasty]
        passing.deadline = None
        b.at(1.0)
        assert hasty.ticks == [1.0]
        assert b.timers.targets == [lasting]
        b.timers.expect(lasting, 4.0)
        lasting.deadline = 4.0
        b.at(4.0)
        assert lasting.ticks == [4.0]
        assert len(b.timers) == 0


def test_thousands_who_were_expected_in_one_second_are_watched_in_several_turns() -> None:
    class Slow(Target):
        """Each look at its deadline takes a tenth of a millisecond."""

        @property
        def deadline(self) -> float | None:
            b.clock.now += 0.0001
            return 60.0

        @deadline.setter
        def deadline(self, _when: float | None) -> None:
            pass

    with Bench() as b:
        targets = [Slow(60.0) for _ in range(1000)]
        for target in targets:
            b.timers.expect(target, 60.0)
        b.at(1.0)
        assert 0 < len(b.timers) < 200
        turns = 1
        while len(b.timers) < 1000:
            b.loop.step(0)
            turns += 1
        assert turns > 5
        assert set(b.timers.targets) == set(targets)


def test_who_was_expected_and_is_forgotten_is_not_kept() -> None:
    with only_new_objects(), Bench() as b:
        target = Target(60.0)
        gone = weakref.ref(target)
        b.timers.expect(target, 60.0)
        b.timers.forget(target)
        del target
        gc.collect()
        assert gone() is None
        b.at(1.0)
        assert len(b.timers) == 0


def test_those_who_come_and_go_one_after_the_other_share_one_timer() -> None:
    with Bench() as b:
        for _ in range(9):
            target = Target(60.0)
            b.timers.expect(target, 60.0)
            b.timers.forget(target)
        assert len(b.loop.deadlines()) == 1
        b.at(1.0)
        assert b.loop.deadlines() == []
        late = Target(3.0)
        b.timers.expect(late, 3.0)
        b.at(2.0)
        assert b.timers.targets == [late]


def test_a_target_is_ticked_at_its_deadline_and_its_events_are_reported() -> None:
    with Bench() as b:
        target = Target(5.0)
        b.timers.watch(target)
        b.at(4.9)
        assert target.ticks == []
        b.at(5.0)
        assert target.ticks == [5.0]
        assert b.events == [("tick", 5.0)]
        b.at(100.0)
        assert target.ticks == [5.0]
        assert len(b.timers) == 0


def test_a_target_with_a_report_of_its_own_gets_its_events_there() -> None:
    with Bench() as b:
        target: Any = Target(1.0)
        got: list[Any] = []
        target.on_events = lambda which, events: got.append((which, events))
        b.timers.watch(target)
        b.at(1.0)
        assert got == [(target, [("tick", 1.0)])]
        assert b.events == []


@pytest.mark.rule("layers-timers-later")
def test_postponing_a_deadline_costs_no_entry() -> None:
    with Bench() as b:
        target = Target(10.0)
        b.timers.watch(target)
        for number in range(1000):
            target.deadline = 10.0 + number
            b.timers.watch(target)
        assert len(b.timers._heap) == 1
        b.at(10.0)
        assert target.ticks == []
        assert len(b.timers._heap) == 1
        b.at(1009.0)
        assert target.ticks == [1009.0]


@pytest.mark.rule("layers-timers-earlier")
def test_a_deadline_that_moves_earlier_is_kept() -> None:
    with Bench() as b:
        target = Target(1000.0)
        b.timers.watch(target)
        target.deadline = 3.0
        b.timers.watch(target)
        b.at(3.0)
        assert target.ticks == [3.0]
        b.at(1000.0)
        assert target.ticks == [3.0]


def test_a_deadline_that_vanished_is_not_ticked() -> None:
    with Bench() as b:
        target = Target(3.0)
        b.timers.watch(target)
        target.deadline = None
        b.timers.watch(target)
        b.at(3.0)
        assert target.ticks == []
        assert len(b.timers) == 0


def test_a_tick_may_set_the_next_deadline() -> None:
    with Bench() as b:
        target = Target(1.0, (2.0, 3.0))
        b.timers.watch(target)
        for now in (1.0, 2.0, 3.0, 4.0):
            b.at(now)
        assert target.ticks == [1.0, 2.0, 3.0]


def test_a_target_that_stays_overdue_does_not_spin_the_loop() -> None:
    with Bench() as b:
        target = Target(1.0, (0.0,) * 1000)
        b.timers.watch(target)
        b.at(5.0)
        for _ in range(20):
            b.loop.step(0)
        assert len(target.ticks) == 1
        b.at(5.002)
        assert len(target.ticks) == 2


def test_a_tick_that_raises_is_logged_and_the_others_are_ticked() -> None:
    with Bench() as b:
        broken, fine = Target(1.0), Target(1.0)
        broken.tick = lambda _now: 1 // 0  # type: ignore[assignment, return-value]
        b.timers.watch(broken)
        b.timers.watch(fine)
        b.at(1.0)
        assert fine.ticks == [1.0]
        assert b.lines == ["a tick raised an exception"]
        assert len(b.timers) == 0


def test_a_forgotten_target_is_freed_though_its_time_is_far() -> None:
    with only_new_objects(), Bench() as b:
        target = Target(1e6)
        b.timers.watch(target)
        target.deadline = 1e5
        b.timers.watch(target)
        b.timers.forget(target)
        b.timers.forget(target)
        ghost = weakref.ref(target)
        del target
        gc.collect()
        assert ghost() is None


def test_connections_that_come_and_go_do_not_pile_up() -> None:
    with Bench() as b:
        stay = Target(1e6)
        b.timers.watch(stay)
        for number in range(10_000):
            target = Target(60.0 + number)
            b.timers.watch(target)
            b.timers.forget(target)
        assert len(b.timers._heap) < 200
        assert len(b.timers) == 1


@pytest.mark.rule("layers-timers-one")
def test_thousands_of_targets_are_one_timer_of_the_loop() -> None:
    with Bench() as b:
        targets = [Target(10.0 + n % 100) for n in range(5000)]
        for target in targets:
            b.timers.watch(target)
        assert len(b.loop._timers) - b.loop._timers._cancelled == 1
        for now in range(9, 110):
            b.at(float(now))
        assert all(t.ticks == [10.0 + n % 100] for n, t in enumerate(targets))
        assert b.loop.next_deadline() is None


WHEN = st.one_of(st.none(), st.integers(0, 12).map(float))


@given(
    st.lists(WHEN, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3), WHEN), max_size=8),
)
@example([12.0], [(1, 0, 3.0), (2, 0, 9.0), (9, 0, None), (10, 0, 12.0)])
def test_every_target_is_ticked_exactly_when_it_wants(
    first: list[float | None], moves: list[tuple[int, int, float | None]]
) -> None:
    with Bench() as b:
        targets = [Target(deadline) for deadline in first]
        expected: list[list[float]] = [[] for _ in targets]
        for target in targets:
            b.timers.watch(target)
        for now in range(13):
            for number, target in enumerate(targets):
                if target.deadline is not None and target.deadline <= now:
                    expected[number].append(float(now))
            b.at(float(now))
            assert [t.ticks for t in targets] == expected
            for when, which, deadline in moves:
                if when == now and (deadline is None or deadline > now):
                    target = targets[which % len(targets)]
                    target.deadline = deadline
                    b.timers.watch(target)


def test_it_works_over_asyncio() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        events: list[Any] = []
        timers = Deadlines(loop, lambda _t, e: (events.extend(e), done.set_result(None)))  # type: ignore[arg-type]
        timers.watch(Target(loop.time() + 0.01))
        await asyncio.wait_for(done, 60)
        return events

    assert [event[0] for event in asyncio.run(main())] == ["tick"]
