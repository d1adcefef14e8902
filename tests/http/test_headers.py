"""The multimap of field lines, from pairs and from a block."""

from __future__ import annotations

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.http.headers import EMPTY, Headers, members

PAIRS = [("Host", "a"), ("Accept", "x, Y"), ("accept", ""), ("ACCEPT", ",z"), ("E", "\xe9 \tb")]
BLOCK = b"Host: a\r\nAccept: x, Y\r\naccept: \r\nACCEPT: ,z\r\nE: \xe9 \tb\r\n"


@pytest.mark.rule("9110-5.1-case", "9110-5.3-order", "9110-5.5-opaque")
@pytest.mark.parametrize("headers", [Headers(PAIRS), Headers.from_block(BLOCK)])
def test_lines_are_found_without_case_and_kept_in_order(headers: Headers) -> None:
    assert (list(headers), len(headers)) == (PAIRS, 5)
    assert "hOst" in headers
    assert "cookie" not in headers
    assert (headers.get("ACCEPT"), headers.get("x"), headers.get("x", "y")) == ("x, Y", None, "y")
    assert headers.get_all("accept") == ["x, Y", "", ",z"]
    assert (headers.get_all("host"), headers.get_all("x")) == (["a"], [])
    assert headers.tokens("accept") == ["x", "y", "z"]
    assert headers.block == BLOCK
    assert headers == Headers(PAIRS)
    assert headers != EMPTY
    assert headers != 1
    assert list(headers.plus(("X", "1"), ("Y", "2")))[5:] == [("X", "1"), ("Y", "2")]
    assert len(headers) == 5


@pytest.mark.rule("9110-5.5-value", "9110-5.1-name")
@pytest.mark.parametrize(
    "pair",
    [("", "a"), ("a b", "c"), ("a:", "b"), ("\xe9", "a"), ("a\n", "b")]
    + [
        ("a", value)
        for value in ("\r\nb: c", "\0", "\x7f", " b", "\tb", "b ", "b\t", " ", "\u0100", "\x1b[2J")
    ],
)
def test_what_may_not_be_written_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        _ = Headers([pair]).block


@pytest.mark.parametrize(
    "block", [b"Host: a", b"Host\r\n", b"Host: a\nb\r\n", b" a: b\r\n", b"\r\n"]
)
def test_a_block_from_elsewhere_is_checked(block: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Headers.from_block(block)


@pytest.mark.rule("9110-5.5-trim")
def test_white_space_around_values_is_not_theirs() -> None:
    headers = Headers.from_block(b"A:b\r\nC: \t d e \t\r\nF:\r\n")
    assert list(headers) == [("A", "b"), ("C", "d e"), ("F", "")]
    assert Headers.from_block(b"").get("a") is None


@pytest.mark.rule("9110-5.6.1-empty-members")
def test_empty_members_of_lists_are_dropped() -> None:
    assert members([" ,a ,, B\t", "", "c"]) == ["a", "b", "c"]


def test_the_fields_that_a_connection_acts_on_are_the_same_both_ways() -> None:
    lines = [("Connection", "Close"), ("X-Host", "b"), ("Expect", "A"), ("connection", "b")]
    block = b"Connection:Close \r\nX-Host: b\r\nExpect: A\r\nconnection: b\r\n"
    expected = {"connection": ["close", "b"], "expect": ["a"]}
    assert Headers(lines).framing_fields() == expected
    assert Headers.from_block(block).framing_fields() == expected
