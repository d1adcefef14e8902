"""A block of a megabyte costs no page faults once the C library keeps what is freed."""

from __future__ import annotations

import platform
import subprocess
import sys

from tests.__main__ import ROOT

_PROGRAM = """
from resource import RUSAGE_SELF, getrusage
from rawsio.net.heap import keep_freed_memory

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(50):
        bytes(1 << 20).translate(None)
    return (getrusage(RUSAGE_SELF).ru_minflt - before) // 50

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


def test_large_messages_have_memory_that_is_there_already() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    before, after = map(int, done.stdout.split())
    if platform.libc_ver()[0] == "glibc":
        assert before > 200
    assert after <= before // 20 or platform.libc_ver()[0] != "glibc"
