"""WSGI applications as answers to requests (PEP 3333)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.server.http_apps import NOBODY, RemoteAddress
from rawsio.server.wsgi import wsgi as _wsgi


def asked(target: str = "/", method: str = "GET", **fields: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Request(method, target, Headers([("Host", "a.example:8080"), *pairs]))


def whole(result: Any, request: Request) -> tuple[Response, bytes]:
    """Return head and content of an answer, however it comes."""
    if isinstance(result, tuple):
        return result
    pieces: list[bytes] = []
    try:
        while not result.ended:
            result.fetch(lambda: 0.0)
            pieces += result.take()
    finally:
        result.close()
    answered: tuple[Response, bytes] = result.whole(request, pieces)
    return answered


def wsgi(
    app: Any, request: Request, body: bytes, peer: RemoteAddress = NOBODY
) -> tuple[Response, bytes]:
    return whole(_wsgi(app, request, body, peer, most=1000), request)


def environ_of(request: Request, body: bytes = b"", peer: RemoteAddress = NOBODY) -> dict[str, Any]:
    """Return what a WSGI application is told about a request."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(environ)
        start("200 OK", [])
        return []

    wsgi(app, request, body, peer)
    return seen


class TestWSGI:
    def test_an_application_gets_its_environment_and_gives_an_answer(self) -> None:
        seen: dict[str, Any] = {}

        def app(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.update(environ)
            start("201 Made", [("X-A", "1"), ("Content-Length", "99"), ("Connection", "close")])
            return [b"a", b"b"]

        response, body = wsgi(app, asked("/p%20q%zz?x=1", "POST", X_B="2"), b"in")
        assert (response.status, response.reason, body) == (201, "Made", b"ab")
        assert list(response.headers) == [("X-A", "1"), ("Content-Length", "2")]
        assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/p q%zz", "x=1")
        assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("a.example", "8080")
        assert (seen["wsgi.input"].read(), seen["HTTP_X_B"]) == (b"in", "2")

    def test_a_field_with_an_underscore_cannot_pass_for_another(self) -> None:
        request = Request("GET", "/", Headers([("X-User", "a"), ("X_User", "b"), ("x-user", "c")]))
        assert environ_of(request)["HTTP_X_USER"] == "a,c"

    def test_what_it_returns_is_closed_even_when_it_breaks(self) -> None:
        closed = []

        class Parts:
            def __iter__(self) -> Iterator[bytes]:
                yield b"a"
                raise RuntimeError("broken")

            def close(self) -> None:
                closed.append(True)

        def app(_environ: dict[str, Any], start: Any) -> Parts:
            start("200 OK", [])
            return Parts()

        with pytest.raises(RuntimeError, match="broken"):
            wsgi(app, asked(), b"")
        assert closed == [True]

    def test_an_application_that_never_starts_is_an_error(self) -> None:
        with pytest.raises(RuntimeError, match="start_response"):
            wsgi(lambda _environ, _start: [], asked(), b"")

    @pytest.mark.rule("9110-8.6-head")
    def test_the_answer_to_head_has_the_length_that_get_would_have(self) -> None:
        def app(parts: list[bytes], fields: list[tuple[str, str]]) -> Any:
            def ask(_environ: dict[str, Any], start: Any) -> list[bytes]:
                start("200 OK", fields)
                return parts

            return wsgi(ask, asked(method="HEAD"), b"")[0].headers.get("content-length")

        assert app([], [("Content-Length", "7")]) == "7"
        assert app([b"abc"], []) == "3"
        assert app([], []) is None

    @pytest.mark.rule("9112-3.2.2-absolute-form")
    @pytest.mark.parametrize(
        ("target", "host", "name", "port", "given"),
        [
            ("/", "a", "a", "80", "a"),
            ("/", "a:", "a", "80", "a:"),
            ("/", "[::1]", "[::1]", "80", "[::1]"),
            ("/", "[::1]:81", "[::1]", "81", "[::1]:81"),
            ("/", "", "localhost", "80", None),
            ("http://b:81/", "a", "b", "81", "b:81"),
        ],
    )
    def test_it_is_told_which_host_was_asked(
        self, target: str, host: str, name: str, port: str, given: str | None
    ) -> None:
        seen = environ_of(Request("GET", target, Headers([("Host", host)])))
        assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == (name, port)
        assert seen.get("HTTP_HOST") == given

    def test_it_is_told_who_asks_and_whether_tls_is_below(self) -> None:
        seen = environ_of(asked(Host="a"), peer=RemoteAddress("192.0.2.1", secure=True))
        assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("192.0.2.1", "https")
        bare = environ_of(
            Request("GET", "/", Headers([("Host", "a")])), peer=RemoteAddress("", secure=True)
        )
        assert (bare["SERVER_PORT"], "REMOTE_ADDR" in bare) == ("443", False)
        assert environ_of(asked())["wsgi.url_scheme"] == "http"

    def test_it_is_told_whose_certificate_the_client_has_shown(self) -> None:
        shown = {"subject": ((("commonName", "device-7"),),)}
        seen = environ_of(asked(), peer=RemoteAddress("192.0.2.1", secure=True, certificate=shown))
        assert (seen["SSL_CLIENT_VERIFY"], seen["rawsio.certificate"]) == ("SUCCESS", shown)
        seen = environ_of(asked(), peer=RemoteAddress("192.0.2.1", secure=True))
        assert not {"SSL_CLIENT_VERIFY", "rawsio.certificate"} & seen.keys()

    @pytest.mark.parametrize(
        ("path", "info"),
        [("/%41%c3%a9%2F%00", "/A\xc3\xa9/\0"), ("/%+1%-1% 1%1_%a%", "/%+1%-1% 1%1_%a%")],
    )
    def test_only_two_hexadecimal_digits_are_an_escape(self, path: str, info: str) -> None:
        assert environ_of(asked(path))["PATH_INFO"] == info

    def test_a_body_that_came_in_chunks_is_like_any_other(self) -> None:
        seen = environ_of(asked(Transfer_Encoding="chunked", method="POST"), b"a=1")
        assert (seen["CONTENT_LENGTH"], "HTTP_TRANSFER_ENCODING" in seen) == ("3", False)

    def test_cookies_on_two_lines_are_one_list(self) -> None:
        cookies = Headers([("Cookie", "a=1"), ("Cookie", "b=2; c=3")])
        assert environ_of(Request("GET", "/", cookies))["HTTP_COOKIE"] == "a=1; b=2; c=3"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_the_validator_of_the_standard_library_is_content(self, method: str) -> None:
        def app(environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [("Content-Type", "text/plain")])
            return [b"" if method == "HEAD" else environ["wsgi.input"].read(2)]

        for request in (asked("/a?b", method), asked("http://b/", method)):
            wsgi(validator(app), request, b"hi")
        wsgi(validator(app), asked("*", "OPTIONS"), b"")

    def test_write_and_what_is_returned_come_in_their_order(self) -> None:
        def app(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
            write = start("200 OK", [])
            write(b"a")
            yield b"b"
            write(b"c")
            yield b"d"

        assert wsgi(app, asked(), b"")[1] == b"abcd"

        def listed(_environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [])(b"a")
            return [b"b"]

        assert wsgi(listed, asked(), b"")[1] == b"ab"

    def test_a_write_without_an_end_is_refused_at_the_limit(self) -> None:
        def app(_environ: dict[str, Any], start: Any) -> Any:
            write = start("200 OK", [])
            while True:
                write(b"x" * 100)

        with pytest.raises(RuntimeError, match=r"more than 1000 bytes .*limits.written"):
            wsgi(app, asked(), b"")

    def test_the_status_may_change_until_the_head_is_sent(self) -> None:
        def app(_environ: dict[str, Any], start: Any) -> Iterator[bytes]:
            start("200 OK", [])
            for _ in range(2):
                try:
                    raise ValueError("mine")
                except ValueError:
                    start("500 Oh", [("X-A", "1")], sys.exc_info())
                yield b"sorry"

        streaming = _wsgi(app, asked(), b"", most=1000)
        assert not isinstance(streaming, tuple)
        streaming.fetch(iter([0.0, 1.0]).__next__)
        assert streaming.begun() == Response(500, Headers([("X-A", "1")]), "Oh")
        with pytest.raises(ValueError, match="mine"):
            streaming.fetch(lambda: 0.0)

    def test_a_second_start_without_a_reason_is_an_error(self) -> None:
        def app(_environ: dict[str, Any], start: Any) -> list[bytes]:
            start("200 OK", [])
            start("200 OK", [])
            return []

        with pytest.raises(RuntimeError, match="twice"):
            wsgi(app, asked(), b"")

    def test_it_is_told_whether_it_is_called_from_several_threads(self) -> None:
        seen: list[Any] = []

        def app(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.append(environ["wsgi.multithread"])
            start("200 OK", [])
            return []

        for threads in (False, True):
            _wsgi(app, asked(), b"", most=1, threads=threads)
        assert seen == [False, True]

    def test_without_standard_error_its_complaints_go_nowhere(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stderr", None)
        assert environ_of(asked())["wsgi.errors"].write("why") == 3
