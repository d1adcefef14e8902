"""``retries`` and ``ack_timeout``: events that are sent until they are acknowledged, in order."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import Client, ConnectionClosed, Limits, LocalProtocolError, Server
from rawsio.testing import TestKit


class Deaf:
    """A server that acknowledges nothing for a while: ``left`` events of those that come."""

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self.io = Server()
        self.seen: list[Any] = []
        self.io.on("note", self.note, ack=True)
        self.kit = TestKit(self.io)

    def note(self, _socket: Any, value: Any, ack: Any) -> None:
        self.seen.append(value)
        if self.left:
            self.left -= 1
        else:
            ack("noted", value)


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    made = Deaf()
    with made.kit:
        yield made


def test_one_is_on_its_way_at_a_time_and_what_is_not_acknowledged_comes_again(deaf: Deaf) -> None:
    socket = deaf.kit.connect(retries=3, ack_timeout=1.0)
    deaf.left = 2
    socket.emit("note", 1)
    reply = socket.emit_with_ack("note", 2)
    socket.emit("note", 3)
    deaf.kit.run()
    assert deaf.seen == [1]
    deaf.kit.advance(1.0)
    assert deaf.seen == [1, 1]
    deaf.kit.advance(1.0)
    assert deaf.seen == [1, 1, 1, 2, 3]
    assert reply.result() == ("noted", 2)


def test_after_the_last_try_it_is_given_up_and_the_next_has_its_turn(
    deaf: Deaf, caplog: pytest.LogCaptureFixture
) -> None:
    socket = deaf.kit.connect(retries=1, ack_timeout=1.0)
    deaf.left = 4
    socket.emit("note", "lost")
    reply = socket.emit_with_ack("note", "lost too")
    socket.emit("note", "heard")
    with caplog.at_level(logging.WARNING, "rawsio"):
        deaf.kit.advance(5.0)
    assert deaf.seen == ["lost", "lost", "lost too", "lost too", "heard"]
    assert isinstance(reply.exception(), TimeoutError)
    assert "the event 'note' was sent 2 times and not acknowledged" in caplog.text


def test_a_lost_connection_is_a_try_and_what_waits_goes_out_over_the_next(deaf: Deaf) -> None:
    socket = deaf.kit.connect(retries=2)
    deaf.left = 1
    socket.emit("note", 1)
    reply = socket.emit_with_ack("note", 2)
    deaf.kit.run()
    deaf.kit.cut(socket)
    deaf.kit.run()
    assert deaf.seen == [1]
    deaf.kit.advance(5.0)
    assert deaf.seen == [1, 1, 2]
    assert reply.result() == ("noted", 2)


def test_what_is_emitted_before_the_connection_waits_its_turn(deaf: Deaf) -> None:
    client = deaf.kit.client(retries=1)
    replies = [client.main.emit_with_ack("note", number) for number in range(3)]
    client.main.connect()
    deaf.kit.run()
    assert [reply.result() for reply in replies] == [("noted", number) for number in range(3)]
    assert deaf.seen == [0, 1, 2]


def test_what_is_cancelled_or_volatile_is_not_sent_again(deaf: Deaf) -> None:
    socket = deaf.kit.connect(retries=5, ack_timeout=1.0)
    deaf.left = 100
    first, second = (socket.emit_with_ack("note", number) for number in range(2))
    deaf.kit.run()
    second.cancel()
    first.cancel()
    socket.volatile.emit("note", "volatile")
    deaf.kit.advance(60.0)
    assert deaf.seen == [0, "volatile"]


def test_the_arguments_are_those_of_the_call_however_late_they_are_sent(deaf: Deaf) -> None:
    client = deaf.kit.client(retries=1)
    values = [1]
    client.main.emit("note", values)
    values.append(2)
    client.main.connect()
    deaf.kit.run()
    assert deaf.seen == [[1]]
    with pytest.raises(LocalProtocolError):
        client.main.emit("note", object())


def test_nothing_waits_after_the_end(deaf: Deaf) -> None:
    client = deaf.kit.client(retries=1, limits=Limits(kept_emits=3))
    replies = [client.main.emit_with_ack("note", number) for number in range(3)]
    with pytest.raises(ConnectionClosed, match="3 events wait to be acknowledged"):
        client.main.emit("note", 4)
    client.close()
    deaf.kit.run()
    for reply in replies:
        assert isinstance(reply.exception(), ConnectionClosed)
    hopeless = deaf.kit.client(retries=1, reconnection=False)
    reply = hopeless.main.emit_with_ack("note", 1)
    deaf.kit.refusing = True
    hopeless.main.connect()
    deaf.kit.run()
    assert "will not be made again" in str(reply.exception())


def test_what_a_new_connection_is_too_small_for_fails_and_the_next_has_its_turn(deaf: Deaf) -> None:
    socket = deaf.kit.connect(retries=3, transports=["polling"], reconnection_delay=0.1)
    deaf.left = 1
    first, large, last = (socket.emit_with_ack("note", size * "x") for size in (1, 5000, 2))
    deaf.kit.run()
    smaller = Server(max_http_buffer_size=1000)
    smaller.on("note", deaf.note, ack=True)
    deaf.io.close(0.0)
    deaf.kit.serve(smaller)
    deaf.kit.advance(5.0)
    assert first.result() == ("noted", "x")
    with pytest.raises(LocalProtocolError, match="1000"):
        large.result()
    assert last.result() == ("noted", "xx")


def test_without_retries_the_option_is_the_time_that_a_reply_waits(deaf: Deaf) -> None:
    socket = deaf.kit.connect(ack_timeout=2.0)
    deaf.left = 2
    usual, longer = socket.emit_with_ack("note", 1), socket.timeout(3).emit_with_ack("note", 2)
    deaf.kit.advance(2.0)
    assert isinstance(usual.exception(), TimeoutError)
    assert not longer.done()
    deaf.kit.advance(1.0)
    assert longer.done()
    assert deaf.seen == [1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ack_timeout": "5"}, "ack_timeout: a timeout is a number of seconds, not '5'"),
        ({"ack_timeout": -1}, "ack_timeout: a timeout is not below zero"),
        ({"retries": 1.5}, "retries: a whole number"),
        ({"retries": "3"}, "retries: a number is expected"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        Client("http://localhost", **options)
