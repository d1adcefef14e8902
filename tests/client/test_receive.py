"""``receive`` on asyncio's loop: awaited, and no event is lost or doubled by a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rawsio import Client, ConnectionClosed, Server


def with_client(use: Callable[[Server, Any], Awaitable[None]]) -> None:
    async def main() -> None:
        io = Server()
        host, port = io.listen()
        serving = asyncio.create_task(io.serve())
        async with Client(f"http://{host}:{port}", transports=["websocket"]) as socket:
            await asyncio.wait_for(use(io, socket), 60)
        io.close()
        await asyncio.wait_for(serving, 60)

    asyncio.run(main())


def test_events_are_received_in_their_order_whether_they_come_before_or_after() -> None:
    async def use(io: Server, socket: Any) -> None:
        io.emit("a", 1)
        io.emit("b")
        assert await socket.receive() == ["a", 1]
        assert await socket.receive(5) == ["b"]
        waiting = asyncio.ensure_future(socket.receive(5))
        await asyncio.sleep(0)
        io.emit("c", b"3")
        assert await waiting == ["c", b"3"]

    with_client(use)


def test_a_time_out_and_an_end_are_told() -> None:
    async def use(io: Server, socket: Any) -> None:
        with pytest.raises(TimeoutError, match="no event arrived in time"):
            await socket.receive(0.01)
        with pytest.raises(TypeError, match="number of seconds"):
            await socket.receive("1")
        waiting = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0)
        socket.disconnect()
        with pytest.raises(ConnectionClosed):
            await waiting

    with_client(use)


def test_a_cancelled_receive_leaves_its_event_to_the_next() -> None:
    async def use(io: Server, socket: Any) -> None:
        early = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0)
        early.cancel()
        await asyncio.sleep(0)
        io.emit("a")
        assert await socket.receive() == ["a"]
        late = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0)
        heard = asyncio.Event()
        socket.on_any(lambda *_: heard.set())
        io.emit("b")
        io.emit("c")
        # The event is there when the task is cancelled, and the task has not run again yet.
        await heard.wait()
        late.cancel()
        await asyncio.wait([late])
        assert late.cancelled()
        assert [await socket.receive(), await socket.receive()] == [["b"], ["c"]]
        late = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0)
        heard.clear()
        io.emit("d")
        await heard.wait()
        late.cancel()
        # Who waits already gets what the cancelled one gives back.
        assert await socket.receive() == ["d"]

    with_client(use)


def test_waiting_on_the_loop_s_thread_is_refused_with_a_word_about_await() -> None:
    async def use(io: Server, socket: Any) -> None:
        with pytest.raises(RuntimeError, match="use `await` there"):
            socket.emit_with_ack("x").result()

    with_client(use)
