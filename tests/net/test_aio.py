"""The same driver, stream and listener on asyncio's loop (and uvloop's where it is installed)."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from typing import Any

import pytest

from rawsio.limits import Limits
from rawsio.net.aio import AsyncioLoop, finish, take_sigterm
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, listen_tcp
from rawsio.net.tcp import TCPStream

from .kit import Owner, Parrot


def test_an_echo_server_runs_on_asyncio() -> None:
    async def main() -> None:
        driver = Driver(AsyncioLoop(), Limits(high_water=100_000, low_water=10_000))
        owner = Owner()
        owner.react = lambda stream, event: (
            stream.layer.send(event) if isinstance(event, bytes) else None
        )

        def accepted(sock: Any, _address: Any) -> None:
            TCPStream(driver, sock, Parrot(), owner.on_events, owner.on_closed)

        listener = Listener(driver, listen_tcp(), accepted)
        reader, writer = await asyncio.open_connection(*listener.address)
        wire = b"0123456789" * 100_000
        writer.write(wire)
        assert await asyncio.wait_for(reader.readexactly(len(wire)), 60) == wire
        writer.close()
        await writer.wait_closed()
        while driver.streams:
            await asyncio.sleep(0)
        assert len(owner.closed) == 1
        listener.close()

    asyncio.run(main())


def test_an_emit_outside_of_any_callback_of_ours_is_flushed() -> None:
    async def main() -> None:
        driver, owner = Driver(AsyncioLoop()), Owner()
        streams: list[TCPStream] = []

        def accepted(sock: Any, _address: Any) -> None:
            streams.append(TCPStream(driver, sock, Parrot(), owner.on_events, owner.on_closed))

        listener = Listener(driver, listen_tcp(), accepted)
        reader, writer = await asyncio.open_connection(*listener.address)
        while not streams:
            await asyncio.sleep(0)
        for number in range(10):
            streams[0].layer.send(b"%d" % number)
            streams[0].touch()
        assert await asyncio.wait_for(reader.readexactly(10), 60) == b"0123456789"
        streams[0].layer.deadline = driver.time() + 0.01
        streams[0].layer.tick_events = ["ping"]
        driver.watch(streams[0])
        while "ping" not in owner.events:
            await asyncio.sleep(0.005)
        writer.close()
        await writer.wait_closed()
        streams[0].abort()
        listener.close()

    asyncio.run(main())


def test_a_loop_that_cannot_watch_sockets_is_refused() -> None:
    class Proactor:
        def remove_reader(self, _fd: int) -> None:
            raise NotImplementedError

    with pytest.raises(RuntimeError, match="Proactor cannot watch sockets"):
        AsyncioLoop(Proactor())


def test_without_a_running_loop_it_raises() -> None:
    with pytest.raises(RuntimeError):
        AsyncioLoop()


def test_it_knows_whose_thread_it_is() -> None:
    async def main() -> list[bool]:
        loop = AsyncioLoop()
        answers = [loop.owned()]
        thread = threading.Thread(target=lambda: answers.append(loop.owned()))
        thread.start()
        thread.join()
        return answers

    assert asyncio.run(main()) == [True, False]


def test_waiting_for_tasks_includes_those_that_follow_and_has_an_end() -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        pending: set[Any] = set()
        log: list[str] = []

        async def work(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            log.append(name)

        def begin(name: str, seconds: float) -> asyncio.Task[None]:
            task = loop.create_task(work(name, seconds))
            pending.add(task)
            task.add_done_callback(pending.discard)
            return task

        first = begin("first", 0.001)
        first.add_done_callback(lambda _: loop.call_soon(loop.call_soon, begin, "second", 0.001))
        await finish(pending, 10)
        endless = begin("endless", 3600)
        await finish(pending, 0.001)
        assert not endless.done()
        endless.cancel()
        await finish({asyncio.current_task()}, 10)  # itself
        return log

    assert asyncio.run(main()) == ["first", "second"]


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio takes no signals there")
def test_a_program_that_handles_sigterm_keeps_its_handler() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            take_sigterm(loop, print)()
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            take_back = take_sigterm(loop, print)
            assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
            take_back()
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            thread = threading.Thread(target=take_sigterm, args=(loop, print))
            thread.start()
            thread.join()
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        finally:
            signal.signal(signal.SIGTERM, before)

    asyncio.run(main())
