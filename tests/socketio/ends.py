"""A client's and a server's end in any state, and what it means to fail and to refuse."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect, Event

__all__ = ["P0", "P1", "client", "failure", "refused", "server"]

P0 = '{"_placeholder":true,"num":0}'
P1 = '{"_placeholder":true,"num":1}'


def server(*namespaces: str, limits: Limits = DEFAULT) -> SocketIOConnection:
    """Return a server's end whose client has joined these namespaces."""
    layer = SocketIOConnection(Role.SERVER, limits)
    for namespace in namespaces:
        layer.receive(f"0{namespace},")
        layer.send(Connect(namespace, {"sid": "x"}))
    layer.data_to_send()
    return layer


def client(*namespaces: str, limits: Limits = DEFAULT) -> SocketIOConnection:
    """Return a client's end that has joined these namespaces."""
    layer = SocketIOConnection(Role.CLIENT, limits)
    for namespace in namespaces:
        layer.send(Connect(namespace))
        layer.receive(f'0{namespace},{{"sid":"x"}}')
    layer.data_to_send()
    return layer


def failure(layer: SocketIOConnection, *units: str | bytes) -> str:
    """Feed units of which the last is a mistake; return the rule."""
    *before, last = units
    for unit in before:
        assert layer.receive(unit) == []
    events = layer.receive(last)
    assert [type(e) for e in events] == [Failed], events
    assert layer.closing is Closing.NOW
    assert layer.receive(last) == []
    assert layer.receive_eof() == []
    assert layer.deadline is None
    assert layer.namespaces == ()
    with pytest.raises(LocalProtocolError):
        layer.send(Event("/", ["x"]))
    (failed,) = events
    assert isinstance(failed, Failed)
    assert (failed.layer, failed.code) == ("socketio", 0)
    return failed.rule


def refused(layer: SocketIOConnection, event: Any) -> None:
    """Check that the event is refused and leaves nothing behind."""
    before = (layer.namespaces, dict(layer._states), layer.closing)
    with pytest.raises(LocalProtocolError):
        layer.send(event)
    assert layer.data_to_send() == []
    assert (layer.namespaces, dict(layer._states), layer.closing) == before
