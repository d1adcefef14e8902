"""What a message costs does not grow with the connections."""

from __future__ import annotations

import pytest

from rawsio.net.poll import MOST

from .growth import ROWS, instructions, widest


@pytest.mark.parametrize("name", ROWS)
def test_a_message_costs_the_same_however_many_connections_there_are(name: str) -> None:
    _make, most, _load = ROWS[name]
    assert instructions(name, 120) <= most * instructions(name, 12)


def test_a_turn_takes_no_more_messages_than_the_kernel_is_asked_for() -> None:
    assert 0 < widest(40) <= MOST
