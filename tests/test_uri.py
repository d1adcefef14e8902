"""Queries and cookies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.uri import parse_cookies, parse_query


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert parse_query("a=%FF%zz%1&%") == {"a": "\ufffd%zz%1", "%": ""}
    assert parse_query("\ud800=\ud800") == {"?": "?"}


@pytest.mark.parametrize(
    ("field", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2;c=3 ", {"a": "1", "b": "2", "c": "3"}),
        ('a="x y"; b="', {"a": "x y", "b": '"'}),
        ("a=b=c; d", {"a": "b=c"}),
        ("a=%20", {"a": "%20"}),
    ],
)
def test_cookies_are_as_they_were_sent(field: str, cookies: dict[str, str]) -> None:
    assert parse_cookies([field]) == cookies


@given(st.lists(st.text()))
def test_any_text_has_cookies_or_none(fields: list[str]) -> None:
    assert isinstance(parse_cookies(fields), dict)
    assert isinstance(parse_query("&".join(fields)), dict)
