"""What a session gets that has just opened, seen from the application."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Server
from rawsio.routes import Direct, Layered
from rawsio.testing import TestKit
from tests.bench.counts import NobodyLooks


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("route", [Direct, Layered])
def test_a_session_gets_a_port_and_a_route(transport: str, route: type) -> None:
    io = Server(trace=NobodyLooks() if route is Layered else None)
    sockets: list[Any] = []
    io.on("connection", sockets.append)
    with TestKit(io) as kit:
        kit.connect(transports=[transport])
        (socket,) = sockets
        assert socket.conn.transport == transport
        assert socket.conn.session.user is socket._peer
        assert type(socket._peer.route) is route


def test_handlers_of_the_first_event_may_end_the_session() -> None:
    # A client of Socket.IO v2 is in the main namespace before its session has been given back.
    io = Server(allow_eio3=True)
    reasons: list[str] = []
    io.on("connection", lambda socket: socket.conn.close())
    io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    with TestKit(io) as kit:
        wire = kit.dial()
        wire.send(b"GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        kit.run()
        kit.advance(100.0)
        assert reasons == ["forced close"]
        assert kit.io.stats()["sessions"] == 0
