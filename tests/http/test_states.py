"""The table of states, against a connection in every state."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.http.connection import HTTPConnection
from rawsio.http.headers import Headers
from rawsio.http.messages import Body, EndOfMessage, Request, Response
from rawsio.http.states import TRANSITIONS, Interim, State, Switch
from rawsio.layer import Closed, Role

HOST = ("Host", "a")
CHUNKED = Headers([("Transfer-Encoding", "chunked")])
SWITCHING = [("Connection", "upgrade"), ("Upgrade", "x")]
EVENTS: dict[type, Any] = {
    Request: Request("POST", "/", Headers([HOST]).plus(*CHUNKED)),
    Response: Response(200, CHUNKED),
    Interim: Response(103, Headers()),
    Switch: Response(101, Headers(SWITCHING)),
    Body: Body(b"x"),
    EndOfMessage: EndOfMessage(),
    Closed: Closed(),
}


def connection(role: Role, state: State) -> HTTPConnection:
    """Return a connection in the state, by way of legal events."""
    layer = HTTPConnection(role)
    asking = EVENTS[Request]
    if role is Role.SERVER and state is not State.IDLE:
        unfinished = state in (State.DONE, State.BODY)
        layer.receive(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
            + (b"Content-Length: 1\r\n\r\n" if unfinished else b"\r\n")
        )
    way: dict[tuple[Role, State], list[Any]] = {
        (Role.CLIENT, State.BODY): [asking],
        (Role.CLIENT, State.DONE): [asking, EndOfMessage()],
        (Role.SERVER, State.BODY): [EVENTS[Response]],
        (Role.SERVER, State.DONE): [EVENTS[Response], EndOfMessage()],
        (Role.SERVER, State.SWITCHED): [EVENTS[Switch]],
        (Role.CLIENT, State.CLOSED): [Closed()],
        (Role.SERVER, State.CLOSED): [Closed()],
    }
    if (role, state) == (Role.CLIENT, State.SWITCHED):
        layer.send(Request("GET", "/", Headers([HOST, *SWITCHING])))
        layer.receive(b"HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n")
    for event in way.get((role, state), []):
        layer.send(event)
    assert layer._ours is state
    return layer


@pytest.mark.rule("9110-2.2-other-role")
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", list(EVENTS))
def test_what_is_in_the_table_is_legal_and_nothing_else(role: Role, kind: type) -> None:
    for state, row in TRANSITIONS[role].items():
        layer = connection(role, state)
        if kind in row:
            layer.send(EVENTS[kind])
            assert layer._ours is row[kind]
        else:
            with pytest.raises(LocalProtocolError):
                layer.send(EVENTS[kind])
            assert layer._ours is state


def test_every_state_has_a_row_in_each_role_that_can_be_in_it() -> None:
    assert set(TRANSITIONS[Role.SERVER]) == set(State)
    assert set(TRANSITIONS[Role.CLIENT]) == set(State) - {State.WAITING}
