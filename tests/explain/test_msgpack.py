"""MessagePack as a tree: the places of its values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.fields import walk
from rawsio.explain.json_tree import COUNTED, MOST
from rawsio.explain.msgpack import msgpack_field
from rawsio.explain.socketio import explain_msgpack
from rawsio.socketio.msgpack import pack

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=40)
    | st.binary(max_size=40) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)  # fmt: skip


@given(VALUES)
def test_every_value_stands_where_its_bytes_do(value: Any) -> None:
    data = pack(value)
    tree = msgpack_field(data)
    assert (tree.start, tree.end) == (0, len(data))
    for field in walk(tree):
        for inner in field.fields:
            assert field.start < inner.start < inner.end <= field.end
        # A value alone is read as it is among others.
        assert msgpack_field(data[field.start : field.end]).value == field.value


@given(VALUES, st.data())
def test_what_is_cut_short_is_shown_up_to_its_end(value: Any, data: st.DataObject) -> None:
    whole = pack(value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    tree = msgpack_field(cut)
    assert tree.meaning == "cut short"
    assert all(field.end <= len(cut) for field in walk(tree))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_tree(data: bytes) -> None:
    tree = msgpack_field(data)
    assert all(0 <= field.start <= field.end <= len(data) for field in walk(tree))
    explain_msgpack(data)


@pytest.mark.parametrize(
    ("data", "kind", "value"),
    [
        (b"\x7f", "fixint", "127"), (b"\xe0", "fixint", "-32"), (b"\xc0", "nil", "null"),
        (b"\xd1\xff\x00", "int 16", "-256"), (b"\xcd\xff\x00", "uint 16", "65280"),
        (b"\xcb\x3f\xf8" + bytes(6), "float 64", "1.5"), (b"\xca\x3f\xc0\0\0", "float 32", "1.5"),
        (b"\xc4\x02ab", "bin 8", "2 bytes"), (b"\xd9\x02hi", "str 8", "hi"),
        (b"\xdc\x00\x00", "array 16", "0 members"), (b"\xd4\x01\x02", "fixext 1", "2 bytes"),
    ],
)  # fmt: skip
def test_formats_have_the_names_of_the_specification(data: bytes, kind: str, value: str) -> None:
    tree = msgpack_field(data)
    assert (tree.name, tree.value, tree.end) == (kind, value, len(data))


def test_a_packet_has_the_places_of_its_parts() -> None:
    data = pack({"type": 2, "data": ["hi", 7], "nsp": "/chat", "id": 12})
    tree = explain_msgpack(data)
    assert tree.value == 'EVENT "hi" in /chat, ack 12'
    parts = {field.name: data[field.start : field.end] for field in tree.fields}
    assert parts == {"type": b"\x02", "data": b"\x92\xa2hi\x07", "nsp": b"\xa5/chat", "id": b"\x0c"}
    assert tree.fields[0].meaning.startswith("EVENT")


def test_a_deep_nest_costs_no_recursion() -> None:
    tree = msgpack_field(b"\x91" * 200_000 + b"\xc0")
    assert tree.end == 200_001


def test_beyond_a_bound_nothing_is_looked_at() -> None:
    data = pack([[0] * COUNTED, 2])
    tree = msgpack_field(data)
    assert (tree.value, tree.end, tree.meaning) == ("2 members", len(data), "cut short")
    assert sum(1 for _ in walk(tree)) <= MOST + 2
