"""Addresses as text, and the checksum of the Internet."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.addresses import address_text, checksum


@given(st.ip_addresses())
def test_addresses_look_as_python_writes_them(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is None:
        assert address_text(address.packed) == str(address)


def test_other_addresses_are_shown_in_hex() -> None:
    assert address_text(bytes(range(6))) == "00:01:02:03:04:05"


@given(st.binary(max_size=40))
def test_the_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    total = 0
    for at in range(0, len(even), 2):
        total += even[at] << 8 | even[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == ~total & 0xFFFF
    assert checksum(even + checksum(even).to_bytes(2, "big")) in (0, 0xFFFF if not any(even) else 0)
