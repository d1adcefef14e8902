"""UTF-8 is judged at the first byte that decides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import WebSocketError
from rawsio.websocket.utf8 import check_utf8, decode_utf8

# (bytes, how many of them can still become a text)
BAD = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xe0\x80\x80", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xff", 0),
    (b"\xe2\x82A", 2),
    (b"\xf0\x9f\x98A", 3),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 12),
]


@pytest.mark.rule("6455-8.1-utf8")
@pytest.mark.parametrize(("wire", "good"), BAD)
def test_the_first_byte_that_cannot_be_utf8_is_refused(wire: bytes, good: int) -> None:
    tail = b""
    for place in range(good):
        tail = check_utf8(tail, wire[place : place + 1])
    with pytest.raises(WebSocketError) as caught:
        check_utf8(tail, wire[good : good + 1])
    assert (caught.value.rule, caught.value.code) == ("6455-8.1-utf8", 1007)
    with pytest.raises(WebSocketError):
        check_utf8(b"", wire)
    with pytest.raises(WebSocketError):
        decode_utf8(wire)


def test_every_start_of_a_character_is_judged_as_python_judges_whole_texts() -> None:
    """All sequences of two bytes: refused exactly if no text begins with them."""
    # Every 32nd character: the last six bits of a character do not reach its second byte.
    characters = [*range(0x80, 0x800), *range(0x800, 0x110000, 32)]
    beginnings = {chr(n).encode()[:2] for n in characters if not 0xD800 <= n < 0xE000}
    for first in range(0x80, 0x100):
        for second in range(0x80, 0x100):
            pair = bytes((first, second))
            try:
                check_utf8(check_utf8(b"", pair[:1]), pair[1:])
            except WebSocketError:
                assert pair not in beginnings
            else:
                assert pair in beginnings


@given(st.text(max_size=20), st.integers(0, 80))
def test_a_text_in_two_pieces_is_accepted(text: str, cut: int) -> None:
    wire = text.encode()
    tail = check_utf8(b"", wire[:cut])
    assert len(tail) <= 3
    assert check_utf8(tail, wire[cut:]) == b""
    assert decode_utf8(wire) == text


def test_an_unfinished_character_is_no_text() -> None:
    assert check_utf8(b"", b"\xe2\x82") == b"\xe2\x82"
    with pytest.raises(WebSocketError):
        decode_utf8(b"\xe2\x82")
