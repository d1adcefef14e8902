"""No input costs more than so many steps for each kilobyte; counts, not seconds."""

from __future__ import annotations

import pytest

from .costs import ROWS, SIZE, bound_of, steps_of


@pytest.mark.rule("layers-cost-bytes")
@pytest.mark.parametrize("name", ROWS)
def test_a_kilobyte_costs_no_more_than_the_bound(name: str) -> None:
    steps, sent = steps_of(name)
    assert sent > SIZE // 2, "the row does not reach the server"
    assert steps * 1024 / sent <= bound_of(name)


LINEAR = [name for name in ROWS if "JSON" in name or "MessagePack" in name]


@pytest.mark.rule("layers-cost-bytes")
@pytest.mark.parametrize("name", LINEAR)
def test_twice_the_bytes_cost_no_more_than_twice_the_steps(name: str) -> None:
    once, sent = steps_of(name)
    twice, more = steps_of(name, 2 * SIZE)
    assert twice / more <= 1.1 * once / sent
