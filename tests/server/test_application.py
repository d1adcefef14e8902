"""What answers the requests that are not Socket.IO's."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.server.application import NOBODY, File, Peer, as_application, files, wsgi

PAGE = File(b"<p>", "text/html")


def environ_of(request: Request, body: bytes = b"", peer: Peer = NOBODY) -> dict[str, Any]:
    """Return what a WSGI application is told about a request."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(environ)
        start("200 OK", [])
        return []

    wsgi(app, request, body, peer)
    return seen


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

    @pytest.mark.rule("9110-13.1.2-none-match", "9110-13.1.2-weak", "9110-8.8.3-weak")
    @pytest.mark.rule("9110-15.4.5-fields", "9110-15.4.5-no-more", "9110-8.8.1-weak-changes")
    @pytest.mark.rule("9110-8.8.3-send", "9110-15.3.1-validators")
    def test_a_client_that_has_the_file_is_told_so(self) -> None:
        tag = PAGE.answer(asked())[0].headers.get("etag")
        assert tag is not None
        assert tag.startswith('W/"')
        for given in (tag, tag[2:], f'"x", {tag}', f'{tag}, W/"x"', "*"):
            response, body = PAGE.answer(asked(If_None_Match=given))
            assert (response.status, body, response.headers.get("etag")) == (304, b"", tag)
            assert [name for name, _ in response.headers] == ["Cache-Control", "ETag"]
        assert File(b"<b>", "text/html").etag != tag
        two = Headers([("If-None-Match", '"x"'), ("If-None-Match", tag)])
        assert PAGE.answer(Request("GET", "/", two))[0].status == 304
        for given in ('"x"', tag[2:-1], f'"x{tag[3:]}', '"*"'):
            assert PAGE.answer(asked(If_None_Match=given))[0].status == 200
        strong = File(b"<p>", "text/html", '"1"')
        for given in ('"1"', 'W/"1"'):
            assert strong.answer(asked(If_None_Match=given))[0].status == 304

    @pytest.mark.rule("9110-13.1.1-match", "9110-13.1.1-strong")
    def test_a_client_that_wants_another_content_gets_none(self) -> None:
        strong = File(b"<p>", "text/html", '"1"')
        for given in ('"1"', 'W/"2", "1"', '"a,b","1"', "*"):
            assert strong.answer(asked(If_Match=given))[0].status == 200
        for given in ('"2"', 'W/"1"', '"11"', '"*"', "1", ""):
            response, body = strong.answer(asked(If_Match=given))
            assert (response.status, body) == (412, b"")
        both = asked(If_Match='"2"', If_None_Match='"1"')
        assert strong.answer(both)[0].status == 412
        tag = PAGE.answer(asked())[0].headers.get("etag")  # a weak one is equal to none
        assert PAGE.answer(asked(If_Match=tag))[0].status == 412

    def test_a_long_file_is_compressed_for_who_asks_and_each_form_has_its_tag(self) -> None:
        file = File(b"x" * 5000, "text/javascript")
        plain, body = file.answer(asked())
        assert (plain.headers.get("content-encoding"), len(body)) == (None, 5000)
        tags = {plain.headers.get("etag")}
        for coding, inflate in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
            response, body = file.answer(asked(Accept_Encoding=coding))
            assert response.headers.get("content-encoding") == coding
            assert response.headers.get("content-length") == str(len(body))
            assert inflate(body) == file.data
            assert file.answer(asked(Accept_Encoding=coding))[1] is body
            tag = response.headers.get("etag") or ""
            again, nothing = file.answer(asked(Accept_Encoding=coding, If_None_Match=tag))
            assert (again.status, nothing, again.headers.get("etag")) == (304, b"", tag)
            assert file.answer(asked(If_None_Match=tag))[0].status == 200
            assert response.headers.get("vary") == "Accept-Encoding"
            tags.add(tag)
        assert len(tags) == 3
        assert PAGE.answer(asked(Accept_Encoding="gzip"))[0].headers.get("vary") is None

    @pytest.mark.rule("9110-13.1.3-modified", "9110-13.1.4-unmodified", "9110-13.1.5-if-range")
    @pytest.mark.rule("9110-14.2-unknown")
    def test_dates_and_ranges_are_ignored(self) -> None:
        for fields in (
            {"If_Modified_Since": "Sat, 29 Oct 2094 19:43:31 GMT"},
            {"If_Unmodified_Since": "Sat, 29 Oct 1994 19:43:31 GMT"},
            {"If_Range": '"x"'},
            {"Range": "bytes=0-0"},
            {"Range": "lines=1", "If_Range": '"x"'},
        ):
            assert PAGE.answer(asked(**fields)) == PAGE.answer(asked())

    @pytest.mark.rule("9110-9.1-allow", "9110-9.1-405", "9110-9.3.2-fields", "9110-13.2.1-first")
    def test_only_get_and_head_are_for_files(self) -> None:
        assert PAGE.answer(asked(method="HEAD"))[0] == PAGE.answer(asked())[0]
        assert PAGE.answer(asked(method="POST", If_None_Match="*"))[0].status == 405
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
        application = as_application(lambda q: f"{q.method} {q.path} {q.query_string} {q.body!r}")
        assert application(asked("/a?b=1", "POST"), b"c")[1] == b"POST /a b=1 b'c'"

    def test_fields_that_are_the_servers_are_not_taken_from_it(self) -> None:
        given = [("Content-Length", "9"), ("Date", "never"), ("Connection", "x"), ("X-A", "1")]
        response, _ = as_application(lambda _q: (200, "hi", iter(given)))(asked(), b"")
        kind = ("Content-Type", "text/plain; charset=utf-8")
        assert list(response.headers) == [kind, ("Content-Length", "2"), ("X-A", "1")]

    @pytest.mark.parametrize("value", [None, (200, 5), {}, [104, 105]], ids=repr)
    def test_what_is_no_answer_is_an_error_that_says_what_is(self, value: Any) -> None:
        with pytest.raises(TypeError, match="returns str, bytes, a status"):
            as_application(lambda _question: value)(asked(), b"")

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
        seen = environ_of(asked(Host="a"), peer=Peer("192.0.2.1", secure=True))
        assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("192.0.2.1", "https")
        bare = environ_of(Request("GET", "/", Headers([("Host", "a")])), peer=Peer("", secure=True))
        assert (bare["SERVER_PORT"], "REMOTE_ADDR" in bare) == ("443", False)
        assert environ_of(asked())["wsgi.url_scheme"] == "http"

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
