"""Queries and cookies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.uri import parameters, parse_cookies, parse_query


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


def test_the_bytes_of_a_form_are_text_in_utf_8_whether_they_are_escaped_or_not() -> None:
    raw = "€".encode().decode("latin-1")
    assert parameters(f"d={raw}", "latin-1") == [("d", "€")]
    assert parameters(f"d={raw}%20", "latin-1") == [("d", "€ ")]
    assert parameters("d=%E2%82%AC", "latin-1") == [("d", "€")]


def test_parameters_keep_their_order_and_stand_as_often_as_they_came() -> None:
    assert parameters("b=1&a&b=2&") == [("b", "1"), ("a", ""), ("b", "2"), ("", "")]
