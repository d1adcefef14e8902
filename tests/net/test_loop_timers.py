"""The queue of timers: order, cancelling, and not keeping what was cancelled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rawsio.net.loop_timers import NEVER, TimerQueue, bound


def test_a_callback_without_arguments_is_itself() -> None:
    assert bound(print, ()) is print
    assert bound(max, (3, 4))() == 4


@given(st.lists(st.integers(0, 20), max_size=40), st.data())
def test_what_is_due_comes_in_order_and_without_the_cancelled(
    times: list[int], data: st.DataObject
) -> None:
    queue, ran = TimerQueue(), []
    handles = [queue.push(when, ran.append, ((when, n),)) for n, when in enumerate(times)]
    gone = data.draw(st.sets(st.sampled_from(range(len(times))))) if times else set()
    for number in gone:
        handles[number].cancel()
        handles[number].cancel()
    expected = sorted((when, n) for n, when in enumerate(times) if n not in gone)
    for now in range(21):
        assert queue.next == min((w for w, _ in expected if w >= now), default=NEVER)
        for handle in queue.due(now):
            handle.run()
            handle.cancel()
        assert ran == [e for e in expected if e[0] <= now]
    assert len(queue) == 0
    assert queue._cancelled == 0


def test_cancelled_timers_far_ahead_do_not_pile_up() -> None:
    queue = TimerQueue()
    queue.push(1.0, print, ())
    for number in range(10_000):
        queue.push(1e6 + number, print, ()).cancel()
    assert len(queue) < 200
    assert queue.next == 1.0


def test_a_timer_knows_its_time_and_whether_it_was_cancelled() -> None:
    queue = TimerQueue()
    handle = queue.push(7.0, print, ())
    assert (handle.when(), handle.cancelled()) == (7.0, False)
    handle.cancel()
    assert handle.cancelled()
    assert queue.next == NEVER
    queue.push(1.0, print, ())
    queue.clear()
    assert (len(queue), queue.next) == (0, NEVER)
