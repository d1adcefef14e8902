"""Packets as messages, and messages as packets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from rawsio.errors import SocketIOError
from rawsio.explain import explain_socketio
from rawsio.limits import DEFAULT, Limits
from rawsio.socketio.packets import (
    MAX_ID,
    RESERVED,
    Ack,
    Connect,
    ConnectError,
    Disconnect,
    Event,
    Partial,
    check_name,
    decode_packet,
    encode_packet,
)
from rawsio.socketio.values import Unsendable
from tests.explain.agreement import agrees

from . import strategies

P0 = '{"_placeholder":true,"num":0}'
P1 = '{"_placeholder":true,"num":1}'

CANONICAL: list[tuple[Any, tuple[str | bytes, ...]]] = [
    (Connect(), ("0",)),
    (Connect("/", {"token": "x"}), ('0{"token":"x"}',)),
    (Connect("/admin"), ("0/admin,",)),
    (Connect("/admin", {}), ("0/admin,{}",)),
    (Disconnect(), ("1",)),
    (Disconnect("/admin"), ("1/admin,",)),
    (Event("/", ["foo"]), ('2["foo"]',)),
    (Event("/", ["foo", None, 1.5, True]), ('2["foo",null,1.5,true]',)),
    (Event("/admin", ["bar"]), ('2/admin,["bar"]',)),
    (Event("/", ["foo"], 12), ('212["foo"]',)),
    (Event("/", ["foo"], 0), ('20["foo"]',)),
    (Event("/admin", ["foo"], MAX_ID), ('2/admin,9007199254740991["foo"]',)),
    (Event("/", [7, "number"]), ('2[7,"number"]',)),
    (Event("/", [""]), ('2[""]',)),
    (Event("/", ["error", {"_placeholder": True}]), ('2["error",{"_placeholder":true}]',)),
    (Event("/a?b=1", ["x"]), ('2/a?b=1,["x"]',)),
    (Ack("/admin", [], 13), ("3/admin,13[]",)),
    (Ack("/", ["bar"], 0), ('30["bar"]',)),
    (ConnectError("/", {"message": "no"}), ('4{"message":"no"}',)),
    (ConnectError("/random", "no"), ('4/random,"no"',)),
    (Event("/", ["baz", b"\x01\x02"]), (f'51-["baz",{P0}]', b"\x01\x02")),
    (
        Event("/admin", ["baz", b"\x01", {"b": [b"\x02"]}], 9),
        (f'52-/admin,9["baz",{P0},{{"b":[{P1}]}}]', b"\x01", b"\x02"),
    ),
    (Ack("/admin", [b"\x01"], 1), (f"61-/admin,1[{P0}]", b"\x01")),
]


def decode(message: Any, *attachments: bytes, limits: Limits = DEFAULT) -> Any:
    packet: Any = decode_packet(message, limits)
    agrees(explain_socketio(message, attachments, limits=limits), None)
    if not attachments:
        return packet
    assert isinstance(packet, Partial)
    *others, last = attachments
    assert [packet.add(attachment, limits) for attachment in others] == [None] * len(others)
    return packet.add(last, limits)


def refused(message: Any, limits: Limits = DEFAULT) -> str:
    with pytest.raises(SocketIOError) as caught:
        decode_packet(message, limits)
    agrees(explain_socketio(message, limits=limits), caught.value.rule)
    return caught.value.rule


@pytest.mark.rule("socketio-v5-format-namespace", "socketio-v5-format-binary")
@pytest.mark.parametrize(("packet", "messages"), CANONICAL)
def test_a_packet_has_one_form_on_the_wire(packet: Any, messages: tuple[str | bytes, ...]) -> None:
    assert encode_packet(packet) == messages
    assert decode(*messages) == packet


@given(strategies.packets)
def test_what_is_encoded_decodes_to_the_same(packet: Any) -> None:
    try:
        messages = encode_packet(packet)
    except Unsendable:
        return
    assert decode(*messages) == packet
    assert encode_packet(decode(*messages)) == messages


class TestOut:
    @pytest.mark.rule("socketio-v5-event-reserved")
    @pytest.mark.parametrize("name", sorted(RESERVED))
    def test_a_reserved_name_is_refused(self, name: str) -> None:
        with pytest.raises(Unsendable, match="reserved"):
            encode_packet(Event("/", [name]))

    @pytest.mark.parametrize(
        "name",
        ["error", "_x", "connected", "emit", "on_x", "constructor", "*", "__ping", "__proto__"],
    )
    def test_a_name_that_only_looks_special_travels(self, name: str) -> None:
        assert decode(*encode_packet(Event("/", [name]))) == Event("/", [name])

    @pytest.mark.rule("socketio-v5-event-name")
    @pytest.mark.parametrize("name", [None, True, b"x", ["x"], {}])
    def test_a_name_is_a_string_or_a_number(self, name: Any) -> None:
        with pytest.raises(Unsendable, match="string or a number"):
            check_name(name)
        with pytest.raises(Unsendable):
            encode_packet(Event("/", [name]))

    @pytest.mark.parametrize("args", [[], None, "chat", {"a": 1}])
    def test_the_arguments_of_an_event_are_a_list_with_a_name(self, args: Any) -> None:
        with pytest.raises(Unsendable, match="arguments of an event"):
            encode_packet(Event("/", args))

    def test_the_arguments_of_an_acknowledgement_are_a_list(self) -> None:
        with pytest.raises(Unsendable, match="arguments of an acknowledgement"):
            encode_packet(Ack("/", "ok", 1))  # type: ignore[arg-type]

    @pytest.mark.rule("socketio-v5-format-id")
    @pytest.mark.parametrize("number", [-1, 2**53, 1.0, "1", True])
    def test_an_id_is_an_integer_that_every_peer_has(self, number: Any) -> None:
        for packet in (Event("/", ["x"], number), Ack("/", [], number)):
            with pytest.raises(Unsendable, match="id is an integer"):
                encode_packet(packet)

    def test_an_acknowledgement_needs_an_id(self) -> None:
        with pytest.raises(Unsendable, match="id is an integer"):
            encode_packet(Ack("/", [], None))  # type: ignore[arg-type]

    @pytest.mark.rule("socketio-v5-format-namespace")
    @pytest.mark.parametrize("namespace", ["", "admin", "/a,b", None, "/\ud800"])
    def test_a_namespace_that_would_be_read_as_something_else_is_refused(
        self, namespace: Any
    ) -> None:
        for packet in (Event(namespace, ["x"]), Connect(namespace), Disconnect(namespace)):
            with pytest.raises(Unsendable, match="namespace"):
                encode_packet(packet)

    @pytest.mark.parametrize("data", [[], "s", 1, {"a": b"1"}, {"a": float("nan")}])
    def test_the_data_of_a_connect_is_an_object_without_bytes(self, data: Any) -> None:
        with pytest.raises(Unsendable):
            encode_packet(Connect("/", data))

    @pytest.mark.rule("socketio-v5-error-data")
    @pytest.mark.parametrize("data", [None, [], 1, {"a": b"1"}])
    def test_the_data_of_a_connect_error_is_an_object_or_a_string(self, data: Any) -> None:
        with pytest.raises(Unsendable):
            encode_packet(ConnectError("/", data))

    def test_what_is_no_packet_is_refused(self) -> None:
        with pytest.raises(Unsendable, match="not a packet"):
            encode_packet("2[]")  # type: ignore[arg-type]


class TestIn:
    """Section 4.2 of the study of the reference: its decoder's answers, and ours."""

    @pytest.mark.rule("socketio-v5-event-array")
    @pytest.mark.parametrize("text", ["2{}", "2[]", "2null", '2"abc"', "21", '2{"a":1}', "2/a,{}"])
    def test_an_event_is_an_array_that_begins_with_its_name(self, text: str) -> None:
        assert refused(text) in ("socketio-v5-event-array", "socketio-v5-value-json")

    @pytest.mark.rule("socketio-v5-event-array", "socketio-v5-ack-array", "socketio-v5-value-json")
    @pytest.mark.parametrize(
        ("text", "rule"),
        [
            ("2", "event-array"), ("212", "event-array"), ("2/admin", "event-array"),
            ("2/a,1", "event-array"), ("3", "ack-id"), ("312", "ack-array"),
            ("4", "error-data"), ("4/a,", "error-data"), ("5", "binary-count"),
            ("51-", "value-json"), ("61-1", "value-json"),
        ],
    )  # fmt: skip
    def test_a_payload_that_is_due_may_not_be_missing(self, text: str, rule: str) -> None:
        assert refused(text) == f"socketio-v5-{rule}"

    @pytest.mark.rule("socketio-v5-event-name")
    @pytest.mark.parametrize("text", ["2[null]", "2[{}]", "2[[]]", "2[true]", f"51-[{P0}]"])
    def test_the_name_of_an_event_is_a_string_or_a_number(self, text: str) -> None:
        assert refused(text) == "socketio-v5-event-name"

    @pytest.mark.rule("socketio-v5-event-reserved")
    @pytest.mark.parametrize(
        "name",
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener",
         "removeListener", "\\u0063onnect"],
    )  # fmt: skip
    def test_a_name_that_libraries_use_is_refused(self, name: str) -> None:
        for text in (f'2["{name}",{{}}]', f'2/a,1["{name}"]', f'51-["{name}",{P0}]'):
            assert refused(text) == "socketio-v5-event-reserved"

    @pytest.mark.parametrize(
        ("text", "args"), [("2[1]", [1]), ('2["error"]', ["error"]), ("2[1.5]", [1.5])]
    )
    def test_other_names_are_taken(self, text: str, args: list[Any]) -> None:
        assert decode(text) == Event("/", args)

    @pytest.mark.rule("socketio-v5-ack-array", "socketio-v5-ack-id")
    def test_an_acknowledgement_has_an_id_and_an_array(self) -> None:
        assert decode("3007[]") == Ack("/", [], 7)
        assert refused("3[]") == "socketio-v5-ack-id"
        assert refused("61-[]") == "socketio-v5-ack-id"
        assert refused("31{}") == "socketio-v5-ack-array"
        assert refused('61-1"x"') == "socketio-v5-ack-array"

    @pytest.mark.rule("socketio-v5-connect-data")
    @pytest.mark.parametrize("text", ["0[]", '0"s"', "0null", "0/a,true"])
    def test_the_data_of_a_connect_is_an_object(self, text: str) -> None:
        assert refused(text) == "socketio-v5-connect-data"

    @pytest.mark.rule("socketio-v5-disconnect-empty")
    @pytest.mark.parametrize("text", ["1[]", "1null", "1/a,{}", '1"x"'])
    def test_a_disconnect_is_empty(self, text: str) -> None:
        assert refused(text) == "socketio-v5-disconnect-empty"

    @pytest.mark.rule("socketio-v5-error-data")
    @pytest.mark.parametrize("text", ["4[]", "4null", "4true"])
    def test_the_data_of_a_connect_error_is_an_object_or_a_string(self, text: str) -> None:
        assert refused(text) == "socketio-v5-error-data"

    def test_the_data_of_a_connect_error_may_be_either(self) -> None:
        assert decode('4"x"') == ConnectError("/", "x")
        assert decode("4{}") == ConnectError("/", {})

    @pytest.mark.rule("socketio-v5-format-type")
    @pytest.mark.parametrize("text", ["", "7", "8[]", "x", "abc", " 2[]", "-1", "\u0662[]", "²[]"])
    def test_an_unknown_type_is_refused(self, text: str) -> None:
        assert refused(text) == "socketio-v5-format-type"

    @pytest.mark.rule("socketio-v5-format-id")
    @pytest.mark.parametrize(
        "digits", ["9007199254740992", "9" * 16, "0" * 17, "9" * 99, "9" * 101, "1" * 10_000]
    )
    def test_an_id_beyond_what_javascript_has_is_refused(self, digits: str) -> None:
        assert refused(f'2{digits}["x"]') == "socketio-v5-format-id"
        assert refused(f"3{digits}[]") == "socketio-v5-format-id"

    @pytest.mark.rule("socketio-v5-format-id")
    @pytest.mark.parametrize(
        "text",
        ['2 ["a"]', '21 2["x"]', '2\u0661["x"]', '2²["x"]', '2+1["x"]', '2-1["x"]', '2abc["x"]',
         '20x1["x"]', '2\uff11["x"]', "3 1[]"],
    )  # fmt: skip
    def test_only_ascii_digits_are_an_id(self, text: str) -> None:
        assert refused(text) in ("socketio-v5-value-json", "socketio-v5-binary-count")

    @pytest.mark.rule("socketio-v5-format-id")
    @pytest.mark.parametrize("text", ["05", "05{}", "0/a,5{}", "15", "1/a,5", '45"x"'])
    def test_only_events_and_acknowledgements_have_an_id(self, text: str) -> None:
        assert refused(text) == "socketio-v5-format-id"

    def test_a_lower_limit_of_ids_is_kept(self) -> None:
        assert refused('2100["x"]', Limits(packet_id=99)) == "socketio-v5-format-id"
        assert decode('299["x"]', limits=Limits(packet_id=99)) == Event("/", ["x"], 99)

    @pytest.mark.rule("socketio-v5-binary-count")
    @pytest.mark.parametrize(
        "text",
        ["5", "5[]", '5["e"]', "5-[]", '50-["e"]', '500-["e"]', '511-["e"]', '599999999999-["e"]',
         '51.0-["e"]', '51e0-["e"]', '5-1-["e"]', '5+1-["e"]', '5 1-["e"]', '5\u0661-["e"]',
         "60-1[]", '21-["e"]', "31-1[]", "01-{}", "11-", '41-"x"'],
    )  # fmt: skip
    def test_only_binary_packets_count_attachments_and_from_1_to_10(self, text: str) -> None:
        assert refused(text) == "socketio-v5-binary-count"

    def test_leading_zeros_of_a_count_are_no_harm(self) -> None:
        assert decode(f'501-["e",{P0}]', b"1") == Event("/", ["e", b"1"])

    @pytest.mark.rule("socketio-v5-binary-unexpected")
    def test_bytes_are_no_packet(self) -> None:
        assert refused(b'2["x"]') == "socketio-v5-binary-unexpected"

    @pytest.mark.rule("socketio-v5-format-namespace")
    @pytest.mark.parametrize(
        ("text", "packet"),
        [
            ("0/", Connect("/")),
            ("0/,", Connect("/")),
            ('2/,["a"]', Event("/", ["a"])),
            ("0/admin", Connect("/admin")),
            ("1/admin", Disconnect("/admin")),
            ("0//", Connect("//")),
            ("0/a?b=1&c=/,{}", Connect("/a?b=1&c=/", {})),
            ("0/\x00\n,", Connect("/\x00\n")),
            ('2/é,1["x"]', Event("/é", ["x"], 1)),
        ],
    )
    def test_a_namespace_ends_at_the_comma_or_the_end(self, text: str, packet: Any) -> None:
        assert decode(text) == packet

    @pytest.mark.rule("socketio-v5-limit-name")
    def test_a_long_namespace_is_refused(self) -> None:
        longest = "/" + "x" * 511
        assert decode(f"0{longest},") == Connect(longest)
        for text in (f"0{longest}x,", f"0{longest}x", f'2{longest}x,["a"]', f"1{longest}x,"):
            assert refused(text) == "socketio-v5-limit-name"

    @pytest.mark.rule("socketio-v5-limit-credentials")
    def test_what_a_connect_brings_along_is_bounded_because_it_is_kept(self) -> None:
        limits = Limits(credentials=20)
        assert decode('0/a,{"token":"12345678"}', limits=limits).data == {"token": "12345678"}
        for text in ('0{"token":"123456789"}', '0/a,{"token":"123456789"}', "0{" + "[" * 20):
            assert refused(text, limits) == "socketio-v5-limit-credentials"
        assert decode('2["a long event that nobody keeps"]', limits=limits).args

    @pytest.mark.rule("socketio-v5-binary-placeholder")
    def test_a_placeholder_of_no_attachment_is_refused_before_any_arrives(self) -> None:
        assert refused(f'51-["x",{P1}]') == "socketio-v5-binary-placeholder"

    @pytest.mark.rule("socketio-v5-binary-size")
    def test_the_bytes_of_all_attachments_together_are_bounded(self) -> None:
        limits = Limits(attachment_bytes=10)
        partial = decode(f'52-["x",{P0}]', limits=limits)
        assert partial.add(b"12345", limits) is None
        with pytest.raises(SocketIOError, match="more than 10 bytes") as caught:
            partial.add(b"123456", limits)
        assert caught.value.rule == "socketio-v5-binary-size"

    def test_a_placeholder_in_a_plain_event_is_an_object(self) -> None:
        assert decode(f'2["x",{P0}]') == Event("/", ["x", {"_placeholder": True, "num": 0}])

    @pytest.mark.parametrize(
        "text",
        ["9" * 400_000, "2" + "9" * 400_000, "5" + "9" * 400_000, "5" + "9-" * 200_000,
         "2/" + "a" * 400_000, "2/" + "," * 400_000, "0" * 400_000 + "-" * 400_000,
         "2" + "0" * 400_000 + "["],
    )  # fmt: skip
    def test_the_head_is_read_once_whatever_its_length(self, text: str) -> None:
        # With an expression that backtracks over pairs of places this would take hours.
        with pytest.raises(SocketIOError):
            decode_packet(text, DEFAULT)

    def test_messages_of_errors_are_short_and_escaped(self) -> None:
        for text in ("\x1b[2J" * 1000, '2["' + "\x1b" * 1000, f"2[{'x' * 10_000}]"):
            with pytest.raises(SocketIOError) as caught:
                decode_packet(text, DEFAULT)
            assert "\x1b" not in caught.value.message
            assert len(caught.value.message) < 200
