"""Who judges what an HTTP server answers: one function for each expectation.

The worst thing that a server can do is to disagree with its client about where a message ends.
So a request that must be refused is followed, in the same segment, by a good one: an answer to
that one shows the disagreement, whatever the first status was.
"""

from __future__ import annotations

from rawsio.lazy import Pattern

from .case import FAILED, Finding, NotOffered, failed, fine, lax, noted
from .http_wire import GOOD, Heard, ended_by, hear, read_answers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .case import Case, Judge
    from .talk import Line, Talk

__all__ = ["HTTP_JUDGES", "control", "follow_up", "judge_answers", "need_http", "sent"]

_TOLERATED = (501, 505)
_SETTINGS = Pattern(rb"(?s)\x00..\x04\x00\x00\x00\x00\x00")
"""The frame that an HTTP/2 server begins with."""
_LAST = Pattern(rb"(?s).*[^A-Z]")
"""All before the capitals at the end."""


def need_http(talk: Talk) -> None:
    """Raise :class:`NotOffered` unless plain requests are answered."""
    if not talk.target.control:
        raise NotOffered("no path answers plain HTTP requests")
    if talk.target.control["GET"] == 426:
        raise NotOffered("it wants WebSockets only: plain requests are answered with 426")


def control(talk: Talk, method: str = "GET") -> int:
    """Return the status that a faultless request with this method gets."""
    need_http(talk)
    return talk.target.control.get(method, talk.target.control["GET"])


def sent(talk: Talk, case: Case, behind: bytes = b"", *, until: str = "") -> Line:
    """Send a case's bytes on a new line, in the cut of this run.

    With ``until="refused"`` nothing more is sent once an answer of 4xx or 5xx has begun.
    """
    own = b"$P" in case.data.lstrip(b"\r\n").split(b"\r\n")[0] and "elsewhere" not in case.marks
    if talk.target.mute and not own:
        raise NotOffered("paths that are not there get no answer at all")
    wire = talk.dial()
    wire.send(talk.target.fill(case.data + behind), cut=True, stop=_refused if until else None)
    return wire


def _refused(heard: bytearray) -> bool:
    return bytes(heard[9:10]) in (b"4", b"5")


def _method(data: bytes) -> str:
    return data.lstrip(b"\r\n").split(b" ")[0].decode("latin-1")


def _crashed(status: int) -> bool:
    return status >= 500 and status not in _TOLERATED


def _answered_early(talk: Talk, case: Case) -> bool:
    """Whether what is wrong with a case is behind what this server answers to."""
    behind = case.prefix in ("http.chunk", "http.trailer") or "finish" in case.marks
    return talk.target.early and behind


def _rejected(talk: Talk, case: Case, wanted: tuple[int, ...] = (400,)) -> Finding:
    """REJ: 400, the connection ends, the request behind it is not answered."""
    need_http(talk)
    wire = sent(talk, case, b"" if "alone" in case.marks else GOOD, until="refused")
    if "finish" in case.marks:
        wire.finish()
    heard = hear(talk, wire, 2)
    got = ended_by(wire, heard)
    if heard.problem:
        return _other_protocol(talk, case, bytes(wire.heard), got)
    if not heard.answers:
        return _unanswered(case, got, ended=bool(wire.ended))
    first = heard.statuses[0]
    if first < 400 or len(heard.answers) > 1:
        return _not_refused(talk, case, heard, got, ended=bool(wire.ended))
    if _crashed(first):
        late = case.prefix in ("http.chunk", "http.trailer") or "finish" in case.marks
        if not (late and wire.ended and first == 500):
            return failed(got)
        talk.facts["mild"] = "whether the application has begun is up to TCP"
        return lax(got, "500: the application met the mistake, not the server")
    if not wire.ended:
        talk.facts["mild"] = "how long a server lingers is its own affair"
        return lax(got, "the connection was not ended")
    return fine(got) if first in wanted else lax(got)


def _other_protocol(talk: Talk, case: Case, data: bytes, got: str) -> Finding:
    """Judge an answer that is no HTTP/1: some servers speak its neighbours on the same port."""
    if "preface" in case.marks and _SETTINGS.match(data):
        talk.facts["mild"] = "some look for the preface in the first segment only"
        return noted(got, "it speaks HTTP/2 on this port")
    if case.expect.endswith("-S") and not data.startswith(b"HTTP/"):
        return lax(got, "answered without a head, as HTTP/0.9 was")
    return failed(got)


def _unanswered(case: Case, got: str, *, ended: bool) -> Finding:
    """Judge silence: a server that can count so far waits for the rest of a body."""
    if ended:
        return lax(got)
    if "waits" in case.marks:
        return lax(got, "it waits for the rest of a body that is this long")
    return failed(got, "neither an answer nor an end")


def _not_refused(talk: Talk, case: Case, heard: Heard, got: str, *, ended: bool) -> Finding:
    """Judge what came where a request was accepted, or the one behind it was answered as well."""
    first = heard.statuses[0]
    faultless = first == control(talk, _method(case.data))
    refused = all(400 <= status < 500 for status in heard.statuses[1:])
    in_step = heard.statuses[1:] in ([], [control(talk)])
    if (first < 400 or faultless) and ended and refused and _answered_early(talk, case):
        talk.facts["mild"] = "when an answer comes depends on when the body does"
        return lax(got, "answered before the body was read, then ended")
    if first >= 400 and "framed" in case.marks and not _crashed(first):
        return lax(got, "refused, and the connection goes on: its framing was not in doubt")
    if case.expect.endswith("-S") and in_step and not _crashed(first):
        why = "accepted as the lenient rule allows" if faultless else "and the connection goes on"
        return lax(got, why)
    if case.expect.endswith("-S") and first >= 400 and refused and not faultless:
        return lax(got, "refused, more than once")
    closes = ended or heard.answers[-1].closes
    if faultless and closes and len(heard.answers) == 1 and case.expect.endswith("-C"):
        return lax(got, "accepted, and then closed")
    if faultless and (in_step or not case.expect.endswith("-S")):
        return failed(got, "a request that must be refused was accepted")
    return failed(got, "the two ends disagree about where the message ended")


def _rejected_as(*statuses: int) -> Judge:
    """Return the judge of REJ with other statuses."""

    def judge(talk: Talk, case: Case) -> Finding:
        return _rejected(talk, case, statuses)

    return judge


def _unknown_method(talk: Talk, case: Case) -> Finding:
    """M501: 501 or 405; a 400 is not the canonical status, a 2xx treats the method as GET."""
    need_http(talk)
    wire = sent(talk, case)
    heard = hear(talk, wire)
    got = ended_by(wire, heard)
    if not heard.complete:
        return failed(got) if not wire.ended else lax(got)
    status = heard.statuses[0]
    if status in (501, 405):
        return fine(got)
    return failed(got) if _crashed(status) else lax(got)


def _accepted(talk: Talk, case: Case) -> Finding:
    """ACC: the status of a faultless request, the body echoed, and the connection in step."""
    need_http(talk)
    wire = sent(talk, case)
    method = _method(case.data)
    heard = hear(talk, wire, 1, [method])
    return judge_answers(talk, case, wire, heard, method)


def judge_answers(talk: Talk, case: Case, wire: Line, heard: Heard, method: str) -> Finding:
    """Judge the only answer to an acceptable request, then ask for another one."""
    got = ended_by(wire, heard)
    if not heard.complete or heard.problem:
        return failed(got, "no whole answer")
    answer = heard.answers[0]
    wanted = control(talk, method if method in ("HEAD", "POST") else "GET")
    if "h2c" in case.marks and answer.status == 101 and answer.get("upgrade") == "h2c":
        return fine(got, "it speaks HTTP/2")
    if wanted >= 400:
        talk.facts["mild"] = "a refusal may come for one reason or the other"
    if answer.status != wanted:
        elsewhere = "elsewhere" in case.marks and (answer.status < 400 or answer.status == 404)
        if not elsewhere:
            # Where nothing is to be had, a refusal may come for this reason or for that.
            soft = (case.expect.endswith("-S") or wanted >= 400) and (
                400 <= answer.status < 500 or answer.status in (501, 505)
            )
            why = f"a faultless request gets {wanted}"
            return lax(got, why) if soft else failed(got, why)
    if method == "POST" and talk.target.echoes and "plain" not in case.marks:
        wanted_body = talk.facts.get("body", b"hello")
        if answer.body != wanted_body:
            return failed(got, f"the body came back as {answer.body[:60]!r}")
    return follow_up(talk, wire, heard, method) or fine(got)


def follow_up(talk: Talk, wire: Line, heard: Heard, method: str = "GET") -> Finding | None:
    """Send a good request behind a whole answer; a finding if it is not answered as it should."""
    if wire.ended or heard.answers[-1].closes:
        return None
    before = len(heard.answers)
    wire.send(talk.target.fill(GOOD))
    again = hear(talk, wire, before + 1, [method])
    if len(again.answers) == before and wire.ended:
        return lax(ended_by(wire, again), "the connection ended without an announcement")
    statuses = again.statuses[before:]
    if statuses != [control(talk)] or not again.answers[-1].complete:
        return failed(ended_by(wire, again), "the next request was not answered as it should be")
    return None


def _either(talk: Talk, case: Case) -> Finding:
    """EITHER: what was done is recorded; only a crash, a hang or two answers are wrong."""
    need_http(talk)
    wire = sent(talk, case)
    method = _method(case.data)
    heard = hear(talk, wire, 1, [method])
    got = ended_by(wire, heard)
    if heard.problem or not (heard.complete or wire.ended):
        return failed(got, "neither a whole answer nor an end")
    if any(_crashed(status) for status in heard.statuses):
        return failed(got)
    if method == "TRACE" and any(b"s3cret" in answer.body for answer in heard.answers):
        return failed(got, "TRACE reflects Cookie or Authorization")
    if method == "CONNECT" and heard.answers and heard.statuses[0] < 300:
        return failed(got, "a tunnel was opened")
    return noted(got)


def _incomplete(talk: Talk, case: Case) -> Finding:
    """INC: a body cut off by our end is answered with an error or an end, never with a 2xx."""
    need_http(talk)
    wire = sent(talk, case)
    wire.finish()
    heard = hear(talk, wire)
    got = ended_by(wire, heard)
    if talk.target.early:
        talk.facts["mild"] = "when an answer comes depends on when the body does"
    if not heard.answers:
        return lax(got) if wire.ended else failed(got, "the peer waits for ever")
    status = heard.statuses[0]
    if status < 400 and talk.target.early and not _crashed(status):
        return lax(got, "answered before the body was read")
    if _crashed(status):
        return lax(got, "the mistake was the client's")
    return fine(got) if status >= 400 else failed(got, "half a body was taken for a whole one")


def _several(count: int, *, ends: bool) -> Callable[[Talk, Case], Finding]:
    """Return the judge of ONE and TWO: so many answers, then the end of the connection or none."""

    def judge(talk: Talk, case: Case) -> Finding:
        need_http(talk)
        wire = sent(talk, case)
        if "finish" in case.marks:
            wire.finish()
        wanted = case.data.count(b" HTTP/1.") if not ends else count
        # What stands before a target may follow a body at once: only its end is the method.
        methods = [_LAST.sub(b"", item).decode() for item in case.data.split(b" $P")[:-1]]
        heard = hear(talk, wire, wanted, methods)
        if ends:
            wire.until_end()
            heard = read_answers(bytes(wire.heard), bool(wire.ended), methods)
        return _count(talk, case, wire, heard, (wanted, methods, ends))

    return judge


def _count(
    talk: Talk, case: Case, wire: Line, heard: Heard, asked: tuple[int, list[str], bool]
) -> Finding:
    wanted, methods, ends = asked
    got = ended_by(wire, heard)
    if heard.problem or len(heard.answers) > wanted:
        return failed(got, f"{wanted} answers were due")
    if heard.complete < wanted:
        return _too_few(talk, case, wire, heard)
    for answer, method in zip(heard.answers, methods, strict=False):
        lost = "elsewhere" in case.marks and answer.status in (404, 405)
        if case.expect.endswith("-S") and heard.statuses[-1] == 400 and heard.answers[-1].closes:
            return lax(got, "refused, where the lenient rule allows it")
        if answer.status != control(talk, method) and not lost:
            return failed(got, f"a faultless {method} gets {control(talk, method)}")
    if talk.target.echoes:
        bodies = [
            answer.body
            for answer, method in zip(heard.answers, methods, strict=False)
            if method == "POST" and answer.status < 400
        ]
        if any(body not in (b"hello", b"") for body in bodies) and "bodies" not in case.marks:
            return failed(got, f"a body came back as {bodies!r:.80}")
        if "bodies" in case.marks and bodies != [b"%d" % n for n in range(len(bodies))]:
            return failed(got, "the answers are not in the order of the requests")
    if ends and not wire.ended:
        verdict = lax if "finish" in case.marks else failed
        return verdict(got, "the connection had to end")
    return fine(got)


def _too_few(talk: Talk, case: Case, wire: Line, heard: Heard) -> Finding:
    """Judge that fewer answers came than were due."""
    got = ended_by(wire, heard)
    if talk.target.early and wire.ended:
        talk.facts["mild"] = "when an answer comes depends on when the body does"
        return lax(got, "answered before the body was read, then ended")
    if heard.answers and heard.answers[-1].closes:
        return lax(got, "closes earlier, but says so")
    if "finish" in case.marks and wire.ended:
        talk.facts["mild"] = "which of the two is read first is up to TCP"
        return lax(got, "a client that ended its direction gets no answer")
    return failed(got, "answers miss")


def _ignored(talk: Talk, case: Case) -> Finding:
    """NOMERGE: a trailer field is ignored or refused; it changes nothing about the message."""
    need_http(talk)
    if talk.target.early:
        talk.facts["mild"] = "when an answer comes depends on when the body does"
    wire = sent(talk, case)
    heard = hear(talk, wire, 1, ["POST"])
    got = ended_by(wire, heard)
    if not heard.complete or heard.problem:
        return failed(got) if not wire.ended else lax(got)
    if 400 <= heard.statuses[0] < 500 and heard.statuses[0] != control(talk, "POST"):
        return fine(got, "refused")
    finding = judge_answers(talk, case, wire, heard, "POST")
    if talk.target.early and finding.verdict == FAILED:
        # The answer did not wait for the trailer, which may have been refused behind it.
        return lax(finding.got, "answered before the trailer was read, then ended")
    return finding


def _stepwise(talk: Talk, case: Case) -> Finding:
    """Let the case's own function do everything."""
    need_http(talk)
    return case.perform(talk)


HTTP_JUDGES: dict[str, Judge] = {
    "ACC": _accepted,
    "REJ": _rejected,
    "REJ-413": _rejected_as(400, 413),
    "REJ-501": _rejected_as(400, 501),
    "REJ501": _rejected_as(501),
    "REJ505": _rejected_as(505, 400),
    "M501": _unknown_method,
    "EITHER": _either,
    "INC": _incomplete,
    "NOMERGE": _ignored,
    "ONE": _several(1, ends=True),
    "TWO": _several(2, ends=False),
    "EXP": _stepwise,
    "INFO": _stepwise,
    "SHAPE": _stepwise,
    "LIM": _stepwise,
    "TIME": _stepwise,
}
