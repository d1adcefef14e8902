"""A session that is over: nothing is sent, and nothing goes wrong."""

from __future__ import annotations

import pytest

from rawsio.app.plain_route import ENDED
from rawsio.socketio.packets import Event
from tests.app.world import World


def test_it_takes_whatever_a_route_takes_and_stays() -> None:
    ENDED.send(Event("/", ["late"]))
    ENDED.acknowledge("/", [], 1)
    ENDED.welcome("/", {})
    for told in (ENDED.settle, ENDED.retire, ENDED.clog, ENDED.flow):
        told()
    assert ENDED.give_way(ENDED) is ENDED


@pytest.mark.parametrize("how", ["emit", "join", "disconnect"])
def test_a_socket_that_is_over_says_nothing(how: str) -> None:
    client = World().client()
    client.take()
    socket = client.socket()
    client.cut()
    assert client.peer.route is ENDED
    getattr(socket, how)(*["x"][: how != "disconnect"])
    assert client.take() == []
