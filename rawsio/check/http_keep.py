"""``http.keep``, ``http.expect``, ``http.upgrade``: connections that go on, and those that end.

What is expected is the number of answers, their order, and how the connection goes on.
"""

from __future__ import annotations

from .case import Case, Finding, failed, fine, lax, noted, rows
from .http_judges import HTTP_JUDGES, control, follow_up
from .http_wire import GOOD, ended_by, fields, get, hear, post, read_answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .talk import Talk

__all__ = ["CASES"]

_POST = post("Content-Length: 5")
_NUMBERED = b"".join(post("Content-Length: 1", body=b"%d" % n) for n in range(10))


def _one_after_the_other(talk: Talk) -> Finding:
    wire = talk.dial()
    for number in (1, 2):
        wire.send(talk.target.fill(GOOD), cut=True)
        heard = hear(talk, wire, number)
        if heard.statuses != [control(talk)] * number:
            said = heard.answers and heard.answers[-1].closes
            return lax(ended_by(wire, heard)) if said else failed(ended_by(wire, heard))
    return fine(ended_by(wire, heard))


def _close_echo(talk: Talk) -> Finding:
    wire = talk.dial()
    wire.send(talk.target.fill(get("$P", "Connection: close")))
    heard = hear(talk, wire)
    if not heard.complete:
        return failed(ended_by(wire, heard))
    said = heard.answers[0].closes and heard.answers[0].get("connection") is not None
    return fine("it says close") if said else lax("the answer does not say close")


def _idle(talk: Talk) -> Finding:
    wire = talk.dial()
    wire.send(talk.target.fill(GOOD))
    heard = hear(talk, wire)
    if not heard.complete:
        return failed(ended_by(wire, heard), "a faultless request is not answered")
    began = talk.time()
    if not wire.until_end(60.0):
        return noted(f"{ended_by(wire, heard)} for 60 s")
    return noted(f"ended {talk.time() - began:.1f} s after the answer")


_KEEP = rows(
    "http.keep",
    "9112-9.3-persist",
    "TWO",
    HTTP_JUDGES,
    [
        ("pipeline-2", "two requests in one segment", GOOD * 2),
        ("pipeline-10", "ten in one segment: answers in order", _NUMBERED, "bodies"),
        ("post-get", "POST with a body, GET behind it", _POST + GOOD),
        (
            "chunked-get",
            "chunked POST, GET behind it",
            post("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n") + GOOD,
        ),
        ("head-get", "HEAD, then GET: no body between", get(method="HEAD") + GOOD),
        (
            "unread-body",
            "POST with a body to a path that is not there, then GET",
            _POST.replace(b" $P ", b" $Pno-such-path ") + GOOD,
            "elsewhere",
        ),
        (
            "connection-list",
            "Connection: foo, keep-alive",
            get("$P", "Connection: foo, keep-alive") + GOOD,
        ),
    ],
)
_KEEP += rows(
    "http.keep",
    "9112-9.3-persist",
    "EXP",
    HTTP_JUDGES,
    [("two", "two requests, one after the other", _one_after_the_other)],
)
_KEEP += rows(
    "http.keep",
    "9112-9.3-persist",
    "ONE",
    HTTP_JUDGES,
    [
        ("close", "Connection: close", fields("Connection: close")),
        ("close-case", "Connection: CLOSE", fields("Connection: CLOSE")),
        ("close-list", "Connection: foo, close", fields("Connection: foo, close")),
        (
            "close-two-lines",
            "close on a second line",
            fields("Connection: foo", "Connection: close"),
        ),
        ("old", "HTTP/1.0", get(version="1.0")),
        (
            "close-pipeline",
            "close, then a second request: not answered",
            fields("Connection: close") + GOOD,
        ),
        ("half-close", "our end behind the request: answered all the same", GOOD, "finish"),
    ],
)
_KEEP += rows(
    "http.keep",
    "9112-9.5-idle",
    "INFO",
    HTTP_JUDGES,
    [("idle", "seconds from the answer to the end of an idle connection", _idle, "slow")],
)
_KEEP += rows(
    "http.keep",
    "9112-9.6-close",
    "EXP",
    HTTP_JUDGES,
    [("close-echo", "the answer to close says close", _close_echo)],
)


# Expect


def _expecting(
    talk: Talk, head: bytes, body: bytes, *, path: bytes = b"$P", early: bool = False
) -> Finding:
    """Send a head that expects a 100, and the body once it came, or once nothing comes."""
    wire = talk.dial()
    wire.send(talk.target.fill(head.replace(b"$P", path) + (body if early else b"")))
    while True:
        more = wire.receive()
        heard = read_answers(bytes(wire.heard), bool(wire.ended), ["POST"])
        if heard.interim or heard.answers or not more:
            break
    waited = not heard.interim and not heard.answers
    sent = early
    if not early and not heard.answers and not wire.ended:
        wire.send(body)
        sent = True
    heard = hear(talk, wire, 1, ["POST"])
    got = ended_by(wire, heard)
    if heard.problem or not heard.complete:
        return failed(got, "no final answer")
    if any(status != 100 for status in heard.interim) or len(heard.interim) > 1:
        return failed(got, "one 100 at most was due")
    status = heard.statuses[0]
    usual = control(talk, "POST")
    if (status >= 500 and status != usual) or (path == b"$P" and status not in (usual, 417)):
        return failed(got, f"a faultless POST gets {usual}")
    if waited:
        return lax(got, "no 100: the answer came after the body that had waited for it")
    # Without the body, what follows would be taken for it.
    return (follow_up(talk, wire, heard, "POST") if sent else None) or fine(got)


def _expect(talk: Talk) -> Finding:
    return _expecting(talk, post("Content-Length: 5", "Expect: 100-continue", body=b""), b"hello")


def _case(talk: Talk) -> Finding:
    return _expecting(talk, post("Content-Length: 5", "Expect: 100-Continue", body=b""), b"hello")


def _at_once(talk: Talk) -> Finding:
    head = post("Content-Length: 5", "Expect: 100-continue", body=b"")
    return _expecting(talk, head, b"hello", early=True)


def _refused(talk: Talk) -> Finding:
    head = post("Content-Length: 5", "Expect: 100-continue", body=b"")
    return _expecting(talk, head, b"hello", path=b"$Pno-such-path")


def _chunked(talk: Talk) -> Finding:
    head = post("Transfer-Encoding: chunked", "Expect: 100-continue", body=b"")
    return _expecting(talk, head, b"5\r\nhello\r\n0\r\n\r\n")


def _no_body(talk: Talk) -> Finding:
    head = post("Content-Length: 0", "Expect: 100-continue", body=b"")
    return _expecting(talk, head, b"", early=True)


def _never(talk: Talk) -> Finding:
    wire = talk.dial()
    wire.send(talk.target.fill(post("Content-Length: 5", "Expect: 100-continue", body=b"")))
    began = talk.time()
    ended = wire.until_end(60.0)
    heard = read_answers(bytes(wire.heard), bool(wire.ended), ["POST"])
    if any(status >= 500 for status in heard.statuses):
        return failed(ended_by(wire, heard))
    if heard.complete or ended:
        return fine(f"{ended_by(wire, heard)} after {talk.time() - began:.0f} s")
    return lax(f"{ended_by(wire, heard)} after 60 s")


def _old(talk: Talk) -> Finding:
    wire = talk.dial()
    head = post("Content-Length: 5", "Expect: 100-continue", version="1.0")
    wire.send(talk.target.fill(head))
    heard = hear(talk, wire, 1, ["POST"])
    got = ended_by(wire, heard)
    if heard.interim:
        return failed(got, "HTTP/1.0 knows no interim answer")
    return fine(got) if heard.statuses == [control(talk, "POST")] else failed(got)


_RULE = "9110-10.1.1-continue"
_EXPECT = rows(
    "http.expect",
    _RULE,
    "EXP",
    HTTP_JUDGES,
    [
        ("continue", "the body follows the 100", _expect),
        ("case", "100-Continue", _case),
        ("body-at-once", "the body in the segment of the head", _at_once),
        ("refused", "a path that is not there: a final status will do", _refused),
        ("chunked", "with a chunked body", _chunked),
        ("no-body", "with Content-Length 0", _no_body),
        ("never", "the body never comes: no hang beyond the time-out", _never, "slow"),
    ],
)
_EXPECT += rows(
    "http.expect",
    "9110-10.1.1-expect",
    "EITHER",
    HTTP_JUDGES,
    [("unknown", "Expect: x", fields("Expect: x"))],
)
_EXPECT += rows(
    "http.expect",
    "9110-10.1.1-old",
    "EXP",
    HTTP_JUDGES,
    [("old", "HTTP/1.0 and Expect: no 100", _old)],
)

_UPGRADE = rows(
    "http.upgrade",
    "9110-7.8-switch",
    "ACC",
    HTTP_JUDGES,
    [
        ("unknown", "Upgrade: foo is ignored", fields("Upgrade: foo", "Connection: Upgrade")),
        (
            "h2c",
            "Upgrade: h2c is ignored",
            fields(
                "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk"
            ),
            "h2c",
        ),
        ("no-connection", "Upgrade that Connection does not name", fields("Upgrade: websocket")),
        (
            "old",
            "Upgrade in HTTP/1.0",
            b"GET $P HTTP/1.0\r\nHost: $H\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ),
    ],
)

CASES: list[Case] = [*_KEEP, *_EXPECT, *_UPGRADE]
