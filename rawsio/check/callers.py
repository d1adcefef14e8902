"""Clients under test as processes: one is started for each case, and told where to connect.

The command finds its server in ``RAWSIO_URL`` (and wherever ``{url}`` stands in it), options as
JSON in ``RAWSIO_OPTIONS``.  It prints one JSON object a line for each thing that its user sees;
other lines are ignored.  Its output is read without threads, as far as it is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess

from .sockets import Listener, SocketTransport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["ClientGone", "CommandNotFound", "OneProcess", "ProcessCaller"]

_MOST_OUTPUT = 1 << 20


class CommandNotFound(ValueError):
    """The command that should start the client cannot be run."""


class ClientGone(OSError):
    """The command has ended without a connection; the case is an ERROR."""


def _started(command: Sequence[str], url: str, output: int, **more: str) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own, with the URL in its words and environment."""
    return subprocess.Popen(  # noqa: S603 - the user's own command
        [word.replace("{url}", url) for word in command],
        env={**os.environ, "RAWSIO_URL": url, **more},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _check_command(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise CommandNotFound(f"{command[0]} is no command that can be run")


class OneProcess:
    """A client's command that runs on and asks for its cases (``RAWSIO_PERSISTENT`` is 1)."""

    def __init__(self, command: Sequence[str], url: str) -> None:
        _check_command(command)
        self.command = command
        self.url = url
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, or end it and start it anew."""
        self.stop()
        self.process = _started(self.command, self.url, subprocess.DEVNULL, RAWSIO_PERSISTENT="1")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            _end(self.process)


class ProcessCaller:
    """One run of a client's command, and the port that it connects to."""

    def __init__(self, command: Sequence[str], scheme: str = "http") -> None:
        _check_command(command)
        self.command = command
        self.scheme = scheme
        self.listener: Listener | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.output = b""
        self.came = self.quiet = False

    def start(self, options: dict[str, Any]) -> None:
        """Start the command."""
        self.quiet = False
        if self.listener is None:
            self.listener = Listener()
        host, port = self.listener.address
        url = f"{self.scheme}://{host}:{port}{options.get('namespace', '')}"
        made = _started(self.command, url, subprocess.PIPE, RAWSIO_OPTIONS=json.dumps(options))
        if made.stdout is not None:
            os.set_blocking(made.stdout.fileno(), False)
        self.processes.append(made)

    def accept(self, seconds: float) -> SocketTransport | None:
        """Return the next connection; :class:`ClientGone` if the client ended and made none."""
        call = None if self.listener is None else self.listener.accept(seconds)
        self.came = self.came or call is not None
        if self.quiet and not self.came:
            statuses = sorted({process.wait() for process in self.processes})
            shown = " and ".join(map(str, statuses))
            raise ClientGone(f"the command has ended (status {shown}) and has not connected")
        return call

    def saw(self) -> list[dict[str, Any]]:
        """Return what the user has seen since the last call."""
        self.quiet = bool(self.processes)
        for process in self.processes:
            data = process.stdout.read() if process.stdout is not None else None
            # What it has started may hold its output open, and go on for it.
            self.quiet = self.quiet and data == b"" and process.poll() is not None
            self.output = (self.output + (data or b""))[-_MOST_OUTPUT:]
        *lines, self.output = self.output.split(b"\n")
        found = []
        for line in lines:
            try:
                item = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(item, dict):
                found.append(item)
        return found

    def stop(self) -> None:
        """End the processes and listen no more."""
        for process in self.processes:
            _end(process)
        self.processes.clear()
        if self.listener is not None:
            self.listener.close()
            self.listener = None
