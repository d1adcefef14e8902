"""TCP segments and UDP datagrams."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.fields import walk
from rawsio.explain.network import explain_link

from .agreement import well_formed
from .packets import SYN, ip, tcp, udp

A, B = ("10.0.0.1", 50000), ("10.0.0.2", 53)


def test_a_segment_is_taken_apart() -> None:
    packet = explain_link(tcp(A, B, 7, b"hello", ack=9, flags=SYN), 101)
    field = packet.tree.fields[-1]
    assert field.value == "50000 to 53, SYN ACK, 5 bytes"
    assert {f.name: f.value for f in field.fields}["sequence number"] == "7"
    assert next(f for f in field.fields if f.name == "checksum").meaning == "right"
    assert packet.segment is not None
    assert (packet.segment.seq, packet.segment.ack, packet.segment.data) == (7, 9, b"hello")


def test_options_are_named_and_broken_ones_end_the_list() -> None:
    options = b"\x02\x04\x05\xb4\x01\x03\x03\x07\x08\x0a\0\0\0\x01\0\0\0\x02\x05\x01"
    head = struct.pack(">HHIIBBHHH", 1, 2, 3, 4, 0xA0, 2, 5, 0, 0) + options
    packet = explain_link(ip("10.0.0.1", "10.0.0.2", 6, head), 101)
    well_formed(packet.tree)
    found = next(f for f in walk(packet.tree) if f.name == "options").fields
    assert [(f.name, f.value) for f in found] == [
        ("maximum segment size", "1460"), ("no operation", ""), ("window scale", "7"),
        ("timestamps", "1, 2"), ("option", "05 01"),
    ]  # fmt: skip


def test_a_datagram_to_the_dns_port_is_a_message_of_dns() -> None:
    query = bytes.fromhex("1234 0100 0001 0000 0000 0000 0161 0162 00 0001 0001")
    tree = explain_link(udp(A, B, query), 101).tree
    well_formed(tree)
    assert next(f for f in walk(tree) if f.name == "DNS").value == "question A a.b"


@given(st.sampled_from([6, 17]), st.binary(max_size=70))
def test_any_payload_gives_a_tree(protocol: int, payload: bytes) -> None:
    well_formed(explain_link(ip("10.0.0.1", "10.0.0.2", protocol, payload), 101).tree)
    well_formed(explain_link(ip("::1", "::2", protocol, payload), 101).tree)
