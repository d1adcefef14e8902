"""The opening handshake, field by field, in both roles."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rawsio.errors import HTTPError, LocalProtocolError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.websocket.deflate import Agreement, DeflateOptions
from rawsio.websocket.handshake import (
    Accepted,
    Confirmed,
    Rejected,
    accept,
    accept_key,
    confirm,
    offer,
    refusal,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
DEFLATE = DeflateOptions()


def request(
    *more: tuple[str, str], without: str = "", method: str = "GET", version: str = "1.1"
) -> Request:
    """Return a good request, with fields added or one left out."""
    fields = [
        ("Host", "server.example.com"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    ]
    kept = [(n, v) for n, v in fields if n != without]
    return Request(method, "/chat", Headers([*kept, *more]), version)


def replaced(name: str, *values: str) -> Request:
    return request(*((name, value) for value in values), without=name)


def refused(message: Request, **options: Any) -> tuple[str, int]:
    with pytest.raises(HTTPError) as caught:
        accept(message, **options)
    return caught.value.rule, caught.value.code


# The server


@pytest.mark.rule(
    "6455-4.2.2-101", "6455-4.2.2-accept", "6455-4.2.1-get", "6455-4.2.1-upgrade",
    "6455-4.2.1-connection", "6455-4.2.1-key", "6455-4.2.2-version",
)  # fmt: skip
def test_the_sample_of_the_rfc() -> None:
    accepted = accept(
        request(("Origin", "http://example.com"), ("Sec-WebSocket-Protocol", "chat, superchat")),
        protocols=["chat"],
    )
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
        ("Sec-WebSocket-Protocol", "chat"),
    ]
    response = Response(101, Headers(fields), "Switching Protocols")
    assert accepted == Accepted(response, None, "chat")
    assert accept_key(KEY) == ACCEPT


@pytest.mark.rule("6455-4.2.1-get")
@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "CONNECT"])
def test_only_get_opens_a_websocket(method: str) -> None:
    assert refused(request(method=method)) == ("6455-4.2.1-get", 405)


@pytest.mark.rule("6455-4.2.1-http-version")
def test_http_1_0_cannot_open_a_websocket() -> None:
    assert refused(request(version="1.0")) == ("6455-4.2.1-http-version", 400)


@pytest.mark.rule("6455-4.2.1-host")
def test_there_is_one_host() -> None:
    assert refused(request(without="Host")) == ("6455-4.2.1-host", 400)
    assert refused(request(("host", "other")))[0] == "6455-4.2.1-host"


@pytest.mark.rule("6455-4.2.1-upgrade")
@pytest.mark.parametrize("values", [[], ["h2c"], ["web socket"], ["websockets"], [""]])
def test_upgrade_names_websocket(values: list[str]) -> None:
    assert refused(replaced("Upgrade", *values)) == ("6455-4.2.1-upgrade", 426)


@pytest.mark.rule("6455-4.2.1-connection")
@pytest.mark.parametrize("values", [[], ["close"], ["keep-alive"], ["up-grade"], ["\x0bUpgrade"]])
def test_connection_names_upgrade(values: list[str]) -> None:
    assert refused(replaced("Connection", *values)) == ("6455-4.2.1-connection", 400)


@pytest.mark.rule("6455-4.2.1-upgrade", "6455-4.2.1-connection")
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Upgrade", ["WebSocket"]),
        ("Upgrade", ["h2c, WEBSOCKET"]),
        ("Upgrade", ["h2c", "websocket"]),
        ("Connection", ["keep-alive, Upgrade"]),
        ("Connection", ["keep-alive", "upgrade"]),
        ("Connection", [" , UPGRADE ,"]),
    ],
)
def test_upgrade_and_connection_are_lists_without_case(name: str, values: list[str]) -> None:
    assert accept(replaced(name, *values)).response.status == 101


@pytest.mark.rule("6455-4.2.1-key")
@pytest.mark.parametrize(
    "values",
    [
        [],
        [""],
        ["dGhlIHNhbXBsZSBub25jZQ="],
        ["dGhlIHNhbXBsZSBub25jZQ"],
        ["dGhlIHNhbXBsZSBub25jZQ==="],
        ["dGhlIHNhbXBsZSBub25jZQAA=="],
        ["dGhlIHNhbXBsZSBub25j"],
        ["dGhlIHNhbXBsZSBub25jZ-=="],
        ["dGhlIHNhbXBsZSBub25jZ\u00e9=="],
        [KEY + "\n"],
        [KEY, KEY],
        [f"{KEY}, {KEY}"],
    ],
)
def test_the_key_is_16_bytes_in_base64_and_comes_once(values: list[str]) -> None:
    assert refused(replaced("Sec-WebSocket-Key", *values)) == ("6455-4.2.1-key", 400)


@pytest.mark.rule("6455-4.2.2-version", "9110-7.8-required")
@pytest.mark.parametrize(
    "values", [[], ["8"], ["14"], ["013"], ["13 "], ["13", "13"], ["13, 8"], ["x"], [""]]
)
def test_another_version_is_told_ours(values: list[str]) -> None:
    with pytest.raises(HTTPError) as caught:
        accept(replaced("Sec-WebSocket-Version", *values))
    assert (caught.value.rule, caught.value.code) == ("6455-4.2.2-version", 426)
    response, body = refusal(caught.value)
    assert response.status == 426
    assert response.headers.get_all("sec-websocket-version") == ["13"]
    assert response.headers.tokens("upgrade") == ["websocket"]
    assert response.headers.get("content-length") == str(len(body))


@pytest.mark.rule("6455-4.1-no-body")
@pytest.mark.parametrize("field", [("Content-Length", "5"), ("Transfer-Encoding", "chunked")])
def test_the_request_has_no_body(field: tuple[str, str]) -> None:
    assert refused(request(field)) == ("6455-4.1-no-body", 400)
    assert accept(request(("Content-Length", "0"))).response.status == 101


@pytest.mark.rule("6455-4.2.2-error")
def test_a_refusal_says_what_helps() -> None:
    response, _ = refusal(HTTPError("no", "6455-4.2.1-get", 405))
    assert response.headers.get("allow") == "GET"
    response, body = refusal(HTTPError("caf\u00e9", "6455-4.2.1-key"))
    assert (response.status, body) == (400, b"caf?\n")
    assert "allow" not in response.headers
    assert "upgrade" not in response.headers


@pytest.mark.rule("6455-4.2.2-protocol", "6455-4.1-protocol-grammar")
@pytest.mark.parametrize(
    ("offered", "ours", "chosen"),
    [
        ([], ["a"], None),
        (["a"], [], None),
        (["a, b"], ["b", "a"], "a"),
        (["x", "b , a"], ["a", "b"], "b"),
        (["A"], ["a"], None),
    ],
)
def test_the_first_protocol_of_the_client_that_we_speak_is_chosen(
    offered: list[str], ours: list[str], chosen: str | None
) -> None:
    accepted = accept(replaced("Sec-WebSocket-Protocol", *offered), protocols=ours)
    assert accepted.protocol == chosen
    answers = accepted.response.headers.get_all("sec-websocket-protocol")
    assert answers == ([] if chosen is None else [chosen])


@pytest.mark.rule("6455-4.1-protocol-grammar")
@pytest.mark.parametrize(
    "values", [[""], [","], ["a b"], ["a, a"], ["a", "a"], ["a;b"], ["\xe9"], ["\x85"], ["a\x0b"]]
)
def test_protocols_are_distinct_tokens(values: list[str]) -> None:
    message = replaced("Sec-WebSocket-Protocol", *values)
    assert refused(message, protocols=["a"]) == ("6455-4.1-protocol-grammar", 400)


@pytest.mark.rule(
    "6455-9.1-agreed", "7692-7-first-acceptable", "7692-7.1-decline", "6455-4.2.2-extensions",
    "7692-6-conflict",
)  # fmt: skip
@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        (["permessage-deflate"], "permessage-deflate"),
        (["permessage-deflate; client_max_window_bits"], "permessage-deflate"),
        (["x-webkit-deflate-frame, permessage-deflate; client_max_window_bits"],
         "permessage-deflate"),
        (["permessage-deflate; unknown", "permessage-deflate; server_max_window_bits=10"],
         "permessage-deflate; server_max_window_bits=10"),
        (["x-webkit-deflate-frame", "permessage-deflate", "permessage-deflate; unknown, mux"],
         "permessage-deflate"),
        (["permessage-deflate; client_no_context_takeover, permessage-deflate"],
         "permessage-deflate; client_no_context_takeover"),
        (["permessage-deflate; server_max_window_bits=7"], None),
        (["constructor, __proto__; a=b"], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_first_acceptable_offer_is_accepted(offered: list[str], answer: str | None) -> None:
    message = replaced("Sec-WebSocket-Extensions", *offered)
    accepted = accept(message, deflate=DEFLATE)
    assert accepted.response.headers.get("sec-websocket-extensions") == answer
    assert (accepted.agreement is not None) == (answer is not None)
    # Without the option it is off.
    assert accept(message).agreement is None
    assert "sec-websocket-extensions" not in accept(message).response.headers


@pytest.mark.rule("6455-9.1-grammar")
def test_malformed_extensions_are_refused_even_if_none_is_wanted() -> None:
    assert refused(replaced("Sec-WebSocket-Extensions", "a=b")) == ("6455-9.1-grammar", 400)


@pytest.mark.rule("6455-4.2.1-no-origin", "6455-10.2-origin")
def test_origins_are_compared_with_a_list() -> None:
    ours = ["https://example.com"]
    for origin in ("https://example.com", "HTTPS://Example.com"):
        assert accept(request(("Origin", origin)), origins=ours).response.status == 101
    assert accept(request(), origins=ours).response.status == 101
    for origin in ("https://evil.example", "null", "", "https://example.com.evil.example"):
        assert refused(request(("Origin", origin)), origins=ours) == ("6455-10.2-origin", 403)
    twice = request(("Origin", ours[0]), ("Origin", ours[0]))
    assert refused(twice, origins=ours) == ("6455-10.2-origin", 403)
    assert accept(request(("Origin", "https://evil.example"))).response.status == 101


@pytest.mark.rule("6455-10.2-host")
def test_hosts_are_compared_with_a_list() -> None:
    assert accept(request(), hosts=["Server.Example.com"]).response.status == 101
    assert refused(request(), hosts=["example.com"]) == ("6455-10.2-host", 421)


def test_every_byte_above_ascii_in_every_field_is_answered() -> None:
    for name in ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
                 "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Origin"):  # fmt: skip
        for octet in range(0x80, 0x100):
            message = replaced(name, chr(octet))
            if name == "Origin":
                assert accept(message).response.status == 101
            else:
                response, body = refusal(_caught(message))
                assert response.status in (400, 426)
                assert body.isascii()


def _caught(message: Request) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        accept(message)
    return caught.value


# The client


def nonce(count: int) -> bytes:
    return b"the sample nonce"[:count]


@pytest.mark.rule("6455-4.1-request", "6455-4.1-nonce")
def test_what_a_client_sends() -> None:
    made = offer(
        "/chat?x=1",
        "server.example.com",
        random_bytes=nonce,
        headers=[("Origin", "http://example.com")],
        protocols=["chat", "superchat"],
        deflate=DEFLATE,
    )
    assert made == Request(
        "GET",
        "/chat?x=1",
        Headers(
            [
                ("Host", "server.example.com"),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", KEY),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Protocol", "chat, superchat"),
                ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
                ("Origin", "http://example.com"),
            ]
        ),
    )
    assert accept(made).response.status == 101


@pytest.mark.rule("6455-4.1-nonce")
def test_each_request_has_its_own_key() -> None:
    keys = {offer("/", "a").headers.get("sec-websocket-key") for _ in range(20)}
    assert len(keys) == 20


@pytest.mark.rule(
    "6455-11.1-ascii", "6455-4.1-request", "6455-3-fragment", "6455-4.1-protocol-grammar",
    "6455-4.1-target",
)  # fmt: skip
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("/a b", "h"), {}),
        (("/a\r\nX: y", "h"), {}),
        (("", "h"), {}),
        (("/#f", "h"), {}),
        (("chat", "h"), {}),
        (("*", "h"), {}),
        (("ws://h/chat", "h"), {}),
        (("/\u00e9", "h"), {}),
        *[((f"/{c}", "h"), {}) for c in '"<>\\^`{|}\x7f'],
        (("/%", "h"), {}),
        (("/%4", "h"), {}),
        (("/%4g", "h"), {}),
        (("/?%zz", "h"), {}),
        (("http://other/chat", "h"), {}),
        (("http://h:81/chat", "h"), {}),
        (("http://hh/chat", "h"), {}),
        (("http://user@h/chat", "h"), {}),
        (("http:///chat", "h"), {}),
        (("http:///chat", ""), {}),
        (("/", "h\r\nX: y"), {}),
        (("/", ""), {}),
        (("/", ":80"), {}),
        (("/", "a/b"), {}),
        (("/", "user@h"), {}),
        (("/", "a:b:c"), {}),
        (("/", "::1"), {}),
        (("/", "h:123456"), {}),
        (("/", "h"), {"protocols": ["a b"]}),
        (("/", "h"), {"protocols": ["a", "a"]}),
        (("/", "h"), {"protocols": ["a\r\n"]}),
        (("/", "h"), {"headers": [("X", "a\r\nb")]}),
        (("/", "h"), {"headers": [("X", "a\0b")]}),
        (("/", "h"), {"headers": [("X: a\r\nY", "b")]}),
        (("/", "h"), {"headers": [("sec-websocket-KEY", KEY)]}),
        (("/", "h"), {"headers": [("Host", "other")]}),
        (("/", "h"), {"headers": [("Transfer-Encoding", "chunked")]}),
    ],
)
def test_what_may_not_be_written_is_refused(arguments: Any, options: Any) -> None:
    with pytest.raises(LocalProtocolError):
        offer(*arguments, **options)


@pytest.mark.rule("6455-4.1-target", "6455-3-hash")
def test_the_target_may_be_an_absolute_uri() -> None:
    for target in ("/", "//a?b=%23", "http://h/chat", "https://H?x=1", "http://h"):
        assert offer(target, "h").target == target
    every = "/-._~!$&'()*+,;=:@/aZ09%C3%a9?x=/?:@"
    assert offer(every, "h").target == every
    for host in ("h", "h:80", "a-b.example:3000", "127.0.0.1:1", "[::1]", "[::1]:3000", "a_b"):
        assert offer(f"http://{host}/", host).headers.get("host") == host


def test_a_hostile_target_takes_linear_time() -> None:
    for target in (
        "http://" + "h" * 50_000 + "\x7f",
        "/" + "%41" * 20_000 + "%",
        "/" * 50_000 + "|",
    ):
        with pytest.raises(LocalProtocolError):
            offer(target, "h")


def test_one_string_is_not_a_list() -> None:
    """Its characters would be: a client that names ``h`` would speak ``chat``."""
    one: Any = "chat"
    with pytest.raises(TypeError, match="protocols"):
        offer("/", "h", protocols=one)
    for name in ("protocols", "origins", "hosts"):
        with pytest.raises(TypeError, match=name):
            accept(request(), **{name: one})


def test_without_zlib_compression_is_neither_offered_nor_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asking = offer("/", "h", deflate=DEFLATE)
    monkeypatch.setitem(sys.modules, "zlib", None)
    assert "sec-websocket-extensions" not in offer("/", "h", deflate=DEFLATE).headers
    assert accept(asking, deflate=DEFLATE).agreement is None


def answered(*fields: tuple[str, str], status: int = 101, without: str = "") -> Response:
    usual = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]
    kept = [(n, v) for n, v in usual if n != without]
    return Response(status, Headers([*kept, *fields]), "Some Reason")


ASKED = offer(
    "/", "h", random_bytes=nonce, protocols=["chat", "superchat"], deflate=DEFLATE
)  # fmt: skip
PLAIN = offer("/", "h", random_bytes=nonce)


@pytest.mark.rule("6455-4.1-accept", "6455-4.1-protocol", "6455-4.1-extensions")
def test_a_good_response_is_confirmed() -> None:
    for asked in (PLAIN, ASKED):
        assert confirm(asked, answered()) == Confirmed(None, None)
    response = answered(
        ("Sec-WebSocket-Protocol", "superchat"),
        ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"),
    )
    assert confirm(ASKED, response) == Confirmed(Agreement(True), "superchat")
    settings = DeflateOptions(threshold=5, level=1)
    assert confirm(ASKED, response, deflate=settings).agreement == Agreement(
        True, threshold=5, level=1
    )


def rejected(request_: Request, response: Response) -> str:
    with pytest.raises(Rejected) as caught:
        confirm(request_, response)
    assert caught.value.response is response
    assert caught.value.code == response.status
    return caught.value.rule


@pytest.mark.rule("6455-4.1-status")
@pytest.mark.parametrize("status", [100, 200, 204, 301, 302, 307, 401, 403, 404, 426, 500, 503])
def test_any_other_status_is_surfaced_with_its_response(status: int) -> None:
    response = answered(("Location", "/there"), status=status)
    assert rejected(ASKED, response) == "6455-4.1-status"


@pytest.mark.parametrize(
    ("response", "rule"),
    [
        (answered(without="Upgrade"), "6455-4.1-upgrade"),
        (answered(("Upgrade", "h2c"), without="Upgrade"), "6455-4.1-upgrade"),
        (answered(("Upgrade", "websocket, h2c"), without="Upgrade"), "6455-4.1-upgrade"),
        (answered(without="Connection"), "6455-4.1-connection"),
        (answered(("Connection", "close"), without="Connection"), "6455-4.1-connection"),
        (answered(without="Sec-WebSocket-Accept"), "6455-4.1-accept"),
        (answered(("Sec-WebSocket-Accept", ACCEPT)), "6455-4.1-accept"),
        (answered(("Sec-WebSocket-Accept", ACCEPT.lower()), without="Sec-WebSocket-Accept"),
         "6455-4.1-accept"),
        (answered(("Sec-WebSocket-Protocol", "other")), "6455-4.1-protocol"),
        (answered(("Sec-WebSocket-Protocol", "")), "6455-4.1-protocol"),
        (answered(("Sec-WebSocket-Protocol", "chat, superchat")), "6455-4.1-protocol"),
        (answered(("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "chat")),
         "6455-4.1-protocol"),
        (answered(("Sec-WebSocket-Extensions", "other")), "6455-4.1-extensions"),
        *[(answered(("Sec-WebSocket-Extensions", both)), "6455-4.1-extensions")
          for both in ("permessage-deflate, permessage-deflate", "permessage-deflate, other",
                       "other, permessage-deflate")],
        (answered(("Sec-WebSocket-Extensions", "permessage-deflate; x=")), "6455-9.1-grammar"),
        (answered(("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=16")),
         "7692-7.1-answer"),
    ],
)  # fmt: skip
@pytest.mark.rule(
    "6455-4.1-upgrade",
    "6455-4.1-connection",
    "6455-4.1-accept",
    "6455-4.1-protocol",
    "6455-4.1-extensions",
    "6455-9.1-grammar",
    "7692-6-conflict-answer",
    "7692-7.1-answer",
)
def test_a_101_that_breaks_a_rule_is_rejected(response: Response, rule: str) -> None:
    assert rejected(ASKED, response) == rule


@pytest.mark.rule("6455-4.1-http-version")
def test_http_1_0_cannot_switch_protocols() -> None:
    """It knows no 1xx (RFC 9110 section 15.2), so this 101 is not what RFC 9110 calls one."""
    response = answered()
    response.version = "1.0"
    assert rejected(PLAIN, response) == "6455-4.1-http-version"
    response = answered(status=404)
    response.version = "1.0"
    assert rejected(PLAIN, response) == "6455-4.1-status"


@pytest.mark.rule("6455-11.3.2-once")
def test_extensions_are_answered_in_one_line() -> None:
    name = "Sec-WebSocket-Extensions"
    response = answered((name, "permessage-deflate"), (name, ","))
    assert rejected(ASKED, response) == "6455-11.3.2-once"


@pytest.mark.rule("6455-4.1-protocol", "6455-4.1-extensions")
def test_what_was_not_asked_for_is_rejected() -> None:
    response = answered(("Sec-WebSocket-Protocol", "chat"))
    assert rejected(PLAIN, response) == "6455-4.1-protocol"
    response = answered(("Sec-WebSocket-Extensions", "permessage-deflate"))
    assert rejected(PLAIN, response) == "6455-4.1-extensions"


def test_both_halves_agree() -> None:
    wanted = DeflateOptions(server_max_window_bits=10, client_no_context_takeover=True)
    asked = offer("/", "h", protocols=["b", "a"], deflate=wanted)
    accepted = accept(asked, protocols=["a", "b"], deflate=DeflateOptions(threshold=7))
    confirmed = confirm(asked, accepted.response, deflate=wanted)
    assert confirmed.protocol == accepted.protocol == "b"
    assert accepted.agreement == Agreement(False, True, 10, threshold=7)
    assert confirmed.agreement == Agreement(False, True, 10)
