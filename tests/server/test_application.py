"""What answers the requests that are not Socket.IO's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.server.application import File, as_application, files, wsgi

PAGE = File(b"<p>", "text/html")


def asked(target: str = "/", method: str = "GET", **fields: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Request(method, target, Headers([("Host", "a.example:8080"), *pairs]))


class TestFiles:
    def test_a_file_is_served_by_its_exact_path_whatever_the_query(self) -> None:
        serve = files({"/": PAGE})
        response, body = serve(asked("/?x=1"), b"")
        assert (response.status, body) == (200, b"<p>")
        assert response.headers.get("content-type") == "text/html"
        assert serve(asked("/other"), b"")[0].status == 404

    def test_what_is_no_file_is_left_to_the_application(self) -> None:
        serve = files({"/": PAGE}, as_application(lambda question: question.path))
        assert serve(asked("/other"), b"")[1] == b"/other"

    def test_a_client_that_has_the_file_is_told_so(self) -> None:
        tag = PAGE.answer(asked())[0].headers.get("etag")
        assert tag is not None
        for given in (tag, f"W/{tag}", f'"x", {tag}'):
            response, body = PAGE.answer(asked(If_None_Match=given))
            assert (response.status, body, response.headers.get("etag")) == (304, b"", tag)
        assert File(b"<b>", "text/html").etag != tag

    def test_only_get_and_head_are_for_files(self) -> None:
        assert PAGE.answer(asked(method="HEAD"))[0].status == 200
        response, _ = PAGE.answer(asked(method="POST"))
        assert (response.status, response.headers.get("allow")) == (405, "GET, HEAD")


class TestFunctions:
    @pytest.mark.parametrize(
        ("value", "status", "body", "kind"),
        [
            ("é", 200, "é".encode(), "text/plain; charset=utf-8"),
            (b"x", 200, b"x", "text/plain; charset=utf-8"),
            (204, 204, b"", None),
            ((404, "no"), 404, b"no", "text/plain; charset=utf-8"),
            ((200, "{}", [("Content-Type", "application/json")]), 200, b"{}", "application/json"),
        ],
    )
    def test_a_function_may_return_several_things(
        self, value: Any, status: int, body: bytes, kind: str | None
    ) -> None:
        response, got = as_application(lambda _question: value)(asked(), b"")
        assert (response.status, got, response.headers.get("content-type")) == (status, body, kind)

    def test_it_sees_the_request_and_its_body(self) -> None:
        application = as_application(lambda q: f"{q.method} {q.path} {q.query} {q.body!r}")
        assert application(asked("/a?b=1", "POST"), b"c")[1] == b"POST /a b=1 b'c'"

    def test_a_bound_method_of_one_argument_is_a_plain_function(self) -> None:
        class Pages:
            def answer(self, question: Any) -> str:
                return str(question.path)

        assert as_application(Pages().answer)(asked("/p"), b"")[1] == b"/p"


class TestWSGI:
    def test_an_application_gets_its_environment_and_gives_an_answer(self) -> None:
        seen: dict[str, Any] = {}

        def app(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.update(environ)
            start("201 Made", [("X-A", "1"), ("Content-Length", "99"), ("Connection", "close")])
            return [b"a", b"b"]

        response, body = as_application(app)(asked("/p%20q%zz?x=1", "POST", X_B="2"), b"in")
        assert (response.status, response.reason, body) == (201, "Made", b"ab")
        assert list(response.headers) == [("X-A", "1"), ("Content-Length", "2")]
        assert (seen["PATH_INFO"], seen["QUERY_STRING"]) == ("/p q%zz", "x=1")
        assert (seen["SERVER_NAME"], seen["SERVER_PORT"]) == ("a.example", "8080")
        assert (seen["wsgi.input"].read(), seen["HTTP_X_B"]) == (b"in", "2")

    def test_a_field_with_an_underscore_cannot_pass_for_another(self) -> None:
        seen: dict[str, Any] = {}
        request = Request("GET", "/", Headers([("X-User", "a"), ("X_User", "b"), ("x-user", "c")]))

        def app(environ: dict[str, Any], start: Any) -> list[bytes]:
            seen.update(environ)
            start("200 OK", [])
            return []

        wsgi(app, request, b"")
        assert seen["HTTP_X_USER"] == "a,c"

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
