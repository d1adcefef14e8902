"""Link headers, IPv4 and IPv6."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.fields import Field, walk
from rawsio.explain.fragments import Fragment
from rawsio.explain.network import explain_link

from .agreement import well_formed
from .packets import ethernet, ip, tcp, udp

A, B = ("10.0.0.1", 50000), ("10.0.0.2", 80)
SEGMENT = tcp(A, B, 7, b"hello", ack=9)


def names(tree: Field) -> list[str]:
    return [field.name for field in tree.fields]


def value(tree: Field, name: str) -> tuple[str, str]:
    found = next(field for field in walk(tree) if field.name == name)
    return found.value, found.meaning


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (1, bytes(12) + b"\x08\x00"),
        (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
        (0, b"\x02\0\0\0"),
        (108, b"\0\0\0\x02"),
        (101, b""),
        (113, b"\0\x04\x00\x01\x00\x06" + bytes(8) + b"\x08\x00"),
        (276, b"\x08\x00\0\0\0\0\0\x01\x00\x01\x04\x06" + bytes(8)),
    ],
)
def test_every_link_type_leads_to_the_segment_in_it(link: int, header: bytes) -> None:
    packet = explain_link(header + SEGMENT, link)
    well_formed(packet.tree)
    assert packet.segment is not None
    assert packet.segment.data == b"hello"
    assert names(packet.tree)[-2:] == ["IPv4", "TCP"]


def test_the_padding_of_ethernet_is_no_payload() -> None:
    packet = explain_link(ethernet(tcp(A, B, 7, b"x", ack=9)), 1)
    assert packet.segment is not None
    assert packet.segment.data == b"x"
    assert names(packet.tree) == ["Ethernet", "IPv4", "TCP", "padding"]


def test_ipv6_with_extension_headers_is_read() -> None:
    one, two = ("::1", 1), ("fe80::2", 2)
    plain = tcp(one, two, 5, b"hi", ack=1)
    packet = explain_link(plain, 101)
    assert packet.segment is not None
    assert packet.segment.source == ("::1", 1)
    assert value(packet.tree, "checksum")[1] == "right"
    hops = ip("::1", "fe80::2", 0, b"\x06\0" + bytes(6) + plain[40:])
    assert names(explain_link(hops, 101).tree) == ["IPv6", "hop by hop options", "TCP"]


def test_a_fragment_is_named_with_its_place() -> None:
    raw = bytearray(ip("10.0.0.1", "10.0.0.2", 6, b"x" * 24))
    raw[6:8] = b"\x20\x03"
    packet = explain_link(bytes(raw), 101)
    assert packet.segment is None
    assert packet.tree.fields[-1].meaning == "bytes 24 to 48 of a packet that was cut"
    assert packet.fragment == Fragment(("10.0.0.1", "10.0.0.2", 1, 6), 24, True, b"x" * 24)


def test_wrong_checksums_and_other_protocols_are_said() -> None:
    raw = bytearray(ip("10.0.0.1", "10.0.0.2", 1, b"ping"))
    assert value(explain_link(bytes(raw), 101).tree, "header checksum")[1] == "right"
    assert names(explain_link(bytes(raw), 101).tree) == ["IPv4", "ICMP"]
    raw[8] = 1
    assert value(explain_link(bytes(raw), 101).tree, "header checksum")[1].startswith("wrong")
    assert explain_link(b"x", 9999).tree.meaning.startswith("of link type 9999")
    assert names(explain_link(udp(A, B, b"hi"), 101).tree) == ["IPv4", "UDP"]


@given(
    st.sampled_from([0, 1, 101, 108, 113, 276]),
    st.sampled_from([b"", SEGMENT, ethernet(SEGMENT), tcp(("::1", 1), ("::2", 2), 1, b"x")]),
    st.binary(max_size=60),
    st.integers(0, 80),
)
def test_any_bytes_give_a_tree(link: int, start: bytes, more: bytes, cut: int) -> None:
    well_formed(explain_link((start + more)[:cut], link).tree)
    well_formed(explain_link(more + start[:cut], link).tree)
