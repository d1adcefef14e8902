"""Capture files: both formats, both byte orders, cut and lying ones."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.capture import BadCapture, is_capture, read_capture

from .packets import pcap, pcapng

PACKETS = [b"one", b"three", b""]


def read(data: bytes) -> list[tuple[int, int, bytes, int]]:
    assert is_capture(data)
    return [(p.number, p.time, p.data, p.link) for p in read_capture(io.BytesIO(data).read)]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_pcap_is_read_in_both_orders_and_units(order: str, magic: int, unit: int) -> None:
    assert read(pcap(PACKETS, 113, order, magic)) == [
        (n + 1, (1000 + n) * 10**9 + 5 * unit, data, 113) for n, data in enumerate(PACKETS)
    ]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_is_read_in_both_orders_with_comments(order: str) -> None:
    data = pcapng(PACKETS, 101, order, comment="é")
    assert read(data + data) == [
        (n + 1 + 3 * twice, (1000 + n) * 10**9 + 5, packet, 101)
        for twice in range(2)
        for n, packet in enumerate(PACKETS)
    ]
    assert [p.comment for p in read_capture(io.BytesIO(data).read)] == ["é"] * 3


@pytest.mark.parametrize("make", [pcap, pcapng])
def test_a_file_that_is_cut_gives_the_packets_before_and_says_where(make: object) -> None:
    data = make(PACKETS)  # type: ignore[operator]
    for size in range(4, len(data)):
        got: list[bytes] = []
        said = f"byte {size}"
        try:
            got.extend(packet.data for packet in read_capture(io.BytesIO(data[:size]).read))
        except BadCapture as error:
            said = str(error)
        assert f"byte {size}" in said
        assert got == PACKETS[: len(got)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a", "no pcap or pcapng file"),
        (pcap([]) + b"\0" * 8 + b"\xff\xff\xff\x7f" * 2, "packet 1 at byte 24 claims 2147483647"),
        (pcapng([])[:28] + b"\6\0\0\0\0\xff\xff\xff", "claims 4294967040 bytes"),
        (pcapng([b"x"])[:28] + pcapng([b"x"])[-36:], "does not fit its block"),
        (b"\x0a\x0d\x0d\x0a" + bytes(8), "no byte order"),
    ],
)
def test_a_file_that_lies_is_said_to(data: bytes, words: str) -> None:
    with pytest.raises(BadCapture, match=words):
        list(read_capture(io.BytesIO(data).read))


@given(st.binary(max_size=60), st.sampled_from([b"", pcap([]), pcapng([]), pcapng([])[:28]]))
def test_any_bytes_end_in_packets_or_in_bad_capture(data: bytes, start: bytes) -> None:
    with contextlib.suppress(BadCapture):
        list(read_capture(io.BytesIO(start + data).read))
