"""Bodies are stored as what travels."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import LocalProtocolError
from rawsio.limits import DEFAULT
from rawsio.queue.bodies import decode_body, encode_body, parts_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert decode_body(encode_body(value)) == value


def test_the_parts_are_json_and_attachments() -> None:
    assert parts_of(encode_body({"a": "é"})) == ('{"a":"é"}', ())
    text, attachments = parts_of(encode_body([b"one", {"b": b""}]))
    assert text.startswith('[{"_placeholder":true,"num":0}')
    assert attachments == (b"one", b"")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        float("nan"),
        [bytes(1)] * (DEFAULT.attachments + 1),
        bytes(DEFAULT.attachment_bytes + 1),
    ],
    ids=["no JSON", "not a number", "too many attachments", "too long attachments"],
)
def test_what_no_peer_could_be_sent_is_refused_where_it_is_published(value: Any) -> None:
    with pytest.raises(LocalProtocolError):
        encode_body(value)


def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = []
    for _ in range(DEFAULT.json_depth):
        deep = [deep]
    with pytest.raises(LocalProtocolError):
        encode_body(deep)
