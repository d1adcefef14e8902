"""Break the library in one place at a time, and see whether a test notices.

``python -m tests.mutation`` draws mutants from a seed, tries each in a copy of the checkout, and
prints how many were killed and which survived.  ``--mutants 200 --seed 1`` are the defaults;
``--package engineio app`` draws from these packages only, ``--since COMMIT`` from the lines that
changed since a commit, ``--only 17`` tries one mutant of the drawn list again, ``--first 60`` goes
on with the sixtieth.  It ends with 1 if fewer than ``--least`` percent (90) were killed.

A mutant is one change of one node of the syntax tree: a comparison turned or moved by one, a
condition denied, ``and`` for ``or``, a number plus one, a constant that is another, a statement
left out, a sum for a difference.  What no test can see is not drawn: docstrings, annotations,
``__all__`` and ``__slots__``, texts of errors and log lines, ``__repr__``, the limits' defaults,
and the changes that :data:`EQUIVALENT` lists with its reasons.

For each mutant the test file that mirrors the module runs first, with the examples in its
docstrings, then the laws and machines of its package, then the rest of its package, then the joined
stack: a broken layer must be found by the
layer's own tests.  A mutant that makes its tests hang is killed, too, and marked.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT, Module, modules
from tests.architecture.test_modules import TESTED_ELSEWHERE
from tests.caches import UNCACHED

__all__ = ["Mutant", "Verdict", "apply", "mutants_of", "is_equivalent", "steps_for"]

APART = {
    *("limits", "errors", "__main__", "commands", "demo", "check", "explain", "tracing"),
    *("_pyinstaller", "rules", "resources", "browser"),
}
"""Packages that are not drawn unless they are named: words, pages and commands."""

WORDS = {"all", "slots", "HOMES", "version", "TYPE_CHECKING"}
"""Names whose values are for readers and checkers, not for the program."""

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "rawsio/websocket/deflate.py",
        "if client_bits > (offered[_WINDOWS[1]] or 15):",
        "(16)",
    ): "no window has more than 15 bits",
    (
        "rawsio/socketio/msgpack.py",
        "elif 0xA0 <= prefix < 0xC0:",
        "(161)",
    ): "0xA0 is the empty text, which the table of simple values has given before",
    (
        "rawsio/client/stack.py",
        "if self.websocket or not events:",
        "(self.websocket)",
    ): "a short cut: of no events comes the same, an empty list",
    (
        "rawsio/websocket/deflate.py",
        "probe = stream if self._fresh or stream is None else stream.copy()",
        "(stream is None)",
    ): "a short cut: a stream that is not gone on with need not be copied before it is probed",
    (
        "rawsio/routes.py",
        "and size <= self._port.room",
        "(size < self._port.room)",
    ): "a short cut: what fits exactly goes through the layers, which send the same",
    (
        "rawsio/queue/keeper.py",
        "waiting = self._count_waiting() if self._expected else 0",
        "(self._count_waiting())",
    ): "a short cut: where none is expected, no number is too low",
    (
        "rawsio/net/memory.py",
        "self._many = 64  # wires, at which the closed ones are forgotten",
        "(65)",
    ): "one wire more is forgotten later",
}
"""Mutants that no test can tell from the program: path, line, what it becomes -> why.  They are not
drawn."""

DOCTESTS = "tests/architecture/test_doctests.py"
TOGETHER = ("tests/stack", "tests/test_fused.py", "tests/test_routes.py")
LAYERS = {"http", "websocket", "engineio", "socketio", "stack", "app", "fused", "routes", "tls"}
CPU_SECONDS, SECONDS = 90, 400.0
"""What the tests of one step may take of a processor, and of time, before they count as hanging."""

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SUMS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True)
class Mutant:
    """A change of the text between two places of a file: ``was`` becomes ``is_now``."""

    module: str
    path: str
    line: int
    start: int
    end: int
    was: str
    is_now: str

    def __str__(self) -> str:
        """Return the place and the change, on one line."""
        before, after = (re.sub(r"\s+", " ", text)[:60] for text in (self.was, self.is_now))
        return f"{self.path}:{self.line}: {before!r} -> {after!r}"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: ``killer`` is the step that noticed, ``""`` if none did."""

    mutant: Mutant
    killer: str
    seconds: float


def _boring(node: ast.AST) -> bool:
    """Say whether nothing inside this node is drawn."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == "__repr__":
        return True
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]).strip("_") in WORDS
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.Import, ast.ImportFrom)):
        return True
    return isinstance(node, ast.Call) and "log" in ast.unparse(node.func).lower()


def _changes(node: ast.AST) -> list[ast.AST]:
    """Return what may stand in the place of a node."""
    made: list[ast.AST] = []
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        others = COMPARISONS[type(node.ops[0])]
        made += [ast.Compare(node.left, [other()], node.comparators) for other in others]
    elif isinstance(node, ast.BoolOp):
        turned = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        made.append(ast.BoolOp(turned, node.values))
        made += [value for value in node.values if len(node.values) == 2]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        made.append(node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in SUMS:
        text = any(
            isinstance(n, (ast.JoinedStr, ast.Constant)) and not _number(n)
            for n in (node.left, node.right)
        )
        if not text:
            made.append(ast.BinOp(node.left, SUMS[type(node.op)](), node.right))
    elif isinstance(node, ast.AugAssign) and type(node.op) in SUMS:
        made.append(ast.AugAssign(node.target, SUMS[type(node.op)](), node.value))
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            made.append(ast.Constant(not node.value))
        elif _number(node):
            made.append(ast.Constant(node.value + 1))  # type: ignore[operator]
    elif _statement_that_may_go(node):
        made.append(ast.Pass())
    elif isinstance(node, ast.IfExp):
        made += [node.body, node.orelse]
    elif isinstance(node, ast.If):
        made.append(ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.Return) and node.value is not None:
        if not isinstance(node.value, ast.Constant):
            made.append(ast.Return(ast.Constant(None)))
    elif isinstance(node, ast.Continue):
        made.append(ast.Break())
    return made


def _statement_that_may_go(node: ast.AST) -> bool:
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call)
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute)


def _number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


def _inner(node: ast.AST) -> list[ast.AST]:
    """Return the children in which mutants are looked for: no annotations, no defaults of texts."""
    if isinstance(node, ast.AnnAssign):
        return [node.value] if node.value is not None else []
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
    return list(ast.iter_child_nodes(node))


def mutants_of(module: Module) -> list[Mutant]:
    """Return every mutant of a module, in the order of the text.

    >>> from tests.architecture.source import modules
    >>> (uri,) = [m for m in modules() if m.name == "uri"]
    >>> len(mutants_of(uri)) > 5
    True
    """
    lines = module.text.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []

    def look(node: ast.AST) -> None:
        if _boring(node):
            return
        for change in _changes(node):
            where = node.test if isinstance(node, ast.If) else node
            assert isinstance(where, (ast.expr, ast.stmt))
            assert where.end_lineno is not None
            assert where.end_col_offset is not None
            start = starts[where.lineno - 1] + where.col_offset
            end = starts[where.end_lineno - 1] + where.end_col_offset
            was = module.text.encode()[start:end].decode()
            now = ast.unparse(ast.fix_missing_locations(change))
            if isinstance(change, ast.expr):
                now = f"({now})"
            path = str(module.path.relative_to(ROOT))
            found.append(Mutant(module.name, path, where.lineno, start, end, was, now))
        for child in _inner(node):
            look(child)

    look(module.tree)
    return found


def is_equivalent(mutant: Mutant, module: Module) -> bool:
    """Say whether :data:`EQUIVALENT` has a mutant."""
    line = module.text.split("\n")[mutant.line - 1].strip()
    return (mutant.path, line, mutant.is_now) in EQUIVALENT


def apply(text: str, mutant: Mutant) -> str:
    """Return a module's text with the mutant's change.

    >>> apply("a < b", Mutant("m", "m.py", 1, 0, 5, "a < b", "(a <= b)"))
    '(a <= b)'
    """
    data = text.encode()
    return (data[: mutant.start] + mutant.is_now.encode() + data[mutant.end :]).decode()


def steps_for(name: str) -> list[list[str]]:
    """Return the steps of tests for a module: its mirror, its package's laws, the joined stack.

    >>> steps_for("http.framing")[0][0]
    'tests/http/test_framing.py'
    """
    *folders, last = name.split(".")
    folder = Path("tests", *folders)
    known = TESTED_ELSEWHERE.get(name)
    mirror = Path("tests", known) if known else folder / f"test_{last.strip('_')}.py"
    first = (
        [mirror] if (ROOT / mirror).exists() else sorted((ROOT / folder / last).glob("test_*.py"))
    )
    top = ROOT / "tests" / (folders[0] if folders else "")
    laws = sorted({*top.rglob("test_laws*.py"), *top.rglob("test_machine*.py")}) if folders else []
    rest = [p for p in sorted(top.rglob("test_*.py")) if p not in first and p not in laws]
    steps: list[list[Path]] = [first, laws, rest if folders else []]
    if name.split(".", maxsplit=1)[0] in LAYERS:
        steps.append([ROOT / p for p in TOGETHER if (ROOT / p).exists()])
    relative = [[str(p.relative_to(ROOT) if p.is_absolute() else p) for p in s] for s in steps]
    if ">>>" in (ROOT / "rawsio" / Path(*name.split("."))).with_suffix(".py").read_text("utf-8"):
        relative[0].append(f"{DOCTESTS}::test_the_examples_of_a_module_run[{name}]")
    return [step for step in relative if step]


class Bench:
    """A copy of the checkout in which one mutant at a time is tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("rawsio", "tests", "rfc_notes"):
            ignored = shutil.ignore_patterns("__pycache__", "node_modules")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, folder / name)

    def attempt(self, mutant: Mutant) -> Verdict:
        """Run the steps of a mutant until one notices it."""
        started = time.monotonic()
        file = self.folder / mutant.path
        before = file.read_text("utf-8")
        file.write_text(apply(before, mutant), "utf-8")
        try:
            for step in steps_for(mutant.module):
                noticed = self.failure(step)
                if noticed:
                    return Verdict(mutant, f"{step[0]}{noticed}", time.monotonic() - started)
        finally:
            file.write_text(before, "utf-8")
        return Verdict(mutant, "", time.monotonic() - started)

    def failure(self, tests: list[str]) -> str:
        """Return ``""`` if these tests pass here, else how they ended."""
        flags = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--no-header"]
        command = [sys.executable, "-B", "-m", "pytest", *flags, "--tb=no", *tests]
        env = {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        env[UNCACHED] = (
            "1"  # a mutant may be as long as the one before, and made in the same second
        )
        try:
            ended = subprocess.run(
                command,
                cwd=self.folder,
                env=env,
                capture_output=True,
                timeout=SECONDS,
                check=False,
                preexec_fn=_bounded,
            )
        except subprocess.TimeoutExpired:
            return " (hangs)"
        if ended.returncode < 0:
            return " (hangs)"
        return " " if ended.returncode else ""


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


def _changed_lines(commit: str) -> dict[str, set[int]]:
    """Return path -> the lines that changed since a commit."""
    command = ["git", "diff", "-U0", "-M", commit, "--", "rawsio"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: dict[str, set[int]] = {}
    lines: set[int] = set()
    for line in text.split("\n"):
        if line.startswith("+++ b/"):
            lines = found.setdefault(line[6:], set())
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, count = int(match[1]), int(match[2] or 1)
            lines.update(range(first, first + count))
    return found


def drawn(options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants of a seed, no two of one line.

    Which are drawn depends on their texts alone: a change elsewhere draws no others.
    """
    wanted = options.package
    changed = _changed_lines(options.since) if options.since else None
    pool: list[Mutant] = []
    for module in modules():
        top = module.name.split(".")[0]
        if module.is_package or (top not in wanted if wanted else top in APART):
            continue
        pool += [
            mutant
            for mutant in mutants_of(module)
            if (changed is None or mutant.line in changed.get(mutant.path, ()))
            and not is_equivalent(mutant, module)
        ]
    pool = _shuffled(pool, options.seed)
    by_line = {(m.path, m.line): m for m in reversed(pool)}
    chosen = [m for m in pool if by_line[m.path, m.line] is m]
    return chosen[: options.mutants]


def _shuffled(pool: list[Mutant], seed: int) -> list[Mutant]:
    """Return mutants in the order of a seed, which leaves those of other texts where they are."""
    alike: Counter[tuple[str, str, str]] = Counter()
    ranks = {}
    for mutant in pool:
        what = mutant.path, mutant.was, mutant.is_now
        alike[what] += 1
        text = "\0".join([str(seed), *what, str(alike[what])])
        ranks[mutant] = hashlib.sha256(text.encode()).digest()
    return sorted(pool, key=ranks.__getitem__)


def _told(verdict: Verdict) -> str:
    what = f"killed by {verdict.killer}" if verdict.killer else "SURVIVED"
    return f"{verdict.seconds:5.1f} s  {what:<50} {verdict.mutant}"


def _report(verdicts: list[Verdict], least: float) -> int:
    killed = [v for v in verdicts if v.killer]
    print("\n| package | mutants | killed |\n|---|---|---|")
    for package in sorted({v.mutant.module.split(".")[0] for v in verdicts}):
        own = [v for v in verdicts if v.mutant.module.split(".")[0] == package]
        print(f"| {package} | {len(own)} | {sum(bool(v.killer) for v in own)} |")
    share = 100 * len(killed) / max(1, len(verdicts))
    print(f"\n{len(killed)} of {len(verdicts)} mutants killed, {share:.1f} %; survivors:")
    for verdict in verdicts:
        if not verdict.killer:
            print(f"  {verdict.mutant}")
    return 0 if share >= least else 1


def main(arguments: list[str] | None = None) -> int:
    """Draw, try and report; see the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation")
    parser.add_argument("--mutants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--package", nargs="+", default=[])
    parser.add_argument("--since", metavar="COMMIT")
    parser.add_argument("--only", type=int, metavar="NUMBER")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER")
    parser.add_argument("--least", type=float, default=90.0)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options = parser.parse_args(arguments)
    chosen = drawn(options)
    numbers = range(options.first, len(chosen)) if options.only is None else [options.only]
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        benches = [Bench(Path(folder, str(n))) for n in range(options.workers)]
        verdicts: list[Verdict] = []

        def work(bench: Bench, own: list[int]) -> None:
            for number in own:
                if time.monotonic() > deadline:
                    return
                verdict = bench.attempt(chosen[number])
                verdicts.append(verdict)
                print(f"{number:4} {_told(verdict)}", flush=True)

        with ThreadPoolExecutor(options.workers) as pool:
            shares = [list(numbers)[n :: options.workers] for n in range(options.workers)]
            list(pool.map(work, benches, shares))
    left = len(numbers) - len(verdicts)
    if left:
        print(f"{left} mutants were not tried: the time of {options.seconds:.0f} s is used up")
    return _report(verdicts, options.least)


if __name__ == "__main__":
    sys.exit(main())
