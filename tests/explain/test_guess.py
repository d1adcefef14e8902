"""What is meant by something: text before hex before base64, readings that fit before others."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.guess import KINDS, explain_as, readings
from rawsio.explain.tls import explain_tls
from rawsio.layer import Role

from .agreement import well_formed
from .packets import ethernet, tcp
from .strategies import frame_bytes, http_bytes, packet_texts

SEGMENT = tcp(("10.0.0.1", 1), ("10.0.0.2", 2), 5, b"hi", ack=1)
ALERT = bytes.fromhex("15030300020100")


@pytest.mark.parametrize(
    ("given_", "kind", "form"),
    [
        ('42["hi"]', "packet", "text"),
        ('2["hi"]', "message", "text"),
        ("2", "packet", "text"),
        ("2probe", "packet", "text"),
        ("40/admin,", "packet", "text"),
        ("0/admin,", "message", "text"),
        ('0{"sid":"a","upgrades":[],"pingInterval":1,"pingTimeout":1}', "packet", "text"),
        ("2\x1e40", "payload", "text"),
        ('{"a":[1]}', "json", "text"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http", "text"),
        ("81 85 37 fa 21 3d 7f 9f 4d 51 58", "frames", "hex"),
        ("818537fa213d7f9f4d5158", "frames", "hex"),
        (SEGMENT.hex(":"), "ip", "hex"),
        (ethernet(SEGMENT).hex(), "ethernet", "hex"),
        (ALERT.hex(), "tls", "hex"),
        (b64encode(bytes.fromhex("818537fa213d7f9f4d5158")).decode(), "frames", "base64"),
        (b'42["hi"]', "packet", "bytes"),
        (b"\x81\x02hi", "frames", "bytes"),
        (b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00", "msgpack", "bytes"),
    ],
)
def test_the_likeliest_reading_comes_first(given_: str | bytes, kind: str, form: str) -> None:
    first = readings(given_)[0]
    assert (first.kind, first.form, first.fits) == (kind, form, True)


def test_other_readings_that_fit_are_named() -> None:
    assert [(r.kind, r.form) for r in readings("1")] == [("packet", "text"), ("message", "text")]
    assert ("frames", "hex") in [(r.kind, r.form) for r in readings("8900")]


def test_of_readings_that_do_not_fit_the_nearest_is_given() -> None:
    (reading,) = readings('42["hi"')
    assert (reading.kind, reading.fits) == ("packet", False)
    (reading,) = readings("hello")
    assert (reading.kind, reading.fits) == ("packet", False)


def test_the_sender_of_frames_is_seen_by_their_mask() -> None:
    assert explain_as("frames", b"\x81\x02hi").value == "sent by the server"
    assert explain_as("frames", b"\x81\x02hi", Role.CLIENT).fields[0].fields[4].wrong
    assert explain_as("tls", ALERT) == explain_tls(ALERT)


@given(st.sampled_from(sorted(KINDS)), http_bytes | frame_bytes | st.binary(max_size=40))
def test_any_bytes_are_explained_as_any_kind(kind: str, data: bytes) -> None:
    well_formed(explain_as(kind, data))


@given(packet_texts | st.text(max_size=20) | st.binary(max_size=30))
def test_anything_has_a_reading(given_: str | bytes) -> None:
    assert readings(given_)
