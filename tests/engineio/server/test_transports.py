"""What is particular to polling and to WebSocket; what both do is in ``test_transport.py``."""

from __future__ import annotations

import pytest

from rawsio.engineio.packets import Message
from rawsio.engineio.server.transports import BUILT_IN
from rawsio.errors import LocalProtocolError

from .links import Bench


def test_the_names_of_the_built_in_transports_are_those_of_requests() -> None:
    assert [(name, kind.name) for name, kind in BUILT_IN.items()] == [
        ("polling", "polling"),
        ("websocket", "websocket"),
    ]


@pytest.mark.rule("engineio-v4-payload-separator")
def test_text_with_the_separator_of_payloads_travels_by_websocket_only() -> None:
    b = Bench()
    polling, (websocket, link) = b.open(), b.open_websocket()
    with pytest.raises(LocalProtocolError, match="1E"):
        polling.send(Message("a\x1eb"))
    assert polling.pending == 0
    link.drain()
    websocket.send(Message("a\x1eb"))
    assert link.drain() == ["4a\x1eb"]


def test_a_packet_that_the_websocket_refuses_is_dropped_alone() -> None:
    b = Bench()
    session, link = b.open_websocket()
    link.drain()

    def send(packet: str | bytes) -> None:
        if packet == "4no":
            raise LocalProtocolError("a text with a lone surrogate cannot be sent")
        link.packets.append(packet)

    link.send = send  # type: ignore[method-assign]
    b.send(session, "no", "yes")
    assert link.drain() == ["4yes"]


def test_a_second_post_is_refused_while_the_answer_to_the_first_is_held_back() -> None:
    b = Bench()
    session = b.open()
    session.transport.pause()
    first = b.post(session, "4one")
    assert b.post(session, "4two").status == 400
    assert first.answer() == (200, b"ok")
    assert not b.server.sessions
