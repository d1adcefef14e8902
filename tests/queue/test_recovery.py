"""A server whose recovery has a path: its beginning, its end, and a kill in between."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rawsio import Client, Recovery, Server
from rawsio.app.adapter import Adapter
from rawsio.queue import StoreError
from tests.soak.recovery import Killed, judge


def server(path: Any, **options: Any) -> Server:
    return Server(connection_state_recovery=Recovery(path=path, **options))


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in found}
    finally:
        connection.close()


async def _serving(io: Server, port: int = 0) -> tuple[Any, str]:
    running = asyncio.get_running_loop().create_future()
    io.host.call_later(0.0, running.set_result, None)
    address = io.listen(port=port)
    task = asyncio.ensure_future(io.serve())
    await asyncio.wait_for(running, 60)
    return task, f"http://127.0.0.1:{address[1]}"


async def _ended(io: Server, task: Any) -> None:
    io.close(60)
    await asyncio.wait_for(task, 60)


def test_nothing_is_opened_before_the_server_begins(tmp_path: Path) -> None:
    server(tmp_path / "app.db")
    assert list(tmp_path.iterdir()) == []


def test_a_server_begins_nothing_with_a_file_that_it_cannot_use(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(StoreError, match="is a folder"):
            await server(tmp_path).serve(port=0)
        first = server(tmp_path / "app.db")
        task, _ = await _serving(first)
        with pytest.raises(StoreError, match="in use: this process has it open already"):
            await server(tmp_path / "app.db").serve(port=0)
        await _ended(first, task)
        again = server(tmp_path / "app.db")
        task, _ = await _serving(again)
        await _ended(again, task)

    asyncio.run(main())


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(TypeError, match="path of a file"):
        server(5)
    with pytest.raises(ValueError, match="FULL or NORMAL"):
        server("app.db", synchronous="OFF")
    with pytest.raises(ValueError, match="with adapter="):
        Server(adapter=Adapter, connection_state_recovery=Recovery(path="app.db"))


def test_a_queue_and_recovery_share_a_file_and_its_thread(tmp_path: Path) -> None:
    async def main() -> None:
        io = server(tmp_path / "app.db", synchronous="NORMAL")
        jobs = io.queue("jobs", path=tmp_path / "app.db")
        seen: asyncio.Queue[Any] = asyncio.Queue()

        @jobs.handler
        async def work(message: Any) -> None:
            await seen.put(message.body)

        task, url = await _serving(io)
        async with Client(url) as client:
            await jobs.publish("hello")
            assert await asyncio.wait_for(seen.get(), 60) == "hello"
            assert client.id is not None
        level = jobs.keeper.store.connection.execute("PRAGMA synchronous").fetchone()  # type: ignore[attr-defined]
        assert level == (2,), "as strict as the queue asks for"
        await _ended(io, task)

    asyncio.run(main())
    assert {"rawsio_message", "rawsio_session"} <= tables(tmp_path / "app.db")


def test_a_queue_alone_makes_no_tables_of_recovery(tmp_path: Path) -> None:
    async def main() -> None:
        io = Server()
        io.queue("jobs", path=tmp_path / "app.db")
        task, _ = await _serving(io)
        await _ended(io, task)

    asyncio.run(main())
    assert "rawsio_session" not in tables(tmp_path / "app.db")


def test_a_client_goes_on_with_another_server_after_an_orderly_end(tmp_path: Path) -> None:
    async def main() -> None:
        first = server(tmp_path / "app.db")
        first.on("enter", lambda socket: socket.join("room"))
        task, url = await _serving(first)
        seen: list[int] = []
        connected = asyncio.Event()
        async with Client(url, reconnection_delay=0.01) as client:
            client.on("e", seen.append)
            client.on("connect", connected.set)
            await client.emit_with_ack("enter")
            first.to("room").emit("e", 1)
            await client.emit_with_ack("enter")
            connected.clear()
            await _ended(first, task)
            second = server(tmp_path / "app.db")
            second.on("ask", lambda socket: socket.recovered)
            second.to("room").emit("e", 2)
            task, _ = await _serving(second, int(url.rpartition(":")[2]))
            await asyncio.wait_for(connected.wait(), 60)
            assert client.recovered
            assert await client.emit_with_ack("ask") is True
            assert seen == [1, 2]
        await _ended(second, task)

    asyncio.run(main())


@pytest.mark.rule("durable-recovery-restart-all")
def test_clients_of_a_server_that_is_killed_come_back_with_everything(tmp_path: Path) -> None:
    killed = Killed(str(tmp_path / "app.db"))
    try:
        killed.add([sys.executable, "-m", "tests.soak.recovery_clients"], "ours", 6, {}, "0")
        for _ in range(2):
            killed.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                killed.server.wait(0.7)
        found = killed.end()
    finally:
        killed.stop()
    assert judge(found, None) == []
    assert all(one["back"] for one in found)


def test_programs_that_keep_nothing_in_a_file_load_nothing_of_it() -> None:
    code = (
        "import sys; from rawsio import Recovery, Server\n"
        "Server(connection_state_recovery=Recovery())\n"
        "print(sorted(n for n in sys.modules if n == 'sqlite3' or n.startswith('rawsio.queue')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
