"""Reads the tables of rfc_notes, and the rule ids that code and tests use."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

from .source import ROOT, modules

__all__ = ["DOCUMENTS", "ID", "Rule", "ids_in_code", "marks_in_tests", "rules"]

NOTES = ROOT / "rfc_notes"
DOCUMENTS = (
    "9110",
    "9112",
    "6455",
    "7692",
    "engineio-v4",
    "engineio-v3",
    "socketio-v5",
    "layers",
    "resp",
    "cluster",
    "queue",
    "durable-recovery",
)
ID = re.compile(rf"(?:{'|'.join(map(re.escape, DOCUMENTS))})-[a-zA-Z0-9.]+(?:-[a-z0-9]+)+")
_ERRORS = {
    "RemoteProtocolError",
    "HTTPError",
    "WebSocketError",
    "EngineIOError",
    "SocketIOError",
    "RESPError",
    "Failed",
}


@dataclass(frozen=True)
class Rule:
    """One row of a table."""

    id: str
    level: str
    text: str
    who: str
    code: tuple[str, ...]
    tests: tuple[str, ...]
    status: str
    where: str


def _cells(line: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def _several(cell: str) -> tuple[str, ...]:
    return tuple(part.strip("` ") for part in cell.split(",") if part.strip("` -"))


@functools.cache
def rules() -> tuple[Rule, ...]:
    """Return every row of every table whose first column is called ``id``."""
    found = []
    for path in sorted(NOTES.glob("*.md")):
        if path.name == "README.md":
            continue
        inside = False
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1):
            if not line.lstrip().startswith("|"):
                inside = False
                continue
            cells = _cells(line)
            if cells[0] == "id":
                inside = True
            elif inside and not set(cells[0]) <= set("-: "):
                found.append(_rule(cells, f"{path.relative_to(ROOT)}:{number}"))
    return tuple(found)


def _rule(cells: list[str], where: str) -> Rule:
    if len(cells) != 7:
        raise ValueError(f"{where}: {len(cells)} columns, not 7: {cells}")
    id_, level, text, who, code, tests, status = cells
    return Rule(id_.strip("` "), level, text, who, _several(code), _several(tests), status, where)


def _literal(node: ast.expr | None) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


@functools.cache
def ids_in_code() -> dict[str, str]:
    """Return each rule id that a string literal of rawsio spells -> one place that does."""
    found: dict[str, str] = {}
    for module in modules():
        for node in module.nodes:
            text = _literal(node) if isinstance(node, ast.expr) else None
            if text is not None and ID.fullmatch(text):
                found.setdefault(text, module.where(node.lineno))
            if isinstance(node, ast.Call):
                for argument in _rule_arguments(node):
                    found.setdefault(argument, module.where(node.lineno))
    return found


def _rule_arguments(call: ast.Call) -> list[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    given = [keyword.value for keyword in call.keywords if keyword.arg == "rule"]
    if name in _ERRORS and len(call.args) > 1:
        given.append(call.args[1])
    return [text for text in map(_literal, given) if text is not None]


@functools.cache
def marks_in_tests() -> dict[str, set[str]]:
    """Return each id in a ``pytest.mark.rule(...)`` -> the test files, below tests/, with it.

    A mark whose argument is a name (a table of cases with a rule each) counts for every literal
    id in that file.
    """
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text("utf-8")
        ids = _marked(ast.parse(text, str(path))) if "mark.rule" in text else set()
        for id_ in ids:
            found.setdefault(id_, set()).add(path.relative_to(ROOT / "tests").as_posix())
    return found


def _marked(tree: ast.Module) -> set[str]:
    ids: set[str] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "rule"
            and ast.unparse(node.func).endswith("mark.rule")
        ):
            texts = [_literal(argument) for argument in node.args]
            ids |= {text for text in texts if text is not None}
            if None in texts:
                ids |= _literal_ids(tree)
    return ids


def _literal_ids(tree: ast.Module) -> set[str]:
    texts = (_literal(node) for node in ast.walk(tree) if isinstance(node, ast.expr))
    return {text for text in texts if text is not None and ID.fullmatch(text)}
