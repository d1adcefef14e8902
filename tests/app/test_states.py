"""The states of a socket, as users see them."""

from __future__ import annotations

from rawsio import Server
from rawsio.app.states import SocketState
from rawsio.testing import TestKit


def test_a_socket_shows_its_state_by_the_name_of_it() -> None:
    io = Server()
    shown: list[str] = []
    io.use(lambda socket: shown.append(repr(socket)))
    with TestKit(io) as kit:
        client = kit.connect()
        (socket,) = io.sockets.values()
        shown.append(repr(socket))
        client.disconnect()
        kit.run()
        shown.append(repr(socket))
    states = [SocketState.OPENING, SocketState.OPEN, SocketState.GONE]
    assert [text.rpartition(", ")[2] for text in shown] == [f"{state.value}>" for state in states]
