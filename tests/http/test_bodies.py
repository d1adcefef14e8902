"""Bodies by themselves: readers that keep nothing, and framing for the way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import HTTPError
from rawsio.http.bodies import Chunked, UntilClose, encode_body, encode_end, reader_for
from rawsio.http.framing import CHUNKED, UNTIL_CLOSE, response_framing
from rawsio.http.headers import EMPTY, Headers
from rawsio.layer import Role
from rawsio.limits import DEFAULT, Limits


@given(st.lists(st.binary(max_size=20), max_size=6), st.integers(1, 50))
def test_what_is_written_in_chunks_is_read_again(pieces: list[bytes], step: int) -> None:
    trailers = Headers([("X-Sum", "1")])
    wire = b"".join(part for piece in pieces for part in encode_body(CHUNKED, piece))
    wire += b"".join(encode_end(CHUNKED, trailers))
    reader, read, buffer, end = Chunked(DEFAULT, Role.CLIENT), [], bytearray(), None
    for at in range(0, len(wire), step):
        assert end is None
        buffer += wire[at : at + step]
        end = reader.read(buffer, read)
        assert len(buffer) <= DEFAULT.chunk_line
    assert (b"".join(read), end, buffer) == (b"".join(pieces), trailers, b"")


@pytest.mark.rule("9110-15.5.14-body")
def test_a_body_until_the_end_is_taken_up_to_the_limit() -> None:
    reader = reader_for(UNTIL_CLOSE, Limits(body=5), Role.SERVER)
    assert isinstance(reader, UntilClose)
    pieces: list[bytes] = []
    with pytest.raises(HTTPError) as caught:
        reader.read(bytearray(b"123456"), pieces)
    assert (caught.value.code, pieces) == (413, [b"12345"])


@pytest.mark.rule("9112-6.3-no-body", "9112-6.3-connect")
def test_the_length_of_a_response_depends_on_the_request() -> None:
    five = {"content-length": ["5"]}
    assert response_framing(five, "1.1", "GET", 200) == 5
    assert response_framing(five, "1.1", "HEAD", 200) == 0
    assert response_framing(five, "1.1", "CONNECT", 200) == 0
    assert response_framing(five, "1.1", "CONNECT", 404) == 5
    assert response_framing({}, "1.1", "GET", 200) == UNTIL_CLOSE


def test_no_body_writes_nothing() -> None:
    assert encode_body(CHUNKED, b"") == encode_body(5, b"") == encode_end(5, EMPTY) == []
