"""Packets made up around bytes: read again by our own reader of captures."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.capture import read_capture
from rawsio.explain.fields import walk
from rawsio.explain.network import explain_link
from rawsio.explain.traffic import Traffic
from rawsio.layer import Role
from rawsio.tracing.pcapng import SEGMENT, Packets, begin

C, S = Role.CLIENT, Role.SERVER
ENDS = [
    (("10.0.0.1", 5000), ("10.0.0.2", 80)),
    (("::1", 5000), ("::2", 80)),
    (("127.0.0.1", 5000), ("localhost", 80)),
]


def packets(file: bytes) -> list[bytes]:
    return [captured.data for captured in read_capture(io.BytesIO(file).read)]


@pytest.mark.parametrize(("client", "server"), ENDS)
@given(said=st.lists(st.tuples(st.sampled_from(Role), st.binary(max_size=40)), max_size=6))
def test_the_bytes_are_those_of_the_streams(
    client: tuple[str, int], server: tuple[str, int], said: list[tuple[Role, bytes]]
) -> None:
    file = [begin()]
    made = Packets(client, server, file.append)
    made.open(1.0)
    for who, data in said:
        made.data(who, data, 2.5, "what it is")
    made.end(C, 3.0)
    made.end(C, 3.0)
    made.end(S, 3.0)
    traffic = Traffic()
    for captured in read_capture(io.BytesIO(b"".join(file)).read):
        traffic.packet(captured)
        checks = [f.meaning for f in walk(explain_link(captured.data, 101).tree)
                  if "checksum" in f.name]  # fmt: skip
        assert set(checks) == {"right"}
    traffic.finish()
    (connection,) = traffic.connections
    for who in Role:
        size = sum(len(data) for sender, data in said if sender is who)
        assert connection.directions[who].size == size
        assert connection.directions[who].oddities() == []
    assert connection.over


def test_long_data_is_cut_and_the_comment_is_on_its_first_packet() -> None:
    file = [begin()]
    made = Packets(*ENDS[0], file.append)
    made.data(C, bytes(2 * SEGMENT + 1), 7.25, "héllo")
    found = list(read_capture(io.BytesIO(b"".join(file)).read))
    assert [len(p.data) - 40 for p in found] == [SEGMENT, SEGMENT, 1]
    assert [p.comment for p in found] == ["héllo", "", ""]
    assert found[0].time == 7_250_000_000


def test_a_reset_is_written_once() -> None:
    file = [begin()]
    made = Packets(*ENDS[0], file.append)
    made.reset(S, 1.0)
    made.reset(C, 1.0)
    made.end(C, 1.0)
    (packet,) = packets(b"".join(file))
    assert explain_link(packet, 101).tree.fields[-1].value == "80 to 5000, RST ACK, 0 bytes"
