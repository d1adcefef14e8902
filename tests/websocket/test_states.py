"""The tables: every state is in them, and what they allow is what the connection does."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Failed, Role
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message, Ping, Pong
from rawsio.websocket.frames import CLOSE, PING, PONG, TEXT, encode_close
from rawsio.websocket.states import RECEIVING, SENDING, State

from .feeding import frame

EVENTS = {Message: Message("a"), Ping: Ping(b"a"), Pong: Pong(b"a"), Closed: Closed(1000, "")}
FRAMES = {
    Message: (TEXT, b"a"),
    Ping: (PING, b"a"),
    Pong: (PONG, b"a"),
    Closed: (CLOSE, encode_close(1000)),
}


def reach(role: Role, state: State) -> WebSocketConnection:
    """Return a connection in that state."""
    layer = WebSocketConnection(role)
    if state is State.CLOSING:
        layer.send(Closed(1000))
    elif state is State.ENDING:
        layer.receive(frame(role, CLOSE))
    elif state is State.ENDED:
        layer.receive_eof()
    layer.tick(1.0)
    layer.data_to_send()
    return layer


def observed(layer: WebSocketConnection) -> State:
    """Return the state that behaviour shows."""
    for state in (State.OPEN, State.CLOSING, State.ENDING, State.ENDED):
        if layer._state is state:
            return state
    raise AssertionError


STATES = [
    (role, state)
    for role in Role
    for state in State
    if (role, state) != (Role.SERVER, State.ENDING)  # a server is never there
]


def test_every_state_has_its_rows() -> None:
    for table in (SENDING, RECEIVING):
        for role in Role:
            assert set(table[role]) == set(State)


@pytest.mark.rule("6455-5.5.1-no-data-after-close", "6455-6.1-open")
@pytest.mark.parametrize(("role", "state"), STATES)
@pytest.mark.parametrize("kind", list(EVENTS))
def test_what_the_table_allows_may_be_sent(role: Role, state: State, kind: type) -> None:
    layer = reach(role, state)
    event: Any = EVENTS[kind]
    if kind in SENDING[role][state]:
        layer.send(event)
        assert layer.data_to_send()
        assert observed(layer) is SENDING[role][state][kind]
    else:
        with pytest.raises(LocalProtocolError):
            layer.send(event)
        assert layer.data_to_send() == []
        assert observed(layer) is state


@pytest.mark.rule("6455-1.4-data-after-close")
@pytest.mark.parametrize(("role", "state"), STATES)
@pytest.mark.parametrize("kind", list(EVENTS))
def test_what_the_table_allows_may_be_received(role: Role, state: State, kind: type) -> None:
    layer = reach(role, state)
    events = layer.receive(frame(role, *FRAMES[kind]))
    assert not any(isinstance(event, Failed) for event in events)
    if kind in RECEIVING[role][state]:
        after = RECEIVING[role][state][kind]
        assert observed(layer) is after
        assert events == ([] if after is State.ENDING else [EVENTS[kind]])
    else:
        assert events == []
        assert layer.data_to_send() == []
        assert observed(layer) is state


def test_nothing_else_may_be_sent() -> None:
    event: Any = Failed("websocket", "6455-5.1-mask", 1002, "")
    with pytest.raises(LocalProtocolError):
        WebSocketConnection(Role.CLIENT).send(event)
