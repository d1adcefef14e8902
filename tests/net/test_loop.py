"""The loop: asyncio's semantics, the turn's order, waking up, and living in a foreign loop."""

from __future__ import annotations

import asyncio
import io
import os
import select
import selectors
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.net.loop import Loop

from .kit import Clock, CountingSelector


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(CountingSelector())
    made.log.sink = lambda *line: LINES.append(line[2])
    LINES.clear()
    yield made
    made.close()


LINES: list[str] = []


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def readable(fd: int, timeout: float = 0.0) -> bool:
    return bool(select.select([fd], [], [], timeout)[0])


# The turn


def test_a_turn_is_io_then_timers_then_call_soon(loop: Loop, pair: Any) -> None:
    order: list[str] = []
    ours, theirs = pair

    def read() -> None:
        ours.recv(10)
        order.append("read")
        loop.call_soon(order.append, "soon")

    loop.add_reader(ours, read)
    loop.call_later(0, order.append, "timer")
    theirs.send(b"x")
    loop.step(0)
    assert order == ["read", "timer", "soon"]


def test_what_call_soon_schedules_runs_in_the_same_turn_but_not_for_ever(loop: Loop) -> None:
    count = [0]

    def again() -> None:
        count[0] += 1
        loop.call_soon(again)

    loop.call_soon(again)
    loop.step(0)
    assert count == [2]
    loop.step(0)
    assert count == [4]


def test_arguments_are_passed_on(loop: Loop, pair: Any) -> None:
    ours, theirs = pair
    got: list[Any] = []

    def keep(*arguments: Any) -> None:
        got.append(arguments)

    theirs.send(b"x")
    loop.add_reader(ours.fileno(), keep, "reader", 1)
    loop.add_writer(ours.fileno(), keep, "writer")
    loop.call_later(0, keep, "later", 2)
    loop.call_soon(keep, "soon", 3)
    loop.call_soon_threadsafe(keep, "threadsafe")
    loop.step(0)
    assert got == [("reader", 1), ("writer",), ("later", 2), ("soon", 3), ("threadsafe",)]


@pytest.mark.rule("layers-loop-step")
def test_a_step_inside_a_turn_is_refused(loop: Loop) -> None:
    caught: list[Exception] = []

    def callback() -> None:
        for forbidden in (loop.step, loop.run, loop.close):
            try:
                forbidden()
            except RuntimeError as error:
                caught.append(error)

    loop.call_soon(callback)
    loop.step(0)
    assert len(caught) == 3
    loop.step(0)


@pytest.mark.rule("layers-loop-exceptions")
def test_an_exception_in_a_callback_is_logged_and_the_others_still_run(
    loop: Loop, pair: Any
) -> None:
    loop.time = Clock()  # the turn has all the time that it needs
    ours, theirs = pair
    theirs.send(b"x")
    ran: list[str] = []

    def broken() -> None:
        raise ZeroDivisionError

    loop.add_reader(ours, broken)
    loop.add_writer(theirs, ran.append, "writer")
    loop.call_later(0, broken)
    loop.call_later(0, ran.append, "timer")
    loop.call_soon(broken)
    loop.call_soon(ran.append, "soon")
    loop.step(0)
    assert ran == ["writer", "timer", "soon"]
    assert len(LINES) == 3


def test_an_interrupt_passes_through_and_the_rest_runs_in_the_next_turn(loop: Loop) -> None:
    ran: list[str] = []

    def interrupted() -> None:
        raise KeyboardInterrupt

    loop.call_soon(interrupted)
    loop.call_soon(ran.append, "afterwards")
    loop.call_later(0, interrupted)
    loop.call_later(0, ran.append, "timer")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loop.step(0)
    loop.step(0)
    assert ran == ["timer", "afterwards"]


def test_run_ends_after_the_turn_in_which_stop_was_called(loop: Loop) -> None:
    ran: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(ran.append, "same turn")
    loop.run()
    assert ran == ["same turn"]
    loop.stop()
    loop.call_soon(ran.append, "one turn")
    loop.run()
    assert ran == ["same turn", "one turn"]


def test_a_closed_loop_refuses_work_and_closing_again_does_nothing() -> None:
    loop = Loop()
    loop.close()
    loop.close()
    for refused in (
        lambda: loop.step(0),
        lambda: loop.call_soon(print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.call_later(0, print),
        lambda: loop.add_reader(0, print),
        loop.fileno,
    ):
        with pytest.raises(RuntimeError):
            refused()
    assert loop.remove_reader(0) is False
    assert loop.remove_writer(0) is False


# Descriptors


def test_readers_and_writers_are_added_replaced_and_removed(loop: Loop, pair: Any) -> None:
    ours, theirs = pair
    seen: list[str] = []
    theirs.send(b"x")
    loop.add_reader(ours, seen.append, "old")
    loop.add_reader(ours, seen.append, "new")
    loop.add_writer(ours, seen.append, "writer")
    loop.step(0)
    assert seen == ["new", "writer"]
    assert loop.remove_reader(ours) is True
    assert loop.remove_reader(ours) is False
    loop.step(0)
    assert seen == ["new", "writer", "writer"]
    assert loop.remove_writer(ours) is True
    assert loop.remove_writer(ours) is False
    assert loop.remove_reader(ours.fileno()) is False
    loop.step(0)
    assert len(seen) == 3


def test_a_callback_may_remove_another_of_the_same_batch(loop: Loop) -> None:
    pairs = [socket.socketpair() for _ in range(10)]
    seen: list[int] = []

    def close_the_others(me: int) -> None:
        seen.append(me)
        for number, (ours, _) in enumerate(pairs):
            if number != me:
                loop.remove_reader(ours)
                ours.close()

    for number, (ours, theirs) in enumerate(pairs):
        theirs.send(b"x")
        loop.add_reader(ours, close_the_others, number)
    loop.step(0)
    assert len(seen) == 1
    for ours, theirs in pairs:
        loop.remove_reader(ours) if ours.fileno() >= 0 else None
        ours.close()
        theirs.close()


@pytest.mark.parametrize(
    "kind",
    [
        lambda: None,  # what is best here
        *(
            getattr(selectors, name)
            for name in ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector")
            if hasattr(selectors, name)
        ),
    ],
    ids=lambda kind: kind.__name__,
)
def test_a_descriptor_closed_without_being_removed_does_not_stop_or_spin_the_loop(
    kind: Any,
) -> None:
    loop = Loop(kind())
    loop.log.sink = lambda *_line: None
    forgotten, peer = socket.socketpair()
    seen: list[bytes] = []
    loop.add_reader(forgotten, lambda: seen.append(forgotten.recv(10)))
    number = forgotten.fileno()
    forgotten.close()
    loop.step(0)
    loop.step(0)
    # The next socket gets the number again.
    ours, theirs = socket.socketpair()
    if ours.fileno() != number:
        os.dup2(ours.fileno(), number)
        ours.close()
        ours = socket.socket(fileno=number)
    loop.add_reader(ours, lambda: seen.append(ours.recv(10)))
    theirs.send(b"new")
    loop.step(1)
    assert seen == [b"new"]
    loop.remove_reader(ours)
    for sock in (peer, ours, theirs):
        sock.close()
    loop.close()


def test_a_selector_that_fails_for_another_reason_is_not_hidden(loop: Loop) -> None:
    def fail(_timeout: float | None = None) -> Any:
        raise OSError("the kernel is on fire")

    selector: Any = loop._poll
    selector = selector._selector
    select_before, selector.select = selector.select, fail
    with pytest.raises(OSError, match="on fire"):
        loop.step(0)
    selector.select = select_before
    loop.step(0)


# Timers


def test_timers_run_in_order_of_time_on_the_given_clock() -> None:
    clock = Clock()
    loop = Loop(CountingSelector(), clock)
    ran: list[str] = []
    loop.call_later(2, ran.append, "second")
    loop.call_later(1, ran.append, "first")
    loop.call_later(1, ran.append, "first too")
    cancelled = loop.call_later(1, ran.append, "never")
    cancelled.cancel()
    loop.step(0)
    assert ran == []
    clock.now += 1
    loop.step(0)
    assert ran == ["first", "first too"]
    clock.now += 100
    loop.step(0)
    assert ran == ["first", "first too", "second"]
    assert loop.next_deadline() is None
    loop.close()


def test_a_timer_that_schedules_itself_for_at_once_runs_once_a_turn() -> None:
    loop = Loop(clock=Clock())
    count = [0]

    def again() -> None:
        count[0] += 1
        loop.call_later(0, again)

    loop.call_later(0, again)
    loop.step(0)
    loop.step(0)
    assert count == [2]
    loop.close()


def test_select_waits_for_the_next_timer_and_for_a_day_at_most() -> None:
    class Lazy(CountingSelector):
        def select(self, timeout: float | None = None) -> Any:
            self.timeouts.append(timeout)
            return []

    selector, clock = Lazy(), Clock()
    loop = Loop(selector, clock)
    loop.step()
    loop.step(1e9)
    loop.call_later(5, print)
    loop.step()
    clock.now += 1
    loop.step()
    loop.step(2)
    loop.step(-3)
    assert selector.timeouts == [86400.0, 86400.0, 5.0, 4.0, 2, 0.0]
    loop.close()


# Waking, and life in a foreign loop


@pytest.mark.rule("layers-driver-wake")
def test_call_soon_outside_a_turn_wakes_a_host_that_polls_the_descriptor(loop: Loop) -> None:
    loop.step(0)
    assert not readable(loop.fileno())
    loop.call_soon(len, ())
    assert readable(loop.fileno())
    assert loop.next_deadline() == 0.0
    loop.step(0)
    assert not readable(loop.fileno())
    assert loop.next_deadline() is None


def test_a_call_of_another_thread_in_a_turn_of_run_wakes_nobody_and_comes_all_the_same(
    loop: Loop,
) -> None:
    got: list[Any] = []

    def call(*args: Any) -> None:
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=args)
        thread.start()
        thread.join()

    def look() -> None:
        call(got.append, "called")
        got.append(readable(loop.fileno()))
        loop.call_later(0.001, last)

    def last() -> None:
        loop.stop()
        call(loop.call_soon, loop.call_soon, got.append, "left behind")

    loop.step(0)
    loop.call_soon(look)
    loop.run()
    assert got == [False, "called"]
    assert readable(loop.fileno())
    loop.step(0)
    assert got[2:] == ["left behind"]
    call(got.append, "outside")
    assert readable(loop.fileno())


class Asked(selectors.DefaultSelector):
    """A selector in whose wait another thread asks the loop for something."""

    ask: Any = None

    def select(self, timeout: float | None = None) -> Any:
        if timeout != 0 and self.ask is not None:
            thread = threading.Thread(target=self.ask)
            thread.start()
            thread.join()
            found = super().select(5)
            assert found, "the loop would have waited on"
            return found
        return super().select(timeout)


def test_what_another_thread_asks_for_when_the_loop_waits_wakes_it() -> None:
    selector = Asked()
    loop = Loop(selector)
    left = [3]

    def called() -> None:
        left[0] -= 1
        if not left[0]:
            loop.stop()

    selector.ask = lambda: loop.call_soon_threadsafe(called)
    loop.run()
    assert left == [0]
    loop.close()


def test_what_a_turn_leaves_in_the_queue_wakes_the_host_too(loop: Loop) -> None:
    left = [5]

    def again() -> None:
        left[0] -= 1
        if left[0]:
            loop.call_soon(again)

    loop.call_soon(again)
    turns = 0
    while readable(loop.fileno()):
        loop.step(0)
        turns += 1
    assert left == [0]
    assert turns <= 4


def test_an_earlier_timer_set_outside_a_turn_wakes_the_host_to_ask_again(loop: Loop) -> None:
    loop.call_later(100, print)
    loop.step(0)
    assert not readable(loop.fileno())
    loop.call_later(200, print)
    assert not readable(loop.fileno())
    loop.call_later(50, print)
    assert readable(loop.fileno())


def test_a_socket_makes_the_descriptor_readable(loop: Loop, pair: Any) -> None:
    ours, theirs = pair
    seen: list[bytes] = []
    loop.add_reader(ours, lambda: seen.append(ours.recv(10)))
    loop.step(0)
    theirs.send(b"x")
    assert readable(loop.fileno(), 1)
    loop.step(0)
    assert seen == [b"x"]
    assert not readable(loop.fileno())


def test_a_foreign_select_loop_drives_it(loop: Loop, pair: Any) -> None:
    ours, theirs = pair
    seen: list[str] = []

    def read() -> None:
        seen.append(ours.recv(10).decode())
        loop.call_later(0.01, seen.append, "timer")

    loop.add_reader(ours, read)
    foreign, trigger = socket.socketpair()
    trigger.send(b"x")
    for _ in range(100):
        deadline = loop.next_deadline()
        wait = 1.0 if deadline is None else max(0.0, deadline - loop.time())
        ready, _, _ = select.select([loop.fileno(), foreign], [], [], wait)
        if foreign in ready:
            foreign.recv(1)
            theirs.send(b"host")
        loop.step(0)
        if seen == ["host", "timer"]:
            break
    foreign.close()
    trigger.close()
    assert seen == ["host", "timer"]


def test_a_selector_without_a_descriptor_says_so() -> None:
    loop = Loop(selectors.SelectSelector())
    with pytest.raises(io.UnsupportedOperation):
        loop.fileno()
    loop.close()


def test_a_call_from_another_thread_ends_the_waiting(loop: Loop) -> None:
    ran: list[int] = []

    def call() -> None:
        loop.call_soon_threadsafe(ran.append, threading.get_ident())
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=call)
    loop.call_soon(thread.start)
    loop.run()
    thread.join()
    assert len(ran) == 1


def test_calls_from_many_threads_all_arrive_each_threads_in_order(loop: Loop) -> None:
    got: dict[int, list[int]] = {n: [] for n in range(8)}

    def calls(me: int) -> None:
        for number in range(500):
            loop.call_soon_threadsafe(got[me].append, number)

    threads = [threading.Thread(target=calls, args=(n,)) for n in got]
    for thread in threads:
        thread.start()
    while any(len(numbers) < 500 for numbers in got.values()):
        loop.step(5)
    for thread in threads:
        thread.join()
    assert all(numbers == list(range(500)) for numbers in got.values())


@pytest.mark.rule("layers-loop-idle")
def test_an_idle_loop_is_not_woken(loop: Loop) -> None:
    loop.call_later(3600, print)
    loop.step(0)
    poll: Any = loop._poll
    counting = poll._selector
    asked, woken = counting.asked, counting.woken
    loop.step(0.05)
    assert counting.asked == asked + 1
    assert counting.woken == woken


def test_the_owner_is_the_thread_that_steps_last(loop: Loop) -> None:
    assert loop.owned()
    thread = threading.Thread(target=loop.step, args=(0,))
    thread.start()
    thread.join()
    assert not loop.owned()
    loop.step(0)
    assert loop.owned()


@pytest.mark.rule("layers-loop-exit")
@pytest.mark.parametrize("error", [GeneratorExit, asyncio.CancelledError, ValueError])
def test_what_means_nothing_to_the_loop_is_logged_and_it_goes_on(error: Any) -> None:
    loop = Loop()
    lines: list[str] = []
    loop.log.sink = lambda *line: lines.append(line[2])
    here, there = socket.socketpair()
    here.send(b"x")

    def raises() -> None:
        raise error

    loop.add_reader(there, raises)
    loop.call_soon(raises)
    loop.call_later(0, raises)
    loop.step(0)
    assert len(lines) == 3
    here.close()
    there.close()
    loop.close()


@pytest.mark.rule("layers-loop-exit")
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_leaves_the_loop_which_may_go_on(error: Any) -> None:
    loop = Loop()
    done: list[str] = []

    def raises() -> None:
        raise error

    loop.call_soon(raises)
    loop.call_soon(done.append, "later")
    with pytest.raises(error):
        loop.run()
    loop.step(0)
    assert done == ["later"]
    loop.close()


class Reads:
    """What only waits for its descriptor to be readable."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.heard: list[bytes] = []

    def readable(self) -> None:
        self.heard.append(self.sock.recv(10))


def test_what_only_reads_is_called_until_it_is_removed(loop: Loop, pair: Any) -> None:
    ours, theirs = pair
    reads = Reads(ours)
    loop.add_readable(ours.fileno(), reads)
    theirs.send(b"one")
    loop.step(0)
    written: list[str] = []
    loop.add_writer(ours, written.append, "writable")
    theirs.send(b"two")
    loop.step(0)
    assert loop.remove_writer(ours)
    theirs.send(b"three")
    loop.step(0)
    assert (reads.heard, written) == ([b"one", b"two", b"three"], ["writable"])
    assert loop.remove_reader(ours)
    assert not loop.remove_reader(ours)
    theirs.send(b"four")
    loop.step(0)
    assert len(reads.heard) == 3


def test_what_only_reads_may_come_after_a_callback_for_the_same_descriptor(
    loop: Loop, pair: Any
) -> None:
    ours, theirs = pair
    reads = Reads(ours)
    loop.add_reader(ours, print)
    loop.add_readable(ours.fileno(), reads)
    theirs.send(b"one")
    loop.step(0)
    assert reads.heard == [b"one"]
    loop.remove_reader(ours)
