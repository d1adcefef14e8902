"""The client in the test kit: reconnection, what is kept, replies, flags, namespaces, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import Client, ConnectionClosed, Limits, LocalProtocolError, Refused, Server
from rawsio.client.client import ClientState
from rawsio.client.options import Backoff, ClientOptions
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit
from tests.pool import Pool

BOTH = pytest.mark.parametrize("transport", ["polling", "websocket"])


class Room:
    """A server with a few handlers, in a kit."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.heard: list[Any] = []
        self.kit = TestKit(self.io)
        self.io.on("ack", lambda _socket, *args: args)
        self.io.on("note", lambda _socket, *args: self.heard.append(list(args)))
        self.io.on("never", ack=True)(lambda _socket, _ack: None)

    @property
    def only(self) -> Any:
        """The only socket of the server."""
        (socket,) = self.io.sockets.values()
        return socket


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    with made.kit:
        yield made


def told(socket: Any) -> list[Any]:
    """Return a list that library events go to."""
    seen: list[Any] = []
    socket.on("connect", lambda: seen.append("connect"))
    socket.on("connect_error", lambda error: seen.append(str(error)))
    socket.on("disconnect", lambda reason, _text: seen.append(reason))
    return seen


# Reconnection


@BOTH
def test_a_lost_connection_comes_back_with_what_was_emitted_meanwhile(
    room: Room, transport: str
) -> None:
    socket = room.kit.connect(transports=[transport])
    seen, before = told(socket), socket.id
    room.kit.cut(socket)
    reason = "transport close" if transport == "websocket" else "transport error"
    assert seen == [reason]
    assert (socket.id, socket.connected, socket.active) == (None, False, True)
    for number in range(3):
        socket.emit("note", number)
    reply = socket.emit_with_ack("ack", "late")
    room.kit.advance(1.5)
    assert seen == [reason, "connect"]
    assert room.heard == [[0], [1], [2]]
    assert reply.result() == "late"
    assert socket.id != before


@pytest.mark.rule("6455-7.2.3-backoff")
def test_attempts_follow_the_formula_and_are_counted(room: Room) -> None:
    kit = room.kit
    client = kit.client(randomization_factor=0.0, reconnection_attempts=4, transports=["websocket"])
    seen: list[Any] = []
    for name in ("reconnect_attempt", "reconnect"):
        client.on(name, lambda number, name=name: seen.append((kit.time, name, number)))
    client.on("reconnect_error", lambda error: seen.append((kit.time, str(error))))
    client.on("reconnect_failed", lambda: seen.append((kit.time, "failed")))
    kit.refusing = True
    socket = client.main.connect()
    kit.advance(30.0)
    error = "cannot connect to http://testkit: connection refused"
    assert seen == [
        (1.0, "reconnect_attempt", 1),
        (1.0, error),
        (3.0, "reconnect_attempt", 2),
        (3.0, error),
        (7.0, "reconnect_attempt", 3),
        (7.0, error),
        (12.0, "reconnect_attempt", 4),
        (12.0, error),
        (12.0, "failed"),
    ]
    assert (client.state, socket.active) == (ClientState.IDLE, False)
    seen.clear()
    socket.connect()
    kit.run()
    kit.refusing = False
    kit.advance(1.0)
    assert seen == [(31.0, "reconnect_attempt", 1), (31.0, "reconnect", 1)]
    assert client.connected


@pytest.mark.rule("6455-7.2.3-backoff")
def test_the_wait_before_each_attempt_is_random_and_grows() -> None:
    options = ClientOptions(reconnection_delay_max=60.0)
    waits = [[backoff.next() for _ in range(4)] for backoff in map(Backoff, [options] * 50)]
    for number, attempts in enumerate(zip(*waits, strict=True)):
        assert len(set(attempts)) > 10
        assert 0.5 * 2**number <= min(attempts) < max(attempts) <= 1.5 * 2**number


def test_without_reconnection_a_loss_is_final(room: Room) -> None:
    socket = room.kit.connect(reconnection=False)
    room.kit.cut(socket)
    room.kit.advance(60.0)
    assert not socket.active
    with pytest.raises(ConnectionClosed):
        socket.receive(1.0)


def test_a_server_that_does_not_answer_is_given_up_after_the_timeout(room: Room) -> None:
    client = room.kit.client(timeout=5.0, reconnection=False)
    seen = told(client.main)
    client.main.connect()
    room.kit.loop.step(0)
    for stream in client.net.streams:
        stream.sock.cut()
    room.kit.advance(5.0)
    assert seen == ["cannot connect to http://testkit: no answer within 5.0 s"]


def test_a_session_that_the_server_forgot_begins_anew(room: Room) -> None:
    socket = room.kit.connect(transports=["polling"])
    seen = told(socket)
    for session in list(room.io.engine.sessions.values()):
        session.close("forgotten")
    room.kit.advance(3.0)
    assert seen == ["transport close", "connect"]


def test_auth_is_asked_for_at_every_connect(room: Room) -> None:
    tokens = iter(range(10))
    socket = room.kit.connect(auth=lambda: {"token": next(tokens)})
    assert room.only.handshake.auth == {"token": 0}
    room.kit.cut(socket)
    room.kit.advance(3.0)
    assert room.only.handshake.auth == {"token": 1}


def test_an_auth_function_that_fails_is_a_connection_error(room: Room) -> None:
    with pytest.raises(ZeroDivisionError):
        room.kit.connect(auth=lambda: 1 / 0)


def test_headers_and_query_go_with_every_request(room: Room) -> None:
    room.kit.connect(headers={"X-Token": "a"}, query={"who": "me & you"})
    shake = room.only.handshake
    assert shake.headers.get("x-token") == "a"
    assert shake.query["who"] == "me & you"


def test_a_recovered_session_goes_on_where_it_was() -> None:
    room = Room(connection_state_recovery=True)
    with room.kit as kit:
        socket = kit.connect(transports=["websocket"])
        before = socket.id
        room.io.emit("news", 1)
        assert socket.receive() == ["news", 1]
        room.only.data["x"] = 1
        kit.cut(socket)
        room.io.emit("news", 2)
        kit.advance(2.0)
        assert (socket.recovered, socket.id) == (True, before)
        assert socket.receive() == ["news", 2]


def test_what_a_server_repeats_is_dropped_by_its_offset() -> None:
    room = Room(connection_state_recovery=True)
    adapter: Any = room.io.namespaces.main.adapter
    missed = adapter.missed

    def repeating(socket: Any) -> Any:
        """Send more than was missed, as servers may that promise at least once."""
        socket._session.resume -= 2
        return missed(socket)

    adapter.missed = repeating
    with room.kit as kit:
        socket = kit.connect(transports=["websocket"])
        for number in range(40):
            room.io.emit("news", number)
        assert [socket.receive()[1] for _ in range(40)] == list(range(40))
        kit.cut(socket)
        room.io.emit("news", 40)
        kit.advance(2.0)
        assert socket.recovered
        assert socket.receive() == ["news", 40]
        room.io.emit("news", 41)
        assert socket.receive() == ["news", 41]


def test_text_at_the_end_of_an_event_is_no_offset() -> None:
    room = Room(connection_state_recovery=True)
    with room.kit as kit:
        socket = kit.connect(transports=["websocket"])
        room.io.emit("news", "text")
        room.only.emit_with_ack("question", "text")
        room.io.volatile.emit("weather", "text")
        heard = [socket.receive() for _ in range(3)]
        assert heard == [["news", "text"], ["question", "text"], ["weather", "text"]]
        kit.cut(socket)
        room.io.emit("news", "more")
        kit.advance(2.0)
        assert socket.recovered
        assert socket.receive() == ["news", "more"]


def test_no_listener_sees_an_offset() -> None:
    room = Room(connection_state_recovery=True)
    with room.kit as kit:
        socket = kit.connect()
        seen: list[tuple[Any, ...]] = []
        socket.on_any(lambda *args: seen.append(args))
        room.only.on_any_outgoing(lambda *args: seen.append(args))
        room.io.emit("news", 1)
        room.only.emit_with_ack("question", 2)
        kit.run()
        assert sorted(seen) == [("news", 1)] * 2 + [("question", 2)] * 2


def test_a_session_without_any_event_is_recovered() -> None:
    room = Room(connection_state_recovery=True)
    with room.kit as kit:
        socket = kit.connect(transports=["websocket"])
        kit.cut(socket)
        room.io.emit("news", 1)
        kit.advance(2.0)
        assert socket.recovered
        assert socket.receive() == ["news", 1]


# Ends


@BOTH
def test_both_ends_learn_why_a_socket_left(room: Room, transport: str) -> None:
    reasons: list[str] = []
    room.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    socket = room.kit.connect(transports=[transport])
    seen = told(socket)
    socket.disconnect()
    room.kit.run()
    assert seen == ["io client disconnect"]
    assert reasons == ["client namespace disconnect"]
    assert room.io.stats()["sessions"] == 0
    room.kit.advance(60.0)
    assert not socket.connected
    socket.connect()
    room.kit.run()
    assert socket.connected
    room.only.disconnect()
    room.kit.run()
    assert seen[1:] == ["connect", "io server disconnect"]
    assert not socket.active
    room.kit.advance(10.0)
    assert room.io.stats()["sessions"] == 0


def test_a_packet_that_is_none_ends_the_connection_as_a_parse_error(room: Room) -> None:
    socket = room.kit.connect(transports=["websocket"], reconnection=False)
    seen = told(socket)
    room.only.conn.send(["9what?"])
    room.kit.run()
    assert seen == ["parse error"]


def test_waiting_replies_fail_with_the_connection(room: Room) -> None:
    socket = room.kit.connect()
    reply = socket.emit_with_ack("never")
    room.kit.run()
    room.kit.cut(socket)
    with pytest.raises(ConnectionClosed, match="transport close"):
        reply.result()


def test_a_reply_to_an_event_that_waits_to_be_sent_outlives_the_connection(room: Room) -> None:
    room.io.of("/late").on("ack", lambda _socket, *args: args)
    socket = room.kit.connect()
    late = socket.client.socket("/late").connect()
    reply = late.emit_with_ack("ack", 1)
    room.kit.cut(socket)
    assert not reply.done()
    room.kit.advance(2.0)
    assert reply.result() == 1


def test_an_acknowledgement_that_comes_after_the_loss_goes_nowhere(room: Room) -> None:
    socket = room.kit.connect(transports=["websocket"])
    acks: list[Any] = []
    socket.on("question", acks.append, ack=True)
    reply = room.only.emit_with_ack("question")
    room.kit.run()
    room.kit.cut(socket)
    room.kit.advance(2.0)
    second = room.only.emit_with_ack("question")
    room.kit.run()
    acks[0]("to the first")
    room.kit.run()
    assert not second.done()
    acks[1]("to the second")
    assert second.result() == "to the second"
    assert isinstance(reply.exception(), ConnectionClosed)


# What is kept


def test_events_without_a_handler_wait_in_order_for_the_first_one(room: Room) -> None:
    socket = room.kit.connect()
    for number in range(4):
        room.io.emit("news", number)
    room.io.emit("other", "x")
    room.kit.run()
    seen: list[Any] = []
    socket.once("news", lambda n: seen.append(("once", n)))
    socket.on("news", seen.append)
    assert seen == [("once", 0), 1, 2, 3]
    assert socket.receive() == ["other", "x"]
    socket.off("news")
    room.io.emit("news", 9)
    assert socket.receive() == ["news", 9]


def test_a_kept_event_is_acknowledged_by_the_handler_that_comes(room: Room) -> None:
    socket = room.kit.connect()
    reply = room.only.emit_with_ack("question", 20)
    room.kit.run()
    assert not reply.done()
    socket.on("question", lambda n: n + 1)
    assert reply.result() == 21


def test_listeners_hear_everything_once_whoever_handles_it(room: Room) -> None:
    socket = room.kit.connect()
    heard: list[Any] = []
    sent: list[Any] = []
    listener = socket.on_any(lambda *args: heard.append(args))
    socket.on_any_outgoing(lambda *args: sent.append(args))
    room.io.emit("news", 1)
    room.kit.run()
    socket.on("news", lambda n: None)
    socket.emit("note", 5)
    assert heard == [("news", 1)]
    assert sent == [("note", 5)]
    socket.off_any(listener)
    socket.off_any_outgoing()
    room.io.emit("news", 2)
    socket.emit("note", 6)
    room.kit.run()
    assert (len(heard), len(sent)) == (1, 1)


def test_what_is_no_function_or_no_time_is_refused_where_it_is_given(room: Room) -> None:
    socket = room.kit.connect()
    wrong: Any = "5"
    for register in (socket.on_any, socket.on_any_outgoing, lambda fn: socket.on("x", fn)):
        with pytest.raises(TypeError, match="is a function, not '5'"):
            register(wrong)
    for asker in (socket, socket.volatile):
        with pytest.raises(TypeError, match="a timeout is a number of seconds, not '5'"):
            asker.timeout(wrong)


def test_what_is_kept_is_bounded(room: Room) -> None:
    limits = Limits(kept_events=2, kept_emits=2)
    client = room.kit.client(limits=limits)
    client.main.emit("note", 1)
    client.main.emit("note", 2)
    with pytest.raises(ConnectionClosed, match="2 events wait"):
        client.main.emit("note", 3)
    client.main.volatile.emit("note", 4)
    socket = client.main.connect()
    room.kit.run()
    assert room.heard == [[1], [2]]
    for number in range(4):
        room.io.emit("news", number)
    room.kit.run()
    assert [socket.receive(), socket.receive()] == [["news", 2], ["news", 3]]


def test_events_that_middleware_sends_come_after_the_connection(room: Room) -> None:
    @room.io.use
    def run_connect(socket: Any) -> None:
        socket.emit("early", 1)

    assert room.kit.connect().receive() == ["early", 1]


# Flags, limits, names


def test_a_reply_with_a_timeout_fails_in_time_and_takes_back_what_was_not_sent(room: Room) -> None:
    client = room.kit.client()
    reply = client.main.timeout(3.0).emit_with_ack("note", "unsent")
    room.kit.advance(3.0)
    with pytest.raises(TimeoutError):
        reply.result()
    client.main.connect()
    room.kit.run()
    assert room.heard == []


def test_volatile_events_are_dropped_unless_they_go_out_at_once(room: Room) -> None:
    socket = room.kit.connect(transports=["websocket"])
    socket.volatile.emit("note", 1)
    room.kit.run()
    room.kit.cut(socket)
    socket.volatile.emit("note", 2)
    room.kit.advance(2.0)
    socket.compress(False).send("x")
    socket.volatile.emit("note", 3)
    room.kit.run()
    assert room.heard == [[1], [3]]


@BOTH
def test_what_is_longer_than_the_server_takes_is_refused_before_it_is_sent(transport: str) -> None:
    room = Room(max_http_buffer_size=1000)
    with room.kit as kit:
        client = kit.client(transports=[transport])
        early = client.main.emit_with_ack("note", "x" * 2000)
        socket = client.main.connect()
        kit.run()
        assert isinstance(early.exception(), LocalProtocolError)
        for body in ("x" * 990, "\u20ac" * 330, b"x" * 2000):
            with pytest.raises(LocalProtocolError, match="takes 1000"):
                socket.emit("note", body)
        socket.emit("note", "x" * 980)
        kit.run()
        assert socket.connected
        assert room.heard == [["x" * 980]]


def test_names_that_no_event_can_have_are_refused(room: Room) -> None:
    socket = room.kit.connect()
    with pytest.raises(ValueError, match="on_any"):
        socket.on("*")
    with pytest.raises(TypeError):
        socket.once(1.5)
    with pytest.raises(LocalProtocolError):
        socket.emit("connect")
    with pytest.raises(ValueError, match="reconnect_attempt"):
        socket.client.on("news")


def test_a_server_may_call_its_events_error_and_drain(room: Room) -> None:
    socket = room.kit.connect()
    seen: list[Any] = []
    for name in ("error", "drain", "connection"):
        socket.on(name, seen.append)
        room.io.sockets[socket.id].conn.send([f'2["{name}",1]'])
    room.kit.run()
    assert seen == [1, 1, 1]


def test_namespaces_share_the_connection_and_the_last_one_ends_it(room: Room) -> None:
    room.io.of("/chat").on("where", lambda _socket: "chat")
    socket = room.kit.connect(transports=["websocket"])
    chat = socket.client.socket("/chat", {"token": 1})
    assert socket.client.socket("/chat") is chat
    assert chat.emit_with_ack("where").result() == "chat"
    assert room.io.stats()["sessions"] == 1
    socket.disconnect()
    assert chat.emit_with_ack("where").result() == "chat"
    chat.disconnect()
    room.kit.run()
    assert room.io.stats()["sessions"] == 0
    with pytest.raises(ValueError, match="slash"):
        socket.client.socket("chat")


def test_a_refused_namespace_leaves_the_others_alone(room: Room) -> None:
    @room.io.of("/secret").use
    def refuse(_socket: Any) -> None:
        raise Refused("no", {"retry": 1})

    socket = room.kit.connect()
    errors: list[Any] = []
    secret = socket.client.socket("/secret")
    secret.on("connect_error", lambda error: errors.append((str(error), error.data)))
    room.kit.run()
    assert errors == [("the server refused the namespace '/secret': no", {"retry": 1})]
    assert not secret.active
    assert socket.connected


def test_both_ends_may_use_the_same_other_parser() -> None:
    room = Room(parser=MsgpackParser())
    with room.kit as kit:
        socket = kit.connect(parser=MsgpackParser())
        assert socket.emit_with_ack("ack", {"a": b"\0"}, 1.5).result() == ({"a": b"\0"}, 1.5)


def test_compression_is_offered_when_it_is_wanted() -> None:
    room = Room(per_message_deflate=True)
    with room.kit as kit:
        socket = kit.connect(transports=["websocket"], per_message_deflate=True)
        assert socket.emit_with_ack("ack", "x" * 100_000).result() == "x" * 100_000


@BOTH
def test_a_burst_arrives_in_order_and_a_long_body_whole(room: Room, transport: str) -> None:
    socket = room.kit.connect(transports=[transport])
    for number in range(300):
        socket.emit("note", number)
    body = bytes(range(256)) * 2000
    assert socket.emit_with_ack("ack", body).result() == body
    assert room.heard == [[number] for number in range(300)]


def test_a_slow_handler_queue_holds_the_server_back(room: Room) -> None:
    pool = Pool()
    socket = room.kit.connect(executor=pool, limits=Limits(queued_events=4))
    seen: list[int] = []
    socket.on("news", seen.append)
    for number in range(10):
        room.io.emit("news", number)
    room.kit.run()
    (stream,) = socket.client.net.streams
    assert seen == []
    before = len(room.kit.board.get_map())
    while pool.jobs:
        pool.run_one()
        room.kit.run()
    assert seen == list(range(10))
    assert len(room.kit.board.get_map()) == before + 1  # it reads again
    assert stream.state.value == "open"


def test_a_server_of_engine_io_that_refuses_is_quoted() -> None:
    room = Room(transports=("polling",))
    with room.kit as kit:
        with pytest.raises(ConnectionClosed, match="Transport unknown"):
            kit.connect(transports=["websocket"])
        socket = kit.connect(transports=["polling", "websocket"])
        kit.advance(1.0)
        assert socket.client.transport == "polling"


def test_a_failed_upgrade_leaves_the_session_on_polling(room: Room) -> None:
    socket = room.kit.connect(transports=["polling"])
    other = room.kit.client(transports=["polling", "websocket"]).main.connect()
    while not other.connected:
        room.kit.loop.step(0)
    (candidate,) = [s for s in other.client.net.streams if s.tag.stack.websocket]
    candidate.sock.cut()
    room.kit.advance(30.0)
    assert other.emit_with_ack("ack", 1).result() == 1
    assert socket.connected


def test_who_retries_waits_through_failed_attempts(room: Room) -> None:
    room.kit.refusing = True
    room.kit.loop.call_later(4.0, setattr, room.kit, "refusing", False)
    socket = room.kit.connect(retry=True)
    assert 4.0 <= room.kit.time < 10.0
    assert socket.connected


def test_waiting_ends_when_no_attempt_is_left(room: Room) -> None:
    room.kit.refusing = True
    with pytest.raises(ConnectionClosed, match="will not be made again"):
        room.kit.connect(retry=True, reconnection_attempts=2)


def test_a_listener_that_fails_is_logged_and_the_event_sent(room: Room) -> None:
    socket = room.kit.connect()

    @socket.on_any_outgoing
    def fail(*_args: Any) -> None:
        raise ZeroDivisionError

    socket.emit("note", 1)
    room.kit.run()
    assert room.heard == [[1]]


def test_sockets_may_leave_and_come_back_in_their_own_handlers(room: Room) -> None:
    socket = room.kit.connect()
    socket.once("disconnect")(socket.connect)
    room.only.disconnect()
    room.kit.run()
    assert socket.connected
    socket.once("disconnect")(lambda _reason: socket.client.close())
    room.kit.cut(socket)
    room.kit.advance(10.0)
    assert socket.client.closed
    assert socket.client.state is ClientState.CLOSED


def test_leaving_while_connecting_ends_the_attempt(room: Room) -> None:
    client = room.kit.client()
    socket = client.main.connect()
    socket.disconnect()
    room.kit.run()
    assert client.state is ClientState.IDLE
    with pytest.raises(ConnectionClosed, match="disconnected"):
        socket.opening.result()
    assert room.io.stats()["sessions"] == 0


def test_too_many_awaited_acknowledgements_are_refused(room: Room) -> None:
    socket = room.kit.connect(limits=Limits(pending_acks=1))
    socket.emit_with_ack("never")
    with pytest.raises(LocalProtocolError, match="1 acknowledgements"):
        socket.emit_with_ack("never").result()
    reply = socket.volatile.timeout(1.0).emit_with_ack("ack")
    assert isinstance(reply.exception(), LocalProtocolError)


def test_a_socket_shows_what_it_is(room: Room) -> None:
    socket = room.kit.connect()
    assert repr(socket) == f"<ClientSocket {socket.id} in '/', connected>"
    socket.disconnect()
    assert repr(socket) == "<ClientSocket None in '/', inactive>"
    assert socket.client.transport is None


@pytest.mark.rule("6455-4.1-uri")
@pytest.mark.parametrize(
    ("url", "text"),
    [
        *(("localhost:3000", "scheme"), ("http://a:99999", "port"), ("ws://a:0", "port")),
        *((url, "URL") for url in ("http://", "ws://a b", "wss://\u00e9", "ws:/a", "ftp://a")),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Client(url)


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TypeError, match="reconnection_delay"):
        Client("http://a", recconection=True)
    with pytest.raises(ValueError, match="carrier pigeon"):
        Client("http://a", transports=["carrier pigeon"])
    with pytest.raises(ValueError, match="list"):
        Client("http://a", transports="polling")
    with pytest.raises(ValueError, match="0 to 1"):
        Client("http://a", randomization_factor=2.0)
    with pytest.raises(TypeError, match="reconnection: True or False is expected, not 'no'"):
        Client("http://a", reconnection="no")
    with pytest.raises(TypeError, match="reconnection_delay: a number is expected, not '1'"):
        Client("http://a", reconnection_delay="1")
    with pytest.raises(LocalProtocolError):
        Client("http://a", headers={"A": "b\r\nC: d"})
    with pytest.raises(LocalProtocolError, match="Host"):
        Client("http://a", headers=[("Host", "b")])


@pytest.mark.parametrize(
    "path", ["", "a", "/a b/", "/a|b/", "/\u00e9", "/a?b", "/a#b", "/%4", "/\n"]
)
@pytest.mark.rule("6455-4.1-uri")
def test_a_path_that_no_url_has_is_refused(path: str) -> None:
    """Found out only when the request is written, it would end in a log line and a time-out."""
    with pytest.raises(ValueError, match="path"):
        Client("http://a", path=path)


def test_headers_from_a_function_are_asked_for_at_every_attempt(room: Room) -> None:
    tokens = iter(range(10))
    socket = room.kit.connect(headers=lambda: {"X-Token": str(next(tokens))})
    assert room.only.handshake.headers.get("x-token") == "0"
    room.kit.cut(socket)
    room.kit.advance(3.0)
    assert room.only.handshake.headers.get("x-token") == "1"


def test_a_function_of_headers_that_fails_is_a_connection_error(room: Room) -> None:
    with pytest.raises(ZeroDivisionError):
        room.kit.connect(headers=lambda: 1 / 0)
    with pytest.raises(LocalProtocolError, match="the client itself sends Host"):
        room.kit.connect(headers=lambda: {"Host": "elsewhere"})
