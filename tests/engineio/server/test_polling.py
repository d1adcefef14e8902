"""Requests read, and answers written, without any session."""

from __future__ import annotations

import zlib

import pytest

from rawsio.engineio.server import polling
from rawsio.engineio.server.polling import Query, parameters, read_query
from rawsio.errors import EngineIOError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.prepared import prepare
from rawsio.socketio.packets import Event


def get(query: str, **fields: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Request("GET", "/socket.io/?" + query, Headers(pairs))


@pytest.mark.rule("engineio-v4-http-query")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Query(None, None, None, False, None)),
        ("EIO=4&transport=polling", Query("4", "polling", None, False, None)),
        ("EIO=4&transport=polling&sid=a&t=x&b64=1", Query("4", "polling", "a", True, None)),
        ("%45IO=%34&transport=pollin%67", Query("4", "polling", None, False, None)),
        ("EIO=4&b64=&j=0", Query("4", None, None, False, "0")),
        ("eio=4&Transport=polling", Query(None, None, None, False, None)),
        ("EIO=4;transport=polling", Query("4;transport=polling", None, None, False, None)),
        ("EIO&sid=", Query("", None, "", False, None)),
    ],
)
def test_the_query_says_what_is_asked_for(query: str, expected: Query) -> None:
    assert read_query(get(query)) == expected


@pytest.mark.rule("engineio-v4-http-parameters")
@pytest.mark.parametrize("name", ["EIO", "transport", "sid", "b64", "j"])
def test_a_parameter_given_twice_is_refused(name: str) -> None:
    with pytest.raises(EngineIOError) as caught:
        read_query(get(f"{name}=4&x=1&{name}=4"))
    assert caught.value.rule == "engineio-v4-http-parameters"
    assert read_query(get("EIO=4&mine=1&mine=2")).protocol == "4"


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a", [("a", "")]),
        ("a=1&&b=2", [("a", "1"), ("", ""), ("b", "2")]),
        ("a=%zz&b=%", [("a", "%zz"), ("b", "%")]),
        ("a=%ff", [("a", "\ufffd")]),
        ("a=x=y", [("a", "x=y")]),
    ],
)
def test_parameters_are_decoded_and_never_raise(query: str, pairs: list[tuple[str, str]]) -> None:
    assert parameters(query) == pairs


@pytest.mark.rule("engineio-v4-http-error")
@pytest.mark.parametrize("code", range(6))
def test_errors_are_compact_json(code: int) -> None:
    response, body = polling.error_answer(400, code)
    message = polling.MESSAGES[code]
    assert body == f'{{"code":{code},"message":"{message}"}}'.encode()
    assert list(response.headers) == [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ]


def test_a_message_of_ones_own_is_escaped() -> None:
    assert polling.error_answer(403, 4, 'no "é"')[1] == b'{"code":4,"message":"no \\"\\u00e9\\""}'


@pytest.mark.rule("engineio-v4-polling-ok")
def test_a_post_is_answered_ok_as_html() -> None:
    response, body = polling.ok_answer([("X", "1")])
    assert (response.status, body) == (200, b"ok")
    assert response.headers.get("content-type") == "text/html"
    assert response.headers.get("content-length") == "2"
    assert response.headers.get("x") == "1"


def test_answers_without_a_body() -> None:
    assert polling.empty_answer(413)[0].headers.get("content-length") == "0"
    assert "content-length" not in polling.empty_answer(204)[0].headers


@pytest.mark.rule("engineio-v4-polling-answer")
def test_a_poll_is_answered_as_text_that_nobody_stores() -> None:
    response, body = polling.payload_answer(["4€", b"\x01"])
    assert body == "4€\x1ebAQ==".encode()
    assert list(response.headers) == [
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Cache-Control", "no-store"),
        ("Content-Length", "10"),
    ]


@pytest.mark.rule("engineio-v4-polling-compression")
@pytest.mark.parametrize(("coding", "wrapper"), [("gzip", 31), ("deflate", 15)])
def test_long_answers_are_compressed_as_the_client_takes_them(coding: str, wrapper: int) -> None:
    response, body = polling.payload_answer(["4" + "x" * 2000], compression=(coding, 1024))
    assert response.headers.get("content-encoding") == coding
    assert response.headers.get("content-length") == str(len(body))
    assert zlib.decompress(body, wrapper) == b"4" + b"x" * 2000
    short, _ = polling.payload_answer(["4x"], compression=(coding, 1024))
    assert "content-encoding" not in short.headers


@pytest.mark.rule("engineio-v4-polling-compression")
def test_what_is_sent_with_compress_false_is_not_compressed() -> None:
    plain, usual = (prepare(Event("/", ["x" * 2000]), compress=flag) for flag in (False, True))
    for packets, compressed in (([plain], False), ([plain, usual], True), ([plain, "2"], True)):
        response, _ = polling.payload_answer(packets, compression=("gzip", 1024))
        assert ("content-encoding" in response.headers) is compressed


@pytest.mark.rule("engineio-v3-payload-binary", "engineio-v3-jsonp-answer")
def test_polls_of_protocol_3_have_their_own_forms() -> None:
    packets = ["4a", b"\x04\x01"]
    response, body = polling.payload_answer(packets, revision=3)
    assert response.headers.get("content-type") == "application/octet-stream"
    assert body == bytes.fromhex("00 02 ff 34 61 01 02 ff 04 01")
    response, body = polling.payload_answer(packets, revision=3, base64=True)
    assert response.headers.get("content-type") == "text/plain; charset=UTF-8"
    assert body == b"2:4a6:b4AQ=="
    _, body = polling.payload_answer(packets, revision=3, jsonp="3")
    assert body == b'___eio[3]("2:4a6:b4AQ==");'


def test_a_request_is_kept_as_bytes_and_read_again() -> None:
    request = get("EIO=4&x=%20", host="a", cookie="b=\xe9")
    assert polling.thaw(polling.freeze(request)) == request
