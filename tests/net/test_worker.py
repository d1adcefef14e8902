"""A thread for what may wait for a disk."""

from __future__ import annotations

from threading import Event, get_ident
from typing import Any

import pytest

from rawsio.net.worker import Turn, Worker


def here(fn: Any, *args: Any) -> None:
    fn(*args)


def test_jobs_are_done_in_order_on_one_other_thread() -> None:
    worker, done = Worker("test"), []
    for number in range(20):
        worker.submit(lambda n=number: (n, get_ident()), lambda r, e: done.append(r), here)  # type: ignore[misc]
    assert worker.stop()
    assert [number for number, _ in done] == list(range(20))
    threads = {thread for _, thread in done}
    assert len(threads) == 1
    assert get_ident() not in threads


def test_an_error_is_told_and_the_next_job_is_done() -> None:
    worker, done = Worker("test"), []
    worker.submit(lambda: 1 / 0, lambda r, e: done.append(type(e)), here)
    worker.submit(lambda: 1, lambda r, e: done.append(r), here)
    assert worker.stop()
    assert done == [ZeroDivisionError, 1]


def test_who_lets_a_worker_begin_does_not_wait_for_its_end() -> None:
    worker, done, go_on = Worker("test"), [], Event()
    for number in range(3):
        worker.begin(lambda n=number: (go_on.wait(), n), lambda r, e: done.append(r), here)  # type: ignore[misc]
    assert done == []
    go_on.set()
    assert worker.stop()
    assert done == [(True, 0), (True, 1), (True, 2)]
    with pytest.raises(RuntimeError, match="stopped"):
        worker.begin(lambda: 1, lambda *_: None, here)


def test_a_loop_that_is_gone_is_told_nothing() -> None:
    worker, done = Worker("test"), []

    def closed(*_args: Any) -> None:
        raise RuntimeError("the loop is closed")

    worker.submit(lambda: 1, lambda *_: None, closed)
    worker.submit(lambda: 2, lambda r, e: done.append(r), here)
    assert worker.stop()
    assert done == [2]


def test_a_stopped_worker_takes_no_jobs() -> None:
    worker = Worker("test")
    assert worker.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        worker.submit(lambda: 1, lambda *_: None, here)


def test_nothing_comes_between_the_steps_of_a_turn() -> None:
    worker, done = Worker("test"), []
    turn, ended = Turn(), Event()
    turn.take(worker)
    worker.submit(lambda: done.append("later"), lambda *_: ended.set(), here)
    turn.wait()
    done.append("here")
    turn.do(lambda: done.append("there"), lambda *_: None, here)
    turn.give_back()
    assert ended.wait(60)
    assert done == ["here", "there", "later"]
    worker.let_end()


def test_a_turn_that_nobody_uses_any_more_is_revoked_and_the_next_job_is_done() -> None:
    worker, ended = Worker("test"), Event()
    told: list[Any] = []

    def tell(done: Any, *answer: Any) -> None:
        told.append(answer)
        done(*answer)

    left = iter([0.0, 1.0, 0.0])  # at first it may take longer after all
    turn = Turn(lambda: next(left, 0.0), lambda: ValueError("too late"))
    turn.take(worker)
    worker.submit(lambda: "next", lambda *_: ended.set(), tell)
    assert ended.wait(60)
    turn.do(lambda: 1, lambda *_: None, tell)
    turn.wait()
    turn.give_back()
    assert worker.stop()
    assert told[0] == ("next", None)
    assert told[1][0] is None
    assert str(told[1][1]) == "too late"
