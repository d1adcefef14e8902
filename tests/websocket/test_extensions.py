"""The grammar of Sec-WebSocket-Extensions."""

from __future__ import annotations

import pytest

from rawsio.errors import HTTPError
from rawsio.websocket.extensions import parse_extensions


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], []),
        (["a"], [("a", [])]),
        (["a, b", "c"], [("a", []), ("b", []), ("c", [])]),
        (["a;b;c=d"], [("a", [("b", None), ("c", "d")])]),
        ([" a ; b = c\t,d "], [("a", [("b", "c")]), ("d", [])]),
        (['a; b="c"'], [("a", [("b", "c")])]),
        (['a; b="\\c"'], [("a", [("b", "c")])]),
        ([",, a,,"], [("a", [])]),
        (["a; b; b=1; B"], [("a", [("b", None), ("b", "1"), ("B", None)])]),
        (["constructor, __proto__; __class__"],
         [("constructor", []), ("__proto__", [("__class__", None)])]),
    ],
)  # fmt: skip
@pytest.mark.rule("6455-9.1-grammar")
def test_lists_are_read(lines: list[str], found: object) -> None:
    assert parse_extensions(lines) == found


@pytest.mark.rule("6455-9.1-grammar")
@pytest.mark.parametrize(
    "line",
    ["", " ", ",", ";", "a;", "a; ", "a;;b", "a b", "a;b=", "a;=c", 'a;b="c', 'a;b="c d"',
     'a;b=""', 'a;b="c,d"', "a/b", "a;b=c d", "\u00e9", "a\x0b", "a;b\x85", 'a;b="\\', "a=b",
     'a;b="c"d', "a\n"],
)  # fmt: skip
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(HTTPError) as caught:
        parse_extensions([line])
    assert (caught.value.rule, caught.value.code) == ("6455-9.1-grammar", 400)


@pytest.mark.parametrize(
    "line",
    [
        "a" + " " * 20_000 + "b",
        "a;" + " " * 20_000 + "b" + " " * 20_000 + "c",
        "a" + ";b" * 10_000 + " x",
        'a;b="' + "\\" * 20_001,
        "a," * 10_000 + "=",
        "a" * 20_000 + "/",
    ],
)
def test_hostile_lines_take_linear_time(line: str) -> None:
    """The time of an expression that can read a text in many ways would have no end here."""
    with pytest.raises(HTTPError):
        parse_extensions([line])


def test_a_thousand_offers_are_read() -> None:
    assert len(parse_extensions(["permessage-deflate; server_max_window_bits=7"] * 1000)) == 1000
