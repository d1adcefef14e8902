"""From the sentence in the specification to the code to the test, and back."""

from __future__ import annotations

import functools
import importlib
from collections import Counter

import pytest

from .rules import DOCUMENTS, ID, NOTES, Rule, ids_in_code, marks_in_tests, rules
from .source import ROOT

LEVELS = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"}
WHO = {"client", "server", "both"}


def _report(wrong: list[str]) -> None:
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_every_document_has_its_file() -> None:
    _report([f"rfc_notes/{d}.md is missing" for d in DOCUMENTS if not (NOTES / f"{d}.md").exists()])


def test_every_id_stands_once_and_under_its_document() -> None:
    wrong = [f"{r.where}: {r.id!r} is no rule id" for r in rules() if not ID.fullmatch(r.id)]
    for rule in rules():
        document = rule.where.partition("/")[2].partition(".md:")[0]
        if not rule.id.startswith(document + "-"):
            wrong.append(f"{rule.where}: {rule.id} belongs into another file")
    twice = [id_ for id_, count in Counter(r.id for r in rules()).items() if count > 1]
    wrong += [f"{r.where}: {r.id} stands more than once" for r in rules() if r.id in twice]
    _report(wrong)


def test_every_row_is_filled_in_with_known_words() -> None:
    wrong = []
    for rule in rules():
        if rule.level not in LEVELS:
            wrong.append(f"{rule.where}: {rule.id}: level {rule.level!r} is none of {LEVELS}")
        if rule.who not in WHO:
            wrong.append(f"{rule.where}: {rule.id}: who {rule.who!r} is none of {WHO}")
        if not rule.text:
            wrong.append(f"{rule.where}: {rule.id}: no rule")
        reason = rule.status.removeprefix("not done:").strip()
        if rule.status not in {"done", "caller", "n/a"} and (reason == rule.status or not reason):
            wrong.append(
                f"{rule.where}: {rule.id}: status {rule.status!r} is none of done, caller, n/a, "
                "not done: reason"
            )
    _report(wrong)


def test_every_id_that_the_code_uses_stands_in_a_table() -> None:
    known = {rule.id for rule in rules()}
    _report(
        [f"{at}: {id_} stands in no table" for id_, at in ids_in_code().items() if id_ not in known]
    )


def test_every_id_that_a_test_is_marked_with_stands_in_a_table() -> None:
    known = {rule.id for rule in rules()}
    _report(
        [
            f"tests/{', tests/'.join(sorted(files))}: {id_} stands in no table"
            for id_, files in marks_in_tests().items()
            if id_ not in known
        ]
    )


def test_every_rule_that_is_done_names_code_and_a_test_with_its_mark() -> None:
    wrong = []
    marked = marks_in_tests()
    for rule in rules():
        if rule.status != "done":
            continue
        if not rule.code:
            wrong.append(f"{rule.where}: {rule.id} is done but names no code")
        if not rule.tests:
            wrong.append(f"{rule.where}: {rule.id} is done but names no test")
        for name in rule.tests:
            if not (ROOT / "tests" / name).is_file():
                wrong.append(f"{rule.where}: {rule.id}: tests/{name} does not exist")
            elif name not in marked.get(rule.id, set()):
                wrong.append(f"{rule.where}: no test in tests/{name} is marked with {rule.id}")
    _report(wrong)


def test_a_rule_that_a_test_shows_is_not_called_undone() -> None:
    marked = marks_in_tests()
    _report(
        [
            f"{r.where}: {r.id} is {r.status!r}, but {sorted(marked[r.id])} is marked with it"
            for r in rules()
            if r.status.startswith("not done") and r.id in marked
        ]
    )


@functools.cache
def _problem(code: str) -> str | None:
    module, _, path = code.partition(":")
    try:
        found: object = importlib.import_module(f"rawsio.{module}")
    except ImportError as error:
        return f"rawsio.{module}: {error}"
    for name in filter(None, path.split(".")):
        if not hasattr(found, name):
            return f"rawsio.{module} has no {path}"
        found = getattr(found, name)
    return None


def test_the_code_that_rules_name_exists() -> None:
    _report([f"{r.where}: {r.id}: {_problem(c)}" for r in rules() for c in r.code if _problem(c)])


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| a | b \\| c | d |", ["a", "b | c", "d"]),
        ("|a||c|", ["a", "", "c"]),
    ],
)
def test_a_row_is_read_as_markdown_means_it(row: str, cells: list[str]) -> None:
    from .rules import _cells

    assert _cells(row) == cells


def test_a_rule_is_built_from_a_row() -> None:
    from .rules import _rule

    rule = _rule(
        [
            "`6455-5.1-mask`",
            "MUST",
            "mask",
            "client",
            "`websocket.frames:a`, `b:C.d`",
            "x.py",
            "done",
        ],
        "here:1",
    )
    assert rule == Rule(
        "6455-5.1-mask", "MUST", "mask", "client", ("websocket.frames:a", "b:C.d"), ("x.py",),
        "done", "here:1",
    )  # fmt: skip
