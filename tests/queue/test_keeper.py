"""One transaction for all that one turn asked, and what happens when it fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rawsio import Server
from rawsio.queue import QueueError, StoreError
from rawsio.queue.operations import Bodies
from rawsio.testing import TestKit

from .contract import many


class Counting:
    """A store that counts its batches, and fails when it is told."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.batches: list[int] = []
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def apply(self, operations: list[Any]) -> list[Any]:
        if self.error is not None and any(isinstance(op, Bodies) for op in operations):
            raise self.error
        self.batches.append(many(operations))
        return list(self._store.apply(operations))


def counted(io: Server, *names: str) -> tuple[Counting, list[Any]]:
    made = [io.queue(name) for name in names]
    keeper = made[0].keeper
    keeper.store = Counting(keeper.store)  # type: ignore[assignment]
    return keeper.store, made  # type: ignore[return-value]


@pytest.mark.rule("queue-turn-one-commit")
def test_all_queues_of_a_turn_share_one_transaction() -> None:
    io = Server()
    store, (first, second) = counted(io, "a", "b")
    with TestKit(io) as kit:
        kit.run()
        store.batches.clear()
        replies = [queue.publish(n) for n in range(10) for queue in (first, second)]
        kit.run()
        assert store.batches == [20]
        assert all(reply.done() for reply in replies)


def test_a_store_that_fails_is_named_once_and_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    with TestKit(io) as kit:
        store.error = StoreError("app.db: the disk is gone")
        for _ in range(3):
            reply = jobs.publish(1)
            kit.advance(2.0)
            with pytest.raises(QueueError, match="the disk is gone") as caught:
                reply.result()
            assert caught.value.code == "unavailable"
        assert caplog.text.count("the disk is gone") == 1
        store.error = None
        reply = jobs.publish(1)
        kit.advance(2.0)
        assert reply.result().id == 1


def test_a_mistake_of_a_store_is_an_error_of_the_request() -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    with TestKit(io) as kit:
        store.error = ZeroDivisionError("oops")
        reply = jobs.publish(1)
        kit.run()
        with pytest.raises(QueueError, match="oops"):
            reply.result()


def test_a_server_with_nothing_to_do_does_not_turn() -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    jobs.handler(lambda _message: None)
    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
        before = len(store.batches)
        kit.advance(3600)
        assert len(store.batches) == before
        assert io.next_deadline() is None or io.next_deadline() > kit.board.now + 1  # type: ignore[operator]
        assert jobs.stats()["commit_ms_p99"] >= 0


def slow_down(kit: TestKit, store: Counting, times: int | None = None) -> None:
    """Let each transaction take ten milliseconds; with ``times``, so many of them."""
    quick, left = store.apply, [] if times is None else [0.01] * times

    def slow(operations: list[Any]) -> list[Any]:
        kit.board.now += 0.01 if times is None else left.pop() if left else 0.0
        return quick(operations)

    store.apply = slow  # type: ignore[method-assign]


def test_after_a_slow_commit_the_next_one_waits_for_as_many_but_not_for_long() -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    with TestKit(io) as kit:
        kit.run()
        slow_down(kit, store)
        jobs.publish_many(range(8))
        kit.run()
        store.batches.clear()
        early = jobs.publish(8)
        kit.run()
        assert not early.done()
        jobs.publish_many(range(6))
        kit.run()
        assert store.batches == [7], "as many as before, nearly"
        alone = jobs.publish(9)
        kit.advance(0.01)
        assert alone.done()
        assert store.batches == [7, 1]


def test_callers_that_ask_again_when_they_are_answered_are_not_waited_for_twice() -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    with TestKit(io) as kit:
        kit.run()
        left = [3] * 8

        def go(at: int) -> None:
            if left[at]:
                left[at] -= 1
                jobs.publish(at).add_done_callback(lambda _: go(at))

        slow_down(kit, store, times=3)
        store.batches.clear()
        for at in range(8):
            go(at)
        kit.run()
        assert store.batches == [8, 8, 8], "without any time going by"


class Held:
    """A worker that works when it is told."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def begin(self, job: Any, done: Any, _post: Any) -> None:
        self.jobs.append((job, done))

    def work(self) -> None:
        job, done = self.jobs.pop(0)
        try:
            result = job()
        except StoreError as error:
            done(None, error)
        else:
            done(result, None)

    def let_end(self) -> None:
        assert not self.jobs


def held(io: Server) -> tuple[Counting, Any, Held]:
    store, (jobs,) = counted(io, "jobs")
    worker = Held()
    jobs.keeper.worker = worker
    return store, jobs, worker


def test_the_next_transaction_begins_before_the_last_one_is_answered() -> None:
    io = Server()
    store, jobs, worker = held(io)
    at_work: list[int] = []
    with TestKit(io) as kit:
        first = jobs.publish(1)
        first.add_done_callback(lambda _: at_work.append(len(worker.jobs)))
        kit.run()
        last = jobs.publish(2)
        kit.run()
        assert len(worker.jobs) == 1, "one transaction at a time"
        worker.work()
        assert at_work == [1]
        assert not last.done()
        worker.work()
        assert last.result().id == 2
        assert store.batches == [1, 1]


def elsewhere(act: Any) -> Any:
    """Return what ``act()`` gave in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()


def test_while_a_transaction_runs_a_little_waits_for_its_end_and_nobody_is_woken() -> None:
    io = Server()
    store, jobs, worker = held(io)
    with TestKit(io) as kit:
        first = jobs.publish(1)
        kit.run()
        queue = jobs.queue
        replies = [jobs.publish(2), elsewhere(lambda: jobs.publish(3))]
        kit.run()
        assert queue.waiting == 1, "the first"
        assert jobs.stats()["waiting"] == 3
        worker.work()
        assert first.done()
        worker.work()
        assert [reply.result().id for reply in replies] == [2, 3]
        assert store.batches == [1, 2]


@pytest.mark.parametrize("bodies", [[b"x" * 2000], [b"x"] * 256])
@pytest.mark.parametrize("here", [True, False])
def test_while_a_transaction_runs_the_queue_hears_of_much(bodies: list[bytes], here: bool) -> None:
    io = Server()
    _store, jobs, worker = held(io)
    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()

        def publish() -> None:
            for body in bodies:
                jobs.publish(body.decode())

        publish() if here else elsewhere(publish)
        kit.run()
        assert jobs.queue.waiting == 1 + len(bodies)
        worker.work()
        worker.work()
        assert jobs.queue.counts.ready == 1 + len(bodies)


def test_what_a_thread_asks_for_is_done_in_its_order_while_a_transaction_runs() -> None:
    io = Server()
    _store, jobs, worker = held(io)

    def ask() -> list[Any]:
        return [jobs.publish(2), jobs.purge(), jobs.publish(3), jobs.peek()]

    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
        replies = elsewhere(ask)
        kit.run()
        worker.work()
        worker.work()
        _second, purged, _third, peeked = [reply.result() for reply in replies]
        assert purged == 2
        assert [message["body"] for message in peeked] == [3]


def test_a_request_that_is_refused_fails_alone_wherever_it_was_made() -> None:
    io = Server()
    _store, jobs, worker = held(io)
    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
        replies = elsewhere(lambda: [jobs.publish(2), jobs.purge("nothing"), jobs.publish(3)])
        kit.run()
        worker.work()
        worker.work()
        assert [reply.result().id for reply in replies[::2]] == [2, 3]
        with pytest.raises(QueueError, match="bad_request"):
            replies[1].result()


def test_what_waits_for_the_end_of_a_transaction_that_fails_is_tried() -> None:
    io = Server()
    store, jobs, worker = held(io)
    with TestKit(io) as kit:
        first = jobs.publish(1)
        kit.run()
        second = jobs.publish(2)
        kit.run()
        store.error = StoreError("app.db: the disk is gone")
        worker.work()
        with pytest.raises(QueueError, match="the disk is gone"):
            first.result()
        store.error = None
        kit.advance(2.0)
        worker.work()
        assert second.result().id == 1


def test_what_consumers_say_at_once_is_in_the_next_transaction() -> None:
    io = Server()
    store, jobs, worker = held(io)
    with TestKit(io) as kit:
        jobs.handler(lambda _message: None)
        kit.run()
        worker.work()
        jobs.publish(1)
        kit.run()
        jobs.publish(2)
        kit.run()
        worker.work()  # the first is stored and claimed
        kit.run()
        worker.work()
        assert store.batches[-1] == 3, "its end, the second, and a claim"
        kit.run()
        while worker.jobs:
            worker.work()
            kit.run()
        assert jobs.stats()["acked"] == 2


def test_after_waiting_in_vain_transactions_do_not_wait_for_a_while() -> None:
    io = Server()
    store, (jobs,) = counted(io, "jobs")
    with TestKit(io) as kit:
        kit.run()
        slow_down(kit, store)
        jobs.publish_many(range(8))
        kit.run()
        jobs.publish_many(range(2))
        kit.advance(0.01)
        assert store.batches[-1] == 2, "much fewer than before"
        for _ in range(8):
            for size in (8, 2):
                jobs.publish_many(range(size))
                kit.run()
                assert store.batches[-1] == size
        jobs.publish_many(range(8))
        kit.run()
        jobs.publish_many(range(2))
        kit.run()
        assert store.batches[-1] == 8, "it waits again"
