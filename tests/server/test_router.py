"""Where requests go, and what becomes of connections: bytes into stacks, no sockets."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.connection import reason_of
from rawsio.engineio.packets import Message
from rawsio.engineio.server.options import EngineOptions
from rawsio.http.messages import EndOfMessage, Request, answer
from rawsio.layer import Closed, Failed
from rawsio.limits import DEFAULT
from rawsio.log import DEBUG, ERROR, WARNING, Log
from rawsio.server.answering import Answering
from rawsio.server.http_apps import RemoteAddress
from rawsio.server.router import Router
from rawsio.stack import GoOn, ServerStack
from rawsio.websocket.frames import TEXT, encode_frame
from tests.engineio.server.users import OPENED, Recorder, RecordingRegistry
from tests.stack.joined import UPGRADE, Stream

SID = "A" * 24


def frame(payload: bytes) -> bytes:
    return encode_frame(TEXT, payload, mask=b"abcd")


class Server:
    """A gateway, what it gave, and what it logged."""

    def __init__(self, application: Any = None, **options: Any) -> None:
        self.events: list[Any] = []
        self.logged: list[tuple[str, int, str]] = []
        log = Log(
            lambda: 0.0, lambda channel, level, message, _: self._note(channel, level, message)
        )
        registry = RecordingRegistry(
            EngineOptions(**options),
            DEFAULT,
            recorder=Recorder(lambda _session, event: self.events.append(event)),
            random_bytes=bytes,
            log=log,
        )
        self.asked: list[tuple[Any, Any]] = []
        self.gateway = Router(
            registry,
            log,
            lambda: 0.0,
            application=application and self._answering(application, log),
            drive=lambda *question: self.asked.append(question),
        )

    @staticmethod
    def _answering(application: Any, log: Log) -> Answering:
        def start(fn: Any, args: Any, done: Any, _one: Any) -> None:
            try:
                result = fn(*args)
            except Exception as error:  # noqa: BLE001 - as a host does
                done(None, error)
            else:
                done(result, None)

        return Answering(
            application,
            "mine",
            start=start,
            later=lambda _seconds, _fn: None,
            clock=lambda: 0.0,
            limits=DEFAULT,
            log=log,
        )

    def _note(self, channel: str, level: int, message: str) -> None:
        self.logged.append((channel, level, message))

    def connection(self) -> Connection:
        return Connection(self)

    def answer(self, value: Any = None, error: BaseException | None = None) -> None:
        """Let the hook that is being asked come to its end."""
        coroutine, done = self.asked.pop(0)
        coroutine.close()
        done(value, error)


class Connection:
    """One TCP connection, without TCP."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stack = ServerStack(DEFAULT, address="192.0.2.1")
        self.stream = Stream(self.stack)
        self.stack.connect(self.stream)

    def say(self, data: bytes) -> bytes:
        """Feed bytes; return what is answered."""
        self._carry(self.stream.layer.receive(data))
        while self.stream.layer.deadline == 0.0:
            self._carry(self.stream.layer.tick(0.0))
        return self.sent()

    def end(self) -> bytes:
        """End the input; return what is answered."""
        self._carry(self.stream.layer.receive_eof())
        return self.sent()

    def end_with(self, data: bytes) -> bytes:
        """Feed bytes and the end in one go, as TLS may give them; return what is answered."""
        layer = self.stream.layer
        self._carry(layer.receive(data) + layer.receive_eof())
        while self.stream.layer.deadline == 0.0:
            self._carry(self.stream.layer.tick(0.0))
        return self.sent()

    def _carry(self, events: list[Any]) -> None:
        self.server.gateway.receive(self.stack, events)

    def sent(self) -> bytes:
        """Drain the outbox, after the sessions' own."""
        for session in list(self.server.gateway.registry.sessions.values()):
            session.flush()
        return b"".join(self.stream.layer.data_to_send())

    def request(self, method: str, query: str, body: bytes = b"") -> bytes:
        """Ask Engine.IO."""
        head = f"{method} /socket.io/?EIO=4&{query} HTTP/1.1\r\nHost: a\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return self.say(f"{head}{length}\r\n".encode() + body)


def test_a_session_opens_by_polling_and_its_packets_are_carried_up() -> None:
    server = Server()
    connection = server.connection()
    assert b'0{"sid":"' + SID.encode() in connection.request("GET", "transport=polling")
    connection.request("POST", f"transport=polling&sid={SID}", b"4hello")
    assert server.events == [OPENED, Message("hello")]


def test_a_session_opens_by_websocket_and_its_packets_are_carried_up() -> None:
    server = Server()
    connection = server.connection()
    assert connection.say(UPGRADE).startswith(b"HTTP/1.1 101 ")
    assert connection.stack.upgraded
    connection.say(frame(b"4hello"))
    assert server.events[-1] == Message("hello")


def test_a_body_in_pieces_is_collected() -> None:
    server = Server()
    connection = server.connection()
    connection.request("GET", "transport=polling")
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={SID} HTTP/1.1\r\nHost: a\r\n"
    connection.say(f"{head}Content-Length: 6\r\n\r\n4he".encode())
    assert len(server.events) == 1
    assert connection.say(b"llo").endswith(b"ok")
    assert server.events[-1] == Message("hello")


def test_a_bad_websocket_handshake_is_answered_and_told_and_leaves_no_session() -> None:
    told: list[tuple[Any, ...]] = []
    server = Server(on_connection_error=lambda *values: told.append(values))
    connection = server.connection()
    said = connection.say(UPGRADE.replace(b"Version: 13", b"Version: 8"))
    assert said.startswith(b"HTTP/1.1 426 ")
    assert b"Sec-WebSocket-Version: 13\r\n" in said
    assert said.endswith(b'{"code":3,"message":"Sec-WebSocket-Version is 13, not \'8\'"}')
    assert [(code, context["name"]) for _, code, _, context in told] == [
        (3, "TRANSPORT_HANDSHAKE_ERROR")
    ]
    assert not connection.stack.upgraded
    assert not server.gateway.registry.sessions
    assert not server.events
    assert [(channel, level) for channel, level, _ in server.logged] == [("engineio", WARNING)]


def test_nobody_is_a_tunnel() -> None:
    server = Server(lambda _request, _body: (answer(200), b""))
    assert (
        server.connection()
        .say(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        .startswith(b"HTTP/1.1 501 ")
    )


def test_other_paths_are_not_found_without_an_application() -> None:
    said = Server().connection().say(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 404 ")


@pytest.mark.rule("6455-4.2.2-resource")
def test_there_is_no_websocket_at_other_paths() -> None:
    request = UPGRADE.replace(b"/socket.io/", b"/other/")
    assert Server().connection().say(request).startswith(b"HTTP/1.1 404 ")


def test_other_paths_are_the_applications_with_their_bodies() -> None:
    def application(request: Any, body: bytes, peer: RemoteAddress) -> Any:
        assert peer == RemoteAddress("192.0.2.1", secure=False)
        return answer(200, request.path.encode() + body), request.path.encode() + body

    connection = Server(application).connection()
    said = connection.say(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert said.endswith(b"/xbody")


@pytest.mark.parametrize("hook", ["allow_request", "middleware", "on_headers"])
def test_hooks_are_told_who_asks(hook: str) -> None:
    seen: list[Any] = []

    def look(*values: Any) -> None:
        seen.append(values[-1].peer)

    server = Server(**{hook: (look,) if hook == "middleware" else look})
    server.connection().say(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
    assert seen == [RemoteAddress("192.0.2.1", secure=False)]


def test_an_application_that_fails_is_answered_with_500_and_logged() -> None:
    def application(_request: Any, _body: bytes, _peer: RemoteAddress) -> Any:
        raise ValueError("mine")

    server = Server(application)
    said = server.connection().say(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 500 ")
    assert ("handler", ERROR, "app mine for GET '/x' failed") in server.logged


def _broken(*_: Any) -> Any:
    raise ValueError("mine")


@pytest.mark.parametrize("hook", ["on_headers", "on_initial_headers", "cors"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_hook_that_fails_is_answered_with_500_and_logged(hook: str, transport: str) -> None:
    server = Server(**{hook: _broken})
    connection = server.connection()
    head = UPGRADE.replace(b"Host: a\r\n", b"Host: a\r\nOrigin: http://b\r\n")
    if transport == "polling":
        head = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n"
    if hook != "cors":
        head = head.replace(b"http://b", b"http://a")
    assert connection.say(head).startswith(b"HTTP/1.1 500 ")
    line = "a hook failed for a 'GET' of /socket.io/: ValueError('mine')"
    assert server.logged == [("handler", ERROR, line)]
    assert not server.gateway.registry.sessions
    assert not server.events
    connection.end()


class TestEnds:
    def opened(self) -> tuple[Server, Connection]:
        server = Server()
        connection = server.connection()
        connection.say(UPGRADE)
        return server, connection

    def test_a_lost_connection_ends_its_session(self) -> None:
        server, connection = self.opened()
        server.gateway.lost(connection.stack)
        assert server.events[-1] == Closed(0, "transport close")
        assert not server.gateway.registry.sessions

    def test_it_may_be_lost_twice(self) -> None:
        server, connection = self.opened()
        server.gateway.lost(connection.stack)
        count = len(server.events)
        server.gateway.lost(connection.stack)
        assert len(server.events) == count

    def test_a_frame_error_ends_it_with_a_transport_error_and_one_line(self) -> None:
        server, connection = self.opened()
        assert connection.say(b"\x81\x01x").startswith(b"\x88")
        assert reason_of(server.events[-1]) == "transport error"
        lines = [(channel, level) for channel, level, _ in server.logged if level >= WARNING]
        assert lines == [("websocket", WARNING)]

    def test_an_end_without_a_close_frame_is_everyday_life(self) -> None:
        server, connection = self.opened()
        connection.end()
        assert server.events[-1] == Closed(0, "transport close")
        assert [level for _, level, _ in server.logged] == [DEBUG]

    def test_a_poll_that_is_given_up_ends_the_session(self) -> None:
        server = Server()
        connection = server.connection()
        connection.request("GET", "transport=polling")
        assert connection.request("GET", f"transport=polling&sid={SID}") == b""
        connection.end()
        assert isinstance(server.events[-1], (Closed, Failed))
        assert not server.gateway.registry.sessions


@pytest.mark.parametrize("packet", ["2probe", "9", "4x"])
def test_packets_of_a_websocket_that_no_session_has_reach_nobody(packet: str) -> None:
    server = Server()
    connection = server.connection()
    connection.request("GET", "transport=polling")
    candidate = server.connection()
    candidate.say(UPGRADE.replace(b"websocket HTTP", f"websocket&sid={SID} HTTP".encode()))
    candidate.say(frame(packet.encode()))
    assert server.events == [OPENED]


async def _later(_request: Any) -> None:
    """Its result is given by the test."""


def test_a_request_waits_for_its_hook_and_its_body_is_kept() -> None:
    server = Server(middleware=(_later,))
    polls, posts = server.connection(), server.connection()
    assert polls.request("GET", "transport=polling") == b""
    server.answer()
    assert b'0{"sid":"' in polls.sent()
    head = f"POST /socket.io/?EIO=4&transport=polling&sid={SID} HTTP/1.1\r\nHost: a\r\n"
    assert posts.say(f"{head}Content-Length: 6\r\n\r\n4he".encode()) == b""
    server.answer()
    assert posts.say(b"llo").endswith(b"ok")
    assert posts.say(f"{head}Content-Length: 6\r\n\r\n4again".encode()) == b""
    assert server.events[1:] == [Message("hello")]
    server.answer()
    assert posts.sent().endswith(b"ok")
    assert server.events[1:] == [Message("hello"), Message("again")]


def test_a_websocket_waits_for_its_hooks_one_after_the_other() -> None:
    server = Server(middleware=(_later,), allow_request=_later)
    connection = server.connection()
    assert connection.say(UPGRADE) == b""
    server.answer()
    assert connection.sent() == b""
    server.answer(value=True)
    assert connection.sent().startswith(b"HTTP/1.1 101 ")
    assert server.events == [OPENED]


def test_a_hook_that_refuses_later_is_as_one_that_refuses_at_once() -> None:
    server = Server(allow_request=_later)
    connection = server.connection()
    connection.say(UPGRADE)
    server.answer(value="not you")
    assert connection.sent().endswith(b'{"code":4,"message":"not you"}')
    assert server.events == []


@pytest.mark.parametrize("end", ["input", "connection"])
def test_a_client_that_is_gone_when_its_hook_answers_leaves_nothing(end: str) -> None:
    server = Server(allow_request=_later)
    connection = server.connection()
    connection.request("GET", "transport=polling")
    if end == "input":
        connection.end()
    else:
        server.gateway.lost(connection.stack)
    server.answer(value=True)
    assert connection.sent() == b""
    assert server.events == []
    assert not server.gateway.registry.sessions


def test_without_anybody_who_runs_coroutines_such_a_hook_lets_nobody_pass() -> None:
    server = Server(allow_request=_later)
    server.gateway.drive = None
    said = server.connection().request("GET", "transport=polling")
    assert said.endswith(b'{"code":4,"message":"Forbidden"}')


# The end of the connection in the same read as what was sent last, as TLS can have it

POLL = b"GET /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /socket.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: a\r\n"
OWN = b"&sid=" + SID.encode()
PROBED = UPGRADE.replace(b"websocket HTTP", b"websocket" + OWN + b" HTTP")

LAST_WORDS = {
    "a request": POLL % b"",
    "a poll": POLL % OWN,
    "two polls": POLL % OWN * 2,
    "a broken request": b"GET / HTTP/9.9\r\n\r\n",
    "a body after 100-continue": POST % OWN
    + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n40",
    "a session": UPGRADE + frame(b"40") + frame(b'421["ask",1]') + frame(b"2"),
    "pings of the WebSocket": UPGRADE + encode_frame(9, b"x", mask=b"abcd") * 3,
    "a close frame": UPGRADE + encode_frame(8, b"\x03\xe8", mask=b"abcd"),
    "a broken frame": UPGRADE + b"\x81\x01x",
    "a probe": PROBED + frame(b"2probe"),
    "an upgrade": PROBED + frame(b"2probe") + frame(b"5") + frame(b"40"),
    "a wrong probe": PROBED + frame(b"4x"),
}


@pytest.mark.parametrize("what", LAST_WORDS)
def test_the_end_in_the_same_read_as_any_last_words_raises_nothing(what: str) -> None:
    words = LAST_WORDS[what]
    handshake = UPGRADE if words.startswith(UPGRADE) else PROBED if PROBED in words else b""
    sizes = range(len(handshake), len(words) + 1) if handshake else range(1, len(words) + 1)
    for size in sizes:
        for begun in {0, len(handshake), size // 2}:
            server = Server()
            if OWN in words:
                server.connection().request("GET", "transport=polling")
            connection = server.connection()
            connection.say(words[: min(begun, size)])
            connection.end_with(words[min(begun, size) : size])
            sessions = server.gateway.registry.sessions.values()
            assert all(session.transport.carrier is not connection.stack for session in sessions)
            server.gateway.registry.close()
            connection.sent()
    assert not [line for line in server.logged if line[1] >= ERROR]


def test_an_interrupt_in_a_hook_leaves_the_end_of_the_request_for_the_next_turn() -> None:
    def hook(_request: Any, *_more: Any) -> None:
        raise KeyboardInterrupt

    server = Server(middleware=(hook,))
    stack = ServerStack(DEFAULT)
    stack.connect(Stream(stack))
    stack.tick(1.0)
    head = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
    events = stack.receive(head)
    assert [type(event) for event in events] == [Request, EndOfMessage]
    with pytest.raises(KeyboardInterrupt):
        server.gateway.receive(stack, events)
    assert stack.early == events[1:]


def test_the_end_of_a_request_waits_behind_what_was_put_back_meanwhile() -> None:
    stack = ServerStack(DEFAULT)

    def hook(_request: Any, *_more: Any) -> None:
        stack.defer()

    server = Server(middleware=(hook,))
    stack.connect(Stream(stack))
    stack.tick(1.0)
    head = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
    events = stack.receive(head)
    server.gateway.receive(stack, events)
    assert [type(event) for event in stack.early] == [GoOn, EndOfMessage]
