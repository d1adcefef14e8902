"""Masking: integers and tables equal the loop of the RFC."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.websocket.masking import LONG, SHORT, mask, rotated, unmask_behind_key, unmask_short

keys = st.binary(min_size=4, max_size=4)


def by_the_book(data: bytes, key: bytes) -> bytes:
    """RFC 6455 section 5.3, as it stands there."""
    return bytes(octet ^ key[i % 4] for i, octet in enumerate(data))


@pytest.mark.rule("6455-5.3-algorithm")
@given(st.binary(max_size=300), keys)
def test_masking_is_the_loop_of_the_rfc(data: bytes, key: bytes) -> None:
    assert mask(data, key) == by_the_book(data, key)
    assert mask(bytearray(data), key) == mask(memoryview(data), key) == mask(data, key)


@pytest.mark.parametrize(
    "size", [0, 1, 3, 4, 125, 126, LONG - 1, LONG, LONG + 1, LONG + 2, LONG + 3, 30 * LONG + 1]
)
@pytest.mark.parametrize(
    "key", [b"\0\0\0\0", b"\x00\x01\x02\x03", b"\xff\xfe\xfd\xfc", b"\x11\xaa\x11\x00"]
)
def test_masking_at_the_length_from_which_tables_do_it(size: int, key: bytes) -> None:
    data = bytes(n * 7 & 0xFF for n in range(size))
    assert mask(data, key) == by_the_book(data, key)


@given(st.binary(max_size=SHORT), keys, st.binary(max_size=3))
def test_a_short_payload_is_unmasked_with_the_key_before_it(
    data: bytes, key: bytes, before: bytes
) -> None:
    wire = before + key + mask(data, key) + b"after"
    assert unmask_short(wire, len(before), len(data)) == data
    assert unmask_behind_key(wire, len(before), len(data)) == b"\0\0\0\0" + data


@pytest.mark.parametrize("size", [126, 127, 128, 129, 1000, *range(LONG - 5, LONG + 2), 3000])
@pytest.mark.parametrize("after", [b"", b"a", b"after"])
def test_a_longer_payload_is_unmasked_with_the_key_before_it(size: int, after: bytes) -> None:
    data = bytes(n * 7 & 0xFF for n in range(size))
    wire = b"-" + b"key!" + by_the_book(data, b"key!") + after
    assert unmask_behind_key(wire, 1, size) == b"\0\0\0\0" + data


@given(st.binary(max_size=50), keys, st.integers(0, 50))
def test_a_payload_in_two_pieces_is_unmasked_with_the_rotated_key(
    data: bytes, key: bytes, cut: int
) -> None:
    cut = min(cut, len(data))
    pieces = mask(data[:cut], key) + mask(data[cut:], rotated(key, cut))
    assert pieces == mask(data, key)
