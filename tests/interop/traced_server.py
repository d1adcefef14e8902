"""A server behind ``rawsio trace``, for suites that judge the proxy by judging what is behind it.

``python -m tests.interop.traced_server COMMAND... -- [trace options] --mode MODE --port PORT``
starts the server (``COMMAND --mode MODE --port 0``) and the proxy before it, and prints the
proxy's port as the server would.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from threading import Thread

from tests.jobs import first_line

__all__ = ["main"]

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


def _die_with_parent() -> None:
    """Have the system kill this child when whoever started it is killed, as suites do."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; returns the server's exit status."""
    place = arguments.index("--")
    command, rest = arguments[:place], arguments[place + 1 :]
    at = rest.index("--mode")
    options, mode, port = rest[:at], rest[at + 1], rest[at + 3]
    server = subprocess.Popen(
        [*command, "--mode", mode, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs yet
    )
    proxy = None
    try:
        to = f"http://127.0.0.1:{first_line(server).removeprefix('PORT ')}"
        trace = [sys.executable, "-m", "rawsio", "trace", "--to", to, "--listen", port]
        proxy = subprocess.Popen(
            [*trace, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - no thread runs yet
        )
        print(f"PORT {first_line(proxy).rsplit(':', 1)[1]}", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        assert proxy.stdout is not None
        Thread(target=proxy.stdout.read, daemon=True).start()
        return server.wait()
    finally:
        server.kill()
        if proxy is not None:
            proxy.terminate()
            proxy.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
