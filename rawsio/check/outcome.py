"""What a run comes to: the report as plain values, the allow list, the exit status.

The JSON report (format 1) is what ``--json`` writes, ``--rerun`` and ``--compare`` read, and every
other report is made of.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from rawsio.layer import record

from .case import ERROR, FAILED, NON_STRICT, VERDICTS
from .runner import counts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .runner import Result

__all__ = [
    "Allowed",
    "NotAReport",
    "bad",
    "crossings",
    "exit_status",
    "read_allowed",
    "read_report",
    "report",
]

FORMAT = 1


class NotAReport(ValueError):
    """A file is not what it was given as; the text says which and why."""


def report(
    results: Sequence[Result],
    target: dict[str, Any],
    *,
    tool: str,
    started: str,
    duration: float,
    repeat: str,
) -> dict[str, Any]:
    """Return a run as plain values; ``repeat`` is the command line without a selection."""
    return {
        "format": FORMAT,
        "tool": tool,
        "target": target,
        "started": started,
        "duration": round(duration, 3),
        "repeat": repeat,
        "counts": counts(results),
        "cases": [_case(result) for result in results],
    }


def _case(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "rule": result.rule,
        "level": result.level,
        "verdict": result.verdict,
        "close": result.close,
        "alive": result.alive,
        "ms": round(result.seconds * 1000, 1),
        "expected": result.expect,
        "text": result.text,
        "got": result.got,
        "note": result.note,
        "wire": [
            [round(c.at, 4), c.way, b2a_base64(c.data, newline=False).decode(), c.line]
            for c in result.wire
        ],
    }


def crossings(case: dict[str, Any]) -> list[tuple[float, str, bytes, int]]:
    """Return what passed in a case of a report: when, which way, the bytes, on which line."""
    return [(at, way, a2b_base64(data), line) for at, way, data, line in case["wire"]]


def read_report(path: str) -> dict[str, Any]:
    """Read a JSON report; raises :class:`NotAReport`, or ``OSError``."""
    import json

    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except ValueError as error:
            raise NotAReport(f"{path} is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NotAReport(f"{path} is no report of rawsio check (format {FORMAT})")
    if not isinstance(found.get("cases"), list):
        raise NotAReport(f"{path} has no list of cases")
    return found


@record
class Allowed:
    """The allow list: globs of case ids that may fail, each with its reason."""

    reasons: dict[str, str]

    def reason(self, case_id: str) -> str | None:
        """Return why a case may fail, ``None`` if it may not."""
        from fnmatch import fnmatchcase

        found = (why for glob, why in self.reasons.items() if fnmatchcase(case_id, glob))
        return next(found, None)


def read_allowed(path: str) -> Allowed:
    """Read an allow list: a line has an id or a glob, blanks, and the reason; # is a comment."""
    reasons = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            text = line.partition("#")[0].strip(" \t\r\n")
            if not text:
                continue
            glob, _, reason = text.partition(" ")
            if not reason.strip(" \t"):
                raise NotAReport(f"{path}:{number}: {glob} has no reason")
            reasons[glob] = reason.strip(" \t")
    return Allowed(reasons)


def bad(cases: Iterable[dict[str, Any]], *, strict: bool = False) -> list[dict[str, Any]]:
    """Return the cases of a report that make a run fail; with ``strict`` NON-STRICT ones, too."""
    wrong = {FAILED, ERROR} | ({NON_STRICT} if strict else set())
    return [case for case in cases if case["verdict"] in wrong]


def exit_status(
    cases: Sequence[dict[str, Any]], allowed: Allowed, *, strict: bool, strict_allow: bool
) -> int:
    """Return 0 (nothing wrong but what is allowed), 1, 2 (nothing judged) or 3.

    3: with ``strict_allow``, an allowed case passes now, or is not there any more.
    """
    if not any(case["verdict"] in VERDICTS[:3] or case["verdict"] == FAILED for case in cases):
        return 2
    wrong = {case["id"] for case in bad(cases, strict=strict)}
    if any(allowed.reason(case_id) is None for case_id in wrong):
        return 1
    if strict_allow:
        ids = [case["id"] for case in cases]
        if any(not _needed(glob, ids, wrong) for glob in allowed.reasons):
            return 3
    return 0


def _needed(glob: str, ids: Sequence[str], wrong: set[str]) -> bool:
    from fnmatch import fnmatchcase

    matching = [case_id for case_id in ids if fnmatchcase(case_id, glob)]
    return not matching or any(case_id in wrong for case_id in matching)
