"""Captures: connections found, put together, and taken apart."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import traffic as traffics
from rawsio.explain.capture import Captured, read_capture
from rawsio.explain.traffic import GRACE, Seen, Traffic
from rawsio.layer import Role

from .packets import FIN, RST, SYN, Talk, ethernet, fragments, pcap, pcapng, udp

C, S = Role.CLIENT, Role.SERVER
GET = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n42["chat","hi"]'


def seen(packets: list[bytes], link: int = 101) -> tuple[list[Seen], Traffic]:
    traffic = Traffic()
    found: list[Seen] = []
    for captured in read_capture(io.BytesIO(pcapng(packets, link)).read):
        found += traffic.packet(captured)
    return found + traffic.finish(), traffic


def summaries(found: list[Seen]) -> list[str]:
    return [one.item.summary for one in found]


WHOLE = [
    "handshake: request head GET /socket.io/?EIO=4&transport=polling",
    "answer to the handshake: response head 200 OK",
    'body 15 bytes: message: EVENT "chat" in /',
]


def test_a_connection_is_followed_from_its_handshake_to_its_end() -> None:
    talk = Talk().open().say(C, GET[:20], GET[20:]).say(S, OK).close()
    found, traffic = seen([ethernet(p) for p in talk.packets], 1)
    assert summaries(found) == WHOLE
    (connection,) = traffic.connections
    sizes = f"{len(GET)} bytes out, {len(OK)} in"
    assert connection.summary() == (
        f"10.0.0.1:50000 to 10.0.0.2:80  http, 9 packets, {sizes}, closed"
    )
    assert [one.packet.number for one in found if one.packet] == [5, 6, 6]
    assert found[0].tree is not None


@pytest.mark.parametrize("ends", [("10.0.0.1", "10.0.0.2"), ("fe80::1", "fe80::2")])
def test_packets_that_were_cut_are_put_together(ends: tuple[str, str]) -> None:
    talk = Talk(client=(ends[0], 5), server=(ends[1], 6)).open().say(C, GET).say(S, OK)
    packets = talk.packets[:3]
    for number, packet in enumerate(talk.packets[3:]):
        packets += reversed(fragments(packet, 32, number))
    found, traffic = seen(packets)
    assert summaries(found) == WHOLE
    assert traffic.others == len(packets) - 5
    tree = found[0].tree
    assert tree is not None
    joined = tree.fields[-1]
    assert joined.name == "packet put together"
    assert [field.name for field in joined.fields] == ["TCP"]
    assert len(traffic.fragments) == 0


def test_an_endless_capture_takes_no_endless_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffics, "CONNECTIONS", 5)
    monkeypatch.setattr(traffics, "LISTED", 20)
    packets = []
    for port in range(1, 101):
        talk = Talk(client=("10.0.0.1", port)).open().say(C, GET)
        talk.seq[C] += 1  # a hole, behind which something waits
        packets += talk.say(C, b"waits").packets
    _, traffic = seen(packets)
    assert (traffic.seen, len(traffic.connections)) == (100, 20)
    assert [c.number for c in traffic.connections] == list(range(80, 100))
    lines = {connection.summary().partition("  ")[2][:15] for connection in traffic.connections}
    assert lines == {"http, 5 packets"}
    gone = traffic.connections[0]
    assert not gone.directions[C]._held


def test_a_fragment_that_is_missing_is_told() -> None:
    talk = Talk().open().say(C, GET)
    found, traffic = seen(talk.packets[:3] + fragments(talk.packets[3], 32, 7)[1:])
    assert (summaries(found), len(traffic.fragments)) == ([], 1)


@given(st.randoms(use_true_random=False), st.booleans())
def test_segments_out_of_order_and_twice_change_nothing(order: random.Random, twice: bool) -> None:
    talk = Talk().open()
    talk.say(C, *[GET[at : at + 9] for at in range(0, len(GET), 9)])
    packets = talk.packets[3:] * (1 + twice)
    order.shuffle(packets)
    found, traffic = seen(talk.packets[:3] + packets)
    assert summaries(found) == WHOLE[:1]
    assert traffic.connections[0].directions[C].size == len(GET)


def test_a_hole_is_said_and_the_other_direction_goes_on() -> None:
    talk = Talk().open().say(C, GET[:20])
    talk.say(C, GET[20:30], GET[30:])
    del talk.packets[-2]
    talk.say(S, OK)
    found, traffic = seen(talk.packets)
    assert "missing 10 bytes" in summaries(found)
    assert "10 bytes missing" in traffic.connections[0].summary()
    assert summaries(found)[:2] == ["response head 200 OK", "body 15 bytes"]


def test_an_acknowledgement_before_its_data_is_waited_for() -> None:
    talk = Talk().open().say(C, GET).say(S, OK)
    talk.packets[3], talk.packets[4] = talk.packets[4], talk.packets[3]
    found, _ = seen(talk.packets)
    assert not [text for text in summaries(found) if text.startswith("missing")]
    quiet = Talk().open()
    quiet.put(C, GET)
    lost = quiet.packets.pop()
    quiet.say(S, *[OK[at : at + 1] for at in range(GRACE + 2)])
    assert f"missing {len(GET)} bytes" in summaries(seen(quiet.packets)[0])
    assert lost


def test_ports_that_are_used_again_are_another_connection() -> None:
    first = Talk().open().say(C, GET).say(S, OK).close()
    second = Talk()
    second.seq[C] = 77777
    second.open().say(C, GET)
    found, traffic = seen(first.packets + second.packets)
    assert [one.connection.number for one in found] == [0, 0, 0, 1]
    assert len(traffic.connections) == 2


def test_the_client_is_known_without_a_handshake() -> None:
    talk = Talk(client=("10.0.0.1", 80), server=("10.0.0.2", 50000)).say(C, GET).say(S, OK)
    found, traffic = seen(talk.packets)
    assert summaries(found) == WHOLE
    assert "began before the capture" in traffic.connections[0].summary()
    talk = Talk().say(S, OK)
    assert seen(talk.packets)[1].connections[0].server == ("10.0.0.2", 80)


def test_a_reset_and_other_protocols_are_counted() -> None:
    talk = Talk().open().say(C, GET)
    talk.put(S, flags=RST)
    _, traffic = seen([*talk.packets, udp(("10.0.0.1", 5), ("10.0.0.2", 6), b"x")])
    assert "reset" in traffic.connections[0].summary()
    assert (traffic.packets, traffic.others) == (6, 1)


@given(st.lists(st.binary(max_size=60), max_size=5), st.sampled_from([0, 1, 101, 113, 276, 7]))
def test_any_packets_are_taken(packets: list[bytes], link: int) -> None:
    traffic = Traffic()
    for number, packet in enumerate(packets):
        traffic.packet(Captured(number, 0, link, packet, len(packet)))
    traffic.finish()
    assert traffic.packets == len(packets)


def test_pcap_and_pcapng_give_the_same() -> None:
    talk = Talk(client=("::1", 5), server=("::2", 6)).open().say(C, GET).say(S, OK)
    talk.put(C, flags=FIN)
    traffic = Traffic()
    found: list[Seen] = []
    for captured in read_capture(io.BytesIO(pcap(talk.packets)).read):
        found += traffic.packet(captured)
    assert summaries(found) == summaries(seen(talk.packets)[0]) == WHOLE
    assert traffic.connections[0].summary().startswith("[::1]:5 to [::2]:6  http")
    assert SYN == 2
