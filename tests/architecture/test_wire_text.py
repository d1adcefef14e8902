"""Habits that are mistakes in protocol code, found by their names.

``isdigit``, ``splitlines`` and ``strip()`` without argument follow Unicode: a full-width digit, a
form feed or a no-break space in a header must not be taken for what RFC 9110 means.  The few
places where they are right stand in ``wire_text_allowed.txt``, each with its reason.
"""

from __future__ import annotations

import ast
import re

from .source import ROOT, Module, for_every_module, listed, modules

ALWAYS = {"isdigit", "isdecimal", "isnumeric", "isspace", "splitlines"}
WITHOUT_ARGUMENT = {"strip", "lstrip", "rstrip", "split", "rsplit"}


def _allowed() -> dict[str, str]:
    return {row[0]: row[1] for row in listed("wire_text_allowed.txt")}


def unicode_calls(module: Module) -> list[tuple[str, int]]:
    """Return ``module:call`` and the line of every call that follows Unicode's idea of text."""
    found = []
    for node in module.nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        name = node.func.attr
        bare = name in WITHOUT_ARGUMENT and not node.args and not node.keywords
        if name in ALWAYS or bare:
            found.append((f"{module.name}:{_function(module, node)}:{name}", node.lineno))
    return found


def _function(module: Module, call: ast.Call) -> str:
    inside = "-"
    for node in module.nodes:
        if isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef)
        ) and node.lineno <= call.lineno <= (node.end_lineno or 0):
            inside = node.name
    return inside


@for_every_module
def test_text_from_the_wire_is_cut_by_bytes_that_are_named(module: Module) -> None:
    allowed = _allowed()
    wrong = [
        f"{module.where(line)}: {place} follows Unicode; name the characters, or give the "
        "reason in tests/architecture/wire_text_allowed.txt"
        for place, line in unicode_calls(module)
        if place not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_the_allowed_places_exist_and_have_a_reason() -> None:
    used = {place for module in modules() for place, _ in unicode_calls(module)}
    for place, reason in _allowed().items():
        assert place in used, f"{place} is allowed but is not there any more"
        assert len(reason) > 10, f"{place} has no reason"


def _is_expression(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if not call.args or not (name == "Pattern" or name.startswith("re.")):
        return False
    text = ast.unparse(call)
    return "ASCII" not in text and "(?a)" not in text


@for_every_module
def test_regular_expressions_on_text_name_their_characters(module: Module) -> None:
    wrong = []
    for node in module.nodes:
        if isinstance(node, ast.Call) and _is_expression(node):
            texts = [
                part.value
                for part in ast.walk(node.args[0])
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            ]
            if any(re.search(r"(?<!\\)(?:\\\\)*\\[dDsSwWbB]", text) for text in texts):
                wrong.append(f"{module.where(node.lineno)}: {ast.unparse(node)}")
    assert not wrong, "these classes follow Unicode in a str pattern:\n" + "\n".join(wrong)


@for_every_module
def test_nothing_is_asserted_evaluated_or_pickled(module: Module) -> None:
    wrong = []
    for node in module.nodes:
        if isinstance(node, ast.Assert):
            wrong.append(f"{module.where(node.lineno)}: assert vanishes under -O")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "eval":
                wrong.append(f"{module.where(node.lineno)}: eval")
            if node.func.id == "exec" and module.name != "layer":
                wrong.append(f"{module.where(node.lineno)}: exec")
    wrong += [
        f"{module.where(item.line)}: {item.name}"
        for item in module.imports
        if item.name.split(".")[0] in {"pickle", "marshal", "shelve"}
    ]
    assert not wrong, "\n".join(wrong)


def _texts() -> list[str]:
    found = [str(m.path.relative_to(ROOT)) for m in modules()]
    for pattern in ("tests/**/*.py", "rawsio/*/*.js", "rfc_notes/*.md", "tests/interop/*.js"):
        found += [str(p.relative_to(ROOT)) for p in sorted(ROOT.glob(pattern)) if p.is_file()]
    return sorted({name for name in found if "__pycache__" not in name})


def test_nothing_is_left_for_later_in_a_comment() -> None:
    marks = re.compile(rf"\b({'|'.join(['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X'])})\b")
    wrong = [
        f"{name}:{number}: {line.strip()}"
        for name in _texts()
        for number, line in enumerate(
            (ROOT / name).read_text("utf-8", errors="replace").split("\n"), 1
        )
        if marks.search(line)
    ]
    assert not wrong, "\n".join(wrong)
