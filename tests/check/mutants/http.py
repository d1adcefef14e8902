"""Servers with one rule of HTTP broken."""

from __future__ import annotations

import re

from .taps import Mutant, Tap, answers, crashes, refuses, sub, swallows, takes

__all__ = ["MUTANTS"]

_ANY = rb"\A"
_LINE = rb"(?:\r\n)*[A-Z]+ (?:/[^\s\0]*|http://[^/\s]\S*|\*) HTTP/1\.[01]\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_HOSTS = rb"(?:127\.0\.0\.1|[hH]\.?|\[::1\]|)(?::[0-9]{0,4})?"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKS = (
    rb"chunked\r\n\r\n(?:0*5(?:;a(?:=b|=\"b;c\")?)*\r\nhello\r\n"
    rb"|1\r\n.\r\n|[aA]\r\n.{10}\r\n|10000)"
)
_BEGIN = re.compile(rb"(?=(?:GET|POST|HEAD) /)")


def _pieces(data: bytes) -> list[bytes]:
    return [part for part in _BEGIN.split(data) if part]


def _reversed(_tap: Tap, data: bytes) -> bytes:
    """Serve pipelined requests in another order."""
    return b"".join(reversed(_pieces(data)))


def _first(_tap: Tap, data: bytes) -> bytes:
    """Drop what stands behind the first request."""
    return _pieces(data)[0] if _pieces(data) else data


def _then_crashes(tap: Tap, data: bytes) -> bytes:
    """Crash at the second request of a connection."""
    begun = tap.facts.get("begun")
    tap.facts["begun"] = True
    return crashes(_ANY)(tap, data) if begun else data


def _twice(_tap: Tap, data: bytes) -> bytes:
    return data + data if data.startswith(b"HTTP/1.1 4") else data


def _by_segment(_tap: Tap, data: bytes) -> bytes:
    return data if data.endswith(b"\r\n") else b"\0\r\n\r\n"


def _waits_on(tap: Tap, data: bytes) -> bytes:
    """Answer neither a request that expects nor what comes behind it."""
    tap.facts["mute"] = tap.facts.get("mute") or b"Expect" in data
    return b"" if tap.facts["mute"] else data


def _continues(tap: Tap, data: bytes) -> bytes:
    if b"Expect" in data:
        tap.back += b"HTTP/1.1 100 Continue\r\n\r\n" * 2
    return data


def _blocks(tap: Tap, data: bytes) -> bytes:
    """Serve no other connection beside the first."""
    return data if tap.shared.setdefault("first", tap) is tap else b""


def _says(how: str, status: str, *lines: bytes, body: bytes = b"no") -> Mutant:
    length = b"Content-Length: %d" % len(body)
    head = b"\r\n".join([b"HTTP/1.1 " + status.encode(), length, *lines, b"", body])
    return Mutant(how, asks=answers(_ANY, head))


def _takes(how: str, bad: bytes) -> Mutant:
    return Mutant(how, asks=takes(bad))


def _refuses(how: str, good: bytes) -> Mutant:
    return Mutant(how, asks=refuses(good))


MUTANTS: dict[str, list[Mutant]] = {
    "9112-3-request-line": [
        _takes("any line asks for /", rb"\A(?!" + _LINE + rb")"),
        _refuses("forms other than a path are refused", rb"\A\S+ (?:/[^ ]|[hH]| /p)"),
        _refuses("a path is refused", rb"\A\S+ / HTTP/1\.1\r\nHost: [^\r]*\r\n\r\n\Z"),
        Mutant("a fragment or a user crashes", asks=crashes(rb"\A\S+ \S*[#@]")),
    ],
    "9110-2.5-version": [_takes("any version is spoken", rb"HTTP/[02-9]")],
    "9112-2.3-name": [_takes("any word is a version", rb"\A\S+ \S+ (?!HTTP/[0-9]\.[0-9]\r\n)")],
    "9110-2.5-minor": [Mutant("HTTP/1.2 crashes", asks=crashes(rb"HTTP/1\.2"))],
    "9112-9.3-persist": [
        Mutant("close and HTTP/1.0 are not heard", asks=sub(rb"HTTP/1\.0|(?i:close)", b"HTTP/1.1")),
        Mutant("pipelined requests are served backwards", asks=_reversed),
        Mutant("one request of several is answered", asks=_first),
        Mutant("the second request crashes", asks=_then_crashes),
        Mutant("close is heard, its answer is not the last", says=lambda _t, d: d + _OK),
    ],
    "9110-9.1-method": [
        _takes("a method is any word", rb"\A[A-Z]*[^A-Za-z ]"),
        Mutant("unknown methods crash", asks=crashes(rb"\A(?:FROB|get|M{9})")),
    ],
    "9110-9.1-allow": [_refuses("no method is allowed", _ANY)],
    "9110-9.1-405": [Mutant("other methods crash", asks=crashes(rb"\A(?!GET|POST|HEAD)"))],
    "9110-9.3.6-target": [_takes("any port is one", rb"\ACONNECT (?!h:80 )")],
    "9110-4.2.3-host": [_takes("a host may be empty", rb"\A\S+ http:///")],
    "9112-2.2-space-before-field": [_takes("fields begin anywhere", rb"\A[^\r]+\r\n[ \t]")],
    "9112-3.2.4-asterisk-form": [
        _takes("* is a path", rb"\AGET \*"),
        Mutant("* and tunnels crash", asks=crashes(rb"\A(?:OPTIONS \*|CONNECT h:80)")),
    ],
    "9112-3.2-target": [
        _takes("control bytes are part of a target", rb"\A[A-Z]+ /[^\n]*[\0-\x08\r\x7f][^\n]"),
        Mutant("odd characters crash", asks=crashes(rb"\A\S+ /[^ ]")),
    ],
    "9112-3.2-host": [
        _takes("Host may be anything", rb"\nHost: (?!" + _HOSTS + rb"\r)"),
        _takes("Host may be twice", rb"\nHost[^\n]*\nHost[^\n]*\n\r\n"),
        _takes("Host may miss", rb"\A[^\n]*1\.1\r\n\r\n"),
        Mutant("ports crash", asks=crashes(rb"\nHost: h:65536")),
        Mutant("an empty Host crashes", asks=crashes(rb"\nHost: \r")),
        _refuses("only names of small letters are hosts", rb"\nHost: (?:.*[:.H])|1\.0"),
    ],
    "9112-5.1-space-before-colon": [_takes("blanks before a colon are dropped", rb"\n\S+[ \t]:")],
    "9112-5-field-line": [
        _takes("lines without a name or a colon are dropped", rb"\n(?:X\r|:|[ \t]X)"),
        _takes("trailers may look as they like", rb"\r\n0\r\n(?!\r\n)(?!X: v\r\n\r\n)"),
    ],
    "9112-5.2-fold": [_takes("folded lines are joined", rb"\r\n[ \t]")],
    "9110-5.5-value": [
        _takes("any byte is part of a value", rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]"),
        _takes("CR and LF, too", rb"\r(?!\n)|[^\r]\n"),
    ],
    "9110-5.5-opaque": [_refuses("values are visible ASCII, with one blank", _ANY)],
    "9112-2.2-bare-lf": [_takes("LF ends a line", rb"[^\r]\n")],
    "9112-2.2-bare-cr": [_takes("CR ends a line", rb"\r[^\n]")],
    "9112-2.2-empty-lines": [
        Mutant("an empty line in front crashes", asks=crashes(rb"\A\r\n")),
        Mutant("an empty line behind a body crashes", asks=crashes(rb"hello\r\n")),
    ],
    "9112-2.2-octets": [Mutant("a line ends with its segment", asks=_by_segment)],
    "9110-8.6-length": [
        _takes(
            "lengths are numbers as people write them",
            rb"\nContent-Length: ?(?:0?[^05 ]|5[^\r]|\r)",
        ),
        _takes("lengths are counted in 32 bits", rb"\nContent-Length: [0-9]{9}"),
        _refuses(
            "a length is one digit for a POST", rb"\nContent-Length: (?:005|0\r| )|\AGET.*Len"
        ),
    ],
    "9110-5.1-name": [
        _takes("names have any character", rb"\nX[^-0-9A-Za-z:]"),
        _refuses("values have no colon", rb"\nX::"),
        Mutant("an underscore crashes", asks=crashes(rb"_(?:Length|Encoding)")),
    ],
    "9112-6.3-one-length": [_takes("equal lengths are one", rb"Content-Length: 5(?:, 5|\r\nCont)")],
    "9112-8-incomplete": [Mutant("what has come is the body", asks=answers(rb"\APOST", _OK))],
    "9112-6.3-extra": [Mutant("what is behind a body is dropped", asks=_first)],
    "9112-6.1-coding": [
        _takes("codings may be anything", rb"Encoding: (?![ \t]*(?i:chunked)[ \t]*\r\n\r\n)"),
        _refuses("chunked is not known", rb"Encoding:\s*(?i:chunked)\s*\r\n\r\n"),
    ],
    "9110-5.6.1-codings": [Mutant("empty members crash", asks=crashes(rb"chunked,|, chunked"))],
    "9112-6.1-unknown-coding": [
        _takes("unknown codings are dropped", rb"identity|gzip, |cow"),
        Mutant("a second line of codings crashes", asks=crashes(rb"gzip\r\nTransfer")),
    ],
    "9112-6.1-length-and-coding": [
        _takes("one of the framings counts", rb"(?s:\nContent-L.*\nTra|\nTra.*\nContent-L)")
    ],
    "9112-6.1-coding-in-old": [_takes("chunks to HTTP/1.0", rb"HTTP/1\.0.*chunked")],
    "9112-7.1-decode": [_refuses("chunks are not known", _CHUNKS + rb"|\n0\r\n\r\n\Z")],
    "9112-7.1-chunk-size": [
        _takes("sizes are numbers as people write them", rb"\r\n\r\n(?!5\r\n|100|0{9})"),
        _takes("sizes are counted in 32 bits", rb"\r\n\r\n1000"),
        _takes("sizes may be long", rb"\r\n\r\n0{9}"),
    ],
    "9112-7.1-chunk-end": [
        _takes(
            "lines of chunks may end in any way",
            rb"\r\n\r\n5(?:[^\n]*[^\r])?\n|\r\n\r\n5[^\n]*[\0\r][^\n]",
        ),
        _takes("what is behind a chunk is not looked at", rb"\r\n\r\n5\r\nhell(?!o\r\n)"),
    ],
    "9110-5.6.3-bws": [Mutant("blanks in a size line crash", asks=crashes(rb"\r\n5[; ] ?"))],
    "9110-6.5.1-trailers": [
        Mutant("trailers crash", asks=crashes(rb"hello\r\n0\r\n[A-Z]")),
    ],
    "9112-9.5-idle": [Mutant("the answer never comes", asks=swallows(_ANY))],
    "9112-9.6-close": [Mutant("close is heard and not answered", asks=swallows(rb"close"))],
    "9110-10.1.1-continue": [
        Mutant("100 comes twice", asks=_continues),
        Mutant("the answer never comes", asks=_waits_on),
        Mutant("an expectation crashes", asks=crashes(rb"Expect")),
    ],
    "9110-10.1.1-expect": [Mutant("unknown expectations crash", asks=crashes(rb"Expect"))],
    "9110-10.1.1-old": [Mutant("100 goes to HTTP/1.0", asks=_continues)],
    "9110-7.8-switch": [_refuses("upgrades that nobody knows are refused", rb"Upgrade")],
    "9110-6.6.1-date": [
        _says("dates are dates of people", "200 OK", b"Date: yesterday"),
        _says("a status has no blank behind it", "200"),
        _says("answers have two lengths", "200 OK", b"Content-Length: 3"),
        _says("204 has a length", "204 No Content", body=b""),
        _says("chunks go to HTTP/1.0", "200 OK", b"Transfer-Encoding: chunked"),
        Mutant(
            "errors are cut off", asks=answers(_ANY, b"HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\n")
        ),
        Mutant("errors do not end the connection", clings=True),
        Mutant("errors are told twice", says=_twice),
        _says("405 has no Allow", "405 No"),
        _says("426 has no Upgrade", "426 No"),
        _says("401 has no challenge", "401 No"),
        _says("targets are echoed decoded", "200 OK", b"X-Injected: yes"),
        Mutant(
            "HEAD has a length of its own",
            asks=answers(rb"\AHEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"),
        ),
        _says("304 has a body", "304 Not Modified", b'ETag: "1"', body=b"body"),
        Mutant("what is unread is accepted", asks=answers(rb"5x", _OK)),
    ],
    "9112-3-start-line": [
        Mutant("what is long is never answered", asks=swallows(rb"\A.{200}")),
        Mutant("what is long crashes", asks=crashes(rb"\A.{200}")),
        Mutant("only one connection is served", busy=True),
    ],
    "9112-9.5-408": [Mutant("one connection at a time is served", asks=_blocks)],
}
