"""An Engine.IO server without Socket.IO: the parts of rawsio, put together by hand.

The Engine.IO protocol suite wants a server that echoes every message.  ``rawsio.Server`` is a
Socket.IO server, so this one stands on the parts below it: a stack for each connection, the
gateway, the registry of sessions.  It shows that the upper half can be left away.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from rawsio.engineio.packets import Message
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Failed
from rawsio.limits import Limits
from rawsio.log import Log
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, listen_tcp
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.server.router import Router
from rawsio.stack import ServerStack

__all__ = ["EngineEcho"]


class EngineEcho:
    """Echoes Engine.IO messages; ``listen`` and ``run`` are those of ``rawsio.Server``."""

    def __init__(self, **options: Any) -> None:
        self.loop = Loop()
        self.limits = Limits()
        self.driver = Driver(self.loop, self.limits, on_events=self._ticked)
        registry = SessionRegistry(EngineOptions(**options), self.limits, touched=self._touched)
        self.gateway = Router(registry, self._event, Log(self.loop.time), self.loop.time)

    def listen(self, host: str, port: int) -> Any:
        """Listen, and return the address."""
        return Listener(self.driver, listen_tcp(host, port), self._accept).address

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.loop.call_soon_threadsafe(self.loop.stop))
        self.loop.run()

    def _accept(self, sock: Any, address: Any) -> None:
        stack = ServerStack(self.limits, address=address[0])
        stack.stream = TCPStream(self.driver, sock, stack, self._received, self._lost)

    def _received(self, stream: TCPStream, events: list[Any]) -> None:
        self.gateway.receive(stream.layer, events)

    def _lost(self, stream: TCPStream, _reason: str) -> None:
        self.gateway.lost(stream.layer)

    def _touched(self, session: Any) -> None:
        self.driver.touch(session)
        self.driver.watch(session)

    def _ticked(self, session: Any, events: list[Any]) -> None:
        for event in events:
            self._event(session, event)

    def _event(self, session: Any, event: Any) -> None:
        if isinstance(event, Message):
            with contextlib.suppress(LocalProtocolError):  # what came behind it ended the session
                session.send(Message(event.data))
        elif isinstance(event, (Closed, Failed)):
            self.driver.forget(session)
        else:
            self.driver.watch(session)
