"""Each cell of the tables, tried on the objects that they rule."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message, Opened, Probed, Upgraded, encode_open
from rawsio.engineio.probe import PROBE, Probe, ProbeState
from rawsio.engineio.states import (
    CONNECTION,
    STAGES,
    SessionState,
    Stage,
)
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Failed, Role

OPENED = Opened("a", (), 25.0, 20.0, 1)
EVENTS = [OPENED, Message("x"), Probed(), Upgraded(), Closed(0, "bye"), Failed("x", "x", 0, "x")]


def _connection(role: Role, state: SessionState) -> EngineIOConnection:
    connection = EngineIOConnection(role)
    if state is SessionState.OPEN:
        if role is Role.SERVER:
            connection.send(OPENED)
        else:
            connection.receive(encode_open(OPENED))
    elif state is SessionState.CLOSED:
        connection.receive_eof()
    assert connection.state is state
    return connection


@pytest.mark.parametrize(
    ("role", "state", "event"), list(product(Role, SessionState, EVENTS)), ids=repr
)
def test_each_cell_of_the_connection_table(role: Role, state: SessionState, event: Any) -> None:
    connection = _connection(role, state)
    after = CONNECTION[role][state].get(type(event))
    if after is None:
        with pytest.raises(LocalProtocolError):
            connection.send(event)
        assert connection.state is state
    else:
        connection.send(event)
        assert connection.state is after


def _probe(role: Role, state: ProbeState) -> Probe:
    probe = Probe(role)
    packets = {
        ProbeState.PROBING: [],
        ProbeState.PROBED: ["2probe" if role is Role.SERVER else "3probe"],
        ProbeState.UPGRADED: ["2probe", "5"] if role is Role.SERVER else ["3probe"],
        ProbeState.CLOSED: ["junk"],
    }[state]
    for packet in packets:
        probe.receive(packet)
    if role is Role.CLIENT and state is ProbeState.UPGRADED:
        probe.send(Upgraded())
    assert probe.state is state
    return probe


@pytest.mark.parametrize(
    ("role", "state", "event"), list(product(Role, ProbeState, EVENTS)), ids=repr
)
def test_each_cell_of_the_probe_table(role: Role, state: ProbeState, event: Any) -> None:
    probe = _probe(role, state)
    after = PROBE[role][state].get(type(event))
    if after is None:
        with pytest.raises(LocalProtocolError):
            probe.send(event)
        assert probe.state is state
    else:
        probe.send(event)
        assert probe.state is after


def test_every_transport_can_end_and_the_end_is_final() -> None:
    assert set(STAGES) == set(Stage)
    for stage, after in STAGES.items():
        assert stage is Stage.OVER or Stage.OVER in after
    assert not STAGES[Stage.OVER]
