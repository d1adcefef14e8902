"""Wire vectors: what a server refuses, and with what; what it takes; each cut in every way.

The lists follow the framing, lines, chunks and limits of the threats that HTTP/1.1 parsers have
suffered from; every row is fed whole, split in two at every byte, and byte by byte: what is
refused with another request behind it, and alone with fewer splits.
"""

from __future__ import annotations

import pytest

from rawsio.http.messages import Body, EndOfMessage, refusal
from rawsio.layer import Closing
from rawsio.limits import Limits

from .feeding import HOST, outcome

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def refused(wire: bytes, rule: str, status: int = 400, limits: Limits | None = None) -> None:
    """The wire is refused once, whatever follows it, and nothing more is parsed."""
    for rest, splits in ((b"", 20), (NEXT, 300)):
        got = outcome(wire + rest, limits=limits or Limits(), splits=splits)
        assert got.failed == (rule, status), got.events
        assert got.output.endswith(refusal(status))
        assert got.output.count(b" 200 OK") == 0
        assert got.closing is Closing.HALF
        assert not any(request.target == "/next" for request in got.requests)


def taken(wire: bytes, *bodies: bytes) -> None:
    """Every request of the wire is taken, with these bodies."""
    got = outcome(wire, splits=300)
    assert got.failed is None, got.events
    assert got.bodies == list(bodies)
    assert got.complete == len(got.requests) > 0


LENGTHS = [b"+5", b"-5", b"5_0", b"0x5", b"\xb2", b"\xd9\xa5", b"", b" ", b"5 5", b"5;", b"5.0"]
LENGTHS += [b"9" * 20, b"1" * 5000, b"5,5", b"5, 5", b"5,", b"5\x0b", b"\xa05"]


@pytest.mark.rule("9110-8.6-length", "9110-5.5-value")
@pytest.mark.parametrize("value", LENGTHS, ids=lambda v: repr(v[:12]))
def test_a_content_length_that_is_not_digits_is_refused(value: bytes) -> None:
    rule = "9110-5.5-value" if b"\x0b" in value else "9110-8.6-length"
    refused(POST + b"Content-Length: %b\r\n\r\nhello" % value, rule)


@pytest.mark.rule("9112-6.3-one-length", "9112-6.1-length-and-coding", "9112-6.1-coding-in-old")
@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", "9112-6.3-one-length"),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", "9112-6.3-one-length"),
        (b"Content-Length: 5\r\ncontent-length: 5\r\n", "9112-6.3-one-length"),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "9112-6.1-length-and-coding"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "9112-6.1-length-and-coding"),
        (b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "9112-6.1-length-and-coding"),
        (b"Transfer-Encoding:\r\nContent-Length: 5\r\n", "9112-6.1-length-and-coding"),
    ],
)
@pytest.mark.rule("9112-11.1-smuggling")
def test_two_lengths_are_refused(fields: bytes, rule: str) -> None:
    refused(POST + fields + b"\r\n0\r\n\r\n", rule)
    one_zero = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    refused(one_zero, "9112-6.1-coding-in-old")


CODINGS = [
    (b"chunked, chunked", "9112-6.1-coding", 400),
    (b"chunked, gzip", "9112-6.1-coding", 400),
    (b",chunked", "9112-6.1-coding", 400),
    (b"chunked,", "9112-6.1-coding", 400),
    (b'"chunked"', "9112-6.1-coding", 400),
    (b"\xa0chunked", "9112-6.1-coding", 400),
    (b"chunked;q=1", "9112-6.1-coding", 400),
    (b"gzip;level=1, chunked", "9112-6.1-coding", 400),
    (b"", "9112-6.1-coding", 400),
    (b"\x0bchunked", "9110-5.5-value", 400),
    (b"identity", "9112-6.3-chunked-last", 400),
    (b"chunkedchunked", "9112-6.3-chunked-last", 400),
    (b"xchunked", "9112-6.3-chunked-last", 400),
    (b"gzip", "9112-6.3-chunked-last", 400),
    (b"gzip, chunked", "9112-6.1-unknown-coding", 501),
    (b"chunked\r\nTransfer-Encoding: chunked", "9112-6.1-one-coding", 400),
    (b"gzip\r\nTransfer-Encoding: chunked", "9112-6.1-one-coding", 400),
    (b"chunked\r\nTransfer-Encoding: identity", "9112-6.1-one-coding", 400),
]


@pytest.mark.rule(
    "9112-6.1-coding", "9112-6.3-chunked-last", "9112-6.1-unknown-coding", "9112-6.1-one-coding"
)
@pytest.mark.rule("9112-7.1-parameters", "9112-7.2-parameters")
@pytest.mark.parametrize(("value", "rule", "status"), CODINGS, ids=lambda v: repr(v)[:24])
def test_every_transfer_encoding_but_one_chunked_is_refused(
    value: bytes, rule: str, status: int
) -> None:
    refused(POST + b"Transfer-Encoding: %b\r\n\r\n0\r\n\r\n" % value, rule, status)


@pytest.mark.rule("9112-6.1-coding")
def test_chunked_is_read_in_any_case_and_names_with_underscores_are_other_names() -> None:
    taken(POST + b"transfer-encoding:\t ChUnKeD \r\n\r\n0\r\n\r\n")
    taken(POST + b"Transfer_Encoding: chunked\r\nContent_Length: 5\r\n\r\n" + NEXT)


LINES = [
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", "9112-2.2-bare-lf"),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", "9112-2.2-bare-lf"),
    (b"GET / HTTP/1.1\nHost: a\n\n", "9112-2.2-bare-lf"),
    (GET + b"X: a\nY: b\r\n\r\n", "9112-2.2-bare-lf"),
    (GET + b"\n", "9112-2.2-bare-lf"),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "9112-2.2-bare-lf"),
    (b"GET / HTTP/1.1\rHost: a\r\n\r\n", "9112-2.2-bare-cr"),
    (GET + b"X: a\rY: b\r\n\r\n", "9112-2.2-bare-cr"),
    (GET + b"X: a\r\r\n\r\n", "9112-2.2-bare-cr"),
    (GET + b"\rX", "9112-2.2-bare-cr"),
    (GET + b"X: a\0b\r\n\r\n", "9110-5.5-value"),
    (GET + b"X: a\x7fb\r\n\r\n", "9110-5.5-value"),
    (GET + b"X: a\x0cb\r\n\r\n", "9110-5.5-value"),
    (GET + b"X: a\r\n b\r\n\r\n", "9112-5.2-fold"),
    (GET + b"X: a\r\n\tb\r\n\r\n", "9112-5.2-fold"),
    (GET + b"X: a\r\n \r\n\r\n", "9112-5.2-fold"),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "9112-2.2-space-before-field"),
    (b"GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n", "9112-3.2-host"),
    (GET + b"X\r\n\r\n", "9112-5-field-line"),
    (GET + b": a\r\n\r\n", "9110-5.1-name"),
    (GET + b"X : a\r\n\r\n", "9112-5.1-space-before-colon"),
    (GET + b"X\t: a\r\n\r\n", "9112-5.1-space-before-colon"),
    (GET + b"X[]: a\r\n\r\n", "9110-5.1-name"),
    (GET + b"X\xe9: a\r\n\r\n", "9110-5.1-name"),
    (GET + b"X Y: a\r\n\r\n", "9110-5.1-name"),
    (GET + b"X\x01: a\r\n\r\n", "9110-5.1-name"),
    (GET + b"Content-Length : 5\r\n\r\nhello", "9112-5.1-space-before-colon"),
]


@pytest.mark.rule("9112-2.2-bare-lf", "9112-2.2-bare-cr", "9112-5.2-fold", "9110-5.1-name")
@pytest.mark.rule("9112-2.2-space-before-field", "9112-5-field-line", "9110-5.5-value")
@pytest.mark.rule("9112-5.1-space-before-colon", "9112-2.1-crlf")
@pytest.mark.parametrize(("wire", "rule"), LINES, ids=lambda v: repr(v)[-30:])
@pytest.mark.rule("9112-2.2-octets")
def test_a_line_that_is_not_a_field_line_in_crlf_is_refused(wire: bytes, rule: str) -> None:
    refused(wire, rule)


REQUEST_LINES = [
    (b"GET  / HTTP/1.1", "9112-3-request-line", 400),
    (b"GET /  HTTP/1.1", "9112-3-request-line", 400),
    (b"GET\t/ HTTP/1.1", "9112-3-request-line", 400),
    (b"GET /\x0bHTTP/1.1", "9112-3-request-line", 400),
    (b"GET / HTTP/1.1 ", "9112-3-request-line", 400),
    (b" GET / HTTP/1.1", "9112-3-request-line", 400),
    (b"GET / a HTTP/1.1", "9112-3-request-line", 400),
    (b"GET /\0 HTTP/1.1", "9112-3-request-line", 400),
    (b"GET /\xc3\xa9 HTTP/1.1", "9112-3-request-line", 400),
    (b"GET /", "9112-3-request-line", 400),
    (b"GET", "9112-3-request-line", 400),
    (b"/ HTTP/1.1", "9112-3-request-line", 400),
    (b"G[T / HTTP/1.1", "9112-3-request-line", 400),
    (b"GET / http/1.1", "9112-3-request-line", 400),
    (b"GET / HTTP/1.10", "9112-3-request-line", 400),
    (b"GET / HTTP/01.1", "9112-3-request-line", 400),
    (b"GET / HTTP/1", "9112-3-request-line", 400),
    (b"GET / HTTP/1,1", "9112-3-request-line", 400),
    (b"GET / ICE/1.0", "9112-3-request-line", 400),
    (b"GET / HTTP/1.2", "9110-2.5-version", 505),
    (b"GET / HTTP/2.0", "9110-2.5-version", 505),
    (b"GET / HTTP/0.9", "9110-2.5-version", 505),
    (b"get / HTTP/1.1", "9110-9.1-method", 501),
    (b"PRI * HTTP/2.0", "9110-2.5-version", 505),
    (b"NONSENSE / HTTP/1.1", "9110-9.1-method", 501),
    (b"GET x HTTP/1.1", "9112-3.2-target", 400),
    (b"GET x:80 HTTP/1.1", "9112-3.2-target", 400),
    (b"OPTIONS x HTTP/1.1", "9112-3.2-target", 400),
    (b"GET ftp://a/ HTTP/1.1", "9112-3.2-target", 400),
    (b"GET http:///x HTTP/1.1", "9112-3.2-target", 400),
    (b"GET http://a@b@c/ HTTP/1.1", "9112-3.2-target", 400),
    (b"GET * HTTP/1.1", "9112-3.2.4-asterisk-form", 400),
    (b"CONNECT / HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT a HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT a: HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT http://a:80/ HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT a:0 HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT a:65536 HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"CONNECT a%:80 HTTP/1.1", "9112-3.2.3-authority-form", 400),
    (b"GET http://%zz/ HTTP/1.1", "9112-3.2-target", 400),
]


@pytest.mark.rule("9112-3-request-line", "9110-2.5-version", "9110-9.1-method", "9112-3.2-target")
@pytest.mark.rule("9112-3.2.4-asterisk-form", "9112-3.2.3-authority-form", "9112-2.3-name")
@pytest.mark.parametrize(("line", "rule", "status"), REQUEST_LINES, ids=lambda v: repr(v)[:30])
@pytest.mark.rule("9110-4.2.3-host", "9110-9.3.6-target", "9110-7.1-forms")
def test_a_request_line_with_a_mistake_is_refused(line: bytes, rule: str, status: int) -> None:
    refused(line + b"\r\nHost: a\r\n\r\n", rule, status)


@pytest.mark.rule("9112-3.2.1-origin-form", "9112-3.2.2-absolute-form", "9112-3.2-target")
@pytest.mark.parametrize(
    ("line", "path", "query", "host"),
    [
        (b"GET /a/b?c=d?e HTTP/1.1", "/a/b", "c=d?e", "a"),
        (b"GET /a#b?c HTTP/1.1", "/a", "", "a"),
        (b'GET /"|\\^`{}<> HTTP/1.1', '/"|\\^`{}<>', "", "a"),
        (b"GET //x/y HTTP/1.1", "//x/y", "", "a"),
        (b"GET http://b HTTP/1.1", "/", "", "b"),
        (b"GET HTTP://b:80?c HTTP/1.1", "/", "c", "b:80"),
        (b"GET https://[::1]:80/d?e#f HTTP/1.1", "/d", "e", "[::1]:80"),
        (b"GET http://me:you@b/ HTTP/1.1", "/", "", "b"),
        (b"OPTIONS * HTTP/1.1", "*", "", "a"),
        (b"CONNECT b:443 HTTP/1.1", "", "", "b:443"),
        (b"CONNECT [::1]:65535 HTTP/1.1", "", "", "[::1]:65535"),
        (b"CONNECT b:1 HTTP/1.1", "", "", "b:1"),
    ],
)
@pytest.mark.rule("9112-3.3-path")
def test_every_form_of_target_is_taken_apart(line: bytes, path: str, query: str, host: str) -> None:
    request = outcome(line + b"\r\n" + HOST + b"\r\n").requests[0]
    assert (request.path, request.query_string, request.host) == (path, query, host)


@pytest.mark.rule("9112-3.2-host")
@pytest.mark.parametrize(
    "fields",
    [b"", b"Host: a\r\nHost: a\r\n", b"Host: a,b\r\nhost: a\r\n"]
    + [b"Host: %b\r\n" % bad for bad in (b"a b", b"a/", b"a:x", b"a@b", b"[::1", b"\xe9", b"%")],
)
def test_a_request_needs_one_good_host(fields: bytes) -> None:
    refused(b"GET / HTTP/1.1\r\n" + fields + b"\r\n", "9112-3.2-host")


@pytest.mark.rule("9112-3.2-host", "9112-2.2-empty-lines", "9110-5.1-unknown")
def test_what_is_odd_but_right_is_taken() -> None:
    taken(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + NEXT)
    taken(b"GET / HTTP/1.1\r\nHost:\r\n\r\n" + NEXT)
    taken(b"GET / HTTP/1.1\r\nhOST:0.0.0.0=80\t \r\n\r\n")
    taken(GET + b"X: \xe9\x80\r\nY:\r\nX:\r\n\r\n")
    taken(GET + b"Content-Length: 00005\r\n\r\nhello" + NEXT, b"hello")
    for count in range(1, 5):
        taken(b"\r\n" * count + GET + b"\r\n" + b"\r\n" * count + NEXT)
    refused(b"\r\n" * 5 + GET + b"\r\n", "9112-2.2-empty-lines")


SIZES = [b"+2", b"-2", b"0x2", b"0_2", b"-0", b" 2", b"2 ", b"2\t", b"", b"g", b"2,", b"\xb2"]
SIZES += [b"0" * 17, b"1" * 17, b"0" * 200 + b"2", b"2 x", b"2;", b"2;\0", b"2;a=\x7f", b"2;a==b"]
SIZES += [b'2;a="', b'2;a="b', b"2;a b", b'2;a="b"c', b"2;;a", b"2=a", b"\x0b2"]


@pytest.mark.rule("9112-7.1-chunk-size", "9112-7.1.1-extensions", "9112-2.2-bare-lf")
@pytest.mark.parametrize("size", SIZES, ids=lambda v: repr(v[:20]))
def test_a_chunk_size_that_is_not_one_is_refused(size: bytes) -> None:
    refused(CHUNKED + size + b"\r\nhi\r\n0\r\n\r\n", "9112-7.1-chunk-size")


CHUNKS = [
    (b"2\nhi\r\n0\r\n\r\n", "9112-2.2-bare-lf", 400),
    (b"2;a\nb\r\nhi\r\n0\r\n\r\n", "9112-2.2-bare-lf", 400),
    (b"2;a\rb\r\nhi\r\n0\r\n\r\n", "9112-2.2-bare-cr", 400),
    (b"2\r\r\nhi\r\n0\r\n\r\n", "9112-2.2-bare-cr", 400),
    (b"2\r\nhi0\r\n\r\n", "9112-7.1-chunk-end", 400),
    (b"2\r\nhiXX0\r\n\r\n", "9112-7.1-chunk-end", 400),
    (b"2\r\nhi\n0\r\n\r\n", "9112-7.1-chunk-end", 400),
    (b"2\r\nhi\rX0\r\n\r\n", "9112-7.1-chunk-end", 400),
    (b"2\r\nabXX\r\n0\r\n\r\n", "9112-7.1-chunk-end", 400),
    (b"F4241\r\n", "9110-15.5.14-body", 413),
    (b"ffffffffffffffff\r\n", "9110-15.5.14-body", 413),
    (b"2;" + b"a" * 255 + b"\r\n", "9112-7.1-chunk-line", 400),
    (b"2;" + b"a" * 100_000, "9112-7.1-chunk-line", 400),
    (b"0\r\nX\r\n\r\n", "9112-5-field-line", 400),
    (b"0\r\nX : a\r\n\r\n", "9112-5.1-space-before-colon", 400),
    (b"0\r\nX: a\r\n b\r\n\r\n", "9112-5.2-fold", 400),
    (b"0\r\n X: a\r\n\r\n", "9112-2.2-space-before-field", 400),
    (b"0\r\nX: a\n\r\n", "9112-2.2-bare-lf", 400),
    (b"0\r\n\n", "9112-2.2-bare-lf", 400),
    (b"0\r\nX: a\0\r\n\r\n", "9110-5.5-value", 400),
    (b"0\r\nContent-Length: 5\r\n\r\n", "9110-6.5.1-trailers", 400),
    (b"0\r\nTransfer-Encoding: chunked\r\n\r\n", "9110-6.5.1-trailers", 400),
    (b"0\r\nX: a\r\nhost: b\r\n\r\n", "9110-6.5.1-trailers", 400),
    (b"0\r\n" + b"X: a\r\n" * 101 + b"\r\n", "9110-5.4-fields", 431),
    (b"0\r\nX: " + b"a" * 8190 + b"\r\n\r\n", "9110-5.4-field", 431),
    (b"0\r\n" + (b"X: " + b"a" * 4096 + b"\r\n") * 4, "9110-5.4-head", 431),
]


@pytest.mark.rule("9112-7.1-chunk-end", "9112-7.1-chunk-line", "9110-15.5.14-body")
@pytest.mark.rule("9112-7.1-large")
@pytest.mark.rule("9110-6.5.1-trailers", "9110-5.4-fields", "9110-5.4-field", "9110-5.4-head")
@pytest.mark.parametrize(("body", "rule", "status"), CHUNKS, ids=lambda v: repr(v)[:26])
def test_a_chunked_body_with_a_mistake_is_refused(body: bytes, rule: str, status: int) -> None:
    got = outcome(CHUNKED + body, splits=60)
    assert got.failed == (rule, status)
    assert got.output == refusal(status)


@pytest.mark.rule("9112-7.1-decode", "9112-7.1.1-ignored", "9112-7.1.2-trailers")
@pytest.mark.rule("9110-5.6.3-bws", "9112-7-chunked", "9112-7.1.2-apart", "9110-5.1-unknown")
def test_chunks_extensions_and_trailers_are_read() -> None:
    taken(CHUNKED + b"5\r\nhello\r\n000006\r\n world\r\n000\r\n\r\n" + NEXT, b"hello world")
    taken(CHUNKED + b'2;a;b=c ; d = "e;\\"\r"\r\nhi\r\n0\r\n\r\n'.replace(b'\r"', b'"'), b"hi")
    taken(CHUNKED + b"a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0;x\r\n\r\n", b"\r\n" * 5)
    got = outcome(CHUNKED + b"0\r\nX-Sum: 1\r\nVary: *\r\n\r\n" + NEXT)
    assert list(got.events[1].trailers) == [("X-Sum", "1"), ("Vary", "*")]
    assert got.requests[1].target == "/next"
    assert got.requests[1].headers.get("x-sum") is None


@pytest.mark.rule("9112-7.1.1-extensions")
def test_extensions_of_many_small_chunks_are_bounded_together() -> None:
    chunk = b"1;" + b"a" * 200 + b"\r\nx\r\n"
    got = outcome(CHUNKED + chunk * 90, splits=10)
    assert got.failed == ("9112-7.1.1-extensions", 400)
    small = Limits(head=80)
    chunk = b"1;aaaaaaa\r\nx\r\n"
    assert outcome(CHUNKED + chunk * 10, limits=small).failed is None
    assert outcome(CHUNKED + chunk * 11, limits=small).failed == ("9112-7.1.1-extensions", 400)


def test_many_tiny_chunks_make_one_body_event_each_read() -> None:
    from rawsio.http.connection import HTTPConnection
    from rawsio.layer import Role

    server = HTTPConnection(Role.SERVER)
    server.receive(CHUNKED)
    assert server.receive(b"1\r\nx\r\n" * 20_000) == [Body(b"x" * 20_000)]
    assert server.receive(b"0\r\n\r\n") == [EndOfMessage()]


INSIDE = [b"G", b"GET / HTTP/1.1\r", GET, GET + b"X: a", GET + b"\r", b"\r"]
INSIDE += [POST + b"Content-Length: 2\r\n\r\n", POST + b"Content-Length: 2\r\n\r\nh"]
INSIDE += [CHUNKED, CHUNKED + b"2", CHUNKED + b"2\r", CHUNKED + b"2\r\n", CHUNKED + b"2\r\nh"]
INSIDE += [CHUNKED + b"2\r\nhi", CHUNKED + b"2\r\nhi\r", CHUNKED + b"0\r\n"]
INSIDE += [CHUNKED + b"0\r\nX", CHUNKED + b"0\r\nX: a\r\n", CHUNKED + b"0\r\n\r"]


@pytest.mark.rule("9112-8-incomplete")
@pytest.mark.parametrize("wire", INSIDE, ids=lambda v: repr(v[-14:]))
@pytest.mark.rule("9110-6.1-incomplete", "9110-5.3-apply")
def test_the_end_of_the_stream_inside_a_message_is_an_error(wire: bytes) -> None:
    got = outcome(wire, eof=True)
    assert got.failed == ("9112-8-incomplete", 400)
    assert got.complete == 0
    assert got.output == refusal(400)
    assert got.closing is Closing.NOW


SMALL = Limits(start_line=20, field=12, fields=3, head=54, chunk_line=8, body=10)


@pytest.mark.rule("9112-3-start-line", "9110-5.4-field", "9110-5.4-fields", "9110-5.4-head")
@pytest.mark.parametrize(
    ("wire", "rule", "status"),
    [
        (b"GET /234567 HTTP/1.1\r\nHost: a\r\n\r\n", None, 0),
        (b"GET /2345678 HTTP/1.1\r\nHost: a\r\n\r\n", "9112-3-start-line", 414),
        (b"G" * 1000, "9112-3-start-line", 414),
        (GET + b"X: 456789012\r\n\r\n", None, 0),
        (GET + b"X: 4567890123\r\n\r\n", "9110-5.4-field", 431),
        (GET + b"X" * 1000, "9110-5.4-field", 431),
        (GET + b"A:\r\nB:\r\n\r\n", None, 0),
        (GET + b"A:\r\nB:\r\nC:\r\n\r\n", "9110-5.4-fields", 431),
        (GET + b"A:2345678901\r\nB:2345678901\r\n\r\n", "9110-5.4-head", 431),
        (GET + b"A:2345678901\r\nB:2345678\r\n\r\n", None, 0),
    ],
)
@pytest.mark.rule("9110-15.5.15-uri")
def test_a_head_is_refused_at_the_byte_that_passes_a_limit(
    wire: bytes, rule: str | None, status: int
) -> None:
    got = outcome(wire, limits=SMALL)
    assert got.failed == (None if rule is None else (rule, status))


@pytest.mark.rule("9110-15.5.14-body")
def test_a_body_is_refused_where_its_length_is_announced() -> None:
    refused(POST + b"Content-Length: 9999999999999999999\r\n\r\n", "9110-15.5.14-body", 413)
    long = Limits(field=30, head=100, body=10)
    refused(POST + b"Content-Length: 11\r\n\r\n", "9110-15.5.14-body", 413, long)
    got = outcome(CHUNKED + b"8\r\n12345678\r\n3\r\n", limits=long)
    assert got.failed == ("9110-15.5.14-body", 413)
    assert got.bodies == [b"12345678"]


@pytest.mark.rule("9110-15.5.14-body", "9112-7.1-chunk-line")
def test_what_is_exactly_as_long_as_it_may_be_is_taken() -> None:
    limits = Limits(body=10, chunk_line=3)
    counted = outcome(POST + b"Content-Length: 10\r\n\r\n1234567890", limits=limits)
    one = outcome(CHUNKED + b"a\r\n1234567890\r\n0\r\n\r\n", limits=limits)
    two = outcome(CHUNKED + b"003\r\n123\r\n7\r\n4567890\r\n0\r\n\r\n", limits=limits)
    for got in (counted, one, two):
        assert (got.failed, got.bodies, got.complete) == (None, [b"1234567890"], 1)
    long = outcome(CHUNKED + b"0003\r\n123\r\n0\r\n\r\n", limits=limits)
    assert long.failed == ("9112-7.1-chunk-line", 400)
    more = outcome(CHUNKED + b"a\r\n1234567890\r\n1\r\n", limits=limits)
    assert more.failed == ("9110-15.5.14-body", 413)


@pytest.mark.rule("9110-5.4-head", "9110-5.4-fields", "9112-3-target-length")
def test_the_defaults_stop_long_heads() -> None:
    assert outcome(GET + b"X: a\r\n" * 1000, splits=20).failed == ("9110-5.4-fields", 431)
    assert outcome(GET + b"X: " + b"a" * 70_000, splits=20).failed == ("9110-5.4-field", 431)
    wire = b"GET /" + b"a" * 100_000
    assert outcome(wire, splits=20).failed == ("9112-3-start-line", 414)


@pytest.mark.rule("9110-4.1-length", "9112-3-start-line")
def test_targets_and_fields_of_eight_thousand_bytes_are_taken() -> None:
    long = b"/" + b"a" * 7999
    target = b"VERSION-CONTROL " + long + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    field = GET + b"Referer: http://a" + long + b"\r\n\r\n"
    for wire in (target, field):
        got = outcome(wire, splits=20)
        assert (got.failed, got.complete) == (None, 1)


@pytest.mark.rule("9112-3-long-method")
def test_a_method_longer_than_any_other_is_501() -> None:
    refused(b"M" * 8000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", "9110-9.1-method", 501)


@pytest.mark.rule("9110-10.1.1-expect")
def test_an_unknown_expectation_is_417() -> None:
    refused(POST + b"Content-Length: 2\r\nExpect: more\r\n\r\n", "9110-10.1.1-expect", 417)
    refused(GET + b"Expect: 100-continue, x\r\n\r\n", "9110-10.1.1-expect", 417)
    taken(b"POST / HTTP/1.0\r\nExpect: more\r\nContent-Length: 2\r\n\r\nhi", b"hi")
