"""The servers of the benchmark: how each is installed, started, pinned and ended.

Python's packages go into ``.interop/bench``, Node's are those of ``.interop/npm``, bun comes from
npm.  A server whose program is missing, or cannot be installed, is left out and named.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT, EnvironmentFailed, environment

from .rows import TUNED_CANNOT, Row

__all__ = [
    "SERVERS",
    "Missing",
    "Peer",
    "Running",
    "certificate",
    "described",
    "environment_of",
    "generator",
    "machine",
    "node",
    "peers_python",
    "pinned",
    "servers",
]

HERE = Path(__file__).resolve().parent
FOLDER = (ROOT / ".interop" / "bench").resolve()  # checkouts may share one
SERVER_CORE, LOAD_CORE = "0", "1"

_PYTHON = ["python-socketio==5.18.1", "uvicorn==0.54.0", "websockets==17.4", "uvloop", "httptools",
           "picows", "aiohttp", "requests", "websocket-client"]  # fmt: skip
_BUN = "@oven/bun-linux-x64"


class Missing(Exception):
    """A peer cannot be had here."""


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is missing")
    return found


def peers_python() -> str:
    """Return an interpreter that has the packages of the peers."""
    try:
        return environment(FOLDER / "python", _PYTHON)
    except EnvironmentFailed as error:
        raise Missing(str(error).splitlines()[0]) from None


def node() -> str:
    """Return Node, once it has the packages of the interop tests."""
    modules = ROOT / ".interop" / "npm" / "node_modules" / "socket.io"
    if not modules.exists():
        subprocess.run(
            [sys.executable, "-m", "tests.interop.run", "--install"], cwd=ROOT, check=False
        )
    if not modules.exists():
        raise Missing("socket.io is not installed: python3 -m tests.interop.run --install")
    return _program("node")


def _bun() -> str:
    node()
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

    ``cannot`` are rows' needs and modes that it lacks; ``only`` are the rows that it is for.  Its
    ``rawsio`` is that of the checkout ``root``.
    """

    title: str
    interpreter: Callable[[], str]
    script: tuple[str, ...]
    words: tuple[str, ...] = ()
    cannot: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    root: Path = ROOT

    def does(self, name: str, row: Row) -> bool:
        """Return whether it can do a row."""
        lacks = row.mode in self.cannot or bool(row.needs & self.cannot)
        return not lacks and (not self.only or name in self.only)


def _script(name: str) -> tuple[str, ...]:
    return (str(HERE / "servers" / name),)


OURS = ("-m", "tests.bench.server")
ELSEWHERE = (
    *("-c", "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], None, '__main__')"),
    str(HERE / "server.py"),
)
"""The same script with the library of another checkout: nothing else may come from here."""
_LOOPS = frozenset({"echo-c50-d1", "echo-c50-d16", "fanout-c100"})
_ECHOES = frozenset({"echo-c1-d1", "echo-c50-d1", "echo-c50-d16", "echo1k-c50-d1",
                     "echo1k-c50-d16", "unicode", "nested"})  # fmt: skip


def servers(python: str, also: str = "", before: Path | None = None) -> dict[str, Peer]:
    """Return the servers by name; ``python`` runs ours and the hand-tuned file.

    ``also`` is another interpreter that runs both as well, ``before`` another checkout of ours.
    """
    own = lambda: python  # noqa: E731
    tuned = Peer("hand-tuned", own, _script("tuned.py"), cannot=TUNED_CANNOT)
    found = {"rawsio": Peer("rawsio", own, OURS)}
    if before is not None:
        checkout = partial(_checkout, before, python)
        found["before"] = Peer("before", checkout, ELSEWHERE, root=before.resolve())
    found |= {
        "tuned": tuned,
        "node": Peer("Node", node, _script("node.js")),
        "bun": Peer("bun", _bun, _script("node.js")),
        "uvicorn": Peer("uvicorn", peers_python, _script("uvicorn_socketio.py")),
        "picows": Peer("picows", peers_python, _script("picows_codec.py"), only=_ECHOES),
        "asyncio": Peer("rawsio on asyncio", own, OURS, ("asyncio",), only=_LOOPS),
        "uvloop": Peer("rawsio on uvloop", peers_python, OURS, ("uvloop",), only=_LOOPS),
        "executor": Peer("rawsio, executor", own, OURS, ("executor",), only=_LOOPS),
    }
    if also:
        interpreter = partial(_program, also)
        found["also"] = Peer("rawsio, other Python", interpreter, OURS)
        title = "hand-tuned, other Python"
        found["also-tuned"] = replace(tuned, title=title, interpreter=interpreter)
    return found


def _checkout(folder: Path, python: str) -> str:
    if not (folder / "rawsio" / "__init__.py").exists():
        raise Missing(f"{folder} is no checkout")
    return python


SERVERS = tuple(servers("", "python", ROOT))
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


def described(peer: Peer) -> str:
    """Return which version of it runs, in one line."""
    done = subprocess.run(
        [peer.interpreter(), "--version"], capture_output=True, text=True, check=False
    )
    found = (done.stdout or done.stderr).strip().splitlines()[0]
    if peer.root == ROOT:
        return found
    command = ["git", "-C", str(peer.root), "log", "-1", "--format=%h of %cs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"commit {done.stdout.strip() or 'unknown'}, {found}"


def machine() -> dict[str, Any]:
    """Return what figures belong to."""
    model = "a processor"
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "processor": f"{os.cpu_count()} cores, {model}",
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
    }


def environment_of(root: Path) -> dict[str, str]:
    """Return the environment in which Python finds a checkout, and Node its packages."""
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0"}
    env["NODE_PATH"] = str(ROOT / ".interop" / "npm" / "node_modules")
    return env


def pinned(command: list[str], core: str) -> list[str]:
    """Return the command on one core, where the system can do that."""
    return [*(["taskset", "-c", core] if shutil.which("taskset") else []), *command]


class Running:
    """A server that runs: ``port``, ``pid``.

    Raises :class:`Missing` if it does not listen within 20 seconds.
    """

    def __init__(self, peer: Peer, words: tuple[str, ...] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        given = [*peer.words, *words, *(certificate() if "tls" in words else ())]
        command = [peer.interpreter(), *peer.script, str(self.port), *given]
        self._child = subprocess.Popen(
            pinned(command, SERVER_CORE),
            cwd=peer.root,
            env=environment_of(peer.root),
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
