"""Every message that a user can see, provoked: this module writes ``rfc_notes/messages.md``.

``python -m tests.test_messages`` writes the page anew, and the test compares it.  Each entry is
what was done and what was said: by an exception, by the log, or to the other end.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import rawsio
from rawsio import Client, Limits, Refused, Server
from rawsio.__main__ import main as command
from rawsio.client.options import parse_url
from rawsio.engineio.client.session import explain_answer
from rawsio.http import Headers, HTTPConnection, Response
from rawsio.layer import Role
from rawsio.net.loop import Loop
from rawsio.testing import TestKit
from rawsio.tls import TLSConnection
from tests.other_messages import of_adapters, of_queues, of_tools
from tests.raw import RawWebSocket, request

PAGE = Path(__file__).parent.parent / "rfc_notes" / "messages.md"

Act = Callable[[], object]
Entry = tuple[str, Act]


class _Lines(logging.Handler):
    """What is logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING or "left out" in record.getMessage():
            level = record.levelname.lower()
            self.lines.append(f"{record.name} {level}: {record.getMessage()}")


def said(act: Act) -> list[str]:
    """Return what is said when something is done, in one line each."""
    lines, logger = _Lines(), logging.getLogger("rawsio")
    before = logger.level, logger.propagate
    logger.addHandler(lines)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        answer = act()
        found = [f"{answer}"] if isinstance(answer, (str, bytes)) else []
    except Exception as error:  # noqa: BLE001 - that is what is wanted
        found = [f"{type(error).__name__}: {error}"]
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before[0])
        logger.propagate = before[1]
    return [_masked(line) for line in found + lines.lines]


def _masked(line: str) -> str:
    line = re.sub(r"0x[0-9a-f]+", "0x...", line)
    line = re.sub(r"<Socket [A-Za-z0-9_-]{20} in", "<Socket kS9... in", line)
    line = re.sub(r"'[A-Za-z0-9_-]{20}' in", "'kS9...' in", line)
    line = re.sub(r"PosixPath|WindowsPath", "Path", line)
    line = re.sub(r"OpenSSL says '[A-Z0-9_]+'", "OpenSSL says '...'", line)
    return re.sub(r"\w+\.<locals>\.", "", line)


# Servers


def served(act: Callable[[TestKit, Server], object], **options: Any) -> Act:
    """Return what does something with a server that runs."""

    def run() -> object:
        with TestKit(Server(**options)) as kit:
            return act(kit, kit.io)

    return run


def of_options(name: str, *values: Any) -> list[Entry]:
    return [
        (f"Server({name}={value!r})", lambda value=value: Server(**{name: value}))
        for value in values
    ]


async def later(*_: Any) -> None:
    """Nobody awaits it."""


def options_of_servers() -> list[Entry]:
    return [
        ("Server(ping_intervall=5)", lambda: Server(ping_intervall=5)),
        *of_options("app", 5),
        *of_options("executor", 5),
        *of_options("adapter", 5),
        *of_options("parser", 5),
        *of_options("trace", print),
        *of_options("limits", 5),
        ('Server(limits=Limits(message="5"))', lambda: Server(limits=Limits(message="5"))),  # type: ignore[arg-type]
        *of_options("connect_timeout", "45", -1),
        *of_options("connection_state_recovery", 5),
        *of_options("per_message_deflate", 5),
        *of_options("backpressure", "drop"),
        *of_options("cors", 5, "https://a.example/"),
        ("Server(cors=an async function)", lambda: Server(cors=later)),
        *of_options("cookie", 5),
        *of_options("transports", "websocket", ["ws"]),
        *of_options("path", "chat"),
        *of_options("allowed_hosts", "localhost"),
        *of_options("middleware", 5),
        *of_options("allow_request", "no"),
        *of_options("allow_eio3", "yes"),
        *of_options("ping_interval", "25", 0),
        ('folder(5), files("public")', lambda: rawsio.files("public")),  # type: ignore[arg-type]
        ('files({"static": "."})', lambda: rawsio.files({"static": "."})),
    ]


def with_io(act: Callable[[Server, Any], object]) -> Act:
    """Return what does something with a server and one of its sockets."""

    def run(kit: TestKit, io: Server) -> object:
        kit.connect()
        (socket,) = io.sockets.values()
        return act(io, socket)

    return served(run)


def calls_of_servers() -> list[Entry]:
    wrong: Any = 5
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [
        ('io.on("*", fn)', with_io(lambda io, _: io.on("*", print))),
        ('io.on("connect", fn)', with_io(lambda io, _: io.on("connect", print))),
        ('io.on("conection", fn)', with_io(lambda io, _: io.on("conection", print) and None)),
        ("@io.on without a name", with_io(lambda io, _: io.on(later))),  # type: ignore[arg-type]
        ('io.on("x", 5)', with_io(lambda io, _: io.on("x", wrong))),
        ("io.use(5)", with_io(lambda io, _: io.use(wrong))),
        ("io.of(5)", with_io(lambda io, _: io.of(5))),
        ('io.of("/room-[0-9]+")', with_io(lambda io, _: io.of("/room-[0-9]+") and None)),
        ('io.of("/a,b")', with_io(lambda io, _: io.of("/a,b"))),
        ("io.to(socket)", with_io(lambda io, socket: io.to(socket))),
        ("io.to()", with_io(lambda io, _: io.to())),
        ("io.emit(None)", with_io(lambda io, _: io.emit(wrong and None))),  # type: ignore[arg-type]
        ('io.emit("disconnect")', with_io(lambda io, _: io.emit("disconnect"))),
        ('io.emit("x", a datetime)', with_io(lambda io, _: io.emit("x", when))),
        ('io.emit("x", {1, 2})', with_io(lambda io, _: io.emit("x", {1, 2}))),
        ('io.emit("x", socket)', with_io(lambda io, socket: io.emit("x", socket))),
        ('io.emit("x", float("nan"))', with_io(lambda io, _: io.emit("x", float("nan")))),
        ('io.timeout("5")', with_io(lambda io, _: io.timeout("5"))),  # type: ignore[arg-type]
        ('io.compress("no")', with_io(lambda io, _: io.compress("no"))),  # type: ignore[arg-type]
        ('io.call_later("1", fn)', with_io(lambda io, _: io.call_later("1", print))),  # type: ignore[arg-type]
        ("io.every(0, fn)", with_io(lambda io, _: io.every(0, print))),
        ('io.on_server("connect")', with_io(lambda io, _: io.on_server("connect"))),
        ("socket.join(5)", with_io(lambda _, socket: socket.join(5))),
        ('socket.conn.on("pakcet")', with_io(lambda _, socket: socket.conn.on("pakcet"))),
        ("socket.on_any_outgoing(async)", with_io(lambda _, s: s.on_any_outgoing(later))),
        (
            "reply.add_done_callback(async)",
            with_io(lambda _, socket: socket.emit_with_ack("x").add_done_callback(later)),
        ),
        ("io.run() with async handlers", _run_async),
        ("async handler while io.step() runs", _register_async),
        ('listen(port="3000")', with_io(lambda io, _: io.listen(port="3000"))),  # type: ignore[arg-type]
        ("listen(port=99999)", with_io(lambda io, _: io.listen(port=99999))),
        ("listen(3000)", with_io(lambda io, _: io.listen(3000))),  # type: ignore[arg-type]
        ('listen(tls="cert.pem")', with_io(lambda io, _: io.listen(tls="cert.pem"))),
        ("TestKit(Server)", lambda: TestKit(Server)),  # type: ignore[arg-type]
        ("kit.cut(server's socket)", served(_cut)),
    ]


def _cut(kit: TestKit, io: Server) -> None:
    kit.connect()
    (socket,) = io.sockets.values()
    kit.cut(socket)  # type: ignore[arg-type]


def _ended(io: Server) -> None:
    io.close()
    io.step(0)


def _run_async() -> None:
    io = Server()
    io.on("chat", later)
    try:
        io.run(port=0)
    finally:
        _ended(io)


def _register_async() -> None:
    io = Server()
    io.step(0)
    try:
        io.on("chat", later)
    finally:
        _ended(io)


# Clients


def of_clients(*values: dict[str, Any]) -> list[Entry]:
    shown = [", ".join(f"{name}={value!r}" for name, value in given.items()) for given in values]
    return [
        (f"Client(url, {text})", lambda given=given: Client("http://localhost", **given))
        for text, given in zip(shown, values, strict=True)
    ]


def with_client(act: Callable[[Any], object]) -> Act:
    return served(lambda kit, _: act(kit.connect()))


def arguments_of_clients() -> list[Entry]:
    urls = ["localhost:3000", "http://ann:secret@a.example/", "http://a.example:99999", "ftp://a"]
    return [
        *[(f"Client({url!r})", lambda url=url: parse_url(url)) for url in urls],
        ("Client(Path('a'))", lambda: Client(Path("a"))),  # type: ignore[arg-type]
        ("connect(Server)", lambda: rawsio.connect(Server)),  # type: ignore[arg-type]
        *of_clients({"reconection": True}, {"reconnection": "no"}, {"timeout": "5"}),
        *of_clients({"auth": "secret"}, {"headers": {"X-Id": 5}}, {"headers": "x"}),
        *of_clients({"headers": {"Host": "a"}}, {"query": 5}, {"tls": True}, {"limits": 5}),
        *of_clients({"executor": 5}, {"parser": 5}, {"transports": "websocket"}),
        *of_clients({"transports": ["ws"]}, {"path": "x"}, {"retries": 1.5}, {"ack_timeout": -1}),
        ("Client(url, auth=an async function)", lambda: Client("http://a", auth=later)),
        ('socket.on("connection", fn)', with_client(lambda s: s.on("connection", print) and None)),
        ('socket.on("disconect", fn)', with_client(lambda s: s.on("disconect", print) and None)),
        ('socket.on("reconnect", fn)', with_client(lambda s: s.on("reconnect", print) and None)),
        ('client.on("reconect", fn)', with_client(lambda s: s.client.on("reconect", print))),
        ("client.socket(5)", with_client(lambda s: s.client.socket(5))),
        ('client.socket("admin")', with_client(lambda s: s.client.socket("admin"))),
        ('socket.receive("5")', with_client(lambda s: s.receive("5"))),
        ("socket.receive(1), nothing comes", with_client(lambda s: s.receive(1))),
        ("reply.result() on the loop's thread", _wait_on_loop),
    ]


def _wait_on_loop() -> None:
    async def main() -> None:
        io = Server()
        try:
            await asyncio.gather(io.serve(port=0), _wait(io))
        finally:
            io.close()

    async def _wait(io: Server) -> None:
        try:
            io.emit_with_ack("x").result()
            io.of("/x").host.wait(rawsio.app.reply.Promise(io.host), 1)  # type: ignore[attr-defined]
        finally:
            io.close()

    asyncio.run(main())


def cannot_connect() -> list[Entry]:
    def answered(status: int, body: bytes = b"", **fields: str) -> Act:
        pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
        return lambda: explain_answer(Response(status, Headers(pairs)), body)

    return [
        ("nobody listens there", served(_refusing)),
        ("a redirect", answered(302, Location="https://chat.example/socket.io/")),
        ("a page of another server", answered(404, b"<html>...", Content_Type="text/html")),
        ("another path", answered(404)),
        ("an origin that is not allowed", answered(403, b'{"code":4,"message":"Forbidden"}')),
        ("a namespace that there is not", served(lambda kit, _: kit.connect("/nope"))),
        ("the engine's path in the URL", served(lambda kit, _: kit.connect("/socket.io/"))),
        ("a middleware refuses", served(_refused)),
        ("nobody listens to a refusal", served(_unheard)),
    ]


def _refusing(kit: TestKit, _io: Server) -> None:
    kit.refusing = True
    kit.connect(reconnection=False)


def _refused(kit: TestKit, io: Server) -> None:
    @io.use
    def nobody(_socket: Any) -> None:
        raise Refused("not authorized")

    kit.connect()


def _unheard(kit: TestKit, _io: Server) -> None:
    kit.connect().client.socket("/nope")
    kit.run()


# Handlers and hooks


def handled(fn: Callable[..., Any], *args: Any) -> Act:
    """Return what has one handler, ``fn``, called with an event."""

    def run(kit: TestKit, io: Server) -> None:
        io.on("x", fn)
        kit.connect().emit("x", *args)
        kit.run()

    return served(run)


def _divide(_socket: Any) -> None:
    raise ZeroDivisionError("division by zero")


def _refuse(_socket: Any) -> None:
    raise Refused("not now")


def _refuse_badly(_socket: Any) -> None:
    raise Refused("no", {"ids": {1}})


def connecting(register: Callable[[Server], object], **options: Any) -> Act:
    """Return what a client's attempt to connect says on the server."""

    def run(kit: TestKit, io: Server) -> None:
        register(io)
        client = kit.client(reconnection=False)
        client.main.on("connect_error", lambda _error: None)
        client.main.connect()
        kit.run()

    return served(run, **options)


def handlers() -> list[Entry]:
    return [
        ("a handler raises", handled(_divide)),
        ("a handler raises Refused", handled(_refuse)),
        ("an event has too few arguments", handled(lambda _socket, _a, _b: None, 1)),
        ("an event has more than its handler takes (DEBUG)", handled(lambda _socket: None, 1, 2)),
        ("a handler returns what cannot be sent", handled_with_ack(lambda _socket: {1})),
        ("a handler of connection refuses", connecting(lambda io: io.on("connection", _refuse))),
        ("a middleware returns a str", connecting(lambda io: io.use(lambda _s: "no"))),
        ("a Refused has data that cannot be sent", connecting(lambda io: io.use(_refuse_badly))),
        ("a middleware raises", connecting(lambda io: io.use(_divide))),
        ("allow_request raises", connecting(print_nothing, allow_request=_divide)),
        ("allow_request returns 0", connecting(print_nothing, allow_request=lambda _r: 0)),
        ("middleware returns 'no'", connecting(print_nothing, middleware=[lambda _r: "no"])),
        ("generate_id returns 5", connecting(print_nothing, generate_id=lambda _r: 5)),
        ("on_headers writes a number", connecting(print_nothing, on_headers=_number)),
        ("a timer raises", served(_timer)),
    ]


def _number(fields: list[Any], _request: Any) -> None:
    fields.append(("X-Count", 5))


def _timer(kit: TestKit, io: Server) -> None:
    io.call_later(1, _divide, None)
    kit.advance(1)


def print_nothing(_io: Server) -> None:
    """No more than the options."""


def handled_with_ack(fn: Callable[..., Any]) -> Act:
    def run(kit: TestKit, io: Server) -> None:
        io.on("x", fn)
        kit.connect().emit_with_ack("x")
        kit.run()

    return served(run)


# What clients do wrong


def asked(*fields: str, query: str = "EIO=4&transport=polling", **options: Any) -> Act:
    """Return what a request is told, and what the server logs of it."""

    def run(kit: TestKit, _io: Server) -> str:
        wire = kit.dial()
        wire.send(request(query, "GET", b"", *fields))
        kit.run()
        return wire.recv(10_000).decode().partition("\r\n\r\n")[2]

    return served(run, **options)


def packets(*messages: str) -> Act:
    def run(kit: TestKit, _io: Server) -> None:
        client = RawWebSocket(kit)
        client.say("40", *messages)

    return served(run)


def said_first(data: bytes) -> Act:
    def run(kit: TestKit, _io: Server) -> None:
        wire = kit.dial()
        wire.send(data)
        kit.run()

    return served(run)


def of_peers() -> list[Entry]:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    websocket = "EIO=4&transport=websocket"
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context()
    hello = bytes.fromhex("16030100ff010000fb0303") + bytes(50)
    return [
        ("a client of Socket.IO v2", asked(query="EIO=3&transport=polling")),
        ("a page of another origin", asked("Origin: https://other.example")),
        ("a Host that is not allowed", asked(allowed_hosts=["chat.example"])),
        ("a proxy dropped Upgrade", asked(key, query=websocket)),
        ("a plain request for a WebSocket", asked(query=websocket)),
        ("an unknown transport", asked(query="EIO=4&transport=pigeon")),
        ("a session that is over", asked(query="EIO=4&transport=polling&sid=gone")),
        ("an event of a reserved name", packets('42["connect"]')),
        ("an event to a namespace not joined", packets('42/admin,["x"]')),
        ("text that is no packet", packets("4nonsense")),
        ("TLS on a port without", said_first(hello)),
        ("HTTP on a port of TLS", _tls(server, Role.SERVER, b"GET / HTTP/1.1\r\n\r\n")),
        ("a client with https://, a server without", _tls(client, Role.CLIENT, b"HTTP/1.1 400 ")),
        ("a client with http://, a server of TLS", _alert),
        ("a request line that is none", said_first(b"hello\r\n\r\n")),
    ]


def _tls(context: ssl.SSLContext, role: Role, data: bytes) -> Act:
    def run() -> str:
        name = "localhost" if role is Role.CLIENT else None
        (event,) = TLSConnection(context, role, server_hostname=name).receive(data)
        return str(event.message)

    return run


def _alert() -> str:
    (event,) = HTTPConnection(Role.CLIENT).receive(bytes.fromhex("15030100020246"))
    return str(event.message)


# What is over


def closed() -> list[Entry]:
    io = Server()
    _ended(io)
    client = Client("http://localhost")
    client.close()
    client.step(0)
    client.step(0)
    kit = TestKit(Server())
    kit.close()
    loop = Loop()
    loop.close()
    return [
        ("io.run(), after close()", lambda: io.run()),  # noqa: PLW0108
        ("io.listen(), after close()", lambda: io.listen()),  # noqa: PLW0108
        ('io.emit("x"), after close()', lambda: io.emit("x")),
        ("io.call_later(1, fn), after close()", lambda: io.call_later(1, print)),
        ("client.start(), after close()", client.start),
        ('socket.emit("x"), after client.close()', lambda: client.main.emit("x")),
        ("socket.receive(), after client.close()", client.main.receive),
        ("kit.connect(), after close()", kit.connect),
        ("loop.step(), after close()", loop.step),
        ("reply.result() of a socket that has ended", with_io(_lost)),
        ("socket.receive(), never connected", _never),
    ]


def _lost(_io: Server, socket: Any) -> None:
    reply = socket.emit_with_ack("x")
    socket.disconnect()
    reply.result()


def _never() -> None:
    client = Client("http://localhost")
    try:
        client.main.receive(1)
    finally:
        client.close()
        client.step(0)
        client.step(0)


def commands() -> list[Entry]:
    def run(*words: str) -> Act:
        def act() -> str:
            import contextlib
            import io

            heard = io.StringIO()
            with contextlib.redirect_stderr(heard), contextlib.suppress(SystemExit):
                command(words)
            return heard.getvalue().strip().rpartition("\n")[2]

        return act

    return [
        ("rawsio serve --port 99999", run("serve", "--port", "99999")),
        ("rawsio serve --port x", run("serve", "--port", "x")),
        ("rawsio serve --host 192.0.2.1", run("serve", "--host", "192.0.2.1")),
    ]


SECTIONS: dict[str, Callable[[], list[Entry]]] = {
    "Options of a server": options_of_servers,
    "Calls of a server, a socket, a test kit": calls_of_servers,
    "Arguments of a client": arguments_of_clients,
    "A client cannot connect": cannot_connect,
    "Handlers, middleware, hooks": handlers,
    "What peers do (what they are told, and the log)": of_peers,
    "Queues": of_queues,
    "Adapters and emitters": of_adapters,
    "Recorders, the tester, explanations": of_tools,
    "What is over, or has not begun": closed,
    "The command line": commands,
}

HEAD = """# Every message that a user can see

Made by `python -m tests.test_messages`, which provokes each of them; a test compares this page
with what is said. On the left is what was done, on the right what came of it: an exception, a line
of the log (`rawsio.http warning: ...`), or what the other end is told.
"""


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, entries in SECTIONS.items():
        parts += [f"## {title}\n", "| done | said |", "|---|---|"]
        for done, act in entries():
            lines = said(act)
            assert lines, f"{done}: nothing is said"
            told = "<br>".join(line.replace("|", "\\|") for line in lines)
            parts.append(f"| `{done}` | {told} |")
        parts.append("")
    return "\n".join(parts)


def test_the_page_of_messages_is_what_is_said() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run: python -m tests.test_messages"


def test_no_message_is_one_of_pythons_own() -> None:
    """What a user did not write (attributes, operands) tells him nothing."""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        assert not re.search(r"AttributeError|has no attribute|unsupported operand|NoneType", line)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
