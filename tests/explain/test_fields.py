"""The tree itself: values for people, walks, moves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.fields import Field, mistake, moved, rest, shown, walk


@given(st.text(max_size=100) | st.binary(max_size=300))
def test_a_value_is_printable_and_short(wire: str | bytes) -> None:
    assert shown(wire).isprintable()
    assert len(shown(wire)) < 60 * 10 + 20


def test_a_move_stops_where_other_bytes_begin() -> None:
    inner = Field(0, 1, "inner")
    other = Field(2, 3, "other", fields=[inner], data=b"x")
    tree = moved(Field(0, 5, "tree", fields=[other, Field(1, 2, "plain")]), 10)
    assert [(f.name, f.start, f.end) for f in walk(tree)] == [
        ("tree", 10, 15), ("other", 12, 13), ("inner", 0, 1), ("plain", 11, 12),
    ]  # fmt: skip


def test_the_first_mistake_in_the_order_of_the_tree_is_found() -> None:
    first = Field(0, 1, "first", wrong="it is wrong", rule="6455-5.1-mask")
    tree = Field(
        0, 2, "tree", fields=[Field(0, 1, "a", fields=[first]), Field(1, 2, "b", wrong="")]
    )
    assert mistake(tree) is first
    assert mistake(Field(0, 0, "empty")) is None


def test_nothing_left_is_no_field() -> None:
    assert rest(3, 3, "why") == []
    assert rest(3, 5, "why") == [Field(3, 5, "rest", "2 bytes", "why")]
