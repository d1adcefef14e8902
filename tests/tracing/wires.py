"""A client and a server around a proxy, on one loop, driven by a script."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from rawsio.layer import Role
from rawsio.net.loop import Loop
from rawsio.net.pipes import Pipe
from rawsio.tracing.badness import Badness
from rawsio.tracing.proxy import Proxy, Upstream
from rawsio.tracing.recorder import Recorder
from tests.net.kit import turn_until

__all__ = ["End", "World", "world"]


class End:
    """One end of a conversation: what it heard, and how it ended."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self.heard = bytearray()
        self.over = ""
        self.peer_ended = False
        self.pipe = Pipe(loop, sock, self)
        self.pipe.resume()

    def received(self, pipe: Pipe, data: bytes) -> None:
        self.heard += data

    def ended(self, pipe: Pipe) -> None:
        self.peer_ended = True

    def drained(self, pipe: Pipe) -> None:
        pass

    def lost(self, pipe: Pipe, reason: str, *, reset: bool) -> None:
        self.over = "reset" if reset else reason

    def closed(self, pipe: Pipe) -> None:
        self.over = "closed"


class World:
    """A loop with a server, a proxy before it, and what was recorded and said."""

    def __init__(self, badness: Badness, *where: Any, **options: Any) -> None:
        self.loop = Loop()
        self.said: list[str] = []
        self.items: list[Any] = []
        self.now = 1_000_000.0
        secrets = options.pop("secrets", False)
        self.recorder = Recorder(
            lambda number, item: self.items.append((number, item)), *where,
            clock=lambda: self.now, secrets=secrets, say=self.said.append,
        )  # fmt: skip
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        port = options.pop("port", self.listening.getsockname()[1])
        upstream = Upstream("127.0.0.1", port, options.pop("upstream_tls", None))
        self.proxy = Proxy(
            self.loop, upstream, self.recorder, Random(badness.seed),
            badness=badness, say=self.said.append, **options,
        )  # fmt: skip
        self.address = self.proxy.listen()
        self.servers: list[End] = []
        self.clients: list[End] = []
        self.loop.add_reader(self.listening.fileno(), self._accept)

    def _accept(self) -> None:
        self.servers.append(End(self.loop, self.listening.accept()[0]))

    def client(self) -> End:
        self.clients.append(End(self.loop, socket.create_connection(self.address)))
        return self.clients[-1]

    def pair(self) -> dict[Role, End]:
        """Connect a client; return both ends."""
        count = len(self.servers)
        client = self.client()
        self.until(lambda: len(self.servers) > count)
        return {Role.CLIENT: client, Role.SERVER: self.servers[-1]}

    def until(self, done: Callable[[], object]) -> None:
        turn_until(self.loop, done)

    def close(self) -> None:
        self.proxy.close()
        self.recorder.close()
        self.loop.remove_reader(self.listening.fileno())
        self.listening.close()
        for end in [*self.clients, *self.servers]:
            end.pipe.abort()
        self.loop.close()


@contextmanager
def world(badness: Badness | None = None, *where: Any, **options: Any) -> Iterator[World]:
    made = World(badness or Badness(), *where, **options)
    try:
        yield made
    finally:
        made.close()
