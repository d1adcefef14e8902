"""Payloads of protocol 3: text, binary and JSONP, with the bytes of its test suite."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.engineio import payloads_v3 as v3
from rawsio.errors import EngineIOError
from rawsio.explain import explain_payload
from tests.explain.agreement import agrees, well_formed

from .strategies import binaries, texts

SUITE = bytes.fromhex("00 06 ff 34 68 65 6c 6c 6f 01 05 ff 04 01 02 03 04")


@pytest.mark.rule("engineio-v3-payload-text")
@pytest.mark.parametrize(
    ("packets", "wire"),
    [
        (["4hello"], "6:4hello"),
        (["4test1", "4test2"], "6:4test16:4test2"),
        (["4€"], "2:4€"),
        (["4😀"], "3:4😀"),
        (["2"], "1:2"),
        ([], "0:"),
    ],
)
def test_lengths_in_text_count_utf_16_code_units(packets: list[Any], wire: str) -> None:
    assert v3.encode_payload(packets) == (wire.encode(), False)
    assert v3.decode_text(wire.encode(), 10) == (packets or [""])


@pytest.mark.rule("engineio-v3-payload-base64")
def test_a_binary_packet_is_b4_and_base64_for_who_asked_for_text() -> None:
    assert v3.encode_payload([b"\x04\x01\x02\x03\x04"], base64=True) == (b"10:b4AQIDBA==", False)
    assert v3.encode_payload(["b4AQIDBA=="]) == (b"10:b4AQIDBA==", False)


@pytest.mark.rule("engineio-v3-payload-binary")
def test_a_payload_with_a_binary_packet_has_the_binary_form() -> None:
    packets: list[Any] = ["4hello", b"\x04\x01\x02\x03\x04"]
    assert v3.encode_payload(packets) == (SUITE, True)
    assert v3.decode_binary(SUITE, 10) == packets


class Ready:
    def packets(self, revision: int) -> tuple[str | bytes, ...]:
        assert revision == 3
        return ("451-[]", b"\x04\x01")


def test_a_prepared_packet_brings_its_packets_of_protocol_3() -> None:
    assert v3.encode_payload([Ready()], base64=True)[0] == b"6:451-[]6:b4AQ=="


@pytest.mark.rule("engineio-v3-payload-length")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"4hello",
        b":4",
        b"5:4",
        b"-1:4",
        b"+1:4",
        b" 1:4",
        b"1 :4",
        b"1:4x",
        "٣:4ab".encode(),
        b"99999999999:4",
        b"9999999999:4",
        b"2:4\xf0\x9f\x98\x80",
    ],
)
def test_a_length_that_is_wrong_is_refused(body: bytes) -> None:
    with pytest.raises(EngineIOError) as caught:
        v3.decode_text(body, 10)
    assert caught.value.rule == "engineio-v3-payload-length"
    agrees(explain_payload(body, revision=3, binary=False), caught.value.rule)


@pytest.mark.rule("engineio-v3-payload-binary")
@pytest.mark.parametrize(
    "body", ["", "00", "00 01", "00 ff", "02 01 ff 34", "00 0a ff 34", "00 02 ff 34", "00" * 30]
)
def test_a_binary_payload_that_is_wrong_is_refused(body: str) -> None:
    with pytest.raises(EngineIOError) as caught:
        v3.decode_binary(bytes.fromhex(body), 10)
    assert caught.value.rule == "engineio-v3-payload-binary"
    agrees(explain_payload(bytes.fromhex(body), revision=3, binary=True), caught.value.rule)


@pytest.mark.parametrize("decode", [v3.decode_text, v3.decode_binary])
def test_more_packets_than_allowed_are_refused(decode: Any) -> None:
    body = b"0:" * 11 if decode is v3.decode_text else b"\x00\x00\xff" * 11
    with pytest.raises(EngineIOError) as caught:
        decode(body, 10)
    assert caught.value.rule == "engineio-v4-payload-count"
    assert len(decode(body, 11)) == 11


def test_text_that_is_not_utf_8_is_refused() -> None:
    for decode, body in ((v3.decode_text, b"1:\xff"), (v3.decode_binary, b"\x00\x01\xff\xff")):
        with pytest.raises(EngineIOError) as caught:
            decode(body, 10)
        assert caught.value.rule == "engineio-v4-payload-utf8"


@given(st.lists(st.one_of(texts, binaries.map(lambda b: b"\x04" + b)), min_size=1, max_size=4))
def test_packets_come_back_from_either_form(packets: list[Any]) -> None:
    body, binary = v3.encode_payload(packets)
    assert (v3.decode_binary if binary else v3.decode_text)(body, 10) == packets


@given(st.binary(max_size=30))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for binary in (True, False, None):
        well_formed(explain_payload(body, revision=3, binary=binary))
    for decode in (v3.decode_text, v3.decode_binary):
        try:
            assert isinstance(decode(body, 5), list)
        except EngineIOError:
            continue


@pytest.mark.rule("engineio-v3-jsonp-answer")
def test_jsonp_is_a_call_in_ascii_with_line_separators_escaped() -> None:
    body = v3.encode_jsonp('5:4"\u2028\u2029\\'.encode(), "7")
    assert body == b'___eio[7]("5:4\\"\\u2028\\u2029\\\\");'


@pytest.mark.rule("engineio-v3-jsonp-body")
@pytest.mark.parametrize(
    ("form", "payload"),
    [(r"a\nb", b"a\nb"), (r"a\\nb", rb"a\nb"), ("a\\b", rb"a\b"), (r"\n\n", b"\n\n")],
)
def test_line_ends_in_a_jsonp_post_are_unescaped(form: str, payload: bytes) -> None:
    assert v3.decode_jsonp(form) == payload


def test_a_jsonp_post_without_its_field_is_refused() -> None:
    with pytest.raises(EngineIOError) as caught:
        v3.decode_jsonp(None)
    assert caught.value.rule == "engineio-v3-jsonp-body"


@pytest.mark.rule("engineio-v3-payload-text")
def test_characters_of_two_units_cost_no_calls_of_their_own() -> None:
    def calls(count: int) -> int:
        """Return how many functions are called to read a packet of so many of them."""
        body = v3.encode_payload(["4" + "\U0001f600" * count])[0]
        counted = 0

        def count_call(_frame: Any, _event: str, _arg: Any) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count_call)
        try:
            found = v3.decode_text(body, 1)
        finally:
            sys.setprofile(None)
        assert found == ["4" + "\U0001f600" * count]
        return counted

    calls(1)
    assert calls(1000) == calls(1)


@pytest.mark.rule("engineio-v3-payload-length")
@pytest.mark.parametrize(
    "body", ["2:4\U0001f600", "5:4\U0001f600", "3:4\U0001f600;1:2", "3:4\U0001f600:"]
)
def test_wrong_lengths_are_refused_where_characters_have_two_units(body: str) -> None:
    with pytest.raises(EngineIOError, match="preceded by its length"):
        v3.decode_text(body.encode(), 10)
