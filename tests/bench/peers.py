"""The servers of the benchmark: how each is installed, started, pinned and ended.

Python's packages go into ``.interop/bench``, Node's are those of ``.interop/npm``, bun comes from
npm.  A server whose program is missing, or cannot be installed, is left out and named.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.__main__ import ROOT, EnvironmentFailed, environment

from .rows import TUNED_CANNOT, Row

__all__ = ["SERVERS", "Missing", "Peer", "Running", "certificate", "generator", "version"]

HERE = Path(__file__).resolve().parent
FOLDER = ROOT / ".interop" / "bench"
SERVER_CORE, LOAD_CORE = "0", "1"

_PYTHON = ["python-socketio==5.18.1", "uvicorn==0.54.0", "websockets==17.4", "uvloop", "httptools",
           "picows"]  # fmt: skip
_BUN = "@oven/bun-linux-x64"


class Missing(Exception):
    """A peer cannot be had here."""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing")
    return found


def _peers_python() -> str:
    try:
        return environment(FOLDER / "python", _PYTHON)
    except EnvironmentFailed as error:
        raise Missing(str(error).splitlines()[0]) from None


def _uvloop_python() -> str:
    return _peers_python()


def _node() -> str:
    modules = ROOT / ".interop" / "npm" / "node_modules" / "socket.io"
    if not modules.exists():
        subprocess.run(
            [sys.executable, "-m", "tests.interop.run", "--install"], cwd=ROOT, check=False
        )
    if not modules.exists():
        raise Missing("socket.io is not installed: python3 -m tests.interop.run --install")
    return _program("node")


def _bun() -> str:
    _node()
    folder = FOLDER / "npm"
    found = folder / "node_modules" / _BUN / "bin" / "bun"
    if not found.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}", "ascii")
        command = [_program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", _BUN]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing("npm cannot install bun")
    found.chmod(0o755)
    return str(found)


@dataclass(frozen=True)
class Peer:
    """One server: ``interpreter()`` runs ``script`` with the port and the words of the row.

    ``cannot`` are rows' needs and modes that it lacks; ``only`` are the rows that it is for.
    """

    title: str
    interpreter: Callable[[], str]
    script: tuple[str, ...]
    words: tuple[str, ...] = ()
    cannot: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    def does(self, name: str, row: Row) -> bool:
        """Return whether it can do a row."""
        lacks = row.mode in self.cannot or bool(row.needs & self.cannot)
        return not lacks and (not self.only or name in self.only)


def _script(name: str) -> tuple[str, ...]:
    return (str(HERE / "servers" / name),)


OURS = ("-m", "tests.bench.server")
_ELSEWHERE = frozenset({"echo-c50-d1", "echo-c50-d16", "fanout-c100"})
_ECHOES = frozenset({"echo-c1-d1", "echo-c50-d1", "echo-c50-d16", "echo1k-c50-d1",
                     "echo1k-c50-d16", "unicode", "nested"})  # fmt: skip


def servers(python: str) -> dict[str, Peer]:
    """Return the servers by name; ``python`` runs ours and the hand-tuned file."""
    own = lambda: python  # noqa: E731
    return {
        "rawsio": Peer("rawsio", own, OURS),
        "tuned": Peer("hand-tuned", own, _script("tuned.py"), cannot=TUNED_CANNOT),
        "node": Peer("Node", _node, _script("node.js")),
        "bun": Peer("bun", _bun, _script("node.js")),
        "uvicorn": Peer("uvicorn", _peers_python, _script("uvicorn_socketio.py")),
        "picows": Peer("picows", _peers_python, _script("picows_codec.py"), only=_ECHOES),
        "asyncio": Peer("rawsio on asyncio", own, OURS, ("asyncio",), only=_ELSEWHERE),
        "uvloop": Peer("rawsio on uvloop", _uvloop_python, OURS, ("uvloop",), only=_ELSEWHERE),
        "executor": Peer("rawsio, executor", own, OURS, ("executor",), only=_ELSEWHERE),
    }


SERVERS = tuple(servers(""))
"""Their names, in the order of the table."""


def generator() -> str:
    """Build the load generator if its source is newer, and return its path."""
    sources = sorted((HERE / "load").glob("*.[ch]"))
    program = FOLDER / "load"
    if not program.exists() or program.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        FOLDER.mkdir(parents=True, exist_ok=True)
        files = [str(source) for source in sources if source.suffix == ".c"]
        command = ["cc", "-O2", "-o", str(program), *files, "-lssl", "-lcrypto", "-lz"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"the load generator wants cc, libssl-dev and zlib1g-dev: {done.stderr}")
    return str(program)


def certificate() -> tuple[str, str]:
    """Return the files of a certificate for 127.0.0.1 and of its key, made once."""
    cert, key = FOLDER / "certificate.pem", FOLDER / "key.pem"
    if not key.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"]
        command += ["-subj", "/CN=127.0.0.1", "-out", str(cert), "-keyout", str(key)]
        subprocess.run(command, capture_output=True, check=True)
    return str(cert), str(key)


def version(command: str) -> str:
    """Return what a program says of its version, in one line."""
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().splitlines()[0]


def pinned(command: list[str], core: str) -> list[str]:
    """Return the command on one core, where the system can do that."""
    return [*(["taskset", "-c", core] if shutil.which("taskset") else []), *command]


class Running:
    """A server that runs: ``port``, ``pid``.

    Raises :class:`Missing` if it does not listen within 20 seconds.
    """

    def __init__(self, peer: Peer, row: Row) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        words = [*peer.words, *row.words]
        if "tls" in row.words:
            words += certificate()
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"}
        env["NODE_PATH"] = str(ROOT / ".interop" / "npm" / "node_modules")
        command = [peer.interpreter(), *peer.script, str(self.port), *words]
        self._child = subprocess.Popen(
            pinned(command, SERVER_CORE),
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self._child.pid
        self._wait(peer)

    def _wait(self, peer: Peer) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until and self._child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                time.sleep(0.01)
            else:
                return
        self.stop()
        raise Missing(f"{peer.title} does not start")

    def memory(self) -> int:
        """Return how many KiB of memory the process has."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        return int(status.partition("VmRSS:")[2].split()[0])

    def stop(self) -> None:
        """End it, and what it started."""
        if self._child.poll() is None:
            os.killpg(self.pid, signal.SIGTERM)
            try:
                self._child.wait(2)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
