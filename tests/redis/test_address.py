"""URLs of Redis."""

from __future__ import annotations

from traceback import format_exception
from typing import Any

import pytest

from rawsio.redis import RedisAddress, RedisOptions, parse_url


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://localhost", {"host": "localhost"}),
        ("redis://[::1]:7000/15", {"host": "::1", "port": 7000, "database": 15}),
        ("redis://h?db=2", {"host": "h", "database": 2}),
        (
            "rediss://a%3Ab:c%2Fd@h/",
            {"host": "h", "secure": True, "username": "a:b", "password": "c/d"},
        ),
    ],
)
def test_the_parts_of_a_url(url: str, parts: dict[str, Any]) -> None:
    assert parse_url(url) == RedisAddress(**parts)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost", "redis://, rediss:// or unix:// is expected, not 'http'"),
        ("localhost:6379", "not 'localhost'"),
        ("127.0.0.1", "not 'no scheme'"),
        ("redis://", "names no host"),
        ("redis://h:99999", "no number up to 65535"),
        ("redis://h/x", "the database of Redis is a number"),
        ("redis://h/²", "the database of Redis is a number"),
        ("redis://h?timeout=3", "no parameter 'timeout'"),
        ("unix://", "a path is expected"),
        ("unix:///run/redis\0.sock", "no control characters"),
        ("unix:///run/redis%00.sock", "no control characters"),
        ("redis://a b", "no spaces"),
    ],
)
def test_what_is_no_url_of_redis_is_refused_in_words(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@h",
        "redis://u:secret@[::1]/1",
        "rediss://u:s%65cret%40@h:6380/3",
        "unix://:secret@/p?db=1",
        "redis://secret@h",
    ],
)
def test_an_address_shows_no_password(url: str) -> None:
    address = parse_url(url)
    shown = [address.shown, str(address.at("other", 1).shown)]
    if address.password:
        shown += [repr(address), str(address), f"{[address]}", repr(address.at("other", 1))]
    for text in shown:
        assert "secret" not in text
        assert "s%65cret" not in text


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@h:port",
        "redis://:12/secret@h",
        "redis://u:12/secret@h",
        "redis://u:1?secret@h",
        "redis://u:secret#1@h",
        "redis://u:se/secret@h",
        "redis://u:secret@ho\u2100st",
        "redis://u:secret@[::1",
        "rediss://u:secret%40@h/x@y",
        "http://u:secret@h",
        "secret@h",
        "unix://u:secret@h",
        b"redis://u:secret@h",
        ["redis://u:secret@h"],
    ],
)
def test_a_url_that_is_refused_is_not_shown_nor_is_what_python_says_of_it(url: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        parse_url(url)
    assert "secret" not in "".join(format_exception(caught.value))


def test_a_url_in_the_place_of_options_is_not_shown() -> None:
    with pytest.raises(TypeError, match="not a str") as caught:
        RedisOptions.of("redis://u:secret@h")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_an_address_of_version_6_is_shown_in_brackets() -> None:
    assert parse_url("rediss://[::1]:7000/15").shown == "rediss://[::1]:7000/15"
    assert parse_url("redis://db").shown == "redis://db:6379/0"
