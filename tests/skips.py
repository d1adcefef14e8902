"""The skips that are allowed: a check that did not run must not look like one that passed."""

from __future__ import annotations

import os
from fnmatch import fnmatchcase
from pathlib import Path

__all__ = ["unexpected"]

LIST = Path(__file__).parent / "skips.txt"


def unexpected(skipped: dict[str, str], script: str | None = None) -> list[str]:
    """Return a line for each skipped test (name -> reason) that ``skips.txt`` does not allow.

    ``script`` is ``"run"`` or ``"full"``; by default the one that says so in ``RAWSIO_CI``.
    """
    script = script or os.environ.get("RAWSIO_CI", "run")
    rows = [line.split("|") for line in LIST.read_text("utf-8").split("\n") if "|" in line]
    allowed = [
        row[1].strip()
        for row in rows
        if not row[0].startswith("#") and row[0].strip() in {script, "both"}
    ]
    return [
        f"{name} was skipped: {reason}"
        for name, reason in skipped.items()
        if not any(fnmatchcase(name, pattern) for pattern in allowed)
    ]
