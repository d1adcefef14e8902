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


DIGITS = frozenset(b"0123456789")
HEX = DIGITS | frozenset(b"abcdefABCDEF")
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
TCHAR = DIGITS | LETTERS | frozenset(b"!#$%&'*+-.^_`|~")
VCHAR = frozenset(range(0x21, 0x7F))
BLANK = frozenset(b"\t ")
SOLID = VCHAR | frozenset(range(0x80, 0x100))
TEXT = SOLID | BLANK
HOST = DIGITS | LETTERS | frozenset(b"-._~!$&'()*+,;=")

PLACES = [
    ("TOKEN", b"?", TCHAR),
    ("FIELD_LINE", b"a?: x\r\n", TCHAR | frozenset(b":")),
    ("FIELD_LINE", b"a:?\r\n", TEXT),
    ("FOLDED_LINE", b"?a\r\n", BLANK),
    ("FOLDED_LINE", b" ?\r\n", TEXT),
    ("FOLD", b"\r\n?", BLANK),
    ("REQUEST_LINE", b"a? / HTTP/1.1\r\n", TCHAR),
    ("REQUEST_LINE", b"GET /? HTTP/1.1\r\n", VCHAR),
    ("REQUEST_LINE", b"GET / HTTP/?.1\r\n", DIGITS),
    ("REQUEST_LINE", b"GET / HTTP/1.?\r\n", DIGITS),
    ("REQUEST_LINE", b"GET / HTTP/1?1\r\n", frozenset(b".")),
    ("REQUEST_HEAD", b"GET / HTTP/1.?\r\nA: b\r\n", frozenset(b"01")),
    ("REQUEST_HEAD", b"a? / HTTP/1.1\r\n", TCHAR),
    ("REQUEST_HEAD", b"GET /? HTTP/1.1\r\n", VCHAR),
    ("RESPONSE_HEAD", b"HTTP/1.1 200 a?\r\nA: b\r\n", TEXT),
    ("FIELD_BLOCK", b"a:?\r\nb:\r\n", TEXT),
    ("STATUS_LINE", b"HTTP/?.1 200\r\n", DIGITS),
    ("STATUS_LINE", b"HTTP/1.? 200\r\n", DIGITS),
    ("STATUS_LINE", b"HTTP/1.1 2?0\r\n", DIGITS),
    ("STATUS_LINE", b"HTTP/1.1 200?OK\r\n", frozenset(b" ")),
    ("STATUS_LINE", b"HTTP/1.1 200 ?\r\n", TEXT),
    ("LINE_END", b"?", frozenset(b"\r\n")),
    ("TARGET", b"?", VCHAR),
    ("REASON", b"?", SOLID),
    ("REASON", b"?a", SOLID),
    ("REASON", b"a?", SOLID),
    ("REASON", b"a?b", TEXT),
    ("VALUE", b"?", SOLID),
    ("VALUE", b"?a", SOLID),
    ("VALUE", b"a?", SOLID),
    ("VALUE", b"a?b", TEXT),
    ("AUTHORITY", b"?a", HOST),
    ("AUTHORITY", b"a?", HOST | frozenset(b":")),
    ("AUTHORITY", b"%?0", HEX),
    ("AUTHORITY", b"%0?", HEX),
    ("AUTHORITY", b"a%20?", HOST | frozenset(b":")),
    ("AUTHORITY", b"a:?", DIGITS),
    ("AUTHORITY", b"[?]", HEX | frozenset(b":.")),
    ("AUTHORITY", b"[a%?]", DIGITS | LETTERS | frozenset(b"-._~%")),
    ("AUTHORITY", b"[?1.a]", HEX | frozenset(b":.vV")),
    ("AUTHORITY", b"[v?.a]", HEX),
    ("AUTHORITY", b"[v1.?]", HOST | frozenset(b":")),
    ("ABSOLUTE", b"http://?@a", HOST | frozenset(b":%")),
    ("ABSOLUTE", b"http://a?b", HOST | frozenset(b"@/?#")),
    ("CONNECT_TARGET", b"a?:1", HOST),
    ("CONNECT_TARGET", b"a:?", DIGITS),
    ("CONTENT_LENGTH", b"?", DIGITS),
    ("CODINGS", b"a?", TCHAR),
    ("CODINGS", b"a?,b", TCHAR | BLANK),
    ("CODINGS", b"a,?b", TCHAR | BLANK),
    ("CHUNK_LINE", b"?\r\n", HEX),
    ("PLAIN_CHUNK", b"?\r\n", HEX),
    ("CHUNK_LINE", b"1?;a\r\n", HEX | BLANK),
    ("CHUNK_LINE", b"1;?a\r\n", TCHAR | BLANK),
    ("CHUNK_LINE", b"1;a?\r\n", TCHAR),
    ("CHUNK_LINE", b"1;a?=b\r\n", TCHAR | BLANK),
    ("CHUNK_LINE", b"1;a=?b\r\n", TCHAR | BLANK),
    ("CHUNK_LINE", b"1;a=b?\r\n", TCHAR),
    ("CHUNK_LINE", b'1;a="?b"\r\n', TEXT - frozenset(b'"')),
    ("CHUNK_LINE", b'1;a="\\?"\r\n', TEXT),
]


@pytest.mark.parametrize(("name", "around", "fine"), PLACES)
def test_every_byte_stands_where_the_rfc_has_it(
    name: str, around: bytes, fine: frozenset[int]
) -> None:
    expression = getattr(grammar, name)
    before, _, after = around.partition(b"?")
    matching = set()
    for byte in range(256):
        subject: bytes | str = before + bytes([byte]) + after
        with suppress(TypeError):
            expression.fullmatch("")
            subject = subject.decode("latin-1")
        if expression.fullmatch(subject):
            matching.add(byte)
    assert {chr(byte) for byte in matching ^ fine} == set()


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("CONTENT_LENGTH", ["1", "1" * 19], ["", "1" * 20]),
        ("CHUNK_LINE", [b"1\r\n", b"1" * 16 + b"\r\n"], [b"\r\n", b"1" * 17 + b"\r\n"]),
        ("PLAIN_CHUNK", [b"1\r\n", b"1" * 16 + b"\r\n"], [b"\r\n", b"1" * 17 + b"\r\n"]),
        ("AUTHORITY", ["a:12345", "a:"], ["a:123456"]),
        ("CONNECT_TARGET", ["a:1", "a:12345"], ["a:", "a:123456"]),
        ("STATUS_LINE", [b"HTTP/1.1 200\r\n"], [b"HTTP/1.1 20\r\n", b"HTTP/1.1 2000\r\n"]),
        ("REQUEST_LINE", [b"G / HTTP/1.1\r\n"], [b" / HTTP/1.1\r\n", b"G  HTTP/1.1\r\n"]),
        ("FIELD_LINE", [b"a:\r\n"], [b":\r\n", b"a:\n", b"a:\r"]),
    ],
)
def test_no_part_is_longer_or_shorter_than_it_may_be(
    name: str, right: list[bytes | str], wrong: list[bytes | str]
) -> None:
    expression = getattr(grammar, name)
    assert all(expression.fullmatch(subject) for subject in right)
    assert not any(expression.fullmatch(subject) for subject in wrong)


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
