"""A connection in both roles: exchanges, what it does by itself, time, the end."""

from __future__ import annotations

import itertools

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response, answer, refusal
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits
from tests.laws import snapshot

from .feeding import client_that_asked, outcome, run

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NONE = ("Content-Length", "0")
CHUNKED = ("Transfer-Encoding", "chunked")
CLOSE = ("Connection", "close")
UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket")]


def served(wire: bytes = GET, limits: Limits = DEFAULT) -> HTTPConnection:
    """Return a server that has received a request."""
    server = HTTPConnection(Role.SERVER, limits)
    assert server.deadline == 0.0
    server.tick(0.0)
    server.receive(wire)
    return server


def wire_of(layer: HTTPConnection) -> bytes:
    return b"".join(layer.data_to_send())


def refuses(layer: HTTPConnection, event: object) -> None:
    before = snapshot(layer)
    with pytest.raises(LocalProtocolError):
        layer.send(event)
    assert snapshot(layer) == before


def respond(layer: HTTPConnection, response: Response, body: bytes = b"") -> None:
    layer.send(response)
    layer.send(Body(body))
    layer.send(EndOfMessage())


class TestExchanges:
    def test_a_connection_goes_on_until_somebody_says_otherwise(self) -> None:
        assert HTTPConnection(Role.SERVER).keep_alive
        assert HTTPConnection(Role.CLIENT).keep_alive

    def test_a_request_and_its_answer(self) -> None:
        server = served()
        respond(server, Response(200, Headers([("Content-Length", "2")]), "OK"), b"ok")
        assert wire_of(server) == OK
        assert server.keep_alive
        assert server.closing is Closing.OPEN

    @pytest.mark.rule("9112-9.3.2-order", "9112-9.3-persist")
    def test_pipelined_requests_come_one_by_one_behind_the_answers(self) -> None:
        server = HTTPConnection(Role.SERVER)
        server.tick(0.0)
        targets = [e.target for e in server.receive(GET + GET.replace(b"/ ", b"/2 ")[:-1])[:-1]]
        assert targets == ["/"]
        assert server.deadline is None
        respond(server, answer(204))
        assert server.deadline == 0.0
        assert server.tick(1.0) == []
        assert [type(e) for e in server.receive(b"\n")] == [Request, EndOfMessage]

    @pytest.mark.rule("9112-9.3.2-pipeline", "9112-9.5-sustain")
    def test_bytes_behind_a_request_in_work_are_bounded(self) -> None:
        server = served(limits=Limits(pipeline=10, read_ahead=500))
        assert server.reading
        assert server.receive(b"x" * 100) == []
        assert not server.reading
        # Who had read them before is not refused: TLS may give a read in many pieces.
        assert server.receive(b"x" * 410) == []
        failed = server.receive(b"x")
        assert [(e.rule, e.code) for e in failed] == [("9112-9.3.2-pipeline", 400)]
        assert wire_of(server) == refusal(400)
        assert server.buffered == 0

    @pytest.mark.rule("9112-9.6-close", "9112-9.3-persist")
    @pytest.mark.parametrize(
        ("wire", "fields", "persists"),
        [
            (GET, [], True),
            (GET, [CLOSE], False),
            (GET, [("Connection", "x, CLOSE")], False),
            (GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), [], False),
            (GET.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive, close\r\n\r\n"), [], False),
            (b"GET / HTTP/1.0\r\n\r\n", [], False),
            (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", [], False),
            (
                b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                [("Connection", "keep-alive")],
                True,
            ),
        ],
    )
    @pytest.mark.rule("9112-9.6-linger", "9112-9.3-support")
    def test_a_connection_persists_if_both_sides_want_it(
        self, wire: bytes, fields: list[tuple[str, str]], *, persists: bool
    ) -> None:
        server = served(wire)
        respond(server, answer(200, headers=fields))
        assert server.keep_alive is persists
        if persists:
            assert server.closing is Closing.OPEN
            assert [type(e) for e in server.receive(GET)] == [Request, EndOfMessage]
        else:
            assert server.closing is Closing.HALF
            assert server.receive(GET) == []
            assert server.tick(0.0) == [Closed(0, "the last response is complete")]
            assert server.tick(9e9) == []
            refuses(server, answer(200))

    @pytest.mark.rule("9112-9.6-early-response")
    @pytest.mark.rule("9112-6-read-body", "9112-9.3-read-all", "9110-7.5-continue")
    def test_a_final_response_may_come_before_the_request_is_complete(self) -> None:
        server = served(POST + b"Content-Length: 4\r\n\r\nab")
        respond(server, answer(403))
        events = server.receive(b"cd" + GET)
        assert [type(e) for e in events] == [Body, EndOfMessage, Request, EndOfMessage]
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("POST", "/", Headers([("Host", "a"), CHUNKED])))
        client.receive(wire_of(served()) + b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        client.send(Body(b"more"))
        client.send(EndOfMessage())
        client.send(Request("GET", "/", Headers([("Host", "a")])))

    @pytest.mark.rule("9112-9.6-early-response", "9112-9.5-cease")
    def test_a_final_response_that_closes_ends_an_unfinished_request(self) -> None:
        server = served(POST + b"Content-Length: 4\r\n\r\nab")
        respond(server, answer(413, headers=[CLOSE]))
        assert server.tick(0.0)[0] == Closed(0, "the last response is complete")
        assert (server.closing, server.receive(b"cd")) == (Closing.HALF, [])
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("POST", "/", Headers([("Host", "a"), CHUNKED])))
        client.send(Body(b"ab"))
        _, *rest = client.receive(refusal(413))
        assert rest == [EndOfMessage(), Closed(0, "the last response is complete")]
        assert client.closing is Closing.NOW
        refuses(client, Body(b"cd"))

    @pytest.mark.rule("9112-9.6-close", "9112-9.3-persist")
    @pytest.mark.parametrize(
        ("asked_for", "response", "persists"),
        [
            ([], b"HTTP/1.1 204 x\r\n\r\n", True),
            ([CLOSE], b"HTTP/1.1 204 x\r\n\r\n", False),
            ([], b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n", False),
            ([], b"HTTP/1.0 204 x\r\n\r\n", False),
            ([], b"HTTP/1.0 204 x\r\nConnection: keep-alive\r\n\r\n", True),
        ],
    )
    def test_a_client_sends_nothing_more_where_one_side_closes(
        self, asked_for: list[tuple[str, str]], response: bytes, *, persists: bool
    ) -> None:
        client = client_that_asked(DEFAULT, "GET", *asked_for)
        events = client.receive(response)
        assert [type(e) for e in events[2:]] == ([] if persists else [Closed])
        assert client.closing is (Closing.OPEN if persists else Closing.NOW)
        again = Request("GET", "/", Headers([("Host", "a")]))
        if persists:
            client.send(again)
        else:
            refuses(client, again)

    @pytest.mark.rule("9110-3.3-stateless")
    def test_nothing_of_a_request_counts_for_the_next(self) -> None:
        fields = b"Connection: upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n"
        server = served(POST + fields + b"Content-Length: 2\r\n\r\nhi")
        respond(server, answer(204))
        server.receive(POST + b"Content-Length: 2\r\n\r\n")
        assert CONTINUE not in wire_of(server)
        server.receive(b"hi")
        refuses(server, Response(101, Headers(UPGRADE)))
        respond(server, answer(204))
        assert server.keep_alive


class TestWhatALayerDoesByItself:
    EXPECT = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"

    @pytest.mark.rule("9110-10.1.1-continue", "9110-10.1.1-no-wait")
    def test_100_is_sent_when_nobody_answered_and_no_body_came(self) -> None:
        server = served(self.EXPECT)
        assert wire_of(server) == CONTINUE
        assert wire_of(server) == b""
        assert server.receive(b"hi") == [Body(b"hi"), EndOfMessage()]

    @pytest.mark.rule("9110-10.1.1-continue", "9110-10.1.1-old")
    def test_100_is_not_sent_where_it_would_be_in_vain(self) -> None:
        assert wire_of(served(self.EXPECT + b"h")) == b""
        assert wire_of(served(self.EXPECT.replace(b"1.1\r", b"1.0\r"))) == b""
        assert wire_of(served(self.EXPECT.replace(b": 2", b": 0"))) == b""
        server = served(self.EXPECT)
        server.send(Response(100, Headers()))
        assert wire_of(server).count(b" 100 ") == 1
        server = served(self.EXPECT)
        server.send(answer(417))
        assert b" 100 " not in wire_of(server)

    @pytest.mark.rule("9110-7.8-continue")
    def test_100_comes_before_101(self) -> None:
        fields = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        server = served(self.EXPECT[:-2] + fields)
        refuses(server, Response(101, Headers(UPGRADE)))
        assert wire_of(server) == CONTINUE
        server.receive(b"hi")
        server.send(Response(101, Headers(UPGRADE)))
        assert wire_of(server).startswith(b"HTTP/1.1 101 ")

    @pytest.mark.rule("9112-2.2-answer-once")
    def test_a_mistake_in_a_body_is_answered_only_if_no_answer_has_begun(self) -> None:
        bad = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        server = served(bad)
        assert [e.code for e in server.receive(b"x\r\n")] == [400]
        assert wire_of(server) == refusal(400)
        server = served(bad)
        server.send(answer(200, b"ok"))
        wire_of(server)
        assert [e.code for e in server.receive(b"x\r\n")] == [400]
        assert wire_of(server) == b""
        assert server.closing is Closing.HALF

    @pytest.mark.rule("9110-6.6.1-date")
    def test_the_answer_to_a_mistake_is_dated_if_there_is_a_clock(self) -> None:
        server = HTTPConnection(Role.SERVER, date=lambda: "today")
        server.receive(b"\n")
        assert wire_of(server) == (
            b"HTTP/1.1 400 Bad Request\r\nDate: today\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n"
        )
        server = HTTPConnection(Role.SERVER, date=lambda: "today")
        server.tick(0.0)
        server.receive(b"G")
        server.tick(99.0)
        assert b" 408 Request Timeout\r\nDate: today\r\n" in wire_of(server)

    def test_nothing_is_received_or_sent_after_a_failure(self) -> None:
        server = served(b"\n")
        wire_of(server)
        assert server.receive(GET) == server.receive_eof() == server.tick(1e9) == []
        refuses(server, answer(200))
        assert (server.deadline, server.keep_alive, server.data_to_send()) == (None, False, [])


class TestOtherProtocols:
    ASK = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

    @pytest.mark.rule("9110-7.8-switch", "9110-7.8-rest")
    def test_what_follows_a_101_belongs_to_the_other_protocol(self) -> None:
        server = served(self.ASK + b"\x81\x85")
        with pytest.raises(LocalProtocolError):
            server.take_rest()
        server.send(Response(101, Headers(UPGRADE)))
        server.receive(b"abcd")
        assert (server.take_rest(), server.take_rest()) == (b"\x81\x85abcd", b"")
        assert server.deadline is None
        refuses(server, Body(b"x"))
        client = client_that_asked(DEFAULT, "GET", *UPGRADE)
        got = outcome(wire_of(server) + b"\x81\x00", make=lambda: asked(*UPGRADE))
        assert [e.status for e in got.events] == [101]
        assert got.rest == b"\x81\x00"
        assert client.keep_alive

    @pytest.mark.rule("9110-7.8-switch")
    def test_a_client_takes_no_101_that_does_not_say_what_it_offered(self) -> None:
        for fields in (b"", b"Upgrade: \r\n", b"Upgrade: x\r\n", b"Upgrade: websocket, x\r\n"):
            wire = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\n" + fields + b"\r\n"
            got = outcome(wire, make=lambda: asked(*UPGRADE))
            assert got.failed == ("9110-7.8-switch", 0)

    @pytest.mark.rule("9110-7.8-switch", "9110-7.8-old", "9110-7.8-connection")
    def test_a_server_switches_only_to_what_was_offered_and_when_all_was_read(self) -> None:
        refuses(served(GET), Response(101, Headers(UPGRADE)))
        refuses(served(self.ASK.replace(b"1.1\r", b"1.0\r")), Response(101, Headers(UPGRADE)))
        refuses(served(self.ASK), Response(101, Headers()))
        refuses(served(self.ASK), Response(101, Headers(UPGRADE[1:])))
        other = Headers([UPGRADE[0], ("Upgrade", "h2c")])
        refuses(served(self.ASK), Response(101, other))
        body = self.ASK[:-2] + b"Content-Length: 2\r\n\r\nh"
        refuses(served(body), Response(101, Headers(UPGRADE)))

    @pytest.mark.rule("9110-7.8-case")
    def test_names_of_protocols_are_compared_without_case(self) -> None:
        server = served(self.ASK.replace(b"websocket", b"WebSocket"))
        server.send(Response(101, Headers([UPGRADE[0], ("Upgrade", "WEBSOCKET")])))
        client = asked(*UPGRADE)
        (response,) = client.receive(wire_of(server))
        assert response.status == 101

    @pytest.mark.rule("9110-9.3.6-accepted", "9110-9.3.6-refused", "9112-6.3-connect")
    def test_connect_switches_when_accepted_and_closes_when_refused(self) -> None:
        ask = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\nhello"
        server = served(ask)
        assert not server.keep_alive
        server.send(Response(200, Headers()))
        assert server.take_rest() == b"hello"
        server = served(ask)
        respond(server, answer(405))
        assert server.closing is Closing.HALF
        got = outcome(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            make=lambda: client_that_asked(DEFAULT, "CONNECT"),
        )
        assert ([e.status for e in got.events], got.rest) == ([200], b"hello")


class TestTime:
    def test_a_server_asks_for_the_time_once(self) -> None:
        server = HTTPConnection(Role.SERVER)
        assert server.deadline == 0.0
        assert server.tick(1000.0) == []
        assert server.deadline == 1060.0
        assert HTTPConnection(Role.CLIENT).deadline is None

    @pytest.mark.rule("9112-9.5-idle")
    def test_nothing_received_is_no_sign_of_life(self) -> None:
        server = HTTPConnection(Role.SERVER)
        server.tick(0.0)
        server.tick(50.0)
        assert server.receive(b"") == []
        assert server.deadline == 60.0

    @pytest.mark.rule("9112-9.5-idle")
    def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        server = HTTPConnection(Role.SERVER)
        server.tick(5.0)
        assert server.tick(64.9) == []
        assert server.tick(65.0) == [Closed(0, "idle")]
        assert (server.data_to_send(), server.closing) == ([], Closing.HALF)

    def test_an_answer_restarts_the_idle_time_and_a_request_in_work_stops_it(self) -> None:
        server = served()
        assert server.deadline is None
        server.tick(1000.0)
        respond(server, answer(200))
        assert server.deadline == 1060.0

    @pytest.mark.rule("9112-9.5-idle")
    def test_idle_time_begins_when_a_late_answer_is_given(self) -> None:
        server = served()
        server.tick(1000.0)
        server.data_to_send()  # the turn is over, and nothing was answered
        respond(server, answer(200))
        assert server.deadline == 0.0
        assert server.tick(1100.0) == []
        assert server.deadline == 1160.0
        assert server.closing is Closing.OPEN

    @pytest.mark.rule("9110-15.5.9-head-time")
    def test_a_slow_head_is_408(self) -> None:
        server = HTTPConnection(Role.SERVER)
        server.tick(0.0)
        server.tick(20.0)
        server.receive(b"\r\n")
        assert server.deadline == 80.0
        server.receive(b"G")
        assert server.deadline == 30.0
        server.tick(29.0)
        server.receive(b"ET")
        assert [(e.rule, e.code) for e in server.tick(30.0)] == [("9110-15.5.9-head-time", 408)]
        assert wire_of(server) == refusal(408)

    @pytest.mark.rule("9110-15.5.9-body-rate")
    def test_a_slow_body_is_408(self) -> None:
        server = served(POST + b"Content-Length: 9999\r\n\r\n")
        assert server.deadline == 10.0
        server.receive(b"x" * 1000)
        assert server.deadline == 12.0
        assert server.tick(11.9) == []
        assert [(e.rule, e.code) for e in server.tick(12.0)] == [("9110-15.5.9-body-rate", 408)]

    def test_each_body_has_a_rate_of_its_own(self) -> None:
        server = served(POST + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000)
        respond(server, answer(204))
        server.receive(POST + b"Content-Length: 2\r\n\r\n")
        assert server.deadline == 10.0

    @pytest.mark.rule("9110-15.5.9-body-rate")
    def test_the_time_of_a_body_begins_with_the_end_of_its_head(self) -> None:
        server = served(POST)
        server.tick(8.0)
        server.receive(b"Content-Length: 2\r\n\r\n")
        assert server.deadline == 18.0
        server.tick(17.0)
        server.receive(b"h")
        assert server.tick(17.9) == []
        assert [e.code for e in server.tick(18.1)] == [408]

    def test_a_head_before_the_first_tick_is_timed_from_that_tick(self) -> None:
        server = HTTPConnection(Role.SERVER)
        server.receive(b"G")
        assert server.deadline == 0.0
        assert server.tick(500.0) == []
        assert server.deadline == 510.0

    def test_a_client_limits_the_time_of_a_head_that_has_begun(self) -> None:
        client = client_that_asked()
        assert client.deadline is None
        client.receive(b"H")
        assert client.deadline == 10.0
        failed = client.tick(10.0)
        assert failed == [Failed("http", "9110-15.5.9-head-time", 0, failed[0].message)]


class TestTheEnd:
    def test_end_of_input_between_requests_closes(self) -> None:
        server = served()
        respond(server, answer(204))
        assert server.receive_eof() == [Closed(0, "the peer closed the connection")]
        assert (server.closing, server.receive_eof()) == (Closing.NOW, [])

    @pytest.mark.rule("9112-9.5-monitor")
    def test_the_end_behind_an_early_response_closes_a_client_that_still_sends(self) -> None:
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("POST", "/", Headers([("Host", "a"), CHUNKED])))
        assert [type(e) for e in client.receive(OK)] == [Response, Body, EndOfMessage]
        assert client.receive_eof() == [Closed(0, "the peer closed the connection")]
        refuses(client, Body(b"x"))

    @pytest.mark.rule("9112-9.6-half-closed")
    @pytest.mark.rule("9112-9.5-monitor")
    def test_a_half_closed_client_gets_its_answers(self) -> None:
        server = served(GET + GET)
        assert server.receive_eof() == []
        assert not server.keep_alive
        respond(server, answer(204))
        assert [type(e) for e in server.tick(0.0)] == [Request, EndOfMessage]
        respond(server, answer(204))
        assert server.tick(0.0) == [Closed(0, "the peer closed the connection")]
        assert server.closing is Closing.NOW

    def test_closed_may_be_sent_and_ends_everything(self) -> None:
        for layer, closing in (
            (HTTPConnection(Role.SERVER), Closing.HALF),
            (served(), Closing.NOW),
            (client_that_asked(), Closing.NOW),
            (HTTPConnection(Role.CLIENT), Closing.NOW),
        ):
            layer.send(Closed(0, "enough"))
            assert (layer.closing, layer.deadline, layer.receive(GET)) == (closing, None, [])
            refuses(layer, Closed(0, "enough"))


def asked(*fields: tuple[str, str], method: str = "GET") -> HTTPConnection:
    return client_that_asked(DEFAULT, method, *fields)


class TestClient:
    def test_a_response_in_each_framing(self) -> None:
        for head, body in (
            (b"Content-Length: 5\r\n", b"hello"),
            (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ):
            got = outcome(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + body, make=asked)
            assert (got.bodies, got.complete, got.closing) == ([b"hello"], 1, Closing.OPEN)

    @pytest.mark.rule("9112-6.3-until-close", "9112-8-incomplete")
    def test_a_response_without_length_ends_with_the_connection(self) -> None:
        wire = b"HTTP/1.1 200 OK\r\n\r\nhello"
        got = outcome(wire, make=asked, eof=True)
        assert (got.bodies, got.complete) == ([b"hello"], 1)
        assert got.events[-1] == Closed(0, "the last response is complete")
        assert outcome(wire, make=asked).complete == 0

    @pytest.mark.rule("9112-9.7-tls", "9112-6.3-until-close")
    def test_a_client_knows_that_only_the_end_will_complete_a_response(self) -> None:
        client = asked()
        assert not client.until_close
        client.receive(b"HTTP/1.1 200 OK\r\n\r\nhel")
        assert client.until_close
        client.receive_eof()
        assert not client.until_close
        for head in (b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
            client = asked()
            client.receive(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
            assert not client.until_close

    @pytest.mark.rule("9112-6.3-no-body", "9110-15.2-interim")
    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", b"200"), ("GET", b"204"), ("GET", b"304")]
    )
    @pytest.mark.rule("9110-6.4.1-no-content", "9110-6-remember")
    def test_some_responses_have_no_body_whatever_they_say(
        self, method: str, status: bytes
    ) -> None:
        head = b"HTTP/1.1 100 x\r\nContent-Length: 3\r\n\r\nHTTP/1.1 103 x\r\n\r\n"
        wire = head + b"HTTP/1.1 %b x\r\nContent-Length: 5\r\n\r\n" % status
        got = outcome(wire, make=lambda: asked(method=method))
        assert [type(e) for e in got.events] == [Response, Response, Response, EndOfMessage]

    @pytest.mark.rule("9112-9.2-unsolicited", "9112-9.5-408")
    @pytest.mark.rule("9112-6.3-extra", "9112-9.2-close")
    def test_a_response_that_nobody_asked_for_is_refused_unless_it_is_408(self) -> None:
        got = outcome(OK, make=lambda: HTTPConnection(Role.CLIENT))
        assert (got.failed, got.closing) == (("9112-9.2-unsolicited", 0), Closing.NOW)
        got = outcome(OK + OK, make=asked)
        assert (got.failed, got.complete) == (("9112-9.2-unsolicited", 0), 1)
        for late in (refusal(408), b"HTTP/1.1 408 x\r\nContent-Length: 0\r\n\r\n"):
            got = outcome(late, make=lambda: HTTPConnection(Role.CLIENT))
            assert [type(e) for e in got.events] == [Response, EndOfMessage, Closed]
        client = client_that_asked(DEFAULT, "HEAD")
        client.receive(OK[:-2])
        assert client.keep_alive
        events = client.receive(OK.replace(b"200", b"408"))
        assert [type(e) for e in events] == [Response, Body, EndOfMessage, Closed]

    BAD = (
        (b"HTTP/1.1 200 OK\nX: a\r\n\r\n", "9112-2.2-bare-lf"),
        (b"HTTP/1.1  200 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/1.1 \xb200 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "9110-15-status"),
        (b"http/1.1 200 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "9110-2.5-version"),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", "9112-4-status-line"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "9112-6.3-one-length",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "9110-8.6-length"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "9112-6.1-length-and-coding",
        ),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "9112-6.1-coding-in-old"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n", "9110-15.5.14-body"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_001, "9110-15.5.14-body"),
        (b"HTTP/1.1 200 " + b"x" * 9000, "9112-3-start-line"),
        (b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "9112-5.1-space-before-colon"),
        (b"HTTP/1.1 200 OK\r\n X: a\r\n\r\n", "9112-2.2-space-before-field"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "9112-4-status-line"),
        (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "9110-7.8-switch"),
    )

    @pytest.mark.rule("9112-4-status-line", "9110-15-status", "9110-2.5-version")
    @pytest.mark.rule("9112-6.3-one-length", "9112-6.1-length-and-coding", "9110-7.8-switch")
    @pytest.mark.parametrize(("wire", "rule"), BAD, ids=lambda v: repr(v)[:40])
    def test_a_response_with_a_mistake_is_refused(self, wire: bytes, rule: str) -> None:
        if len(wire) > 100_000:
            layer = asked()
            got = run(layer, [wire])
        else:
            got = outcome(wire, make=asked, splits=60)
        assert got.failed == (rule, 0)
        assert (got.output, got.closing) == (b"", Closing.NOW)

    @pytest.mark.rule("9112-5.2-fold", "9112-4-status-line", "9110-2.5-version")
    @pytest.mark.rule("9112-4-reason", "9110-6.2-later-minor")
    def test_folded_lines_and_lean_status_lines_are_read(self) -> None:
        wire = b"HTTP/1.1 404\r\nX: a \r\n\t b\r\n  c\r\nY:\r\n d\r\nContent-Length: 0\r\n\r\n"
        got = outcome(wire, make=asked)
        response = got.events[0]
        assert (response.status, response.reason) == (404, "")
        assert [" ".join(v.split(" ")) for v in response.headers.get_all("x")] == ["a  b c"]
        assert response.headers.get("y") == "d"
        later = outcome(b"HTTP/1.7 200 OK\r\nContent-Length: 0\r\n\r\n", make=asked).events[0]
        assert later.version == "1.1"

    @pytest.mark.rule("9112-5.2-fold")
    def test_folded_trailers_of_a_response_are_read(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        got = outcome(head + b"X-Sum: 1\r\n \t2\r\nY: 3\r\n\r\n", make=asked)
        assert list(got.events[1].trailers) == [("X-Sum", "1 2"), ("Y", "3")]
        got = outcome(head + b" X-Sum: 1\r\n\r\n", make=asked)
        assert got.failed == ("9112-2.2-space-before-field", 0)
        got = outcome(head + b"X: 1\r\n a\0\r\n\r\n", make=asked)
        assert got.failed == ("9112-5.2-fold", 0)

    @pytest.mark.rule("9112-8-incomplete")
    def test_the_end_before_a_response_is_an_error(self) -> None:
        for wire in (b"", OK[:9], OK[:-1], CONTINUE):
            got = outcome(wire, make=asked, eof=True)
            assert got.failed == ("9112-8-incomplete", 0)

    @pytest.mark.rule("9112-9.2-order", "9112-9.3-read-response")
    def test_a_second_request_waits_for_the_first_response(self) -> None:
        client = asked()
        request = Request("GET", "/", Headers([("Host", "a")]))
        refuses(client, request)
        client.receive(OK[:-1])
        refuses(client, request)
        client.receive(OK[-1:])
        client.send(request)
        client = HTTPConnection(Role.CLIENT)
        client.receive(b"H")
        refuses(client, request)


class TestWhatWeWriteIsChecked:
    BAD_REQUESTS = (
        Request("GE T", "/", Headers([("Host", "a")])),
        Request("", "/", Headers([("Host", "a")])),
        Request("GET", "/ ", Headers([("Host", "a")])),
        Request("GET", "/\r\nX: a", Headers([("Host", "a")])),
        Request("GET", "x", Headers([("Host", "a")])),
        Request("GET", "*", Headers([("Host", "a")])),
        Request("CONNECT", "/", Headers([("Host", "a")])),
        Request("CONNECT", "a:70000", Headers([("Host", "a")])),
        Request("GET", "/a#b", Headers([("Host", "a")])),
        Request("GET", "http://a/b#c", Headers([("Host", "a")])),
        Request("GET", "http://me:you@a/b", Headers([("Host", "a")])),
        Request("GET", "http://@a?b@c", Headers([("Host", "a")])),
        Request("GET", "/", Headers()),
        Request("GET", "http://a/", Headers()),
        Request("GET", "/", Headers([("Host", "a"), ("Host", "a")])),
        Request("GET", "/", Headers([("Host", "a b")])),
        Request("GET", "/", Headers([("Host", "a")]), "2.0"),
        Request("GET", "/", Headers([("Host", "a"), ("X", "a\nb")])),
        Request("GET", "/", Headers([("Host", "a"), ("X", " a")])),
        Request("GET", "/", Headers([("Host", "a"), ("X", "\u2028")])),
        Request("GET", "/", Headers([("Host", "a"), ("X:", "a")])),
        Request("GET", "/", Headers([("Host", "a"), ("Expect", "100-continue")])),
        Request("TRACE", "/", Headers([("Host", "a"), CHUNKED])),
        Request("GET", "/", Headers([("Host", "a"), ("Upgrade", "websocket")])),
        Request("GET", "/", Headers([("Host", "a"), CHUNKED, NONE])),
        Request("GET", "/", Headers([("Host", "a"), ("Transfer-Encoding", "gzip")])),
        Request("GET", "/", Headers([("Host", "a"), ("Transfer-Encoding", "gzip, chunked")])),
        Request("GET", "/", Headers([("Host", "a"), CHUNKED]), "1.0"),
    )

    @pytest.mark.rule("9110-5.5-value", "9110-5.1-name", "9110-9.3.8-trace", "9112-3.2-host")
    @pytest.mark.rule("9110-10.1.1-expect-content", "9110-7.8-connection")
    @pytest.mark.parametrize("request_", BAD_REQUESTS, ids=repr)
    @pytest.mark.rule("9110-7.2-host", "9110-9.3.6-target", "9112-3.2.1-origin-form")
    @pytest.mark.rule("9110-4.2.4-userinfo-sent", "9110-6.2-own-version", "9110-7.1-forms")
    @pytest.mark.rule("9112-3.2.2-host-sent", "9112-6.1-other-codings")
    def test_a_request_that_no_server_should_see_is_not_sent(self, request_: Request) -> None:
        refuses(HTTPConnection(Role.CLIENT), request_)

    @pytest.mark.rule("9112-3.2.1-origin-form", "9110-4.2.4-userinfo-sent")
    def test_a_target_may_hold_the_signs_of_a_user_where_none_is_meant(self) -> None:
        for target in ("/a@b:c", "/?a@b", "http://a/b@c", "http://a?b@c"):
            client = HTTPConnection(Role.CLIENT)
            client.send(Request("GET", target, Headers([("Host", "a")])))

    BAD_RESPONSES = (
        Response(200, Headers([NONE]), "O\r\nK"),
        Response(200, Headers([NONE]), " OK"),
        Response(200, Headers([NONE]), "\u20ac"),
        Response(200, Headers([NONE, ("X", "a\0")])),
        Response(200, Headers([NONE]), "", "1.2"),
        Response(200, Headers()),
        Response(200, Headers([NONE, CHUNKED])),
        Response(200, Headers([NONE, NONE])),
        Response(200, Headers([("Transfer-Encoding", "gzip"), CLOSE])),
        Response(200, Headers([("Content-Length", "-1")])),
        Response(204, Headers([NONE])),
        Response(204, Headers([CHUNKED])),
        Response(100, Headers([NONE])),
        Response(205, Headers([("Content-Length", "1")])),
        Response(99, Headers([NONE])),
        Response(600, Headers([NONE])),
        Response(200.0, Headers([NONE])),  # type: ignore[arg-type]
        Body(b"x"),
        EndOfMessage(),
    )

    @pytest.mark.rule("9110-8.6-no-length", "9112-6.1-no-coding", "9110-15.3.6-reset")
    @pytest.mark.rule("9112-6.3-settled", "9112-4-status-line", "9112-6.1-other-codings")
    @pytest.mark.parametrize("event", BAD_RESPONSES, ids=repr)
    @pytest.mark.rule("9110-9.3.7-options-length")
    def test_a_response_that_no_client_should_see_is_not_sent(self, event: object) -> None:
        refuses(served(), event)

    @pytest.mark.rule("9110-15.3.6-reset", "9110-9.3.8-trace", "9110-9.3.7-options-length")
    def test_what_has_no_content_is_sent_where_it_may_have_none(self) -> None:
        respond(served(), Response(205, Headers([NONE])))
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("TRACE", "/", Headers([("Host", "a")])))
        client.send(EndOfMessage())
        options = GET.replace(b"GET", b"OPTIONS")
        refuses(served(options), Response(200, Headers()))
        respond(served(options), Response(200, Headers([NONE])))

    @pytest.mark.rule("9110-8.6-no-length", "9112-6.1-no-coding")
    @pytest.mark.parametrize("field", [NONE, ("Content-Length", "5"), CHUNKED])
    def test_an_accepted_connect_and_interim_responses_have_no_length(
        self, field: tuple[str, str]
    ) -> None:
        connect = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"
        for status in (200, 299):
            refuses(served(connect), Response(status, Headers([field])))
        for status in (100, 199):
            refuses(served(), Response(status, Headers([field])))
            served().send(Response(status, Headers()))
            refuses(served(b"GET / HTTP/1.0\r\n\r\n"), Response(status, Headers()))
        served(connect).send(Response(300, Headers([field])))

    @pytest.mark.rule("9110-15-status")
    def test_the_first_and_the_last_status_are_sent(self) -> None:
        for status, fields in ((100, []), (199, []), (200, [NONE]), (599, [NONE])):
            served().send(Response(status, Headers(fields)))

    @pytest.mark.rule("9112-6.1-length-and-coding", "9112-6.3-one-length")
    @pytest.mark.parametrize(
        "fields", [[NONE, CHUNKED], [NONE, NONE], [("Content-Length", "x")], [CHUNKED, CHUNKED]]
    )
    def test_a_length_is_written_right_where_no_body_follows_too(
        self, fields: list[tuple[str, str]]
    ) -> None:
        refuses(served(GET.replace(b"GET", b"HEAD")), Response(200, Headers(fields)))
        refuses(served(), Response(304, Headers(fields)))
        for right in ([NONE], [CHUNKED], []):
            served(GET.replace(b"GET", b"HEAD")).send(Response(200, Headers(right)))
            served().send(Response(304, Headers(right)))

    @pytest.mark.rule("9112-6.1-coding-to-old", "9110-15.2-interim-old")
    def test_http_1_0_gets_nothing_that_it_does_not_know(self) -> None:
        old = b"GET / HTTP/1.0\r\n\r\n"
        refuses(served(old), Response(200, Headers([CHUNKED])))
        refuses(served(old), Response(100, Headers()))
        server = served(old)
        respond(server, Response(200, Headers()), b"until the end")
        assert wire_of(server) == b"HTTP/1.1 200 \r\n\r\nuntil the end"
        assert server.closing is Closing.HALF

    @pytest.mark.rule("9110-8.6-exact", "9110-9.3.2-head")
    def test_a_body_has_the_length_that_was_announced(self) -> None:
        server = served()
        server.send(Response(200, Headers([("Content-Length", "3")])))
        wire_of(server)
        refuses(server, Body(b"four"))
        refuses(server, EndOfMessage())
        server.send(Body(bytearray(b"thr")))  # type: ignore[arg-type]
        server.send(EndOfMessage())
        assert wire_of(server) == b"thr"
        server = served(GET.replace(b"GET", b"HEAD"))
        server.send(answer(200, b"hello"))
        wire_of(server)
        refuses(server, Body(b"hello"))
        server.send(EndOfMessage())

    @pytest.mark.rule("9112-6.3-request-settled")
    def test_a_request_without_framing_fields_has_no_content(self) -> None:
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("POST", "/", Headers([("Host", "a")])))
        refuses(client, Body(b"x"))
        client.send(EndOfMessage())

    @pytest.mark.rule("9112-2.2-counted-crlf")
    def test_a_line_ending_behind_a_body_is_part_of_it_or_is_not_sent(self) -> None:
        client = HTTPConnection(Role.CLIENT)
        client.send(Request("POST", "/", Headers([("Host", "a"), ("Content-Length", "2")])))
        refuses(client, Body(b"hi\r\n"))
        client.send(Body(b"hi"))
        refuses(client, Body(b"\r\n"))

    @pytest.mark.rule("9110-6.5.1-trailers", "9110-6.5.1-chunked", "9112-7.1-encode")
    @pytest.mark.rule("9110-5.6.3-no-bws")
    def test_trailers_follow_a_chunked_body_only(self) -> None:
        server = served()
        server.send(Response(200, Headers([CHUNKED])))
        server.send(Body(b""))
        server.send(Body(b"hi"))
        refuses_after = wire_of(server)
        assert refuses_after.endswith(b"\r\n\r\n2\r\nhi\r\n")
        for name in ("Content-Length", "transfer-encoding", "Set-Cookie", "a b"):
            refuses(server, EndOfMessage(Headers([(name, "1")])))
        server.send(EndOfMessage(Headers([("X-Sum", "1")])))
        assert wire_of(server) == b"0\r\nX-Sum: 1\r\n\r\n"
        server = served()
        server.send(answer(200))
        wire_of(server)
        refuses(server, EndOfMessage(Headers([("X-Sum", "1")])))


def test_every_status_of_an_error_answer_is_the_same_small_message() -> None:
    for status, version in itertools.product((400, 413, 505), (b"1.1",)):
        assert refusal(status).startswith(b"HTTP/%b %d " % (version, status))
        assert refusal(status).endswith(b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_a_body_may_be_changed_once_it_was_sent() -> None:
    server = HTTPConnection(Role.SERVER)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server.send(answer(200, b"abcd"))
    data = bytearray(b"ab")
    server.send(Body(data))  # type: ignore[arg-type]
    server.send(Body(memoryview(data)))  # type: ignore[arg-type]
    data[:] = b"xx"
    assert server.data_to_send()[1:] == [b"ab", b"ab"]


def test_what_comes_after_the_end_is_not_kept() -> None:
    server = HTTPConnection(Role.SERVER)
    assert isinstance(server.receive(b"junk\r\n")[-1], Failed)
    assert server.receive(b"GET / HTTP/1.1\r\n") == []
    assert server.buffered == 0


def test_a_connection_reads_unless_a_request_in_work_has_enough_behind_it() -> None:
    server = HTTPConnection(Role.SERVER, Limits(pipeline=3))
    assert server.reading is True
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGE")
    assert server.reading is True
    server.receive(b"T")
    assert server.reading is False


def test_a_199_is_an_interim_response_and_a_200_the_answer() -> None:
    server = HTTPConnection(Role.SERVER)
    server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server.send(Response(199, Headers()))
    server.send(answer(200))
    with pytest.raises(LocalProtocolError):
        server.send(answer(200))


def test_a_client_begins_no_request_where_the_server_has_spoken_unasked() -> None:
    client = HTTPConnection(Role.CLIENT)
    client.send(Request("GET", "/", Headers([("Host", "a")])))
    client.send(EndOfMessage())
    client.receive(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.keep_alive
    client.receive(b"HTTP/1.1 200 OK\r\n")
    assert not client.keep_alive
