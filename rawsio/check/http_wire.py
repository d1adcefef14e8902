"""HTTP as the tester speaks it: requests that may be wrong, and reading until answers are whole.

``$P`` in a request is the path of the target, ``$H`` its authority.
"""

from __future__ import annotations

from .http_answers import Answer, Heard, read_answers, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .talk import Line, Talk

__all__ = [
    "GOOD",
    "NOT_IN_TOKENS",
    "Answer",
    "Heard",
    "chunked",
    "ended_by",
    "fields",
    "get",
    "hear",
    "line",
    "post",
    "read_answers",
    "show",
]

GOOD = b"GET $P HTTP/1.1\r\nHost: $H\r\n\r\n"
"""A request without fault."""

NOT_IN_TOKENS = {
    "paren": "(",
    "comma": ",",
    "slash": "/",
    "semicolon": ";",
    "less": "<",
    "equal": "=",
    "at": "@",
    "bracket": "[",
    "backslash": "\\",
    "brace": "{",
    "quote": '"',
    "ctl01": "\x01",
    "del": "\x7f",
    "x80": "\x80",
}
"""Name -> character that is in no token: no part of a method or of a field name."""


# What is sent


def line(text: str) -> bytes:
    """Return a request with this request line.

    >>> line("GET $P HTTP/9.9")
    b'GET $P HTTP/9.9\\r\\nHost: $H\\r\\n\\r\\n'
    """
    return text.encode("latin-1") + b"\r\nHost: $H\r\n\r\n"


def fields(*lines: str | bytes, host: bool = True) -> bytes:
    """Return a GET with these field lines, in front of them Host unless told otherwise."""
    made = [item if isinstance(item, bytes) else item.encode("latin-1") for item in lines]
    start = [b"GET $P HTTP/1.1"] + ([b"Host: $H"] if host else [])
    return b"\r\n".join([*start, *made, b"", b""])


def get(path: str = "$P", *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    """Return a request without a body."""
    head = [f"{method} {path} HTTP/{version}", "Host: $H", *lines, "", ""]
    return "\r\n".join(head).encode("latin-1")


def post(*lines: str | bytes, body: bytes = b"hello", version: str = "1.1") -> bytes:
    """Return a POST with these framing fields and this body as it is."""
    made = [item if isinstance(item, bytes) else item.encode("latin-1") for item in lines]
    start = [b"POST $P HTTP/" + version.encode(), b"Host: $H"]
    return b"\r\n".join([*start, *made, b"", b""]) + body


def chunked(body: bytes | str) -> bytes:
    """Return a POST whose coded body is this."""
    raw = body if isinstance(body, bytes) else body.encode("latin-1")
    return post("Transfer-Encoding: chunked", body=raw)


# What comes back


def hear(
    talk: Talk,
    wire: Line,
    count: int = 1,
    methods: Sequence[str] = (),
    seconds: float | None = None,
) -> Heard:
    """Read until so many answers are whole, the connection ends, or nothing more comes."""
    while True:
        heard = read_answers(bytes(wire.heard), bool(wire.ended), methods)
        if heard.complete >= count or heard.problem or wire.ended:
            break
        read = len(wire.heard)
        if wire.receive(seconds) is None:
            break
        # All is read anew each time: of much, only when much more has come, or nothing more waits.
        while len(wire.heard) < read + (read >> 3) and wire.receive(0.0):
            pass
    for answer in heard.answers:
        answer.line = wire.number
    talk.counts(len(heard.answers))
    if len(talk.target.seen) < _MOST_SEEN:
        talk.target.seen += [_without_body(answer) for answer in heard.answers]
    return heard


_MOST_SEEN = 20_000
"""Answers of a run that are looked at together in the end."""


def _without_body(seen: Answer) -> Answer:
    """Return an answer as it is kept for the rest of the run."""
    return Answer(
        seen.status,
        seen.version,
        seen.fields,
        b"",
        seen.framing,
        seen.complete,
        seen.method,
        seen.head,
        seen.line,
    )


def ended_by(wire: Line, heard: Heard) -> str:
    """Say in a few words what came back on a line."""
    parts = [f"{status}" for status in [*heard.interim, *heard.statuses]]
    what = " then ".join(parts) if parts else "no answer"
    how = {"": "connection open", "end": "connection ended", "reset": "connection reset"}
    text = f"{what}, {how[wire.ended]}"
    return f"{text}; {heard.problem}" if heard.problem else text
