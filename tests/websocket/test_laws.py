"""The laws of design on a WebSocket: plain, in fragments, and with every kind of compression."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.events import Message, Pong
from rawsio.websocket.frames import BINARY, encode_frame, text_frame
from tests.laws import Subject, laws_for, variant

from .strategies import events, wire

GENEROUS = Limits(message=100_000)
TIGHT = Limits(message=200, fragments=3, pongs=2, turn_frames=2, turn_bytes=40)


class OneMessage:
    """A message that was encoded once: what ``rawsio.prepared.Prepared`` is to this layer."""

    def __init__(self, data: str | bytes, *, compress: bool = True) -> None:
        self.data = data
        self.compress = compress

    def packets(self) -> tuple[str | bytes, ...]:
        return (self.data,)

    @cached_property
    def frame(self) -> bytes:
        if isinstance(self.data, str):
            return text_frame(self.data.encode())
        return encode_frame(BINARY, self.data)


def prepare(event: Any) -> OneMessage | None:
    if not isinstance(event, Message):
        return None
    return OneMessage(event.data, compress=event.compress)


def subject(limits: Limits, deflate: Agreement | None = None, **options: Any) -> Subject:
    def make() -> tuple[WebSocketConnection, WebSocketConnection]:
        client, server = (
            WebSocketConnection(
                role, limits, deflate=deflate, random_bytes=lambda n: b"\x5a" * n, **options
            )
            for role in (Role.CLIENT, Role.SERVER)
        )
        return client, server

    return Subject(
        make,
        events,
        wire,
        automatic=lambda event: isinstance(event, Pong),
        buffered=lambda layer: layer.buffered,
        # A compressed frame and what it inflates to, or a message and a header.
        bound=2 * limits.message + limits.message // 16 + 64 + 131,
        prepare=prepare,
        max_tick=0.4,
        steps=8,
    )


TestPlainLaws = laws_for(subject(GENEROUS))
TestFreshDeflateLaws = variant(
    subject(GENEROUS, Agreement(True, True, 9, 8, threshold=10), fragment=100)
)
TestDeflateLaws = variant(subject(GENEROUS, Agreement(threshold=0)))
TestTightLaws = variant(subject(TIGHT, Agreement(threshold=0)), pairs=False)
