"""``http.line``, ``http.version``, ``http.method``, ``http.target``, ``http.host``.

Request lines, and the host that a request is for.  ``$P`` is the target's path, ``$H`` its
authority.
"""

from __future__ import annotations

from .case import Case, rows
from .http_judges import HTTP_JUDGES
from .http_wire import NOT_IN_TOKENS, fields, get, line

__all__ = ["CASES"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TLS_HELLO = bytes.fromhex("16030100c5010000c10303") + bytes(range(64)) + b"\r\n"
_GARBAGE = bytes((i * 73 + 41) % 254 + 1 for i in range(64)).replace(b"\n", b"~") + b"\r\n"


def _ows(value: str) -> bytes:
    return b"GET $P HTTP/1.1\r\nHost: " + value.encode("latin-1") + b"\r\n\r\n"


_LINE = rows(
    "http.line",
    "9112-3-request-line",
    "ACC",
    HTTP_JUDGES,
    [
        ("simple", "the base request", get()),
        ("query", "a query behind the path", line("GET $P?a=b&c HTTP/1.1"), "elsewhere"),
        ("encoded", "a percent-encoded blank", line("GET $Pp%20q HTTP/1.1"), "elsewhere"),
        ("absolute", "absolute form", line("GET http://$H$P HTTP/1.1")),
        (
            "absolute-other-host",
            "absolute form, another Host: the target wins",
            b"GET http://$H$P HTTP/1.1\r\nHost: other\r\n\r\n",
        ),
        ("absolute-case", "scheme in capitals", line("GET HTTP://$H$P HTTP/1.1")),
        (
            "root-double-slash",
            "a path of //p, which is no host",
            line("GET //p HTTP/1.1"),
            "elsewhere",
        ),
    ],
)
# RFC 9112 section 3 allows any white space between the parts, and says SHOULD of the rest.
_LINE += rows(
    "http.line",
    "9112-3-request-line",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("two-spaces", "two blanks between the parts", line("GET  $P  HTTP/1.1")),
        ("tab", "HT instead of the blanks", line("GET\t$P\tHTTP/1.1")),
        ("trailing-space", "a blank behind the version", line("GET $P HTTP/1.1 ")),
        ("leading-space", "a blank before the method", line(" GET $P HTTP/1.1")),
        ("vt", "VT as separator", line("GET\x0b$P\x0bHTTP/1.1")),
        ("ff", "FF as separator", line("GET\x0c$P\x0cHTTP/1.1")),
        ("cr-space", "bare CR as separator", line("GET\r$P\rHTTP/1.1")),
        ("no-version", "no version, as in HTTP/0.9", line("GET $P")),
        ("no-target", "no target", line("GET HTTP/1.1")),
        ("empty-target", "an empty target", line("GET  HTTP/1.1")),
        ("only-method", "a method and nothing else", line("GET")),
        ("four-parts", "a blank inside the target", line("GET $Pa b HTTP/1.1")),
        ("nul", "NUL in the line", line("GET $P\x00 HTTP/1.1")),
        ("garbage", "64 arbitrary bytes", _GARBAGE),
        ("tls-hello", "a TLS ClientHello", _TLS_HELLO),
        ("target-no-slash", "a path without a slash", line("GET p HTTP/1.1")),
    ],
)
_LINE += rows(
    "http.line",
    "9110-4.2.3-host",
    "REJ",
    HTTP_JUDGES,
    [("absolute-empty-host", "absolute form without a host", line("GET http:///p HTTP/1.1"))],
    "framed",
)

_LINE += rows(
    "http.line",
    "9110-2.5-version",
    "REJ505-S",
    HTTP_JUDGES,
    [("http2-preface", "the preface of HTTP/2", _PREFACE, "preface", "alone")],
)
# RFC 9112 section 3 says SHOULD of these two: fragments are dropped, users are ignored by many.
_LINE += rows(
    "http.line",
    "9112-3-request-line",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("target-fragment", "a fragment in the target", line("GET $P#f HTTP/1.1")),
        ("userinfo", "user and password in the target", line("GET http://u:p@$H$P HTTP/1.1")),
    ],
    "framed",
)

# RFC 9110 section 2.5 leaves a 505 to the server.
_VERSION = rows(
    "http.version",
    "9110-2.5-version",
    "REJ505-S",
    HTTP_JUDGES,
    [(v, f"HTTP/{v}", line(f"GET $P HTTP/{v}")) for v in ("2.0", "3.0", "0.9", "9.9")],
)
_VERSION += rows(
    "http.version",
    "9112-2.3-name",
    "REJ-S",
    HTTP_JUDGES,
    [
        (name, version, line(f"GET $P {version}"))
        for name, version in (
            ("lower", "http/1.1"),
            ("no-dot", "HTTP/11"),
            ("two-dots", "HTTP/1.1.1"),
            ("two-digit", "HTTP/1.10"),
            ("leading-zero", "HTTP/01.1"),
            ("plus", "HTTP/+1.1"),
            ("space", "HTTP /1.1"),
            ("missing-minor", "HTTP/1."),
            ("letter", "HTTP/1.x"),
            ("unicode-digit", "HTTP/1.\xd9\xa1"),
            ("other-name", "HTTPS/1.1"),
            ("icap", "ICY/1.1"),
        )
    ],
)
_VERSION += rows(
    "http.version",
    "9110-2.5-minor",
    "ACC-S",
    HTTP_JUDGES,
    [("1.2", "a higher minor version", line("GET $P HTTP/1.2"))],
)
_VERSION += rows(
    "http.version",
    "9112-9.3-persist",
    "ONE",
    HTTP_JUDGES,
    [("1.0", "HTTP/1.0 without Host, then the end", b"GET $P HTTP/1.0\r\n\r\n")],
)
_KEEP = get(version="1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
_VERSION += rows(
    "http.version",
    "9112-9.3-persist",
    "TWO",
    HTTP_JUDGES,
    [("1.0-keep", "HTTP/1.0 with keep-alive, two requests", _KEEP + _KEEP)],
)

_METHOD = rows(
    "http.method",
    "9110-9.1-method",
    "REJ-S",
    HTTP_JUDGES,
    [
        (f"char-{name}", f"byte {ord(char):02X} inside the method", line(f"GE{char}T $P HTTP/1.1"))
        for name, char in {"colon": ":", **NOT_IN_TOKENS}.items()
    ],
)
_METHOD += rows(
    "http.method",
    "9110-9.1-method",
    "M501",
    HTTP_JUDGES,
    [
        ("unknown", "a method that nobody knows", line("FROB $P HTTP/1.1")),
        ("lower", "get in small letters", line("get $P HTTP/1.1")),
        ("long", "a method of 100 letters", line("M" * 100 + " $P HTTP/1.1")),
    ],
)
_METHOD += rows(
    "http.method",
    "9110-9.1-allow",
    "ACC",
    HTTP_JUDGES,
    [
        ("get", "GET", get()),
        ("head", "HEAD: no body, the same length field", get(method="HEAD")),
        ("post", "POST", b"POST $P HTTP/1.1\r\nHost: $H\r\nContent-Length: 5\r\n\r\nhello"),
    ],
)
_COOKIE = "Cookie: a=s3cret"
_METHOD += rows(
    "http.method",
    "9110-9.1-405",
    "EITHER",
    HTTP_JUDGES,
    [
        ("put", "PUT", get("$P", "Content-Length: 0", method="PUT")),
        ("delete", "DELETE", get(method="DELETE")),
        ("patch", "PATCH", get("$P", "Content-Length: 0", method="PATCH")),
        ("options", "OPTIONS on a path", get(method="OPTIONS")),
        (
            "trace",
            "TRACE: reflects neither Cookie nor Authorization",
            get("$P", _COOKIE, method="TRACE"),
        ),
    ],
)
_METHOD += rows(
    "http.method",
    "9112-3.2.4-asterisk-form",
    "EITHER",
    HTTP_JUDGES,
    [
        ("options-star", "OPTIONS *", line("OPTIONS * HTTP/1.1")),
        ("connect", "CONNECT with host and port: no tunnel", line("CONNECT h:80 HTTP/1.1")),
    ],
)
_METHOD += rows(
    "http.method",
    "9112-3.2.4-asterisk-form",
    "REJ-S",
    HTTP_JUDGES,
    [("get-star", "GET *", line("GET * HTTP/1.1"))],
    "framed",
)
_METHOD += rows(
    "http.method",
    "9110-9.3.6-target",
    "REJ",
    HTTP_JUDGES,
    [
        ("connect-path", "CONNECT with a path", line("CONNECT /p HTTP/1.1")),
        ("connect-no-port", "CONNECT without a port", line("CONNECT h HTTP/1.1")),
        ("connect-port-0", "CONNECT to port 0", line("CONNECT h:0 HTTP/1.1")),
        ("connect-port-big", "CONNECT to port 65536", line("CONNECT h:65536 HTTP/1.1")),
    ],
    "framed",
)

_TARGET = rows(
    "http.target",
    "9112-3.2-target",
    "REJ-S",
    HTTP_JUDGES,
    [
        (name, f"target {shown}", line(f"GET $P{item} HTTP/1.1"))
        for name, item, shown in (
            ("quote", '"', '"'),
            ("less", "<", "<"),
            ("greater", ">", ">"),
            ("caret", "^", "^"),
            ("backtick", "`", "`"),
            ("brace", "{", "{"),
            ("bar", "|", "|"),
            ("backslash", "\\", "\\"),
            ("x80", "\x80", "byte 80"),
            ("utf8", "\xc3\xbc", "u umlaut in UTF-8"),
            ("bad-percent", "%zz", "%zz"),
            ("cut-percent", "%a", "%a"),
            ("percent-00", "%00", "%00"),
        )
    ],
    "framed",
)
_TARGET += rows(
    "http.target",
    "9112-3.2-target",
    "REJ-S",
    HTTP_JUDGES,
    [
        ("ctl01", "byte 01 in the target", line("GET $P\x01 HTTP/1.1")),
        ("del", "byte 7F in the target", line("GET $P\x7f HTTP/1.1")),
        ("nul", "byte 00 in the target", line("GET $P\x00x HTTP/1.1")),
        ("lone-cr", "byte 0D in the target", line("GET $P\rx HTTP/1.1")),
    ],
)

_HOST = rows(
    "http.host",
    "9112-3.2-host",
    "REJ",
    HTTP_JUDGES,
    [
        ("missing", "no Host", fields(host=False)),
        ("twice-same", "Host twice, equal", fields("Host: $H")),
        ("twice-other", "Host twice, different", fields("Host: other")),
        ("list", "a list of hosts", _ows("a, b")),
        ("userinfo", "u@h", _ows("u@h")),
        ("path", "h/p", _ows("h/p")),
        ("scheme", "http://h", _ows("http://h")),
        ("space", "h x", _ows("h x")),
        ("port-letters", "h:80a", _ows("h:80a")),
        ("port-negative", "h:-1", _ows("h:-1")),
        ("bad-ipv6", "[::1", _ows("[::1")),
        ("ipv6-zone", "[fe80::1%25eth0", _ows("[fe80::1%25eth0")),
        ("ctl", "byte 01 in Host", _ows("h\x01")),
        ("query", "h?x", _ows("h?x")),
        ("hash", "h#x", _ows("h#x")),
        ("missing-absolute", "absolute form without Host", b"GET http://$H$P HTTP/1.1\r\n\r\n"),
    ],
    "framed",
)
_HOST += rows(
    "http.host",
    "9112-3.2-host",
    "ACC",
    HTTP_JUDGES,
    [
        ("port", "h:80", _ows("h:80")),
        ("port-empty", "h:", _ows("h:")),
        ("ipv4", "127.0.0.1", _ows("127.0.0.1")),
        ("ipv6", "[::1]:80", _ows("[::1]:80")),
        ("upper", "H", _ows("H")),
        ("dot", "h.", _ows("h.")),
        ("missing-1.0", "HTTP/1.0 without Host", b"GET $P HTTP/1.0\r\n\r\n"),
    ],
)
# The grammar takes any number as a port.
_HOST += rows(
    "http.host",
    "9112-3.2-host",
    "REJ-S",
    HTTP_JUDGES,
    [("port-big", "h:65536", _ows("h:65536"))],
    "framed",
)
_HOST += rows(
    "http.host",
    "9112-3.2-host",
    "EITHER",
    HTTP_JUDGES,
    [("empty", "an empty Host with origin form", _ows(""))],
)

CASES: list[Case] = [*_LINE, *_VERSION, *_METHOD, *_TARGET, *_HOST]
