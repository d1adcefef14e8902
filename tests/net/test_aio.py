"""The same driver, stream and listener on asyncio's loop (and uvloop's where it is installed)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rawsio.limits import Limits
from rawsio.net.aio import AsyncioLoop
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
        assert await asyncio.wait_for(reader.readexactly(len(wire)), 20) == wire
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
        assert await asyncio.wait_for(reader.readexactly(10), 20) == b"0123456789"
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
