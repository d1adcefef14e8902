"""Judge the programs with mypy and, if it is there, pyright: ``python -m tests.typing_api``."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
MARK = "# wrong"

Places = dict[str, set[int]]
"""The names of files -> the lines that a checker complains about."""


def marked(path: Path) -> set[int]:
    """Return the lines of a file that are marked as wrong."""
    lines = path.read_text("utf-8").split("\n")
    return {number for number, line in enumerate(lines, 1) if line.endswith(MARK)}


def programs(document: Path) -> list[str]:
    """Return the programs of a Markdown file: its blocks of Python that are no dialogues."""
    blocks = re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.DOTALL | re.M)
    return [block for block in blocks if ">>>" not in block]


def programs_of_docstrings(module: Path) -> list[str]:
    """Return the programs in the docstrings of a module: blocks that import us first."""
    found = []
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = (ast.get_docstring(node) or "") + "\n"
            blocks = re.findall(r"::\n\n((?: {4}[^\n]*\n|\n)+)", text)
            found += [textwrap.dedent(block).strip() + "\n" for block in blocks]
    return [block for block in found if block.startswith(("import rawsio", "from rawsio"))]


def write_programs(folder: Path) -> list[Path]:
    """Write every program of the README, of the notes and of docstrings to a file of its own."""
    sources = {path: programs(path) for path in [ROOT / "README.md", *ROOT.glob("rfc_notes/*.md")]}
    sources |= {path: programs_of_docstrings(path) for path in (ROOT / "rawsio").rglob("*.py")}
    written = []
    for source, found in sorted(sources.items()):
        for number, program in enumerate(found):
            name = re.sub(r"\W+", "_", f"{source.relative_to(ROOT)}_{number}".lower())
            path = folder / f"{name}.py"
            path.write_text(program, "utf-8")
            written.append(path)
    return written


def complaints(said: str) -> Places:
    """Return where mypy complains, from what it says."""
    found: Places = {}
    for path, line in re.findall(r"^(.+?):(\d+): error:", said, re.MULTILINE):
        found.setdefault(path, set()).add(int(line))
    return found


def by_mypy(paths: list[Path]) -> tuple[Places, str]:
    """Return where mypy complains, and all that it says."""
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10"]
    done = subprocess.run(
        [*command, "--show-absolute-path", *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = complaints(done.stdout)
    if done.returncode not in (0, 1) or (done.returncode and not found):
        raise SystemExit(f"mypy failed:\n{done.stdout}{done.stderr}")
    return found, done.stdout


def by_pyright(paths: list[Path]) -> tuple[Places, str]:
    """Return where pyright complains, and all that it says; as mypy does."""
    done = subprocess.run(
        [str(pyright()), "--outputjson", "--pythonpath", sys.executable, *map(str, paths)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: Places = {}
    said = []
    for complaint in json.loads(done.stdout)["generalDiagnostics"]:
        if complaint["severity"] != "error":
            continue
        line = complaint["range"]["start"]["line"] + 1
        found.setdefault(complaint["file"], set()).add(line)
        said.append(f"{complaint['file']}:{line}: {complaint['message']}")
    return found, "\n".join(said)


def pyright() -> str | None:
    """Return where the command is: beside this interpreter, or on the path."""
    beside = Path(sys.executable).parent / "pyright"
    return str(beside) if beside.exists() else shutil.which("pyright")


def differences(found: Places, paths: list[Path]) -> list[str]:
    """Return what is wrong: lines that were missed, and lines that are right."""
    wrong = []
    for path in paths:
        lines, expected = found.get(str(path), set()), marked(path)
        wrong += [f"{path.name}:{line}: no complaint" for line in sorted(expected - lines)]
        wrong += [f"{path.name}:{line}: a complaint" for line in sorted(lines - expected)]
    return wrong


def main() -> int:
    """Judge everything; return 0 if nothing is wrong."""
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        ours = [HERE / "right.py", HERE / "wrong.py"]
        paths = [*ours, *write_programs(Path(folder).resolve())]
        checkers = {"mypy": (by_mypy, paths)}
        if pyright() is None:
            print("pyright is not installed: skipped")
        else:
            checkers["pyright"] = (by_pyright, paths)
        for name, (judge, judged) in checkers.items():
            found, said = judge(judged)
            wrong = differences(found, judged)
            programs_ = len(paths) - len(ours)
            print(f"{name}: {len(marked(ours[1]))} mistakes, {programs_} programs of documents")
            if wrong:
                status = 1
                print("\n".join(wrong), said, sep="\n\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
