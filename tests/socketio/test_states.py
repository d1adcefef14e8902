"""The tables of what may be sent and received, each cell against the connection."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rawsio.layer import Role
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event
from rawsio.socketio.states import DROPPED, RECEIVED, SENT, State

from .ends import client, failure, refused, server

KINDS = (Connect, ConnectError, Event, Ack, Disconnect)


class TestTables:
    """Each role, state and type of packet, against the tables, without exception."""

    PACKETS = {
        Connect: Connect("/n", {"sid": "y"}),
        ConnectError: ConnectError("/n", "no"),
        Event: Event("/n", ["x"]),
        Ack: Ack("/n", [], 1),
        Disconnect: Disconnect("/n"),
    }
    UNITS = {
        Connect: '0/n,{"sid":"y"}',
        ConnectError: '4/n,"no"',
        Event: '2/n,["x"]',
        Ack: "3/n,1[]",
        Disconnect: "1/n,",
    }

    def put(self, role: Role, state: State) -> SocketIOConnection:
        layer = client("/") if role is Role.CLIENT else server("/")
        steps: dict[Any, list[Any]] = {
            (Role.CLIENT, State.CONNECTING): [Connect("/n")],
            (Role.CLIENT, State.JOINED): [Connect("/n"), "0/n,{}"],
            (Role.CLIENT, State.LEFT): [Connect("/n"), "0/n,{}", Disconnect("/n")],
            (Role.CLIENT, State.REJOINING): [
                Connect("/n"),
                "0/n,{}",
                Disconnect("/n"),
                Connect("/n"),
            ],
            (Role.SERVER, State.CONNECTING): ["0/n,"],
            (Role.SERVER, State.JOINED): ["0/n,", Connect("/n")],
            (Role.SERVER, State.LEFT): ["0/n,", Connect("/n"), Disconnect("/n")],
        }
        for step in steps.get((role, state), []):
            if isinstance(step, str):
                layer.receive(step)
            else:
                layer.send(step)
        layer.data_to_send()
        assert layer._states.get("/n", State.ABSENT) is state
        return layer

    CASES = [
        (role, state, kind)
        for role, state, kind in itertools.product(Role, State, KINDS)
        if state in SENT[role]
    ]

    def test_every_state_that_a_role_can_reach_has_a_row_in_every_table(self) -> None:
        for role in Role:
            assert set(SENT[role]) == set(RECEIVED[role]) == set(DROPPED[role])
            assert set(State) - set(SENT[role]) <= {State.REJOINING}
            reached = {
                a for t in (SENT, RECEIVED, DROPPED) for r in t[role].values() for a in r.values()
            }
            assert reached <= set(SENT[role])

    @pytest.mark.rule("socketio-v5-exchange-joined")
    @pytest.mark.parametrize(("role", "state", "kind"), CASES)
    def test_what_may_be_sent(self, role: Role, state: State, kind: Any) -> None:
        layer = self.put(role, state)
        after = SENT[role][state].get(kind)
        if after is None:
            refused(layer, self.PACKETS[kind])
            return
        layer.send(self.PACKETS[kind])
        assert len(layer.data_to_send()) == 1
        assert layer._states.get("/n", State.ABSENT) is after

    @pytest.mark.rule("socketio-v5-exchange-joined", "socketio-v5-exchange-dropped")
    @pytest.mark.parametrize(("role", "state", "kind"), CASES)
    def test_what_may_be_received(self, role: Role, state: State, kind: Any) -> None:
        layer = self.put(role, state)
        assert not (set(RECEIVED[role][state]) & set(DROPPED[role][state]))
        if kind in RECEIVED[role][state]:
            assert layer.receive(self.UNITS[kind]) == [self.PACKETS[kind]]
            assert layer._states.get("/n", State.ABSENT) is RECEIVED[role][state][kind]
        elif kind in DROPPED[role][state]:
            assert layer.receive(self.UNITS[kind]) == []
            assert layer._states.get("/n", State.ABSENT) is DROPPED[role][state][kind]
        else:
            failure(layer, self.UNITS[kind])

    def test_events_and_acknowledgements_change_no_state(self) -> None:
        # receive and send rely on it, where they look only for a joined namespace.
        for table, role, kind in itertools.product((SENT, RECEIVED, DROPPED), Role, (Event, Ack)):
            for state, row in table[role].items():
                assert row.get(kind, state) is state
        for role, kind in itertools.product(Role, (Event, Ack)):
            assert kind in SENT[role][State.JOINED]
            assert kind in RECEIVED[role][State.JOINED]
