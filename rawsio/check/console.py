"""What a run prints for people: the plan, the progress, one line a layer, one a failure.

The rest of a report is for programs (:mod:`rawsio.check.reports`).
"""

from __future__ import annotations

from .case import FAILED, INFORMATIONAL, NON_STRICT, OK, UNIMPLEMENTED, VERDICTS, in_words
from .outcome import Allowed, bad
from .reports import LAYERS, repeat, wire_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from .runner import Result

__all__ = ["Progress", "plan", "summary"]


class Progress:
    """One line on a terminal that is written over and over; nothing where there is no terminal."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self.stream = stream
        self.total = total
        self.done = 0
        self.failed = 0
        self.shown = stream.isatty()

    def __call__(self, result: Result) -> None:
        """Count a result."""
        self.done += 1
        self.failed += result.verdict == FAILED
        if self.shown:
            self.stream.write(
                f"\r\x1b[K{self.done}/{self.total}  {self.failed} failed  {result.id}"
            )
            self.stream.flush()

    def end(self) -> None:
        """Clear the line."""
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def plan(target: dict[str, Any], cases: int) -> str:
    """Return what was found and how many cases will run."""
    found = target["probe"]
    parts = [f"path {found['path']}" if found.get("path") else "no HTTP"]
    if found.get("websocket"):
        manner = found.get("manner") or "no echo"
        parts.append(f"WebSocket {found['websocket']} ({manner})")
        parts.append("deflate" if found.get("deflate") else "no deflate")
    if found.get("engine"):
        parts.append(f"Engine.IO {found['engine']}" + (", revision 3" if found.get("eio3") else ""))
    parts.append(f"contract {found['contract']}" if found.get("contract") else "no contract")
    if found.get("alone"):
        parts.append("one connection at a time")
    return f"{target['url']}: {', '.join(parts)}; {cases} cases"


def summary(report: dict[str, Any], allowed: Allowed, *, strict: bool, most: int = 30) -> str:
    """Return a line for each layer, then what is wrong, with bytes and the command to repeat."""
    lines = []
    for layer in LAYERS:
        cases = [c for c in report["cases"] if c["id"].partition(".")[0] == layer]
        if cases:
            counted = {v: sum(c["verdict"] == v for c in cases) for v in VERDICTS}
            shown = ", ".join(
                f"{number} {verdict}" for verdict, number in counted.items() if number
            )
            lines.append(f"{layer:<7}{len(cases):5}  {shown}")
    lines += _left_out(report)
    wrong = bad(report["cases"], strict=strict)
    told = [case for case in wrong if allowed.reason(case["id"]) is None]
    for case in told[:most]:
        lines += ["", *_failure(report, case)]
    if len(told) > most:
        lines.append(f"... and {len(told) - most} more")
    for case in wrong:
        reason = allowed.reason(case["id"])
        if reason is not None:
            lines.append(f"allowed  {case['id']}: {reason}")
    seconds = report["duration"]
    mild = sum(case["verdict"] in (OK, NON_STRICT, INFORMATIONAL) for case in report["cases"])
    lines += [
        "",
        f"{len(report['cases'])} cases in {seconds:.1f} s, {mild} passed, {len(told)} wrong",
    ]
    return "\n".join(lines)


def _left_out(report: dict[str, Any]) -> list[str]:
    """Return for what reasons cases were UNIMPLEMENTED, the most frequent first."""
    reasons: dict[str, int] = {}
    for case in report["cases"]:
        if case["verdict"] == UNIMPLEMENTED:
            reasons[case["note"]] = reasons.get(case["note"], 0) + 1
    most = sorted(reasons.items(), key=lambda item: -item[1])[:_MOST_REASONS]
    return [f"{number:12}  UNIMPLEMENTED: {reason}" for reason, number in most]


_MOST_REASONS = 5


def _rule(rule: str) -> str:
    """Return what a rule says, empty for an id that stands in no table."""
    from rawsio.rules import find

    try:
        return find(rule).text
    except KeyError:
        return ""


def _failure(report: dict[str, Any], case: dict[str, Any]) -> list[str]:
    lines = [f"{case['verdict']}  {case['id']}  [{case['rule']}]  {case['text']}"]
    lines.append(f"    expected {in_words(case['expected'])}")
    lines.append(f"    got {case['got'] or 'nothing'}")
    if case["note"]:
        lines.append(f"    {case['note']}")
    text = _rule(case["rule"])
    if text:
        lines.append(f"    rule: {text}")
    lines += [f"    {line}" for line in wire_text(case, 300).split("\n")[:12] if line]
    lines.append(f"    again: {repeat(report, case['id'])}")
    return lines
