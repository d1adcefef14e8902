"""The registry: how sessions begin, which one a request belongs to, and protocol 3."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rawsio.engineio.packets import Message, Upgraded, check_sid
from rawsio.engineio.server.links import BODY, RESPONDED, UPGRADE, WAITING
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.engineio.states import SessionState
from rawsio.errors import LocalProtocolError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.layer import Closed
from rawsio.limits import DEFAULT, Limits

from .links import Bench, RecordingLink
from .users import OPENED, Recorder

UNKNOWN = (400, b'{"code":1,"message":"Session ID unknown"}')
BAD = (400, b'{"code":3,"message":"Bad request"}')
WS = {"Upgrade": "websocket", "Connection": "Upgrade"}


@pytest.mark.rule("engineio-v4-handshake-polling", "engineio-v4-handshake-keys")
def test_a_session_begins_with_a_poll() -> None:
    b = Bench(EngineOptions(ping_interval=0.3, ping_timeout=0.2))
    link = b.request(b.q())
    assert b.verdict is RESPONDED
    assert (link.status, link.headers.get("content-type")) == (200, "text/plain; charset=UTF-8")
    assert link.headers.get("cache-control") == "no-store"
    sid = json.loads(link.body[1:])["sid"]
    assert (
        link.body
        == (
            f'0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,'
            '"maxPayload":1000000}'
        ).encode()
    )
    assert b.taken() == [OPENED]
    assert "set-cookie" not in link.headers
    assert link.session is None


@pytest.mark.parametrize("options", [{"transports": ("polling",)}, {"allow_upgrades": False}])
def test_an_upgrade_is_offered_only_where_there_is_one(options: dict[str, Any]) -> None:
    b = Bench(EngineOptions(**options))
    assert b'"upgrades":[]' in b.request(b.q()).body


@pytest.mark.rule("engineio-v4-handshake-secret")
def test_an_id_is_144_random_bits() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes(range(0xEE, 0xEE + 17)) + b"\xff"

    server = SessionRegistry(random_bytes=random_bytes)
    request = Request("GET", "/socket.io/?EIO=4&transport=polling", Headers([("Host", "a")]))
    server.receive_request(RecordingLink(), request, 0.0)
    (sid,) = server.sessions
    assert asked == [18]
    assert base64.urlsafe_b64decode(sid) == bytes(range(0xEE, 0xEE + 17)) + b"\xff"
    assert len(sid) == 24
    assert "+" not in sid
    assert "/" not in sid


def test_ids_from_the_system_are_all_different() -> None:
    server = SessionRegistry()
    request = Request("GET", "/socket.io/?EIO=4&transport=polling", Headers([("Host", "a")]))
    for _ in range(100):
        server.receive_request(RecordingLink(), request, 0.0)
    assert len(server.sessions) == 100


@pytest.mark.rule("engineio-v4-handshake-id")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_an_id_of_ones_own_is_used_or_the_request_fails(transport: str) -> None:
    ids = iter(["mine", "mine", "", None])

    def generate(request: Request) -> Any:
        assert request.path == "/socket.io/"
        made = next(ids)
        if made is None:
            raise RuntimeError("broken")
        return made

    errors: list[Any] = []
    b = Bench(
        EngineOptions(
            generate_id=generate,
            on_connection_error=lambda *error: errors.append(error[3]),
        )
    )
    headers = WS if transport == "websocket" else {}
    b.request(b.q(transport=transport), headers=headers)
    assert list(b.server.sessions) == ["mine"]
    for _ in range(3):
        assert b.request(b.q(transport=transport), headers=headers).answer() == BAD
    assert [error["name"] for error in errors] == ["ID_GENERATION_ERROR"] * 3
    assert "generate_id has returned the id of a session that is open" in str(errors[0]["error"])
    assert "(generate_id) is a str of visible ASCII" in str(errors[1]["error"])


@pytest.mark.parametrize(("made", "shown"), [(None, "not None"), (b"a", "not b'a'")])
def test_an_id_that_is_no_text_is_shown_as_what_it_is(made: Any, shown: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"{shown}$"):
        check_sid(made)


@pytest.mark.rule("engineio-v4-handshake-id")
@pytest.mark.parametrize(
    "made", [5, b"bytes", ["list"], "a b", 'a"b', "a\\b", "x" * 513, "é", "\n"]
)
@pytest.mark.parametrize("headers", [{}, WS])
def test_an_id_that_cannot_stand_in_the_open_packet_is_refused(
    made: Any, headers: dict[str, str]
) -> None:
    b = Bench(EngineOptions(generate_id=lambda _request: made))
    link = b.request(b.q(transport="websocket" if headers else "polling"), headers=headers)
    assert link.answer() == BAD
    assert not b.server.sessions


@pytest.mark.rule("engineio-v4-handshake-secret")
def test_an_id_that_the_client_chose_is_never_adopted() -> None:
    b = Bench()
    for headers in ({}, WS):
        transport = "websocket" if headers else "polling"
        link = b.request(b.q("chosen", transport), headers=headers)
        assert link.answer() == UNKNOWN
    assert not b.server.sessions


@pytest.mark.rule("engineio-v4-handshake-sessions")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_there_are_no_more_sessions_than_the_limit(transport: str) -> None:
    b = Bench(limits=Limits(sessions=2))
    first, _ = b.open(), b.open()
    headers = WS if transport == "websocket" else {}
    assert b.request(b.q(transport=transport), headers=headers).status == 503
    first.close(discard=True)
    b.taken()
    b.request(b.q(transport=transport), headers=headers)
    assert b.taken()[0] == OPENED


@pytest.mark.rule("engineio-v4-polling-cookie")
def test_the_cookie_is_set_by_the_first_answer_only() -> None:
    b = Bench(EngineOptions(cookie=True))
    link = b.request(b.q())
    session = b.events[-1][0]
    expected = f"io={session.id}; Path=/; HttpOnly; SameSite=Lax"
    assert link.headers.get("set-cookie") == expected
    session.send(Message("x"))
    assert "set-cookie" not in b.poll(session).headers


@pytest.mark.rule("engineio-v4-polling-cookie")
def test_a_session_that_begins_on_a_websocket_has_the_cookie_in_its_101() -> None:
    b = Bench(EngineOptions(cookie=True))
    query = b.q(transport="websocket")
    request = Request("GET", f"/socket.io/?{query}", Headers([("Host", "a"), *WS.items()]))
    link = RecordingLink()
    assert b.server.receive_request(link, request, 0.0) is UPGRADE
    ((name, value),) = b.server.upgrade_headers(link, request)
    assert (name, value.partition("=")[0]) == ("Set-Cookie", "io")
    link.user.accepted(link)
    session = b.open()
    probe = RecordingLink()
    request = Request("GET", f"/socket.io/?{query}&sid={session.id}", request.headers)
    assert b.server.receive_request(probe, request, 0.0) is UPGRADE
    assert b.server.upgrade_headers(probe, request) == []


def test_an_initial_packet_follows_the_open_packet() -> None:
    b = Bench(EngineOptions(initial_packet=b"\x01"))
    assert b.request(b.q()).body.endswith(b"}\x1ebAQ==")


def test_hooks_may_change_the_fields_of_answers() -> None:
    def each(fields: list[tuple[str, str]], request: Request) -> None:
        fields.append(("X-Each", request.method))

    def first(fields: list[tuple[str, str]], _request: Request) -> None:
        fields.append(("X-First", "1"))

    b = Bench(EngineOptions(on_headers=each, on_initial_headers=first))
    link = b.request(b.q())
    session = b.events[-1][0]
    assert list(link.headers)[2:4] == [("X-First", "1"), ("X-Each", "GET")]
    link = b.post(session, "4x")
    assert link.headers.get("x-each") == "POST"
    assert "x-first" not in link.headers
    parked = b.parked(session)
    b.send(session, "x")
    assert parked.headers.get("x-each") == "GET"
    headers = Headers([("Host", "a"), *WS.items()])
    for sid, expected in ((None, ["X-First", "X-Each"]), (session.id, ["X-Each"])):
        upgrade = Request("GET", "/socket.io/?" + b.q(sid, "websocket"), headers)
        link = RecordingLink()
        assert b.server.receive_request(link, upgrade, 0.0) is UPGRADE
        assert [name for name, _ in b.server.upgrade_headers(link, upgrade)] == expected


@pytest.mark.parametrize(
    ("path", "ours"),
    [
        ("/socket.io/", True),
        ("/socket.io", False),
        ("/socket.io/x", False),
        ("/", False),
        ("/socket.io//", False),
        ("/SOCKET.IO/", False),
    ],
)
def test_requests_are_ours_by_their_exact_path(path: str, ours: bool) -> None:
    assert Bench().server.serves(Request("GET", path + "?EIO=4", Headers())) is ours


@pytest.mark.rule("engineio-v4-http-mismatch")
def test_requests_have_to_name_the_transport_of_the_session() -> None:
    b = Bench()
    polling = b.open()
    websocket, link = b.open_websocket()
    told: list[Any] = []
    b.server.options.on_connection_error = lambda *error: told.append(error[3])
    assert b.poll(websocket).answer() == BAD
    assert b.post(websocket, "4x").answer() == BAD
    assert told[0] == {
        "name": "TRANSPORT_MISMATCH",
        "transport": "polling",
        "previousTransport": "websocket",
    }
    assert b.request(b.q(polling.id, "websocket")).answer() == BAD
    assert b.request(b.q(websocket.id, "websocket")).answer() == BAD
    assert told[-1]["name"] == "TRANSPORT_HANDSHAKE_ERROR"
    post = b.request(b.q(polling.id, "websocket"), "POST", headers=WS)
    assert post.answer() == (400, b'{"code":2,"message":"Bad handshake method"}')
    assert link.closed == []
    assert polling.state is websocket.state is SessionState.OPEN


@pytest.mark.rule("engineio-v4-http-protocol")
@pytest.mark.parametrize("eio", ["EIO=3&", "", "EIO=04&", "EIO=&", "EIO=4&EIO=3&"])
@pytest.mark.parametrize("allow", [False, True])
def test_a_session_keeps_the_protocol_that_it_began_with(eio: str, allow: bool) -> None:
    b = Bench(EngineOptions(allow_eio3=allow))
    session = b.open()
    b.taken()
    assert b.request(f"{eio}transport=polling&sid={session.id}").answer() == BAD
    upgrade = b.request(f"{eio}transport=websocket&sid={session.id}", headers=WS)
    assert upgrade.answer() == BAD
    b.pass_time(25.0)
    assert b.poll(session).answer() == (200, b"2")
    assert b.post(session, "3").answer() == (200, b"ok")
    assert b.taken() == []
    assert session.state is SessionState.OPEN


def test_a_handshake_that_fails_below_leaves_nothing() -> None:
    b = Bench()
    link = RecordingLink()
    request = Request(
        "GET", "/socket.io/?" + b.q(transport="websocket"), Headers([("Upgrade", "websocket")])
    )
    assert b.server.receive_request(link, request, b.now) is UPGRADE
    b.server.refused(link)
    assert link.session is None
    assert not b.server.sessions
    link.user.accepted(link)
    assert OPENED not in b.taken()[1:]
    assert link.closed == [(1005, "")]


def test_a_link_that_goes_before_its_handshake_is_done_leaves_nothing() -> None:
    b = Bench()
    session = b.open()
    b.taken()
    for sid in (None, session.id):
        link = RecordingLink()
        request = Request(
            "GET", "/socket.io/?" + b.q(sid, "websocket"), Headers([("Upgrade", "websocket")])
        )
        b.server.receive_request(link, request, b.now)
        b.lose(link)
        assert link.session is None
    assert b.taken() == []
    assert list(b.server.sessions.values()) == [session]


def test_a_session_that_ends_during_the_handshake_of_its_websocket() -> None:
    b = Bench()
    session = b.open()
    link = RecordingLink()
    request = Request(
        "GET", "/socket.io/?" + b.q(session.id, "websocket"), Headers([("Upgrade", "websocket")])
    )
    b.server.receive_request(link, request, b.now)
    session.close(discard=True)
    link.user.accepted(link)
    assert OPENED not in b.taken()[1:]
    assert link.closed == [(1005, "")]


def test_a_body_that_nobody_waits_for_is_refused() -> None:
    link = RecordingLink()
    link.user.receive_body(link, b"4x")
    assert link.answer() == BAD


@pytest.mark.rule("9110-8.4-coding", "9110-8.4-identity", "9110-12.5.1-q", "9110-12.5.3-none")
def test_polls_are_compressed_for_who_asks() -> None:
    b = Bench(EngineOptions(http_compression=10))
    session = b.open()
    session.send(Message("x" * 100))
    link = b.request(b.q(session.id), headers={"Accept-Encoding": "gzip, br"})
    assert link.headers.get("content-encoding") == "gzip"
    session.send(Message("x" * 100))
    link = b.request(b.q(session.id), headers={"Accept-Encoding": "deflate"})
    assert link.headers.get("content-encoding") == "deflate"
    for taken in ("", "br", "gzip;q=0, deflate;q=0.0, *", "gzip;a=b;q=0;c=d", "identity"):
        session.send(Message("x" * 100))
        link = b.request(b.q(session.id), headers={"Accept-Encoding": taken})
        assert "content-encoding" not in link.headers
    b.server.options.http_compression = None
    session.send(Message("x" * 100))
    link = b.request(b.q(session.id), headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in link.headers


def test_b64_asks_for_text_over_a_websocket_too() -> None:
    b = Bench()
    link = b.request(b.q(transport="websocket") + "&b64=1", headers=WS)
    b.send(b.events[0][0], b"\x01")
    assert link.drain()[1:] == ["bAQ=="]


def test_touched_is_told_of_all_that_the_driver_has_to_do() -> None:
    recorder = Recorder()
    touched = recorder.touches
    server = SessionRegistry(owner=recorder)
    request = Request("GET", "/socket.io/?EIO=4&transport=polling", Headers([("Host", "a")]))
    server.receive_request(RecordingLink(), request, 0.0)
    (session,) = server.sessions.values()
    assert touched == [session]
    touched.clear()
    session.tick(1.0)
    session.send(Message("x"))
    assert touched == [session]
    touched.clear()
    session.close()
    assert touched == [session]
    assert session.deadline == 0.0


# Protocol 3


def old(limits: Limits = DEFAULT) -> Bench:
    return Bench(EngineOptions(allow_eio3=True, ping_interval=0.3, ping_timeout=0.2), limits)


@pytest.mark.rule("engineio-v3-handshake-length")
def test_protocol_3_begins_with_a_length() -> None:
    b = old()
    link = b.request(b.q(eio=3))
    length, _, packet = link.body.decode().partition(":")
    assert int(length) == len(packet)
    assert list(json.loads(packet[1:])) == [
        "sid",
        "upgrades",
        "pingInterval",
        "pingTimeout",
        "maxPayload",
    ]


@pytest.mark.rule("engineio-v3-payload-text", "engineio-v3-payload-binary")
def test_messages_of_protocol_3_by_polling() -> None:
    b = old()
    session = b.open(eio=3)
    b.taken()
    assert b.post(session, "6:4hello10:b4AQIDBA==").answer() == (200, b"ok")
    assert b.taken() == [Message("hello"), Message(b"\x01\x02\x03\x04")]
    b.send(session, "a\x1eb")
    assert b.poll(session).answer() == (200, b"4:4a\x1eb")
    b.send(session, "hello", b"\x01\x02\x03\x04")
    link = b.poll(session)
    assert link.headers.get("content-type") == "application/octet-stream"
    assert link.body.hex(" ") == "00 06 ff 34 68 65 6c 6c 6f 01 05 ff 04 01 02 03 04"
    binary = {"Content-Type": "application/octet-stream"}
    assert b.post(session, link.body, headers=binary).answer() == (200, b"ok")
    assert b.taken() == [Message("hello"), Message(b"\x01\x02\x03\x04")]
    assert b.post(session, "abc").answer() == BAD
    assert b.poll(session).answer() == UNKNOWN


def test_a_client_of_protocol_3_with_b64_gets_text() -> None:
    b = old()
    b.request(b.q(eio=3) + "&b64=1")
    session = b.events[0][0]
    b.send(session, b"\x01\x02\x03\x04")
    assert b.poll(session).answer() == (200, b"10:b4AQIDBA==")


@pytest.mark.rule("engineio-v3-heartbeat-reversed")
def test_the_heartbeat_of_protocol_3_by_polling() -> None:
    b = old()
    session = b.open(eio=3)
    for _ in range(3):
        link = b.parked(session)
        b.pass_time(0.3)
        assert b.post(session, "1:2").answer() == (200, b"ok")
        assert link.answer() == (200, b"1:3")
    link = b.parked(session)
    b.pass_time(0.5)
    assert link.answer() == (200, b"1:1")
    assert b.poll(session).answer() == UNKNOWN


def test_the_close_of_protocol_3_by_polling() -> None:
    b = old()
    session = b.open(eio=3)
    link = b.parked(session)
    b.taken()
    assert b.post(session, "1:1").answer() == (200, b"ok")
    assert link.answer() == (200, b"1:6")
    assert b.taken() == [Closed(0, "transport close")]


@pytest.mark.rule("engineio-v3-packet-binary")
def test_messages_of_protocol_3_by_websocket() -> None:
    b = old()
    session, link = b.open_websocket(eio=3)
    b.taken()
    assert len(link.drain()) == 1
    b.packet(link, "4hello", b"\x04\x01\x02", "2")
    assert b.taken() == [Message("hello"), Message(b"\x01\x02")]
    assert link.drain() == ["3"]
    b.send(session, b"\x05")
    assert link.drain() == [b"\x04\x05"]
    b.packet(link, "3")
    assert link.closed == [(1005, "")]


def test_an_upgrade_of_protocol_3() -> None:
    b = old()
    session = b.open(eio=3)
    link = b.parked(session)
    candidate = b.websocket(session.id, eio=3)
    b.packet(candidate, "2probe")
    b.pass_time(0.2)
    assert link.answer() == (200, b"1:6")
    b.taken()
    b.packet(candidate, "5", "4x")
    assert b.taken() == [Upgraded(), Message("x")]
    assert candidate.drain() == ["3probe"]
    assert session.transport.name == "websocket"


@pytest.mark.rule("engineio-v3-jsonp-answer", "engineio-v3-jsonp-body")
def test_a_session_by_jsonp() -> None:
    b = old()
    link = b.request(b.q(eio=3) + "&j=2&b64=1")
    session = b.events[0][0]
    assert link.body.startswith(b'___eio[2]("')
    assert link.headers.get("content-type") == "text/plain; charset=UTF-8"
    b.taken()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert b.post(session, b"d=7%3A4%5Cn+%C3%A9+%5C%5Cn", headers=form).answer() == (200, b"ok")
    assert b.taken() == [Message("\n é \\n")]
    b.send(session, "a\u2028", b"\x01")
    link = b.poll(session)
    assert link.body == b'___eio[2]("3:4a\\u20286:b4AQ==");'
    assert b.post(session, b"e=1", headers=form).answer() == BAD


@pytest.mark.rule("engineio-v3-jsonp-body")
def test_a_form_of_separators_is_refused_before_it_is_cut() -> None:
    b = old(Limits(payload_packets=3))
    for body, answer in ((b"&&d=2%3A4x", (200, b"ok")), (b"&&&d=2%3A4x", BAD)):
        b.request(b.q(eio=3) + "&j=2")
        assert b.post(b.events[-1][0], body).answer() == answer


def test_old_clients_are_served_only_if_that_is_allowed() -> None:
    b = Bench()
    link = b.request(b.q(eio=3))
    assert link.answer() == (400, b'{"code":5,"message":"Unsupported protocol version"}')


def test_verdicts() -> None:
    b = Bench()
    session = b.open()
    b.poll(session)
    assert b.verdict is WAITING
    b.post(session, "4x")
    assert b.verdict is BODY
