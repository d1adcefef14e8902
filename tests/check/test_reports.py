"""What a run comes to, in every form that it is told in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rawsio.check.case import in_words
from rawsio.check.catalogue import Selection, client_cases, server_cases
from rawsio.check.console import Progress, plan, summary
from rawsio.check.outcome import (
    Allowed,
    NotAReport,
    exit_status,
    read_allowed,
    read_report,
    report,
)
from rawsio.check.page import as_html
from rawsio.check.reports import as_json, as_junit, as_markdown, as_tap, compare
from rawsio.check.runner import Result
from rawsio.check.talk import Crossing

NOBODY = Allowed({})


def result(verdict: str, case_id: str = "http.host.missing", got: str = "200") -> Result:
    wire = [
        Crossing(0.0, ">", b'GET / HTTP/1.1\r\nX: <&"\x00\x01\r\n\r\n', 0),
        Crossing(0.1, "<", b"", 0),
    ]
    return Result(
        case_id, "9112-3.2-host", "MUST", "REJ", "no Host", verdict, got, "a <note> & more\x01",
        "end", True, 0.01, wire,
    )  # fmt: skip


def made(*results: Result) -> dict[str, Any]:
    target = {"url": "http://127.0.0.1:1", "probe": {"path": "/", "contract": "none"}}
    return report(
        results, target, tool="rawsio 1", started="2030-01-01T00:00:00+00:00", duration=1.5,
        repeat="python3 -m rawsio check http://127.0.0.1:1",
    )  # fmt: skip


ALL = made(
    result("OK", "http.line.simple"),
    result("NON-STRICT", "http.line.query"),
    result("INFORMATIONAL", "http.host.empty"),
    result("UNIMPLEMENTED", "ws.open.plain"),
    result("FAILED"),
    result("ERROR", "ws.open.cookie"),
)


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(as_json(ALL))
    assert read_report(str(path)) == ALL


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_report_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(NotAReport, match=r"a\.json"):
        read_report(str(path))


def test_junit_is_xml_with_counts_and_the_command_that_repeats_a_case() -> None:
    root = ElementTree.fromstring(as_junit(ALL))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "1", "1")
    failure = root.find(".//testcase[@name='missing']/failure")
    assert failure is not None
    assert failure.get("type") == "FAILED"
    assert "--case http.host.missing" in (failure.text or "")


def test_tap_has_a_plan_and_a_line_for_each_case() -> None:
    lines = as_tap(ALL).split("\n")
    assert lines[:2] == ["TAP version 13", "1..6"]
    assert [line.split(" -")[0] for line in lines if "ok " in line[:7]] == [
        "ok 1", "ok 2", "ok 3", "ok 4", "not ok 5", "not ok 6",
    ]  # fmt: skip
    assert "non-strict" in lines[3]
    assert "# SKIP" in as_tap(ALL)


def test_the_page_holds_every_case_and_escapes_what_the_wire_said() -> None:
    html = as_html(ALL)
    assert html.count("<details ") == 6
    assert "<note>" not in html
    assert "&lt;note&gt;" in html
    assert "http" not in html.split("<style>")[1].split("</style>")[0]


def test_the_page_annotates_the_bytes_of_a_failed_case() -> None:
    assert "request line: GET / HTTP/1.1" in as_html(ALL)


def test_a_markdown_table_counts_by_layer_and_lists_what_is_not_ok() -> None:
    text = as_markdown(ALL)
    assert "| http | FAILED | 1 |" in text
    assert "| http.host.missing | FAILED |" in text
    assert "http.line.simple" not in text


def test_two_reports_are_compared_case_by_case() -> None:
    text = compare([ALL, made(result("OK"))], ["before", "after"])
    assert "| http.host.missing | FAILED | OK |" in text


@pytest.mark.parametrize(
    ("verdicts", "allowed", "strict", "status"),
    [
        (["OK", "NON-STRICT"], {}, False, 0),
        (["OK", "NON-STRICT"], {}, True, 1),
        (["OK", "FAILED"], {}, False, 1),
        (["OK", "ERROR"], {}, False, 1),
        (["ERROR", "UNIMPLEMENTED"], {}, False, 2),
        ([], {}, False, 2),
        (["OK", "FAILED"], {"http.x.*": "known"}, False, 0),
        (["OK", "OK"], {"http.x.*": "known"}, False, 3),
    ],
)
def test_the_exit_status_says_what_a_script_wants_to_know(
    verdicts: list[str], allowed: dict[str, str], strict: bool, status: int
) -> None:
    cases = made(*(result(v, f"http.x.{n}") for n, v in enumerate(verdicts)))["cases"]
    found = exit_status(cases, Allowed(allowed), strict=strict, strict_allow=True)
    assert found == status


def test_an_allow_list_has_a_reason_for_each_line(tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    path.write_text("# known\nhttp.host.* the proxy mends it\n\n")
    allowed = read_allowed(str(path))
    assert allowed.reason("http.host.missing") == "the proxy mends it"
    assert allowed.reason("http.line.tab") is None
    path.write_text("http.host.*\n")
    with pytest.raises(NotAReport, match="no reason"):
        read_allowed(str(path))


def test_the_summary_shows_bytes_and_the_command_for_what_is_wrong() -> None:
    text = summary(ALL, NOBODY, strict=False)
    assert "http       4" in text
    assert r"GET / HTTP/1.1\r\n" in text
    assert "again: python3 -m rawsio check http://127.0.0.1:1 --case http.host.missing" in text
    assert "allowed  http.host.missing: known" in summary(
        ALL, Allowed({"http.host.*": "known"}), strict=False
    )


def test_the_plan_says_what_was_found() -> None:
    assert "path /" in plan(ALL["target"], 6)


def test_there_is_no_progress_line_without_a_terminal() -> None:
    import io

    stream = io.StringIO()
    progress = Progress(stream, 2)
    progress(result("FAILED"))
    progress.end()
    assert stream.getvalue() == ""
    assert (progress.done, progress.failed) == (1, 1)


def test_cases_are_selected_by_glob_layer_rule_and_level() -> None:
    cases = server_cases()
    ids = [case.id for case in Selection(["ws.mask.*"], ["*.offset"]).of(cases)]
    assert "ws.mask.text" in ids
    assert "ws.mask.offset" not in ids
    assert {c.rule for c in Selection(rules=["6455-5.1-*"]).of(cases)} == {
        "6455-5.1-mask", "6455-5.1-server-mask",
    }  # fmt: skip
    assert {c.level for c in Selection(levels=["MAY"]).of(cases)} == {"MAY"}
    assert {c.layer for c in Selection(layers=["ws"]).of(cases)} == {"ws"}


def test_a_report_survives_json() -> None:
    assert json.loads(as_json(ALL))["cases"][0]["wire"][0][1] == ">"


def test_why_cases_were_left_out_is_said_once_for_each_reason() -> None:
    cases = [
        {"id": f"ws.a.{n}", "verdict": "UNIMPLEMENTED", "note": note, "ms": 1.0}
        for n, note in enumerate(["no echo", "no echo", "no deflate"])
    ]
    text = summary({"cases": cases, "duration": 1.0}, NOBODY, strict=False)
    assert "2  UNIMPLEMENTED: no echo\n" in text
    assert "1  UNIMPLEMENTED: no deflate\n" in text


def test_every_expectation_but_the_stepwise_has_words() -> None:
    cases = [*server_cases(), *client_cases()]
    silent = {case.expect for case in cases if in_words(case.expect) == case.expect}
    assert silent == {"STEP"}
