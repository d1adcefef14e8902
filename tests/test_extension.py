"""What begins and ends with a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rawsio import Server
from rawsio.app.reply import Promise
from rawsio.testing import TestKit


class Named:
    """An extension that says what happens to it."""

    def __init__(self, name: str, life: list[str]) -> None:
        self.name = name
        self.life = life
        self.deadline = 0.0

    def start(self, runtime: Any) -> Any:
        self.runtime = runtime
        self.life.append(f"start {self.name}")

    def stop(self, deadline: float) -> Any:
        self.deadline = deadline
        self.life.append(f"stop {self.name}")


class Slow(Named):
    """One whose end takes a second, and whose beginning takes two."""

    def start(self, runtime: Any) -> Any:
        super().start(runtime)
        return self.after(2.0, f"{self.name} began")

    def stop(self, deadline: float) -> Any:
        super().stop(deadline)
        return self.after(1.0, f"{self.name} ended")

    def after(self, seconds: float, what: str) -> Promise[None]:
        reply = Promise(self.runtime)
        self.runtime.call_later(seconds, lambda: (self.life.append(what), reply.resolve(None)))
        return reply


@pytest.fixture
def life() -> list[str]:
    return []


def test_they_begin_in_their_order_when_the_server_runs_and_end_in_the_other(
    life: list[str],
) -> None:
    io = Server(extensions=[Named("a", life), Named("b", life)])
    io.extend(Named("c", life))
    assert not life
    with TestKit(io) as kit:
        assert life == ["start a", "start b", "start c"]
        kit.connect()
    assert life[3:] == ["stop c", "stop b", "stop a"]


def test_one_that_is_added_later_begins_at_once(life: list[str]) -> None:
    io = Server()
    with TestKit(io):
        io.extend(Named("a", life))
        assert life == ["start a"]
    assert life == ["start a", "stop a"]


def test_nobody_is_served_before_all_have_begun(life: list[str]) -> None:
    io = Server(extensions=[Slow("a", life), Named("b", life)])
    kit = TestKit(io)
    kit.run()
    assert life == ["start a"]
    kit.advance(2.0)
    assert life == ["start a", "a began", "start b"]
    kit.close()


def test_the_next_one_ends_when_the_last_one_has(life: list[str]) -> None:
    first, slow = Named("a", life), Slow("b", life)
    io = Server(extensions=[first, slow])
    kit = TestKit(io)
    kit.advance(2.0)
    del life[:]
    before = io.host.time()
    io.close(3.0)
    kit.run()
    assert life == ["stop b"]
    kit.advance(1.0)
    assert life == ["stop b", "b ended", "stop a"]
    kit.close()
    assert first.deadline == slow.deadline == before + 3.0


def test_one_that_never_ends_is_given_up_and_named(
    life: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(Named):
        def stop(self, deadline: float) -> Any:
            super().stop(deadline)
            return Promise(self.runtime)

    io = Server(extensions=[Named("a", life), Stuck("b", life)])
    kit = TestKit(io)
    io.close(1.0)
    kit.advance(5.9)
    assert "stop a" not in life
    kit.advance(0.2)
    assert "stop a" in life
    kit.close()
    assert "Stuck" in caplog.text


def test_an_exception_at_the_end_keeps_no_other_from_it(
    life: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Named):
        def stop(self, deadline: float) -> Any:
            raise KeyError("mine")

    with TestKit(Server(extensions=[Named("a", life), Fails("b", life)])):
        """Begin and end."""
    assert "stop a" in life
    assert "could not be stopped" in caplog.text


def test_an_exception_at_the_beginning_keeps_the_server_from_running(life: list[str]) -> None:
    class Fails(Named):
        def start(self, runtime: Any) -> Any:
            raise KeyError("mine")

    io = Server(extensions=[Named("a", life), Fails("b", life), Named("c", life)])
    io.listen()
    with pytest.raises(KeyError, match="mine"):
        io.run()
    assert io.closed
    assert life == ["start a", "stop a"]


def test_coroutines_are_awaited_on_asyncio(life: list[str]) -> None:
    class Async(Named):
        async def start(self, runtime: Any) -> None:
            await asyncio.sleep(0)
            super().start(runtime)

        async def stop(self, deadline: float) -> None:
            await asyncio.sleep(0)
            super().stop(deadline)

    io = Server(extensions=[Async("a", life), Named("b", life)])

    async def main() -> None:
        serving = asyncio.create_task(io.serve(port=0))
        while len(life) < 2:
            await asyncio.sleep(0)
        io.close()
        await asyncio.wait_for(serving, 10)

    asyncio.run(main())
    assert life == ["start a", "start b", "stop b", "stop a"]


def test_a_beginning_that_fails_later_closes_the_server(
    life: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Named):
        async def start(self, runtime: Any) -> None:
            await asyncio.sleep(0)
            raise KeyError("mine")

    io = Server(extensions=[Named("a", life), Fails("b", life)])
    asyncio.run(asyncio.wait_for(io.serve(port=0), 10))
    assert io.closed
    assert life == ["start a", "stop a"]
    assert "it cannot begin" in caplog.text


@pytest.mark.parametrize("wrong", [None, "redis", Named, object()])
def test_what_cannot_begin_and_end_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"start\(runtime\) and stop\(deadline\)"):
        Server(extensions=[wrong])
    with pytest.raises(TypeError, match=r"start\(runtime\) and stop\(deadline\)"):
        Server().extend(wrong)
