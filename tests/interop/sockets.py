"""The smallest driver of a layer: one selector, non-blocking sockets, time.

It exists so that the outside judges of ``tests/interop`` see the protocol layers alone, with
nothing of ``rawsio.net`` between.  :class:`Link` moves bytes between one socket and one layer, and
does what ``closing`` and ``deadline`` ask for.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from rawsio.layer import Closing

__all__ = ["Link", "Loop"]

DISCARD_TIME = 2.0


class Loop:
    """Links and listeners, served in turn."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.links: set[Link] = set()

    def listen(self, host: str, port: int, accept: Callable[[socket.socket], None]) -> int:
        """Accept connections; return the port."""
        listener = socket.create_server((host, port), backlog=128)
        listener.setblocking(False)
        self.selector.register(
            listener, selectors.EVENT_READ, lambda _: accept(listener.accept()[0])
        )
        port = listener.getsockname()[1]
        return int(port)

    def turn(self) -> None:
        """Wait for sockets and deadlines, and serve them."""
        deadlines = [link.deadline for link in self.links if link.deadline is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        for key, mask in self.selector.select(timeout):
            key.data(mask)
        now = time.monotonic()
        for link in list(self.links):
            if link.deadline is not None and link.deadline <= now:
                link.tick(now)


class Link:
    """One connected socket and its layer; ``on_events(link, events)`` gets what the layer gives."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        layer: Any,
        on_events: Callable[[Link, list[Any]], None],
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop = loop
        self.sock = sock
        self.layer = layer
        self.on_events = on_events
        self.open = True
        self.unsent = b""
        self.ended_at: float | None = None
        loop.links.add(self)
        loop.selector.register(sock, selectors.EVENT_READ, self.ready)
        self.flush()

    @property
    def deadline(self) -> float | None:
        """When this link wants a tick."""
        return self.layer.deadline if self.ended_at is None else self.ended_at + DISCARD_TIME

    def ready(self, mask: int) -> None:
        """Serve a socket that can be read or written."""
        if mask & selectors.EVENT_WRITE:
            self.flush()
        if not self.open or not mask & selectors.EVENT_READ:
            return
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if self.ended_at is not None:
            if not data:
                self.close()
            return
        events = self.layer.tick(time.monotonic())
        events += self.layer.receive(data) if data else self.layer.receive_eof()
        self.give(events)
        if not data:
            self.close()

    def tick(self, now: float) -> None:
        """Tell the layer the time, or end the discarding of what still comes."""
        if self.ended_at is not None:
            self.close()
        else:
            self.give(self.layer.tick(now))

    def give(self, events: list[Any]) -> None:
        """Hand events to the application until nothing waits, then send."""
        if events:
            self.on_events(self, events)
        while self.layer.deadline == 0.0:
            more = self.layer.tick(time.monotonic())
            if more:
                self.on_events(self, more)
        self.flush()

    def flush(self) -> None:
        """Send what can be sent, then end the connection as far as the layer says."""
        if not self.open:
            return
        self.unsent = b"".join([self.unsent, *self.layer.data_to_send()])
        if self.unsent:
            try:
                self.unsent = self.unsent[self.sock.send(self.unsent) :]
            except BlockingIOError:
                pass
            except OSError:
                self.close()
                return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.unsent else 0)
        self.loop.selector.modify(self.sock, wanted, self.ready)
        if self.unsent:
            return
        if self.layer.closing is Closing.NOW:
            self.close()
        elif self.layer.closing is Closing.HALF and self.ended_at is None:
            self.ended_at = time.monotonic()
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()

    def close(self) -> None:
        """Close the socket."""
        if self.open:
            self.open = False
            self.loop.selector.unregister(self.sock)
            self.loop.links.discard(self)
            self.sock.close()
