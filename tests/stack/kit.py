"""A client over a real socket, for a server whose turns the test makes."""

from __future__ import annotations

import socket
from typing import Any

from rawsio import Server
from rawsio.limits import DEFAULT
from rawsio.socketio.packets import Ack, Connect, Event
from tests.net.kit import turn_until

from .joined import UPGRADE, ClientEnd

__all__ = ["Client"]


class Client:
    """A Socket.IO client over a WebSocket; ``events`` are the packets that came."""

    def __init__(self, io: Server, address: Any, head: bytes = UPGRADE) -> None:
        self.io = io
        self.end = ClientEnd(DEFAULT)
        self.events: list[Any] = []
        self.closed = False
        self.wire = socket.create_connection(address)
        self.wire.sendall(head)
        self._head = b""
        turn_until(io, lambda: b"\r\n\r\n" in self._read_head())
        self.head, _, rest = self._head.partition(b"\r\n\r\n")
        self._feed(rest)

    def _read_head(self) -> bytes:
        self._head += self._read()
        return self._head

    def _read(self) -> bytes:
        self.wire.setblocking(False)
        try:
            data = self.wire.recv(65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.closed = self.closed or not data
        return data

    def _feed(self, data: bytes) -> None:
        self.events += self.end.receive(data) if data else []
        while self.end.deadline == 0.0:
            self.events += self.end.tick(0.0)
        out = b"".join(self.end.data_to_send())
        if out and not self.closed:
            self.wire.setblocking(True)
            self.wire.sendall(out)

    def pump(self) -> None:
        """Read what has come, and write what is to be said."""
        self._feed(self._read())

    def send(self, packet: Any) -> None:
        """Send a packet."""
        self.end.send(packet)
        self._feed(b"")

    def wait(self, kind: type, count: int = 1) -> list[Any]:
        """Make turns until so many packets of a kind have come; return them all."""

        def found() -> list[Any]:
            self.pump()
            return [event for event in self.events if isinstance(event, kind)]

        turn_until(self.io, lambda: len(found()) >= count)
        return found()

    def join(self, namespace: str = "/", auth: Any = None) -> Any:
        """Join a namespace; return the data of the answer."""
        before = len([e for e in self.events if isinstance(e, Connect)])
        self.send(Connect(namespace, auth))
        return self.wait(Connect, before + 1)[-1].data

    def call(self, name: str, *args: Any) -> list[Any]:
        """Send an event and return what was acknowledged."""
        before = len([e for e in self.events if isinstance(e, Ack)])
        self.send(Event("/", [name, *args], before))
        return list(self.wait(Ack, before + 1)[-1].args)

    def wait_closed(self) -> None:
        """Make turns until the server has closed the connection."""

        def done() -> bool:
            self.pump()
            return self.closed

        turn_until(self.io, done)

    def close(self) -> None:
        """Cut the connection."""
        self.wire.close()
