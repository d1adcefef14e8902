"""Reports for programs: JUnit XML, TAP 13, Markdown tables, and the bytes of a case as text.

Each function takes a report as plain values (:mod:`rawsio.check.outcome`) and returns text.  The
page for people is in :mod:`rawsio.check.page`.
"""

from __future__ import annotations

from .case import (
    ERROR,
    FAILED,
    INFORMATIONAL,
    NON_STRICT,
    OK,
    UNIMPLEMENTED,
    VERDICTS,
    prefix_of,
)
from .outcome import crossings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["as_json", "as_junit", "as_markdown", "as_tap", "compare", "repeat", "wire_text"]

_EXPECTED = "# TO" + "DO"  # the directive of TAP for what may fail

LAYERS = ("http", "ws", "eio", "sio", "client")


def repeat(report: dict[str, Any], case_id: str) -> str:
    """Return the command that runs one case again."""
    command, dashes, client = report["repeat"].partition(" -- ")
    return f"{command} --case {case_id}{dashes}{client}"


def wire_text(case: dict[str, Any], most: int = 2000) -> str:
    r"""Return what passed in a case, one line a segment, with escapes; long ones are cut.

    >>> print(wire_text({"wire": [[0.0, ">", "R0VUIC8NCg==", 0], [0.01, "<", "", 0]]}))
    0   0.0 ms > GET /\r\n
    0  10.0 ms < (end)
    """
    lines = []
    for at, way, data, line in crossings(case):
        text = repr(data[:most])[2:-1] if data else "(end)"
        more = f"... {len(data)} bytes" if len(data) > most else ""
        lines.append(f"{line} {at * 1000:5.1f} ms {way} {text}{more}")
    return "\n".join(_shorter(lines, 60))


def _shorter(lines: list[str], most: int) -> list[str]:
    if len(lines) <= most:
        return lines
    half = most // 2
    return [*lines[:half], f"... {len(lines) - most} segments ...", *lines[-half:]]


def as_json(report: dict[str, Any]) -> str:
    """Return the report itself."""
    import json

    return json.dumps(report, indent=1) + "\n"


# JUnit

_NOT_XML = {code: None for code in range(32) if code not in (9, 10, 13)}
_NOT_XML.update(dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF]))


def _xml(text: str) -> str:
    """Escape text for XML 1.0, which has no way to say some characters."""
    safe = text.translate(_NOT_XML)
    for char, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        safe = safe.replace(char, f"&{name};")
    return safe


def as_junit(report: dict[str, Any]) -> str:
    """Return JUnit XML: a suite for each prefix, the bytes of a failed case in its output."""
    suites: dict[str, list[dict[str, Any]]] = {}
    for case in report["cases"]:
        suites.setdefault(prefix_of(case["id"])[0], []).append(case)
    total = report["counts"]
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="rawsio check" tests="{len(report["cases"])}" '
        f'failures="{total[FAILED]}" errors="{total[ERROR]}" time="{report["duration"]:.3f}">',
    ]
    for prefix, cases in suites.items():
        lines += _suite(report, prefix, cases)
    return "\n".join([*lines, "</testsuites>", ""])


def _suite(report: dict[str, Any], prefix: str, cases: Sequence[dict[str, Any]]) -> list[str]:
    def number(*verdicts: str) -> int:
        return sum(case["verdict"] in verdicts for case in cases)

    seconds = sum(case["ms"] for case in cases) / 1000
    lines = [
        f'<testsuite name="{prefix}" tests="{len(cases)}" failures="{number(FAILED)}" '
        f'errors="{number(ERROR)}" skipped="{number(UNIMPLEMENTED)}" time="{seconds:.3f}" '
        f'timestamp="{report["started"][:19]}">',
        "<properties>",
        f'<property name="tool" value="{_xml(report["tool"])}"/>',
        f'<property name="target" value="{_xml(str(report["target"]["url"]))}"/>',
        "</properties>",
    ]
    for case in cases:
        name = prefix_of(case["id"])[1]
        seconds = case["ms"] / 1000
        lines.append(f'<testcase classname="{prefix}" name="{_xml(name)}" time="{seconds:.3f}">')
        lines += _junit_body(report, case)
        lines.append("</testcase>")
    return [*lines, "</testsuite>"]


def _junit_body(report: dict[str, Any], case: dict[str, Any]) -> list[str]:
    verdict, message = case["verdict"], _xml(f"{case['got']} {case['note']}".strip(" "))
    if verdict == UNIMPLEMENTED:
        return [f'<skipped message="{message}"/>']
    if verdict in (FAILED, ERROR):
        tag = "failure" if verdict == FAILED else "error"
        text = f"{case['text']}\nrule: {case['rule']}\n{repeat(report, case['id'])}"
        shown = _xml(wire_text(case))
        return [
            f'<{tag} type="{verdict}" message="{message}">{_xml(text)}</{tag}>',
            f"<system-out>{shown}</system-out>",
        ]
    return [f"<system-out>{verdict}: {message}</system-out>"] if verdict != OK else []


# TAP


def _tap(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")


def _yaml(text: str) -> str:
    import json

    return json.dumps(text)


def as_tap(report: dict[str, Any]) -> str:
    """Return TAP 13; what failed has a YAML block with rule, bytes and the command to repeat."""
    lines = ["TAP version 13", f"1..{len(report['cases'])}"]
    for number, case in enumerate(report["cases"], 1):
        verdict = case["verdict"]
        name = f"{number} - {_tap(case['id'])}"
        time = f"time={case['ms']:.0f}ms"
        if verdict == UNIMPLEMENTED:
            lines.append(f"ok {name} # SKIP {_tap(case['note'])}")
        elif verdict == NON_STRICT:
            lines.append(f"ok {name} {_EXPECTED} non-strict: {_tap(case['got'])}")
        elif verdict in (OK, INFORMATIONAL):
            lines.append(f"ok {name} # {time}")
        else:
            lines.append(f"not ok {name} # {time}")
            lines += _tap_block(report, case)
    return "\n".join([*lines, ""])


def _tap_block(report: dict[str, Any], case: dict[str, Any]) -> list[str]:
    fields = {
        "verdict": case["verdict"],
        "rule": case["rule"],
        "case": case["text"],
        "expected": case["expected"],
        "got": case["got"],
        "note": case["note"],
        "wire": wire_text(case),
        "repeat": repeat(report, case["id"]),
    }
    return ["  ---", *(f"  {key}: {_yaml(text)}" for key, text in fields.items()), "  ..."]


# Markdown


def as_markdown(report: dict[str, Any]) -> str:
    """Return a table of counts by layer, and the cases that are not OK."""
    return compare([report])


def compare(reports: Sequence[dict[str, Any]], names: Sequence[str] = ()) -> str:
    """Return a Markdown table of several reports: counts by layer, and where they differ."""
    heads = list(names) or [str(report["target"]["url"]) for report in reports]
    lines = [f"| layer | verdict | {' | '.join(heads)} |", "|---|---|" + "---:|" * len(heads)]
    for layer in LAYERS:
        for verdict in VERDICTS:
            row = [_number(report["cases"], layer, verdict) for report in reports]
            if any(row):
                lines.append(f"| {layer} | {verdict} | {' | '.join(map(str, row))} |")
    lines += ["", *_differences(reports, heads)]
    return "\n".join([*lines, ""])


def _number(cases: Iterable[dict[str, Any]], layer: str, verdict: str) -> int:
    return sum(
        case["verdict"] == verdict and case["id"].partition(".")[0] == layer for case in cases
    )


def _differences(reports: Sequence[dict[str, Any]], heads: Sequence[str]) -> list[str]:
    found: dict[str, list[str]] = {}
    for column, report in enumerate(reports):
        for case in report["cases"]:
            row = found.setdefault(case["id"], [""] * len(reports))
            row[column] = case["verdict"]
    single = len(reports) == 1
    rows = {
        case_id: row
        for case_id, row in found.items()
        if (single and row[0] not in (OK, INFORMATIONAL, UNIMPLEMENTED)) or len(set(row)) > 1
    }
    if not rows:
        return ["No case differs." if not single else "Every case is OK."]
    lines = [f"| case | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    return lines + [f"| {case_id} | {' | '.join(row)} |" for case_id, row in rows.items()]
