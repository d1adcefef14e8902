"""Messages, pings and pongs as values."""

from rawsio.websocket.events import Message, Ping, Pong


def test_a_ping_is_not_a_pong_and_no_message() -> None:
    assert Message(b"x") != Ping(b"x")
    assert Ping(b"x") != Pong(b"x")
    assert Ping() == Ping(b"")
    assert Pong() == Pong(b"")


def test_the_wish_to_compress_is_not_part_of_a_message() -> None:
    assert Message("a", False) == Message("a")
    assert Message("a").compress
