"""Files, functions and nesting stay small enough to be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .source import Module, for_every_module

MOST_LINES_OF_A_FILE = 600
MOST_LINES_OF_A_FUNCTION = 40
DEEPEST_NESTING = 3


_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = (
    ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match,
)  # fmt: skip


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def nesting(statements: list[ast.stmt]) -> int:
    """Return how many blocks stand inside each other; an ``elif`` is no deeper than its ``if``."""
    deepest = 0
    for statement in statements:
        if not isinstance(statement, _BLOCKS):
            continue
        inner = [1 + nesting(part) for part in _parts(statement)]
        orelse = getattr(statement, "orelse", [])
        if isinstance(statement, ast.If) and len(orelse) == 1 and isinstance(orelse[0], ast.If):
            inner.append(nesting(orelse))
        else:
            inner.append(1 + nesting(orelse))
        deepest = max(deepest, *inner)
    return deepest


def _parts(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    yield getattr(statement, "body", [])
    yield getattr(statement, "finalbody", [])
    for case in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
        yield case.body


def test_the_rulers_measure_what_they_say() -> None:
    source = '''
def f(x):
    """One line."""
    if x:
        return 1
    elif x is None:
        for y in x:
            try:
                pass
            except E:
                with y:
                    pass
'''
    function = next(functions(ast.parse(source)))
    assert length(function) == 10
    assert nesting(function.body) == 4


@for_every_module
def test_every_file_is_shorter_than_600_lines(module: Module) -> None:
    lines = module.text.count("\n")
    assert lines < MOST_LINES_OF_A_FILE, f"{module.where(1)}: {lines} lines"


@for_every_module
def test_every_function_is_shorter_than_40_lines(module: Module) -> None:
    long = [
        f"{module.where(f.lineno)}: {f.name} has {length(f)} lines"
        for f in functions(module.tree)
        if length(f) >= MOST_LINES_OF_A_FUNCTION
    ]
    assert not long, "\n".join(long)


@for_every_module
def test_no_function_nests_four_deep(module: Module) -> None:
    deep = [
        f"{module.where(f.lineno)}: {f.name} nests {nesting(f.body)} deep"
        for f in functions(module.tree)
        if nesting(f.body) > DEEPEST_NESTING
    ]
    assert not deep, "\n".join(deep)
