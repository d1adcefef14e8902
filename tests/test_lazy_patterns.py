"""Expressions that are compiled when they are first used."""

from __future__ import annotations

import re

import pytest

from rawsio.lazy import Pattern


def test_a_pattern_does_what_the_compiled_expression_does() -> None:
    ours, theirs = Pattern("([a-z])([0-9]+)"), re.compile("([a-z])([0-9]+)")
    for text in ("a12", "xa12y", "", "a"):
        for method in ("match", "fullmatch", "search"):
            found, expected = getattr(ours, method)(text), getattr(theirs, method)(text)
            assert (found and found.span()) == (expected and expected.span())
        assert ours.sub("-", text) == theirs.sub("-", text)
        assert ours.findall(text) == theirs.findall(text)
        assert ours.split(text) == theirs.split(text)


def test_it_is_compiled_once_and_then_costs_no_detour() -> None:
    pattern = Pattern(b"[0-9]")
    assert pattern.fullmatch(b"1") is not None
    assert pattern.search is pattern.search
    assert pattern.search.__self__ is pattern.match.__self__  # type: ignore[attr-defined]


def test_a_name_that_no_expression_has_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'flags'"):
        Pattern("x").flags  # noqa: B018


def test_a_wrong_expression_is_an_error_when_it_is_used() -> None:
    with pytest.raises(re.error):
        Pattern("(").match("")
