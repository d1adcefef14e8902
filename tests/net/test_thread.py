"""Calls from other threads, and the loop in a thread of its own."""

from __future__ import annotations

import selectors
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.net.loop import Loop
from rawsio.net.thread import LoopThread, Waiting, call, wait_until


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_a_call_runs_in_the_owners_thread_and_returns_its_result(loop: Loop) -> None:
    with LoopThread(loop):
        assert call(loop, threading.get_ident) != threading.get_ident()
        assert call(loop, max, 3, 4) == 4


def test_an_exception_comes_back_to_the_caller(loop: Loop) -> None:
    with LoopThread(loop):
        with pytest.raises(ZeroDivisionError):
            call(loop, lambda: 1 // 0)
        assert call(loop, len, "still there") == 11


@pytest.mark.rule("layers-thread-owner")
def test_waiting_in_the_owners_thread_raises_at_once(loop: Loop) -> None:
    with pytest.raises(RuntimeError, match="never end"):
        call(loop, print)
    with pytest.raises(RuntimeError, match="never end"):
        Waiting(loop.owned).result(10)
    with LoopThread(loop), pytest.raises(RuntimeError, match="never end"):
        call(loop, lambda: call(loop, print))


def test_a_result_that_is_there_can_be_asked_for_in_the_owners_thread(loop: Loop) -> None:
    waiting: Waiting[int] = Waiting(loop.owned)
    waiting.run(max, (1, 2))
    assert waiting.result() == 2


def test_waiting_has_a_limit(loop: Loop) -> None:
    outcome: list[object] = []

    def wait() -> None:
        try:
            call(loop, print, timeout=0.01)
        except TimeoutError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert len(outcome) == 1


def test_the_thread_owns_the_loop_from_start_to_stop_and_can_start_again(loop: Loop) -> None:
    thread = LoopThread(loop)
    thread.stop()
    for _ in range(2):
        thread.start()
        assert not loop.owned()
        with pytest.raises(RuntimeError, match="already"):
            thread.start()
        thread.stop()
        thread.stop()
    loop.step(0)
    assert loop.owned()


def test_the_thread_cannot_wait_for_its_own_end(loop: Loop) -> None:
    with LoopThread(loop) as thread, pytest.raises(RuntimeError, match="never end"):
        call(loop, thread.stop)


def test_many_threads_call_at_the_same_time(loop: Loop) -> None:
    results: list[int] = []
    with LoopThread(loop):
        threads = [
            threading.Thread(target=lambda n=n: results.append(call(loop, max, n, 0)))
            for n in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == list(range(50))


def test_what_ends_the_thread_is_logged_and_its_owner_may_come_to_an_end(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("rawsio.log.write", lambda *line: lines.append(line[2]))
    said: list[str] = []

    def goodbye() -> None:
        said.append("goodbye")
        loop.call_soon(loop.stop)

    thread = LoopThread(loop, lambda: said.append("ended"), goodbye).start()
    loop.call_soon_threadsafe(sys.exit)
    thread.join(60)
    assert said == ["goodbye", "ended"]
    assert lines == ["a handler raised SystemExit in the loop's thread, which ends"]


def test_a_loop_that_fails_ends_its_thread_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("rawsio.log.write", lambda *line: lines.append(line[2]))

    class Broken(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            raise OSError("no selector any more")

    loop = Loop(Broken())
    said: list[str] = []
    thread = LoopThread(loop, lambda: said.append("ended"), lambda: said.append("interrupted"))
    thread.start()
    thread.join(60)
    assert said == ["ended"]
    assert lines == ["the loop failed, and its thread ends"]
    loop.close()


def test_who_waits_goes_on_when_the_function_is_called(loop: Loop) -> None:
    with LoopThread(loop):
        wait_until(loop.call_soon_threadsafe, loop.owned, 20)
        wait_until(lambda go_on: go_on("told", "before"), loop.owned, 0)
        with pytest.raises(TimeoutError, match="no result"):
            wait_until(lambda go_on: None, loop.owned, 0)
    with pytest.raises(RuntimeError, match="never end"):
        wait_until(lambda go_on: None, lambda: True)
