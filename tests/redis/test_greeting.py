"""How a connection begins: version, user, database, and the end of the one before."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.redis import ErrorReply, RedisError
from rawsio.redis.address import parse_url
from rawsio.redis.greeting import greet

UNKNOWN = ErrorReply("ERR", "unknown command")


def conversation(
    url: str, replies: list[Any], version: int = 3, ghost: Any = None
) -> tuple[list[str], int | None]:
    """Return the commands that are given for these replies, and the number in the end."""
    greeting = greet(parse_url(url), version, "me", ghost)
    given: list[str] = []
    rest = iter([None, *replies])
    try:
        while True:
            args = greeting.send(next(rest))
            given.append(b" ".join(args).decode())
    except StopIteration as end:
        assert next(rest, "nothing") == "nothing"
        return given, end.value


@pytest.mark.parametrize(
    ("url", "version", "replies", "given", "number"),
    [
        ("redis://x", 3, [{b"id": 7}], ["HELLO 3 SETNAME me"], 7),
        ("redis://x", 3, [{}], ["HELLO 3 SETNAME me"], None),
        (
            "redis://:pw@x/2",
            3,
            [{b"id": 7}, "OK"],
            ["HELLO 3 AUTH default pw SETNAME me", "SELECT 2"],
            7,
        ),
        (
            "redis://ann:pw@x",
            3,
            [UNKNOWN, "OK", 8],
            ["HELLO 3 AUTH ann pw SETNAME me", "AUTH ann pw", "CLIENT ID"],
            8,
        ),
        ("redis://:pw@x", 2, ["OK", 9], ["AUTH pw", "CLIENT ID"], 9),
        ("redis://x", 2, [UNKNOWN], ["CLIENT ID"], None),
    ],
)
def test_a_greeting_says_what_the_url_has_in_the_version_that_the_server_knows(
    url: str, version: int, replies: list[Any], given: list[str], number: int | None
) -> None:
    assert conversation(url, replies, version) == (given, number)


@pytest.mark.parametrize("refusal", [1, 0, ErrorReply("NOPERM", "no permission")])
def test_the_ghost_of_the_last_connection_is_ended_where_that_is_allowed(refusal: Any) -> None:
    given, number = conversation("redis://x", [{b"id": 8}, refusal], ghost=(7, "10.0.0.1:4000"))
    assert given[1:] == ["CLIENT KILL ID 7 ADDR 10.0.0.1:4000"]
    assert number == 8


@pytest.mark.parametrize("code", ["WRONGPASS", "NOAUTH", "NOPERM"])
def test_who_is_refused_is_told_why(code: str) -> None:
    with pytest.raises(RedisError, match="not you") as caught:
        conversation("redis://:pw@x", [ErrorReply(code, "not you")])
    assert caught.value.code == code
