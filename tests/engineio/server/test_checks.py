"""Requests that are refused: status, code, message, and what the operator is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rawsio.engineio.server.checks import HookPending, HookResults, RequestError
from rawsio.engineio.server.links import RESPONDED
from rawsio.engineio.server.options import Cors, EngineOptions
from rawsio.errors import Refused
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.limits import Limits

from .links import Bench, RecordingLink

WS = {"Upgrade": "websocket", "Connection": "Upgrade"}
EVIL = {"Origin": "https://evil.example"}


class Told:
    """The hook ``on_connection_error``, remembering."""

    def __init__(self) -> None:
        self.code = -1
        self.message = ""
        self.context: dict[str, Any] = {}

    def __call__(self, _request: object, code: int, message: str, context: dict[str, Any]) -> None:
        self.code, self.message, self.context = code, message, context


def bench(**options: Any) -> tuple[Bench, Told]:
    told = Told()
    return Bench(EngineOptions(on_connection_error=told, **options)), told


def refused(b: Bench, link: RecordingLink) -> tuple[int, int, str]:
    assert b.verdict is RESPONDED
    assert not b.server.sessions
    status, body = link.answer()
    error = json.loads(body)
    assert list(error) == ["code", "message"]
    return status, error["code"], error["message"]


@pytest.mark.rule("engineio-v4-http-transport")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("headers", [{}, WS])
@pytest.mark.parametrize(
    "query",
    [
        "EIO=4",
        "EIO=4&transport=",
        "EIO=4&transport=abc",
        "transport=__proto__",
        "transport=Polling",
    ],
)
def test_an_unknown_transport_is_code_0(method: str, headers: dict[str, str], query: str) -> None:
    b, told = bench()
    link = b.request(query, method, headers=headers)
    assert refused(b, link) == (400, 0, "Transport unknown")
    assert list(told.context) == ["transport"]


def test_a_transport_that_is_switched_off_is_unknown() -> None:
    b, _ = bench(transports=("websocket",))
    assert refused(b, b.request(b.q()))[:2] == (400, 0)


@pytest.mark.rule("engineio-v4-http-session")
@pytest.mark.parametrize(
    "sid",
    ["__proto__", "constructor", "__class__", "x" * 8000, "%00", "%C3%A9", "é", "", "%F0%9F%98%80"],
)
@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_an_id_that_we_did_not_give_is_unknown(sid: str, transport: str, method: str) -> None:
    b, told = bench()
    headers = WS if transport == "websocket" else {}
    link = b.request(f"EIO=4&transport={transport}&sid={sid}", method, headers=headers)
    assert link.body == b'{"code":1,"message":"Session ID unknown"}'
    assert refused(b, link) == (400, 1, "Session ID unknown")
    assert list(told.context) == ["sid"]


@pytest.mark.rule("engineio-v4-handshake-method")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_a_session_begins_with_a_get(method: str) -> None:
    b, told = bench()
    assert refused(b, b.request(b.q(), method)) == (400, 2, "Bad handshake method")
    assert told.context == {"method": method}


@pytest.mark.rule("engineio-v4-handshake-protocol")
@pytest.mark.parametrize("headers", [{}, WS])
@pytest.mark.parametrize("eio", ["", "EIO=", "EIO=abc", "EIO=3", "EIO=04", "EIO=5", "EIO=4%20"])
def test_another_protocol_is_code_5_before_any_101(eio: str, headers: dict[str, str]) -> None:
    b, told = bench()
    transport = "websocket" if headers else "polling"
    link = b.request(f"{eio}&transport={transport}", headers=headers)
    assert refused(b, link) == (400, 5, "Unsupported protocol version")
    assert ("allow_eio3" in told.context.get("message", "")) == (eio == "EIO=3")


@pytest.mark.rule("engineio-v4-http-parameters")
@pytest.mark.parametrize("name", ["EIO=4", "transport=polling", "sid=a"])
def test_a_repeated_parameter_is_code_3(name: str) -> None:
    b, told = bench()
    assert refused(b, b.request(f"EIO=4&transport=polling&sid=a&{name}"))[:2] == (400, 3)
    assert told.context["name"] == "REPEATED_PARAMETER"


@pytest.mark.rule("engineio-v4-http-upgrade")
@pytest.mark.parametrize(
    ("transport", "headers"),
    [("websocket", {}), ("polling", WS), ("websocket", {"Upgrade": "h2c"})],
)
def test_transport_and_upgrade_have_to_agree(transport: str, headers: dict[str, str]) -> None:
    b, told = bench()
    link = b.request(f"EIO=4&transport={transport}", headers=headers)
    assert refused(b, link) == (400, 3, "Bad request")
    assert told.context["name"] == "TRANSPORT_HANDSHAKE_ERROR"


def test_an_upgrade_to_something_else_is_passed_over() -> None:
    b, _ = bench()
    assert b.request(b.q(), headers={"Upgrade": "h2c"}).status == 200


@pytest.mark.rule("engineio-v4-http-origin")
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:3001",
        "http://localhost",
        "http://Localhost.",
    ],
)
@pytest.mark.parametrize("kind", ["poll", "post", "websocket", "upgrade", "handshake"])
def test_a_foreign_page_is_refused_over_both_transports(origin: str, kind: str) -> None:
    b, told = bench()
    session = b.open()
    b.taken()
    sid = session.id if kind in ("poll", "post", "upgrade") else None
    websocket = kind in ("websocket", "upgrade")
    link = b.request(
        b.q(sid, "websocket" if websocket else "polling"),
        "POST" if kind == "post" else "GET",
        headers={"Origin": origin, **(WS if websocket else {})},
    )
    error = json.loads(link.body)
    assert (b.verdict, link.status, error["code"]) == (RESPONDED, 403, 4)
    assert origin in error["message"]
    assert "cors" in error["message"]
    assert told.context == {"message": "ORIGIN_NOT_ALLOWED", "origin": origin}
    assert b.taken() == []
    assert list(b.server.sessions.values()) == [session]


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://LOCALHOST:3000", "https://localhost:3000", None]
)
def test_our_own_pages_and_programs_are_served(origin: str | None) -> None:
    b, _ = bench()
    headers = {} if origin is None else {"Origin": origin}
    assert b.request(b.q(), headers=headers).status == 200


@pytest.mark.rule("engineio-v4-http-origin-form")
def test_an_origin_with_control_characters_is_code_3() -> None:
    b, told = bench()
    assert refused(b, b.request(b.q(), headers={"Origin": "http://a\x7f"}))[:2] == (400, 3)
    assert told.context["name"] == "INVALID_ORIGIN"


@pytest.mark.rule("engineio-v4-http-origin-form")
def test_two_origins_are_code_3_even_if_they_agree() -> None:
    b, told = bench(cors="*")
    fields = [("Host", "a"), ("Origin", "http://a"), ("Origin", "http://a")]
    link = RecordingLink()
    b.verdict = b.server.receive_request(
        link, Request("GET", "/socket.io/?" + b.q(), Headers(fields)), b.now
    )
    assert refused(b, link)[:2] == (400, 3)
    assert told.context == {"name": "INVALID_ORIGIN", "origin": "http://a, http://a"}


@pytest.mark.rule("engineio-v4-http-cors")
def test_every_answer_carries_the_cors_fields() -> None:
    b, _ = bench(cors=Cors(["https://a.example"], credentials=True))
    headers = {"Origin": "https://a.example"}
    for query, method in ((b.q(), "GET"), (b.q("x"), "GET"), (b.q(), "PUT"), ("", "GET")):
        link = b.request(query, method, headers=headers)
        assert link.headers.get("access-control-allow-origin") == "https://a.example"
        assert link.headers.get("access-control-allow-credentials") == "true"
        assert link.headers.get("vary") == "Origin"
    link = b.request(b.q(), headers=EVIL)
    assert link.status == 403
    assert "access-control-allow-origin" not in link.headers


@pytest.mark.rule("engineio-v4-http-preflight")
def test_a_preflight_is_answered_without_a_body() -> None:
    b, _ = bench(cors=["https://a.example"])
    asks = {"Access-Control-Request-Headers": "x-mine", "Origin": "https://a.example"}
    link = b.request(b.q(), "OPTIONS", headers=asks)
    assert (link.status, link.body) == (204, b"")
    assert link.headers.get("access-control-allow-origin") == "https://a.example"
    assert link.headers.get("access-control-allow-methods") == "GET,POST"
    assert link.headers.get("access-control-allow-headers") == "x-mine"
    assert b.request(b.q(), "OPTIONS", headers={**asks, **EVIL}).status == 403
    assert not b.server.sessions


@pytest.mark.rule("engineio-v4-http-host")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LocalHost:3000", 200),
        ("[::1]:3000", 200),
        ("rebound.example", 403),
        ("localhost.rebound.example", 403),
        ("", 403),
    ],
)
def test_only_the_hosts_that_are_allowed_are_answered(host: str, status: int) -> None:
    b, _ = bench(allowed_hosts=("localhost", "[::1]"))
    link = b.request(b.q(), headers={"Host": host})
    assert link.status == status
    if status == 403:
        assert b"allowed_hosts" in link.body


def _raise(error: Exception) -> Any:
    raise error


@pytest.mark.rule("engineio-v4-handshake-allowed")
@pytest.mark.parametrize(
    ("allow", "message"),
    [
        (lambda _r: False, "Forbidden"),
        (lambda _r: "come back tomorrow", "come back tomorrow"),
        (lambda _r: _raise(Refused("not you")), "not you"),
        (lambda _r: Refused("nor you"), "nor you"),
        (lambda _r: _raise(RuntimeError("broken")), "Forbidden"),
        # Whatever else it gives lets nobody pass.
        (lambda _r: 0, "Forbidden"),
        (lambda _r: object(), "Forbidden"),
    ],
)
@pytest.mark.parametrize("headers", [{}, WS])
def test_the_application_may_refuse_a_session(
    allow: Any, message: str, headers: dict[str, str]
) -> None:
    b, told = bench(allow_request=allow)
    link = b.request(b.q(transport="websocket" if headers else "polling"), headers=headers)
    assert refused(b, link) == (403, 4, message)
    assert "message" in told.context


@pytest.mark.parametrize("answer", [None, True])
def test_the_application_is_asked_once_for_a_session(answer: bool | None) -> None:
    asked: list[str] = []

    def allow(request: Any) -> bool | None:
        asked.append(request.query_string)
        return answer

    b, _ = bench(allow_request=allow)
    session = b.open()
    b.poll(session)
    assert asked == ["EIO=4&transport=polling"]


@pytest.mark.rule("engineio-v4-http-middleware")
def test_middleware_sees_each_request_and_may_refuse_it() -> None:
    seen: list[str] = []

    def look(request: Any) -> tuple[int, str] | None:
        seen.append(request.method)
        if "bad" in request.query_string:
            return 401, "who are you?"
        return _raise(RuntimeError("broken")) if "break" in request.query_string else None

    b, told = bench(middleware=(look,))
    b.post(b.open(), "4x")
    assert seen == ["GET", "POST"]
    assert b.request(b.q() + "&bad").answer() == (401, b'{"code":3,"message":"who are you?"}')
    assert b.request(b.q() + "&break").answer() == (400, b'{"code":3,"message":"Bad request"}')
    assert told.context["name"] == "MIDDLEWARE_FAILURE"


@pytest.mark.rule("engineio-v4-http-middleware")
@pytest.mark.parametrize(
    "answer", [0, 1, "no", (200, "ok"), (600, "no"), ("403", "no"), (403, None), (1, 2, 3)]
)
def test_middleware_that_answers_otherwise_refuses(answer: Any) -> None:
    b, told = bench(middleware=(lambda _r: answer,))
    assert b.request(b.q()).answer() == (400, b'{"code":3,"message":"Bad request"}')
    assert isinstance(told.context["error"], TypeError)


@pytest.mark.rule("engineio-v4-http-middleware")
@pytest.mark.parametrize(
    ("answer", "message"),
    [(False, "Forbidden"), (Refused("not you"), "not you"), (RuntimeError, None)],
)
def test_middleware_refuses_with_false_and_with_a_refusal_raised_or_returned(
    answer: Any, message: str | None
) -> None:
    b, told = bench(middleware=(lambda _r: answer,))
    if message is not None:
        body = f'{{"code":3,"message":"{message}"}}'.encode()
        assert b.request(b.q()).answer() == (403, body)
        b, told = bench(middleware=(lambda _r: _raise(Refused("raised")),))
        assert b.request(b.q()).answer()[0] == 403
        assert "error" not in told.context
    else:
        assert b.request(b.q()).answer()[0] == 400


async def _later(_request: Any) -> None:
    """Its result is given by the test."""


def _ask(b: Bench, link: RecordingLink, answers: HookResults | None) -> HookResults:
    request = Request("GET", f"/socket.io/?{b.q()}", Headers([("Host", "a")]))
    with pytest.raises(HookPending) as question:
        b.server.receive_request(link, request, b.now, answers)
    question.value.coroutine.close()
    return question.value.answers


def test_a_hook_that_takes_its_time_is_asked_once_and_the_request_judged_again() -> None:
    seen: list[str] = []
    hooks = (_later, lambda _r: seen.append("second"))
    limits = Limits(handshakes_per_second=0.1)  # one in ten seconds
    options = EngineOptions(middleware=hooks, allow_request=_later, generate_id=_later)
    b, link = Bench(options, limits), RecordingLink()
    answers = None
    for result in (None, True, "my-id"):
        answers = _ask(b, link, answers)
        assert (link.responses, b.server.sessions) == ([], {})
        answers.took(result, None)
    request = Request("GET", f"/socket.io/?{b.q()}", Headers([("Host", "a")]))
    assert b.server.receive_request(link, request, b.now, answers) is RESPONDED
    assert list(b.server.sessions) == ["my-id"]
    assert seen == ["second"]


@pytest.mark.parametrize(
    ("option", "status", "error"),
    [
        ("middleware", 403, b'3,"message":"no"'),
        ("allow_request", 403, b'4,"message":"no"'),
    ],
)
def test_what_a_hook_raises_later_refuses_as_if_it_had_raised_at_once(
    option: str, status: int, error: bytes
) -> None:
    b, _ = bench(**{option: (_later,) if option == "middleware" else _later})
    link = RecordingLink()
    answers = _ask(b, link, None)
    answers.took(None, Refused("no"))
    request = Request("GET", f"/socket.io/?{b.q()}", Headers([("Host", "a")]))
    b.server.receive_request(link, request, b.now, answers)
    assert link.answer() == (status, b'{"code":' + error + b"}")


@pytest.mark.rule("engineio-v3-jsonp-index")
@pytest.mark.parametrize(
    ("index", "eio3"),
    [("0", False), ("", True), ("x", True), ("-1", True), ("1" * 11, True), ("٣", True)],
)
def test_jsonp_is_for_protocol_3_and_its_index_a_short_number(index: str, eio3: bool) -> None:
    b, told = bench(allow_eio3=eio3)
    assert refused(b, b.request(b.q() + f"&j={index}"))[:2] == (400, 3)
    assert told.context["name"] == "INVALID_JSONP_INDEX"


SCRIPT = "EIO=3&transport=polling&j=0"
OWN_PAGE = {"Referer": "http://localhost:3000/page?x#y"}
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux)"}
CORS_PAGE = {"Referer": "https://a.example", "Sec-Fetch-Site": "cross-site"}


@pytest.mark.rule("engineio-v3-jsonp-page")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (BROWSER, 403),
        ({"User-Agent": "Opera/9.80 (X11; Linux)"}, 403),
        ({"Referer": ""}, 403),
        ({"Referer": "https://evil.example/"}, 403),
        ({"Referer": "https://evil.example/http://localhost:3000/"}, 403),
        ({"Referer": "http://localhost:3000@evil.example/"}, 403),
        ({"Referer": "http://localhost:3000.evil.example/"}, 403),
        ({"Referer": "localhost:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example", **OWN_PAGE}, 403),
        (OWN_PAGE, 200),
        ({"Referer": "http://localhost:3000"}, 200),
        (CORS_PAGE, 200),
        ({**BROWSER, **OWN_PAGE}, 200),
        ({}, 200),
        ({"User-Agent": "curl/8.0 (like Mozilla/5.0)"}, 200),
    ],
)
def test_a_script_is_only_for_pages_that_may_use_the_server(
    headers: dict[str, str], status: int
) -> None:
    b, _ = bench(allow_eio3=True, cors="https://a.example")
    assert b.request(SCRIPT, headers=headers).status == status
    assert len(b.server.sessions) == (status == 200)


@pytest.mark.rule("engineio-v3-jsonp-page")
def test_a_script_is_for_every_page_if_the_server_is() -> None:
    b, _ = bench(allow_eio3=True, cors="*")
    assert b.request(SCRIPT, headers=BROWSER).status == 200


def test_an_error_carries_its_rule_and_code() -> None:
    error = RequestError(2, "engineio-v4-handshake-method", {})
    assert (error.code, error.status, error.message) == (2, 400, "Bad handshake method")


def test_a_page_is_known_by_its_origin_alone_where_the_answer_is_no_script() -> None:
    b = Bench()
    link = b.request(b.q(), headers={"Referer": "https://evil.example/", "Host": "localhost:3000"})
    assert link.status == 200
