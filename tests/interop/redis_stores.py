"""A ``redis-server`` for the tests of queues, and a store on it that waits for each answer."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from rawsio.layer import Role
from rawsio.queue.operations import Counts
from rawsio.queue.redis_store import RedisStore, failure
from rawsio.redis import Command, ErrorReply, Reply, RESPConnection

from .redis_client import free_port

__all__ = ["BlockingStore", "QueueRedis"]

SECONDS = 30.0
_names = itertools.count(1)


class QueueRedis:
    """A ``redis-server`` on a free port; with ``lasting`` it keeps all that it has answered."""

    def __init__(self, folder: Path, *, lasting: bool = False) -> None:
        self.folder = folder
        self.lasting = lasting
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start it, with what it had before if it keeps that."""
        saving = ("yes", "--appendfsync", "always") if self.lasting else ("no",)
        self.child = subprocess.Popen(
            [
                *("redis-server", "--port", str(self.port), "--save", ""),
                *("--dir", str(self.folder), "--appendonly", *saving),
            ],
            stdout=subprocess.DEVNULL,
        )
        end = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError), contextlib.closing(Talk(self.port)) as talk:
                if talk.ask(b"PING") == "PONG":
                    return
            if time.monotonic() > end:
                raise AssertionError("redis-server does not answer")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()
        self.child.wait()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"


class Talk:
    """A connection to Redis that waits for each answer."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._layer = RESPConnection(Role.CLIENT)

    def ask(self, *args: bytes) -> Any:
        """Return the answer to a command; an error is an ``ErrorReply``."""
        self._layer.send(Command(list(args)))
        self._sock.sendall(b"".join(self._layer.data_to_send()))
        while True:
            data = self._sock.recv(65536)
            if not data:
                raise ConnectionError("Redis has gone")
            for event in self._layer.receive(data):
                if isinstance(event, Reply):
                    return event.value

    def close(self) -> None:
        self._sock.close()


class BlockingStore:
    """A store as :class:`rawsio.queue.operations.Store` has it, over a real Redis.

    ``silence`` are the milliseconds after which another server's leases end.
    """

    durable = True

    def __init__(
        self, port: int, mark: str = "", silence: int = 10_000, talk: Talk | None = None
    ) -> None:
        self.port = port
        self.mark = mark or f"t{next(_names)}-"
        self._silence = silence
        self._talk = talk or Talk(port)
        self._stores: dict[str, RedisStore] = {}
        self._counts: dict[str, Counts] = {}

    def open(self, queue: str, max_deliveries: int, _now: int) -> tuple[Counts, int]:
        store = RedisStore(self.mark + queue, max_deliveries=max_deliveries, silence=self._silence)
        self._stores[queue] = store
        self._turn(queue, [])
        return self.counts(queue), int(store.run)

    def _turn(self, queue: str, operations: list[Any]) -> list[Any]:
        store = self._stores[queue]
        request = store.request(operations)
        answer = self._talk.ask(*request)
        if isinstance(answer, ErrorReply) and answer.code == "NOSCRIPT":
            answer = self._talk.ask(*store.in_full(request))
        if isinstance(answer, ErrorReply):
            raise failure(answer.code, answer.message, "this test")
        results, self._counts[queue] = store.take(operations, answer)
        return results

    def apply(self, operations: list[Any]) -> list[Any]:
        results: list[Any] = []
        for queue, run in itertools.groupby(operations, key=lambda op: op.queue):
            results += self._turn(queue, list(run))
        return results

    def counts(self, queue: str) -> Counts:
        return self._counts[queue].copy()

    def close(self) -> None:
        self._talk.close()

    @staticmethod
    def reopen(store: Any) -> BlockingStore:
        """Drop it as the end of its process would, and begin anew: everybody else is silent.

        Redis knows it by its number, not by its connection, which need not be a new one.
        """
        return BlockingStore(store.port, store.mark, silence=0, talk=store._talk)
