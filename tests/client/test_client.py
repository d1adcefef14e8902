"""The client over real sockets, in a thread, step by step, and on asyncio."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import rawsio
from rawsio import Client, ConnectionClosed, Refused, Server
from rawsio.net.listener import listen_tcp
from rawsio.testing import TestKit
from tests.test_tls import Contexts, certificate, contexts

__all__ = ["certificate", "contexts"]


class ServerSockets:
    """A server in a thread, and where it is."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.url = f"http://127.0.0.1:{self.io.listen()[1]}"
        self.thread = threading.Thread(target=self.io.run)

        @self.io.on("ack")
        def ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
            return args

        @self.io.on("echo")
        def echo(socket: Any, *args: Any) -> None:
            socket.emit("echo back", *args)

        @self.io.of("/secret").use
        def refuse(_socket: Any) -> None:
            raise Refused("not you", {"retry": False})

    def end(self) -> None:
        self.io.close(0.2)
        self.thread.join(60)


@pytest.fixture
def server() -> Iterator[ServerSockets]:
    made = ServerSockets()
    made.thread.start()
    yield made
    made.end()


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_a_thread_talks_to_the_server(server: ServerSockets, transports: list[str]) -> None:
    with rawsio.connect(server.url, transports=transports) as socket:
        assert socket.emit_with_ack("ack", "a", b"\0\1", {"b": 1}).result(60) == (
            "a",
            b"\0\1",
            {"b": 1},
        )
        socket.emit("echo", 1)
        socket.emit("echo", 2)
        assert socket.receive(60) == ["echo back", 1]
        assert socket.receive(60) == ["echo back", 2]
        with pytest.raises(TimeoutError):
            socket.receive(0.01)
    assert socket.client.closed
    assert not socket.connected
    with pytest.raises(ConnectionClosed, match="closed"):
        socket.emit("x")
    socket.client.close()


def test_a_handler_that_comes_late_gets_what_was_kept(server: ServerSockets) -> None:
    with rawsio.connect(server.url) as socket:
        for number in range(3):
            socket.emit("echo", number)
        socket.emit_with_ack("ack").result(60)
        seen: list[Any] = []
        socket.on("echo back", seen.append)
        socket.emit_with_ack("ack").result(60)
        assert seen == [0, 1, 2]


def test_a_handler_that_exits_closes_the_client_and_the_program_learns_of_it(
    server: ServerSockets, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[str] = []
    with rawsio.connect(server.url) as socket:
        socket.on("disconnect", lambda reason, _description: ends.append(reason))
        socket.on("echo back", lambda: sys.exit(1))
        waiting = socket.emit_with_ack("never answered")
        socket.emit("echo")
        with pytest.raises(ConnectionClosed):
            waiting.result(60)
    assert socket.client.closed
    assert ends == ["io client disconnect"]
    assert "a handler raised SystemExit in the loop's thread, which ends" in caplog.text


def test_who_steps_needs_no_thread(server: ServerSockets) -> None:
    client = Client(server.url)
    socket = client.main.connect()
    reply = socket.emit_with_ack("ack", "early")
    assert reply.result(60) == "early"
    assert client.connected
    client.close()
    while not client.closed:
        client.step(0.1)
    client.step()


def test_the_client_runs_on_asyncio(server: ServerSockets) -> None:
    async def main() -> Any:
        seen = asyncio.get_running_loop().create_future()
        async with Client(server.url) as socket:

            @socket.on("echo back")
            async def back(*args: Any) -> None:
                await asyncio.sleep(0)
                seen.set_result(args)

            socket.emit("echo", "x")
            return await socket.emit_with_ack("ack", "hi"), await seen

    assert asyncio.run(main()) == ("hi", ("x",))


@pytest.mark.rule("6455-4.1-open")
def test_a_server_that_cannot_be_reached_is_named() -> None:
    with listen_tcp() as sock:
        port = sock.getsockname()[1]
    with pytest.raises(ConnectionClosed, match=rf"127.0.0.1:{port}: connection refused"):
        rawsio.connect(f"http://127.0.0.1:{port}")


def test_a_refusal_is_raised_with_what_the_server_said(server: ServerSockets) -> None:
    with pytest.raises(Refused, match="not you") as caught:
        rawsio.connect(server.url + "/secret")
    assert caught.value.data == {"retry": False}


@pytest.mark.rule("9110-4.2.2-secured")
def test_a_client_says_nothing_to_an_https_server_but_tls() -> None:
    with listen_tcp() as sock:
        client = Client(f"https://localhost:{sock.getsockname()[1]}", reconnection=False)
        client.start()
        try:
            client.main.connect()
            sock.settimeout(60)
            wire, _ = sock.accept()
            with wire:
                wire.settimeout(60)
                assert wire.recv(1 << 16)[:2] == b"\x16\x03"
                wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                said = b"".join(iter(lambda: wire.recv(1 << 16), b""))
                assert said[:2] in (b"\x15\x03", b"")
            assert not client.connected
        finally:
            client.close(0.1)


@pytest.mark.rule("9110-4.3.4-setting", "9110-4.3.4-identity")
@pytest.mark.rule("6455-4.1-tls", "6455-4.2.2-tls", "6455-10.6-tls")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_https_checks_the_certificate(contexts: Contexts, transport: str) -> None:
    theirs, ours = contexts
    names: list[str | None] = []
    ours.sni_callback = lambda _wire, name, _context: names.append(name)
    io = Server()
    port = io.listen(tls=ours)[1]
    thread = threading.Thread(target=io.run)
    thread.start()
    try:
        url, transports = f"https://localhost:{port}", [transport]
        with rawsio.connect(url, tls=theirs, transports=transports) as socket:
            assert socket.connected
        with pytest.raises(ConnectionClosed, match=r"certificate is refused: .self.signed"):
            rawsio.connect(url, transports=transports)
        assert set(names) == {"localhost"}
    finally:
        io.close(0.2)
        thread.join(60)


def test_handlers_may_run_on_threads_and_wait_there(server: ServerSockets) -> None:
    with ThreadPoolExecutor(2) as pool, rawsio.connect(server.url, executor=pool) as socket:
        seen: list[Any] = []
        done = threading.Event()

        @socket.on("echo back")
        def back(*args: Any) -> None:
            seen.append(socket.emit_with_ack("ack", *args).result(60))
            done.set()

        socket.emit("echo", 7)
        assert done.wait(60)
        assert seen == [7]


def test_waiting_in_a_handler_on_the_loop_raises_at_once(server: ServerSockets) -> None:
    with rawsio.connect(server.url) as socket:
        errors: list[BaseException] = []
        done = threading.Event()

        @socket.on("echo back")
        def back() -> None:
            try:
                socket.emit_with_ack("ack").result(60)
            except RuntimeError as error:
                errors.append(error)
            done.set()

        socket.emit("echo")
        assert done.wait(60)
        assert errors


def test_a_client_may_be_closed_by_its_handler(server: ServerSockets) -> None:
    with rawsio.connect(server.url) as socket:
        gone = threading.Event()
        socket.on("disconnect", gone.set)
        socket.on("echo back", socket.client.close)
        socket.emit("echo")
        assert gone.wait(60)
    assert socket.client.closed


def test_on_asyncio_a_client_lets_its_handlers_come_to_their_end(server: ServerSockets) -> None:
    log: list[str] = []

    async def main() -> None:
        async with Client(server.url) as socket:

            @socket.on("disconnect")
            async def gone(_reason: str, _description: Any) -> None:
                await asyncio.sleep(0)
                log.append("cleaned up")

    asyncio.run(main())
    assert log == ["cleaned up"]


def test_a_failure_on_asyncio_leaves_nothing_open(server: ServerSockets) -> None:
    async def main() -> None:
        async with Client(server.url + "/secret"):
            raise AssertionError("it was let in")

    with pytest.raises(Refused):
        asyncio.run(main())


def test_a_loop_of_somebody_else_is_not_run_in_a_thread() -> None:
    async def main() -> None:
        client = Client("http://127.0.0.1:1", reconnection=False)
        with pytest.raises(ConnectionClosed):
            await client.__aenter__()
        with pytest.raises(RuntimeError, match="somebody else's"):
            client.start()

    asyncio.run(main())


def _threads() -> int:
    return sum(thread.name == "rawsio" for thread in threading.enumerate())


def test_a_client_that_its_handler_closed_leaves_no_thread_and_no_loop(
    server: ServerSockets,
) -> None:
    before = _threads()
    socket = rawsio.connect(server.url)
    socket.on("echo back", socket.client.close)
    socket.emit("echo")
    # Closing from here, too, only waits for the end.
    assert _ended(socket.client)
    assert _threads() == before
    socket.client.close()
    socket.disconnect()
    with pytest.raises(ConnectionClosed):
        socket.receive(0)
    with pytest.raises(ConnectionClosed):
        socket.emit("echo")


def _ended(client: Client) -> bool:
    thread = next(t for t in threading.enumerate() if t.name == "rawsio")
    thread.join(60)
    return client.closed


def test_a_client_may_be_closed_by_several_threads_at_once(server: ServerSockets) -> None:
    socket = rawsio.connect(server.url)
    with ThreadPoolExecutor(4) as pool:
        for closing in [pool.submit(socket.client.close) for _ in range(4)]:
            closing.result(60)
    assert socket.client.closed


def test_a_client_lives_in_a_foreign_poll_loop(server: ServerSockets) -> None:
    client = Client(server.url)
    client.main.connect()
    reply = client.main.emit_with_ack("ack", 1)
    while not reply.done():
        due = client.next_deadline()
        patience = None if due is None else max(0.0, due - client.host.time())
        select.select([client.fileno()], [], [], patience)
        client.step(0)
    assert reply.result() == 1
    client.close()
    while not client.closed:
        client.step()


@pytest.mark.rule("layers-connect-doubt")
@pytest.mark.parametrize("transports", [["polling", "websocket"], ["websocket"]])
def test_of_two_addresses_the_one_that_serves_is_found_though_the_other_answers(
    server: ServerSockets, transports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.url.rpartition(":")[2])
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def look_up(_host: str, _port: int, **more: Any) -> list[Any]:
            if more.get("flags"):
                raise socket.gaierror("not numeric")
            return [(*kind, other.getsockname()), (*kind, ("127.0.0.1", port))]

        def turn_away() -> None:
            other.accept()[0].close()

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        thread = threading.Thread(target=turn_away)
        thread.start()
        client = Client(
            f"http://two.example:{port}", transports=transports, reconnection_delay=0.01
        )
        try:
            errors: list[Exception] = []
            client.main.on("connect_error", errors.append)
            client.main.connect()
            while not client.main.connected:
                client.step()
            assert errors
        finally:
            client.close()
            while not client.closed:
                client.step()
            thread.join(60)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".com", ".a"])
def test_a_name_that_cannot_be_one_is_an_error_at_once(host: str) -> None:
    with pytest.raises(ConnectionClosed, match="label"):
        rawsio.connect(f"http://{host}:1", reconnection=False, timeout=None)


def test_on_asyncio_a_server_that_never_lets_us_in_is_given_up() -> None:
    async def main() -> None:
        io = Server()

        @io.use
        async def think(_socket: Any) -> None:
            await asyncio.get_running_loop().create_future()

        url = f"http://127.0.0.1:{io.listen()[1]}"
        serving = asyncio.ensure_future(io.serve())
        with pytest.raises(TimeoutError):
            async with Client(url, timeout=0.05, transports=["websocket"]):
                raise AssertionError("it was let in")
        io.close(0.0)
        await serving

    asyncio.run(main())


@pytest.mark.parametrize(
    ("name", "cure"),
    [("connection", '"connect" is raised here'), ("reconnect", "see socket.client.on")],
)
def test_whoever_listens_where_nothing_is_raised_is_told_where_it_is(
    name: str, cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TestKit(Server()) as kit:
        kit.client().main.on(name, print)
        kit.run()
    assert f"on({name!r}) hears events of the server: {cure}" in caplog.text


@pytest.mark.parametrize("name", ["admin", "/a,b", "/\ud800"])
def test_a_namespace_that_cannot_be_asked_for_is_refused_where_it_is_named(name: str) -> None:
    client = Client("http://127.0.0.1:1", reconnection=False)
    try:
        with pytest.raises(ValueError, match="the name of a namespace"):
            client.socket(name)
    finally:
        client.close()
