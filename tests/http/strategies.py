"""Strategies for HTTP/1.1: events to send, and wires that are right, nearly right and junk.

Each draw costs hypothesis much more than it costs us to parse what is drawn, so events are drawn
whole from tables, and wires are put together from whole parts.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from hypothesis import strategies as st

from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response
from rawsio.layer import Role

__all__ = ["events", "wire", "requests", "REQUESTS"]

_HOST = ("Host", "a")
_CLOSE = ("Connection", "close")
_KEEP = ("Connection", "keep-alive")
_UPGRADE = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")]
_FIVE = ("Content-Length", "5")
_NONE = ("Content-Length", "0")
_CHUNKED = ("Transfer-Encoding", "chunked")
_EXPECT = ("Expect", "100-continue")

_HEADS: list[list[tuple[str, str]]] = [
    [],
    [],
    [_NONE],
    [_FIVE],
    [_CHUNKED],
    [_CLOSE],
    [_CLOSE, _FIVE],
    [_KEEP, _FIVE],
    [_KEEP, _CHUNKED],
    [("X", "a\tb \xe9"), ("x", "")],
    _UPGRADE,
    [*_UPGRADE, _FIVE],
    [_EXPECT, _CHUNKED],
    # Never legal:
    [_FIVE, _CHUNKED],
    [_EXPECT],
    [("Upgrade", "websocket")],
    [("Content-Length", "x")],
    [("Transfer-Encoding", "gzip, chunked")],
    [("X", "a\r\nb: c")],
    [("a b", "c")],
    [_HOST],
]
_ASKED = [
    *[("GET", "/")] * 3,
    ("POST", "/a?b#c"),
    ("HEAD", "http://b:80/x"),
    ("OPTIONS", "*"),
    ("CONNECT", "b:80"),
    ("TRACE", "/"),
    ("GET", "*"),
    ("GET", ""),
    ("A B", "/"),
]
_SENT_REQUESTS = [
    Request(method, target, Headers([_HOST, *fields]), version)
    for (method, target), fields, version in product(_ASKED, _HEADS, ("1.1", "1.0"))
]
_ANSWERED = [*[(200, "OK")] * 4, (100, ""), (101, ""), (103, ""), (204, ""), (205, "")]
_ANSWERED += [(304, "No \xe9"), (408, "Request Timeout"), (404, "a\nb"), (99, ""), (600, "")]
_SENT_RESPONSES = [
    Response(status, Headers(fields), reason, version)
    for (status, reason), fields, version in product(_ANSWERED, _HEADS, ("1.1", "1.1", "1.0"))
]
_PLAIN = [
    *[Body(b"hello")] * 3,
    Body(b""),
    Body(b"he"),
    Body(b"llo"),
    *[EndOfMessage()] * 6,
    EndOfMessage(Headers([("X-Sum", "1")])),
    EndOfMessage(Headers([_FIVE])),
]


def _weighted(heads: list[Any], others: list[Any]) -> list[Any]:
    share = len(heads) // len(_PLAIN)
    return heads + _PLAIN * share + others[:: len(others) // 20]


_EVENTS = {
    Role.CLIENT: st.sampled_from(_weighted(_SENT_REQUESTS, _SENT_RESPONSES)),
    Role.SERVER: st.sampled_from(_weighted(_SENT_RESPONSES, _SENT_REQUESTS)),
}


def events(role: Role) -> st.SearchStrategy[Any]:
    """Return events that this role may try to send; sometimes those of the other.

    ``Closed`` is not among them: HTTP has no message that says it, so what the other side sends
    before it sees the end of the connection is lost.
    """
    return _EVENTS[role]


# --- Wires ---

_BODIES = [
    (b"", b""),
    (b"", b""),
    (b"Content-Length: 0\r\n", b""),
    (b"Content-Length: 05\r\n", b"hello"),
    (b"content-length:18 \r\n", b"GET / HTTP/1.1\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: ChUnKeD\r\n", b"5\r\nhello\r\n05;a\r\nworld\r\n00\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b'2 ; a = "b\\""\r\nhi\r\n0;x=y\r\nX-Sum: 1\r\n\r\n'),
    (b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"hi"),
]
_LINES = [b"GET / ", b"POST /a?b=c#d ", b"HEAD http://b/x?y ", b'PUT /"|" ', b"OPTIONS * "]
_OPTIONS = [
    b"",
    b"",
    b"Connection: keep-alive\r\n",
    b"Connection:close\t\r\nX-y_z:\r\n",
    b"Connection: ,upgrade\r\nUpgrade: websocket\r\n",
    b"Accept: \xe9\r\naccept:  a\tb \r\n",
]
REQUESTS = [
    line + version + b"\r\nHost: a\r\n" + option + framing + b"\r\n" + body
    for line, version, option, (framing, body) in product(
        _LINES, (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"), _OPTIONS, _BODIES
    )
    if version == b"HTTP/1.1" or b"chunked" not in framing.lower()
]
_STATUS_LINES = [b"200 OK", b"200 ", b"404", b"100 x", b"103 x", b"204 \xe9", b"304 x", b"101 x"]
RESPONSES = [
    version + line + b"\r\n" + option + framing + b"\r\n" + body
    for line, version, option, (framing, body) in product(
        _STATUS_LINES,
        (b"HTTP/1.1 ", b"HTTP/1.0 "),
        [*_OPTIONS, b"X: a\r\n b\r\n"],
        [*_BODIES, (b"", b"until the end")],
    )
    if line[:1] in b"24" or not body
]
_JUNK = [b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"0", b"5\r\n", b"\xff", b";", b"-"]


@st.composite
def _nearly(draw: Any, right: list[bytes]) -> bytes:
    """Draw a wire with one thing changed."""
    good = draw(st.sampled_from(right))
    at = draw(st.integers(0, len(good)))
    return good[:at] + draw(st.sampled_from(_JUNK)) + good[at + draw(st.integers(0, 3)) :]


def _wires(right: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    usual = st.sampled_from(right)
    rare = st.one_of(_nearly(right), st.sampled_from(_JUNK), st.binary(max_size=8))
    return st.one_of(
        st.lists(usual, max_size=3),
        st.tuples(_nearly(right)).map(list),
        st.tuples(usual, rare, usual).map(list),
    )


_WIRES = {Role.SERVER: _wires(REQUESTS), Role.CLIENT: _wires(RESPONSES)}


def wire(role: Role) -> st.SearchStrategy[list[bytes]]:
    """Return what may reach the layer of this role."""
    return _WIRES[role]


requests = st.sampled_from(REQUESTS)
"""One request that is right."""
