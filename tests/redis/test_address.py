"""URLs of Redis."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.redis import RedisAddress, parse_url


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
    ],
)
def test_what_is_no_url_of_redis_is_refused_in_words(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_url(url)


def test_the_password_is_never_shown() -> None:
    for url in ("redis://:secret@h", "redis://u:secret@[::1]/1", "unix:///p?db=1"):
        assert "secret" not in parse_url(url).shown
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is what is tested
        parse_url("redis://:secret@h:port")
    assert "secret" not in str(caught.value)


def test_an_address_of_version_6_is_shown_in_brackets() -> None:
    assert parse_url("rediss://[::1]:7000/15").shown == "rediss://[::1]:7000/15"
    assert parse_url("redis://db").shown == "redis://db:6379/0"
