"""A session over polling, over a WebSocket, and on its way from one to the other."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.engineio.connection import reason_of
from rawsio.engineio.packets import Message, Upgraded
from rawsio.engineio.server.links import BODY, NOBODY, RESPONDED, UPGRADE, WAITING
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.session import Session
from rawsio.engineio.states import SessionState, Stage
from rawsio.errors import LocalProtocolError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.layer import Closed, Failed
from rawsio.limits import Limits

from .links import Bench, RecordingLink

UNKNOWN = (400, b'{"code":1,"message":"Session ID unknown"}')
BAD = (400, b'{"code":3,"message":"Bad request"}')


def opened(**options: Any) -> tuple[Bench, Session]:
    b = Bench(EngineOptions(**options))
    session = b.open()
    b.taken()
    return b, session


def upgraded(b: Bench, session: Session) -> RecordingLink:
    link = b.websocket(session.id)
    b.packet(link, "2probe", "5")
    assert link.drain() == ["3probe"]
    assert b.taken() == [Upgraded()]
    return link


def failed(events: list[Any]) -> tuple[str, str]:
    (event,) = events
    assert isinstance(event, Failed)
    return event.rule, reason_of(event)


# Polling


def test_who_waits_for_the_queue_to_be_taken_is_told_once_by_a_poll_or_an_upgrade() -> None:
    b, session = opened()
    for turn in (1, 2):
        b.send(session, "x")
        session.transport.await_drain()
        if turn == 1:
            b.poll(session)
            b.send(session, "y")
            b.poll(session)
        else:
            link = b.websocket(session.id)
            b.packet(link, "2probe")
            assert b.recorder.drains == 1
            b.packet(link, "5")
            assert link.packets[-1] == "4x"
    assert b.recorder.drains == 2


def test_what_is_sent_in_one_turn_is_writable_up_to_the_low_mark() -> None:
    b = Bench(limits=Limits(low_water=1000))
    session = b.open()
    b.parked(session)
    session.send(Message("x" * 900))
    assert session.writable
    session.send(Message("x" * 200))
    assert not session.writable


@pytest.mark.rule("engineio-v4-polling-poll")
def test_a_poll_waits_until_there_is_something_to_say() -> None:
    b, session = opened()
    link = b.parked(session)
    assert link.responses == []
    assert session.writable
    b.send(session, "one", b"\x02", "three")
    assert link.answer() == (200, b"4one\x1ebAg==\x1e4three")
    assert not session.writable
    b.send(session, "four")
    assert (session.buffered_amount, session.connection.pending) == (5, 1)
    assert b.poll(session).answer() == (200, b"4four")
    assert b.verdict is RESPONDED


@pytest.mark.rule("engineio-v4-polling-post")
def test_a_post_brings_packets_and_is_answered_ok() -> None:
    b, session = opened()
    link = b.post(session, "4hello\x1ebAQIDBA==\x1e4€")
    assert link.answer() == (200, b"ok")
    assert b.taken() == [Message("hello"), Message(b"\x01\x02\x03\x04"), Message("€")]


@pytest.mark.rule("engineio-v4-polling-malformed")
@pytest.mark.parametrize(
    ("body", "before"),
    [
        (b"abc", 0),
        (b"", 0),
        (b"4a\x1e", 1),
        (b"4a\x1e\x1e4b", 1),
        (b"4a\x1e9x\x1e4b", 1),
        (b"4a\x1eb!!!\x1e4b", 1),
        (b"4a\xff", 0),
        (b"4\x1e" * 2000, 0),
        (b"\x1e" * 100_000, 0),
    ],
)
def test_a_malformed_body_is_a_400_and_what_stands_before_it_counts(
    body: bytes, before: int
) -> None:
    b, session = opened()
    waiting = b.parked(session)
    assert b.post(session, body).answer() == BAD
    *messages, last = b.taken()
    assert messages == [Message("a")] * before
    assert failed([last])[1] == "parse error"
    assert waiting.answer() == (200, b"1")
    assert b.poll(session).answer() == UNKNOWN


@pytest.mark.rule("engineio-v4-polling-overlap")
def test_a_second_poll_ends_the_session() -> None:
    b, session = opened()
    first = b.parked(session)
    second = b.poll(session)
    assert first.answer() == (200, b"1")
    assert second.answer() == BAD
    assert failed(b.taken()) == ("engineio-v4-polling-overlap", "transport error")
    assert b.poll(session).answer() == UNKNOWN


@pytest.mark.rule("engineio-v4-polling-overlap")
def test_a_second_post_ends_the_session() -> None:
    b, session = opened()
    first, _ = _begun_post(b, session)
    assert b.post(session, "4x").answer() == BAD
    assert failed(b.taken()) == ("engineio-v4-polling-overlap", "transport error")
    first.user.receive_body(first, b"4late")
    assert b.taken() == []
    assert first.answer() == UNKNOWN


def _begun_post(b: Bench, session: Session) -> tuple[RecordingLink, Any]:
    from rawsio.http.headers import Headers
    from rawsio.http.messages import Request

    link = RecordingLink()
    fields = Headers([("Host", "localhost:3000"), ("Content-Length", "2")])
    request = Request("POST", "/socket.io/?" + b.q(session.id), fields)
    b.server.receive_request(link, request, b.now)
    return link, request


@pytest.mark.rule("engineio-v4-polling-aborted")
@pytest.mark.parametrize("which", ["poll", "post"])
def test_a_request_that_is_cut_off_ends_the_session(which: str) -> None:
    b, session = opened()
    link = b.parked(session) if which == "poll" else _begun_post(b, session)[0]
    b.lose(link)
    assert failed(b.taken()) == ("engineio-v4-polling-aborted", "transport error")
    assert link.responses == []
    assert b.poll(session).answer() == UNKNOWN
    b.lose(link)
    assert b.taken() == []


@pytest.mark.rule("engineio-v4-polling-aborted")
def test_a_poll_that_waits_beside_a_post_that_is_cut_off_is_answered() -> None:
    b, session = opened()
    poll = b.parked(session)
    b.lose(_begun_post(b, session)[0])
    assert poll.answer() == (200, b"1")
    assert poll.session is None


def test_a_connection_without_a_request_in_work_may_go() -> None:
    b, session = opened()
    link = b.parked(session)
    b.send(session, "x")
    b.lose(link)
    assert b.taken() == []
    assert session.state is SessionState.OPEN


@pytest.mark.rule("engineio-v4-polling-content")
def test_a_binary_body_is_refused_in_protocol_4() -> None:
    b, session = opened()
    link = b.post(session, b"4x", headers={"Content-Type": "application/octet-stream; x=1"})
    assert link.answer() == BAD
    assert failed(b.taken()) == ("engineio-v4-polling-content", "transport error")


@pytest.mark.parametrize(
    "kind", ["text/plain", "", "application/json", "TEXT/html", "x", "multipart/form-data"]
)
def test_any_other_content_type_is_taken_for_text(kind: str) -> None:
    b, session = opened()
    assert b.post(session, "4x", headers={"Content-Type": kind}).answer() == (200, b"ok")
    assert b.taken() == [Message("x")]


@pytest.mark.rule("engineio-v4-polling-size")
@pytest.mark.parametrize("declared", ["11", "1000001", "9" * 40, None])
def test_a_body_that_is_too_long_is_a_bare_413_and_ends_the_session(declared: str | None) -> None:
    b, session = opened(max_http_buffer_size=10)
    waiting = b.parked(session)
    headers = {} if declared is None else {"Content-Length": declared}
    if declared is None:
        headers["Transfer-Encoding"] = "chunked"
        headers["Content-Length"] = "0"
    link = b.post(session, "4" + "x" * 10, headers=headers)
    assert link.answer() == (413, b"")
    assert failed(b.taken()) == ("engineio-v4-polling-size", "transport error")
    assert waiting.answer() == (200, b"1")
    assert b.poll(session).answer() == UNKNOWN


@pytest.mark.rule("engineio-v4-polling-size")
@pytest.mark.parametrize("declared", ["10", "0"])
def test_a_body_may_be_as_long_as_is_announced(declared: str) -> None:
    b, session = opened(max_http_buffer_size=10)
    link = b.post(session, "4" + "x" * 9, headers={"Content-Length": declared})
    assert link.answer() == (200, b"ok")
    assert b.taken() == [Message("x" * 9)]


@pytest.mark.rule("engineio-v4-polling-method")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
def test_another_method_is_code_2_and_leaves_the_session(method: str) -> None:
    b, session = opened()
    link = b.request(b.q(session.id), method)
    assert link.answer() == (400, b'{"code":2,"message":"Bad handshake method"}')
    assert session.state is SessionState.OPEN


def test_text_with_the_separator_cannot_be_sent_by_polling_but_by_websocket() -> None:
    b, session = opened()
    with pytest.raises(LocalProtocolError):
        session.send(Message("a\x1eb"))
    assert session.connection.pending == 0
    link = upgraded(b, session)
    b.send(session, "a\x1eb")
    assert link.drain() == ["4a\x1eb"]


@pytest.mark.rule("engineio-v4-polling-unpolled")
def test_who_never_polls_is_cut_off_in_the_end() -> None:
    b = Bench(limits=Limits(unpolled=10))
    session = b.open()
    b.taken()
    b.send(session, *"0123456789")
    assert b.taken() == []
    b.send(session, "x")
    assert failed(b.taken()) == ("engineio-v4-polling-unpolled", "transport error")
    assert not b.server.sessions


# Heartbeat


@pytest.mark.rule("engineio-v4-heartbeat-interval", "engineio-v4-heartbeat-timeout")
def test_the_heartbeat_goes_over_polls_and_posts() -> None:
    b, session = opened(ping_interval=0.3, ping_timeout=0.2)
    for _ in range(3):
        link = b.parked(session)
        b.pass_time(0.3)
        assert link.answer() == (200, b"2")
        assert b.post(session, "3").answer() == (200, b"ok")
    link = b.parked(session)
    b.pass_time(0.3)
    assert link.answer() == (200, b"2")
    link = b.parked(session)
    b.pass_time(0.2)
    assert failed(b.taken()) == ("engineio-v4-heartbeat-timeout", "ping timeout")
    assert link.answer() == (200, b"1")
    assert b.poll(session).answer() == UNKNOWN


def test_the_heartbeat_goes_over_a_websocket() -> None:
    b = Bench(EngineOptions(ping_interval=0.3, ping_timeout=0.2))
    _, link = b.open_websocket()
    b.taken()
    link.drain()
    for _ in range(3):
        b.pass_time(0.3)
        assert link.drain() == ["2"]
        b.packet(link, "3")
    b.pass_time(0.5)
    assert failed(b.taken()) == ("engineio-v4-heartbeat-timeout", "ping timeout")
    assert (link.drain(), link.closed) == (["2"], [(1005, "")])


@pytest.mark.rule("engineio-v4-heartbeat-upload")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_long_upload_on_a_slow_line_is_no_silence(transport: str) -> None:
    b = Bench(limits=Limits(body_rate=100))
    if transport == "websocket":
        session, link = b.open_websocket()
    else:
        session, link = b.open(), RecordingLink()
        post = Request("POST", f"/socket.io/?{b.q(session.id)}", Headers([("Host", "a")]))
        assert b.server.receive_request(link, post, b.now) is BODY
    b.pass_time(25)
    for _ in range(10):
        link.incoming += 2000
        b.pass_time(20)
    assert session.state is SessionState.OPEN
    link.incoming += 1999
    b.pass_time(20)
    assert session.state is SessionState.CLOSED


@pytest.mark.rule("engineio-v4-heartbeat-held")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_who_is_held_back_is_not_silent(transport: str) -> None:
    b = Bench()
    session = b.open_websocket()[0] if transport == "websocket" else b.open()
    b.pass_time(25)
    user: Any = session.user
    user.paused = True
    session.pause(True)
    b.pass_time(200)
    user.paused = False
    session.pause(False)
    b.pass_time(39)
    assert session.state is SessionState.OPEN
    b.pass_time(2)
    assert session.state is SessionState.CLOSED


@pytest.mark.rule("engineio-v4-heartbeat-held")
def test_who_was_held_back_before_the_ping_has_no_more_time_than_others() -> None:
    b = Bench()
    session, _link = b.open_websocket()
    session.pause(True)
    session.pause(False)
    b.pass_time(25)
    b.pass_time(20)
    assert session.state is SessionState.CLOSED


def test_what_came_before_the_ping_is_no_sign_of_life() -> None:
    b = Bench()
    session, link = b.open_websocket()
    link.incoming = 1_000_000
    b.pass_time(45)
    assert session.state is SessionState.CLOSED


def test_who_should_send_no_more_waits_for_the_answer_to_its_post() -> None:
    b = Bench()
    session = b.open()
    session.transport.pause()
    link = b.post(session, "4one")
    assert (link.responses, b.taken()[-1]) == ([], Message("one"))
    session.transport.resume()
    assert link.answer() == (200, b"ok")
    assert b.post(session, "4two").answer() == (200, b"ok")
    session.transport.pause()
    link = b.post(session, "4three")
    session.close(discard=True)
    assert link.answer() == (200, b"ok")


def test_a_post_whose_answer_waits_gets_it_when_the_session_goes_over_to_a_websocket() -> None:
    b, session = opened()
    session.transport.pause()
    post = b.post(session, "4one")
    assert post.responses == []
    upgraded_to = b.websocket(session.id)
    b.packet(upgraded_to, "2probe", "5")
    assert post.answer() == (200, b"ok")
    assert (post.session, session.transport.carrier) == (None, upgraded_to)


def test_a_post_whose_answer_waits_is_still_the_only_one() -> None:
    b = Bench()
    session = b.open()
    session.transport.pause()
    first = b.post(session, "4one")
    assert b.post(session, "4two").status == 400
    assert session.state is SessionState.CLOSED
    assert first.answer() == (200, b"ok")


@pytest.mark.rule("engineio-v4-heartbeat-unsolicited")
def test_a_hundred_thousand_pongs_cost_nothing() -> None:
    b = Bench()
    session, link = b.open_websocket()
    b.taken()
    link.drain()
    deadline = session.deadline
    for _ in range(100_000):
        session.receive("3")
    assert (session.deadline, link.drain(), b.taken()) == (deadline, [], [])


# Close


@pytest.mark.rule("engineio-v4-close-packet", "engineio-v4-close-poll")
def test_a_close_packet_ends_the_waiting_poll_with_a_noop() -> None:
    b, session = opened()
    waiting = b.parked(session)
    assert b.post(session, "4last\x1e1\x1e4never").answer() == (200, b"ok")
    assert waiting.answer() == (200, b"6")
    assert b.taken() == [Message("last"), Closed(0, "transport close")]
    assert b.poll(session).answer() == UNKNOWN


@pytest.mark.rule("engineio-v4-close-packet")
def test_a_close_packet_on_a_websocket_ends_the_session_at_once() -> None:
    b = Bench()
    _, link = b.open_websocket()
    link.drain()
    b.taken()
    b.packet(link, "1", "4never")
    assert b.taken() == [Closed(0, "transport close")]
    assert (link.drain(), link.closed) == ([], [(1005, "")])
    assert not b.server.sessions


@pytest.mark.rule("engineio-v4-close-server")
def test_closing_answers_the_waiting_poll_with_the_queue_and_the_next_one_with_1() -> None:
    b, session = opened()
    waiting = b.parked(session)
    session.send(Message("last"))
    session.send(Closed(0, "forced close"))
    assert waiting.answer() == (200, b"4last")
    assert session.stage is Stage.LEAVING
    assert b.poll(session).answer() == (200, b"1")
    assert (session.state, session.stage) == (SessionState.CLOSED, Stage.OVER)
    assert b.poll(session).answer() == UNKNOWN
    session.close()
    with pytest.raises(LocalProtocolError):
        session.send(Message("x"))


@pytest.mark.rule("engineio-v4-close-grace")
def test_what_is_queued_at_the_close_waits_for_one_more_poll() -> None:
    b, session = opened()
    session.send(Message("last"))
    session.close()
    assert session.stage is Stage.LEAVING
    b.pass_time(29.9)
    assert b.post(session, "4ignored").answer() == (200, b"ok")
    assert b.poll(session).answer() == (200, b"4last")
    assert b.poll(session).answer() == (200, b"1")
    assert b.verdict is RESPONDED
    assert b.taken() == []
    assert session.deadline is None
    assert b.poll(session).answer() == UNKNOWN


@pytest.mark.rule("engineio-v4-close-grace")
def test_it_does_not_wait_for_ever() -> None:
    b, session = opened()
    session.close()
    b.pass_time(30.1)
    assert not b.server.sessions
    assert session.deadline is None


def test_a_server_that_shuts_down_waits_only_for_polls_that_take_last_words() -> None:
    b, first = opened()
    _, link = b.open_websocket()
    waiting = b.parked(b.open())
    candidate = b.websocket(first.id)
    first.send(Message("last words"))
    b.server.close()
    assert list(b.server.sessions.values()) == [first]
    assert b.poll(first).answer() == (200, b"4last words")
    assert b.poll(first).answer() == (200, b"1")
    assert not b.server.sessions
    assert waiting.answer() == (200, b"1")
    assert link.closed == candidate.closed == [(1005, "")]


@pytest.mark.rule("engineio-v4-close-websocket")
def test_closing_a_websocket_session_sends_no_1() -> None:
    b = Bench()
    session, link = b.open_websocket()
    link.drain()
    session.send(Message("last"))
    session.close()
    assert link.drain() == ["4last"]
    assert link.closed == [(1005, "")]
    assert link.session is None
    session.close()
    assert len(link.closed) == 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("transport close", Closed(0, "transport close")),
        (
            "transport error",
            Failed(
                "engineio",
                "engineio-v4-transport-error",
                3,
                "the WebSocket broke: transport error",
            ),
        ),
    ],
)
@pytest.mark.rule("engineio-v4-transport-error")
def test_a_websocket_that_goes_ends_the_session(reason: str, expected: Closed | Failed) -> None:
    b = Bench()
    session, link = b.open_websocket()
    b.taken()
    b.lose(link, reason)
    assert b.taken() == [expected]
    assert (link.closed, session.transport.carrier) == ([], None)
    assert session.transport.name == "websocket"
    assert not b.server.sessions
    b.packet(link, "4x")
    b.lose(link)
    assert b.taken() == []


# WebSocket


@pytest.mark.rule("engineio-v4-handshake-websocket")
def test_a_session_may_begin_on_a_websocket() -> None:
    b = Bench(EngineOptions(initial_packet="welcome"))
    session, link = b.open_websocket()
    assert link.drain() == [
        f'0{{"sid":"{session.id}","upgrades":[],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}',
        "4welcome",
    ]
    assert (session.transport.name, session.transport.carrier) == ("websocket", link)
    b.taken()
    b.packet(link, "4hi", b"\x01\x02")
    assert b.taken() == [Message("hi"), Message(b"\x01\x02")]
    b.send(session, "yo", b"\x03")
    assert link.drain() == ["4yo", b"\x03"]


@pytest.mark.parametrize("packet", ["abc", "", "2", "0{}", "5"])
def test_a_wrong_packet_closes_the_websocket(packet: str) -> None:
    b = Bench()
    _, link = b.open_websocket()
    b.taken()
    link.drain()
    b.packet(link, packet)
    assert isinstance(b.taken()[0], Failed)
    assert (link.drain(), link.closed) == ([], [(1005, "")])


class Ready:
    messages = ("51-[]", b"\x01")
    payload = "451-[]\x1ebAQ=="

    def packets(self, revision: int = 4) -> tuple[str | bytes, ...]:
        return ("451-[]", b"\x01" if revision == 4 else b"\x04\x01")


@pytest.mark.rule("engineio-v4-prepared-equal")
@pytest.mark.parametrize("extra", ["", "&b64=1"])
@pytest.mark.parametrize("eio", [3, 4])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_a_prepared_packet_reaches_each_kind_of_client(
    transport: str, eio: int, extra: str
) -> None:
    outputs = []
    for prepared in (False, True):
        b = Bench(EngineOptions(allow_eio3=True))
        headers = {"Upgrade": "websocket"} if transport == "websocket" else {}
        link = b.request(b.q(transport=transport, eio=eio) + extra, headers=headers)
        session = b.events[0][0]
        if transport == "polling":
            link = b.parked(session)
        if prepared:
            session.send_prepared(Ready())
        else:
            session.send(Message("51-[]"))
            session.send(Message(b"\x01"))
        b.settle()
        outputs.append(link.body if transport == "polling" else link.drain()[1:])
    assert outputs[0] == outputs[1]


def test_packets_for_a_websocket_that_began_to_close_are_lost_like_those_in_flight() -> None:
    b = Bench()
    session, link = b.open_websocket()

    def send(_packet: object) -> None:
        raise LocalProtocolError("the WebSocket is closing")

    link.send = link.send_prepared = send  # type: ignore[method-assign]
    session.send(Message("x"))
    session.send_prepared(Ready())


def test_back_pressure_is_the_link_s() -> None:
    b = Bench()
    session, link = b.open_websocket()
    assert session.writable
    link.buffered_amount = 2_000_000
    assert session.buffered_amount == 2_000_000
    assert not session.writable


# Upgrade


@pytest.mark.rule("engineio-v4-upgrade-swap")
def test_an_upgrade_loses_and_repeats_nothing() -> None:
    b, session = opened()
    waiting = b.parked(session)
    link = b.websocket(session.id)
    assert b.verdict is UPGRADE
    b.packet(link, "2probe")
    assert link.drain() == ["3probe"]
    b.send(session, "by poll")
    assert waiting.answer() == (200, b"4by poll")
    b.send(session, "queued", b"\x01")
    assert b.post(session, "4by post").answer() == (200, b"ok")
    b.packet(link, "5")
    assert link.drain() == ["4queued", b"\x01"]
    assert b.taken() == [Message("by post"), Upgraded()]
    b.packet(link, "4by websocket")
    assert b.taken() == [Message("by websocket")]
    assert (session.transport.name, session.transport.carrier) == ("websocket", link)
    assert session.candidate is None


@pytest.mark.rule("engineio-v4-upgrade-noop")
def test_a_waiting_poll_is_ended_by_a_noop_from_the_timer_not_by_the_probe() -> None:
    b, session = opened()
    waiting = b.parked(session)
    link = b.websocket(session.id)
    b.pass_time(1.0)
    assert waiting.responses == []
    b.packet(link, "2probe")
    b.pass_time(0.09)
    assert waiting.responses == []
    b.pass_time(0.02)
    assert waiting.answer() == (200, b"6")
    waiting = b.parked(session)
    b.pass_time(0.1)
    assert waiting.answer() == (200, b"6")


def test_the_timer_of_an_upgrade_takes_nothing_from_the_queue_when_no_poll_waits() -> None:
    b, session = opened()
    b.packet(b.websocket(session.id), "2probe")
    session.send(Message("kept"))
    b.pass_time(1.0)
    assert b.poll(session).answer() == (200, b"4kept")


def test_a_poll_that_still_waits_at_the_upgrade_ends_with_a_noop() -> None:
    b, session = opened()
    waiting = b.parked(session)
    upgraded(b, session)
    assert waiting.answer() == (200, b"6")


@pytest.mark.rule("engineio-v4-upgrade-after")
def test_after_the_upgrade_requests_are_refused_and_the_session_lives() -> None:
    b, session = opened()
    late, _ = _begun_post(b, session)
    link = upgraded(b, session)
    late.user.receive_body(late, b"4x")
    assert late.answer() == BAD
    for refused in (b.poll(session), b.post(session, "4x"), b.request(b.q(session.id), "PUT")):
        assert refused.answer() == BAD
    b.lose(late)
    assert b.taken() == []
    b.packet(link, "4still here")
    assert b.taken() == [Message("still here")]


def test_a_post_whose_session_ends_meanwhile_is_told_that_it_is_unknown() -> None:
    b, session = opened()
    late, _ = _begun_post(b, session)
    session.close(discard=True)
    late.user.receive_body(late, b"4x")
    assert late.answer() == UNKNOWN
    assert late.user is NOBODY


@pytest.mark.rule("engineio-v4-upgrade-second")
@pytest.mark.parametrize("when", ["probing", "upgraded", "born on a websocket"])
def test_a_second_websocket_is_closed_and_the_first_lives(when: str) -> None:
    b, session = opened()
    if when == "probing":
        first = b.websocket(session.id)
    elif when == "upgraded":
        first = upgraded(b, session)
    else:
        session, first = b.open_websocket()
        first.drain()
        b.taken()
    second = b.websocket(session.id)
    assert b.verdict is UPGRADE
    assert second.closed == [(1005, "")]
    assert first.closed == []
    b.packet(second, "2probe", "5", "4x")
    b.lose(second)
    assert (second.drain(), b.taken()) == ([], [])
    b.packet(first, *(["2probe", "5"] if when == "probing" else []), "4first")
    assert b.taken()[-1] == Message("first")


@pytest.mark.rule("engineio-v4-upgrade-probe")
@pytest.mark.parametrize("packets", [["5"], ["4x"], ["2probe", "4x"], ["2"], [b"\x01"], [""]])
def test_a_wrong_probe_loses_the_candidate_and_not_the_session(packets: list[Any]) -> None:
    b, session = opened()
    link = b.websocket(session.id)
    b.packet(link, *packets)
    assert link.closed == [(1005, "")]
    assert b.taken() == []
    assert (session.stage, session.candidate) == (Stage.STEADY, None)
    b.packet(link, "2probe", "5")
    assert session.transport.name == "polling"
    upgraded(b, session)


@pytest.mark.rule("engineio-v4-upgrade-timeout")
def test_a_probe_that_takes_too_long_loses_the_candidate() -> None:
    b, session = opened(upgrade_timeout=5.0)
    link = b.websocket(session.id)
    b.packet(link, "2probe")
    b.pass_time(4.9)
    assert link.closed == []
    b.pass_time(0.2)
    assert link.closed == [(1005, "")]
    assert b.taken() == []
    upgraded(b, session)


def test_a_candidate_that_goes_away_leaves_the_session() -> None:
    b, session = opened()
    link = b.websocket(session.id)
    b.packet(link, "2probe")
    b.lose(link)
    assert b.taken() == []
    waiting = b.parked(session)
    b.pass_time(1.0)
    assert waiting.responses == []
    upgraded(b, session)


def test_a_session_that_ends_takes_its_candidate_along() -> None:
    b, session = opened()
    link = b.websocket(session.id)
    b.post(session, "1")
    assert b.taken() == [Closed(0, "transport close")]
    assert link.closed == [(1005, "")]


@pytest.mark.rule("engineio-v4-upgrade-switched-off")
def test_upgrades_that_are_switched_off_are_not_offered_and_refused() -> None:
    b = Bench(EngineOptions(allow_upgrades=False))
    link = b.request(b.q())
    session = b.events[-1][0]
    assert b'"upgrades":[]' in link.body
    assert b.websocket(session.id).answer() == BAD
    assert b.parked(session).responses == []


def test_a_ping_that_no_poll_took_goes_over_the_websocket() -> None:
    b, session = opened(ping_interval=0.3, ping_timeout=0.2)
    b.pass_time(0.3)
    link = b.websocket(session.id)
    b.packet(link, "2probe", "5")
    assert link.drain() == ["3probe", "2"]


def test_a_stage_that_cannot_follow_is_our_own_mistake() -> None:
    b = Bench()
    session, _ = b.open_websocket()
    with pytest.raises(LocalProtocolError):
        session._move(Stage.NEW)
    assert session.stage is Stage.STEADY


def test_the_first_request_stays_readable() -> None:
    b = Bench()
    link = b.request(b.q() + "&token=%C3%A9", headers={"Cookie": "a=b"})
    session = b.events[-1][0]
    assert link.status == 200
    assert session.request.query_string == b.q() + "&token=%C3%A9"
    assert session.request.headers.get("cookie") == "a=b"
    assert session.address == "192.0.2.1:1"


def test_verdicts_of_polls() -> None:
    b, session = opened()
    b.poll(session)
    assert b.verdict is WAITING


def crowd(b: Bench) -> tuple[Session, RecordingLink]:
    """Return a session whose client posted three packets and polls for nothing."""
    session = b.open()
    session.send(Message("x" * 200))
    link = b.post(session, "4a\x1e4b\x1e4c")
    return session, link


@pytest.mark.rule("engineio-v4-polling-crowded")
def test_what_is_posted_waits_while_too_much_waits_for_a_poll() -> None:
    b = Bench(limits=Limits(unpolled_bytes=100))
    session, link = crowd(b)
    assert b.taken()[1:] == []
    assert link.responses == []
    late = b.post(session, "4d")
    assert late.status == 400  # two posts at a time


@pytest.mark.rule("engineio-v4-polling-crowded")
def test_a_poll_lets_the_posted_packets_through_and_their_post_is_answered() -> None:
    b = Bench(limits=Limits(unpolled_bytes=100))
    session, link = crowd(b)
    b.taken()
    b.poll(session)
    b.pass_time(0.0)
    assert b.taken() == [Message("a"), Message("b"), Message("c")]
    assert link.answer() == (200, b"ok")
    assert session.deadline != 0.0


@pytest.mark.rule("engineio-v4-polling-crowded")
def test_a_probe_lets_the_posted_packets_through_because_no_poll_will_come() -> None:
    b = Bench(limits=Limits(unpolled_bytes=100))
    session, link = crowd(b)
    b.taken()
    candidate = b.websocket(session.id)
    b.packet(candidate, "2probe")
    assert b.taken() == [Message("a"), Message("b"), Message("c")]
    assert link.answer() == (200, b"ok")
    b.packet(candidate, "5")
    assert b.taken() == [Upgraded()]
    assert candidate.drain() == ["3probe", "4" + "x" * 200]


@pytest.mark.rule("engineio-v4-polling-crowded")
def test_an_upgrade_comes_behind_the_packets_that_were_posted_before() -> None:
    b = Bench(limits=Limits(unpolled_bytes=100))
    session, _link = crowd(b)
    b.taken()
    candidate = b.websocket(session.id)
    candidate.user.receive_packet("2probe")
    candidate.user.receive_packet("5")
    assert b.taken() == [Message("a"), Message("b"), Message("c"), Upgraded()]


@pytest.mark.rule("engineio-v4-polling-crowded")
@pytest.mark.parametrize("end", ["close", "bad packet", "time"])
def test_the_end_of_a_session_answers_the_post_that_waits(end: str) -> None:
    b = Bench(limits=Limits(unpolled_bytes=100))
    session, link = crowd(b)
    if end == "close":
        session.close(discard=True)
    elif end == "bad packet":
        session.receive("9")
    else:
        b.pass_time(100)
    assert len(link.responses) == 1
    assert not b.server.sessions or session.state is SessionState.CLOSED


# Closing on the way from polling to a WebSocket


def closing_while_probed(b: Bench, session: Session) -> RecordingLink:
    """Close a session whose last poll is answered, and whose WebSocket is probed."""
    candidate = b.websocket(session.id)
    b.packet(candidate, "2probe")
    assert candidate.drain() == ["3probe"]
    b.send(session, "last")
    session.close("forced close")
    session.flush()
    assert not candidate.closed
    return candidate


@pytest.mark.rule("engineio-v4-close-upgrading")
def test_what_is_queued_at_the_close_goes_over_the_websocket_that_takes_over() -> None:
    b, session = opened()
    candidate = closing_while_probed(b, session)
    b.packet(candidate, "5")
    assert candidate.drain() == ["4last"]
    assert candidate.closed == [(1005, "")]
    assert b.taken() == []
    assert session.id not in b.server.sessions


@pytest.mark.rule("engineio-v4-close-upgrading")
def test_what_is_queued_at_the_close_goes_to_a_poll_that_comes_all_the_same() -> None:
    b, session = opened()
    candidate = closing_while_probed(b, session)
    assert b.poll(session).body == b"4last"
    assert b.poll(session).body == b"1"
    assert candidate.closed == [(1005, "")]
    assert session.id not in b.server.sessions


@pytest.mark.rule("engineio-v4-close-upgrading")
@pytest.mark.parametrize("how", ["lost", "wrong", "late"])
def test_a_candidate_that_is_lost_after_the_close_leaves_the_wait_for_a_poll(how: str) -> None:
    b, session = opened()
    candidate = closing_while_probed(b, session)
    if how == "lost":
        b.lose(candidate)
    elif how == "wrong":
        b.packet(candidate, "4x")
    else:
        b.pass_time(11.0)
    assert (session.stage, session.candidate) == (Stage.LEAVING, None)
    assert b.poll(session).body == b"4last"


@pytest.mark.rule("engineio-v4-close-upgrading")
def test_a_client_that_neither_polls_nor_goes_over_is_waited_for_so_long_only() -> None:
    b, session = opened()
    candidate = closing_while_probed(b, session)
    b.pass_time(100.0)
    assert session.id not in b.server.sessions
    assert candidate.closed


def test_the_first_request_can_be_looked_at_whether_it_was_kept_or_not() -> None:
    b = Bench()
    session = b.open()
    seen, kept = session.glance(), session.request
    assert (seen.method, seen.target) == (kept.method, kept.target)
    assert list(seen.headers) == list(kept.headers)
    again = session.glance()
    assert again.target == kept.target
