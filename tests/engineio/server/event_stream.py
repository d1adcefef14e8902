"""A third transport, written outside the library: server-sent events down, posts up.

A GET is answered by a stream of events without an end, one for each packet, as JSON; a POST brings
packets as over polling.  A client has one stream, and may move from it to a WebSocket.
"""

from __future__ import annotations

import json
from typing import ClassVar

from rawsio.engineio.packets import decode_payload, encode_payload
from rawsio.engineio.server import BODY, WAITING, Link, Transport, Verdict
from rawsio.engineio.server.polling import error_answer, ok_answer
from rawsio.engineio.server.transport import CarriedSession, TransportOptions
from rawsio.errors import EngineIOError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response

__all__ = ["EventStream", "packets_of"]

Pairs = list[tuple[str, str]]


def packets_of(content: str) -> list[str]:
    """Return the packets of a stream's content."""
    return [json.loads(event.removeprefix("data: ")) for event in content.split("\n\n") if event]


class EventStream(Transport):
    """Server-sent events down, posts up."""

    __slots__ = ("_fields", "_held", "_paused", "_stream")

    name = "sse"
    payloads = True
    upgrades: ClassVar[tuple[str, ...]] = ("websocket",)

    def __init__(self, session: CarriedSession, options: TransportOptions, query: object) -> None:
        self.session = session
        self._stream: Link | None = None
        self._held: Link | None = None
        self._fields: Pairs = []
        self._paused = False

    def receive_request(self, link: Link, request: Request, fields: Pairs) -> Verdict:
        link.assign(self)
        if request.method == "POST":
            self._fields = fields
            return BODY
        if self._stream is not None:
            link.release()
            raise EngineIOError("two streams at a time", "engineio-v4-polling-overlap")
        link.begin(Response(200, Headers([("Content-Type", "text/event-stream"), *fields])))
        self._stream = link
        self.session.carry_on()
        return WAITING

    def receive_body(self, link: Link, body: bytes) -> None:
        link.release()
        try:
            packets = list(decode_payload(body, self.session.limits.payload_packets))
        except EngineIOError as error:
            link.respond(*error_answer(400, 3, fields=self._fields))
            self.session.fail(error)
            return
        if not all(map(self.session.receive, packets)):
            link.respond(*error_answer(400, 3, fields=self._fields))
        elif self._paused and self.session.carried_by(self):
            self._held = link
            link.assign(self)
        else:
            link.respond(*ok_answer(self._fields))

    def lost(self, link: Link, reason: str) -> None:
        link.release()
        if link is self._stream:
            self._stream = None
            error = EngineIOError(f"the stream failed: {reason}", "engineio-v4-transport-error")
            self.session.lose(None if reason == "transport close" else error)

    @property
    def ready(self) -> bool:
        return self._stream is not None

    def send(self, packet: str | bytes) -> None:
        if self._stream is not None:
            text = encode_payload([packet]).decode()
            self._stream.send_content(f"data: {json.dumps(text)}\n\n".encode())

    @property
    def buffered_amount(self) -> int:
        below = 0 if self._stream is None else self._stream.buffered_amount
        return self.session.queued + below

    @property
    def carrier(self) -> Link | None:
        return self._stream

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        link, self._held = self._held, None
        if link is not None:
            link.release()
            link.respond(*ok_answer(self._fields))

    def await_drain(self) -> None:
        if self._stream is not None:
            self._stream.await_drain()

    def close(self) -> bool:
        if self.session.lingers and self._stream is None:
            return False
        self.flush()
        return True

    def end(self) -> None:
        self.resume()
        link, self._stream = self._stream, None
        if link is not None:
            link.release()
            link.finish()

    def abort(self, reason: str) -> None:
        link, self._stream = self._stream, None
        if link is not None:
            link.release()
            link.abort(reason)
