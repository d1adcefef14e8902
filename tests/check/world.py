"""A world of the tester in memory: a real server, a clock that jumps, and no sockets.

The judges cannot tell it from :class:`rawsio.check.sockets.SocketWorld`, but silence costs nothing
here, and every run is the same.
"""

from __future__ import annotations

from typing import Any

from rawsio import Server
from rawsio.check.case import Case
from rawsio.check.probe import alive, probe
from rawsio.check.runner import Options, Result, Runner
from rawsio.check.target import Target
from rawsio.testing import TestKit

__all__ = ["MemoryTransport", "MemoryWorld", "check", "contract"]


class MemoryTransport:
    def __init__(self, kit: TestKit) -> None:
        self.kit = kit
        self.wire = kit.dial()

    def send(self, data: bytes) -> int:
        try:
            sent = int(self.wire.send(data))
        except BlockingIOError:
            sent = 0
        self.kit.run()
        return sent

    def receive(self) -> bytes | None:
        self.kit.run()
        try:
            return bytes(self.wire.recv(1 << 18))
        except BlockingIOError:
            return None

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        end = self.kit.board.now + seconds
        while True:
            self.kit.run()
            if self.wire.room > 0 if write else self.wire.readable:
                return True
            due = self.kit.loop.next_deadline()
            now = self.kit.board.now
            if now >= end:
                return False
            self.kit.advance(min(end, max(now, due if due is not None else end)) - now)

    def finish(self) -> None:
        self.wire.shutdown(1)
        self.kit.run()

    def close(self, *, reset: bool = False) -> None:
        if reset:
            self.wire.reset()
        self.wire.close()
        self.kit.run()


class MemoryWorld:
    def __init__(self, kit: TestKit) -> None:
        self.kit = kit

    def dial(self, where: str = "") -> MemoryTransport:
        return MemoryTransport(self.kit)

    def time(self) -> float:
        return self.kit.board.now

    def pause(self, seconds: float) -> None:
        self.kit.advance(seconds)


def contract(**options: Any) -> Server:
    """Return a server that keeps the contract, as ``check --contract rawsio`` prints it."""

    def page(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read() or b"hello"
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    io = Server(**{"app": page, "per_message_deflate": True, "connect_timeout": 1.0, **options})
    for space in (io, io.of("/custom")):

        @space.on("connection")
        def connected(socket: Any) -> None:
            socket.emit("auth", socket.handshake.auth)

        @space.on("message")
        def message(socket: Any, *args: Any) -> None:
            socket.emit("message-back", *args)

        @space.on("message-with-ack")
        def message_with_ack(_socket: Any, *args: Any) -> tuple[Any, ...]:
            return args

    return io


def check(io: Server, cases: list[Case], **options: Any) -> list[Result]:
    """Run cases against a server, in memory."""
    with TestKit(io, url="http://127.0.0.1") as kit:
        world = MemoryWorld(kit)
        target = probe(world, Target("http://127.0.0.1"))
        target.facts["clock"] = "virtual"
        settings = Options(**{"jobs": 1, "fast": True, "patience": 1.0, **options})
        return Runner(target, world, settings, alive).run(cases)
