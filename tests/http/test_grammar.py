"""The expressions of the grammar: what they match, and that they match in linear time."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.http import grammar

HOSTILE = [b"a" * 200, b" " * 200, b"\t" * 200, b"," * 200, b'"\\' * 100, b"a=" * 100, b";a " * 70]


@pytest.mark.parametrize("name", [n for n in grammar.__all__ if n not in ("METHODS", "REASONS")])
def test_every_expression_gives_up_quickly(name: str) -> None:
    # An expression that backtracks more than linearly would not come back from these.
    expression = getattr(grammar, name)
    if isinstance(expression, tuple):
        return
    tried = 0
    for text in HOSTILE:
        for tail in (b"", b"\0", b"\r"):
            hostile = text * 5 + tail
            for subject in (hostile, hostile.decode()):
                with suppress(TypeError):  # an expression is for bytes or for text
                    expression.fullmatch(subject)
                    expression.search(subject)
                    tried += 1
    assert tried == 3 * len(HOSTILE)


@given(st.characters())
def test_no_character_outside_latin_1_and_no_control_is_text_of_ours(char: str) -> None:
    fine = char == "\t" or " " <= char <= "~" or "\x80" <= char <= "\xff"
    assert bool(grammar.VALUE.fullmatch(f"a{char}b")) == fine
    assert bool(grammar.REASON.fullmatch(f"a{char}b")) == fine
    visible = "!" <= char <= "~"
    assert bool(grammar.TARGET.fullmatch(char)) == visible
    if grammar.TOKEN.fullmatch(char):
        assert visible
        assert char not in '"(),/:;<=>?@[\\]{}'


def test_hosts_of_every_kind_match() -> None:
    names = ["a", "a.b", "127.0.0.1", "a_b", "%41", "a%c3%A9b", "x=y"]
    names += ["[::1]", "[::ffff:1.2.3.4]", "[fe80::1%25eth0]", "[v1.a:b]"]
    for host in names:
        for port in ("", ":", ":80"):
            assert grammar.AUTHORITY.fullmatch(host + port), host
            found = grammar.ABSOLUTE.fullmatch(f"http://{host}{port}/")
            assert found, host
            assert found[1] == host + port
        assert grammar.CONNECT_TARGET.fullmatch(host + ":80"), host
    assert grammar.AUTHORITY.fullmatch("")
    assert not grammar.ABSOLUTE.fullmatch("http:///")
    assert not grammar.CONNECT_TARGET.fullmatch(":80")


def test_what_is_no_host_does_not_match() -> None:
    names = ["a b", "::1", "a/b", "a@b", "a?", "a#", "\xe9", "%", "%4", "a%4g", "%%41"]
    names += ["[::1", "[]", "[g]", "[::1%]", "[v1]", "[vg.a]", "[[::1]]"]
    for host in names:
        assert not grammar.AUTHORITY.fullmatch(host), host
        assert not grammar.CONNECT_TARGET.fullmatch(host + ":80"), host
    for port in (":b", ":123456", "::", ":80:"):
        assert not grammar.AUTHORITY.fullmatch("a" + port), port
