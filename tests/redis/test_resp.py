"""RESP as bytes: each type, each way to be wrong, and the bounds."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import RESPError
from rawsio.limits import DEFAULT
from rawsio.redis import NEED, Decoder, ErrorReply, command, encode_value
from rawsio.redis.resp import Pushed

SMALL = DEFAULT.but(resp_line=10, resp_value=20, resp_elements=4, resp_depth=2)


def decode(wire: bytes, **options: Any) -> list[Any]:
    decoder, values = Decoder(**options), []
    decoder.feed(wire)
    while (value := decoder.next()) is not NEED:
        values.append(value)
    return values


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"+OK\r\n", "OK"),
        (b"+\r\n", ""),
        (b"-ERR no\r\n", ErrorReply("ERR", "no")),
        (b"-OOM\r\n", ErrorReply("OOM", "")),
        (b":-42\r\n", -42),
        (b":+7\r\n", 7),
        (b"$0\r\n\r\n", b""),
        (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"*0\r\n", []),
        (b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n", [[1], b"a"]),
        (b"_\r\n", None),
        (b"#t\r\n", True),
        (b"#f\r\n", False),
        (b",1.5\r\n", 1.5),
        (b",-inf\r\n", float("-inf")),
        (b",1e3\r\n", 1000.0),
        (b"(36893488147419103232\r\n", 2**65),
        (b"!5\r\nERR x\r\n", ErrorReply("ERR", "x")),
        (b"=7\r\ntxt:abc\r\n", b"abc"),
        (b"~2\r\n:1\r\n:1\r\n", [1, 1]),
        (b"%1\r\n+a\r\n:1\r\n", {"a": 1}),
        (b"%0\r\n", {}),
        (b">1\r\n+pong\r\n", Pushed(["pong"])),
        (b"|1\r\n+ttl\r\n:60\r\n*1\r\n|0\r\n|1\r\n+a\r\n+b\r\n:5\r\n", [5]),
    ],
)
def test_a_value_of_each_type_is_read_whole_and_byte_by_byte(wire: bytes, value: object) -> None:
    assert decode(wire) == [value]
    decoder = Decoder()
    for at in range(len(wire) - 1):
        decoder.feed(wire[at : at + 1])
        assert decoder.next() is NEED
    decoder.feed(wire[-1:])
    assert (decoder.next(), decoder.buffered) == (value, 0)


WRONG = [
    (b"HTTP/1.1 400 Bad Request\r\n", "resp-type-known"),
    (b"+a\rb\r\n", "resp-line-form"),
    (b"+a\nb\r\n", "resp-line-form"),
    (b"$-2\r\n", "resp-length-form"),
    (b"%-1\r\n", "resp-length-form"),
    (b"$ 1\r\n", "resp-length-form"),
    (b"$1_0\r\n", "resp-length-form"),
    (b"$\xd9\xa1\r\n", "resp-length-form"),
    (b"$99999999999\r\n", "resp-length-form"),
    (b"$5\r\nhello!!", "resp-bulk-end"),
    (b":\r\n", "resp-value-form"),
    (b":1.0\r\n", "resp-value-form"),
    (b":9223372036854775808\r\n", "resp-value-form"),
    (b",0x1p3\r\n", "resp-value-form"),
    (b",1_0\r\n", "resp-value-form"),
    (b"#yes\r\n", "resp-value-form"),
    (b"_nil\r\n", "resp-value-form"),
    (b"(1" + b"0" * 4000 + b"\r\n", "resp-value-form"),
    (b"=3\r\nabc\r\n", "resp-value-form"),
    (b"%1\r\n*1\r\n:1\r\n:2\r\n", "resp-value-form"),
]


@pytest.mark.rule("resp-type-known")
@pytest.mark.rule("resp-line-form")
@pytest.mark.rule("resp-length-form")
@pytest.mark.rule("resp-bulk-end")
@pytest.mark.rule("resp-value-form")
@pytest.mark.parametrize(("wire", "rule"), WRONG)
def test_what_is_no_value_is_refused_by_its_rule(wire: bytes, rule: str) -> None:
    with pytest.raises(RESPError) as caught:
        decode(wire)
    assert caught.value.rule == rule


@pytest.mark.rule("resp-line-length")
@pytest.mark.rule("resp-value-length")
@pytest.mark.rule("resp-value-elements")
@pytest.mark.rule("resp-value-depth")
@pytest.mark.parametrize(
    ("wire", "rule"),
    [
        (b"+" + b"x" * 11, "resp-line-length"),
        (b"+" + b"x" * 10 + b"\rx", "resp-line-length"),
        (b"$20\r\n", "resp-value-length"),
        (b"*2\r\n$5\r\nhello\r\n$5\r\n", "resp-value-length"),
        (b"*5\r\n", "resp-value-elements"),
        (b"%3\r\n", "resp-value-elements"),
        (b"*2\r\n*3\r\n", "resp-value-elements"),
        (b"*1\r\n*1\r\n*0\r\n", "resp-value-depth"),
    ],
)
def test_a_bound_is_enforced_at_the_line_that_passes_it(wire: bytes, rule: str) -> None:
    decoder = Decoder(SMALL)
    decoder.feed(wire)
    with pytest.raises(RESPError) as caught:
        decoder.next()
    assert caught.value.rule == rule


def test_values_at_the_bounds_are_read() -> None:
    assert decode(b"+" + b"x" * 10 + b"\r\n", limits=SMALL) == ["x" * 10]
    assert decode(b"$15\r\n" + b"x" * 15 + b"\r\n", limits=SMALL) == [b"x" * 15]
    assert decode(b"*1\r\n*3\r\n_\r\n_\r\n_\r\n", limits=SMALL) == [[[None] * 3]]


@pytest.mark.rule("resp-request-form")
@pytest.mark.parametrize(
    "wire",
    [b"PING\r\n", b"$4\r\nPING\r\n", b"*0\r\n", b"*-1\r\n", b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n"],
)
def test_a_server_reads_arrays_of_bulk_strings_alone(wire: bytes) -> None:
    with pytest.raises(RESPError) as caught:
        decode(wire, requests=True)
    assert caught.value.rule == "resp-request-form"


def test_a_long_string_that_comes_in_pieces_is_copied_once() -> None:
    decoder = Decoder()
    decoder.feed(b"$1000000\r\n")
    for _ in range(1000):
        decoder.feed(b"x" * 1000)
        assert decoder.next() is NEED
    decoder.feed(b"\r\n")
    assert decoder.next() == b"x" * 1_000_000


def test_arguments_are_text_bytes_and_numbers() -> None:
    assert command("SET", "käse", b"\xff", 1, 0.5) == [
        *(b"SET", "käse".encode(), b"\xff", b"1", b"0.5"),
    ]
    with pytest.raises(TypeError, match="str, bytes, int or float, not bool"):
        command("SET", "key", True)


def test_what_resp_has_no_form_for_cannot_be_encoded() -> None:
    with pytest.raises(TypeError, match="RESP has no set"):
        encode_value({1, 2})
    with pytest.raises(ValueError, match="a line break"):
        encode_value("a\r\n+injected")
    with pytest.raises(ValueError, match="a line break"):
        encode_value(ErrorReply("ERR", "a\nb"))


@pytest.mark.parametrize(
    ("value", "version", "wire"),
    [
        (True, 3, b"#t\r\n"), (False, 3, b"#f\r\n"), (True, 2, b":1\r\n"), (False, 2, b":0\r\n"),
        (2**63 - 1, 3, b":9223372036854775807\r\n"), (2**63, 3, b"(9223372036854775808\r\n"),
        (-(2**63) - 1, 3, b"(-9223372036854775809\r\n"), (1.5, 3, b",1.5\r\n"),
        (1.5, 2, b"$3\r\n1.5\r\n"),
    ],
)  # fmt: skip
def test_numbers_have_the_forms_of_their_version(value: Any, version: int, wire: bytes) -> None:
    assert encode_value(value, version) == wire
