"""``http.length``, ``http.coding``, ``http.chunk``, ``http.trailer``: where a body ends.

Most of these are request smuggling in one line: two readers of the same bytes must not find
different ends.  Each request that has to be refused is followed by a good one (see
:mod:`rawsio.check.http_judges`).
"""

from __future__ import annotations

from .case import Case, rows
from .http_judges import HTTP_JUDGES
from .http_wire import GOOD, chunked, get, post

__all__ = ["CASES"]

_HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def _length(value: str) -> bytes:
    return post(f"Content-Length: {value}")


def _coding(value: str, *more: str) -> bytes:
    return post(f"Transfer-Encoding: {value}", *more, body=_HELLO)


_LENGTH = rows(
    "http.length",
    "9110-8.6-length",
    "REJ",
    HTTP_JUDGES,
    [
        ("empty", "an empty value", post("Content-Length:")),
        *(
            (name, f"Content-Length: {value}", _length(value))
            for name, value in (
                ("plus", "+5"),
                ("minus", "-5"),
                ("minus-zero", "-0"),
                ("hex", "0x5"),
                ("hex-letters", "a"),
                ("float", "5.0"),
                ("exp", "5e0"),
                ("underscore", "1_0"),
                ("space-inside", "5 5"),
                ("semicolon", "5;a"),
                ("quoted", '"5"'),
            )
        ),
        ("unicode", "an Arabic-Indic five", _length("\xd9\xa5")),
        ("nul", "5 and a byte 00", _length("5\x00")),
        ("twice-other", "two lines, 5 and 6", post("Content-Length: 5", "Content-Length: 6")),
        ("list-other", "5, 6", _length("5, 6")),
        ("list-empty", "5 and an empty member", _length("5,")),
        ("list-lead", "an empty member and 5", _length(",5")),
        ("vt", "VT before the digits", _length("\x0b5")),
    ],
)
# Too long is as good a reason as malformed; what counts is that no digit is lost.
_LENGTH += rows(
    "http.length",
    "9110-8.6-length",
    "REJ-413",
    HTTP_JUDGES,
    [
        ("huge", "40 nines", _length("9" * 40), "waits"),
        ("2-64-plus-5", "2**64 + 5", _length("18446744073709551621"), "waits"),
        (
            "2-32-plus-5-short",
            "2**32 + 5, five bytes, then our end",
            _length("4294967301"),
            "alone",
            "finish",
        ),
    ],
)
_LENGTH += rows(
    "http.length",
    "9112-6.3-one-length",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("twice-same", "two lines, 5 and 5", post("Content-Length: 5", "Content-Length: 5")),
        ("list-same", "5, 5", _length("5, 5")),
    ],
)
_GET_BODY = get("$P", "Content-Length: 5") + b"hello"
_LENGTH += rows(
    "http.length",
    "9110-8.6-length",
    "ACC",
    HTTP_JUDGES,
    [
        ("zero-pad", "005", _length("005")),
        ("ows", "blanks around the 5", _length("  5 \t")),
        ("zero", "0", post("Content-Length: 0", body=b""), "plain"),
        ("get-body", "GET with five bytes: they are consumed", _GET_BODY),
    ],
)
_LENGTH += rows(
    "http.length",
    "9110-5.1-name",
    "EITHER",
    HTTP_JUDGES,
    [("underscore-name", "Content_Length, and no other framing", post("Content_Length: 5"))],
)
_LENGTH += rows(
    "http.length",
    "9112-8-incomplete",
    "INC",
    HTTP_JUDGES,
    [("cut", "10 announced, 5 sent, then our end", _length("10"))],
)
_LENGTH += rows(
    "http.length",
    "9112-6.3-extra",
    "TWO",
    HTTP_JUDGES,
    [("more", "5 announced, 5 and a request sent", _length("5") + GOOD)],
)

_CODING = rows(
    "http.coding",
    "9112-6.1-coding",
    "ACC",
    HTTP_JUDGES,
    [
        ("chunked", "chunked", _coding("chunked")),
        ("case", "ChUnKeD", _coding("ChUnKeD")),
        ("ows", "blanks and HT around it", _coding(" \t chunked \t")),
    ],
)
# RFC 9110 section 5.6.1.2 wants empty members ignored, but they are how requests are smuggled: a
# refusal is tolerated.
_CODING += rows(
    "http.coding",
    "9110-5.6.1-codings",
    "ACC-S",
    HTTP_JUDGES,
    [
        ("empty-member", "an empty member behind it", _coding("chunked,")),
        ("empty-first", "an empty member before it", _coding(", chunked")),
    ],
)
# Unknown codings that end in chunked: the end is known, the content is not (501).
_CODING += rows(
    "http.coding",
    "9112-6.1-unknown-coding",
    "REJ501-S",
    HTTP_JUDGES,
    [
        ("identity-chunked", "identity, chunked", _coding("identity, chunked")),
        ("gzip-chunked", "gzip, chunked", _coding("gzip, chunked")),
        ("unknown-chunked", "cow, chunked", _coding("cow, chunked")),
        (
            "two-lines-gzip",
            "gzip, then chunked, on two lines",
            _coding("gzip", "Transfer-Encoding: chunked"),
        ),
    ],
)
# Where chunked is not the last, or the field is malformed, the end is unknown (400, RFC 9112
# section 6.3); 501 says that the coding is unknown, which is as good.
_CODING += rows(
    "http.coding",
    "9112-6.1-coding",
    "REJ-501",
    HTTP_JUDGES,
    [
        *(
            (name, value, _coding(value))
            for name, value in (
                ("identity", "identity"),
                ("chunked-identity", "chunked, identity"),
                ("gzip", "gzip"),
                ("chunked-gzip", "chunked, gzip"),
                ("unknown", "cow"),
                ("xchunked", "xchunked"),
                ("chunkedx", "chunkedx"),
                ("chunk", "chunk"),
                ("quoted", '"chunked"'),
                ("semicolon", "chunked;q=1"),
                ("twice", "chunked, chunked"),
            )
        ),
        (
            "two-lines-twice",
            "two lines of chunked",
            _coding("chunked", "Transfer-Encoding: chunked"),
        ),
        ("empty", "an empty value", _coding("")),
        ("vt", "VT before chunked", _coding("\x0bchunked")),
        ("nbsp", "byte A0 before chunked", _coding("\xa0chunked")),
        ("nul", "a byte 00 behind chunked", _coding("chunked\x00")),
        ("quote-cut", "an open quote", _coding('"chunked')),
    ],
)
# RFC 9112 section 6.1: such a request may be read by its coding, if the connection then closes.
_CODING += rows(
    "http.coding",
    "9112-6.1-length-and-coding",
    "REJ-C",
    HTTP_JUDGES,
    [
        (
            "cl-first",
            "Content-Length 5, then chunked",
            post("Content-Length: 5", "Transfer-Encoding: chunked", body=_HELLO),
        ),
        ("cl-last", "chunked, then Content-Length 5", _coding("chunked", "Content-Length: 5")),
        ("cl-zero", "chunked and Content-Length 0", _coding("chunked", "Content-Length: 0")),
        (
            "cl-match",
            "a Content-Length that fits the coded body",
            _coding("chunked", f"Content-Length: {len(_HELLO)}"),
        ),
        ("cl-bad", "chunked and Content-Length x", _coding("chunked", "Content-Length: x")),
    ],
)
_CODING += rows(
    "http.coding",
    "9112-6.1-coding-in-old",
    "REJ-C",
    HTTP_JUDGES,
    [
        (
            "old",
            "HTTP/1.0 with chunked",
            post("Transfer-Encoding: chunked", body=_HELLO, version="1.0"),
        )
    ],
)
_CODING += rows(
    "http.coding",
    "9110-5.1-name",
    "EITHER",
    HTTP_JUDGES,
    [
        (
            "underscore",
            "Transfer_Encoding: chunked beside Content-Length 5",
            post("Transfer_Encoding: chunked", "Content-Length: 5"),
        )
    ],
)

_TRAILERS = b"".join(b"X-%d: v\r\n" % number for number in range(10))
_CHUNK = rows(
    "http.chunk",
    "9112-7.1-decode",
    "ACC",
    HTTP_JUDGES,
    [
        ("one", "one chunk of 5", chunked(_HELLO)),
        (
            "many",
            "five chunks of 1",
            chunked("1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n"),
        ),
        ("upper-hex", "size A", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "plain"),
        ("lower-hex", "size a", chunked("a\r\n0123456789\r\n0\r\n\r\n"), "plain"),
        ("zero-pad", "size 0005", chunked("0005\r\nhello\r\n0\r\n\r\n")),
        ("last-zeros", "last chunk 000", chunked("5\r\nhello\r\n000\r\n\r\n")),
        ("bytewise", "one byte a segment", chunked(_HELLO), "bytewise"),
        ("ext-name", "extension a", chunked("5;a\r\nhello\r\n0\r\n\r\n")),
        ("ext-value", "extension a=b", chunked("5;a=b\r\nhello\r\n0\r\n\r\n")),
        ("ext-quoted", 'extension a="b;c"', chunked('5;a="b;c"\r\nhello\r\n0\r\n\r\n')),
        ("ext-many", "16 extensions", chunked("5" + ";a=b" * 16 + "\r\nhello\r\n0\r\n\r\n")),
        ("trailer", "one trailer field", chunked("5\r\nhello\r\n0\r\nX: v\r\n\r\n")),
        (
            "trailer-many",
            "10 trailer fields",
            chunked(b"5\r\nhello\r\n0\r\n" + _TRAILERS + b"\r\n"),
        ),
        (
            "big",
            "64 KiB in one chunk",
            chunked("10000\r\n" + "x" * 65536 + "\r\n0\r\n\r\n"),
            "plain",
            "whole",
        ),
        ("no-body", "the last chunk only", chunked("0\r\n\r\n"), "plain"),
    ],
)
_CHUNK += rows(
    "http.chunk",
    "9112-7.1-chunk-size",
    "REJ",
    HTTP_JUDGES,
    [
        *(
            (name, f"size {size!r}", chunked(f"{size}\r\nhello\r\n0\r\n\r\n"))
            for name, size in (
                ("hex-prefix", "0x5"),
                ("plus", "+5"),
                ("minus", "-5"),
                ("minus-zero", "-0"),
                ("empty", ""),
                ("letter-g", "g"),
                ("underscore", "1_0"),
                ("space-before", " 5"),
                ("comma", "5,5"),
                ("dot", "5.5"),
                ("unicode", "\xd9\xa5"),
                ("nul", "5\x00"),
            )
        ),
    ],
)
_CHUNK += rows(
    "http.chunk",
    "9112-7.1-chunk-size",
    "REJ-413",
    HTTP_JUDGES,
    [
        (
            "overflow-64",
            "2**64 + 5",
            chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
            "waits",
        ),
        (
            "overflow-32",
            "2**32 + 5, five bytes, then our end",
            chunked("100000005\r\nhello\r\n0\r\n\r\n"),
            "alone",
            "finish",
        ),
    ],
)
# Any number of leading zeros is a size by the grammar; a bound on them is hardening.
_CHUNK += rows(
    "http.chunk",
    "9112-7.1-chunk-size",
    "REJ-S",
    HTTP_JUDGES,
    [("size-17", "17 zeros and a 5", chunked("0" * 17 + "5\r\nhello\r\n0\r\n\r\n"))],
)
_CHUNK += rows(
    "http.chunk",
    "9112-7.1-chunk-end",
    "REJ",
    HTTP_JUDGES,
    [
        ("no-crlf", "the next size directly behind the data", chunked("5\r\nhello0\r\n\r\n")),
        ("lf-after", "LF behind the data", chunked("5\r\nhello\n0\r\n\r\n")),
        ("cr-after", "CR behind the data", chunked("5\r\nhello\r0\r\n\r\n")),
        ("lf-size", "LF ends the size line", chunked("5\nhello\r\n0\r\n\r\n")),
        ("cr-size", "CR ends the size line", chunked("5\rhello\r\n0\r\n\r\n")),
        ("extra-byte", "6 bytes for size 5", chunked("5\r\nhello!\r\n0\r\n\r\n")),
        ("less-byte", "4 bytes for size 5", chunked("5\r\nhell\r\n0\r\n\r\n")),
        ("ext-cr", "CR in an extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n")),
        (
            "ext-lf",
            "LF in an extension smuggles a line",
            chunked("5;a\n0\r\n\r\nhello\r\n0\r\n\r\n"),
        ),
        ("ext-nul", "00 in an extension", chunked("5;a\x00\r\nhello\r\n0\r\n\r\n")),
        ("ext-space-lf", "'5 ;a' with LF", chunked("5 ;a\nhello\r\n0\r\n\r\n")),
    ],
)
_CHUNK += rows(
    "http.chunk",
    "9110-5.6.3-bws",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("bws-before-semicolon", "'5 ;a'", chunked("5 ;a\r\nhello\r\n0\r\n\r\n")),
        ("bws-after", "'5; a'", chunked("5; a\r\nhello\r\n0\r\n\r\n")),
        ("space-after-size", "'5 '", chunked("5 \r\nhello\r\n0\r\n\r\n")),
    ],
)
_CHUNK += rows(
    "http.chunk",
    "9112-8-incomplete",
    "INC",
    HTTP_JUDGES,
    [
        ("cut-size", "our end inside a size", chunked("1")),
        ("cut-data", "our end inside the data", chunked("5\r\nhel")),
        ("cut-last", "our end before the last CRLF", chunked("5\r\nhello\r\n0\r\n")),
        ("cut-trailer", "our end inside a trailer", chunked("5\r\nhello\r\n0\r\nX: v")),
    ],
)


def _trailer(text: str) -> bytes:
    return chunked(f"5\r\nhello\r\n0\r\n{text}\r\n\r\n")


_TRAILER = rows(
    "http.trailer",
    "9112-5-field-line",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("no-colon", "a line without a colon", _trailer("X")),
        ("space-colon", "a blank before the colon", _trailer("X : v")),
        ("fold", "a folded line", _trailer("X: a\r\n b")),
        ("nul", "00 in the value", _trailer("X: \x00")),
        ("bad-name", "X(: v", _trailer("X(: v")),
    ],
)
_TRAILER += rows(
    "http.trailer",
    "9110-6.5.1-trailers",
    "NOMERGE",
    HTTP_JUDGES,
    [
        ("content-length", "Content-Length in the trailer", _trailer("Content-Length: 50")),
        ("transfer-encoding", "Transfer-Encoding", _trailer("Transfer-Encoding: gzip")),
        ("host", "Host", _trailer("Host: other")),
        ("authorization", "Authorization", _trailer("Authorization: Basic eDp5")),
        ("content-type", "Content-Type", _trailer("Content-Type: text/evil")),
        ("connection", "Connection: close", _trailer("Connection: close")),
    ],
)

CASES: list[Case] = [*_LENGTH, *_CODING, *_CHUNK, *_TRAILER]
