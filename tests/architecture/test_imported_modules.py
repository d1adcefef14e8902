"""What an import costs, held by counting modules: time varies, a list does not.

``imported_modules.txt`` holds what ``from rawsio import Server`` imports beyond a bare
interpreter.  A row is ``module`` or ``module | versions``, where versions is ``3.10``, ``3.11+``
or ``3.12-``; what some build of an interpreter has loaded before the import may be missing.
``python -m tests.architecture.list_imports`` writes it anew: read the diff before you keep it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .source import ROOT, listed
from .test_imports import BASE

NEVER = {
    "ssl", "zlib", "asyncio", "threading", "logging", "typing", "dataclasses",
    "email", "http.client", "secrets", "concurrent.futures", "inspect", "urllib", "argparse",
}  # fmt: skip

_PROGRAM = """
import sys
bare = set(sys.modules)
sys.path.insert(0, {root!r})
{statement}
print(*sorted(set(sys.modules) - bare), sep="\\n")
"""


def imported_by(statement: str, python: str = sys.executable) -> set[str]:
    """Return the modules that a statement imports in an interpreter of its own, without site."""
    return _output(_PROGRAM.format(root=str(ROOT), statement=statement), python)


def _output(program: str, python: str = sys.executable) -> set[str]:
    done = subprocess.run(
        [python, "-I", "-S", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def _is_for_us(versions: str) -> bool:
    ours = sys.version_info[:2]
    major, minor = versions.rstrip("+-").split(".")
    named = (int(major), int(minor))
    return ours >= named if "+" in versions else ours <= named if "-" in versions else ours == named


def expected() -> set[str]:
    """Return the modules of the checked-in list that this Python has."""
    rows = listed("imported_modules.txt")
    return {row[0] for row in rows if len(row) == 1 or _is_for_us(row[1])}


def test_the_server_imports_exactly_the_checked_in_list() -> None:
    found = imported_by("from rawsio import Server")
    bare = _output("import sys; print(*sys.modules)")
    more, fewer = sorted(found - expected()), sorted(expected() - found - bare)
    assert not more, f"new on the way to the first server, on {sys.version_info[:2]}: {more}"
    assert not fewer, f"listed but not imported any more, on {sys.version_info[:2]}: {fewer}"


def test_the_server_starts_without_what_is_dear() -> None:
    found = imported_by("from rawsio import Server")
    dear = sorted(n for n in found if any(n == d or n.startswith(d + ".") for d in NEVER))
    assert not dear, dear


@pytest.mark.parametrize("layer", ["http", "websocket", "engineio", "socketio", "net"])
def test_importing_one_layer_imports_only_that_layer(layer: str) -> None:
    base = {"rawsio", *(f"rawsio.{name}" for name in BASE)}
    seams = {"rawsio.http", "rawsio.http.messages", "rawsio.http.headers", "rawsio.http.grammar"}
    allowed = base | (seams if layer in {"websocket", "engineio"} else set())
    found = {name for name in imported_by(f"import rawsio.{layer}") if name.startswith("rawsio")}
    own = {n for n in found if n == f"rawsio.{layer}" or n.startswith(f"rawsio.{layer}.")}
    foreign = sorted(found - own - allowed)
    assert not foreign, f"import rawsio.{layer} also imports {foreign}"


@pytest.mark.parametrize("layer", ["http", "websocket", "engineio", "socketio"])
def test_a_layer_starts_without_what_is_dear(layer: str) -> None:
    found = imported_by(f"from rawsio.{layer} import *")
    dear = sorted(n for n in found if any(n == d or n.startswith(d + ".") for d in NEVER))
    assert not dear, dear


def test_importing_the_package_imports_nothing_else() -> None:
    assert imported_by("import rawsio") <= {"rawsio", "rawsio.lazy", "__future__"}
