"""Our Python client beside others, one client and one server: a part of ``python3 -m tests.bench``.

Each client (``talkers/``) runs on one core and our server on another; the figure is how many
messages the client works off in a second of its own CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT

from .peers import (
    LOAD_CORE,
    Missing,
    Peer,
    Running,
    described,
    environment_of,
    machine,
    node,
    peers_python,
    pinned,
    servers,
)
from .talks import TALKS, Talk

__all__ = ["CLIENTS", "Client", "clients", "measure", "result"]

TALKERS = Path(__file__).resolve().parent / "talkers"


@dataclass(frozen=True)
class Client:
    """A client: ``interpreter()`` runs ``script`` in one of its forms."""

    title: str
    interpreter: Callable[[], str]
    script: str
    form: str = "-"

    def version(self) -> str:
        """Return what it is a version of."""
        peer = Peer(self.title, self.interpreter, ())
        return described(peer)


def clients(python: str) -> dict[str, Client]:
    """Return the clients by name; ``python`` runs ours."""
    own = lambda: python  # noqa: E731
    return {
        "loop": Client("rawsio", own, "ours.py", "loop"),
        "thread": Client("rawsio, thread", own, "ours.py", "thread"),
        "asyncio": Client("rawsio, asyncio", own, "ours.py", "asyncio"),
        "socketio-threads": Client(
            "python-socketio, threads", peers_python, "python_socketio.py", "threads"
        ),
        "socketio-asyncio": Client(
            "python-socketio, asyncio", peers_python, "python_socketio.py", "asyncio"
        ),
        "official": Client("official, Node", node, "official.js"),
    }


CLIENTS = tuple(clients(""))
"""Their names."""


def result(line: str, seconds: float) -> dict[str, Any]:
    """Return what a client said, judged."""
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        found = {"fail": "the client says nothing"}
    if found.get("errors"):
        found["fail"] = f"{found['errors']} wrong answers"
    elif not found.get("count"):
        found.setdefault("fail", f"no answer in {seconds:g} seconds")
    return {"count": 0, "cpu": 0.0, "seconds": 0.0, **found, "ok": not found.get("fail")}


def once(client: Client, port: int, talk: Talk, seconds: float) -> dict[str, Any]:
    """Run a client once."""
    words = [str(port), talk.mode, str(talk.depth), str(max(0.3, seconds / 4)), str(seconds)]
    command = [client.interpreter(), str(TALKERS / client.script), client.form, *words]
    try:
        done = subprocess.run(
            pinned(command, LOAD_CORE),
            cwd=ROOT,
            env=environment_of(ROOT),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds * 2 + 30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return result('{"fail": "the client hangs"}', seconds)
    return result(done.stdout.strip(), seconds)


def measure(options: Any) -> dict[str, Any]:
    """Do every row with every client, the repetitions interleaved."""
    there: dict[str, Client] = {}
    for name, client in clients(options.python).items():
        if options.clients and name not in options.clients.split(","):
            continue
        try:
            client.interpreter()
        except Missing as error:
            print(f"left out: {client.title}: {error}", file=sys.stderr)
        else:
            there[name] = client
    versions = {name: client.version() for name, client in there.items()}
    titles = {name: client.title for name, client in there.items()}
    runs: list[dict[str, Any]] = []
    for row, talk in TALKS.items():
        if options.only and row not in options.only.split(","):
            continue
        server = Running(servers(options.python)["rawsio"])
        try:
            for repetition in range(options.repeat):
                for name, client in there.items():
                    one = once(client, server.port, talk, options.seconds)
                    runs.append({"row": row, "client": name, "repetition": repetition, **one})
                    figure = one["count"] / one["cpu"] if one["cpu"] else 0.0
                    note = one.get("fail") or ""
                    print(f"{row:16} {name:16} {figure:10,.0f} {note}", file=sys.stderr, flush=True)
        finally:
            server.stop()
    return {"facts": {**machine(), "titles": titles, "versions": versions}, "runs": runs}
