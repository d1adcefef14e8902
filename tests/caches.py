"""Where the tests keep what Python compiles, on machines that are told to keep nothing.

``PYTHONDONTWRITEBYTECODE`` keeps compiled files from among the sources.  But the tests start some
hundred programs, each of which would compile the package anew: a third of the suite's time.  So
the files go into ``.interop/pycache``, which Git ignores, and every program that a test starts
finds them there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["UNCACHED", "keep_compiled"]

FOLDER = Path(__file__).resolve().parents[1] / ".interop" / "pycache"
UNCACHED = "RAWSIO_UNCACHED"
"""A variable by which nothing is kept: for those who change a source many times in a second."""


def keep_compiled() -> None:
    """Have this process and those that it starts keep what they compile."""
    if UNCACHED in os.environ or not os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        return
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(FOLDER)
    sys.dont_write_bytecode = False
