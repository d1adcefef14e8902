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


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("message", 2.5, "message: a whole number is expected, not 2.5"),
        ("message", math.inf, "message: a whole number is expected, not inf"),
        ("head", "16 KB", "head: a whole number is expected, not '16 KB'"),
        ("head", None, "head: a whole number is expected, not None"),
        ("fields", True, "fields: a whole number is expected, not True"),
        ("fields", -1, "fields: a number not below zero is expected, not -1"),
        ("head_time", math.nan, "head_time: a number not below zero is expected, not nan"),
        ("head_time", "1 s", "head_time: a number is expected, not '1 s'"),
        ("turn_frames", 0, "turn_frames: a number above zero is expected"),
        ("turn_bytes", 0, "turn_bytes: a number above zero is expected"),
        ("receive_size", 0, "receive_size: a number above zero is expected"),
    ],
)
def test_what_cannot_be_a_bound_is_refused_where_it_is_written(
    name: str, value: object, words: str
) -> None:
    for make in (Limits, DEFAULT.but):
        with pytest.raises((TypeError, ValueError), match=f"^{words}"):
            make(**{name: value})


def test_an_unknown_limit_is_an_error() -> None:
    with pytest.raises(TypeError):
        Limits(no_such_limit=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        DEFAULT.but(no_such_limit=1)
