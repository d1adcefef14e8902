"""The laws of design on HTTP/1.1: between two exchanges, and with a request in work."""

from __future__ import annotations

from typing import Any

from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.framing import UNTIL_CLOSE, response_framing
from rawsio.http.headers import Headers
from rawsio.http.messages import EndOfMessage, Request, Response
from rawsio.http.states import BODY
from rawsio.layer import Role
from rawsio.limits import Limits
from tests.laws import Subject, laws_for

from .feeding import joined, reply
from .strategies import events, wire

# Wires of the laws stay below the bytes that may wait behind a request: whether these are too many
# depends on when the answer comes, which a law that cuts anywhere cannot hold still.
LIMITS = Limits(head=256, field=100, start_line=64, fields=6, chunk_line=16, body=40, pipeline=1024)
LIMITS = LIMITS.but(read_ahead=1024)


class Prompt(HTTPConnection):
    """Ends a message as soon as its length says that it is complete.

    The peer sees that end at once, and may go on to the next exchange; what it sends then waits
    until we say the end too, which the law of the round trip does not wait for.  Nor does a pair
    deliver the end of the connection, so responses that end with it are refused here.
    """

    __slots__ = ()

    def send(self, event: Any) -> None:
        if isinstance(event, Response) and event.status >= 200:
            settled = event.headers.framing_fields().keys() & {
                "content-length",
                "transfer-encoding",
            }
            framing = response_framing({}, "1.1", self._asked.method, event.status)
            if framing == UNTIL_CLOSE and not settled:
                raise LocalProtocolError("this response would end with the connection")
        super().send(event)
        if self._ours is BODY and self._left == 0:
            super().send(EndOfMessage())


def fresh() -> tuple[HTTPConnection, HTTPConnection]:
    client, server = Prompt(Role.CLIENT, LIMITS), Prompt(Role.SERVER, LIMITS)
    client.tick(0.0)
    server.tick(0.0)
    return client, server


def asked(*fields: tuple[str, str], method: str = "GET") -> tuple[Any, Any]:
    """Return a pair with a request in work that may be answered in any way."""
    client, server = fresh()
    client.send(Request(method, "/", Headers([("Host", "a"), *fields])))
    for piece in client.data_to_send():
        server.receive(piece)
    return client, server


def normalise(happened: list[Any]) -> list[Any]:
    # Where the length says the end, nobody sends it. The tests of vectors compare ends exactly.
    return joined([e for e in happened if e != EndOfMessage()])


def subject(make: Any) -> Subject:
    return Subject(
        make,
        events,
        wire,
        normalise=normalise,
        automatic=lambda event: isinstance(event, Response) and event.status == 100,
        react=reply,
        buffered=lambda layer: layer.buffered,
        # Reading pauses at ``pipeline``; who feeds on is stopped ``read_ahead`` later.
        bound=2 * (LIMITS.pipeline + LIMITS.read_ahead),
        # All steps together stay below the time for a head.
        max_tick=0.5,
        steps=15,
    )


TestBetweenExchanges = laws_for(subject(fresh))
TestWithARequestInWork = laws_for(
    subject(lambda: asked(("Connection", "upgrade"), ("Upgrade", "websocket")))
)
TestWithABodyToCome = laws_for(
    subject(
        lambda: asked(("Expect", "100-continue"), ("Transfer-Encoding", "chunked"), method="POST")
    )
)
