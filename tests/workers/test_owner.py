"""Whose a connection is: bytes in, a number out, however the bytes were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.workers.owner import (
    ANYBODY,
    LONGEST_LINE,
    WORKERS,
    number_of,
    owner_of,
    prefix_of,
)

SID = b"AABdLoJ4Olf-K8vbVrib56Krg-a"


@pytest.mark.parametrize(
    ("first", "number"),
    [
        (b"GET /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\n" % SID, 1),
        (b"GET /socket.io/?sid=%s&EIO=4 HTTP/1.1\r\nHost: x\r\n" % SID, 1),
        (b"POST http://a/socket.io/?sid=%s HTTP/1.1\n" % SID, 1),
        (b"\r\n\r\nGET /?sid=%s HTTP/1.1\r\n" % SID, 1),
        (b"GET /?sid=AAA%s&sid=%s HTTP/1.1\r\n" % (SID, SID), 0),
        (b"GET /?sid=%s\n" % SID, 1),
        (b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n", ANYBODY),
        (b"GET /?sidx=%s&xsid=%s HTTP/1.1\r\n" % (SID, SID), ANYBODY),
        (b"GET /sid=%s HTTP/1.1\r\n" % SID, ANYBODY),
        (b"GET /?sid= HTTP/1.1\r\n", ANYBODY),
        (b"GET /?sid=A%20 HTTP/1.1\r\n", ANYBODY),
        (b"\r\n\n\r\n", None),
        (b"\n", None),
        (b"GET", None),
        (b"", None),
        (b"junk\r\n", ANYBODY),
        (b" \n", ANYBODY),
        (b"\x16\x03\x01", ANYBODY),
        (b"x" * (LONGEST_LINE - 1), None),
        (b"x" * LONGEST_LINE, ANYBODY),
        (b"GET /?%s&sid=%s HTTP/1.1\r\n" % (b"a" * LONGEST_LINE, SID), ANYBODY),
    ],
)
def test_the_first_line_tells_whose_it_is(first: bytes, number: int | None) -> None:
    assert owner_of(first) == number


@given(number=st.integers(0, WORKERS - 1), rest=st.binary(max_size=30))
def test_an_id_begins_with_the_number_of_its_worker(number: int, rest: bytes) -> None:
    prefix = prefix_of(number)
    assert len(prefix) == 3
    assert number_of(prefix.encode() + rest) == number


LINES = st.builds(
    lambda before, words, pairs, end: before + words + b"?" + b"&".join(pairs) + end,
    st.sampled_from([b"", b"\r\n", b"\n\r\n", b"\x16"]),
    st.sampled_from([b"GET /", b"POST /socket.io/", b"GET", b"", b"GET / /", b"GET /?a?"]),
    st.lists(
        st.sampled_from([b"sid=" + SID, b"sid=", b"EIO=4", b"sid=AA", b"xsid=AAA", b"sid=_-9x"]),
        max_size=4,
    ),
    st.sampled_from(
        [b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\n", b"", b" HTTP/1.1\r\n\r\nGET /?sid=AAC"]
    ),
)
LONG = st.builds(
    lambda fill, line: b"GET /?" + b"a" * fill + b"&" + line,
    st.integers(LONGEST_LINE - 60, LONGEST_LINE + 10),
    st.just(b"sid=" + SID + b" HTTP/1.1\r\n"),
)


@given(first=LINES | LONG | st.binary(max_size=60), data=st.data())
def test_where_the_bytes_are_cut_changes_no_answer(first: bytes, data: st.DataObject) -> None:
    whole = owner_of(first)
    cut = data.draw(st.integers(0, len(first)))
    assert owner_of(first[:cut]) in (None, whole)


@given(first=LINES)
def test_what_follows_the_first_line_changes_nothing(first: bytes) -> None:
    whole = owner_of(first)
    if whole is not None:
        assert owner_of(first + b"&sid=AAF HTTP/1.1\r\n\r\n") == whole
