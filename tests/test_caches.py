"""What is compiled is kept, but beside the sources only if nobody minds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.caches import FOLDER, UNCACHED

PROGRAM = """
import os, sys
from tests.caches import keep_compiled
keep_compiled()
kept = "PYTHONDONTWRITEBYTECODE" not in os.environ
print(sys.dont_write_bytecode, sys.pycache_prefix, os.environ.get("PYTHONPYCACHEPREFIX"), kept)
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "False None None True"),
        ({"PYTHONDONTWRITEBYTECODE": "1"}, f"False {FOLDER} {FOLDER} True"),
        ({"PYTHONDONTWRITEBYTECODE": "1", UNCACHED: "1"}, "True None None False"),
    ],
    ids=["usual", "not beside the sources", "not at all"],
)
def test_who_wants_no_compiled_files_beside_the_sources_has_them_apart(
    given: dict[str, str], said: str
) -> None:
    names = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", UNCACHED)
    env = {name: value for name, value in os.environ.items() if name not in names}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, cwd=FOLDER.parents[1], env={**env, **given}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == said
