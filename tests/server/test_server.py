"""The server through its public interface and real sockets."""

from __future__ import annotations

import asyncio
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from rawsio import Client as RawClient
from rawsio import Limits, Server
from rawsio.app.adapter import Adapter
from rawsio.engineio.server.session import Session
from rawsio.errors import LocalProtocolError
from rawsio.layer import Failed
from rawsio.net.signals import TOGETHER
from rawsio.socketio.packets import Ack, ConnectError, Disconnect, Event
from rawsio.stack import ServerStack
from rawsio.testing import TestKit
from tests.net.kit import PATIENCE, turn_until
from tests.raw import Polling, RawWebSocket, request
from tests.stack.joined import UPGRADE
from tests.stack.kit import Client


class World:
    """Servers and their clients, all of them ended with the test."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def server(self, **options: Any) -> Server:
        io = Server(**options)
        self.stack.callback(self._end, io)
        return io

    @staticmethod
    def _end(io: Server) -> None:
        io.close(0.0)
        turn_until(io, lambda: io.closed)

    def client(self, io: Server, head: bytes = UPGRADE) -> Client:
        client = Client(io, io.listen(), head)
        self.stack.callback(client.close)
        return client


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    with made.stack:
        yield made


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("end", ["a bad packet", "the application"])
def test_no_timer_keeps_a_session_that_we_ended(transport: str, end: str) -> None:
    io = Server(ping_interval=3600.0)
    with TestKit(io) as kit:
        io.on("connection", lambda socket: socket.disconnect(close=end == "the application"))
        for _ in range(3):
            client: Any = RawWebSocket(kit) if transport == "websocket" else Polling(kit)
            say = client.say if transport == "websocket" else client.post
            packet = "4nonsense" if end == "a bad packet" else "40"
            say(packet if transport == "websocket" else packet.encode())
            for _poll in range(2 if transport == "polling" else 0):
                client.get()
            kit.run()
        assert not io.engine.sessions
        assert not [t for t in io.net.driver.timers.targets if isinstance(t, Session)]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no unix sockets")
def test_clients_over_a_unix_socket_do_not_count_as_one_address(
    world: World, tmp_path: Path
) -> None:
    io = world.server(limits=Limits(sessions_per_address=1))
    io.listen(path=str(tmp_path / "s"))
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as wire:
            wire.connect(str(tmp_path / "s"))
            wire.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
            turn_until(io, lambda wire=wire: select.select([wire], [], [], 0)[0])
            assert wire.recv(15) == b"HTTP/1.1 200 OK"


def counts(io: Server) -> dict[str, int]:
    """Return what is open now."""
    return {name: value for name, value in io.stats().items() if name != "memory"}


def test_an_event_is_handled_and_acknowledged(world: World) -> None:
    io = world.server()
    seen = []

    @io.on("chat")
    def chat(socket: Any, text: str) -> str:
        seen.append((socket.id, text))
        return text.upper()

    client = world.client(io)
    sid = client.join()["sid"]
    assert client.call("chat", "hi") == ["HI"]
    assert seen == [(sid, "hi")]
    assert counts(io) == {"connections": 1, "sessions": 1, "namespaces": 1, "sockets": 1}


def test_everyone_else_hears_a_broadcast_and_binary_arrives_whole(world: World) -> None:
    io = world.server()

    @io.on("news")
    def news(socket: Any, *args: Any) -> None:
        socket.broadcast.emit("news", *args)

    clients = [world.client(io) for _ in range(3)]
    for client in clients:
        client.join()
    clients[0].call("news", b"\0\1", {"a": b"\2"})
    for client in clients[1:]:
        assert client.wait(Event)[0].args == ["news", b"\0\1", {"a": b"\2"}]
    assert not [e for e in clients[0].events if isinstance(e, Event)]


def test_a_handler_that_fails_is_logged_and_closes_nothing(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "logging", raising=False)
    io = world.server()
    io.on("bad", lambda _socket: 1 // 0)
    io.on("good", lambda _socket: "still here")
    client = world.client(io)
    client.join()
    client.send(Event("/", ["bad"], 77))
    assert client.call("good") == ["still here"]
    written = capsys.readouterr().err
    assert "'bad'" in written
    assert "ZeroDivisionError" in written


@pytest.mark.parametrize(
    "packet",
    ['2["connect",{}]', "2[NaN]", "2{}", '9["x"]', "50-[]", '2["x"', "40", '4{"message":1}', "2"],
)
def test_bad_input_ends_that_connection_and_no_other(world: World, packet: str) -> None:
    io = world.server()
    io.on("echo", lambda _socket, value: value)
    good, bad = world.client(io), world.client(io)
    good.join()
    bad.join()
    bad.end.engine.send(_message(packet))
    bad.pump()
    bad.wait_closed()
    assert good.call("echo", 1) == [1]
    assert io.stats()["sessions"] == 1


def _message(text: str) -> Any:
    from rawsio.engineio.packets import Message

    return Message(text)


def test_junk_on_the_port_leaves_the_others_alone(world: World) -> None:
    io = world.server()
    io.on("echo", lambda _socket, value: value)
    good = world.client(io)
    good.join()
    address = io.listen()
    for junk in (b"\x16\x03\x01", b"GET\r\n\r\n", b"\0" * 100_000, b"POST / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(address) as wire:
            wire.sendall(junk)
            assert good.call("echo", 2) == [2]
    turn_until(io, lambda: io.stats()["connections"] == 1)


def test_a_page_of_another_origin_is_refused_and_who_names_none_is_not(world: World) -> None:
    io = world.server()
    for origin, status in ((None, b"101"), ("http://a", b"101"), ("http://evil", b"400")):
        line = b"" if origin is None else f"Origin: {origin}\r\n".encode()
        head = UPGRADE.replace(b"Host: a\r\n", b"Host: a\r\n" + line)
        answer = world.client(io, head).head.split(b" ")[1]
        assert answer == status or (status == b"400" and answer == b"403")


def test_middleware_refuses_with_a_reason(world: World) -> None:
    from rawsio import Refused

    io = world.server()

    @io.use
    def guard(socket: Any) -> None:
        if socket.handshake.auth.get("token") != "x":
            raise Refused("no", {"code": 7})

    client = world.client(io)
    client.send(_connect(None))
    assert client.wait(ConnectError)[0].data == {"message": "no", "data": {"code": 7}}
    client.events.clear()
    assert "sid" in client.join("/", {"token": "x"})


def _connect(auth: Any) -> Any:
    from rawsio.socketio.packets import Connect

    return Connect("/", auth)


def test_who_joins_nothing_is_closed_after_the_connect_timeout(world: World) -> None:
    io = world.server(connect_timeout=0.05)
    client = world.client(io)
    client.wait_closed()
    assert io.stats()["sessions"] == 0


def test_who_does_not_answer_a_ping_is_closed() -> None:
    io = Server(ping_interval=3.0, ping_timeout=2.0)
    reasons: list[str] = []
    io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    with TestKit(io) as kit:
        RawWebSocket(kit).say("40")
        kit.advance(4.9)
        assert reasons == []
        kit.advance(0.2)
        assert reasons == ["ping timeout"]


def test_the_server_runs_inside_somebody_elses_loop(world: World) -> None:
    io = world.server()
    io.on("echo", lambda _socket, value: value)
    client = world.client(io)
    client.join()
    client.send(Event("/", ["echo", 5], 1))
    while not any(isinstance(event, Ack) for event in client.events):
        assert select.select([io.fileno(), client.wire], [], [], PATIENCE)[0]
        if select.select([io.fileno()], [], [], 0)[0]:
            io.step(0.0)
        client.pump()
    assert client.events[-1] == Ack("/", [5], 1)
    io.emit("later")
    assert select.select([io.fileno()], [], [], PATIENCE)[0], (
        "an emit outside a turn wakes the host"
    )


def test_a_turn_inside_a_turn_is_refused(world: World) -> None:
    io = world.server()
    errors: list[Exception] = []

    @io.on("nest")
    def nest(_socket: Any) -> None:
        try:
            io.step(0.0)
        except RuntimeError as error:
            errors.append(error)

    client = world.client(io)
    client.join()
    client.call("nest")
    assert len(errors) == 1


def test_handlers_on_an_executor_keep_their_order_and_may_wait_for_their_client(
    world: World,
) -> None:
    with ThreadPoolExecutor(4) as pool:
        io = world.server(executor=pool)
        seen: list[int] = []

        @io.on("n")
        def number(socket: Any, value: int) -> Any:
            seen.append(value)
            return socket.emit_with_ack("question").result(60) if value == 0 else value

        client = world.client(io)
        client.join()
        for value in range(20):
            client.send(Event("/", ["n", value], value))
        question = client.wait(Event)[0]
        client.send(Ack("/", ["answer"], question.id))
        answers = client.wait(Ack, 20)
        assert [ack.args for ack in answers] == [["answer"], *([n] for n in range(1, 20))]
        assert seen == list(range(20))


def test_waiting_for_a_reply_on_the_loop_is_refused_at_once(world: World) -> None:
    io = world.server()
    errors: list[str] = []

    @io.on("ask")
    def ask(socket: Any) -> None:
        try:
            socket.emit_with_ack("question").result(5)
        except RuntimeError as error:
            errors.append(str(error))

    client = world.client(io)
    client.join()
    client.call("ask")
    assert len(errors) == 1


def test_what_another_thread_emits_arrives_in_its_order(world: World) -> None:
    io = world.server()
    client = world.client(io)
    client.join()

    def emit() -> None:
        for number in range(200):
            io.emit("n", number)

    thread = threading.Thread(target=emit)
    thread.start()
    events = client.wait(Event, 200)
    thread.join()
    assert [event.args[1] for event in events] == list(range(200))


def test_closing_tells_every_socket_and_ends_every_connection(world: World) -> None:
    io = world.server()
    reasons: list[str] = []
    io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    clients = [world.client(io) for _ in range(3)]
    for client in clients:
        client.join()
    io.close()
    io.close()
    for client in clients:
        client.wait_closed()
    turn_until(io, lambda: io.closed)
    io.step()
    assert reasons == ["server shutting down"] * 3
    assert counts(io) == {"connections": 0, "sessions": 0, "namespaces": 1, "sockets": 0}


@pytest.fixture
def last_words() -> Iterator[tuple[TestKit, Polling]]:
    """A server that was closed when a client that polls still had to get an event."""
    io = Server()
    with TestKit(io) as kit:
        polling = Polling(kit)
        polling.post(b"40")
        polling.get()
        io.emit("one")
        io.close(5.0)
        kit.run()
        yield kit, polling


def test_closing_lets_polls_take_what_was_sent_before(last_words: tuple[TestKit, Polling]) -> None:
    kit, polling = last_words
    assert polling.get() == b'42["one"]'
    assert not polling.polls.hung_up
    assert polling.get() == b"1"
    kit.advance(2.5)
    assert polling.polls.hung_up
    assert counts(kit.io) == {"connections": 0, "sessions": 0, "namespaces": 1, "sockets": 0}


def test_closing_waits_for_polls_no_longer_than_it_was_told(
    last_words: tuple[TestKit, Polling],
) -> None:
    kit, _polling = last_words
    kit.advance(4.9)
    assert kit.io.stats()["connections"] == 2
    kit.advance(0.2)
    assert kit.io.stats()["connections"] == 0


def test_closing_costs_each_connection_one_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    goodbyes = []
    close = ServerStack.close

    def counted(stack: ServerStack, code: int = 1005, reason: str = "") -> None:
        goodbyes.append(code)
        close(stack, code, reason)

    with TestKit(Server()) as kit:
        wires = [kit.dial() for _ in range(20)]
        kit.run()
        monkeypatch.setattr(ServerStack, "close", counted)
        kit.io.close()
        kit.run()
        for wire in wires:
            wire.close()
            kit.run()
        assert goodbyes == [1001] * 20


def test_a_refused_request_is_told_to_handlers_of_connection_error() -> None:
    heard: list[Any] = []
    hooked: list[Any] = []
    io = Server(on_connection_error=lambda _request, code, *_: hooked.append(code))
    io.on("connection_error", lambda *values: heard.append(values))
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(b"GET /socket.io/?EIO=4&transport=pigeon HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
    ((request, *values),) = heard
    assert request.query_string == "EIO=4&transport=pigeon"
    assert values == [0, "Transport unknown", {"transport": "pigeon"}]
    assert hooked == [0]


def test_a_message_that_is_too_long_ends_the_socket_with_words_about_it() -> None:
    ends: list[Any] = []
    io = Server(max_http_buffer_size=200)
    io.on("disconnect", lambda _socket, *why: ends.append(why))
    with TestKit(io) as kit:
        RawWebSocket(kit).say("40", '42["' + "x" * 200 + '"]')
        polling = Polling(kit)
        polling.post(b"40")
        chunk = b"12c\r\n" + bytes(300) + b"\r\n0\r\n\r\n"
        head = request(polling.query, "PUT", b"", "Transfer-Encoding: chunked")
        assert polling.posts.exchange(head.replace(b"PUT", b"POST") + chunk)[9:13] == b"413 "
    assert [reason for reason, _ in ends] == ["transport error"] * 2
    assert ends[0][1] == "the WebSocket broke: a message has more than 200 bytes"
    assert ends[1][1].startswith("a request failed: ")


def test_closing_ends_the_adapters_once_when_every_socket_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[str] = []

    class Noting(Adapter):
        def close(self) -> None:
            seen.append(self.namespace.name)
            if self.namespace.name == "/":
                raise RuntimeError("broken")

    io = Server(adapter=Noting)
    io.of("/b")
    io.on("disconnect", lambda _socket, reason: seen.append(reason))
    with TestKit(io) as kit:
        kit.connect(reconnection=False)
        io.close()
        io.close()
        kit.run()
    assert seen == ["server shutting down", "/", "/b"]
    assert "the adapter of '/' could not be closed" in caplog.text


def test_a_handler_may_close_the_server(world: World) -> None:
    io = world.server()
    io.on("stop", lambda _socket: io.close())
    client = world.client(io)
    client.join()
    client.send(Event("/", ["stop"]))
    client.wait_closed()
    turn_until(io, lambda: io.closed)


def test_disconnecting_a_socket_says_so_and_closing_ends_the_connection(world: World) -> None:
    io = world.server()
    io.on("leave", lambda socket, close: socket.disconnect(close=close))
    client = world.client(io)
    client.join()
    client.send(Event("/", ["leave", False]))
    assert client.wait(Disconnect) == [Disconnect("/")]
    client.join()
    client.send(Event("/", ["leave", True]))
    client.wait_closed()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_running_server_in_order(number: str) -> None:
    program = (
        "import os, signal\n"
        "from rawsio import Server\n"
        "io = Server()\n"
        "io.listen()\n"
        f"io.host.call_later(0.01, os.kill, os.getpid(), signal.{number})\n"
        "io.run()\n"
        "print('ended', io.stats()['connections'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ended 0\n"), done.stderr


@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_a_handler_that_exits_closes_the_server_and_leaves_it(where: str) -> None:
    program = (
        "import sys, threading, rawsio\n"
        "io = rawsio.Server()\n"
        "io.on('exit', lambda socket: sys.exit(7))\n"
        "io.on('disconnect', lambda socket, reason: print('server:', reason))\n"
        "port = io.listen()[1]\n"
        "def client():\n"
        "    options = {'reconnection': False, 'transports': ['websocket']}\n"
        "    with rawsio.connect(f'http://127.0.0.1:{port}', **options) as socket:\n"
        "        socket.on('disconnect', lambda reason, _: print('client:', reason))\n"
        "        try: socket.emit_with_ack('exit').result(60)\n"
        "        except rawsio.ConnectionClosed: pass\n"
        "if sys.argv[1] == 'main thread':\n"
        "    threading.Thread(target=client).start()\n"
        "    io.run()\n"
        "thread = threading.Thread(target=io.run)\n"
        "thread.start()\n"
        "client()\n"
        "thread.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, where],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert sorted(done.stdout.split("\n")) == [
        "",
        "client: transport close",
        "server: server shutting down",
    ]
    assert done.returncode == (7 if where == "main thread" else 0)
    assert ("its thread ends" in done.stderr) == (where == "another thread")


def test_a_handler_that_never_returns_is_ended_by_the_second_signal() -> None:
    program = (
        "import os, signal, threading, time, rawsio\n"
        "io = rawsio.Server()\n"
        "def hang():\n"
        "    for _ in range(2):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.25)\n"
        "    while True: time.sleep(1)\n"
        "io.host.call_later(0, hang)\n"
        "io.listen()\n"
        "try: io.run()\n"
        "except KeyboardInterrupt: print('interrupted', io.closed)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "interrupted True\n"), done.stderr


def test_a_server_in_a_thread_is_closed_from_another() -> None:
    io = Server()
    io.listen()
    thread = threading.Thread(target=io.run)
    thread.start()
    io.close()
    thread.join(60)
    assert not thread.is_alive()


def test_on_asyncio_handlers_may_be_coroutines() -> None:
    io = Server()
    address = io.listen()

    @io.on("slow")
    async def slow(_socket: Any, value: int) -> int:
        await asyncio.sleep(0)
        return value + 1

    async def main() -> bytes:
        serving = asyncio.create_task(io.serve())
        reader, writer = await asyncio.open_connection(*address)
        writer.write(UPGRADE)
        await reader.readuntil(b"maxPayload")
        writer.write(_masked("40") + _masked('4217["slow",1]'))
        answer = await reader.readuntil(b"4317[2]")
        io.close(0.0)
        await asyncio.wait_for(serving, 60)
        writer.close()
        return answer

    assert asyncio.run(main()).endswith(b"4317[2]")


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_on_asyncio_handlers_come_to_their_end_when_the_server_ends(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.server.server_sockets.GRACE", PATIENCE)
    log: list[str] = []

    async def main() -> None:
        io = Server()
        told = asyncio.Event()

        @io.on("work")
        async def work(_socket: Any) -> None:
            log.append("work")
            await told.wait()
            log.append("worked")

        @io.on("disconnecting")
        async def leaving(_socket: Any, reason: str) -> None:
            log.append(reason)
            await asyncio.sleep(0)
            log.append("left")

        @io.on("disconnect")
        async def gone(_socket: Any, _reason: str) -> None:
            log.append("begun")
            await asyncio.sleep(0)
            log.append("cleaned up")

        port = io.listen()[1]
        serving = asyncio.create_task(io.serve())
        async with RawClient(f"http://127.0.0.1:{port}", reconnection=False) as socket:
            socket.on("disconnect", lambda *_: told.set())
            socket.emit("work")
            while not log:
                await asyncio.sleep(0.001)
            if how == "close":
                io.close(PATIENCE)
            else:
                serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
        assert io.closed

    asyncio.run(main())
    assert log == ["work", "worked", "server shutting down", "left", "begun", "cleaned up"]


def test_on_asyncio_a_handler_that_never_ends_is_cancelled_in_time() -> None:
    log: list[str] = []

    async def main() -> None:
        io = Server()

        @io.on("work")
        async def work(_socket: Any) -> None:
            try:
                log.append("work")
                await asyncio.Event().wait()
            finally:
                log.append("cancelled")

        @io.on("disconnect")
        async def gone(_socket: Any, _reason: str) -> None:
            await asyncio.sleep(0)
            log.append("cleaned up")

        port = io.listen()[1]
        serving = asyncio.create_task(io.serve())
        async with RawClient(f"http://127.0.0.1:{port}", reconnection=False) as socket:
            socket.emit("work")
            while not log:
                await asyncio.sleep(0.001)
            io.close(0.3)
            await serving

    asyncio.run(main())
    assert log == ["work", "cancelled", "cleaned up"]


@pytest.mark.skipif(sys.platform == "win32", reason="asyncio takes no signals there")
@pytest.mark.parametrize("run", ["asyncio.run", "asyncio.new_event_loop().run_until_complete"])
@pytest.mark.parametrize(("number", "code"), [("SIGTERM", 0), ("SIGINT", 1)])
def test_on_asyncio_a_signal_ends_the_server_in_order(number: str, code: int, run: str) -> None:
    program = (
        "import asyncio, os, signal, rawsio\n"
        "io = rawsio.Server()\n"
        "@io.on('disconnect')\n"
        "async def gone(socket, reason):\n"
        "    await asyncio.sleep(0)\n"
        "    print('cleaned up after', reason)\n"
        "async def main():\n"
        "    port = io.listen()[1]\n"
        "    async def client():\n"
        "        async with rawsio.Client(f'http://127.0.0.1:{port}', reconnection=False):\n"
        f"            os.kill(os.getpid(), signal.{number})\n"
        "            await asyncio.sleep(60)\n"
        "    task = asyncio.create_task(client())\n"
        "    await io.serve()\n"
        "    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "    task.cancel()\n"
        f"try: {run}(main())\n"
        "except KeyboardInterrupt: raise SystemExit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "cleaned up after server shutting down\n", done.stderr
    assert done.returncode == code


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send oneself")
def test_on_asyncio_a_second_interrupt_reaches_the_handler_that_blocks_the_loop() -> None:
    program = (
        "import asyncio, os, signal, time, rawsio\n"
        "io = rawsio.Server()\n"
        "@io.on('work')\n"
        "def work(socket):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('the first is put off', flush=True)\n"
        f"    time.sleep({TOGETHER} + 0.05)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('nobody wakes it')\n"
        "async def main():\n"
        "    port = io.listen()[1]\n"
        "    async def client():\n"
        "        async with rawsio.Client(f'http://127.0.0.1:{port}') as socket:\n"
        "            socket.emit('work')\n"
        "            await asyncio.sleep(60)\n"
        "    task = asyncio.create_task(client())\n"
        "    await io.serve()\n"
        "try: asyncio.new_event_loop().run_until_complete(main())\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout == "the first is put off\ninterrupted\n", done.stderr


def test_on_asyncio_hooks_may_be_coroutines_which_need_asyncio() -> None:
    async def allow(request: Any) -> str | None:
        await asyncio.sleep(0)
        return "who are you?" if "token=x" not in request.query_string else None

    async def ask(query: str, io: Server, host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(
            b"GET /socket.io/?EIO=4&transport=polling%b HTTP/1.1\r\nHost: a\r\n" % query.encode()
        )
        writer.write(b"Connection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    async def main() -> list[bytes]:
        io = Server(allow_request=allow)
        address = io.listen()
        serving = asyncio.create_task(io.serve())
        answers = [await ask(query, io, *address) for query in ("", "&token=x")]
        io.close()
        await asyncio.wait_for(serving, 60)
        return answers

    refused, opened = asyncio.run(main())
    assert refused == b'{"code":4,"message":"who are you?"}'
    assert opened.startswith(b'0{"sid":')
    io = Server(allow_request=allow)
    with pytest.raises(RuntimeError, match=r"allow: `async def`.*`await io.serve\(\)` instead"):
        io.run(port=0)
    io.close()
    io.step(0)


def test_hooks_that_nobody_waits_for_any_more_are_cancelled() -> None:
    outcomes: list[str] = []

    async def allow(_request: Any) -> None:
        outcomes.append("asked")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcomes.append("cancelled")
            raise

    async def main() -> None:
        io = Server(allow_request=allow)
        address = io.listen()
        serving = asyncio.create_task(io.serve())
        for number in range(3):
            _reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
            while len(outcomes) < 2 * number + 1:
                await asyncio.sleep(0.01)
            writer.close()
            while len(outcomes) < 2 * number + 2:
                await asyncio.sleep(0.01)
        assert not io.core.router.asking
        io.close()
        await asyncio.wait_for(serving, 60)

    asyncio.run(asyncio.wait_for(main(), 120))
    assert outcomes == ["asked", "cancelled"] * 3


def _masked(text: str) -> bytes:
    from rawsio.websocket.frames import TEXT, encode_frame

    return encode_frame(TEXT, text.encode(), mask=b"\1\2\3\4")


@pytest.mark.parametrize("value", [[b"1"] * 11, [[["deep"]]], [b"12345"]])
def test_what_no_peer_would_take_is_refused_where_it_is_emitted(value: list[Any]) -> None:
    io = Server(limits=Limits(json_depth=3, attachment_bytes=4), connection_state_recovery=True)
    with TestKit(io) as kit:
        client = kit.connect()
        (socket,) = io.sockets.values()
        for emit in (io.emit, io.emit_with_ack, socket.emit, socket.emit_with_ack):
            with pytest.raises(LocalProtocolError):
                emit("x", value)
        io.emit("good")
        assert client.receive() == ["good"]


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"no option 'pingInterval'.*ping_interval"):
        Server(pingInterval=1)


def test_a_limit_of_the_servers_own_is_kept(world: World) -> None:
    io = world.server(limits=Limits(namespaces=1), max_http_buffer_size=5000)
    assert (io.limits.namespaces, io.limits.message, io.limits.body) == (1, 5000, 5000)
    client = world.client(io)
    client.join()
    client.send(_connect(None).__class__("/b"))
    client.wait_closed()
    assert isinstance(client.events[-1], Failed) or client.closed


def test_a_connection_that_somebody_accepted_is_served(world: World) -> None:
    io = world.server()
    here, there = socket.socketpair()
    io.listen(sock=there)
    here.sendall(b"GET /elsewhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    turn_until(io, lambda: select.select([here], [], [], 0)[0])
    assert here.recv(1000).startswith(b"HTTP/1.1 404 ")
    here.close()


def test_a_socket_that_does_not_listen_is_refused(world: World) -> None:
    with socket.socket() as idle, pytest.raises(ValueError, match="does not listen"):
        world.server().listen(sock=idle)


def test_what_is_no_tls_context_is_refused_before_anybody_connects(world: World) -> None:
    with pytest.raises(TypeError, match=r"tls is an ssl.SSLContext .*, not True"):
        world.server().listen(tls=True)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no unix sockets")
def test_listening_takes_one_place_at_a_time(world: World, tmp_path: Path) -> None:
    io = world.server()
    with socket.socket() as sock:
        for more in (
            {"sock": sock, "path": "s"},
            {"port": 80, "path": "s"},
            {"sock": sock, "host": ""},
        ):
            with pytest.raises(TypeError, match="one of the three"):
                io.listen(**more)
    assert io.listen(path=tmp_path / "s") == str(tmp_path / "s")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the system has no IPv6")
def test_an_address_of_ipv6_is_a_host_and_a_port_as_well(world: World) -> None:
    host, port = world.server().listen("::")
    assert (host, port > 0) == ("::", True)


@pytest.mark.parametrize("start", ["listen", "run"])
def test_a_port_in_place_of_the_host_is_refused_with_the_way_to_say_it(
    world: World, start: str
) -> None:
    with pytest.raises(TypeError, match=r"host is a str, not 3000 .*port=3000"):
        getattr(world.server(), start)(3000)


def test_a_server_closed_before_it_serves_on_asyncio_ends_at_once() -> None:
    async def main() -> None:
        io = Server()
        io.close()
        await asyncio.wait_for(io.serve(port=0), 60)
        assert io.closed

    asyncio.run(main())


def test_a_server_with_clients_does_not_move_to_asyncio(world: World) -> None:
    io = world.server()
    world.client(io).join()

    async def main() -> None:
        await io.serve()

    with pytest.raises(RuntimeError, match="with clients"):
        asyncio.run(main())
    assert io.stats()["sockets"] == 1


def test_events_of_other_servers_reach_functions_and_decorated_ones() -> None:
    io = Server()
    heard: list[Any] = []

    @io.on_server("deco")
    def decorated(value: Any) -> None:
        heard.append(("deco", value))

    assert io.on_server("plain", heard.append) is not None
    with TestKit(io):
        io.of("/").receive_server_event(["deco", 1], None)
        io.of("/").receive_server_event(["plain", 2], None)
    assert heard == [("deco", 1), 2]
    assert decorated is not None
