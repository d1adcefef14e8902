"""Slots of a Redis Cluster: those that ``CLUSTER KEYSLOT`` of Redis 7 gives."""

from __future__ import annotations

import pytest

from rawsio.redis.slots import moved_to, slot_of


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        (b"foo", 12182),
        (b"123456789", 12739),
        (b"", 0),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
        (b"foo{}{bar}", 8363),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar}{zap}", 5061),
    ],
)
def test_slots_are_those_of_redis(name: bytes, slot: int) -> None:
    assert slot_of(name) == slot


@pytest.mark.parametrize("text", ["", "1", "1 host", "1 host:", "1 host:x", "1 host:70000"])
def test_what_names_no_server_is_none(text: str) -> None:
    assert moved_to(text, "db") is None


def test_an_address_of_ipv6_loses_its_brackets() -> None:
    assert moved_to("1 [::1]:6379", "db") == ("::1", 6379)
