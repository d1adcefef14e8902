"""Which address is tried when (RFC 8305)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.net.attempts import STAGGER, Attempts, in_order


def address(family: int, name: str) -> tuple[int, int, int, str, str]:
    return family, 1, 6, "", name


@pytest.mark.rule("layers-connect-stagger")
def test_the_families_take_turns_and_the_first_found_begins() -> None:
    found = [address(6, "a"), address(6, "b"), address(6, "c"), address(4, "d")]
    assert [one[4] for one in in_order(found)] == ["a", "d", "b", "c"]
    assert [one[4] for one in in_order(found[::-1])] == ["d", "c", "b", "a"]
    assert in_order([]) == []


def test_the_address_that_answered_begins_if_it_is_still_one() -> None:
    found = [address(6, "a"), address(4, "b"), address(6, "c")]
    assert [one[4] for one in in_order(found, "c")] == ["c", "a", "b"]
    assert [one[4] for one in in_order(found, "gone")] == ["a", "b", "c"]


@given(
    st.lists(st.tuples(st.sampled_from([4, 6]), st.integers(0, 9)), max_size=8),
    st.lists(st.booleans(), max_size=40),
)
def test_no_address_is_lost_or_tried_twice(
    found: list[tuple[int, int]], failures: list[bool]
) -> None:
    addresses = [address(family, f"{number} {n}") for n, (family, number) in enumerate(found)]
    attempts, now, tried = Attempts(in_order(list(addresses))), 100.0, []
    began: list[float] = []
    pending = 0
    while not attempts.over:
        one = attempts.next(now)
        if one is not None:
            tried.append(one)
            began.append(now)
            pending += 1
        elif pending and (not failures or failures.pop()):
            attempts.failed()
            pending -= 1
        elif attempts.deadline:
            assert attempts.deadline == began[-1] + STAGGER
            now = attempts.deadline
        else:
            now += STAGGER
    assert sorted(tried) == sorted(addresses)
    assert attempts.deadline is None
