"""Failures of the user's functions that are hard to write down."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Server
from rawsio.testing import TestKit


class Mute(Exception):
    """An error that cannot be shown: frameworks' errors render templates in their repr()."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")

    __str__ = __repr__


def fails(*_values: Any) -> None:
    raise Mute


def test_an_error_that_cannot_be_shown_costs_no_client_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server()
    io.on("e", fails)
    io.on_error(fails)
    with TestKit(io) as kit:
        client = kit.connect()
        client.emit("e")
        kit.run()
        assert client.connected
        client.on("back", fails)
        io.emit("back")
        kit.run()
        assert client.connected
    said = caplog.text
    assert "a handler of 'e' in '/' failed: Mute(), whose repr() fails" in said
    assert "(on_error) failed: Mute()" in said
    assert "a handler of 'back' in '/' failed" in said


@pytest.mark.parametrize("concurrent", [False, True])
def test_who_stops_the_program_at_the_error_of_a_coroutine_keeps_no_event_from_going_on(
    concurrent: bool,
) -> None:
    io = Server()

    @io.on_error
    def stop(*_what: Any) -> None:
        raise KeyboardInterrupt

    async def fails(_socket: Any) -> None:
        raise ValueError

    io.on("fails", fails, concurrent=concurrent)
    io.on("good", lambda _socket: "done")
    with TestKit(io) as kit:
        main = kit.client().main.connect()
        kit.run()
        (socket,) = io.sockets.values()
        main.emit("fails")
        reply = main.emit_with_ack("good")
        with pytest.raises(KeyboardInterrupt):
            kit.advance(1.0)
        kit.advance(1.0)
        assert reply.result() == "done"
        assert socket._peer.queued_bytes == 0
