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
