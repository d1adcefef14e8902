"""The table of what may be sent, tried on both ends, and the lists of special commands."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Role
from rawsio.redis import Command, Completed, Push, Reply, RESPConnection
from rawsio.redis.states import (
    CONFIRMED,
    CONNECTION,
    MESSAGES,
    REFUSED,
    WHILE_SUBSCRIBED,
    RESPState,
)

EVENTS = [Command([b"PING"]), Reply("OK"), Push("message", [b"a"]), Completed("x"), Closed()]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", RESPState)
@pytest.mark.parametrize("role", Role)
def test_what_is_not_in_the_table_is_refused(role: Role, state: RESPState, event: Any) -> None:
    layer = RESPConnection(role)
    if role is Role.SERVER:
        layer.receive(b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n")
        layer.send(Push("subscribe", [b"a", 1]))
        layer.receive(b"*1\r\n$4\r\nPING\r\n")
    if state is RESPState.CLOSED:
        layer.send(Closed())
    after = CONNECTION[role][state].get(type(event))
    if after is None:
        with pytest.raises(LocalProtocolError, match=f"{role.value}.*{state.value}"):
            layer.send(event)
    else:
        layer.send(event)
        assert layer.state is after


def test_the_commands_with_confirmations_are_allowed_while_subscribed() -> None:
    assert set(CONFIRMED) <= WHILE_SUBSCRIBED
    assert set(CONFIRMED.values()) == {"subscribe", "psubscribe", "ssubscribe"}
    assert not REFUSED & WHILE_SUBSCRIBED
    assert not MESSAGES & set(CONFIRMED)
