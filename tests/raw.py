"""A peer made of bytes, at the other end of a connection in memory (:mod:`rawsio.testing`)."""

from __future__ import annotations

import re

from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response
from rawsio.layer import Closed, Role
from rawsio.testing import TestKit
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message

__all__ = ["Polling", "RawWebSocket", "request"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(query: str, method: str = "GET", body: bytes = b"", *fields: str) -> bytes:
    """Return a request to the engine's path."""
    lines = [f"{method} /socket.io/?{query} HTTP/1.1", "Host: testkit", *fields]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body


class _Wire:
    def __init__(self, kit: TestKit) -> None:
        self.kit = kit
        self.wire = kit.dial()
        self.hung_up = False

    def exchange(self, data: bytes) -> bytes:
        """Send bytes, let everything happen, and return what has come."""
        heard = b""
        while data and not self.hung_up:
            try:
                data = data[self.wire.send(data) :]
            except BlockingIOError:
                heard += self.heard()
            except OSError:
                self.hung_up = True
            self.kit.run()
        self.kit.run()
        return heard + self.heard()

    def heard(self) -> bytes:
        """Return what has come since."""
        heard = b""
        while True:
            try:
                data = self.wire.recv(1 << 20)
            except BlockingIOError:
                return heard
            except OSError:
                data = b""
            if not data:
                self.hung_up = True
                return heard
            heard += data
            self.kit.run()


class Polling:
    """A polling session: one connection for the polls, one for the posts."""

    def __init__(self, kit: TestKit, query: str = "EIO=4", *fields: str) -> None:
        self.kit = kit
        self.fields = fields
        self.query = f"{query}&transport=polling"
        self.polls, self.posts = _Wire(kit), _Wire(kit)
        self.response: Response | None = None
        self.first = self.get()
        found = re.search(rb'sid\\?":\\?"([^"\\]+)', self.first)
        assert found, self.first
        self.sid = found[1].decode()
        self.query += f"&sid={self.sid}"

    def get(self, *, more: str = "") -> bytes:
        """Poll, and return the body of the answer; empty if there is none yet."""
        return self._answer(
            self.polls.exchange(request(self.query + more, "GET", b"", *self.fields))
        )

    def answer(self) -> bytes:
        """Return the body of the answer of a poll that waited."""
        self.kit.run()
        return self._answer(self.polls.heard())

    def post(self, body: bytes, *fields: str, more: str = "") -> bytes:
        """Send a payload, and return the body of the answer."""
        return self._answer(self.posts.exchange(request(self.query + more, "POST", body, *fields)))

    def _answer(self, heard: bytes) -> bytes:
        http = HTTPConnection(Role.CLIENT)
        http.send(Request("GET", "/", Headers([("Host", "a")])))
        http.send(EndOfMessage())
        body = b""
        for event in http.receive(heard):
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Body):
                body += bytes(event.data)
        return body


class RawWebSocket:
    """A WebSocket whose messages are Engine.IO packets; ``heard`` are those that came."""

    def __init__(self, kit: TestKit, query: str = "EIO=4&transport=websocket") -> None:
        self.end = _Wire(kit)
        self.websocket = WebSocketConnection(Role.CLIENT, random_bytes=bytes)
        self.closed: Closed | None = None
        fields = (
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {KEY}",
        )
        answer = self.end.exchange(request(query, "GET", b"", *fields))
        self.head, _, rest = answer.partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), answer
        self.packets = self._messages(rest)

    def _messages(self, data: bytes) -> list[str | bytes]:
        # Closing takes words from both sides, and the end of the stream.
        events = self.websocket.receive(data) if data else []
        while self.websocket.deadline == 0.0:
            events += self.websocket.tick(0.0)
        out = b"".join(self.websocket.data_to_send())
        more = self._messages(self.end.exchange(out)) if out else []
        if self.end.hung_up:
            events += self.websocket.receive_eof()
        self.closed = next((e for e in events if isinstance(e, Closed)), self.closed)
        return [event.data for event in events if isinstance(event, Message)] + more

    def say(self, *packets: str | bytes) -> list[str | bytes]:
        """Send packets, and return those that have come since the last time."""
        for packet in packets:
            self.websocket.send(Message(packet))
        return self._messages(self.end.exchange(b"".join(self.websocket.data_to_send())))
