"""Replies end once, from any thread, and hold nothing that waits."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rawsio.app.reply import Gathering, Promise, Reply, Responses
from rawsio.errors import ConnectionClosed
from rawsio.socketio.packets import Connect, Event

from .world import World


def test_the_answer_is_the_result() -> None:
    for values, expected in (([], None), (["x"], "x"), ([1, b"2"], (1, b"2")), ([None], None)):
        world = World()
        client = world.client()
        client.take()
        reply = client.socket().emit_with_ack("q", 1)
        assert not reply.done()
        (question,) = client.take()
        assert question == Event("/", ["q", 1], question.id)
        client.answer(question, *values)
        assert reply.result() == expected
        assert reply.exception() is None
        assert client.socket()._pending == {}


def test_waiting_on_the_thread_of_the_loop_raises_at_once() -> None:
    reply = World().client().socket().emit_with_ack("q")
    with pytest.raises(RuntimeError):
        reply.result()
    with pytest.raises(RuntimeError):
        reply.exception(timeout=1)


def test_a_timeout_ends_it_and_a_late_answer_is_ignored() -> None:
    world = World()
    client = world.client()
    client.take()
    reply = client.socket().timeout(2).emit_with_ack("q")
    world.pass_time(2)
    with pytest.raises(TimeoutError):
        reply.result()
    assert client.socket()._pending == {}
    client.answer(client.take()[0], "late")
    assert isinstance(reply.exception(), TimeoutError)


def test_an_answer_stops_the_clock() -> None:
    world = World()
    client = world.client()
    before = world.timers()
    client.take()
    reply = client.socket().timeout(2).emit_with_ack("q")
    assert world.timers() == before + 1
    client.answer(client.take()[0], "x")
    assert world.timers() == before
    world.pass_time(3)
    assert reply.result() == "x"


@pytest.mark.parametrize("end", ["cut", "leave"])
def test_pending_replies_fail_at_once_when_the_socket_ends(end: str) -> None:
    world = World()
    client = world.client()
    reply = client.socket().emit_with_ack("q")
    getattr(client, end)()
    with pytest.raises(ConnectionClosed):
        reply.result()


def test_a_question_to_a_socket_that_has_ended_fails_at_once() -> None:
    world = World()
    client = world.client()
    socket = client.socket()
    client.cut()
    assert isinstance(socket.emit_with_ack("q").exception(), ConnectionClosed)


def test_cancelling_forgets_the_question() -> None:
    world = World()
    client = world.client()
    reply = client.socket().emit_with_ack("q")
    assert reply.cancel()
    assert reply.cancelled()
    assert reply.done()
    assert not reply.cancel()
    assert client.socket()._pending == {}
    with pytest.raises(ConnectionClosed):
        reply.result()


def test_cancelling_before_the_loop_has_sent_it_sends_nothing() -> None:
    world = World()
    client = world.client()
    client.take()
    world.owned = False
    reply = client.socket().emit_with_ack("q")
    reply.cancel()
    world.run_calls()
    assert client.take() == []


def test_callbacks_run_once_each_in_order_and_a_failing_one_stops_no_other() -> None:
    world = World()
    reply = Promise(world)
    called: list[Any] = []
    reply.add_done_callback(lambda r: called.append(1))
    reply.add_done_callback(lambda r: 1 / 0)
    reply.add_done_callback(lambda r: called.append(r))  # noqa: PLW0108 - its arity is the test
    reply.resolve("x")
    reply.resolve("y")
    reply.fail(ValueError())
    reply.add_done_callback(lambda r: called.append(r.result()))
    assert called == [1, reply, "x"]
    assert isinstance(world.errors[0], ZeroDivisionError)
    assert "done" in repr(reply)


def test_callbacks_added_while_another_thread_ends_it_all_run_once() -> None:
    for _ in range(200):
        reply = Promise(World())
        called: list[int] = []
        go = threading.Barrier(2)

        def add(reply: Reply = reply, called: list[int] = called, go: Any = go) -> None:
            go.wait()
            for number in range(20):
                reply.add_done_callback(lambda r, number=number: called.append(number))

        thread = threading.Thread(target=add)
        thread.start()
        go.wait()
        reply.resolve(1)
        thread.join()
        assert sorted(called) == list(range(20))


def test_it_can_be_awaited() -> None:
    world = World()
    client = world.client()
    client.take()

    async def main() -> list[Any]:
        reply = client.socket().emit_with_ack("q")
        asyncio.get_running_loop().call_soon(lambda: client.answer(client.take()[0], "A"))
        first = await reply
        failed = client.socket().emit_with_ack("q")
        asyncio.get_running_loop().call_soon(client.cut)
        try:
            await failed
        except ConnectionClosed:
            return [first, await reply, "closed"]
        return []

    assert asyncio.run(main()) == ["A", "A", "closed"]


def test_a_cancelled_task_cancels_the_reply_that_it_awaits() -> None:
    world = World()
    client = world.client()

    async def main() -> Reply:
        reply = client.socket().emit_with_ack("q")

        async def waiting() -> Any:
            return await reply

        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return reply

    assert asyncio.run(main()).cancelled()


def test_too_many_questions_are_refused() -> None:
    from rawsio.limits import Limits

    world = World(limits=Limits(pending_acks=2))
    socket = world.client().socket()
    replies = [socket.emit_with_ack("q") for _ in range(3)]
    assert [reply.done() for reply in replies] == [False, False, True]
    assert world.io.emit_with_ack("q").result().missing == [socket.id]


def test_questions_are_counted_for_all_sockets_of_a_connection() -> None:
    from rawsio.limits import Limits

    world = World(limits=Limits(pending_acks=2))
    world.namespaces.of("/other")
    client = world.client()
    client.send(Connect("/other"))
    sockets = client.socket(), client.socket("/other"), client.socket()
    assert [socket.emit_with_ack("q").done() for socket in sockets] == [False, False, True]
    assert not world.client().socket().emit_with_ack("q").done()


@pytest.mark.rule("socketio-v5-ack-unknown")
def test_unsolicited_repeated_and_foreign_acknowledgements_are_ignored() -> None:
    world = World()
    world.namespaces.of("/other")
    client = world.client()
    client.send(Connect("/other"))
    client.take()
    reply = client.socket().emit_with_ack("q")
    (question,) = client.take()
    client.raw(f"3/other,{question.id}[1]", f"3{question.id + 1}[1]", "39007199254740991[]")
    assert not reply.done()
    client.raw(f'3{question.id}["yes"]', f'3{question.id}["no"]')
    assert reply.result() == "yes"
    assert client.closed is None


def test_a_gathering_of_several_parts_waits_for_all() -> None:
    reply = Promise(World())
    gathering = Gathering(reply, 2)
    gathering.expect(["a"])
    gathering.complete()
    gathering.answered("a", [1])
    gathering.answered("a", [2])
    gathering.lost("unknown", "")
    assert not reply.done()
    gathering.expect(["b"])
    gathering.complete()
    assert gathering.waiting == ("b",)
    gathering.lost("b", "")
    assert isinstance(reply.result(), Responses)
    assert (reply.result(), reply.result().missing) == ([1], ["b"])
