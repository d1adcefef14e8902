"""``http.answer``: the shape of every answer that was seen in the whole run.

Each case first provokes a few answers of its own, so that it can be run alone, and then judges
these and all that the cases before it have met.
"""

from __future__ import annotations

from rawsio.lazy import Pattern

from .case import Case, Finding, NotOffered, failed, fine, lax, rows
from .http_judges import HTTP_JUDGES
from .http_wire import GOOD, Answer, ended_by, fields, get, hear, post, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .case import Send
    from .talk import Talk

    Fault = Callable[[Answer], str]

__all__ = ["CASES"]

_DAYS, _MONTHS = "Mon|Tue|Wed|Thu|Fri|Sat|Sun", "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_IMF = Pattern(
    rf"(?:{_DAYS}), [0-9]{{2}} (?:{_MONTHS}) [0-9]{{4}} [0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}} GMT"
)
_TYPICAL = (
    ("GET", GOOD),
    ("HEAD", get(method="HEAD")),
    ("POST", post("Content-Length: 5")),
    ("GET", get("$Pno-such-path")),
    ("GET", b"GET $P HTTP/1.0\r\nHost: $H\r\n\r\n"),
    ("DELETE", get(method="DELETE")),
    ("GET", fields(": v")),
    ("POST", post("Content-Length: x")),
)


def _provoke(talk: Talk, requests: Iterable[tuple[str, bytes]] = _TYPICAL) -> list[Answer]:
    answers = []
    for method, data in requests:
        wire = talk.dial()
        wire.send(talk.target.fill(data))
        answers += hear(talk, wire, 1, [method]).answers
        wire.close()
    return answers


def _every(fault: Fault) -> Send:
    """Return a case that fails at the first answer of the run with this fault."""

    def case(talk: Talk) -> Finding:
        _provoke(talk)
        seen = list(talk.target.seen)
        for answer in seen:
            wrong = fault(answer)
            if wrong:
                return failed(show(answer.head, 200), wrong)
        return fine(f"{len(seen)} answers")

    return case


def _date(answer: Answer) -> str:
    dates = answer.all("date")
    if answer.status < 200 or (answer.status >= 500 and not dates):
        return ""
    if len(dates) != 1:
        return f"{len(dates)} Date fields"
    return "" if _IMF.fullmatch(dates[0]) else f"Date is no IMF-fixdate: {dates[0]!r}"


def _dates(talk: Talk) -> Finding:
    _provoke(talk)
    from email.utils import parsedate_to_datetime
    from time import time

    missing = [a for a in talk.target.seen if not a.all("date") and 200 <= a.status < 500]
    wrong = next((_date(a) for a in talk.target.seen if a.all("date") and _date(a)), "")
    if wrong:
        return failed(wrong)
    fresh = _provoke(talk, _TYPICAL[:1])
    date = fresh[0].get("date") if fresh else None
    if date is not None and "clock" not in talk.target.facts:
        off = abs(parsedate_to_datetime(date).timestamp() - time())
        if off > 2.5:
            return lax(date, f"{off:.0f} s away from the clock")
    if missing:
        return lax(show(missing[0].head, 120), "an answer without Date")
    refused = sum(not a.all("date") for a in talk.target.seen)
    return fine(f"{len(talk.target.seen)} answers", f"{refused} error answers without Date")


def _status_line(answer: Answer) -> str:
    first = answer.head.partition(b"\r\n")[0]
    return "" if first[12:13] == b" " else f"no blank behind the status: {show(first)}"


def _framing(answer: Answer) -> str:
    lengths, codings = answer.all("content-length"), answer.all("transfer-encoding")
    if lengths and codings:
        return "both Content-Length and Transfer-Encoding"
    return f"{len(lengths)} Content-Length fields" if len(lengths) > 1 else ""


def _no_length_in_204(answer: Answer) -> str:
    if answer.status == 204 or answer.status < 200:
        for name in ("content-length", "transfer-encoding"):
            if answer.all(name):
                return f"a {answer.status} with {name}"
    return ""


def _no_chunks_to_10(talk: Talk) -> Finding:
    answers = _provoke(talk, [_TYPICAL[4], ("HEAD", b"HEAD $P HTTP/1.0\r\nHost: $H\r\n\r\n")])
    wrong = [a for a in answers if a.all("transfer-encoding")]
    return failed(show(wrong[0].head, 200)) if wrong else fine(f"{len(answers)} answers")


def _error_framing(answer: Answer) -> str:
    # One that ends with its connection may end later than the case that asked for it.
    endless = answer.status >= 400 and not answer.complete and answer.framing != "close"
    return "an error answer without an end" if endless else ""


def _errors(talk: Talk) -> list[tuple[Answer, bool, int]]:
    """Return the first answer to broken requests, whether the end came, and how many there were.

    The last one has no length: only its connection must end.
    """
    found = []
    for data in (fields(": v"), fields("X : v"), post("Content-Length: x")):
        wire = talk.dial()
        wire.send(talk.target.fill(data + GOOD))
        wire.until_end()
        heard = hear(talk, wire, 5)
        if heard.answers:
            found.append((heard.answers[0], bool(wire.ended), len(heard.answers)))
    return found


def _error_close(talk: Talk) -> Finding:
    found = _errors(talk)
    for number, (answer, ended, count) in enumerate(found, 1):
        if answer.status == 400 and not ended and (count > 1 or number == len(found)):
            return failed(show(answer.head, 120), "the connection goes on behind a framing error")
        if answer.status == 400 and not answer.closes:
            return lax(show(answer.head, 120), "the answer does not say close")
    return fine()


def _error_once(talk: Talk) -> Finding:
    for answer, _ended, count in _errors(talk):
        if answer.status >= 400 and count != 1:
            return failed(f"{count} answers to one broken request")
    return fine()


def _needs(status: int, *names: str) -> Fault:
    def fault(answer: Answer) -> str:
        missing = [name for name in names if answer.status == status and not answer.all(name)]
        return f"a {status} without {missing[0]}" if missing else ""

    return fault


def _injection(talk: Talk) -> Finding:
    data = get("$P%0d%0aX-Injected:%20yes"), get("$P?q=%0d%0aX-Injected:%20yes")
    for answer in _provoke(talk, [("GET", item) for item in data]):
        if answer.all("x-injected"):
            return failed(show(answer.head, 200))
    return fine()


def _head_length(talk: Talk) -> Finding:
    pair = _provoke(talk, _TYPICAL[:2])
    if len(pair) != 2:
        return failed("no two answers")
    if pair[0].status != pair[1].status:
        return lax(f"{pair[0].status} to GET, {pair[1].status} to HEAD")
    got, head = (answer.get("content-length") for answer in pair)
    if head is not None and got is not None and head != got:
        return failed(f"GET says {got}, HEAD says {head}")
    return fine(f"GET says {got}, HEAD says {head}")


def _not_modified(talk: Talk) -> Finding:
    tag = None
    for path in ("$P", "/socket.io/socket.io.js"):
        first = _provoke(talk, [("GET", get(path))])
        tag = tag or (first[0].get("etag") if first else None)
        if tag is not None:
            break
    else:
        raise NotOffered("no ETag on the target's path")
    wire = talk.dial()
    wire.send(talk.target.fill(get(path, f"If-None-Match: {tag}") + GOOD))
    heard = hear(talk, wire, 2)
    if heard.problem or heard.complete < 2:
        return failed(ended_by(wire, heard))
    return fine(ended_by(wire, heard))


def _linger(talk: Talk) -> Finding:
    wire = talk.dial()
    head = b"POST $P HTTP/1.1\r\nHost: $H\r\nContent-Length: 5x\r\n\r\n"
    wire.send(talk.target.fill(head) + b"x" * (1 << 20))
    wire.until_end()
    heard = hear(talk, wire)
    got = ended_by(wire, heard)
    if heard.answers:
        return fine(got) if heard.statuses[0] >= 400 else failed(got)
    return lax(got, "the answer was lost in a reset")


_RULE = "9110-6.6.1-date"
_SHAPES: list[tuple[str, str, Send]] = [
    ("date", "one Date, IMF-fixdate, within 2 s", _dates),
    ("status-line", "HTTP-version SP three digits SP reason", _every(_status_line)),
    ("framing", "a length, or chunks, or the end: never two", _every(_framing)),
    ("no-cl-204", "no length in 204 and 1xx", _every(_no_length_in_204)),
    ("no-te-10", "no Transfer-Encoding to HTTP/1.0", _no_chunks_to_10),
    ("error-framing", "error answers have an end", _every(_error_framing)),
    ("error-close", "the answer to a framing error says close", _error_close),
    ("error-once", "exactly one answer to a broken request", _error_once),
    ("405-allow", "405 has Allow", _every(_needs(405, "allow"))),
    ("426-upgrade", "426 has Upgrade and Connection", _every(_needs(426, "upgrade", "connection"))),
    ("401-challenge", "401 has WWW-Authenticate", _every(_needs(401, "www-authenticate"))),
    ("no-injection", "CRLF in the target never appears raw in the answer", _injection),
    ("head-length", "HEAD has GET's Content-Length or none", _head_length),
    ("304-empty", "304 has no body", _not_modified),
    ("linger", "the answer can be read although 1 MiB of body was not", _linger),
]

CASES: list[Case] = rows("http.answer", _RULE, "SHAPE", HTTP_JUDGES, _SHAPES, "serial", "last")
