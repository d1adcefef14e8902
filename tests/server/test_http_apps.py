"""What answers the requests that are not Socket.IO's."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.server.http_apps import File, function
from rawsio.server.streaming import Streaming

PAGE = File(b"<p>", "text/html")


def asked(target: str = "/", method: str = "GET", **fields: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Request(method, target, Headers([("Host", "a.example:8080"), *pairs]))


class TestFiles:
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
            ("", 200, b"", None),
            ((404, "no"), 404, b"no", "text/plain; charset=utf-8"),
            ((200, "{}", [("Content-Type", "application/json")]), 200, b"{}", "application/json"),
        ],
    )
    def test_a_function_may_return_several_things(
        self, value: Any, status: int, body: bytes, kind: str | None
    ) -> None:
        response, got = function(lambda _question: value)(asked(), b"")
        assert (response.status, got, response.headers.get("content-type")) == (status, body, kind)

    def test_it_sees_the_request_and_its_body(self) -> None:
        application = function(lambda q: f"{q.method} {q.path} {q.query_string} {q.body!r}")
        assert application(asked("/a?b=1", "POST"), b"c")[1] == b"POST /a b=1 b'c'"

    def test_fields_that_are_the_servers_are_not_taken_from_it(self) -> None:
        given = [("Content-Length", "9"), ("Date", "never"), ("Connection", "x"), ("X-A", "1")]
        response, _ = function(lambda _q: (200, "hi", iter(given)))(asked(), b"")
        kind = ("Content-Type", "text/plain; charset=utf-8")
        assert list(response.headers) == [kind, ("Content-Length", "2"), ("X-A", "1")]

    def test_fields_may_be_a_dict_and_their_values_are_text(self) -> None:
        response, _ = function(lambda _q: (200, "hi", {"X-A": "1"}))(asked(), b"")
        assert response.headers.get("x-a") == "1"
        response, _ = function(lambda _q: (200, "hi", [("X-A", 1)]))(asked(), b"")
        with pytest.raises(TypeError, match="the value of the header field X-A is a str, not 1"):
            _ = response.headers.block

    @pytest.mark.parametrize("value", [None, (200, 5), {}, [104, 105]], ids=repr)
    def test_what_is_no_answer_is_an_error_that_says_what_is(self, value: Any) -> None:
        with pytest.raises(TypeError, match="returns str, bytes, a status"):
            function(lambda _question: value)(asked(), b"")

    def test_a_coroutine_that_a_plain_function_returns_is_ended(self) -> None:
        async def page() -> str:
            return "no"

        made = page()
        with pytest.raises(TypeError, match="not coroutine"):
            function(lambda _request: made)(asked(), b"")
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            made.send(None)

    def test_an_iterator_is_content_that_is_made_as_it_is_sent(self) -> None:
        fields = [("Content-Type", "video/x"), ("Content-Length", "9")]
        made = function(lambda _question: (201, iter([b"a", b"b"]), fields))(asked(), b"")
        assert isinstance(made, Streaming)
        assert made.head() == Response(201, Headers([("Content-Type", "video/x")]))
        made.fetch(lambda: 0.0)
        assert (made.take(), made.ended) == ([b"a", b"b"], True)

    def test_a_bound_method_of_one_argument_is_a_plain_function(self) -> None:
        class Pages:
            def answer(self, question: Any) -> str:
                return str(question.path)

        assert function(Pages().answer)(asked("/p"), b"")[1] == b"/p"
