"""What each row of :mod:`.counts` may cost: what it cost when ``budgets.json`` was written.

A figure may rise by two hundredths and fall by five.  One that rises is work that each operation
does from now on: find it, or write the budget anew (``python -m tests.bench.counts --write``) in a
commit that says what it is for.  One that falls wants its budget tightened, or the next change may
take back what was gained.

Each Python has a column of its own, because its compiler has its own instructions; for a Python
without one there are no budgets.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT
from tests.ci import other_pythons

__all__ = ["disagreements", "moved", "read", "write"]

FILE = Path(__file__).parent / "budgets.json"
MORE, LESS = 1.02, 0.95
GRAIN = 0.35
"""What a figure may move in any case: a count that is small in itself has no hundredths."""

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
AGREE = (
    "echo-d1",
    "echo-d16",
    "echo1k-d1",
    "mix",
    "say",
    "ask",
    "fanout-w4",
    "polling",
    "http",
    "connect",
    "tls-echo",
    "tls-fanout",
)

Figures = dict[str, dict[str, float]]


def read(version: str = HERE) -> Figures | None:
    """Return the budgets of this Python, or ``None`` if it has none."""
    kept: dict[str, Figures] = json.loads(FILE.read_text("utf-8"))
    return kept.get(version)


def moved(figures: Figures, budgets: Figures | None) -> list[str]:
    """Return a line for each figure that has left its budget.

    >>> moved({"http": {"calls": 103.0}}, {"http": {"calls": 100.0}})
    ['http: 103.0 calls, 100.0 were enough before']
    >>> moved({"http": {"calls": 94.0}}, {"http": {"calls": 100.0}})
    ['http: 94.0 calls, 100.0 before: tighten the budget']
    >>> moved({"http": {"calls": 101.0}}, {"http": {"calls": 100.0}})
    []
    """
    if budgets is None:
        return []
    lines = []
    for row, found in figures.items():
        for name, figure in found.items():
            budget = budgets.get(row, {}).get(name)
            if budget is None:
                lines.append(f"{row}: {name} has no budget")
            elif figure > budget * MORE + GRAIN:
                lines.append(f"{row}: {figure:.1f} {name}, {budget:.1f} were enough before")
            elif figure < budget * LESS - GRAIN:
                lines.append(f"{row}: {figure:.1f} {name}, {budget:.1f} before: tighten the budget")
    return lines


def disagreements(seed: int) -> list[str]:
    """Return a line for each row whose clients hear something else when somebody watches."""
    from .counts import agree

    return [
        f"{row}: the short ways answer in another way than the layers (seed {seed})"
        for row in AGREE
        if not agree(row, seed)
    ]


def write() -> None:
    """Count with every Python that ``.ci/run`` would use, and write their budgets."""
    pythons = {HERE: sys.executable, **other_pythons()}
    kept: dict[str, Any] = {}
    for version, python in sorted(pythons.items()):
        command = [python, "-m", "tests.bench.counts", "--json", "--seed", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        kept[version] = json.loads(done.stdout)
    FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(f"{FILE.name}: {len(kept[HERE])} rows, of Python {', '.join(sorted(kept))}")
