"""The client's half: exchanges in order, the upgrade, the close; alone and against our server."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.client.session import EngineIOClient, Exchange
from rawsio.engineio.connection import reason_of
from rawsio.engineio.packets import Message, Opened, Upgraded
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.states import SessionState
from rawsio.errors import LocalProtocolError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.layer import Closed, Closing, Failed
from rawsio.limits import Limits
from tests.engineio.server.links import Bench, RecordingLink

OK = Response(200, Headers())
OPEN = (
    b'0{"sid":"S","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
    b'"maxPayload":20}'
)
POLL = Exchange("poll", "GET", "/socket.io/?EIO=4&transport=polling&sid=S")
WEBSOCKET = Exchange("websocket", "GET", "/socket.io/?EIO=4&transport=websocket&sid=S")


def post(body: bytes) -> Exchange:
    return Exchange("post", "POST", "/socket.io/?EIO=4&transport=polling&sid=S", body)


def opened(**more: Any) -> EngineIOClient:
    client = EngineIOClient(**more)
    (first,) = client.exchanges()
    (event,) = client.receive_response(first, OK, OPEN)
    assert isinstance(event, Opened)
    client.tick(100.0)
    return client


def polling() -> EngineIOClient:
    client = opened(upgrade=False)
    assert client.exchanges() == [POLL]
    return client


@pytest.mark.rule("engineio-v4-handshake-polling")
def test_a_session_begins_with_a_poll_and_goes_on_with_the_next() -> None:
    client = opened()
    assert client.exchanges() == [WEBSOCKET, POLL]
    assert client.exchanges() == []
    assert client.receive_response(POLL, OK, b"4a\x1ebAQ==") == [Message("a"), Message(b"\x01")]
    assert client.exchanges() == [POLL]


def test_further_parameters_stand_in_each_request_and_odd_ids_are_escaped() -> None:
    client = EngineIOClient("/x/", query=[("token", "a%20b")])
    (first,) = client.exchanges()
    assert first.target == "/x/?EIO=4&transport=polling&token=a%20b"
    odd = OPEN.replace(b'"S"', b'"S&#+/"').replace(b'"websocket"', b"")
    client.receive_response(first, OK, odd)
    (poll,) = client.exchanges()
    assert poll.target == "/x/?EIO=4&transport=polling&sid=S%26%23%2B%2F&token=a%20b"


@pytest.mark.rule("engineio-v4-client-batch")
def test_posts_carry_what_is_queued_one_at_a_time_and_no_longer_than_allowed() -> None:
    client = polling()
    for text in ("1" * 9, "2" * 8, "3" * 30, "4"):
        client.send(Message(text))
    bodies = []
    for _ in range(3):
        (exchange,) = client.exchanges()
        assert client.exchanges() == []
        bodies.append(exchange.body)
        assert client.receive_response(exchange, OK, b"ok") == []
    assert bodies == [b"4" + b"1" * 9 + b"\x1e4" + b"2" * 8, b"4" + b"3" * 30, b"44"]
    assert client.exchanges() == []


def test_the_answer_to_a_ping_is_posted() -> None:
    client = polling()
    assert client.deadline == 145.0
    assert client.receive_response(POLL, OK, b"2") == []
    assert client.exchanges() == [POLL, post(b"3")]
    client.tick(110.0)
    assert client.deadline == 155.0
    (failed,) = client.tick(155.0)
    assert reason_of(failed) == "ping timeout"
    assert client.closing is Closing.NOW


@pytest.mark.rule("engineio-v4-client-crowded")
def test_a_server_that_asks_on_and_takes_no_answers_is_not_polled() -> None:
    client = opened(upgrade=False, limits=Limits(unpolled=5))
    asked = b"\x1e".join([b"2"] * 4)
    assert client.exchanges() == [POLL]
    client.receive_response(POLL, OK, asked)
    first = post(b"\x1e".join([b"3"] * 4))
    assert client.exchanges() == [POLL, first]
    client.receive_response(POLL, OK, asked)
    assert client.exchanges() == [POLL]
    client.receive_response(POLL, OK, asked)
    assert client.exchanges() == []
    client.receive_response(first, OK, b"ok")
    (second,) = client.exchanges()
    assert second == post(b"\x1e".join([b"3"] * 8))
    assert client.exchanges() == [POLL]


@pytest.mark.rule("engineio-v4-client-status")
@pytest.mark.parametrize("which", ["poll", "post"])
def test_an_answer_other_than_200_ends_the_session(which: str) -> None:
    client = polling()
    client.send(Message("x"))
    (exchange,) = client.exchanges()
    chosen = POLL if which == "poll" else exchange
    body = b'{"code":1,"message":"Session ID unknown"}'
    (failed,) = client.receive_response(chosen, Response(400, Headers()), body)
    assert isinstance(failed, Failed)
    assert failed.rule == "engineio-v4-client-status"
    assert "Session ID unknown" in failed.message
    assert reason_of(failed) == "transport error"
    assert client.exchanges() == client.data_to_send() == []
    assert client.receive_response(POLL, OK, b"4x") == []


@pytest.mark.rule("engineio-v4-client-broken")
def test_an_exchange_that_breaks_ends_the_session() -> None:
    client = polling()
    (failed,) = client.lost("poll", "reset")
    assert failed.rule == "engineio-v4-client-broken"
    assert client.lost("poll") == []


@pytest.mark.parametrize("body", [b"", b"abc", b"\xff", b"4x"])
def test_a_first_answer_that_is_wrong_ends_the_session(body: bytes) -> None:
    client = EngineIOClient()
    (first,) = client.exchanges()
    (failed,) = client.receive_response(first, OK, body)
    assert isinstance(failed, Failed)
    assert client.closing is Closing.NOW


def test_a_session_may_begin_on_a_websocket() -> None:
    client = EngineIOClient(transports=("websocket",))
    assert [e.target for e in client.exchanges()] == ["/socket.io/?EIO=4&transport=websocket"]
    assert client.keeps_websocket
    client.websocket_opened()
    (event,) = client.receive_packet(OPEN.decode())
    assert isinstance(event, Opened)
    client.send(Message("a\x1eb"))
    client.send(Message(b"\x01"))
    assert client.data_to_send() == ["4a\x1eb", b"\x01"]
    assert client.receive_packet("4x") == [Message("x")]
    assert client.exchanges() == []
    client.send(Closed(0, "bye"))
    assert client.closing is Closing.OPEN
    assert client.data_to_send() == []
    assert client.closing is Closing.NOW


@pytest.mark.parametrize("reason", ["transport close", "reset"])
def test_a_websocket_that_goes_ends_the_session(reason: str) -> None:
    client = EngineIOClient(transports=("websocket",))
    client.exchanges()
    client.websocket_opened()
    client.receive_packet(OPEN.decode())
    (event,) = client.lost("websocket", reason)
    assert isinstance(event, Closed if reason == "transport close" else Failed)
    assert client.lost("websocket") == []


@pytest.mark.rule("engineio-v4-upgrade-client")
def test_the_upgrade_waits_for_the_running_requests_and_holds_packets_back() -> None:
    client = opened()
    client.exchanges()
    client.send(Message("by post"))
    (running,) = client.exchanges()
    client.websocket_opened()
    assert client.data_to_send() == ["2probe"]
    assert client.receive_packet("3probe") == []
    client.send(Message("held back"))
    assert client.exchanges() == client.data_to_send() == []
    assert client.receive_response(POLL, OK, b"4late\x1e6") == [Message("late")]
    assert client.exchanges() == client.data_to_send() == []
    assert client.receive_response(running, OK, b"ok") == []
    assert client.exchanges() == []
    assert client.data_to_send() == ["5", "4held back"]
    assert client.transport == "websocket"
    assert client.receive_packet("4x") == [Message("x")]
    assert client.deadline == 145.0


@pytest.mark.rule("engineio-v4-upgrade-client")
@pytest.mark.parametrize("how", ["junk", "lost", "time"])
def test_a_probe_that_fails_leaves_the_session_polling(how: str) -> None:
    client = opened()
    client.exchanges()
    client.websocket_opened()
    client.tick(100.0)
    assert client.keeps_websocket
    assert client.deadline == 110.0
    if how == "junk":
        assert client.receive_packet("4x") == []
    elif how == "lost":
        assert client.lost("websocket") == []
    else:
        assert client.tick(110.0) == []
    assert not client.keeps_websocket
    assert client.data_to_send() == []
    assert client.receive_response(POLL, OK, b"4x") == [Message("x")]
    assert client.exchanges() == [POLL]
    assert client.transport == "polling"


@pytest.mark.parametrize("when", ["before the 101", "probing", "probed"])
def test_an_upgrade_that_is_given_up_holds_nothing_back_and_its_late_answer_is_no_mistake(
    when: str,
) -> None:
    client = opened()
    client.exchanges()
    if when != "before the 101":
        client.websocket_opened()
        assert client.data_to_send() == ["2probe"]
    if when == "probed":
        assert client.receive_packet("3probe") == []
    client.send(Message("last"))
    client.stay()
    if when == "before the 101":
        client.websocket_opened()
    assert client.receive_packet("3probe") == []
    assert (client.keeps_websocket, client.data_to_send()) == (False, [])
    (post,) = client.exchanges()
    assert (post.kind, post.body) == ("post", b"4last")
    assert (client.state, client.transport) == (SessionState.OPEN, "polling")


def test_a_websocket_that_cannot_be_opened_leaves_the_session_polling() -> None:
    client = opened()
    client.exchanges()
    assert client.lost("websocket", "refused") == []
    assert client.state is SessionState.OPEN


def test_no_upgrade_is_tried_where_it_is_not_offered_or_not_wanted() -> None:
    assert opened(upgrade=False).exchanges() == [POLL]
    assert opened(transports=("polling",)).exchanges() == [POLL]


@pytest.mark.rule("engineio-v4-close-packet")
def test_closing_posts_1_behind_the_queue() -> None:
    client = polling()
    client.send(Message("last"))
    client.send(Closed(0, "bye"))
    assert client.closing is Closing.OPEN
    (exchange,) = client.exchanges()
    assert exchange.body == b"4last\x1e1"
    assert client.closing is Closing.OPEN
    client.receive_response(POLL, OK, b"6")
    client.receive_response(exchange, OK, b"ok")
    assert client.closing is Closing.NOW
    assert client.exchanges() == []
    with pytest.raises(LocalProtocolError):
        client.send(Message("x"))


def test_closing_before_the_session_exists_needs_no_words() -> None:
    for transports in (("polling",), ("websocket",)):
        client = EngineIOClient(transports=transports)
        client.exchanges()
        client.send(Closed(0, "bye"))
        assert client.closing is Closing.NOW


def test_text_with_the_separator_cannot_be_sent_by_polling() -> None:
    client = polling()
    with pytest.raises(LocalProtocolError):
        client.send(Message("a\x1eb"))
    assert client.exchanges() == []


def test_a_payload_of_the_server_has_its_limit_too() -> None:
    client = opened(upgrade=False, limits=Limits(unpolled=10))
    client.exchanges()
    (failed,) = client.receive_response(POLL, OK, b"4\x1e" * 11)
    assert failed.rule == "engineio-v4-payload-count"


class Ready:
    payload = "4x\x1ebAQ=="

    def packets(self) -> tuple[str | bytes, ...]:
        return ("4x", b"\x01")


@pytest.mark.rule("engineio-v4-prepared-equal")
def test_a_prepared_packet_is_posted_or_handed_to_the_websocket() -> None:
    client = polling()
    client.send_prepared(Ready())
    assert client.exchanges() == [post(b"4x\x1ebAQ==")]
    client = EngineIOClient(transports=("websocket",))
    client.websocket_opened()
    client.receive_packet(OPEN.decode())
    ready = Ready()
    client.send_prepared(ready)
    assert client.data_to_send() == [ready]


class Joined:
    """Our client and our server, joined without sockets: links are made as exchanges need them."""

    def __init__(self, **options: Any) -> None:
        self.bench = Bench(EngineOptions(**options))
        self.client = EngineIOClient()
        self.links: dict[str, tuple[Exchange, RecordingLink]] = {}
        self.received: list[Any] = []

    def turn(self) -> None:
        client, bench = self.client, self.bench
        for exchange in client.exchanges():
            _, _, query = exchange.target.partition("?")
            headers = {"Upgrade": "websocket"} if exchange.kind == "websocket" else {}
            body = exchange.body if exchange.kind == "post" else None
            link = bench.request(query, exchange.method, body=body, headers=headers)
            self.links[exchange.kind] = exchange, link
            if exchange.kind == "websocket":
                client.websocket_opened()
        for kind in ("poll", "post"):
            exchange, link = self.links.get(kind, (None, None))
            if link is not None and exchange is not None and link.responses:
                del self.links[kind]
                response, body = link.responses[0]
                self.received += client.receive_response(exchange, response, body)
        if "websocket" in self.links:
            link = self.links["websocket"][1]
            for packet in client.data_to_send():
                bench.packet(link, packet)
            for packet in link.drain():
                self.received += client.receive_packet(packet)

    def run(self, seconds: float = 1.0) -> None:
        for _ in range(int(seconds * 20)):
            for _ in range(4):
                self.turn()
            self.bench.pass_time(0.05)
            self.received += self.client.tick(self.bench.now)


def test_our_client_and_our_server_upgrade_and_understand_each_other() -> None:
    joined = Joined(ping_interval=0.3, ping_timeout=0.2)
    joined.turn()
    session = joined.bench.events[0][0]
    sent: list[Any] = []
    for number in range(40):
        for side in (joined.client, session):
            side.send(Message(f"{number}"))
            side.send(Message(bytes([number])))
        sent += [Message(f"{number}"), Message(bytes([number]))]
        joined.run(0.05)
    joined.run()
    assert [e for e in joined.received if isinstance(e, Message)] == sent
    assert [e for e in joined.bench.taken() if isinstance(e, Message)] == sent
    assert joined.client.transport == session.transport.name == "websocket"
    joined.client.send(Closed(0, "bye"))
    joined.turn()
    assert joined.client.closing is Closing.NOW
    joined.bench.lose(joined.links["websocket"][1])
    assert joined.bench.taken() == [Closed(0, "transport close")]


def test_an_exchange_is_a_request_for_the_driver_to_complete() -> None:
    (first,) = EngineIOClient().exchanges()
    request = Request(first.method, first.target, Headers([("Host", "a")]))
    assert (request.path, request.query_string) == ("/socket.io/", "EIO=4&transport=polling")
    assert Upgraded() == Upgraded()


@pytest.mark.parametrize(
    ("response", "body", "part"),
    [
        (
            Response(302, Headers([("Location", "https://b/")])),
            b"",
            "302, which redirects to 'https://b/'",
        ),
        (Response(404, Headers([("Content-Type", "text/html")])), b"<p>", "404 and an HTML page"),
        (Response(502, Headers()), b"<html>", "502 and an HTML page"),
        (Response(404, Headers()), b"", "404: is a Socket.IO server there"),
        (Response(403, Headers()), b'{"code":4,"message":"not \x1b"}', "403: '{"),
        (Response(403, Headers()), b'{"code":4,"message":"not you"}', "403: 'not you'"),
        (Response(400, Headers()), b"[" * 100_000, "400: '[["),
        (Response(503, Headers()), b"", "503, without a word"),
    ],
)
def test_an_answer_that_is_no_success_is_told_in_words(
    response: Response, body: bytes, part: str
) -> None:
    client = EngineIOClient()
    (first,) = client.exchanges()
    (failed,) = client.receive_response(first, response, body)
    assert isinstance(failed, Failed)
    assert f"a poll was answered by {part}" in failed.message
    assert len(failed.message) < 500


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"<!doctype html><p>Welcome", "the answer is an HTML page: is a Socket.IO server there"),
        (b'96:0{"sid":"S","upgrades":[]}2:40', "Socket.IO v2 (Engine.IO 3), which this client"),
    ],
)
def test_another_server_s_success_is_told_in_words(body: bytes, part: str) -> None:
    client = EngineIOClient()
    (first,) = client.exchanges()
    (failed,) = client.receive_response(first, OK, body)
    assert isinstance(failed, Failed)
    assert part in failed.message
