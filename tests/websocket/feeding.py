"""Feeds a wire to a WebSocket whole, split at every byte, and byte by byte: results must agree."""

from __future__ import annotations

from typing import Any

from rawsio.explain import explain_websocket
from rawsio.layer import Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import CLOSE, Frame, decode_close, decode_frame, encode_frame
from tests.explain.agreement import agrees

__all__ = ["KEY", "Outcome", "close_sent", "feed", "frame", "frames", "work_off"]

KEY = bytes.fromhex("37fa213d")

_NOT_OF_BYTES = ("6455-7.1.5-eof", "6455-7.1.1-close-time")


class Outcome:
    """What came of a wire: events, the bytes that were answered, what the driver is to do."""

    def __init__(self, layer: WebSocketConnection, events: list[Any]) -> None:
        self.layer = layer
        self.events = events
        self.output = b"".join(layer.data_to_send())
        self.closing: Closing = layer.closing

    def facts(self) -> Any:
        return self.events, self.output, self.closing


def frame(role: Role, opcode: int, payload: bytes = b"", **bits: Any) -> bytes:
    """Return a frame as the peer of ``role`` sends it."""
    return encode_frame(opcode, payload, mask=KEY if role is Role.SERVER else None, **bits)


def _run(
    role: Role, pieces: list[bytes], limits: Limits, deflate: Agreement | None, *, eof: bool
) -> Outcome:
    layer = WebSocketConnection(
        role, limits, deflate=deflate, random_bytes=lambda count: KEY[:count]
    )
    events: list[Any] = []
    for piece in pieces:
        events += layer.receive(piece)
        events += work_off(layer)
    if eof:
        events += layer.receive_eof()
    return Outcome(layer, events)


def work_off(layer: WebSocketConnection) -> list[Any]:
    """Return what comes of the input that waits for its share, and of an end that is held back."""
    events: list[Any] = []
    while layer.deadline == 0.0:
        events += layer.tick(5.0)
    return events


def feed(
    role: Role,
    wire: bytes,
    *,
    limits: Limits = DEFAULT,
    deflate: Agreement | None = None,
    eof: bool = False,
) -> Outcome:
    """Return what comes of ``wire``, having shown that it does not depend on how it is cut."""
    whole = _run(role, [wire], limits, deflate, eof=eof)
    places = range(1, len(wire)) if len(wire) < 300 else range(1, 16)
    cuts = [[wire[:n], wire[n:]] for n in places]
    cuts.append([wire[n : n + 1] for n in range(len(wire))])
    for pieces in cuts:
        other = _run(role, pieces, limits, deflate, eof=eof)
        assert other.facts() == whole.facts(), [len(piece) for piece in pieces]
    last = whole.events[-1] if whole.events else None
    rule = last.rule if isinstance(last, Failed) and last.rule not in _NOT_OF_BYTES else None
    agrees(explain_websocket(wire, role.peer, deflate=deflate, limits=limits), rule)
    return whole


def frames(role: Role, wire: bytes) -> list[Frame]:
    """Return the frames in what ``role`` sent."""
    found = []
    at = 0
    while at < len(wire):
        decoded = decode_frame(wire, at, role is Role.CLIENT)
        assert decoded is not None, wire[at:]
        found.append(decoded[0])
        at = decoded[1]
    return found


def close_sent(role: Role, wire: bytes) -> int:
    """Return the code of the close frame that ``wire`` ends with; it must be the only one."""
    sent = frames(role, wire)
    assert [f.opcode for f in sent].count(CLOSE) == 1
    assert sent[-1].opcode == CLOSE
    return decode_close(sent[-1].payload)[0]
