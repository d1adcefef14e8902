"""The whole pile in both roles, as layers: bytes below, Socket.IO packets above.

The server's end is the real one (stack, gateway, registry, session); only namespaces and handlers
are missing.  The client's end is the three client layers on top of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import CLOSE
from rawsio.engineio.packets import Message as EngineMessage
from rawsio.engineio.server.options import EngineOptions
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits
from rawsio.log import Log
from rawsio.prepared import Prepared
from rawsio.server.router import Router
from rawsio.socketio.connection import SocketIOConnection
from rawsio.stack import ServerStack
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message
from tests.engineio.server.users import Recorder, RecordingRegistry

__all__ = ["ClientEnd", "ServerEnd", "joined", "UPGRADE"]

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)
TERMINAL = (Closed, Failed)


class Stream:
    """Carries nothing; the test drives ``layer``, which the stack may replace."""

    buffered_amount = 0

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def touch(self) -> None:
        """Nothing waits for the end of a turn here."""

    def resume(self) -> None:
        """Nothing reads from a socket here."""

    pause = enter_high_water = resume

    tcp_info = None

    def abort(self, reason: str) -> None:
        """Nothing can be cut here."""


class End:
    """What both ends have in common: one terminal event, and nothing after it."""

    reading = True

    def __init__(self) -> None:
        self.sio: SocketIOConnection
        self.over = False
        self.found: list[Any] = []

    def take(self) -> list[Any]:
        """Return the events found, up to the terminal one."""
        found, self.found = self.found, []
        if self.over:
            return []
        for position, event in enumerate(found):
            if isinstance(event, TERMINAL):
                self.over = True
                return found[: position + 1]
        return found

    def at_least_half(self, below: Closing) -> Closing:
        """The end of the pile may leave its WebSocket waiting for the answer to its close."""
        return Closing.HALF if self.over and below is Closing.OPEN else below

    def refuse_if_over(self) -> None:
        """Raise as every layer does after its end."""
        if self.over:
            raise LocalProtocolError("the connection is over")


class ServerEnd(End):
    """The server's pile over one connection."""

    def __init__(self, limits: Limits, log: Callable[..., None] = lambda *_: None) -> None:
        super().__init__()
        self.sio = SocketIOConnection(Role.SERVER, limits)
        self.stack = ServerStack(limits)
        self.stream = Stream(self.stack)
        self.stack.connect(self.stream)
        options = EngineOptions(ping_interval=1e6, max_http_buffer_size=limits.message)
        quiet = Log(lambda: 0.0, log)
        self.registry = RecordingRegistry(
            options, limits, recorder=Recorder(self._event), random_bytes=bytes, log=quiet
        )
        self.gateway = Router(self.registry, quiet, lambda: 0.0)
        self.session: Any = None

    def _event(self, session: Any, event: Any) -> None:
        self.session = session
        if isinstance(event, TERMINAL):
            self.found.append(event)
        elif isinstance(event, EngineMessage):
            events = self.sio.receive(event.data)
            self.found += events
            if events and isinstance(events[-1], TERMINAL):
                session.close("forced close", discard=True)

    @property
    def deadline(self) -> float | None:
        """0.0 if any layer has something at once."""
        parts = [self.stream.layer, self.sio, *([self.session] if self.session is not None else [])]
        return 0.0 if any(part.deadline == 0.0 for part in parts) else None

    @property
    def closing(self) -> Closing:
        """What the connection should do."""
        return self.at_least_half(self.stream.layer.closing)

    @property
    def buffered(self) -> int:
        """Bytes held below and above."""
        return self.stack.incoming + self.sio.buffered

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes; after the end of the pile its WebSocket alone would go on."""
        if self.over:
            return []
        self.gateway.receive(self.stack, self.stream.layer.receive(data))
        return self.take()

    def receive_eof(self) -> list[Any]:
        """The peer sends no more."""
        self.gateway.receive(self.stack, self.stream.layer.receive_eof())
        return self.take()

    def tick(self, now: float) -> list[Any]:
        """Tell all parts the time."""
        self.gateway.receive(self.stack, self.stream.layer.tick(now))
        if self.session is not None:
            self.session.tick(now)
        self.found += self.sio.tick(now)
        return self.take()

    def send(self, event: Any) -> None:
        """Send a packet."""
        self.refuse_if_over()
        self.sio.send(event)
        self._down()

    def send_prepared(self, prepared: Prepared) -> None:
        """Send a packet that is encoded already."""
        self.refuse_if_over()
        self.sio.send_prepared(prepared)
        self._down()

    def _down(self) -> None:
        for unit in self.sio.data_to_send():
            if isinstance(unit, Prepared):
                self.session.send_prepared(unit)
            else:
                self.session.send(EngineMessage(unit))

    def data_to_send(self) -> list[bytes]:
        """Drain the pile."""
        if self.session is not None and not self.over:
            self._down()
        units: list[bytes] = self.stream.layer.data_to_send()
        return units


class ClientEnd(End):
    """The client's pile over one WebSocket, its handshake done."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.websocket = WebSocketConnection(Role.CLIENT, limits, random_bytes=bytes)
        self.engine = EngineIOConnection(Role.CLIENT, limits)
        self.sio = SocketIOConnection(Role.CLIENT, limits)

    @property
    def deadline(self) -> float | None:
        """0.0 if any layer has something at once."""
        parts = (self.websocket, self.engine, self.sio)
        return 0.0 if any(part.deadline == 0.0 for part in parts) else None

    @property
    def closing(self) -> Closing:
        """What the connection should do."""
        return self.at_least_half(self.websocket.closing)

    @property
    def buffered(self) -> int:
        """Bytes held below and above."""
        return self.websocket.buffered + self.sio.buffered

    def _up(self, events: list[Any]) -> list[Any]:
        for event in events:
            if isinstance(event, Message):
                for packet in self.engine.receive(event.data):
                    if isinstance(packet, EngineMessage):
                        self.found += self.sio.receive(packet.data)
                    elif isinstance(packet, TERMINAL):
                        self.found.append(packet)
            elif isinstance(event, TERMINAL):
                self.found.append(event)
        if any(isinstance(event, TERMINAL) for event in self.found):
            self._hang_up()
        return self.take()

    def _hang_up(self) -> None:
        try:
            self.websocket.send(Closed(1005))
        except LocalProtocolError:
            return

    def receive(self, data: bytes) -> list[Any]:
        """Feed bytes; after the end of the pile its WebSocket alone would go on."""
        if self.over:
            return []
        return self._up(self.websocket.receive(data))

    def receive_eof(self) -> list[Any]:
        """The peer sends no more."""
        return self._up(self.websocket.receive_eof())

    def tick(self, now: float) -> list[Any]:
        """Tell all parts the time."""
        self.found += [e for e in self.engine.tick(now) if isinstance(e, TERMINAL)]
        self.found += self.sio.tick(now)
        return self._up(self.websocket.tick(now))

    def send(self, event: Any) -> None:
        """Send a packet."""
        self.refuse_if_over()
        self.sio.send(event)

    def send_prepared(self, prepared: Prepared) -> None:
        """Send a packet that is encoded already."""
        self.refuse_if_over()
        self.sio.send_prepared(prepared)

    def data_to_send(self) -> list[bytes]:
        """Drain the pile."""
        if not self.over:
            for unit in self.sio.data_to_send():
                for message in unit.messages if isinstance(unit, Prepared) else (unit,):
                    self.engine.send(EngineMessage(message))
            for packet in self.engine.data_to_send():
                # A WebSocket that is ending takes nothing more; the pile is about to be told.
                with suppress(LocalProtocolError):
                    if packet is not CLOSE:
                        self.websocket.send(Message(packet))
        return self.websocket.data_to_send()


def joined(limits: Limits) -> tuple[ClientEnd, ServerEnd]:
    """Return a client and a server with an open session and no namespace yet."""
    client, server = ClientEnd(limits), ServerEnd(limits)
    server.receive(UPGRADE)
    head, _, rest = b"".join(server.data_to_send()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    client.receive(rest)
    for end in (client, server):
        while end.deadline == 0.0:
            end.tick(0.0)
    return client, server
