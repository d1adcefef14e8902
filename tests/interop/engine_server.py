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
from rawsio.engineio.server.session import Session
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.log import Log
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, listen_tcp
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.server.router import Router
from rawsio.stack import ServerStack

__all__ = ["EngineEcho"]


class Echo:
    """The user of one session."""

    held = incoming = connect_data = queued_bytes = 0
    paused = False
    reading = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def receive(self, data: str | bytes) -> None:
        """Echo a message."""
        with contextlib.suppress(LocalProtocolError):  # what came behind it ended the session
            self._session.send(Message(data))

    def moved(self) -> None:
        """Nothing depends on the transport."""

    watched = drained = go_on = go_on_alone = moved

    def ended(self, reason: str, description: str | None = None) -> None:
        """Nothing has to be forgotten."""


class EngineEcho:
    """Echoes Engine.IO messages; ``listen`` and ``run`` are those of ``rawsio.Server``."""

    def __init__(self, **options: Any) -> None:
        self.loop = Loop()
        self.limits = Limits()
        self.driver = Driver(self.loop, self.limits)
        registry = SessionRegistry(EngineOptions(**options), self.limits, self)
        self.gateway = Router(registry, Log(self.loop.time), self.loop.time)

    def listen(self, host: str, port: int) -> Any:
        """Listen, and return the address."""
        return Listener(self.driver, listen_tcp(host, port), self._accept).address

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self.loop.call_soon_threadsafe(self.loop.stop))
        self.loop.run()

    def _accept(self, sock: Any, address: Any) -> None:
        stack = ServerStack(self.limits, address=address[0])

        # The stack steps aside once it is a WebSocket: it is not the stream's layer for good.
        def received(_stream: TCPStream, events: list[Any]) -> None:
            self.gateway.receive(stack, events)

        def lost(_stream: TCPStream, _reason: str) -> None:
            self.gateway.lost(stack)

        stack.connect(TCPStream(self.driver, sock, stack, received, lost))

    # The owner of the registry

    def time(self) -> float:
        """Return the clock."""
        return self.loop.time()

    def opened(self, session: Session) -> None:
        """Give a session its user."""
        session.bind(Echo(session))

    def touched(self, session: Session) -> None:
        """Have a session flushed."""
        self.driver.touch(session)

    def flushed(self, session: Session) -> None:
        """Have its deadline looked at."""
        self.driver.watch(session)

    def gone(self, session: Session) -> None:
        """Forget a session."""
        self.driver.forget(session)
