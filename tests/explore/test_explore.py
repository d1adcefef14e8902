"""Every order of a few steps, in small worlds: the invariants hold after each of them."""

from __future__ import annotations

import pytest

from .explorer import World, explore, replay
from .scenarios import SCENARIOS, splits


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_invariants_hold_after_every_order_of_steps(name: str) -> None:
    scenario, depth = SCENARIOS[name]
    found = explore(scenario, depth)
    assert not found.faults
    assert found.exhausted
    assert found.states > 20


def doubled() -> World:
    """A world whose server notes the second event twice."""
    world = splits()
    up = world.got["up"]
    world.io.on("up", lambda _socket, number, *_data: number == 2 and up.append(number))
    return world


def test_a_fault_is_shown_by_its_shortest_trace() -> None:
    found = explore(doubled, 3, faults=1)
    assert found.faults == {("emit up 2",): ["up: sent [2], got [2, 2]: twice or out of order"]}
    assert not found.exhausted


def test_a_trace_can_be_led_through_again() -> None:
    world, wrong = replay(splits, ("emit up 2", "deliver 1"))
    assert (world.got["up"], wrong) == ([2], [])
    assert world.settle() + world.close() == []
