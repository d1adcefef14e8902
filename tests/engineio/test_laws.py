"""The laws of every layer, on the Engine.IO connection (both protocols) and on the probe."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message, Opened, Probed, Upgraded
from rawsio.engineio.probe import Probe
from rawsio.layer import Role
from tests.laws import Subject, laws_for

from . import strategies as own


class Ready:
    """A stand-in for ``Prepared``: one message, encoded once."""

    def __init__(self, data: str | bytes) -> None:
        self.messages = (data,)

    def packets(self, revision: int = 4) -> tuple[str | bytes, ...]:
        (data,) = self.messages
        if isinstance(data, str):
            return ("4" + data,)
        return (data if revision == 4 else b"\x04" + data,)


def _prepare(event: Any) -> Ready | None:
    return Ready(event.data) if isinstance(event, Message) else None


def _flattener(revision: int) -> Any:
    def flatten(units: list[Any]) -> list[Any]:
        flat: list[Any] = []
        for unit in units:
            flat += unit.packets(revision) if isinstance(unit, Ready) else [unit]
        return flat

    return flatten


def _closed() -> tuple[EngineIOConnection, EngineIOConnection]:
    return EngineIOConnection(Role.CLIENT), EngineIOConnection(Role.SERVER)


def _open() -> tuple[EngineIOConnection, EngineIOConnection]:
    client = EngineIOConnection(Role.CLIENT, revision=3)
    server = EngineIOConnection(Role.SERVER, revision=3)
    server.send(Opened("kS9", (), 2.0, 60.0, 10**6))
    for packet in server.data_to_send():
        client.receive(packet)
    return client, server


def _subject(make: Any, revision: int) -> Subject:
    return Subject(
        make=make,
        events=lambda _role: own.EVENTS,
        wire=lambda _role: own.PACKETS[revision],
        steps=10,
        bytewise=False,
        flatten=_flattener(revision),
        prepare=_prepare,
    )


TestLaws = laws_for(_subject(_closed, 4))
TestLawsOfProtocol3 = laws_for(_subject(_open, 3))

_PROBE_EVENTS = st.sampled_from([Upgraded(), Probed()])
_PROBE_PACKETS = st.lists(
    st.sampled_from(["2probe", "3probe", "5", "2", "6", "", b"2probe", b"5"]), max_size=5
)

TestLawsOfTheProbe = laws_for(
    Subject(
        make=lambda: (Probe(Role.CLIENT, timeout=60.0), Probe(Role.SERVER, timeout=60.0)),
        # No packet tells that a probe was given up: the peer sees its transport close.
        events=lambda _role: _PROBE_EVENTS,
        wire=lambda _role: _PROBE_PACKETS,
        steps=6,
        bytewise=False,
        automatic=lambda event: isinstance(event, Probed),
    )
)
