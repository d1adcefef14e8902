"""Packets and payloads of protocol 4, in bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.engineio import packets as p
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.explain import explain_engineio, explain_payload
from rawsio.layer import Role
from tests.explain.agreement import agrees

from .strategies import binaries, opened, texts_for_polling


@pytest.mark.rule("engineio-v4-handshake-keys")
def test_the_open_packet_has_exactly_the_five_keys_in_compact_json() -> None:
    packet = p.encode_open(p.Opened("lv_VI97HAXpY6yYWAAAC", ("websocket",), 25.0, 20.0, 1000000))
    assert packet == (
        '0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,'
        '"pingTimeout":20000,"maxPayload":1000000}'
    )
    assert list(json.loads(packet[1:])) == [
        "sid",
        "upgrades",
        "pingInterval",
        "pingTimeout",
        "maxPayload",
    ]


@pytest.mark.rule("engineio-v4-handshake-milliseconds")
@pytest.mark.parametrize(("seconds", "wire"), [(0.3, 300), (0.001, 1), (1.005, 1005), (25, 25000)])
def test_times_below_a_second_are_announced_as_they_are(seconds: float, wire: int) -> None:
    packet = p.encode_open(p.Opened("a", (), seconds, seconds, 1))
    assert f'"pingInterval":{wire},"pingTimeout":{wire},' in packet


@given(opened)
def test_an_open_packet_is_read_as_it_was_written(event: p.Opened) -> None:
    assert p.decode_open(p.encode_open(event)[1:]) == event


@pytest.mark.parametrize("sid", ["", 'a"b', "a\\b", "a b", "é", "a\n", "x" * 513])
def test_an_id_that_json_would_escape_is_not_sent(sid: str) -> None:
    with pytest.raises(LocalProtocolError):
        p.encode_open(p.Opened(sid, (), 1.0, 1.0, 1))


@pytest.mark.rule("engineio-v4-handshake-open")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"sid":"","upgrades":[],"pingInterval":1,"pingTimeout":1}',
        '{"sid":1,"upgrades":[],"pingInterval":1,"pingTimeout":1}',
        '{"sid":"a b","upgrades":[],"pingInterval":1,"pingTimeout":1}',
        '{"sid":"a","upgrades":"websocket","pingInterval":1,"pingTimeout":1}',
        '{"sid":"a","upgrades":[],"pingInterval":-1,"pingTimeout":1}',
        '{"sid":"a","upgrades":[],"pingInterval":NaN,"pingTimeout":1}',
        '{"sid":"a","upgrades":[],"pingInterval":Infinity,"pingTimeout":1}',
        '{"sid":"a","upgrades":[],"pingInterval":true,"pingTimeout":1}',
        '{"sid":"a","upgrades":[],"pingInterval":1}',
        '{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1,"maxPayload":"x"}',
        '{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":' + "1" * 5000 + "}",
        '{"sid":' + "[" * 20000,
        '{"sid":"' + "a" * 20000 + '"}',
    ],
)
def test_an_open_packet_that_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(EngineIOError) as caught:
        p.decode_open(text)
    assert caught.value.rule == "engineio-v4-handshake-open"
    agrees(explain_engineio("0" + text, sender=Role.SERVER), caught.value.rule)


def test_upgrades_and_keys_that_nobody_knows_are_passed_over() -> None:
    text = '{"sid":"a","upgrades":["x",1],"pingInterval":1,"pingTimeout":2,"new":[]}'
    assert p.decode_open(text) == p.Opened("a", ("x",), 0.001, 0.002, 0)


@pytest.mark.rule("engineio-v4-payload-separator")
def test_a_payload_is_its_packets_with_the_separator_between() -> None:
    assert p.encode_payload(["4hello", "2", "4€"]) == "4hello\x1e2\x1e4€".encode()
    assert p.encode_payload(["6"]) == b"6"
    assert p.decode_payload(b"4hello\x1e2\x1e", 5) == ["4hello", "2", ""]


@pytest.mark.rule("engineio-v4-payload-binary")
def test_a_binary_message_is_b_and_base64_in_a_payload() -> None:
    assert p.encode_payload([b"\x01\x02\x03\x04"]) == b"bAQIDBA=="
    assert p.encode_payload([b""]) == b"b"


class Ready:
    payload = "451-[]\x1ebAQ=="


def test_a_prepared_packet_brings_its_part_of_the_payload() -> None:
    assert p.encode_payload(["2", Ready()]) == b"2\x1e451-[]\x1ebAQ=="


@pytest.mark.rule("engineio-v4-payload-count")
def test_a_payload_of_separators_is_refused_before_it_is_cut() -> None:
    with pytest.raises(EngineIOError) as caught:
        p.decode_payload(b"\x1e" * 100_000, 1000)
    assert caught.value.rule == "engineio-v4-payload-count"
    agrees(explain_payload(b"\x1e" * 100_000), caught.value.rule)
    assert len(p.decode_payload(b"\x1e" * 999, 1000)) == 1000


@pytest.mark.rule("engineio-v4-payload-utf8")
@pytest.mark.parametrize("body", [b"4\xff", b"4\xc0\x80", b"4\xed\xa0\x80", b"4\xf4\x90\x80\x80"])
def test_a_payload_that_is_not_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(EngineIOError) as caught:
        p.decode_payload(body, 10)
    assert caught.value.rule == "engineio-v4-payload-utf8"
    agrees(explain_payload(body), caught.value.rule)


@pytest.mark.rule("engineio-v4-payload-base64")
@pytest.mark.parametrize("text", ["A", "AQI", "AQID=", "AQ=I", "=", "A Q=", "AQ==\n", "é", "AQ-_"])
def test_junk_is_not_taken_for_base64(text: str) -> None:
    with pytest.raises(EngineIOError) as caught:
        p.decode_base64(text)
    assert caught.value.rule == "engineio-v4-payload-base64"
    agrees(explain_engineio("b" + text), caught.value.rule)


BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


@pytest.mark.rule("engineio-v4-payload-base64")
@given(st.text("A/9=?é\n", max_size=12))
def test_what_is_base64_is_judged_as_its_grammar_has_it(text: str) -> None:
    if BASE64.fullmatch(text):
        p.decode_base64(text)
    else:
        with pytest.raises(EngineIOError):
            p.decode_base64(text)


@given(binaries)
def test_base64_is_read_as_it_was_written(data: bytes) -> None:
    assert p.decode_base64(p.encode_base64(data)) == data


@given(st.lists(texts_for_polling, min_size=1, max_size=5))
def test_texts_come_back_from_a_payload(texts: list[str]) -> None:
    packets: list[Any] = ["4" + text for text in texts]
    assert p.decode_payload(p.encode_payload(packets), 10) == packets


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        ("\ud83d\ude00", "😀".encode()),
        ("\ud83d", b"\xef\xbf\xbd"),
        ("a\udc00b", b"a\xef\xbf\xbdb"),
    ],
)
def test_half_a_surrogate_pair_never_breaks_the_writer(text: str, wire: bytes) -> None:
    assert p.encode_text(text) == wire
    assert p.encode_payload(["4" + text]) == b"4" + wire
