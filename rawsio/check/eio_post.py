"""``eio.post``: what a polling client sends, right and wrong.

A body that is wrong has to be refused, and the session has to end: both are looked at.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, rows
from .eio_echo import polling
from .eio_open import EIO_JUDGES, refused_with
from .eio_wire import (
    SEPARATOR,
    Polling,
    exchange,
    last_answer,
    most_payload,
    packets_of,
    request,
)
from .http_wire import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Send
    from .http_answers import Answer
    from .talk import Talk

__all__ = ["CASES", "gone"]

_ONCE = "\U0001f600 \u2028 \u00fc"


def gone(talk: Talk, session: Polling, seconds: float = 0.4) -> bool:
    """Whether the server forgets a session within so much time."""
    until = talk.time() + seconds
    while True:
        answer, wire = exchange(talk, session.query, method="POST", body=b"6", path=session.path)
        wire.close()
        if answer is not None and answer.status >= 400:
            return True
        if talk.time() >= until:
            return False
        talk.world.pause(0.05)


def _ok(answer: Answer | None) -> Finding | None:
    if answer is None or answer.status != 200:
        return failed(f"{answer.status if answer else 'no answer'}", "200 ok was due")
    if answer.body != b"ok":
        return lax(show(answer.body), "ok is the body")
    return None


def _echoed(*messages: str | bytes, lines: tuple[str, ...] = (), chunked: bool = False) -> Send:
    """Return a case that posts messages in one body and polls them back."""

    def case(talk: Talk) -> Finding:
        echo = polling(talk)
        session = echo.session
        if not isinstance(session, Polling):
            raise TypeError("a polling session is expected")
        packets = echo.wrap(*messages)
        if not lines and not chunked:
            answer = session.send(*packets)
        else:
            body = SEPARATOR.join(str(packet) for packet in packets).encode()
            if chunked:
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            more = ("Transfer-Encoding: chunked",) if chunked else ()
            answer = session.post(body, *lines, *more)
        return _ok(answer) or echo.expect(messages)

    return case


def _no_type(talk: Talk) -> Finding:
    echo = polling(talk)
    session = echo.session
    body = "".join(map(str, echo.wrap("hello"))).encode()
    wire = talk.dial(talk.target.engine_at if echo.plain else "")
    data = request(talk, session.path, getattr(session, "query", ""), "POST", body, ())
    wire.asked.append("POST")
    wire.send(data.replace(b"Content-Type: text/plain;charset=UTF-8\r\n", b""))
    return _ok(last_answer(talk, wire)) or echo.expect(["hello"])


def _expecting(talk: Talk) -> Finding:
    echo = polling(talk)
    body = "".join(map(str, echo.wrap("hello"))).encode()
    wire = talk.dial(talk.target.engine_at if echo.plain else "")
    query = getattr(echo.session, "query", "")
    data = request(talk, echo.session.path, query, "POST", body, ("Expect: 100-continue",))
    wire.asked.append("POST")
    wire.send(data[: -len(body)])
    wire.receive()
    wire.send(body)
    return _ok(last_answer(talk, wire)) or echo.expect(["hello"])


def _biggest(talk: Talk) -> Finding:
    echo = polling(talk)
    session = echo.session
    size = most_payload(session.open)
    empty = len("".join(map(str, echo.wrap(""))))
    text = "x" * (size - empty)
    answer = session.send(*echo.wrap(text)) if isinstance(session, Polling) else None
    return _ok(answer) or echo.expect([text])


def _ignored(packet: str) -> Send:
    """Return a case whose packet has no effect."""

    def case(talk: Talk) -> Finding:
        session = Polling(talk)
        wrong = _ok(session.post(packet))
        if wrong is not None:
            return wrong
        return failed("the session is gone") if gone(talk, session, 0.0) else fine("ignored")

    return case


_EOK: list[tuple[str, str, Send]] = [
    ("text", "one text message comes back", _echoed("hello")),
    ("three", "three messages in one body keep their order", _echoed("a", "b", "c")),
    ("binary", "a binary message in base64", _echoed(b"\1\2\3\4")),
    ("mixed", "text and binary", _echoed("a", b"\0\xff", "b")),
    ("empty-message", "an empty message", _echoed("")),
    ("unicode", "text beyond ASCII", _echoed(_ONCE)),
    (
        "charset",
        "Content-Type with a charset",
        _echoed(_ONCE, lines=("Content-Type: text/plain; charset=utf-8",)),
    ),
    ("no-content-type", "no Content-Type", _no_type),
    ("chunked", "a chunked body", _echoed("hello", chunked=True)),
    ("expect", "with Expect: 100-continue", _expecting),
    ("16", "16 packets in one body", _echoed(*map(str, range(16)))),
    ("17", "17 packets", _echoed(*map(str, range(17)))),
    ("1000", "1,000 packets", _echoed(*map(str, range(1000)))),
    ("1e-json", "an escaped U+001E inside JSON", _echoed('{"a":"\\u001e"}')),
    ("big", "a body of maxPayload bytes", _biggest),
    ("noop", "a noop is ignored", _ignored("6")),
    ("pong", "a pong out of turn is ignored", _ignored("3")),
]


def _malformed(body: str | bytes, *lines: str, dropped: bool = False) -> Callable[[Talk], Finding]:
    """Return a case whose body has to be answered with 400, and ends the session.

    What the protocol says nothing of may be ``dropped`` instead.
    """

    def case(talk: Talk) -> Finding:
        session = Polling(talk)
        answer = session.post(body, *lines)
        if answer is None:
            return failed("no answer")
        got = f"{answer.status} {show(answer.body)}"
        if answer.status >= 500:
            return failed(got)
        if not _told_to_close(session) and not gone(talk, session):
            if dropped:
                return lax(got, "dropped: the session lives on")
            return failed(got, "the session lives on")
        if answer.status == 200:
            return lax(got, "200, though the session has ended")
        return fine(got) if answer.status == 400 else lax(got)

    return case


def _told_to_close(session: Polling) -> bool:
    """Whether a poll brings the packet that ends the session: some servers wait for one."""
    answer = session.get(0.15)
    return answer is not None and (
        answer.status == 400 or "1" in packets_of(session.talk, answer.body)
    )


def _old_form(talk: Talk) -> Finding:
    finding = _malformed("6:4hello")(talk)
    if finding.verdict == "FAILED" and finding.got.startswith("200"):
        return lax(finding.got, "taken for a noop with data")
    return finding


_EBAD: list[tuple[str, str, Send]] = [
    ("unknown-type", "abc", _malformed("abc")),
    ("type-7", "7", _malformed("7")),
    ("type-9", "9x", _malformed("9x")),
    ("empty", "an empty body", _malformed("")),
    ("only-1e", "a separator only", _malformed("\x1e")),
    ("trailing-1e", "a separator at the end", _malformed("4a\x1e")),
    ("good-then-bad", "a message, then an unknown type", _malformed("4a\x1ez")),
    (
        "octet-stream",
        "application/octet-stream",
        _malformed(b"\0\1\xff4a", "Content-Type: application/octet-stream"),
    ),
    ("digit-fullwidth", "U+FF14 as a type", _malformed("\uff14a")),
]
_EBAD_SOFT: list[tuple[str, str, Send]] = [
    ("open", "an open packet", _malformed("0{}", dropped=True)),
    ("ping", "a ping, which is the server's", _malformed("2", dropped=True)),
    ("upgrade", "an upgrade without a probe", _malformed("5", dropped=True)),
    ("bad-base64", "b!!!", _malformed("b!!!", dropped=True)),
    ("base64-no-padding", "bAQI", _malformed("bAQI", dropped=True)),
    ("base64-urlsafe", "b-_8=", _malformed("b-_8=", dropped=True)),
    ("bad-utf8", "byte FF", _malformed(b"4\xff", dropped=True)),
    ("v3-length", "the form of revision 3", _old_form),
]


def _too_long(*, chunked: bool) -> Send:
    def case(talk: Talk) -> Finding:
        session = Polling(talk)
        size = most_payload(session.open)
        body = b"4" + b"x" * size
        if chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        more = ("Transfer-Encoding: chunked",) if chunked else ()
        return _judge_too_long(talk, session, session.post(body, *more))

    return case


def _judge_too_long(talk: Talk, session: Polling, answer: Answer | None) -> Finding:
    if answer is None:
        ended = session.posts is not None and session.posts.ended
        return lax("ended without an answer") if ended else failed("no answer")
    got = f"{answer.status} {show(answer.body)}"
    if answer.status in (502, 504):
        return lax(got, "ended without an answer, says a proxy")
    if answer.status < 400 or answer.status >= 500:
        return failed(got, "413 was due")
    if not gone(talk, session):
        return lax(got, "the session lives on")
    return fine(got) if answer.status == 413 else lax(got, "413 is its status")


def _announced(talk: Talk) -> Finding:
    session = Polling(talk)
    wire = talk.dial(talk.target.engine_at)
    head = request(talk, session.path, session.query, "POST", b"", ("Content-Length: 1000000000",))
    wire.asked.append("POST")
    wire.send(head)
    session.posts = wire
    answer = last_answer(talk, wire)
    if answer is None and not wire.ended:
        return lax("no answer", "it waits for the body")
    return _judge_too_long(talk, session, answer)


_E413: list[tuple[str, str, Send]] = [
    ("too-long", "maxPayload + 1", _too_long(chunked=False)),
    ("too-long-chunked", "the same, chunked", _too_long(chunked=True)),
    ("too-long-announced", "Content-Length 10**9, no body", _announced),
]


def _overlap(talk: Talk) -> Finding:
    session = Polling(talk)
    wire = talk.dial(talk.target.engine_at)
    head = request(talk, session.path, session.query, "POST", b"4hello", ())
    wire.asked.append("POST")
    wire.send(head[:-3])
    # A plain request behind it shows that the server has read the first half.
    exchange(talk, "", path="/")
    answer, _second = exchange(talk, session.query, method="POST", body=b"4x", path=session.path)
    if answer is not None and answer.status == 200:
        return lax("200", "two posts at a time were taken")
    finding = refused_with(answer, *range(6))
    if finding.verdict == "OK" and not gone(talk, session):
        return lax(finding.got, "the session lives on")
    return finding


def _second_poll(talk: Talk) -> Finding:
    session = Polling(talk)
    session.start()
    exchange(talk, "", path="/")
    answer, _wire = exchange(talk, session.query, path=session.path)
    first = session.answer()
    if answer is not None and answer.status == 200:
        return failed(f"200 {show(answer.body)}", "two polls at a time were taken")
    finding = refused_with(answer, *range(6))
    if finding.verdict == "OK" and not gone(talk, session):
        return lax(finding.got, "the session lives on")
    return Finding(
        finding.verdict, f"{finding.got}; first: {show(first.body) if first else 'none'}"
    )


def _abort_poll(talk: Talk) -> Finding:
    session = Polling(talk)
    wire = session.start()
    exchange(talk, "", path="/")
    wire.close(reset=True)
    return fine("the session ends") if gone(talk, session) else lax("the session lives on")


def _abort_post(talk: Talk) -> Finding:
    session = Polling(talk)
    wire = talk.dial(talk.target.engine_at)
    wire.send(request(talk, session.path, session.query, "POST", b"4hello", ())[:-3])
    exchange(talk, "", path="/")
    wire.close(reset=True)
    return fine("the session ends") if gone(talk, session) else lax("the session lives on")


_OVERLAP: list[tuple[str, str, Send]] = [
    ("overlap", "a second POST while one is read", _overlap),
    ("second-poll", "a second GET while one waits", _second_poll),
    ("abort-poll", "a GET is cut off: the session ends", _abort_poll),
    ("abort-post", "a POST is cut off: the session ends", _abort_post),
]


def _slow_body(talk: Talk) -> Finding:
    session = Polling(talk)
    wire = talk.dial(talk.target.engine_at)
    wire.asked.append("POST")
    data = request(talk, session.path, session.query, "POST", b"4" + b"x" * 999, ())
    wire.send(data[:-999])
    began = talk.time()
    for at in range(120):
        wire.receive(1.0)
        if wire.heard or wire.ended:
            answer = last_answer(talk, wire, 1.0)
            status = answer.status if answer else "an end"
            return fine(f"{status} after {talk.time() - began:.0f} s")
        if at == 10:
            Polling(talk)  # raises Refused where nobody else is served meanwhile
        wire.send(b"x" if at < 900 else b"")
    return lax(f"not ended after {talk.time() - began:.0f} s")


_RULE = "engineio-v4-polling"
CASES: list[Case] = [
    *rows("eio.post", f"{_RULE}-post", "EOK", EIO_JUDGES, _EOK),
    *rows("eio.post", f"{_RULE}-malformed", "EBAD", EIO_JUDGES, _EBAD),
    *rows("eio.post", f"{_RULE}-malformed", "EBAD-S", EIO_JUDGES, _EBAD_SOFT),
    *rows("eio.post", f"{_RULE}-size", "E413", EIO_JUDGES, _E413),
    *rows("eio.post", f"{_RULE}-overlap", "E400END", EIO_JUDGES, _OVERLAP),
    *rows(
        "eio.post",
        "engineio-v4-heartbeat-upload",
        "TIME",
        EIO_JUDGES,
        [
            ("slow", "a body of one byte a second", _slow_body, "slow"),
        ],
    ),
]
