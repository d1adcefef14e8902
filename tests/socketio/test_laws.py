"""The laws of design, on the Socket.IO layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.prepared import Prepared, prepare
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect
from rawsio.socketio.values import Unsendable
from tests.laws import Subject, laws_for, variant

from .strategies import LIMITS, events, wire


def make(limits: Limits = LIMITS) -> tuple[SocketIOConnection, SocketIOConnection]:
    """Return a client and a server that have joined ``/``; other namespaces are up to the test."""
    client = SocketIOConnection(Role.CLIENT, limits)
    server = SocketIOConnection(Role.SERVER, limits)
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


SUBJECT = Subject(
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
TestLaws = laws_for(SUBJECT)

IN_STEPS = LIMITS.but(turn_bytes=32)
"""The beginning of a namespace is shorter than that, nearly everything else is read in steps."""


TestLawsInSteps = variant(replace(SUBJECT, make=lambda: make(IN_STEPS)))
