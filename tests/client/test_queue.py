"""A client's sugar for a queue: the same events, the same names as in the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import rawsio
from rawsio import Server
from rawsio.queue import Dead, QueueError
from rawsio.queue.messages import Published
from rawsio.testing import TestKit


@pytest.fixture
def kit() -> Iterator[TestKit]:
    io = Server()
    io.queue("jobs", namespace="/queue", allow=lambda *_: True, backoff=(1, 1), max_messages=9)
    io.queue("mails", namespace="/queue")
    with TestKit(io) as kit:
        yield kit


def value(kit: TestKit, reply: Any) -> Any:
    kit.run()
    return reply.result(5)


def test_a_client_publishes_and_processes(kit: TestKit) -> None:
    socket = kit.connect("/queue")
    jobs, mails = socket.queue("jobs"), socket.queue("mails")
    seen: list[Any] = []
    jobs.handler(lambda m: seen.append((m.id, m.body, m.deliveries, m.key, m.group)))
    mails.handler(lambda m: seen.append(("mail", m.body)))
    assert value(kit, jobs.publish({"b": [b"1"]}, key="k", group="g")) == Published(1)
    assert value(kit, mails.publish("letter")).id
    assert seen == [(1, {"b": [b"1"]}, 1, "k", "g"), ("mail", "letter")]
    assert value(kit, jobs.stats())["acked"] == 1
    assert value(kit, jobs.publish(1, key="k")) == Published(1, duplicate=True)


def test_what_a_handler_raises_gives_the_message_back(kit: TestKit) -> None:
    socket = kit.connect("/queue")
    jobs = socket.queue("jobs")

    @jobs.handler(credit=2)
    def work(message: Any) -> None:
        raise Dead("never") if message.deliveries == 2 else ValueError("not yet")

    jobs.publish(1)
    kit.advance(3)
    (row,) = value(kit, jobs.peek("dead"))
    assert (row["error"], row["deliveries"]) == ("never", 2)
    assert value(kit, jobs.redrive()) == 1


def test_batches_succeed_or_fail_together(kit: TestKit) -> None:
    jobs = kit.connect("/queue").queue("jobs")
    calls: list[list[int]] = []

    @jobs.handler(batch=2, linger=1.0, credit=4)
    def work(messages: Any) -> None:
        calls.append([message.body for message in messages])
        if len(calls) == 1:
            raise ValueError("again")

    answers = value(kit, jobs.publish_many([1, 2]))
    assert answers == [Published(1), Published(2)]
    kit.advance(5)
    assert sorted(body for call in calls[1:] for body in call) == [1, 2]
    assert value(kit, jobs.stats())["acked"] == 2


def test_refusals_are_errors_with_a_code(kit: TestKit) -> None:
    socket = kit.connect("/queue")
    with pytest.raises(QueueError, match="no_such_queue"):
        value(kit, socket.queue("none").publish(1))
    with pytest.raises(QueueError, match="forbidden"):
        value(kit, socket.queue("mails").purge())
    answers = value(kit, socket.queue("jobs").publish_many(range(10)))
    assert isinstance(answers[-1], QueueError)
    assert answers[-1].code == "full"
    assert value(kit, socket.queue("jobs").purge()) == 9


def test_consuming_goes_on_after_a_reconnection(kit: TestKit) -> None:
    socket = kit.connect("/queue", reconnection_delay=0.1)
    jobs = socket.queue("jobs")
    seen: list[int] = []
    jobs.handler(lambda message: seen.append(message.body))
    kit.run()
    kit.cut(socket)
    kit.advance(5)
    jobs.publish(7)
    kit.advance(1)
    assert seen == [7]
    assert value(kit, jobs.stats())["consumers"] == 1


def test_a_queue_that_cannot_be_consumed_is_named_in_the_log(
    kit: TestKit, caplog: pytest.LogCaptureFixture
) -> None:
    kit.connect("/queue").queue("none").handler(print)
    kit.run()
    assert "messages of the queue none do not come" in caplog.text


def test_a_message_may_be_extended(kit: TestKit) -> None:
    jobs = kit.connect("/queue").queue("jobs")
    until: list[Any] = []
    jobs.handler(lambda message: until.append(message.extend(60)))
    jobs.publish(1)
    kit.run()
    assert until[0].result(5) > 60
    assert value(kit, jobs.stats())["acked"] == 1


def test_coroutines_process_on_asyncio() -> None:
    async def main() -> list[Any]:
        io = Server()
        io.queue("jobs", namespace="/queue")
        port = io.listen()[1]
        serving = asyncio.ensure_future(io.serve())
        seen: asyncio.Queue[Any] = asyncio.Queue()
        async with rawsio.Client(f"http://127.0.0.1:{port}/queue") as socket:
            jobs = socket.queue("jobs")

            @jobs.handler(concurrent=True)
            async def work(message: Any) -> None:
                await seen.put(message.body)

            await jobs.publish("hello")
            got = await asyncio.wait_for(seen.get(), 60)
        io.close()
        await asyncio.wait_for(serving, 60)
        return [got]

    assert asyncio.run(main()) == ["hello"]


JUNK: list[Any] = [
    None,
    5,
    "x",
    [],
    {},
    [5],
    {"code": 5},
    {"id": None},
    [[]],
    (None, 1, 2),
    (None,),
]


@pytest.mark.parametrize("said", JUNK)
def test_a_server_that_answers_as_no_queue_does_ends_the_replies(said: Any) -> None:
    io = Server()
    for name in ("publish", "publish_many", "purge", "redrive", "extend"):
        io.of("/queue").on(name, lambda socket, *args: args[-1](None, said), ack=True)
    with TestKit(io) as kit:
        jobs = kit.connect("/queue").queue("jobs")
        replies = [
            *(jobs.publish(1), jobs.publish_many([1]), jobs.purge(), jobs.redrive()),
            *(jobs.ask("extend", "t", 5, shape=lambda value: value["until"]),),
        ]
        kit.run()
        assert all(reply.done() for reply in replies)
        assert isinstance(replies[0].exception(), QueueError) or said == {"id": None}


@pytest.mark.parametrize("said", JUNK)
def test_messages_that_are_none_reach_no_handler(
    said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()
    io.of("/queue").on("consume", lambda socket, *_: {"consumer": "1"})
    seen: list[Any] = []
    with TestKit(io) as kit:
        jobs = kit.connect("/queue").queue("jobs")
        jobs.handler(seen.append)
        kit.run()
        io.of("/queue").emit("message", said)
        kit.run()
    assert not seen
    assert "has not the fields of one" in caplog.text
    assert "Traceback" not in caplog.text
