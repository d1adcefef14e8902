"""The client that Autobahn's fuzzing server asks for: ``python -m tests.interop.echo_client URL``.

It asks for the number of cases, opens a WebSocket for each and echoes until it is closed, and asks
for the report.  Built on ``rawsio.http`` and ``rawsio.websocket`` alone.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from rawsio.http.connection import HTTPConnection
from rawsio.http.messages import EndOfMessage, Response
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import DeflateOptions
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import confirm, offer

from .sockets import Link, Loop

LIMITS = Limits(message=16 << 20, fragments=1 << 17)
DEFLATE = DeflateOptions(threshold=0, level=1)


class Talk:
    """One WebSocket, from its handshake to its end; ``messages`` are those received."""

    def __init__(self, host: str, port: int, target: str) -> None:
        self.messages: list[str | bytes] = []
        self.request = offer(target, f"{host}:{port}", deflate=DEFLATE)
        http = HTTPConnection(Role.CLIENT)
        http.send(self.request)
        http.send(EndOfMessage())
        self.loop = Loop()
        sock = socket.create_connection((host, port))
        self.link = Link(self.loop, sock, http, self.on_http)

    def run(self) -> list[str | bytes]:
        """Echo until the connection is over."""
        while self.link.open:
            self.loop.turn()
        return self.messages

    def on_http(self, link: Link, events: list[Any]) -> None:
        """Confirm the response, and go on as a WebSocket."""
        for event in events:
            if isinstance(event, Response):
                confirmed = confirm(self.request, event, deflate=DEFLATE)
                rest = link.layer.take_rest()
                link.layer = WebSocketConnection(Role.CLIENT, LIMITS, deflate=confirmed.agreement)
                link.on_events = self.on_websocket
                if rest:
                    link.give(link.layer.receive(rest))
                return

    def on_websocket(self, link: Link, events: list[Any]) -> None:
        """Echo."""
        for event in events:
            if isinstance(event, Message):
                self.messages.append(event.data)
                link.layer.send(event)
        # Only the number of cases is of interest, and it comes first.
        del self.messages[1:]


def main(url: str) -> None:
    """Go through all cases of the fuzzing server at ``url`` (``ws://host:port``)."""
    host, _, port = url.removeprefix("ws://").partition(":")
    count = int(Talk(host, int(port), "/getCaseCount").run()[0])
    for case in range(1, count + 1):
        Talk(host, int(port), f"/runCase?case={case}&agent=rawsio").run()
    Talk(host, int(port), "/updateReports?agent=rawsio").run()


if __name__ == "__main__":
    main(sys.argv[1])
