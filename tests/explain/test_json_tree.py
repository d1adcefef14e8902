"""JSON as a tree: each value where it stands, also in text that breaks off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import Field, explain_json
from rawsio.explain.fields import walk
from rawsio.explain.json_tree import COUNTED, DEEPEST, MOST

from .agreement import well_formed
from .strategies import json_texts

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def rebuilt(field: Field, data: bytes) -> Any:
    """Return what a field stands for, from its own bytes and those of its parts."""
    first = data[field.start : field.start + 1]
    if first == b"[":
        return [rebuilt(below, data) for below in field.fields]
    if first == b"{":
        whole = json.loads(data[field.start : field.end])
        parts = [rebuilt(below, data) for below in field.fields]
        assert list(whole.values()) == parts or len(parts) > len(whole)
        return whole
    return json.loads(data[field.start : field.end])


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_every_value_is_found_where_it_stands(value: Any, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    tree = explain_json(text)
    assert tree.data is not None
    assert [field.name != "rest" for field in tree.fields] == [True]
    assert rebuilt(tree.fields[0], tree.data) == value


@given(json_texts)
def test_any_text_gives_a_tree_that_is_whole_exactly_for_json(text: str) -> None:
    tree = explain_json(text)
    well_formed(tree)
    try:
        json.loads(text)
    except ValueError:
        return
    assert [field.name for field in tree.fields][1:] in ([], ["rest"])
    assert not any(field.meaning == "not closed" for field in tree.fields)


@pytest.mark.parametrize(
    "text", ["[" * 20_000, '{"a":' * 10_000, "[1," * 10_000, '"' + "\\" * 9999]
)
def test_deep_and_endless_text_ends_the_tree_early(text: str) -> None:
    tree = explain_json(text)
    depth, field = 0, tree
    while field.fields:
        depth, field = depth + 1, field.fields[0]
    assert depth <= DEEPEST + 1


def test_of_very_many_values_some_are_shown_and_all_are_counted() -> None:
    tree = explain_json("[" + ",".join(["1"] * 20_000) + "]")
    assert tree.fields[0].value == "20000 members"
    assert len(tree.fields[0].fields) == MOST - 1


@pytest.mark.parametrize("item", ["1", "[]", '{"a":[1]}'])
def test_beyond_a_bound_nothing_is_looked_at(item: str) -> None:
    text = "[[" + ",".join([item] * COUNTED) + "],2]"
    tree = explain_json(text)
    (top,) = tree.fields
    assert (top.end, top.meaning) == (len(text), "the rest is not counted")
    assert top.fields[0].value.endswith(" members and more")
    assert sum(1 for _ in walk(tree)) <= MOST + 2
