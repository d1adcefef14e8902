"""Every row of the threat model names tests, and the tests exist."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from pathlib import Path

import pytest

from .source import ROOT

DOCUMENT = ROOT / "rfc_notes" / "threat_model.md"
ADVISORY = re.compile(r"\b(?:CVE-\d{4}-\d{4,}|GHSA(?:-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+)\b")
NAMED = re.compile(r"`([a-z0-9_/]+\.py)::([A-Za-z0-9_:]+)`")


def tables() -> list[tuple[str, list[list[str]]]]:
    """Return the first heading cell of each table, and its rows."""
    found: list[tuple[str, list[list[str]]]] = []
    before = ""
    for line in DOCUMENT.read_text("utf-8").split("\n"):
        if line.startswith("|"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if not before.startswith("|"):
                found.append((cells[0], []))
            elif set(cells[0]) != {"-"}:
                found[-1][1].append(cells)
        before = line
    return found


ROWS = [(name, row) for name, rows in tables() for row in rows]


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a test module defines: ``test_x``, ``TestY``, ``TestY::test_z``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def problems(row: list[str]) -> list[str]:
    """Return what is wrong with the last cell of a row."""
    named = NAMED.findall(row[-1])
    if not named and not re.match(r"n/a: .{10}", row[-1]):
        return [f"{row[0]}: neither a test nor a reason"]
    wrong = []
    for file, name in named:
        path = ROOT / "tests" / file
        if not path.is_file() or name not in names_in(path):
            wrong.append(f"{row[0]}: there is no tests/{file}::{name}")
    rest = NAMED.sub("", row[-1]).strip(" ,")
    if named and rest:
        wrong.append(f"{row[0]}: {rest!r} is no name of a test")
    return wrong


def test_the_tables_are_read() -> None:
    assert Counter(name for name, _ in ROWS)["advisory"] > 50
    assert {name for name, _ in ROWS} == {"advisory", "packet", "attack"}


def test_every_row_names_tests_that_exist_or_says_why_not() -> None:
    wrong = [line for _, row in ROWS for line in problems(row)]
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def test_every_advisory_stands_in_one_row() -> None:
    named = Counter(
        id_ for name, row in ROWS if name == "advisory" for id_ in ADVISORY.findall(row[0])
    )
    assert [id_ for id_, count in named.items() if count > 1] == []
    assert len(named) > 100


@pytest.mark.parametrize(
    ("cell", "good"),
    [
        ("`architecture/test_threat_model.py::test_the_tables_are_read`", True),
        ("`architecture/test_threat_model.py::test_of_nothing`", False),
        ("`stack/test_laws.py::TestLaws`", True),
        ("n/a: because there is nothing of the kind", True),
        ("n/a:", False),
        ("", False),
    ],
)
def test_a_row_is_judged_by_its_last_cell(cell: str, *, good: bool) -> None:
    assert (problems(["x", cell]) == []) is good
