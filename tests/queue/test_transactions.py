"""The application's SQL and the end of a message are one transaction, or neither happens."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rawsio import Server
from rawsio.queue import QueueError
from rawsio.queue.jobs import Jobs
from rawsio.testing import TestKit


@contextmanager
def served(tmp_path: Path, work: Callable[[Jobs, Any], None], **options: Any) -> Iterator[Any]:
    """Serve a queue whose handler is ``work(jobs, message)``; gives (jobs, ended)."""
    ended = threading.Semaphore(0)
    with ThreadPoolExecutor(2) as pool:
        io = Server(executor=pool)
        jobs = io.queue("jobs", path=tmp_path / "app.db", synchronous="OFF", **options)

        @jobs.handler
        def handle(message: Any) -> None:
            try:
                work(jobs, message)
            finally:
                ended.release()

        runner = threading.Thread(target=io.run, kwargs={"port": 0})
        runner.start()
        try:
            yield jobs, ended
        finally:
            io.close(60)
            runner.join(60)


def effects(tmp_path: Path) -> list[Any]:
    connection = sqlite3.connect(tmp_path / "app.db")
    try:
        return connection.execute("SELECT x FROM mine").fetchall()
    finally:
        connection.close()


@pytest.fixture
def table(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "app.db")
    connection.execute("CREATE TABLE mine (x)")
    connection.close()


@pytest.mark.rule("queue-transaction-both")
@pytest.mark.usefixtures("table")
def test_the_effect_and_the_deletion_commit_together(tmp_path: Path) -> None:
    def work(jobs: Jobs, message: Any) -> None:
        with jobs.transaction(message) as db:
            db.execute("INSERT INTO mine VALUES (?)", (message.body,))
            db.executemany("INSERT INTO mine VALUES (?)", [(7,)])

    with served(tmp_path, work) as (jobs, ended):
        jobs.publish(5)
        assert ended.acquire(timeout=60)
        jobs.peek().result(60)
        stats = jobs.stats()
        assert (stats["acked"], stats["nacked"], stats["leased"], stats["lapsed"]) == (1, 0, 0, 0)
    assert effects(tmp_path) == [(5,), (7,)]


@pytest.mark.rule("queue-transaction-both")
@pytest.mark.usefixtures("table")
def test_a_block_that_raises_leaves_no_effect_and_the_message(tmp_path: Path) -> None:
    def work(jobs: Jobs, message: Any) -> None:
        with jobs.transaction(message) as db:
            db.execute("INSERT INTO mine VALUES (?)", (message.deliveries,))
            if message.deliveries == 1:
                raise ValueError("half done")

    with served(tmp_path, work, backoff=(0, 0)) as (jobs, ended):
        jobs.publish(5)
        assert ended.acquire(timeout=60)
        assert ended.acquire(timeout=60)
    assert effects(tmp_path) == [(2,)]


@pytest.mark.rule("queue-transaction-both")
@pytest.mark.usefixtures("table")
def test_a_lease_that_has_ended_undoes_the_effect(tmp_path: Path) -> None:
    raised: list[str] = []

    def work(jobs: Jobs, message: Any) -> None:
        if message.deliveries > 1:
            return
        try:
            with jobs.transaction(message) as db:
                db.execute("INSERT INTO mine VALUES (1)")
                # As if the writer had given it to somebody else just before.
                db.execute("UPDATE rawsio_message SET lease = lease + 1")
        except QueueError as error:
            raised.append(error.code)

    with served(tmp_path, work) as (jobs, ended):
        jobs.publish(5)
        assert ended.acquire(timeout=60)
    assert raised == ["stale"]
    assert effects(tmp_path) == []


@pytest.mark.usefixtures("table")
def test_a_transaction_cannot_be_ended_inside(tmp_path: Path) -> None:
    raised: list[str] = []

    def work(jobs: Jobs, message: Any) -> None:
        try:
            with jobs.transaction(message) as db:
                db.execute("ROLLBACK")
        except RuntimeError as error:
            raised.append(str(error))

    with served(tmp_path, work) as (jobs, ended):
        jobs.publish(5)
        assert ended.acquire(timeout=60)
    assert "ended inside" in raised[0]


def test_on_the_loop_and_in_memory_it_raises_at_once(tmp_path: Path) -> None:
    io = Server()
    jobs = io.queue("jobs")
    raised: list[BaseException] = []
    io.on_error(lambda error: raised.append(error))  # noqa: PLW0108 - its shape counts
    jobs.handler(jobs.transaction)
    with TestKit(io) as kit:
        jobs.publish(1)
        kit.run()
    assert "needs one with a path" in str(raised[0])

    io = Server()
    jobs = io.queue("jobs", path=tmp_path / "app.db")
    message: Any = object()
    with pytest.raises(RuntimeError, match="would stop the loop"):
        jobs.transaction(message).__enter__()
    io.close()
    while not io.closed:
        io.step(0.1)


@pytest.mark.rule("queue-transaction-both")
@pytest.mark.usefixtures("table")
def test_a_coroutine_awaits_its_statements(tmp_path: Path) -> None:
    async def main() -> dict[str, float]:
        io = Server()
        jobs = io.queue("jobs", path=tmp_path / "app.db", synchronous="OFF", backoff=(0, 0))
        ended: asyncio.Queue[int] = asyncio.Queue()

        @jobs.handler
        async def work(message: Any) -> None:
            try:
                async with jobs.transaction(message) as db:
                    await db.execute("INSERT INTO mine VALUES (?)", (message.deliveries,))
                    await db.executemany("INSERT INTO mine VALUES (?)", [(8,)])
                    rows = await db.execute("SELECT count(*) FROM mine")
                    assert rows == [(2,)]
                    if message.deliveries == 1:
                        raise ValueError("half done")
            finally:
                await ended.put(1)

        serving = asyncio.ensure_future(io.serve(port=0))
        await asyncio.sleep(0)
        await jobs.publish(5)
        await asyncio.wait_for(ended.get(), 60)
        await asyncio.wait_for(ended.get(), 60)
        io.close(60)
        await asyncio.wait_for(serving, 60)
        return jobs.stats()

    stats = asyncio.run(main())
    assert (stats["acked"], stats["nacked"]) == (1, 1)
    assert effects(tmp_path) == [(2,), (8,)]


@pytest.mark.usefixtures("table")
def test_a_transaction_inside_of_another_one_is_refused_at_once(tmp_path: Path) -> None:
    wrong: list[str] = []

    def work(jobs: Jobs, message: Any) -> None:
        with jobs.transaction(message) as db:
            db.execute("INSERT INTO mine VALUES (1)")
            try:
                with jobs.transaction(message):
                    pass
            except RuntimeError as error:
                wrong.append(str(error))

    with served(tmp_path, work) as (jobs, ended):
        jobs.publish(1)
        assert ended.acquire(timeout=60)
    assert "inside of another one" in wrong[0]
    assert effects(tmp_path) == [(1,)], "the outer one goes on"


@pytest.mark.usefixtures("table")
def test_behind_a_transaction_its_statements_are_refused(tmp_path: Path) -> None:
    wrong: list[str] = []

    def work(jobs: Jobs, message: Any) -> None:
        with jobs.transaction(message) as db:
            pass
        for act in (db.execute, lambda sql: db.executemany(sql, [()])):
            try:
                act("INSERT INTO mine VALUES (1)")
            except RuntimeError as error:
                wrong.append(str(error))

    with served(tmp_path, work) as (jobs, ended):
        jobs.publish(1)
        assert ended.acquire(timeout=60)
    assert [text[:23] for text in wrong] == ["the transaction is over"] * 2
    assert effects(tmp_path) == []


@pytest.mark.usefixtures("table")
def test_a_coroutine_in_a_transaction_is_refused_another_one_and_statements_behind_it(
    tmp_path: Path,
) -> None:
    async def main() -> list[str]:
        io = Server()
        jobs = io.queue("jobs", path=tmp_path / "app.db", synchronous="OFF")
        wrong: asyncio.Queue[str] = asyncio.Queue()

        @jobs.handler
        async def work(message: Any) -> None:
            async with jobs.transaction(message) as db:
                try:
                    async with jobs.transaction(message):
                        pass
                except RuntimeError as error:
                    await wrong.put(str(error))
            try:
                await db.execute("INSERT INTO mine VALUES (1)")
            except RuntimeError as error:
                await wrong.put(str(error))

        serving = asyncio.ensure_future(io.serve(port=0))
        await asyncio.sleep(0)
        await jobs.publish(5)
        found = [await asyncio.wait_for(wrong.get(), 60) for _ in range(2)]
        io.close(60)
        await asyncio.wait_for(serving, 60)
        return found

    inside, behind = asyncio.run(main())
    assert "inside of another one" in inside
    assert "is over" in behind
    assert effects(tmp_path) == []


@pytest.mark.usefixtures("table")
def test_a_transaction_that_waits_for_ever_is_undone_when_its_lease_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    codes: list[str] = []

    def work(jobs: Jobs, message: Any) -> None:
        if message.body != "waits":
            return
        try:
            with jobs.transaction(message) as db:
                db.execute("INSERT INTO mine VALUES (1)")
                # It is stored when this transaction has ended.
                jobs.publish("inside").result(60)
                db.execute("INSERT INTO mine VALUES (2)")
        except QueueError as error:
            codes.append(error.code)
            raise

    with served(tmp_path, work, lease=0.1, max_deliveries=1) as (jobs, ended):
        reply = jobs.publish("waits")
        assert ended.acquire(timeout=60)
        assert jobs.publish("another").result(60).id > reply.result(60).id
    assert codes == ["stale"]
    assert effects(tmp_path) == []
    assert "a transaction of the queue jobs was undone" in caplog.text
