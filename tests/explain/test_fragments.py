"""IP fragments, put together in whatever order they come."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import fragments as module
from rawsio.explain.fragments import Fragment, Fragments

KEY = ("a", "b", 1, 6)


def cut(data: bytes, size: int) -> list[Fragment]:
    places = range(0, len(data), size)
    return [Fragment(KEY, at, at + size < len(data), data[at : at + size]) for at in places]


@given(st.binary(min_size=1, max_size=200), st.integers(1, 40), st.randoms(), st.booleans())
def test_any_order_gives_the_whole(
    data: bytes, size: int, order: random.Random, twice: bool
) -> None:
    pieces = cut(data, size)[:-1] * (1 + twice)
    order.shuffle(pieces)
    held = Fragments()
    assert all(held.add(piece) is None for piece in pieces)
    assert held.add(cut(data, size)[-1]) == data
    assert len(held) == 0


def test_of_what_overlaps_the_earlier_place_counts() -> None:
    held = Fragments()
    held.add(Fragment(KEY, 0, True, b"abcdefgh"))
    assert held.add(Fragment(KEY, 4, False, b"XXXXij")) == b"abcdefghij"


def test_a_hole_waits_and_what_lies_is_not_kept() -> None:
    held = Fragments()
    assert held.add(Fragment(KEY, 65_528, False, b"x" * 100)) is None
    assert held.add(Fragment(KEY, 0, True, b"a")) is None
    assert held.add(Fragment(KEY, 8, False, b"b")) is None
    assert len(held) == 1


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKETS", 3)
    held = Fragments()
    for number in range(5):
        held.add(Fragment(("a", "b", number, 6), 0, True, b"x"))
    assert (len(held), held.given_up) == (3, 2)
