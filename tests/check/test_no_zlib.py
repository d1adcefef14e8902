"""A Python without zlib: the cases that need it are UNIMPLEMENTED, with that reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_RUN = """
import sys
sys.modules["zlib"] = None
from rawsio.check.catalogue import client_cases, server_cases
from tests.check.world import check, contract
names = ("ws.deflate.hello", "ws.deflate.bomb", "ws.deflate.plain", "ws.mask.text")
cases = [case for case in server_cases() if case.id in names]
assert len(client_cases()) > 170
for result in check(contract(per_message_deflate=False), cases):
    print(result.id, result.verdict, result.note)
"""


def test_without_zlib_the_cases_about_compression_are_left_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.split("\n")[:4] == [
        "ws.mask.text OK ",
        "ws.deflate.plain UNIMPLEMENTED this Python has no zlib",
        "ws.deflate.hello UNIMPLEMENTED this Python has no zlib",
        "ws.deflate.bomb UNIMPLEMENTED this Python has no zlib",
    ], done.stderr
