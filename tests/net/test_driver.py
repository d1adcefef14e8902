"""The driver: one flush a turn for all that was touched."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rawsio.net.driver import Driver
from rawsio.net.loop import Loop

from .kit import Clock, joined


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


def test_what_is_touched_first_is_flushed_once_and_before_all_others(driver: Driver) -> None:
    log: list[str] = []
    others = [Target(log, "other") for _ in range(40)]
    for other in others:
        driver.touch(other)
    late = Target(log, "late")
    first = Target(log, "first", lambda: driver.touch_first(late))
    driver.touch_first(first)
    driver.touch_first(first)
    driver.loop.step(0)
    assert log[:2] == ["first", "other"]
    assert sorted(log[1:]) == ["late"] + ["other"] * 40


def test_what_is_touched_first_alone_is_flushed_and_may_fail(driver: Driver) -> None:
    log: list[str] = []

    def fail() -> None:
        raise ValueError("on purpose")

    driver.touch_first(Target(log, "broken", fail))
    driver.touch_first(Target(log, "whole"))
    driver.loop.step(0)
    assert log == ["broken", "whole"]


class Lane:
    """An outbox, and the stream that sends it: so many bytes at a time."""

    def __init__(self, driver: Driver, most: int = 100, waiting: tuple[bytes, ...] = ()) -> None:
        self.driver = driver
        self.most = most
        self.outbox: list[Any] = [*waiting]
        self.stream = self.sock = self
        self._calm = True
        self.sent: list[bytes] = []
        self.then: Any = None

    def send(self, data: bytes) -> int:
        if self.then is not None:
            self.then()
        self.sent.append(bytes(data[: self.most]))
        return min(len(data), self.most)

    def flush(self) -> None:
        self.sent.append(b"".join(self.outbox))
        del self.outbox[:]


def test_what_is_handed_out_leaves_at_once_but_where_something_waits(driver: Driver) -> None:
    fast, slow, full, busy = (
        Lane(driver),
        Lane(driver, most=2),
        Lane(driver, most=0),
        Lane(driver, waiting=(b"before ",)),
    )
    driver.touch(busy)
    driver.hand_out([fast, slow, full, busy], b"news", now=True)
    assert (fast.sent, slow.sent, full.sent, busy.sent) == ([b"news"], [b"ne"], [b""], [])
    driver.loop.step(0)
    assert (fast.sent, fast.outbox) == ([b"news"], [])
    assert (slow.sent, full.sent, busy.sent) == (
        [b"ne", b"ws"],
        [b"", b"news"],
        [b"before news"],
    )


def test_what_is_handed_out_with_more_to_come_waits_for_the_end_of_the_turn(driver: Driver) -> None:
    lane = Lane(driver)
    driver.hand_out([lane], b"one ", now=False)
    driver.hand_out([lane], b"two", now=True)
    assert lane.sent == []
    driver.loop.step(0)
    assert lane.sent == [b"one two"]


def test_who_gets_nothing_before_the_turn_is_over_gets_it_in_the_next_ones() -> None:
    clock = Clock()
    loop = Loop(clock=clock)
    driver = Driver(loop)
    lanes = [Lane(driver) for _ in range(20)]

    def pass_time() -> None:
        clock.now += driver.limits.turn_time / 2

    for lane in lanes:
        lane.then = pass_time
    driver.hand_out(lanes, b"news", now=True)
    at_once = sum(bool(lane.sent) for lane in lanes)
    assert 2 <= at_once < 8
    loop.step(0)
    assert [lane.sent for lane in lanes] == [[b"news"]] * 20
    for _ in range(20):
        driver.touch(Target([], "slow", pass_time))
    driver.flush()
    assert driver.behind
    driver.hand_out([fast := Lane(driver)], b"news", now=True)
    assert fast.sent == [], "others have waited for longer"
    loop.step(0)
    assert fast.sent == [b"news"]
    loop.close()


def test_an_interrupt_while_something_is_handed_out_leaves_nobody_out(driver: Driver) -> None:
    lanes = [Lane(driver) for _ in range(4)]

    def interrupt() -> None:
        raise KeyboardInterrupt

    lanes[1].then = interrupt
    with pytest.raises(KeyboardInterrupt):
        driver.hand_out(lanes, b"news", now=True)
    driver.loop.step(0)
    assert [lane.sent for lane in lanes] == [[b"news"], [], [b"news"], [b"news"]]


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


class Resting:
    """Has an answer, and waits for the next request after it, or has more to do."""

    def __init__(self, answer: bytes, *, rests: bool = True) -> None:
        self.answer = answer
        self.rests = rests

    def rest(self, _now: float) -> list[bytes] | None:
        if not self.rests:
            return None
        answer, self.answer = self.answer, b""
        return [answer] if answer else []


def test_a_read_that_is_taken_is_kept_from_the_layer_and_its_answer_sent_in_that_turn() -> None:
    with joined() as t:
        said = []

        def offer(stream: Any, data: bytes, now: float) -> bool:
            assert stream is t.stream
            said.append((data, now <= t.driver.time()))
            if data != b"mine":
                return False
            t.driver.answered(stream, Resting(b"answer"))
            return True

        t.stream.offer = offer
        ticks = len(t.layer.ticks)
        for data in (b"mine", b"yours"):
            t.peer.sendall(data)
            t.loop.step(0)
        assert said == [(b"mine", True), (b"yours", True)]
        assert t.owner.events == [b"yours"]
        assert len(t.layer.ticks) == ticks + 1
        assert t.sock.sends == [6]
        assert t.peer_reads() == b"answer"


def test_an_offer_that_raises_cuts_this_connection_alone() -> None:
    with joined() as t:
        t.stream.offer = lambda _stream, _data, _now: bool(1 // 0)
        t.peer.sendall(b"x")
        t.loop.step(0)
        assert t.owner.closed == ["internal error"]
        assert len(t.lines) == 1


def test_an_answer_of_a_stream_that_has_more_to_do_is_a_flush() -> None:
    with joined() as t:
        t.layer.send(b"all of it")
        t.driver.answered(t.stream, Resting(b"answer", rests=False))
        t.loop.step(0)
        assert t.peer_reads() == b"all of it"


def test_a_stream_that_has_answered_is_ticked_when_the_next_request_is_late() -> None:
    clock = Clock()
    with joined(clock=clock) as t:
        idle = t.driver.limits.idle_time
        t.driver.answered(t.stream, Resting(b"answer"))
        t.loop.step(0)
        t.layer.deadline = clock.now + idle
        ticks = len(t.layer.ticks)
        clock.now += idle
        t.loop.step(0)
        assert len(t.layer.ticks) == ticks + 1


def test_an_answer_that_the_kernel_does_not_take_waits_and_the_meter_hears_of_it() -> None:
    with joined() as t:
        heard: list[Any] = []

        class Meter:
            def flushed(self, targets: dict[Any, Any]) -> None:
                heard.extend(targets)

            def forget(self, target: Any) -> None:
                """It is over."""

        t.driver.meter = Meter()
        t.sock.most = 2
        t.driver.answered(t.stream, Resting(b"answer"))
        t.loop.step(0)
        assert t.stream.buffered_amount == 2  # it was offered twice
        t.turns(4)
        assert heard == [t.stream]
        assert t.peer_reads() == b"answer"


def test_an_answer_that_cannot_be_sent_ends_its_connection_and_no_other() -> None:
    with joined() as t:
        broken: Any = Resting(b"answer")
        broken.rest = lambda _now: 1 // 0
        fine = Resting(b"fine")
        t.driver.answered(t.stream, fine)
        t.driver.answered(t.stream, broken)
        t.loop.step(0)
        assert t.peer_reads() == b"fine"
        assert t.owner.closed == ["internal error"]
        t.driver.answered(t.stream, fine)
        t.turns()
        assert t.owner.closed == ["internal error"]


def test_an_answer_that_another_one_leads_to_is_sent_as_well() -> None:
    with joined() as t:
        second = Resting(b"second")

        class First(Resting):
            def rest(self, now: float) -> list[bytes] | None:
                t.driver.answered(t.stream, second)
                return super().rest(now)

        first = First(b"first")
        t.driver.answered(t.stream, first)
        t.turns(2)
        assert t.peer_reads() == b"firstsecond"
