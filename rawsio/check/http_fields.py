"""``http.field`` and ``http.eol``: field lines, and what ends a line.

``fields(...)`` puts one line behind a good head; the cases about line ends spell out every byte.
"""

from __future__ import annotations

from .case import Case, rows
from .http_judges import HTTP_JUDGES
from .http_wire import GOOD, NOT_IN_TOKENS, fields, get, post

__all__ = ["CASES"]

# What the grammar does not have is answered with 400: RFC 9112 section 2.2 says SHOULD.  MUST is
# said of white space before a colon.  Controls and folds may be replaced by blanks instead.
_FIELD = rows(
    "http.field",
    "9110-5.1-name",
    "REJ-S",
    HTTP_JUDGES,
    [
        (f"name-char-{name}", f"byte {ord(c):02X} inside a field name", fields(f"X{c}Y: v"))
        for name, c in NOT_IN_TOKENS.items()
    ],
)
_FIELD += rows(
    "http.field",
    "9110-5.1-name",
    "ACC",
    HTTP_JUDGES,
    [("name-char-colon", "a second colon belongs to the value", fields("X::v"))],
)
_FIELD += rows(
    "http.field",
    "9112-5.1-space-before-colon",
    "REJ",
    HTTP_JUDGES,
    [
        ("space-colon", "a blank before the colon", fields("X : v")),
        ("tab-colon", "HT before the colon", fields("X\t: v")),
        ("space-cl", "Content-Length with a blank before the colon", post("Content-Length : 5")),
        (
            "space-te",
            "Transfer-Encoding likewise",
            post("Transfer-Encoding : chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        ),
        ("space-host", "Host likewise", fields("Host : $H", host=False)),
    ],
)
_FIELD += rows(
    "http.field",
    "9112-5-field-line",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("no-colon", "a line without a colon", fields("X")),
        ("empty-name", "an empty name", fields(": v")),
    ],
)
_FIELD += rows(
    "http.field",
    "9112-2.2-space-before-field",
    "REJ-S",
    HTTP_JUDGES,
    [
        (
            "space-first",
            "a blank before the first field",
            b"GET $P HTTP/1.1\r\n X: v\r\nHost: $H\r\n\r\n",
        ),
        (
            "tab-first",
            "HT before the first field",
            b"GET $P HTTP/1.1\r\n\tX: v\r\nHost: $H\r\n\r\n",
        ),
    ],
)
_FIELD += rows(
    "http.field",
    "9112-5.2-fold",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("fold-space", "a value folded with a blank", fields("X: a\r\n b")),
        ("fold-tab", "a value folded with HT", fields("X: a\r\n\tb")),
        ("fold-host", "Host folded", fields("Host:\r\n $H", host=False)),
        ("fold-cl", "Content-Length folded", post("Content-Length:\r\n 5")),
        (
            "fold-te",
            "Transfer-Encoding folded",
            post("Transfer-Encoding:\r\n chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        ),
        ("fold-empty", "a folded line of blanks only", fields("X: a\r\n  ")),
    ],
)
_FIELD += rows(
    "http.field",
    "9110-5.5-value",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("value-nul", "00 at the start of a value", fields("X: \x00v")),
        ("value-nul-mid", "00 inside", fields("X: a\x00b")),
        ("value-nul-end", "00 at the end", fields("X: v\x00")),
        ("value-cr", "a lone CR inside", fields("X: a\rb")),
        ("value-cr-end", "CR CR LF at the end", fields("X: v\r")),
        ("value-lf", "a lone LF inside, no colon behind it", fields("X: a\nb")),
        *(
            (f"value-{byte:02x}", f"byte {byte:02X}", fields(f"X: a{chr(byte)}b"))
            for byte in (0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F)
        ),
    ],
)
_FIELD += rows(
    "http.field",
    "9110-5.5-opaque",
    "ACC",
    HTTP_JUDGES,
    [
        ("value-80", "byte 80", fields("X: \x80")),
        ("value-ff", "byte FF", fields("X: \xff")),
        ("value-utf8", "UTF-8", fields("X: \xc3\xbc")),
        ("value-tab", "HT inside", fields("X: a\tb")),
        ("value-empty", "an empty value", fields("X:")),
        ("no-ows", "no blank behind the colon", fields("X:v")),
        ("much-ows", "many blanks around the value", fields("X:   \t  v  \t ")),
        ("name-case", "hOST", fields("hOST: $H", host=False)),
        ("dup-unknown", "an unknown field twice", fields("X: a", "X: b")),
        ("token-chars", "a name of all token characters", fields("!#$%&'*+-.^_`|~09AZaz: v")),
    ],
)

_EOL = rows(
    "http.eol",
    "9112-2.2-bare-lf",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("lf-line", "LF ends the request line", b"GET $P HTTP/1.1\nHost: $H\r\n\r\n"),
        ("lf-field", "LF ends a field", b"GET $P HTTP/1.1\r\nHost: $H\nX: v\r\n\r\n"),
        ("lf-head", "LF LF ends the head", b"GET $P HTTP/1.1\r\nHost: $H\n\n"),
    ],
)
_EOL += rows(
    "http.eol",
    "9112-2.2-bare-cr",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("cr-line", "CR ends the request line", b"GET $P HTTP/1.1\rHost: $H\r\n\r\n"),
        ("cr-field", "CR ends a field", b"GET $P HTTP/1.1\r\nHost: $H\rX: v\r\n\r\n"),
        ("cr-cr-lf", "CR CR LF ends a field", b"GET $P HTTP/1.1\r\nHost: $H\r\r\n\r\n"),
        ("lf-cr", "LF CR ends the lines", b"GET $P HTTP/1.1\n\rHost: $H\n\r\n\r"),
    ],
)
_EOL += rows(
    "http.eol",
    "9112-2.2-empty-lines",
    "ACC-S",
    HTTP_JUDGES,
    [
        ("crlf-first", "one CRLF before the request", b"\r\n" + GOOD),
        ("crlf-two", "two CRLF before the request", b"\r\n\r\n" + GOOD),
    ],
)
_EOL += rows(
    "http.eol",
    "9112-2.2-empty-lines",
    "TWO-S",
    HTTP_JUDGES,
    [
        (
            "crlf-after-post",
            "CRLF behind the body of a POST, then a request",
            post("Content-Length: 5") + b"\r\n" + GOOD,
        )
    ],
)
_EOL += rows(
    "http.eol",
    "9112-2.2-empty-lines",
    "EITHER",
    HTTP_JUDGES,
    [("many-crlf", "10,000 CRLF before the request", b"\r\n" * 10_000 + GOOD, "whole")],
)
_EOL += rows(
    "http.eol",
    "9112-2.2-octets",
    "ACC",
    HTTP_JUDGES,
    [
        ("bytewise", "the base request, one byte a segment", get(), "bytewise"),
        ("cut-crlf", "segments cut inside every CRLF", get("$P", "X: v"), "crlf"),
    ],
)

CASES: list[Case] = [*_FIELD, *_EOL]
