"""A WebSocket server that echoes: ``python -m tests.interop.echo_server PORT``.

Built on ``rawsio.http`` and ``rawsio.websocket`` alone.  It prints ``listening on PORT`` (0 takes
a free one).  It takes messages of 16 MiB in 131072 fragments (Autobahn's case 9.3.1 has one more
than 65536), and agrees to any permessage-deflate.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

from rawsio.errors import HTTPError
from rawsio.http.connection import HTTPConnection
from rawsio.http.messages import Body, EndOfMessage, Request
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import DeflateOptions
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import accept, refusal

from .sockets import Link, Loop

LIMITS = Limits(message=16 << 20, fragments=1 << 17)
DEFLATE = DeflateOptions(threshold=0, level=1)


def on_http(link: Link, events: list[Any]) -> None:
    """Answer the request: with a 101, and the layer is a WebSocket; or with a refusal."""
    for event in events:
        if isinstance(event, Request):
            try:
                accepted = accept(event, deflate=DEFLATE)
            except HTTPError as error:
                response, body = refusal(error)
                bodies = [Body(body)] if event.method != "HEAD" else []
                for out in (response, *bodies, EndOfMessage()):
                    link.layer.send(out)
                return
            link.layer.send(accepted.response)
            head, rest = link.layer.data_to_send(), link.layer.take_rest()
            link.unsent += b"".join(head)
            link.layer = WebSocketConnection(Role.SERVER, LIMITS, deflate=accepted.agreement)
            link.on_events = on_websocket
            if rest:
                link.give(link.layer.receive(rest))
            return


def on_websocket(link: Link, events: list[Any]) -> None:
    """Echo."""
    for event in events:
        if isinstance(event, Message):
            link.layer.send(event)


def main(port: int) -> None:
    """Serve until killed."""
    loop = Loop()

    def accepted(sock: socket.socket) -> None:
        Link(loop, sock, HTTPConnection(Role.SERVER), on_http)

    print("listening on", loop.listen("127.0.0.1", port, accepted), flush=True)
    while True:
        loop.turn()


if __name__ == "__main__":
    main(int(sys.argv[1]))
