"""Every call out of a server into code that is not ours, when that code raises.

An ``Exception`` is the affair of one client, or of nobody: the server goes on.  ``SystemExit``
reaches whoever makes the turns, and the server can go on after it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from rawsio import ConnectionClosed, Refused, Server
from rawsio.app.adapter import Adapter
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit
from tests.raw import request


class Trap:
    """A function of the application: it raises while it is armed, and counts that."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.armed = True
        self.sprung = 0

    def __call__(self, *_values: Any) -> Any:
        if self.armed:
            self.sprung += 1
            raise self.error("the application's")
        return None


def on_socket(name: str) -> Callable[[Trap], Server]:
    """Return what registers a trap with a method of each socket."""

    def made(trap: Trap) -> Server:
        io = Server()
        io.on("connection", lambda socket: getattr(socket, name)(trap))
        return io

    return made


def on_event(name: str, **options: Any) -> Callable[[Trap], Server]:
    def made(trap: Trap) -> Server:
        io = Server(**options)
        io.on(name, trap)
        return io

    return made


def watching(name: str) -> Callable[[Trap], Server]:
    def made(trap: Trap) -> Server:
        io = Server()
        io.on("connection", lambda socket: socket.conn.on(name, trap))
        return io

    return made


def acknowledged(trap: Trap) -> Server:
    io = Server()

    @io.on("connection")
    def connected(socket: Any) -> None:
        socket.emit_with_ack("asked").add_done_callback(trap)

    return io


def dynamic(trap: Trap) -> Server:
    io = Server()
    io.of(lambda _name, _auth: trap() is None)
    return io


def made_on_demand(trap: Trap) -> Server:
    io = Server()
    io.of(lambda _name, _auth: True)
    io.on("new_namespace", trap)
    return io


def on_executor(trap: Trap) -> Server:
    def submit(fn: Any, *args: Any) -> Any:
        trap()
        future: Future[Any] = Future()
        future.set_result(fn(*args))
        return future

    io = Server(executor=SimpleNamespace(submit=submit))  # type: ignore[arg-type]
    io.on("event", lambda _socket, value: value)
    return io


def told_of_errors(trap: Trap) -> Server:
    io = Server()
    io.on_error(trap)
    io.on("event", lambda _socket, _value: 1 // 0)
    return io


def content(trap: Trap, where: str) -> Server:
    class Content:
        def __iter__(self) -> Iterator[bytes]:
            if where == "iter":
                trap()
            return self

        def __next__(self) -> bytes:
            if where == "next":
                trap()
            raise StopIteration

        def close(self) -> None:
            if where == "close":
                trap()

    def app(_environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return Content()

    return Server(app=app)


class Parser(MsgpackParser):
    trap: Any = None
    where = ""

    def encode(self, event: Any) -> Any:
        if self.where == "encode":
            self.trap()
        return super().encode(event)

    def decode(self, message: Any, limits: Any) -> Any:
        if self.where == "decode":
            self.trap()
        return super().decode(message, limits)


PARSED: list[Server] = []
"""The servers that have a parser."""


def parsing(trap: Trap, where: str) -> Server:
    parser = Parser()
    parser.trap, parser.where = trap, where
    io = Server(parser=parser)
    PARSED.append(io)
    return io


def adapting(trap: Trap, name: str) -> Server:
    def broken(self: Any, *values: Any, **more: Any) -> Any:
        trap()
        return getattr(Adapter, name)(self, *values, **more)

    return Server(adapter=type("Broken", (Adapter,), {name: broken}))


def tracing(trap: Trap, where: str) -> Server:
    def named(name: str) -> Any:
        return trap if where == name else lambda *_: None

    def connection() -> Any:
        named("connection")()
        return named("report")

    def session(_sid: str) -> Any:
        named("session")()
        return named("session report")

    return Server(trace=SimpleNamespace(connection=connection, session=session))


def timed(trap: Trap, name: str) -> Server:
    io = Server()
    getattr(io, name)(0.01, trap)
    return io


CALLS: dict[str, Callable[[Trap], Server]] = {
    "allow_request": lambda trap: Server(allow_request=trap),
    "middleware of the engine": lambda trap: Server(middleware=[trap]),
    "generate_id": lambda trap: Server(generate_id=lambda r: trap(r) or "a" * 20),
    "on_headers": lambda trap: Server(on_headers=trap),
    "on_initial_headers": lambda trap: Server(on_initial_headers=trap),
    "on_connection_error": lambda trap: Server(on_connection_error=trap),
    "connection_error": on_event("connection_error"),
    "a function of cors": lambda trap: Server(cors=lambda _origin: trap() is None),
    "middleware of a namespace": lambda trap: (io := Server(), io.use(trap))[0],
    "middleware of a socket": on_socket("use"),
    "a namespace made on demand": dynamic,
    "new_namespace": made_on_demand,
    "connection": on_event("connection"),
    "event": on_event("event"),
    "disconnecting": on_event("disconnecting"),
    "disconnect": on_event("disconnect"),
    "on_any": on_socket("on_any"),
    "on_any_outgoing": on_socket("on_any_outgoing"),
    "a callback of a reply": acknowledged,
    "on_error": told_of_errors,
    **{f"conn.on({name!r})": watching(name) for name in ("packet", "packet_create", "close")},
    "a function of the request": lambda trap: Server(app=lambda request: trap() or "hi"),
    "a WSGI application": lambda trap: Server(app=lambda environ, start: trap()),
    **{
        f"{where} of WSGI content": lambda trap, where=where: content(trap, where)  # type: ignore[misc]
        for where in ("iter", "next", "close")
    },
    **{
        f"{where} of a parser": lambda trap, where=where: parsing(trap, where)  # type: ignore[misc]
        for where in ("encode", "decode")
    },
    **{
        f"{name} of an adapter": lambda trap, name=name: adapting(trap, name)  # type: ignore[misc]
        for name in ("connected", "remove_all")
    },
    **{
        f"trace: {where}": lambda trap, where=where: tracing(trap, where)  # type: ignore[misc]
        for where in ("connection", "report", "session", "session report")
    },
    "call_later": lambda trap: timed(trap, "call_later"),
    "every": lambda trap: timed(trap, "every"),
    "submit of an executor": on_executor,
}


def asked(kit: TestKit, data: bytes) -> None:
    wire = kit.dial()
    try:
        wire.send(data)
        kit.run()
    finally:
        wire.close()


def a_day(kit: TestKit, io: Server) -> Iterator[Callable[[], object]]:
    """Give one after another what may happen to a server."""
    yield lambda: kit.advance(1.0)
    for transports in (["polling"], ["websocket"]):
        parser = MsgpackParser() if io in PARSED else None
        client = kit.client(transports=transports, reconnection=False, parser=parser, timeout=5.0)
        socket = client.main
        socket.on("asked", lambda: "answered")
        yield lambda socket=socket: socket.connect().opening.result(10)  # type: ignore[misc]
        yield kit.run
        yield lambda socket=socket: socket.emit_with_ack("event", 1).result(10)  # type: ignore[misc]
        yield lambda: (io.emit("news", 1), kit.run())
        yield lambda client=client: client.socket("/made").opening.result(10)  # type: ignore[misc]
        yield lambda client=client: (client.close(), kit.run())  # type: ignore[misc]
    for data in (
        request("EIO=4&transport=polling", "GET", b"", "Origin: https://a.example"),
        request("EIO=4&transport=smoke"),
        b"GET / HTTP/1.1\r\nHost: testkit\r\n\r\n",
    ):
        yield lambda data=data: asked(kit, data)  # type: ignore[misc]
    yield lambda: kit.advance(60.0)


def live_through(trap: Trap, io: Server) -> int:
    """Let a day pass while the trap is armed; return how often SystemExit came out of a turn."""
    exits = 0
    with TestKit(io) as kit:
        for step in a_day(kit, io):
            try:
                step()
            except SystemExit:
                exits += 1
            except (ConnectionClosed, Refused, TimeoutError, ArithmeticError, ValueError):
                pass
        trap.armed = False
        kit.run()
        socket = kit.connect(parser=MsgpackParser() if io in PARSED else None)
        io.of("/").on("works", lambda _socket: "works")
        assert socket.emit_with_ack("works").result(10) == "works"
        wire = kit.dial()
        wire.send(b"GET /socket.io/socket.io.js HTTP/1.1\r\nHost: testkit\r\n\r\n")
        kit.run()
        assert wire.recv(15) == b"HTTP/1.1 200 OK"
    return exits


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def take(_channel: str, _level: int, message: str, error: BaseException | None) -> bool:
        found.append(f"{message} {error!r}")
        return True

    monkeypatch.setattr("rawsio.log._write", take)
    return found


@pytest.mark.rule("layers-loop-calls")
@pytest.mark.parametrize("name", CALLS)
def test_an_exception_is_logged_and_the_server_goes_on(name: str, lines: list[str]) -> None:
    trap = Trap(ArithmeticError)
    assert live_through(trap, CALLS[name](trap)) == 0
    assert trap.sprung
    assert any("the application's" in line for line in lines)


@pytest.mark.parametrize("name", CALLS)
def test_an_exit_reaches_whoever_makes_the_turns_and_the_server_can_go_on(name: str) -> None:
    trap = Trap(SystemExit)
    assert live_through(trap, CALLS[name](trap)) > 0
    assert trap.sprung


def test_a_logging_handler_that_raises_loses_a_line_and_no_more() -> None:
    trap = Trap(ArithmeticError)
    handler = logging.Handler()
    handler.emit = trap  # type: ignore[method-assign]
    logger = logging.getLogger("rawsio")
    logger.addHandler(handler)
    try:
        broken = Trap(ValueError)
        assert live_through(broken, on_event("event")(broken)) == 0
    finally:
        logger.removeHandler(handler)
    assert trap.sprung
