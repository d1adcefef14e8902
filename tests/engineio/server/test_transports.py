"""What is particular to polling and to WebSocket; what both do is in ``test_transport.py``."""

from __future__ import annotations

import pytest

from rawsio.engineio.packets import Message
from rawsio.engineio.server.session import Session
from rawsio.engineio.server.transports import BUILT_IN
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits

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


class Reading:
    """The user of a session, in the middle of a long message for as long as a test says."""

    def __init__(self, session: Session) -> None:
        self.session, self.reading, self.heard, self.steps = session, True, 0, 0
        session.bind(self)

    def receive(self, data: str | bytes) -> None:
        self.heard += 1
        self.reading = len(data) < 100

    def go_on(self) -> None:
        self.steps += 1
        self.reading = True

    def moved(self) -> None:
        """Every transport will do."""

    go_on_alone = reroute = drained = moved
    held = incoming = connect_data = queued_bytes = 0

    def ended(self, reason: str, description: str | None = None) -> None:
        """The test is over."""


LONG = Limits(turn_bytes=1000)


def test_what_comes_behind_a_long_message_waits_for_the_connections_next_turn() -> None:
    b = Bench(limits=LONG)
    session, link = b.open_websocket()
    Reading(session)
    link.user.receive_packet("4short")
    assert "defer" not in link.told
    link.user.receive_packet("4" + "x" * 2000)
    assert link.told.count("defer") == 1
    assert not session.reading


def test_a_post_with_a_long_message_is_answered_when_it_has_been_read() -> None:
    b = Bench(limits=LONG)
    session = b.open()
    user = Reading(session)
    post = b.post(session, "4" + "x" * 2000 + "\x1e4behind")
    assert (user.heard, post.responses) == (1, [])
    assert post.told.count("defer") == 1
    user.go_on()
    post.user.go_on(post)
    assert user.heard == 2
    assert post.answer() == (200, b"ok")


def test_a_post_whose_packets_wait_is_not_answered_when_others_may_post_again() -> None:
    b = Bench(limits=LONG)
    session = b.open()
    Reading(session)
    session.transport.pause()
    post = b.post(session, "4" + "x" * 2000 + "\x1e4behind")
    session.transport.resume()
    assert post.responses == []
