"""A server of several workers as processes, and clients of it."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import rawsio

__all__ = ["Raw", "Workers", "wait_until"]

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Look again and again until something is so, and return it."""
    end = monotonic() + PATIENCE
    while not (found := condition()):
        assert monotonic() < end, f"{what} did not come true in {PATIENCE:g} s"
        sleep(0.01)
    return found


class Raw:
    """One connection that is kept, and requests on it, as a proxy sends those of many clients."""

    def __init__(self, port: int, context: ssl.SSLContext | None = None) -> None:
        if context is None:
            self.http = HTTPConnection("127.0.0.1", port, timeout=60)
        else:
            self.http = HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        self.http.connect()
        self.descriptor = self.http.sock.getsockname()

    def request(self, query: str, body: bytes | None = None) -> tuple[int, bytes]:
        target = f"/socket.io/?EIO=4&transport=polling{query}"
        self.http.request("GET" if body is None else "POST", target, body)
        answer = self.http.getresponse()
        content = answer.read()
        assert self.http.sock.getsockname() == self.descriptor, "the connection was not kept"
        return answer.status, content

    def open(self) -> str:
        """Begin a session; return its id."""
        status, content = self.request("")
        assert status == 200, content
        return str(content.split(b'"')[3], "ascii")

    def ask(self, sid: str, *names: str) -> list[Any]:
        """Return what the server answers to these events, in a session that has joined nothing."""
        self.request(f"&sid={sid}", b"40")
        answers = []
        for name in names:
            self.request(f"&sid={sid}", f'420["{name}"]'.encode())
            found: list[bytes] = []
            while not found:
                status, content = self.request(f"&sid={sid}")
                assert status == 200, content
                # A heartbeat may be before it or behind it.
                found = [p for p in content.split(b"\x1e") if p.startswith(b"430[")]
            answers += json.loads(found[0][3:])
        return answers

    def close(self) -> None:
        """Hang up."""
        self.http.close()


class Workers:
    """A server in processes of its own; a context manager."""

    def __init__(self, **options: Any) -> None:
        command = [sys.executable, "-m", "tests.workers.server", json.dumps(options)]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.options = options
        self.url = ""
        self._clients = ExitStack()

    def __enter__(self) -> Workers:
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise AssertionError(self.process.communicate()[1])
        return self

    def __exit__(self, *_error: object) -> None:
        self._clients.close()
        self.end()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def connect(self, *transports: str, **options: Any) -> Any:
        """Return the socket of a new client, connected."""
        if transports:
            options["transports"] = list(transports)
        return self._clients.enter_context(rawsio.connect(self.url, **options))

    def raw(self, context: ssl.SSLContext | None = None) -> Raw:
        """Return a connection that is kept."""
        raw = Raw(self.port, context)
        self._clients.callback(raw.close)
        return raw

    def bare(self) -> socket.socket:
        """Return a connection that has said nothing."""
        return self._clients.enter_context(socket.create_connection(("127.0.0.1", self.port)))

    def ask(self, client: Any, *event: Any) -> Any:
        """Return what the server answers a client."""
        return client.emit_with_ack(*event).result(timeout=PATIENCE)

    def spread(self, *transports: str, **options: Any) -> dict[int, Any]:
        """Return a client of each worker, by the worker's process id."""
        found: dict[int, Any] = {}
        for _ in range(40):  # where TLS hides what is asked for, chance decides
            client = self.connect(*transports, **options)
            if found.setdefault(self.ask(client, "who"), client) is not client:
                client.disconnect()
            if len(found) == self.options.get("workers", 2):
                return found
        raise AssertionError(f"only {sorted(found)} got clients")

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send the parent a signal."""
        self.process.send_signal(number)

    def end(self) -> tuple[str, str]:
        """Have it end, and return what it wrote."""
        if self.process.poll() is None:
            self.signal()
        try:
            return self.process.communicate(timeout=PATIENCE)
        except ValueError:  # it was waited for already
            return "", ""
        except BaseException:
            self.process.kill()
            raise
