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

__all__ = ["CommandNotFound", "ProcessCaller"]

_MOST_OUTPUT = 1 << 20


class CommandNotFound(ValueError):
    """The command that should start the client cannot be run."""


class ProcessCaller:
    """One run of a client's command, and the port that it connects to."""

    def __init__(self, command: Sequence[str], scheme: str = "http") -> None:
        if shutil.which(command[0]) is None:
            raise CommandNotFound(f"{command[0]} is no command that can be run")
        self.command = command
        self.scheme = scheme
        self.listener: Listener | None = None
        self.processes: list[subprocess.Popen[bytes]] = []
        self.output = b""

    def start(self, options: dict[str, Any]) -> None:
        """Start the command."""
        if self.listener is None:
            self.listener = Listener()
        host, port = self.listener.address
        url = f"{self.scheme}://{host}:{port}{options.get('namespace', '')}"
        made = subprocess.Popen(  # noqa: S603 - the user's own command
            [word.replace("{url}", url) for word in self.command],
            env={**os.environ, "RAWSIO_URL": url, "RAWSIO_OPTIONS": json.dumps(options)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if made.stdout is not None:
            os.set_blocking(made.stdout.fileno(), False)
        self.processes.append(made)

    def accept(self, seconds: float) -> SocketTransport | None:
        """Return the next connection of the client."""
        return None if self.listener is None else self.listener.accept(seconds)

    def saw(self) -> list[dict[str, Any]]:
        """Return what the user has seen since the last call."""
        for process in self.processes:
            data = process.stdout.read() if process.stdout is not None else None
            self.output = (self.output + (data or b""))[-_MOST_OUTPUT:]
        *lines, self.output = self.output.split(b"\n")
        found = []
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:
                continue
            if isinstance(item, dict):
                found.append(item)
        return found

    def stop(self) -> None:
        """End the processes and listen no more."""
        for process in self.processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.processes.clear()
        if self.listener is not None:
            self.listener.close()
            self.listener = None
