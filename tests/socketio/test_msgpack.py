"""Packets as MessagePack; the bytes of the vectors were written by the official parser in Node."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.errors import SocketIOError
from rawsio.explain import explain_msgpack
from rawsio.layer import Failed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.prepared import prepare, preparer
from rawsio.socketio import msgpack
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.msgpack import UNDEFINED, MsgpackParser, pack, unpack
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event
from rawsio.socketio.values import Unsendable
from tests.explain.agreement import agrees
from tests.laws import Subject, laws_for

from . import strategies
from .strategies import LIMITS
from .test_values import collections

PARSER = MsgpackParser(LIMITS)

VALUES: list[tuple[Any, str]] = [
    (0, "00"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65535, "cdffff"),
    (65536, "ce00010000"), (2**32 - 1, "ceffffffff"), (2**32, "cf0000000100000000"),
    (2**53 - 1, "cf001fffffffffffff"), (-1, "ff"), (-32, "e0"), (-33, "d0df"), (-128, "d080"),
    (-129, "d1ff7f"), (-32768, "d18000"), (-32769, "d2ffff7fff"), (-(2**31), "d280000000"),
    (-(2**31) - 1, "d3ffffffff7fffffff"), (1 - 2**53, "d3ffe0000000000001"),
    (1.5, "cb3ff8000000000000"), (-0.5, "cbbfe0000000000000"), (1e-300, "cb01a56e1fc2f8f359"),
    (None, "c0"), (True, "c3"), (False, "c2"), ("", "a0"), ("a" * 31, "bf" + "61" * 31),
    ("é😀", "a6c3a9f09f9880"), ([], "90"), ({}, "80"), ([1, [2]], "92019102"),
    ({"a": {"b": [None]}}, "81a16181a16291c0"), (b"\1\2\3", "c403010203"),
    (UNDEFINED, "d40000"),
]  # fmt: skip

PACKETS: list[tuple[Any, str]] = [
    (Connect("/admin", {"sid": "x"}),
     "83a47479706500a36e7370a62f61646d696ea46461746181a3736964a178"),
    (Disconnect("/"), "82a47479706501a36e7370a12f"),
    (Ack("/", [], 7), "84a47479706503a36e7370a12fa46461746190a2696407"),
    (ConnectError("/", {"message": "no"}),
     "83a47479706504a36e7370a12fa46461746181a76d657373616765a26e6f"),
]  # fmt: skip


def refused(wire: str | bytes) -> str:
    data = bytes.fromhex(wire) if isinstance(wire, str) else wire
    with pytest.raises(SocketIOError) as caught:
        unpack(data)
    return caught.value.rule


class TestValues:
    @pytest.mark.rule("socketio-v5-msgpack-form")
    @pytest.mark.parametrize(("value", "wire"), VALUES)
    def test_values_have_the_form_that_official_peers_write(self, value: Any, wire: str) -> None:
        assert pack(value).hex() == wire
        assert unpack(bytes.fromhex(wire)) == value
        assert type(unpack(bytes.fromhex(wire))) is type(value)

    @pytest.mark.parametrize(
        ("value", "head"),
        [
            ("x" * 32, "d920"), ("x" * 256, "da0100"), ("x" * 65536, "db00010000"),
            (bytes(32), "c420"), (bytes(256), "c50100"), (bytes(65536), "c600010000"),
            ([0] * 16, "dc0010"), ([0] * 256, "dc0100"), ([0] * 65536, "dd00010000"),
            ({str(n): n for n in range(16)}, "de0010"),
            ({str(n): n for n in range(65536)}, "df00010000"),
        ],
    )  # fmt: skip
    def test_long_values_have_their_length_in_front(self, value: Any, head: str) -> None:
        wire = pack(value)
        assert wire.hex().startswith(head)
        assert unpack(wire) == value

    def test_a_length_of_more_than_32_bits_has_no_form(self) -> None:
        with pytest.raises(Unsendable, match="4 GiB"):
            msgpack._head(2**32, msgpack._BYTES)

    @pytest.mark.rule("socketio-v5-msgpack-undefined")
    def test_undefined_is_what_json_makes_of_it(self) -> None:
        assert unpack(bytes.fromhex("92d4000001")) == [None, 1]
        assert unpack(bytes.fromhex("82a161d40000a16201")) == {"b": 1}
        assert repr(UNDEFINED) == "UNDEFINED"

    @pytest.mark.parametrize(
        ("wire", "text"),
        [
            ("d7000000016ffb78de05", "2020-01-31T12:00:00.005Z"),
            ("d700ffffffffffffffff", "1969-12-31T23:59:59.999Z"),
        ],
    )
    def test_a_date_is_the_text_that_json_makes_of_it(self, wire: str, text: str) -> None:
        assert unpack(bytes.fromhex(wire)) == text

    @pytest.mark.parametrize(
        ("wire", "data"),
        [("c70300010203", b"\1\2\3"), ("c7010009", b"\x09"), ("c8000100ff", b"\xff"),
         ("c90000000100ff", b"\xff"), ("c70000", b"")],
    )  # fmt: skip
    def test_an_array_buffer_is_bytes(self, wire: str, data: bytes) -> None:
        assert unpack(bytes.fromhex(wire)) == data

    def test_bytes_of_every_kind_are_packed(self) -> None:
        assert pack(bytearray(b"1")) == pack(memoryview(b"1")) == pack(b"1") == b"\xc4\x011"

    def test_keys_become_strings_as_in_json(self) -> None:
        value = {1: 0, 1.5: 0, None: 0, False: 0, "a": 0}
        assert list(unpack(pack(value))) == ["1", "1.5", "null", "false", "a"]
        assert unpack(bytes.fromhex("810102")) == {"1": 2}
        assert unpack(pack({IntEnum("Colour", "RED").RED: 0})) == {"1": 0}

    def test_tuples_become_arrays(self) -> None:
        assert unpack(pack((1, (2,)))) == [1, [2]]

    @pytest.mark.rule("socketio-v5-value-surrogate")
    def test_a_lone_surrogate_leaves_as_a_replacement(self) -> None:
        assert unpack(pack("a\ud800b\U0001f600")) == "a\ufffdb\U0001f600"

    @pytest.mark.rule("socketio-v5-value-finite")
    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), [-float("inf")], {float("inf"): 1}]
    )
    def test_numbers_that_are_not_finite_are_refused(self, value: Any) -> None:
        with pytest.raises(Unsendable, match="finite"):
            pack(value)
        for wire in ("cb7ff8000000000000", "91ca7f800000", "cbfff0000000000000"):
            assert refused(wire) == "socketio-v5-value-finite"

    @pytest.mark.parametrize("value", [2**64, -(2**63) - 1, {1, 2}, object(), {(1,): 2}])
    def test_what_has_no_form_is_refused(self, value: Any) -> None:
        with pytest.raises(Unsendable):
            pack([value])

    @pytest.mark.rule("socketio-v5-value-depth")
    def test_nesting_is_bounded_in_both_directions(self) -> None:
        deepest = unpack(b"\x91" * 99 + b"\x90")
        assert pack(deepest) == b"\x91" * 99 + b"\x90"
        with pytest.raises(Unsendable, match="nested"):
            pack([deepest])
        assert refused(b"\x91" * 100 + b"\x90") == "socketio-v5-value-depth"
        assert refused(b"\x81\xa0" * 50_000) == "socketio-v5-value-depth"
        circle: list[Any] = []
        circle.append({"again": circle})
        for depth in (100, 10**9):
            with pytest.raises(Unsendable, match="nested"):
                pack(circle, depth)
        with pytest.raises(SocketIOError, match="nested"):
            unpack(b"\x91" * 50_000, 10**9)

    @pytest.mark.rule("socketio-v5-msgpack-form")
    @pytest.mark.parametrize(
        "wire",
        ["", "c1", "cc", "cd00", "cb00", "a1", "d9", "d905", "da00", "c4", "c405", "9101ff", "0000",
         "91", "81", "81a161", "dd", "ddffffffff", "dfffffffffa0", "dbffffffff", "c6ffffffff",
         "a1ff", "a2c0af", "a3eda080", "d40100", "d5000000", "d60000000000", "c70101ff",
         "d8" + "00" * 17, "81c000", "81c20000", "c7", "d7007fffffffffffffff"],
    )  # fmt: skip
    def test_what_is_not_messagepack_is_refused(self, wire: str) -> None:
        assert refused(wire) == "socketio-v5-msgpack-form"

    @given(st.binary(max_size=40))
    def test_any_bytes_are_a_value_or_refused(self, data: bytes) -> None:
        try:
            value = unpack(data)
        except SocketIOError:
            return
        assert unpack(pack(value)) == value

    @given(strategies.values)
    def test_what_is_packed_unpacks_to_the_same(self, value: Any) -> None:
        try:
            wire = pack(value)
        except Unsendable:
            return
        assert unpack(wire) == value


class TestParser:
    @pytest.mark.rule("socketio-v5-msgpack-fields")
    @pytest.mark.parametrize(("packet", "wire"), PACKETS)
    def test_packets_have_the_form_that_official_peers_write(self, packet: Any, wire: str) -> None:
        parser = MsgpackParser()
        assert parser.encode(packet) == (bytes.fromhex(wire),)
        assert parser.decode(bytes.fromhex(wire), DEFAULT) == packet

    @pytest.mark.rule("socketio-v5-msgpack-undefined", "socketio-v5-msgpack-fields")
    def test_what_a_javascript_client_adds_is_understood(self) -> None:
        parser = MsgpackParser()
        connect = bytes.fromhex("83a47479706500a36e7370a12fa464617461d40000")
        assert parser.decode(connect, DEFAULT) == Connect("/", None)
        event = bytes.fromhex(
            "85a47479706502a36e7370a12fa46461746192a26869c40101"
            "a76f7074696f6e7381a8636f6d7072657373c3a2696400"
        )
        assert parser.decode(event, DEFAULT) == Event("/", ["hi", b"\1"], 0)

    @pytest.mark.rule("socketio-v5-msgpack-undefined")
    def test_a_payload_that_is_none_is_left_out_and_never_nil(self) -> None:
        parser = MsgpackParser()
        for packet in (Connect("/"), Disconnect("/")):
            (wire,) = parser.encode(packet)
            assert isinstance(wire, bytes)
            assert b"data" not in wire

    def refused(self, fields: Any, limits: Limits = DEFAULT) -> str:
        with pytest.raises(SocketIOError) as caught:
            MsgpackParser().decode(pack(fields), limits)
        agrees(explain_msgpack(pack(fields), limits=limits), caught.value.rule)
        return caught.value.rule

    @pytest.mark.rule("socketio-v5-msgpack-fields")
    @pytest.mark.parametrize(
        "fields",
        [[], 1, "2[]", {}, {"type": 2}, {"type": 5, "nsp": "/", "data": ["x"]},
         {"type": -1, "nsp": "/"}, {"type": True, "nsp": "/"}, {"type": 1.0, "nsp": "/"},
         {"type": 1, "nsp": "admin"}, {"type": 1, "nsp": 1}, {"type": 1, "nsp": "/a,b"}],
    )  # fmt: skip
    def test_a_packet_is_a_map_with_a_type_and_a_namespace(self, fields: Any) -> None:
        assert self.refused(fields) == "socketio-v5-msgpack-fields"

    @pytest.mark.rule("socketio-v5-format-id")
    @pytest.mark.parametrize("number", [None, -1, 2**53, 1.5, "1", True])
    def test_an_id_is_an_integer_in_bounds(self, number: Any) -> None:
        fields = {"type": 2, "nsp": "/", "data": ["x"], "id": number}
        assert self.refused(fields) == "socketio-v5-format-id"

    @pytest.mark.parametrize(
        ("fields", "rule"),
        [
            ({"type": 0, "nsp": "/", "data": None}, "connect-data"),
            ({"type": 0, "nsp": "/", "data": []}, "connect-data"),
            ({"type": 1, "nsp": "/", "data": None}, "disconnect-empty"),
            ({"type": 2, "nsp": "/"}, "event-array"),
            ({"type": 2, "nsp": "/", "data": []}, "event-array"),
            ({"type": 2, "nsp": "/", "data": [None]}, "event-name"),
            ({"type": 2, "nsp": "/", "data": ["connect"]}, "event-reserved"),
            ({"type": 3, "nsp": "/", "data": []}, "ack-id"),
            ({"type": 3, "nsp": "/", "data": {}, "id": 1}, "ack-array"),
            ({"type": 4, "nsp": "/"}, "error-data"),
            ({"type": 1, "nsp": "/", "id": 1}, "format-id"),
            ({"type": 1, "nsp": "/" + "x" * 512}, "limit-name"),
        ],
    )
    def test_the_rules_of_packets_are_those_of_the_standard_form(
        self, fields: Any, rule: str
    ) -> None:
        assert self.refused(fields) == f"socketio-v5-{rule}"

    @pytest.mark.rule("socketio-v5-limit-credentials")
    def test_what_a_connect_brings_along_is_bounded_because_it_is_kept(self) -> None:
        parser, limits = MsgpackParser(), Limits(credentials=60)
        (short,) = parser.encode(Connect("/" + "x" * 50, {"token": "x" * 20}))
        assert parser.decode(short, limits).data == {"token": "x" * 20}
        (long,) = parser.encode(Connect("/", {"token": "x" * 40}))
        with pytest.raises(SocketIOError, match="more than 60 bytes"):
            parser.decode(long, limits)

    @pytest.mark.rule("socketio-v5-msgpack-binary")
    def test_text_is_no_packet(self) -> None:
        layer = SocketIOConnection(Role.SERVER, parser=MsgpackParser())
        (failed,) = layer.receive('2["x"]')
        assert isinstance(failed, Failed)
        assert failed.rule == "socketio-v5-msgpack-binary"

    def test_the_depth_that_may_be_sent_may_be_received(self) -> None:
        parser = MsgpackParser(Limits(json_depth=3))
        packet = Event("/", ["x", [[1]]])
        assert parser.decode(*parser.encode(packet), Limits(json_depth=3)) == packet
        with pytest.raises(Unsendable):
            parser.encode(Event("/", ["x", [[[1]]]]))

    def test_a_prepared_packet_is_sent_as_it_is_if_it_has_the_form_of_this_parser(self) -> None:
        layer, event, parser = make()[0], Event("/", ["x", b"1"]), MsgpackParser(LIMITS)
        for prepared in (prepare(event), preparer(parser)(event)):
            layer.send_prepared(prepared)
            assert layer.data_to_send() == list(parser.encode(event))
        prepared = preparer(PARSER)(event)
        layer.send_prepared(prepared)
        assert layer.data_to_send() == [prepared]


def make() -> tuple[SocketIOConnection, SocketIOConnection]:
    """Return a client and a server that have joined ``/``."""
    client = SocketIOConnection(Role.CLIENT, LIMITS, parser=PARSER)
    server = SocketIOConnection(Role.SERVER, LIMITS, parser=PARSER)
    client.send(Connect("/"))
    server.receive(*client.data_to_send())
    server.send(Connect("/", {"sid": "x"}))
    client.receive(*server.data_to_send())
    return client, server


def wire(role: Role) -> st.SearchStrategy[list[Any]]:
    """Valid packets, some of them cut or changed, and junk."""

    def units(event: Any) -> list[Any]:
        try:
            return list(MsgpackParser().encode(event))
        except Unsendable:
            return [b"\xc1"]

    valid = strategies.events(role.peer).map(units)
    changed = st.builds(
        lambda found, at, byte: [found[0][:at] + bytes((byte,)) + found[0][at + 1 :]],
        valid,
        st.integers(0, 40),
        st.integers(0, 255),
    )
    junk = (st.binary(max_size=8) | st.text(max_size=4)).map(lambda unit: [unit])
    return st.lists(valid | valid | changed | junk, max_size=8).map(
        lambda lists: [unit for found in lists for unit in found]
    )


TestLaws = laws_for(
    Subject(
        make=make,
        events=strategies.events,
        wire=wire,
        bytewise=False,
        max_tick=0.5,
        steps=8,
    )
)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ("d6ff00000000", "1970-01-01T00:00:00.000Z"),
        ("d7ff1d5353005e336e00", "2020-01-31T00:00:00.123Z"),
        ("c70cff3b4e7ec0ffffffffffffffff", "1969-12-31T23:59:59.995Z"),
    ],
)
def test_timestamps_of_servers_in_a_cluster_are_read_as_dates(wire: str, text: str) -> None:
    assert unpack(bytes.fromhex(wire)) == text


@pytest.mark.parametrize("wire", ["d4ff00", "d5ff0000", "c705ff0000000000"])
def test_timestamps_of_other_sizes_are_refused(wire: str) -> None:
    with pytest.raises(SocketIOError, match="an extension of type 255"):
        unpack(bytes.fromhex(wire))


def test_a_long_packet_is_read_without_a_look_for_garbage_every_few_hundred_lists() -> None:
    long = pack([[]] * 100_000)
    with collections() as made:
        assert len(unpack(long)) == 100_000
    assert len(made) < 10
