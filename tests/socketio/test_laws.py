"""The laws of design, on the Socket.IO layer."""

from __future__ import annotations

from typing import Any

from rawsio.layer import Role
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect
from rawsio.socketio.values import Unsendable
from rawsio.stack import Prepared, prepare
from tests.laws import Subject, laws_for

from .strategies import LIMITS, events, wire


def make() -> tuple[SocketIOConnection, SocketIOConnection]:
    """Return a client and a server that have joined ``/``; other namespaces are up to the test."""
    client = SocketIOConnection(Role.CLIENT, LIMITS)
    server = SocketIOConnection(Role.SERVER, LIMITS)
    client.send(Connect("/", {"token": 1}))
    for unit in client.data_to_send():
        server.receive(unit)
    server.send(Connect("/", {"sid": "x"}))
    for unit in server.data_to_send():
        client.receive(unit)
    return client, server


def react(layer: SocketIOConnection, event: Any) -> None:
    """Answer some requests to join, so that input laws see joined and unanswered namespaces."""
    if type(event) is Connect and event.namespace != "/b" and layer.role is Role.SERVER:
        layer.send(Connect(event.namespace, {"sid": "y"}))


def flatten(units: list[Any]) -> list[Any]:
    return [m for u in units for m in (u.messages if isinstance(u, Prepared) else [u])]


def try_prepare(event: Any) -> Prepared | None:
    try:
        return prepare(event)
    except Unsendable:
        return None


TestLaws = laws_for(
    Subject(
        make=make,
        events=events,
        wire=wire,
        bytewise=False,
        react=react,
        buffered=lambda layer: layer.buffered,
        bound=LIMITS.attachment_bytes,
        flatten=flatten,
        prepare=try_prepare,
        max_tick=0.5,
        steps=15,
    )
)
