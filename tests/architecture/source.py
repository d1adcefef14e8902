"""The package as syntax trees: what the architecture tests look at.

Nothing of rawsio is imported here, so a module that does not even import is still judged.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["ROOT", "Import", "Module", "modules", "names", "listed", "for_every_module"]

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "rawsio"


@dataclass(frozen=True)
class Import:
    """One imported module: ``lazy`` inside a function, ``typing`` for type checkers only."""

    name: str
    symbol: str
    line: int
    lazy: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One file; ``name`` is dotted below rawsio, ``""`` for the package itself."""

    name: str
    path: Path

    @functools.cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @functools.cached_property
    def nodes(self) -> list[ast.AST]:
        """Return every node of the tree: many tests look at all of them."""
        return list(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """Return the dotted name, below rawsio, of the package that this module lies in."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    def where(self, line: int) -> str:
        """Return ``rawsio/http/headers.py:12``."""
        return f"{self.path.relative_to(ROOT)}:{line}"

    @functools.cached_property
    def imports(self) -> list[Import]:
        return list(self._imports(self.tree, lazy=False, typing=False))

    def _imports(self, node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, "", child.lineno, lazy, typing)
            elif isinstance(child, ast.ImportFrom):
                base = self._absolute(child)
                for alias in child.names:
                    yield Import(base, alias.name, child.lineno, lazy, typing)
            elif isinstance(child, ast.If) and _is_type_checking(child.test):
                for part in child.body:
                    block = ast.Module([part], [])
                    yield from self._imports(block, lazy=lazy, typing=True)
                for part in child.orelse:
                    yield from self._imports(ast.Module([part], []), lazy=lazy, typing=typing)
            else:
                inner = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from self._imports(child, lazy=lazy or inner, typing=typing)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = ["rawsio", *filter(None, self.package.split("."))]
        parts = parts[: len(parts) - (node.level - 1)]
        return ".".join([*parts, *filter(None, [node.module])])

    def internal_imports(self) -> list[tuple[str, Import]]:
        """Return the modules of rawsio that this one imports, each as exact as it can be told."""
        found = []
        for item in self.imports:
            top, _, below = item.name.partition(".")
            if top != "rawsio":
                continue
            exact = ".".join(filter(None, [below, item.symbol]))
            found.append((exact if exact in names() else below, item))
        return found


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@functools.cache
def modules() -> tuple[Module, ...]:
    """Return every module of rawsio, in order of their names."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if "-" in path.name:  # a program that others run, by its path
            continue
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path))
    return tuple(found)


@functools.cache
def names() -> frozenset[str]:
    """Return the dotted names, below rawsio, of all modules."""
    return frozenset(module.name for module in modules())


def listed(name: str) -> list[list[str]]:
    """Return the rows of a checked-in list in this folder, split at ``|``; ``#`` is a comment."""
    text = (Path(__file__).parent / name).read_text("utf-8")
    lines = (line.strip() for line in text.split("\n"))
    return [
        [cell.strip() for cell in line.split("|")]
        for line in lines
        if line and not line.startswith("#")
    ]


def for_every_module(check: Callable[[Module], None]) -> Callable[[], None]:
    """Make one test of a check on a module: it runs on all, and reports all that is wrong.

    One test, not one for each module: with some hundred of them pytest alone takes seconds.
    """

    def test() -> None:
        wrong = []
        for module in modules():
            try:
                check(module)
            except AssertionError as error:
                wrong.append(str(error).partition("\nassert ")[0])
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)

    test.__name__ = check.__name__
    test.__doc__ = check.__doc__
    return test
