"""What begins and ends with a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rawsio import Client, Server
from rawsio.app.reply import Promise
from rawsio.testing import TestKit
from tests.net.kit import turn_until


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
        await asyncio.wait_for(serving, 60)

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
    asyncio.run(asyncio.wait_for(io.serve(port=0), 60))
    assert io.closed
    assert life == ["start a", "stop a"]
    assert "it cannot begin" in caplog.text


@pytest.mark.parametrize("wrong", [None, "redis", Named, object()])
def test_what_cannot_begin_and_end_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"start\(runtime\) and stop\(deadline\)"):
        Server(extensions=[wrong])
    with pytest.raises(TypeError, match=r"start\(runtime\) and stop\(deadline\)"):
        Server().extend(wrong)


# What outlives the loop


class Holding(Named):
    """One that holds something."""

    def abandon(self) -> None:
        self.life.append(f"abandon {self.name}")


def test_an_exception_that_leaves_the_loop_has_them_let_go(life: list[str]) -> None:
    io = Server(extensions=[Holding("a", life), Named("b", life), Holding("c", life)])
    io.call_later(0.0, lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        io.run(port=0)
    assert life == ["start a", "start b", "start c", "abandon c", "abandon a"]


def test_who_has_stopped_lets_go_as_well(life: list[str]) -> None:
    io = Server(extensions=[Holding("a", life)])
    io.call_later(0.0, io.close)
    io.run(port=0)
    assert life == ["start a", "stop a", "abandon a"]


def test_one_that_could_not_begin_keeps_nobody_from_letting_go(life: list[str]) -> None:
    class Broken(Holding):
        def start(self, runtime: Any) -> None:
            raise ValueError(self.name)

        def abandon(self) -> None:
            super().abandon()
            raise ValueError(self.name)

    io = Server(extensions=[Holding("a", life), Broken("b", life), Holding("c", life)])
    with pytest.raises(ValueError, match="b"):
        io.run(port=0)
    assert life == ["start a", "stop a", "abandon c", "abandon b", "abandon a"]


# Clients


def test_those_of_a_client_begin_and_end_with_it(life: list[str]) -> None:
    with TestKit(Server()) as kit:
        extensions = [Named("a", life), Slow("b", life)]
        client = kit.client(extensions=extensions)
        client.main.connect()
        kit.advance(3.0)
        assert client.connected
        assert life == ["start a", "start b", "b began"]
        client.close(5.0)
        kit.run()
        assert not client.closed
        kit.advance(2.0)
        assert client.closed
        assert life[3:] == ["stop b", "b ended", "stop a"]


def test_those_of_a_client_run_on_its_steps_and_on_asyncio(life: list[str]) -> None:
    io = Server()
    url = f"http://127.0.0.1:{io.listen()[1]}"
    stepped = Client(url, extensions=[Holding("a", life)])
    stepped.main.connect()

    def connected() -> bool:
        stepped.step(0.001)
        return stepped.connected

    turn_until(io, connected)
    stepped.close()
    while not stepped.closed:
        stepped.step(0.001)
        io.step(0.001)
    assert life == ["start a", "stop a", "abandon a"]
    life.clear()

    async def on_asyncio() -> None:
        server = Server()
        serving = asyncio.ensure_future(server.serve(port=0))
        await asyncio.sleep(0)
        address = server.listen()
        async with Client(f"http://127.0.0.1:{address[1]}", extensions=[Holding("b", life)]):
            pass
        server.close()
        await serving

    asyncio.run(on_asyncio())
    assert life == ["start b", "stop b", "abandon b"]
    io.close()
    while not io.closed:
        io.step(0.01)


def test_a_client_whose_extension_cannot_begin_says_so(life: list[str]) -> None:
    class Broken(Named):
        def start(self, runtime: Any) -> None:
            raise ValueError(self.name)

    with TestKit(Server()) as kit:
        client = kit.client(extensions=[Broken("a", life)])
        with pytest.raises(ValueError, match="a"):
            client.main.connect()


def test_what_is_no_extension_is_refused_by_a_client() -> None:
    with pytest.raises(TypeError, match="an extension has start"):
        Client("http://a", extensions=[object()])  # type: ignore[list-item]


def test_what_was_stopped_in_time_leaves_no_timer(life: list[str]) -> None:
    io = Server(extensions=[Named("a", life), Named("b", life)])
    with TestKit(io) as kit:
        io.close(1.0)
        kit.run()
        assert life[-1] == "stop a"
        assert kit.loop.next_deadline() is None
