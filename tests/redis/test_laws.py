"""The laws of design, on the RESP layer: version 2, and version 3 after HELLO."""

from __future__ import annotations

from typing import Any

from rawsio.layer import Role
from rawsio.redis import Command, Completed, Reply, RESPConnection
from tests.laws import Subject, laws_for, variant

from .strategies import LIMITS, events, only_in_3, wire


def make() -> tuple[RESPConnection, RESPConnection]:
    return RESPConnection(Role.CLIENT, LIMITS), RESPConnection(Role.SERVER, LIMITS)


def make_asking() -> tuple[RESPConnection, RESPConnection]:
    """Return a pair in which the client has sent what replies can answer."""
    client, server = make()
    for args in ([b"GET", b"x"], [b"SUBSCRIBE", b"a", b"b"], [b"PING"], [b"UNSUBSCRIBE"]):
        client.send(Command(args))
    for unit in client.data_to_send():
        server.receive(unit)
    return client, server


def make_version_3() -> tuple[RESPConnection, RESPConnection]:
    client, server = make()
    client.send(Command([b"HELLO", b"3"]))
    for unit in client.data_to_send():
        server.receive(unit)
    server.send(Reply({b"proto": 3}))
    for unit in server.data_to_send():
        client.receive(unit)
    return client, server


def subject(make: Any, events: Any = events) -> Subject:
    return Subject(
        make=make,
        events=events,
        wire=wire,
        automatic=lambda event: isinstance(event, Completed),
        buffered=lambda layer: layer.buffered,
        bound=LIMITS.resp_value + LIMITS.resp_line + 16,
        steps=15,
    )


def stays_in_3(command: Command) -> bool:
    return command.args[0] != b"RESET" and command.args != [b"HELLO", b"2"]


def events_of_version_3(role: Role) -> Any:
    if role is Role.CLIENT:
        return events(role).filter(stays_in_3)
    return events(role) | only_in_3.map(Reply)


TestVersion2 = laws_for(subject(make))
TestVersion2Asking = variant(subject(make_asking))
TestVersion3 = variant(subject(make_version_3, events_of_version_3))
