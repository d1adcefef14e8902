"""SIGINT and SIGTERM as callbacks, and everything back in its place afterwards."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from rawsio.net.loop import Loop
from rawsio.net.signals import TOGETHER, Signals

from .kit import Clock


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_and_is_a_callback(loop: Loop, number: signal.Signals) -> None:
    got: list[int] = []

    def arrived(which: int) -> None:
        got.append(which)
        loop.stop()

    with Signals(loop, arrived):
        loop.call_soon(os.kill, os.getpid(), number)
        loop.run()
    assert got == [number]


def test_a_signal_from_another_thread_ends_a_wait_without_a_limit(loop: Loop) -> None:
    with Signals(loop, lambda _number: loop.stop()):
        thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGTERM))
        loop.call_soon(thread.start)
        loop.run()
        thread.join()


def test_two_signals_are_two_callbacks(loop: Loop) -> None:
    got: list[int] = []
    with Signals(loop, got.append):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        loop.step(1)
        loop.step(0)
    assert sorted(got) == [signal.SIGINT, signal.SIGTERM]


@pytest.mark.rule("layers-loop-signal")
def test_a_signal_that_finds_an_earlier_one_waiting_interrupts_the_handler_that_blocks() -> None:
    clock = Clock()
    loop = Loop(clock=clock)
    got: list[int] = []
    reached: list[str] = []

    def hang() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # as of one press of a key
            os.kill(os.getpid(), number)
        reached.append("both")
        clock.now += TOGETHER
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append("a third")

    with Signals(loop, got.append):
        loop.call_soon(hang)
        with pytest.raises(KeyboardInterrupt):
            loop.step(0)
        loop.step(0)
        # Their callbacks have been called, so the next signal is a callback again.
        clock.now += TOGETHER
        os.kill(os.getpid(), signal.SIGINT)
        loop.step(0)
    loop.close()
    assert reached == ["both"]
    assert got == [signal.SIGINT, signal.SIGTERM, signal.SIGINT]


def test_handlers_and_the_wakeup_descriptor_come_back(loop: Loop) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    other = Loop()
    theirs = signal.set_wakeup_fd(other.wakeup_fd(), warn_on_full_buffer=False)
    try:
        during = []
        with Signals(loop, print):
            during.append(signal.getsignal(signal.SIGINT))
        assert during[0] not in before
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
        assert signal.set_wakeup_fd(-1) == other.wakeup_fd()
    finally:
        signal.set_wakeup_fd(theirs)
        other.close()


def test_in_another_thread_nothing_is_touched(loop: Loop) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    seen: list[object] = []

    def work() -> None:
        with Signals(loop, print):
            seen.extend(signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == before
