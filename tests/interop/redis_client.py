"""Our client of Redis against ``redis-server``: ``python -m tests.interop.redis_client``.

Each case runs over TCP, TLS and a unix socket, in RESP 3 and 2, and writes a line of TAP; the exit
code is 0 if all passed.  The server is started on free ports with its data in a folder of its own.
"""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from rawsio.limits import DEFAULT
from rawsio.net.loop import Loop
from rawsio.redis import Answer, RedisClient, RedisError, RedisOptions, RedisState

__all__ = ["CASES", "RedisServer", "main"]

SECONDS = 30.0
"""What one answer may take."""


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class RedisServer:
    """A ``redis-server`` with a password, on TCP, TLS and a unix socket; nothing is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-keyout", "k.pem", "-out", "c.pem", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost"),
            ],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=60,
        )
        self.tls = ssl.create_default_context(cafile=folder / "c.pem")
        self.start()

    def start(self) -> None:
        self.child = subprocess.Popen(
            [
                *("redis-server", "--port", str(self.port), "--unixsocket", "r.sock"),
                *("--tls-port", str(self.tls_port), "--tls-cert-file", "c.pem"),
                *("--tls-key-file", "k.pem", "--tls-ca-cert-file", "c.pem"),
                *("--tls-auth-clients", "no", "--requirepass", "sesame"),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )

    def end(self) -> None:
        self.child.kill()
        self.child.wait()

    def urls(self) -> dict[str, str]:
        return {
            "tcp": f"redis://:sesame@127.0.0.1:{self.port}",
            "tls": f"rediss://default:sesame@localhost:{self.tls_port}/2",
            "unix": f"unix://:sesame@{self.folder}/r.sock?db=1",
        }


class Side:
    """A loop and two clients on it: one that commands, one that hears."""

    def __init__(self, server: RedisServer, url: str, version: int) -> None:
        self.server = server
        self.loop = Loop()
        tls = server.tls if url.startswith("rediss:") else None
        options = RedisOptions(version=version, tls=tls)
        limits = DEFAULT.but(resp_ping=0.5, resp_reply_time=2.0)
        self.commands, self.hears = (
            RedisClient(self.loop, url, limits, options=options) for _ in range(2)
        )
        self.heard: list[tuple[bytes, bytes]] = []
        for client in (self.commands, self.hears):
            client.start()
        self.until(self.ready)

    def ready(self) -> bool:
        return all(c.state is RedisState.READY for c in (self.commands, self.hears))

    def until(self, found: Callable[[], object]) -> None:
        end = time.monotonic() + SECONDS
        while not found():
            if time.monotonic() > end:
                raise AssertionError("it never came")
            self.loop.step(0.05)

    def ask(self, *words: Any, wait: float = 0.0) -> Any:
        answer = self.commands.execute(*words, wait=wait)
        return self.wait(answer)

    def wait(self, answer: Answer) -> Any:
        self.until(answer.done)
        return answer.result()

    def hear(self, channel: str, kind: str = "subscribe") -> None:
        self.wait(self.hears.subscribe(channel, lambda *m: self.heard.append(m), kind=kind))

    def close(self) -> None:
        for client in (self.commands, self.hears):
            client.close()
        self.loop.step(0)
        self.loop.close()


def values_of_every_type_come_back(side: Side) -> None:
    blob = bytes(range(256)) * 300
    assert side.ask("SET", "blob", blob) == "OK"
    assert side.ask("GET", "blob") == blob
    assert side.ask("GET", "missing") is None
    assert side.ask("DEL", "blob") == 1
    side.ask("DEL", "s")
    entry = side.ask("XADD", "s", "*", "key", "value")
    assert side.ask("XRANGE", "s", "-", "+") == [[entry, [b"key", b"value"]]]
    assert side.ask("MULTI") == "OK"
    assert side.ask("GET", "missing") == "QUEUED"
    assert side.ask("EXEC") == [None]
    refused = side.commands.execute("INCR", "s")
    side.until(refused.done)
    assert isinstance(refused.error, RedisError)
    assert refused.error.code == "WRONGTYPE"


def a_thousand_commands_are_answered_in_order(side: Side) -> None:
    answers = [side.commands.execute("ECHO", str(number)) for number in range(1000)]
    assert [side.wait(answer) for answer in answers] == [b"%d" % n for n in range(1000)]


def messages_are_heard_by_channel_pattern_and_shard(side: Side) -> None:
    side.hear("room")
    side.hear("ro*", "psubscribe")
    side.hear("shard", "ssubscribe")
    assert side.ask("PUBSUB", "NUMSUB", "room") == [b"room", 1]
    assert side.ask("PUBLISH", "room", b"\x00\r\n") == 2
    assert side.ask("SPUBLISH", "shard", "x") == 1
    side.until(lambda: len(side.heard) == 3)
    assert sorted(side.heard) == [(b"room", b"\x00\r\n")] * 2 + [(b"shard", b"x")]
    side.wait(side.hears.unsubscribe("room"))
    side.wait(side.hears.unsubscribe("ro*", kind="psubscribe"))
    assert side.ask("PUBLISH", "room", "late") == 0


def a_command_that_blocks_on_purpose_is_waited_for(side: Side) -> None:
    began = time.monotonic()
    answer = side.ask("XREAD", "BLOCK", 1200, "STREAMS", "nothing", "$", wait=1.2)
    assert answer is None
    assert time.monotonic() - began >= 1.1


def subscriptions_are_back_after_a_restart(side: Side) -> None:
    side.hear("again")
    side.server.end()
    side.until(lambda: not side.ready())
    late = side.commands.execute("ECHO", "late")
    side.server.start()
    side.until(side.ready)
    assert side.wait(late) == b"late"
    assert side.ask("PUBLISH", "again", "hello") == 1
    side.until(lambda: side.heard == [(b"again", b"hello")])


def a_server_that_was_stopped_is_noticed_and_found_again(side: Side) -> None:
    side.hear("alive")
    side.server.child.send_signal(signal.SIGSTOP)
    try:
        side.until(lambda: not side.ready())
    finally:
        side.server.child.send_signal(signal.SIGCONT)
    side.until(side.ready)
    assert side.ask("PUBLISH", "alive", "yes") == 1


def a_connection_that_the_server_kills_is_made_again(side: Side) -> None:
    side.hear("killed")
    side.ask("CLIENT", "KILL", "TYPE", "pubsub")
    side.until(lambda: side.hears.state is RedisState.WAITING)
    side.until(side.ready)
    assert side.ask("PUBLISH", "killed", "yes") == 1


def what_the_server_has_of_a_lost_connection_is_ended_by_the_next(side: Side) -> None:
    side.hear("ghost")
    stream = side.hears._stream
    assert stream is not None
    if side.hears.address.path:
        return  # no network can swallow a unix socket
    held = stream.sock.dup()  # so that nobody is told of the end
    side.hears._give_up("the network swallowed it")
    assert side.ask("PUBSUB", "NUMSUB", "ghost") == [b"ghost", 1]
    side.until(side.ready)
    assert side.ask("PUBSUB", "NUMSUB", "ghost") == [b"ghost", 1]
    held.close()


CASES = (
    values_of_every_type_come_back,
    a_thousand_commands_are_answered_in_order,
    messages_are_heard_by_channel_pattern_and_shard,
    a_command_that_blocks_on_purpose_is_waited_for,
    subscriptions_are_back_after_a_restart,
    a_server_that_was_stopped_is_noticed_and_found_again,
    a_connection_that_the_server_kills_is_made_again,
    what_the_server_has_of_a_lost_connection_is_ended_by_the_next,
)


def _run(case: Callable[[Side], None], server: RedisServer, url: str, version: int) -> bool:
    side = None
    try:
        side = Side(server, url, version)
        case(side)
    except Exception:  # noqa: BLE001 - a failure of this case, whatever it is
        traceback.print_exc()
        return False
    finally:
        if side is not None:
            side.close()
    return True


def main() -> int:
    """Run every case over every kind of connection; return the exit code."""
    failed = number = 0
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        try:
            for name, url in server.urls().items():
                for version, case in [(v, c) for v in (3, 2) for c in CASES]:
                    number += 1
                    good = _run(case, server, url, version)
                    failed += not good
                    title = f"RESP {version} over {name}: {case.__name__.replace('_', ' ')}"
                    print(f"{'ok' if good else 'not ok'} {number} - {title}", flush=True)
        finally:
            server.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
