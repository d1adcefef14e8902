"""The tree of errors, and wire text in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio import errors
from rawsio.errors import (
    EngineIOError,
    HTTPError,
    LocalProtocolError,
    RawsioError,
    Refused,
    RemoteProtocolError,
    SocketIOError,
    WebSocketError,
    escaped,
)
from rawsio.layer import Failed


@pytest.mark.parametrize(
    ("kind", "layer", "code"),
    [
        (HTTPError, "http", 400),
        (WebSocketError, "websocket", 1002),
        (EngineIOError, "engineio", 3),
        (SocketIOError, "socketio", 0),
    ],
)
def test_an_error_of_the_peer_becomes_the_event_that_says_the_same(
    kind: type[RemoteProtocolError], layer: str, code: int
) -> None:
    assert kind("why", "x-1-y").as_event() == Failed(layer, "x-1-y", code, "why")
    assert kind("why", "x-1-y", 7).as_event() == Failed(layer, "x-1-y", 7, "why")
    assert kind("why", "x-1-y", 0).code == 0


def test_everything_that_rawsio_raises_has_one_base() -> None:
    public = [getattr(errors, name) for name in errors.__all__]
    kinds = [kind for kind in public if isinstance(kind, type)]
    assert len(kinds) > 5
    assert all(issubclass(kind, RawsioError) for kind in kinds)


def test_your_mistakes_and_the_peers_are_different_errors() -> None:
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(RemoteProtocolError, LocalProtocolError)


def test_a_refusal_carries_a_message_and_data() -> None:
    refusal = Refused("no", [1])
    assert (str(refusal), refusal.message, refusal.data) == ("no", "no", [1])
    assert Refused("no").data is None


@given(st.one_of(st.binary(max_size=100), st.text(max_size=100)), st.integers(0, 50))
def test_escaped_text_is_printable_short_and_quoted(wire: bytes | str, limit: int) -> None:
    shown = escaped(wire, limit)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 10 * limit + 40
    assert shown[0] in "'\""


def test_bytes_of_every_kind_can_be_escaped() -> None:
    assert escaped(b"a\r\n") == escaped(bytearray(b"a\r\n")) == escaped(memoryview(b"a\r\n"))
    assert escaped(b"a\r\n") == "'a\\r\\n'"
