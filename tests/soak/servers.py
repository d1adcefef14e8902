"""Servers in processes of their own, and what the system says about their memory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Process", "serving"]


class Process:
    """A server that runs as ``python -m MODULE serve ARGUMENTS`` and prints its port first."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, "serve", *arguments]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.child.stdout is not None
        self.address = ("127.0.0.1", int(self.child.stdout.readline()))

    def resident(self) -> float:
        """Return the memory that the process has now, in KiB."""
        return self._status("VmRSS")

    def peak(self) -> float:
        """Return the most that it had since the last :meth:`forget_peak`, in KiB."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        """Let the peak be what the process has now."""
        Path(f"/proc/{self.child.pid}/clear_refs").write_text("5")

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self.child.pid}/status").read_text().split("\n"):
            if line.startswith(field):
                return float(line.split()[1])
        raise ValueError(f"no {field}: the server has ended")


@contextlib.contextmanager
def serving(module: str, *arguments: str) -> Iterator[Process]:
    """Run a server for the length of a ``with`` block."""
    process = Process(module, *arguments)
    try:
        yield process
    finally:
        process.child.kill()
        process.child.wait()
        if process.child.stdout is not None:
            process.child.stdout.close()
