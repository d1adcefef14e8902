"""Queues as applications use them, in memory and on a virtual clock."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.errors import LocalProtocolError
from rawsio.net.thread import LoopThread
from rawsio.queue import Dead, QueueError, StoreError
from rawsio.queue.jobs import Jobs
from rawsio.queue.messages import Published
from rawsio.queue.sqlite import SQLiteStore
from rawsio.testing import TestKit


@pytest.fixture
def io() -> Iterator[Server]:
    made = Server()
    yield made
    if not made.closed:
        made.close()
        made.step(0)


def test_a_published_message_reaches_the_handler_and_is_gone(io: Server) -> None:
    jobs = io.queue("jobs")
    seen: list[Any] = []
    jobs.handler(lambda m: seen.append((m.id, m.body, m.deliveries, m.key, m.group)))
    with TestKit(io) as kit:
        reply = jobs.publish({"pic": [b"bytes"]}, key="k", group="g")
        kit.run()
        assert reply.result() == Published(1)
        assert seen == [(1, {"pic": [b"bytes"]}, 1, "k", "g")]
        assert jobs.stats()["acked"] == 1
        assert jobs.stats()["bytes"] == 0


def test_what_was_published_before_the_server_ran_is_processed_then(io: Server) -> None:
    jobs = io.queue("jobs")
    replies = jobs.publish_many(range(5))
    seen: list[int] = []
    jobs.handler(lambda m: seen.append(m.body))
    with TestKit(io) as kit:
        kit.run()
        assert seen == list(range(5))
        assert [reply.result().id for reply in replies] == [1, 2, 3, 4, 5]


def test_a_handler_that_fails_gets_the_message_again_after_a_wait(
    io: Server, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = io.queue("jobs", backoff=(4, 4), max_deliveries=2)
    io.host.random_bytes = lambda n: b"\xff" * n
    told: list[Any] = []
    io.on_error(lambda error, socket, name: told.append((str(error), socket, name)))
    tries: list[float] = []

    with TestKit(io) as kit:
        io.host.random_bytes = lambda n: b"\xff" * n

        @jobs.handler
        def work(message: Any) -> None:
            tries.append(kit.time)
            raise ValueError("broken")

        jobs.publish(1)
        kit.advance(20)
        assert tries == [0.0, pytest.approx(4.0, abs=0.01)]
        assert told == [("broken", None, "jobs")] * 2
        assert "a handler of the queue jobs failed" in caplog.text
        stats = jobs.stats()
        assert (stats["dead"], stats["nacked"], stats["buried"]) == (1, 2, 1)
        reply = jobs.peek("dead")
        kit.run()
        ((row),) = reply.result()
        assert (row["error"], row["body"], row["state"]) == ("ValueError('broken')", 1, "dead")


@pytest.mark.parametrize("wrong", [{"backoff": 5}, {"path": 5}, {"path": "/"}, {"nonsense": 1}])
def test_a_server_whose_queue_could_not_be_made_closes_at_once(wrong: Any) -> None:
    io = Server()
    with pytest.raises((TypeError, StoreError)):
        io.queue("jobs", **wrong)
    io.close()
    io.step(0)
    assert io.closed


class Unspeakable(Dead):
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def test_an_error_that_cannot_be_told_ends_the_message_all_the_same(io: Server) -> None:
    jobs = io.queue("jobs")
    jobs.handler(lambda message: raising(Unspeakable()))
    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
        assert jobs.stats()["dead"] == 1
        reply = jobs.peek("dead")
        kit.run()
        assert "whose str() fails" in reply.result()[0]["error"]


def test_a_handler_that_stops_the_program_leaves_the_next_ones_their_place(io: Server) -> None:
    jobs = io.queue("jobs", lease=10)
    ends = iter([SystemExit(), KeyboardInterrupt()])
    seen: list[int] = []

    @jobs.handler
    def work(message: Any) -> None:
        for end in ends:
            raise end
        seen.append(message.body)

    with TestKit(io) as kit:
        jobs.publish(1)
        with pytest.raises(SystemExit):
            kit.run()
        jobs.publish(2)
        with pytest.raises(KeyboardInterrupt):
            kit.advance(10.1)
        kit.advance(30)
        assert sorted(seen) == [1, 2]


def raising(error: Exception) -> None:
    raise error


def test_dead_makes_a_dead_letter_at_once_and_redrive_brings_it_back(io: Server) -> None:
    jobs = io.queue("jobs")
    hopeless = [True]

    @jobs.handler
    def work(message: Any) -> None:
        if hopeless:
            raise Dead("no such picture")

    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
        assert jobs.stats()["dead"] == 1
        hopeless.clear()
        reply = jobs.redrive()
        kit.run()
        assert reply.result() == 1
        assert (jobs.stats()["dead"], jobs.stats()["acked"]) == (0, 1)


def test_a_batch_is_one_call_after_its_linger(io: Server) -> None:
    jobs = io.queue("jobs")
    calls: list[list[int]] = []

    @jobs.handler(batch=3, linger=0.5)
    def store(messages: Any) -> None:
        calls.append([message.body for message in messages])

    with TestKit(io) as kit:
        jobs.publish_many(range(4))
        kit.run()
        assert calls == [[0, 1, 2]]
        kit.advance(0.5)
        assert calls == [[0, 1, 2], [3]]
        assert jobs.stats()["acked"] == 4


def test_a_delayed_message_comes_in_its_time(io: Server) -> None:
    jobs = io.queue("jobs")
    seen: list[float] = []
    with TestKit(io) as kit:
        jobs.handler(lambda _message: seen.append(kit.time))
        jobs.publish(1, delay=3600)
        kit.advance(3599)
        assert not seen
        kit.advance(2)
        assert seen == [pytest.approx(3600, abs=0.01)]


def test_a_rate_is_kept(io: Server) -> None:
    jobs = io.queue("jobs", rate=10)
    with TestKit(io) as kit:
        jobs.handler(lambda _message: None)
        jobs.publish_many(range(100))
        kit.advance(5.0)
        assert 49 <= jobs.stats()["acked"] <= 52


def test_refusals_are_errors_of_the_reply(io: Server) -> None:
    jobs = io.queue("jobs", max_messages=1)
    with TestKit(io) as kit:
        jobs.publish(1)
        for reply, code in (
            (jobs.publish(2), "full"),
            (jobs.publish(3, delay=-1), "bad_request"),
            (jobs.publish("x" * 300_000), "too_large"),
            (jobs.redrive(0), "bad_request"),
            (jobs.peek("gone"), "bad_request"),
            (jobs.purge("leased"), "bad_request"),
        ):
            kit.run()
            with pytest.raises(QueueError) as caught:
                reply.result()
            assert caught.value.code == code
        with pytest.raises(LocalProtocolError):
            jobs.publish(object())


def test_purge_tells_how_many(io: Server) -> None:
    jobs = io.queue("jobs")
    with TestKit(io) as kit:
        jobs.publish_many(range(7))
        reply = jobs.purge()
        kit.run()
        assert reply.result() == 7


def test_what_is_wrong_with_a_queue_is_said_where_it_is_made(io: Server, tmp_path: Path) -> None:
    io.queue("jobs")
    with pytest.raises(ValueError, match="already"):
        io.queue("jobs")
    with pytest.raises(ValueError, match="name of a queue"):
        io.queue("")
    with pytest.raises(ValueError, match="256 characters at most"):
        io.queue("x" * 257)
    with pytest.raises(ValueError, match="no lone surrogates"):
        io.queue("\ud800", path=tmp_path / "jobs.db")
    with pytest.raises(TypeError, match="no option 'leese'"):
        io.queue("a", leese=5)
    with pytest.raises(ValueError, match="policy"):
        io.queue("a", policy="maybe")
    with pytest.raises(TypeError, match="max_messages"):
        io.queue("a", max_messages="5")
    with pytest.raises(StoreError, match="is a folder"):
        io.queue("a", path=tmp_path)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        *[("lease", value) for value in (0, 0.05, math.inf, math.nan, 1e300, True, "5", None)],
        *[("max_deliveries", value) for value in (0, 1.5, math.inf, 10**30, True, "5", None)],
        *[("max_messages", value) for value in (0, 2.5, math.inf, math.nan, 10**30, True)],
        *[("max_bytes", value) for value in (0, 2.5, math.inf, -1)],
        *[("max_message", value) for value in (0, 2.5, math.inf, -1)],
        *[("dedup", value) for value in (-1, math.inf, math.nan, 1e300, 10**400, True)],
        *[("retention", value) for value in (0, -1, math.inf, math.nan, 1e300, 10**400, True)],
        *[("rate", value) for value in (0, -1, math.inf, math.nan, 1e300, 1e-300, True)],
        *[
            ("backoff", value)
            for value in ((1, math.inf), (math.nan, 1), (2, 1), (1,), 5, (True, 1))
        ],
    ],
)
def test_an_option_that_no_store_or_clock_could_keep_is_refused(
    io: Server, option: str, wrong: Any
) -> None:
    with pytest.raises((TypeError, ValueError), match=option):
        io.queue("jobs", **{option: wrong})
    options: Any = {"max_deliveries": 2**53, "rate": 2**53, "retention": 10 * 365 * 86400}
    jobs = io.queue("jobs", **options)
    with TestKit(io) as kit:
        reply = jobs.publish(1, key="k")
        kit.run()
        assert reply.result() == Published(1)


def test_handlers_on_the_loop_give_way_after_some_time() -> None:
    io = Server(limits=Limits(slow_handler=9.0))
    jobs = io.queue("jobs")
    turns: list[int] = []
    with TestKit(io) as kit:

        @jobs.handler(prefetch=100)
        def work(_message: Any) -> None:
            kit.board.now += 0.001
            turns[-1] += 1

        jobs.publish_many(range(50))
        for _ in range(100):
            turns.append(0)
            kit.loop.step(0)
        assert sum(turns) == 50
        assert max(turns) <= 8


def test_a_lease_that_ends_during_the_work_is_told(
    io: Server, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = io.queue("jobs", lease=5)
    with TestKit(io) as kit:

        @jobs.handler
        def work(message: Any) -> None:
            if message.deliveries == 1:
                kit.board.now += 6
                jobs.queue.tick(jobs.keeper.now())

        jobs.publish(1)
        kit.advance(1)
        assert "ended after the lease of message 1" in caplog.text
        assert jobs.stats()["lapsed"] == jobs.stats()["acked"] == 1


def test_a_handler_may_extend_its_lease(io: Server) -> None:
    jobs = io.queue("jobs", lease=5)
    with TestKit(io) as kit:

        @jobs.handler
        def work(message: Any) -> None:
            message.extend(100)
            kit.board.now += 6
            jobs.queue.tick(jobs.keeper.now())

        jobs.publish(1)
        kit.advance(1)
        assert (jobs.stats()["lapsed"], jobs.stats()["acked"]) == (0, 1)


# With real threads, and a file


def run(io: Server) -> LoopThread:
    return LoopThread(io.host.loop)


def test_threads_publish_and_handlers_run_on_threads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        io = Server(executor=pool)
        jobs = io.queue("jobs", path=tmp_path / "app.db", synchronous="OFF")
        seen: set[int] = set()
        threads: set[int] = set()
        ended = threading.Semaphore(0)

        @jobs.handler(concurrency=4)
        def work(message: Any) -> None:
            seen.add(message.body)
            threads.add(threading.get_ident())
            ended.release()

        def publish(first: int) -> None:
            for number in range(first, first + 20):
                jobs.publish(number).result(60)

        runner = threading.Thread(target=io.run, kwargs={"port": 0})
        runner.start()
        publishers = [threading.Thread(target=publish, args=(n * 20,)) for n in range(5)]
        for thread in publishers:
            thread.start()
        for thread in publishers:
            thread.join()
        for _ in range(100):
            assert ended.acquire(timeout=60)
        io.close(60)
        runner.join(60)
    assert seen == set(range(100))
    assert runner.ident not in threads
    again = Server()
    counts = again.queue("jobs", path=tmp_path / "app.db").queue.counts
    assert counts.total == 0
    _close(again)


def _close(io: Server) -> None:
    io.close()
    while not io.closed:
        io.step(0.1)


def test_a_closed_server_waits_for_handlers_and_gives_back_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with ThreadPoolExecutor(2) as pool:
        io = Server(executor=pool)
        jobs = io.queue("jobs", path=path, synchronous="OFF")
        began, may_end = threading.Event(), threading.Event()

        @jobs.handler(prefetch=5)
        def work(message: Any) -> None:
            began.set()
            assert may_end.wait(60)

        jobs.publish_many(range(5))
        runner = threading.Thread(target=io.run, kwargs={"port": 0})
        runner.start()
        assert began.wait(60)
        io.close(timeout=60)
        asked: SimpleQueue[Any] = SimpleQueue()
        io.host.call(lambda: asked.put(jobs.publish(9)))  # behind the close
        reply = asked.get(timeout=60)
        with pytest.raises(QueueError, match="closing"):
            reply.result(60)
        may_end.set()
        runner.join(60)
        assert io.closed
    again = Server()
    jobs = again.queue("jobs", path=path)
    assert jobs.queue.counts.ready == 4
    rows = jobs.keeper.store.apply([_peek()])[0]
    assert [row.deliveries for row in rows] == [0] * 4, "the rest was never begun"
    _close(again)


def _peek() -> Any:
    from rawsio.queue.operations import Peek

    return Peek("jobs", None, 10)


def test_coroutines_publish_and_handle_on_asyncio(tmp_path: Path) -> None:
    async def main() -> list[Any]:
        io = Server()
        jobs = io.queue("jobs", path=tmp_path / "app.db", synchronous="OFF")
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @jobs.handler(concurrency=2)
        async def work(message: Any) -> None:
            await seen.put(message.body)

        serving = asyncio.ensure_future(io.serve(port=0))
        await asyncio.sleep(0)
        published = await jobs.publish({"n": 1})
        got = await asyncio.wait_for(seen.get(), 60)
        io.close()
        await asyncio.wait_for(serving, 60)
        return [published, got]

    assert asyncio.run(main()) == [Published(1), {"n": 1}]


def test_two_queues_of_a_file_share_its_store(io: Server, tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "app.db")
    first = io.queue("a", path=tmp_path / "app.db")
    second = io.queue("b", path=str(tmp_path / "link.db"))
    assert first.keeper is second.keeper
    assert isinstance(first, Jobs)
    _close(io)


def test_a_burst_of_publishes_from_a_thread_is_held_up_not_refused() -> None:
    io = Server(limits=Limits(queue_waiting=3000))
    jobs = io.queue("jobs")
    runner = threading.Thread(target=io.run, kwargs={"port": 0})
    running = threading.Event()
    io.call_later(0, running.set)
    runner.start()
    assert running.wait(60)  # until then this thread owns the loop, and nothing holds it up
    replies = [jobs.publish(number) for number in range(10_000)]
    assert [reply.result(60).id for reply in replies[-2:]] == [9999, 10_000]
    io.close()
    runner.join(60)


@pytest.fixture(autouse=True)
def _levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("option", ["concurrency", "batch", "prefetch"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, 10**9])
def test_a_handler_has_a_whole_number_of_calls_at_a_time(
    io: Server, option: str, wrong: Any
) -> None:
    jobs = io.queue("jobs")
    options: Any = {option: wrong}
    with pytest.raises((TypeError, ValueError), match=option):
        jobs.handler(print, **options)
    assert jobs.consumers() == []


def test_a_handler_that_is_refused_leaves_nothing_behind(io: Server) -> None:
    jobs = io.queue("jobs")
    with pytest.raises(QueueError, match="lease"):
        jobs.handler(print, lease=0)
    with pytest.raises(ValueError, match=r"concurrency \* batch"):
        jobs.handler(print, concurrency=100, batch=100)
    jobs.handler(print)
    assert [consumer["name"] for consumer in jobs.consumers()] == ["handler 1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_in_a_child_process_a_publish_to_the_parents_file_fails_at_once(tmp_path: Path) -> None:
    io = Server()
    jobs = io.queue("jobs", path=tmp_path / "app.db")
    child = os.fork()
    if not child:
        wrong = 1
        try:
            replies: list[Any] = [jobs.publish(1), *jobs.publish_many([2]), jobs.peek()]
            codes = [getattr(reply.exception(5), "code", "") for reply in replies]
            wrong = int(codes != ["unavailable"] * 3)
        finally:
            os._exit(wrong)
    assert os.waitpid(child, 0)[1] == 0
    _close(io)


def test_what_cannot_be_accepted_refuses_nothing_else_of_its_turn() -> None:
    io = Server()
    jobs = io.queue("jobs", max_message=10)
    with TestKit(io) as kit:
        replies = jobs.publish_many(["1", "x" * 20, "2"])
        replies.append(jobs.publish("3", key="k"))
        replies += jobs.publish_many(["4", "5"])
        kit.run()
        assert [reply.result().id for at, reply in enumerate(replies) if at != 1] == [1, 2, 3, 4, 5]
        with pytest.raises(QueueError, match="max_message"):
            replies[1].result()


def test_publishes_of_a_turn_that_find_no_more_room_are_refused_one_by_one() -> None:
    io = Server()
    jobs = io.queue("jobs", max_messages=3)
    with TestKit(io) as kit:
        replies = jobs.publish_many(range(5))
        kit.run()
        assert [reply.result().id for reply in replies[:3]] == [1, 2, 3]
        for reply in replies[3:]:
            with pytest.raises(QueueError, match="is full"):
                reply.result()
        assert jobs.stats()["refused"] == 2


def test_a_request_finds_what_was_published_before_it_in_the_same_turn() -> None:
    io = Server()
    jobs = io.queue("jobs")
    with TestKit(io) as kit:
        jobs.publish_many(range(3))
        assert jobs.stats()["waiting"] == 3
        purged = jobs.purge()
        last = jobs.publish("kept")
        kit.run()
        assert purged.result() == 3
        assert last.result().id == 4
        assert jobs.stats()["ready"] == 1


def test_what_was_published_in_the_turn_in_which_a_server_is_closed_is_stored(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "app.db")
    io = Server()
    jobs = io.queue("jobs", path=path)
    replies = []

    def last_words() -> None:
        io.close()
        replies.append(jobs.publish("last"))

    io.call_later(0.0, last_words)
    io.run(port=0)
    assert replies[0].result(0).id == 1
    store = SQLiteStore(path)
    assert store.open("jobs", 5, 0)[0].ready == 1
    store.close()


def test_a_queue_that_is_paused_takes_what_was_published_before_and_nothing_after() -> None:
    io = Server()
    jobs = io.queue("jobs")
    with TestKit(io) as kit:
        before = jobs.publish(1)
        jobs.pause(lambda: None)
        after = jobs.publish(2)
        kit.run()
        assert before.result().id == 1
        with pytest.raises(QueueError, match="closing"):
            after.result()
