"""Feeds bytes to a connection in every way that TCP might cut them, and compares.

:func:`outcome` is what the tests of wire vectors use: it feeds the same wire whole, split in two
at every byte, and byte by byte, demands equal results, and returns the one result.
"""

from __future__ import annotations

from typing import Any

from rawsio.errors import LocalProtocolError
from rawsio.explain import explain_http
from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response, answer
from rawsio.http.states import BODY
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits
from tests.explain.agreement import agrees

__all__ = ["Forgetful", "Outcome", "outcome", "run", "reply", "joined", "client_that_asked", "HOST"]

HOST = b"Host: a\r\n"


class Outcome:
    """What came of a wire: events with bodies joined, output, closing, what is left over."""

    def __init__(self, events: list[Any], output: bytes, layer: HTTPConnection) -> None:
        self.events = joined(events)
        self.output = output
        self.closing = layer.closing
        self.rest = layer.take_rest() if layer._ours.value == "switched" else b""

    @property
    def failed(self) -> tuple[str, int] | None:
        last = self.events[-1] if self.events else None
        return (last.rule, last.code) if isinstance(last, Failed) else None

    @property
    def requests(self) -> list[Request]:
        return [e for e in self.events if isinstance(e, Request)]

    @property
    def bodies(self) -> list[bytes]:
        return [e.data for e in self.events if isinstance(e, Body)]

    @property
    def complete(self) -> int:
        return sum(isinstance(e, EndOfMessage) for e in self.events)

    def comparable(self) -> Any:
        plain = [(e.rule, e.code) if isinstance(e, Failed) else e for e in self.events]
        return plain, self.output, self.closing, self.rest


def joined(events: list[Any]) -> list[Any]:
    """Join adjacent bodies and drop empty ones: where a body is cut means nothing."""
    result: list[Any] = []
    for event in events:
        if isinstance(event, Body):
            if not event.data:
                continue
            if result and isinstance(result[-1], Body):
                result[-1] = Body(result[-1].data + event.data)
                continue
        result.append(event)
    return result


def reply(layer: HTTPConnection, event: Any) -> None:
    """Answer a complete request; agree to any upgrade, refuse CONNECT."""
    if layer.role is Role.CLIENT or not isinstance(event, EndOfMessage):
        return
    asked = layer._asked
    options = [("Connection", "keep-alive" if layer.keep_alive else "close")]
    try:
        if asked.offered:
            switch = [("Connection", "upgrade"), ("Upgrade", asked.offered[0])]
            layer.send(Response(101, Headers(switch)))
            return
        body = b"" if asked.method == "HEAD" else b"ok"
        layer.send(answer(405 if asked.method == "CONNECT" else 200, body, headers=options))
        if body:
            layer.send(Body(body))
        if layer._ours is BODY:  # some layers of tests end a message by themselves
            layer.send(EndOfMessage())
    except LocalProtocolError:
        # The wire broke a rule behind this request, in the same piece: it has its answer.
        if layer.closing is Closing.OPEN:
            raise


def client_that_asked(
    limits: Limits = DEFAULT, method: str = "GET", *fields: tuple[str, str]
) -> HTTPConnection:
    """Return a client whose request is out."""
    client = HTTPConnection(Role.CLIENT, limits)
    client.tick(0.0)
    target = "a:1" if method == "CONNECT" else "/"
    client.send(Request(method, target, Headers([("Host", "a"), *fields])))
    client.send(EndOfMessage())
    client.data_to_send()
    return client


def run(layer: HTTPConnection, pieces: list[bytes], *, eof: bool = False) -> Outcome:
    """Feed pieces, answering requests; tick when the layer asks."""
    events: list[Any] = []

    def take(new: list[Any]) -> None:
        while True:
            events.extend(new)
            for event in new:
                reply(layer, event)
            if layer.deadline != 0.0:
                return
            new = layer.tick(0.0)

    for piece in pieces:
        take(layer.receive(piece))
    if eof:
        take(layer.receive_eof())
    return Outcome(events, b"".join(layer.data_to_send()), layer)


def outcome(
    wire: bytes,
    *,
    make: Any = None,
    limits: Limits = DEFAULT,
    eof: bool = False,
    splits: int = 400,
) -> Outcome:
    """Feed ``wire`` in every way, demand equal results, and return the result.

    ``make`` returns the layer (a server unless given); with more bytes than ``splits`` only that
    many places of a split in two are tried, evenly spread.
    """

    def fresh() -> HTTPConnection:
        if make is not None:
            return make()
        server = HTTPConnection(Role.SERVER, limits)
        server.tick(0.0)
        return server

    whole = run(fresh(), [wire], eof=eof)
    bytewise = run(fresh(), [wire[i : i + 1] for i in range(len(wire))], eof=eof)
    assert bytewise.comparable() == whole.comparable()
    step = max(1, len(wire) // splits)
    for cut in range(1, len(wire), step):
        parts = run(fresh(), [wire[:cut], wire[cut:]], eof=eof)
        assert parts.comparable() == whole.comparable(), f"split at {cut}"
    ends = [e for e in whole.events if isinstance(e, (Closed, Failed))]
    assert ends in ([], whole.events[-1:])
    if make is None:
        _explained(wire, whole, limits, eof=eof)
        if not eof and len(wire) < 1000:
            _said_again(wire, limits, max(1, len(wire) // 20))
    return whole


class Forgetful(HTTPConnection):
    """Reads every head as if it had never come before, and sends every answer event by event."""

    __slots__ = ()

    def receive(self, data: bytes) -> list[Any]:
        self.known = ()
        return super().receive(data)

    def answer(self, response: Response, body: bytes, date: str) -> bool | None:
        return None


def _said_again(wire: bytes, limits: Limits, step: int) -> None:
    """Check that a wire that comes twice, cut anywhere, is read as by a server that forgets."""
    for cut in (0, *range(1, len(wire), step)):
        pieces = [wire, wire, wire[:cut], wire[cut:]]
        ways = []
        for kind in (HTTPConnection, Forgetful):
            server = kind(Role.SERVER, limits)
            server.tick(0.0)
            ways.append(run(server, pieces).comparable())
        assert ways[0] == ways[1], f"said again, split at {cut}"


def _explained(wire: bytes, whole: Outcome, limits: Limits, *, eof: bool) -> None:
    """Check that the explanation of the wire has the same verdict, unless HTTP was left."""
    offers = any("upgrade" in request.headers for request in whole.requests)
    if not offers and not any(request.method == "CONNECT" for request in whole.requests):
        tree = explain_http(wire, ended=eof, limits=limits)
        agrees(tree, whole.failed[0] if whole.failed else None)
