"""Programs of others, each with a bound: none keeps a job waiting for good.

:func:`run` waits for a program's end, :func:`serving` for what a server says first and, when the
work is done, makes sure that the server is still there.  Whoever is late, or ended unasked, is
named in :class:`Stuck`; and whatever was started ends with the job, or with the block of
:func:`killed_at_last`.  :func:`free_port` is for those that cannot choose their port themselves.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

__all__ = [
    "Stuck",
    "end",
    "ends_with_sigterm",
    "first_line",
    "free_port",
    "killed_at_last",
    "run",
    "serving",
]

ROOT = Path(__file__).resolve().parents[1]
START = 60.0
"""What a server may take to say where it listens, in seconds."""
PATIENCE = 5.0
"""What a program may take to end when it is asked to, in seconds."""
PORTS = range(10_000, 32_000)
"""Where :func:`free_port` looks: below those that systems give to whoever asks for none."""


class Stuck(Exception):
    """A program did not do its part in time, or ended before it was asked to."""


def ends_with_sigterm() -> None:
    """Have SIGTERM end this program with all that it started, as an exception does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has, nor will be given by the system meanwhile."""
    for _ in range(100):
        port = random.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.bind(("127.0.0.1", port))
            return port
    raise Stuck(f"a hundred ports of {PORTS} were all taken")


def end(child: subprocess.Popen[Any]) -> None:
    """End a program that leads a process group, and its group: asked first, killed then."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(PATIENCE)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def run(
    command: list[str],
    seconds: float,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
) -> int:
    """Run a program to its end and return its exit code; ``env`` is added to ours.

    Raises :class:`Stuck` after ``seconds``.
    """
    child = subprocess.Popen(
        command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True,
    )  # fmt: skip
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        raise Stuck(f"`{' '.join(command)}` did not end within {seconds:.0f} s") from None
    finally:
        end(child)


def first_line(child: subprocess.Popen[Any], seconds: float = START) -> str:
    """Return the first line that a program prints; :class:`Stuck` if there is none in time.

    It is read byte by byte: what comes behind it stays for others to read.
    """
    assert child.stdout is not None
    shown = f"`{' '.join(map(str, child.args))}`"  # type: ignore[arg-type]
    until, line = time.monotonic() + seconds, b""
    while not line.endswith(b"\n"):
        left = max(0.0, until - time.monotonic())
        if not select.select([child.stdout], [], [], left)[0]:
            raise Stuck(f"{shown} said nothing within {seconds:.0f} s")
        byte = os.read(child.stdout.fileno(), 1)
        if not byte:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(PATIENCE)
            raise Stuck(f"{shown} ended with {child.returncode} and said nothing")
        line += byte
    return line.decode().strip()


@contextlib.contextmanager
def killed_at_last(command: list[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """Start a program, which is killed when the block is left, if it has not ended by then.

    ``Popen`` as a context manager waits for the end instead: for good, if a test failed before it
    asked for that.
    """
    with subprocess.Popen(command, **options) as child:
        try:
            yield child
        finally:
            child.kill()


@contextlib.contextmanager
def serving(command: list[str], *, apart: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server for as long as the block takes; :class:`Stuck` if it ends before that.

    ``apart`` gives it a process group of its own, which ends as a whole; without it, who kills
    ours kills the server, too.
    """
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
            start_new_session=apart,
        )  # fmt: skip
        try:
            yield child
            if child.poll() is not None:
                said.seek(0)
                last = said.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
                raise Stuck(f"`{' '.join(command)}` ended with {child.returncode}, unasked: {last}")
        finally:
            if apart:
                end(child)
            child.kill()
            child.wait()
            assert child.stdout is not None
            child.stdout.close()
