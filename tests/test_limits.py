"""Every bound is finite, and none is forgotten."""

from __future__ import annotations

import math

import pytest

from rawsio.limits import DEFAULT, Limits


def test_every_limit_is_a_finite_number_above_zero() -> None:
    for name in Limits.__match_args__:  # type: ignore[attr-defined]
        value = getattr(DEFAULT, name)
        assert isinstance(value, (int, float)), name
        assert math.isfinite(value), name
        assert value > 0, name


def test_one_limit_can_be_changed_without_the_others() -> None:
    assert DEFAULT.but(head=100) == Limits(head=100) != DEFAULT
    assert Limits(head=100).head == 100
    assert Limits(head=100).field == DEFAULT.field


def test_an_unknown_limit_is_an_error() -> None:
    with pytest.raises(TypeError):
        Limits(no_such_limit=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        DEFAULT.but(no_such_limit=1)
