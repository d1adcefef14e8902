"""How handlers are run, and how threads reach the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.app.reply import Promise
from rawsio.app.watchdog import Watchdog
from rawsio.log import WARNING, Log
from rawsio.net.aio import AsyncioLoop
from rawsio.net.loop import Loop
from rawsio.runtime import Runtime
from rawsio.testing import TestKit
from tests.net.kit import turn_until


class World:
    """A host on a loop whose clock a test sets, and what came of it."""

    def __init__(self, **options: Any) -> None:
        self.now = 0.0
        self.logged: list[tuple[str, int, str]] = []
        self.results: list[Any] = []
        self.loop = Loop(None, lambda: self.now)
        log = Log(lambda: 0.0, lambda channel, level, text, _: self.note(channel, level, text))
        limits = Limits(slow_handler=0.5)
        self.host = Runtime(limits, log, **options)
        self.host.attach(self.loop)
        Watchdog(limits).start(self.host)

    def note(self, channel: str, level: int, text: str) -> None:
        self.logged.append((channel, level, text))

    def done(self, result: Any, error: BaseException | None) -> None:
        self.results.append(result if error is None else error)

    def turns_until_done(self) -> None:
        turn_until(self.loop, lambda: self.results)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def fail() -> None:
    raise KeyError("mine")


class TestBeforeTheLoop:
    def test_what_was_asked_is_done_on_the_loop_that_comes(self, world: World) -> None:
        done: list[str] = []
        early = Runtime(Limits(), Log(lambda: 0.0))
        early.call_soon(done.append, "soon")
        early.call_later(0.5, done.append, "later")
        early.attach(world.loop)
        world.loop.step(0)
        assert done == ["soon"]
        world.now += 0.5
        world.loop.step(0)
        assert done == ["soon", "later"]


class TestOnTheLoop:
    def test_a_function_has_run_when_start_returns(self, world: World) -> None:
        world.host.start(lambda a, b: a + b, (1, 2), world.done)
        assert world.results == [3]

    def test_its_exception_is_a_result(self, world: World) -> None:
        world.host.start(fail, (), world.done)
        assert isinstance(world.results[0], KeyError)

    def test_the_end_of_the_program_is_not(self, world: World) -> None:
        def leave() -> None:
            raise SystemExit

        with pytest.raises(SystemExit):
            world.host.start(leave, (), world.done)
        assert not world.results

    def test_one_that_blocks_the_loop_is_named(self, world: World) -> None:
        def slow_one() -> None:
            world.now += 0.75

        world.host.start(slow_one, (), world.done)
        ((channel, level, text),) = world.logged
        assert (channel, level) == ("handler", WARNING)
        assert "slow_one blocked the loop for 0.75 s" in text

    def test_one_that_does_not_is_not(self, world: World) -> None:
        def quick_one() -> None:
            world.now += 0.25

        world.host.start(quick_one, (), world.done)
        world.host.start(fail, (), world.done)
        assert not world.logged
        world.host.watch(None)
        world.host.start(lambda: setattr(world, "now", world.now + 2), (), world.done)
        assert not world.logged

    def test_a_coroutine_function_is_refused_with_what_to_do(self, world: World) -> None:
        async def handler() -> None:
            """Never run."""

        world.host.start(handler, (), world.done)
        assert isinstance(world.results[0], RuntimeError)
        assert "await io.serve()" in str(world.results[0])


class TestOnAnExecutor:
    @pytest.fixture
    def threaded(self) -> Iterator[World]:
        with ThreadPoolExecutor(1) as executor:
            made = World(executor=executor)
            yield made
            made.loop.close()

    def test_a_function_runs_on_its_threads_and_ends_on_the_loop(self, threaded: World) -> None:
        assert not threaded.host.inline
        ended_on: list[int] = []

        def done(result: Any, error: BaseException | None) -> None:
            ended_on.append(threading.get_ident())
            threaded.done(result, error)

        threaded.host.start(threading.get_ident, (), done)
        threaded.turns_until_done()
        assert threaded.results[0] != threading.get_ident()
        assert ended_on == [threading.get_ident()]

    def test_its_exception_is_a_result(self, threaded: World) -> None:
        threaded.host.start(fail, (), threaded.done)
        threaded.turns_until_done()
        assert isinstance(threaded.results[0], KeyError)

    def test_a_coroutine_that_a_plain_callable_gave_is_not_taken_for_a_result(
        self, threaded: World
    ) -> None:
        async def handler() -> None:
            """Never run."""

        threaded.host.start(partial(handler), (), threaded.done)
        threaded.turns_until_done()
        assert "await io.serve()" in str(threaded.results[0])

    def test_one_that_was_shut_down_costs_the_handler_only(self, threaded: World) -> None:
        executor: Any = threaded.host.executor
        executor.shutdown()
        threaded.host.start(fail, (), threaded.done)
        threaded.turns_until_done()
        assert isinstance(threaded.results[0], RuntimeError)

    def test_a_handler_that_it_never_ran_ends_too(self, threaded: World) -> None:
        executor: Any = threaded.host.executor
        began, go_on = threading.Event(), threading.Event()

        def wait() -> None:
            began.set()
            go_on.wait(20)

        threaded.host.start(wait, (), lambda result, error: None)
        threaded.host.start(fail, (), threaded.done)
        threaded.loop.step(0)
        assert began.wait(20)
        executor.shutdown(wait=False, cancel_futures=True)
        threaded.turns_until_done()
        go_on.set()
        assert "shut down" in str(threaded.results[0])

    def test_a_handler_that_ends_after_its_server_is_no_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ThreadPoolExecutor(1) as executor:
            world = World(executor=executor)
            go_on = threading.Event()
            world.host.start(go_on.wait, (20,), world.done)
            world.loop.step(0)
            world.loop.close()
            go_on.set()
        assert not world.results
        assert not caplog.records


class TestOnAsyncio:
    def run(self, handler: Any, *, cancel: bool = False) -> Any:
        """Start a handler on asyncio; return its result or error."""

        async def main() -> Any:
            world = World()
            world.loop.close()
            world.host.attach(AsyncioLoop())
            ended = asyncio.Event()

            def done(result: Any, error: BaseException | None) -> None:
                world.done(result, error)
                ended.set()

            world.host.start(handler, (), done)
            if cancel:
                world.host.cancel_tasks()
            await asyncio.wait_for(ended.wait(), 60)
            return world.results[0]

        return asyncio.run(main())

    def test_a_coroutine_is_awaited(self) -> None:
        async def handler() -> int:
            await asyncio.sleep(0)
            return 7

        assert self.run(handler) == 7

    def test_its_exception_is_a_result(self) -> None:
        async def handler() -> None:
            fail()

        assert isinstance(self.run(handler), KeyError)

    def test_a_cancelled_task_is_an_error(self) -> None:
        async def handler() -> None:
            await asyncio.get_running_loop().create_future()

        error = self.run(handler, cancel=True)
        assert isinstance(error, RuntimeError)
        assert "cancelled" in str(error)


class TestThreads:
    def test_calls_of_other_threads_run_on_the_loop_in_their_order(self, world: World) -> None:
        world.loop.step(0)
        seen: list[tuple[int, bool]] = []

        def call_three() -> None:
            for number in range(3):
                world.host.call(lambda n: seen.append((n, world.host.on_loop())), number)

        thread = threading.Thread(target=call_three)
        thread.start()
        thread.join()
        assert not seen
        world.loop.step(0)
        assert seen == [(0, True), (1, True), (2, True)]

    def test_the_loops_own_thread_is_not_kept_waiting(self, world: World) -> None:
        world.loop.step(0)
        seen: list[int] = []
        world.host.call(seen.append, 1)
        assert seen == [1]

    def test_another_thread_may_wait_for_a_reply(self, world: World) -> None:
        world.loop.step(0)
        reply = Promise(world.host)
        waiting = threading.Thread(target=lambda: world.done(reply.result(60), None))
        waiting.start()
        reply.resolve("yes")
        world.turns_until_done()
        waiting.join()
        assert world.results == ["yes"]

    def test_the_loops_own_thread_may_not_wait(self, world: World) -> None:
        world.loop.step(0)
        with pytest.raises(RuntimeError):
            Promise(world.host).result(60)


def test_there_are_no_datagrams_before_a_host_runs() -> None:
    with pytest.raises(RuntimeError, match=r"open them in start\(\)"):
        Server().host.open_datagram(print)


def test_extensions_of_servers_in_memory_send_each_other_datagrams() -> None:
    class Peer:
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def start(self, runtime: Any) -> None:
            self.datagrams = runtime.open_datagram(lambda *got: self.heard.append(got))

        def stop(self, _deadline: float) -> None:
            self.datagrams.close()

    one, two = Peer(), Peer()
    with TestKit(Server(extensions=[one])) as kit:
        kit.serve(Server(extensions=[two]), "http://other")
        assert one.datagrams.send(b"hello", two.datagrams.address)
        kit.run()
        assert two.heard == [(b"hello", one.datagrams.address)]
        kit.datagrams.lose = lambda data: data == b"lost"
        for data in (b"lost", b"found"):
            two.datagrams.send(data, one.datagrams.address)
        kit.run()
        assert [data for data, _peer in one.heard] == [b"found"]
    with pytest.raises(RuntimeError, match="closed"):
        one.datagrams.send(b"late", two.datagrams.address)
