"""A tree as text: lines that fit, and that nobody can write control characters into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import as_text, explain_engineio, explain_http, explain_websocket

from .strategies import http_bytes


@given(http_bytes, st.integers(1, 130))
def test_every_line_fits_and_is_printable(wire: bytes, width: int) -> None:
    for line in as_text(explain_http(wire), width=width).split("\n"):
        assert line.isprintable()
        indented = len(line) - len(line.lstrip(" "))
        assert len(line) <= max(width, indented + 60)


def test_a_mistake_is_said_below_its_field_with_its_rule() -> None:
    text = as_text(explain_websocket(b"\x81\x00"), width=90)
    assert "MASK: 0" in text
    assert "wrong: a client's frame is not masked\n" in text
    assert "[6455-5.1-mask]\n" in text


@pytest.mark.parametrize("colour", [True, False])
def test_colours_are_used_only_when_asked_for(colour: bool) -> None:
    text = as_text(explain_engineio("9"), colour=colour)
    assert ("\x1b[" in text) is colour
