"""JSON values: out, in, and with bytes taken out and put back."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.errors import LocalProtocolError, SocketIOError
from rawsio.limits import DEFAULT, Limits
from rawsio.socketio import values
from rawsio.socketio.values import (
    LONG,
    MAX_DIGITS,
    HasBinary,
    Unsendable,
    check_depth,
    check_placeholders,
    decode_value,
    encode_binary,
    encode_plain,
    fill_placeholders,
    nesting,
)

from . import strategies

FEW = Limits(attachments=3, attachment_bytes=10)


def placeholder(number: Any) -> dict[str, Any]:
    return {"_placeholder": True, "num": number}


@contextlib.contextmanager
def collections() -> Iterator[list[int]]:
    """Note the generations that Python's own looks for garbage go over, made as often as ever."""
    made: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            made.append(info["generation"])

    thresholds = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    gc.callbacks.append(note)
    try:
        yield made
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*thresholds)


def refused(text: str, hook: Any = None, limits: Limits = DEFAULT) -> str:
    with pytest.raises(SocketIOError) as caught:
        decode_value(text, 0, limits, hook)
    return caught.value.rule


class TestOut:
    def test_json_is_compact_and_not_ascii_only(self) -> None:
        assert encode_plain(["é", {"a": 1, "b": [True, None]}]) == '["é",{"a":1,"b":[true,null]}]'

    def test_tuples_become_arrays_and_keys_become_strings(self) -> None:
        assert encode_plain([(1, 2), {2: 0, None: 0, True: 0}]) == (
            '[[1,2],{"2":0,"null":0,"true":0}]'
        )

    @pytest.mark.rule("socketio-v5-value-finite")
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [-float("inf")]}])
    @pytest.mark.parametrize("encode", [encode_plain, encode_binary])
    def test_a_number_that_is_not_finite_is_refused(self, value: Any, encode: Any) -> None:
        with pytest.raises(ValueError, match="cannot be sent"):
            encode([value])

    @pytest.mark.rule("socketio-v5-value-surrogate")
    @pytest.mark.parametrize("encode", [encode_plain, lambda value: encode_binary(value)[0]])
    def test_a_lone_surrogate_leaves_escaped(self, encode: Any) -> None:
        text = encode(["\ud800é", {"\udfff": "😀"}])
        assert text.encode() == '["\\ud800é",{"\\udfff":"😀"}]'.encode()
        assert json.loads(text) == ["\ud800é", {"\udfff": "😀"}]

    @pytest.mark.rule("socketio-v5-value-depth")
    @pytest.mark.parametrize("encode", [encode_plain, encode_binary])
    def test_a_value_that_contains_itself_is_refused(self, encode: Any) -> None:
        circle: list[Any] = []
        circle.append({"again": circle})
        with pytest.raises(Unsendable, match="contains itself"):
            encode(circle)

    @pytest.mark.rule("socketio-v5-value-depth")
    def test_a_value_deeper_than_the_limit_is_refused(self) -> None:
        deepest = encode_plain(json.loads("[" * 100 + "]" * 100))
        check_depth(deepest, DEFAULT)
        check_depth(json.dumps(["[" * 500]), DEFAULT)
        with pytest.raises(Unsendable, match="deeper than 100"):
            check_depth(f"[{deepest}]", DEFAULT)

    @pytest.mark.parametrize("encode", [encode_plain, encode_binary])
    @pytest.mark.parametrize("value", [{1, 2}, object(), {b"key": 1}, {(1,): 1}])
    def test_other_types_are_refused_by_name(self, value: Any, encode: Any) -> None:
        with pytest.raises(Unsendable, match=r"set|object|keys must be"):
            encode([value])

    def test_a_refusal_is_both_a_value_error_and_a_local_protocol_error(self) -> None:
        assert issubclass(Unsendable, ValueError)
        assert issubclass(Unsendable, LocalProtocolError)

    @pytest.mark.rule("socketio-v5-value-digits")
    def test_an_integer_that_python_does_not_print_is_refused(self) -> None:
        with pytest.raises(Unsendable, match="4300"):
            encode_plain([10**MAX_DIGITS])

    @pytest.mark.parametrize("value", [b"", bytearray(b"1"), memoryview(b"1"), [{"a": [b"1"]}]])
    def test_bytes_are_noticed(self, value: Any) -> None:
        with pytest.raises(HasBinary):
            encode_plain([value])

    @pytest.mark.rule("socketio-v5-format-placeholder")
    def test_bytes_of_every_kind_become_attachments_in_order(self) -> None:
        value = ["x", {"a": bytearray(b"1")}, [memoryview(b"2")], b"3"]
        text, attachments = encode_binary(value)
        assert json.loads(text) == ["x", {"a": placeholder(0)}, [placeholder(1)], placeholder(2)]
        assert attachments == (b"1", b"2", b"3")
        assert {type(a) for a in attachments} == {bytes}
        assert value == ["x", {"a": bytearray(b"1")}, [memoryview(b"2")], b"3"]

    def test_an_attachment_does_not_change_with_the_bytes_it_was_made_of(self) -> None:
        buffer = bytearray(b"12")
        _, (attachment,) = encode_binary([buffer, 1])
        buffer[0] = 0
        assert attachment == b"12"

    @pytest.mark.rule("socketio-v5-binary-forged")
    def test_an_object_that_looks_like_a_placeholder_is_refused_beside_bytes(self) -> None:
        with pytest.raises(Unsendable, match="looks like a placeholder"):
            encode_binary([b"1", placeholder(0)])
        assert encode_plain([placeholder(0)]) == '[{"_placeholder":true,"num":0}]'

    def test_a_string_that_quotes_a_placeholder_is_a_string(self) -> None:
        quoted = json.dumps(placeholder(0))
        assert encode_binary([b"1", quoted, {quoted: 1}])[1] == (b"1",)

    def test_without_the_c_encoder_the_text_is_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
        encode = values._make_encoder(values._no_binary)
        value = ["é\ud800", {"a": [1.5, None]}, (2**70,)]
        assert "".join(encode(value, 0)) == "".join(values._encode_plain(value, 0))
        with pytest.raises(ValueError, match="JSON compliant"):
            "".join(encode([float("nan")], 0))
        circle: list[Any] = []
        circle.append(circle)
        with pytest.raises(RecursionError):
            "".join(encode(circle, 0))


class TestIn:
    def test_the_text_from_a_place_to_the_end_is_one_value(self) -> None:
        assert decode_value('xx{"a":[1,2.5]}', 2, DEFAULT) == {"a": [1, 2.5]}
        assert decode_value("[1]\r\n", 0, DEFAULT) == [1]

    @pytest.mark.rule("socketio-v5-value-json")
    @pytest.mark.parametrize(
        "text",
        ["", " [1]", "[1", "[1]x", "[1]\x0b", "[1]\u00a0", "[01]", "[+1]", "[1_0]", "[\u0661]",
         '["\n"]', "['a']", "[1,]", '{"a":1,}', "[True]", '["\\x41"]', "[1] []", "[0x10]", "[.5]"],
    )  # fmt: skip
    def test_what_is_not_json_is_refused(self, text: str) -> None:
        assert refused(text) == "socketio-v5-value-json"

    @pytest.mark.rule("socketio-v5-value-finite")
    @pytest.mark.parametrize(
        "text",
        ["[NaN]", "[Infinity]", "[-Infinity]", '{"a":NaN}', "[1e400]", "[-1E+999]",
         f"[{'9' * 400}.0]"],
    )  # fmt: skip
    def test_a_number_that_is_not_finite_is_refused(self, text: str) -> None:
        assert refused(text) == "socketio-v5-value-finite"
        assert refused(text.replace("[", "[" + " " * 5000)) == "socketio-v5-value-finite"

    @pytest.mark.rule("socketio-v5-value-digits")
    def test_an_integer_is_kept_exactly_up_to_the_limit(self) -> None:
        for digits in (30, MAX_DIGITS):
            for sign in ("", "-"):
                text = sign + "9" * digits
                assert decode_value(f"[{text}]", 0, DEFAULT) == [int(text)]
                assert encode_plain([int(text)]) == f"[{text}]"

    @pytest.mark.rule("socketio-v5-value-digits")
    @pytest.mark.parametrize("text", ["9" * (MAX_DIGITS + 1), "-" + "9" * 5000, "1" * 1_000_000])
    def test_a_longer_integer_is_refused_and_not_converted(self, text: str) -> None:
        assert refused(f"[{text}]") == "socketio-v5-value-digits"

    def test_a_host_that_lowered_the_limit_of_python_gets_a_refusal_too(self) -> None:
        if not hasattr(sys, "set_int_max_str_digits"):
            pytest.skip("this Python has no limit")
        before = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(640)
        try:
            assert refused("[" + "9" * 641 + "]") == "socketio-v5-value-json"
        finally:
            sys.set_int_max_str_digits(before)

    @pytest.mark.rule("socketio-v5-value-depth")
    @pytest.mark.parametrize("pair", ["[]", '{"a":}'])
    @pytest.mark.parametrize("depth", [101, 900, 50_000])
    def test_deep_nesting_is_refused_before_it_is_parsed(self, pair: str, depth: int) -> None:
        text = pair[:-1] * depth + "1" + pair[-1] * depth
        assert refused(text) == "socketio-v5-value-depth"
        assert refused(pair[:-1] * depth) == "socketio-v5-value-depth"

    @pytest.mark.rule("socketio-v5-value-depth")
    def test_nesting_up_to_the_limit_is_read(self) -> None:
        text = "[" * 100 + "]" * 100
        assert encode_plain(decode_value(text, 0, DEFAULT)) == text

    def test_a_limit_beyond_what_python_can_parse_fails_the_peer_and_not_us(self) -> None:
        text = "[" * 200_000 + "]" * 200_000
        assert refused(text, limits=Limits(json_depth=10**6)) == "socketio-v5-value-json"

    def test_brackets_inside_of_strings_do_not_count(self) -> None:
        text = json.dumps(["[" * 5000, '\\"[[{' * 100, "\\" * 3 + '"[' * 200])
        assert decode_value(text, 0, DEFAULT) == json.loads(text)

    @given(strategies.json_values)
    @example(['\\"[', "\\\\", {'"': ["\\[["]}])
    @example(["\\", "[[["])
    def test_the_depth_of_a_text_is_that_of_its_value(self, value: Any) -> None:
        def depth(item: Any) -> int:
            if isinstance(item, dict):
                item = list(item.values())
            return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

        for text in (encode_plain(value), json.dumps(value)):
            assert nesting(text) == depth(value)

    @given(st.text(alphabet='[]{}"\\,:a1 ', max_size=30))
    def test_what_parses_is_never_deeper_than_what_was_counted(self, text: str) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            return
        assert nesting(text) == nesting(json.dumps(value))


class TestPlaceholders:
    def decode(self, text: str, *attachments: bytes, limits: Limits = FEW) -> Any:
        decode_value(text, 0, limits, check_placeholders(len(attachments), limits))
        return decode_value(text, 0, limits, fill_placeholders(list(attachments), limits))

    @pytest.mark.rule("socketio-v5-format-placeholder")
    def test_bytes_stand_again_where_they_were(self) -> None:
        text, attachments = encode_binary([b"1", {"a": [b"2"]}])
        assert self.decode(text, *attachments) == [b"1", {"a": [b"2"]}]

    @pytest.mark.rule("socketio-v5-binary-placeholder")
    @pytest.mark.parametrize(
        "number", ["-1", "2", "5", "1000000000", "0.0", '"0"', "true", "false", "null", "[]", "{}"]
    )
    def test_a_number_of_no_attachment_is_refused(self, number: str) -> None:
        text = f'[{{"_placeholder":true,"num":{number}}}]'
        assert refused(text, check_placeholders(2, FEW)) == "socketio-v5-binary-placeholder"

    @pytest.mark.rule("socketio-v5-binary-placeholder")
    def test_a_placeholder_without_a_number_is_refused(self) -> None:
        rule = "socketio-v5-binary-placeholder"
        assert refused('[{"_placeholder":true}]', check_placeholders(1, FEW)) == rule
        inner = '{"_placeholder":true,"num":0}'
        outer = f'[{{"_placeholder":true,"num":{inner}}}]'
        assert refused(outer, check_placeholders(1, FEW)) == rule

    @pytest.mark.parametrize("flag", ["false", "null", "1", '"true"', "[true]"])
    def test_only_true_makes_a_placeholder(self, flag: str) -> None:
        text = f'[{{"_placeholder":{flag},"num":9}}]'
        assert self.decode(text, b"1") == json.loads(text)

    @pytest.mark.rule("socketio-v5-binary-expansion")
    def test_an_attachment_may_stand_in_several_places_up_to_the_limit(self) -> None:
        again = json.dumps([placeholder(0)] * 3)
        assert self.decode(again, b"123") == [b"123"] * 3
        many = json.dumps([placeholder(0)] * 4)
        assert refused(many, check_placeholders(1, FEW)) == "socketio-v5-binary-expansion"

    @pytest.mark.rule("socketio-v5-binary-expansion")
    def test_repeated_attachments_are_bounded_in_bytes(self) -> None:
        again = json.dumps([placeholder(0)] * 3)
        hook = fill_placeholders([b"1234"], FEW)
        assert refused(again, hook) == "socketio-v5-binary-expansion"

    def test_an_attachment_that_stands_nowhere_is_dropped(self) -> None:
        assert self.decode("[1]", b"123") == [1]

    @given(strategies.values)
    def test_what_was_taken_out_is_put_back(self, value: Any) -> None:
        text, attachments = encode_binary([value])
        limits = Limits(attachments=100)
        assert self.decode(text, *attachments, limits=limits) == [value]
        if not attachments:
            assert encode_plain([value]) == text


class TestCost:
    """Guards against work that grows with the square of the length: by structure, not by time."""

    def test_the_depth_check_runs_no_python_for_each_character(self) -> None:
        steps = 0

        def count(*_args: Any) -> Any:
            nonlocal steps
            steps += 1
            return count

        hostile = [
            "[" * 100_000, "[]," * 50_000, '["' + "\\" * 100_000, '"' * 100_000, '\\"' * 50_000,
            '["' + '\\"' * 50_000, "[[" + "[],[]," * 30_000, '{"":' * 20_000,
        ]  # fmt: skip
        sys.setprofile(count)
        try:
            for text in hostile:
                nesting(text)
        finally:
            sys.setprofile(None)
        assert steps < 50 * len(hostile)

    @pytest.mark.parametrize("unit", ["0,", "[],", "{},", "[[]],", '{"a":1},', '"1",'])
    def test_reading_many_small_values_runs_no_python_for_each(self, unit: str) -> None:
        steps = 0

        def count(*_args: Any) -> None:
            nonlocal steps
            steps += 1

        decode_value("[1]", 0, DEFAULT)
        sys.setprofile(count)
        try:
            decode_value("[" + unit * (400_000 // len(unit)) + "0]", 0, DEFAULT)
        finally:
            sys.setprofile(None)
        assert steps < 200

    def test_reading_a_long_text_leaves_the_garbage_collector_as_it_was(self) -> None:
        long = "[" + "[]," * 50_000 + "0]"
        with collections() as made:
            for text in (long, long + "x"):
                with contextlib.suppress(SocketIOError):
                    decode_value(text, 0, DEFAULT)
                assert gc.isenabled()
        assert len(made) < 10
        gc.disable()
        try:
            decode_value(long, 0, DEFAULT)
            assert not gc.isenabled()
        finally:
            gc.enable()

    def test_digits_within_a_long_string_are_no_integer(self) -> None:
        text = "9" * (MAX_DIGITS + 1)
        assert decode_value(f'["{text}",7]', 0, DEFAULT) == [text, 7]

    def test_a_payload_is_not_copied_to_be_read(self) -> None:
        class Whole(str):
            def __getitem__(self, key: Any) -> str:
                raise AssertionError("the text was cut")

        text = Whole("x" * 10 + "[" + "1," * 5000 + "1]")
        assert decode_value(text, 10, DEFAULT) == [1] * 5001


LONG_DIGITS = "1" * (MAX_DIGITS + 1)


@pytest.mark.rule("socketio-v5-value-digits")
@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("0." + LONG_DIGITS, True),
        ("1.5e-" + "0" * 5000, True),
        ("1E+" + "0" * 5000, True),
        ("1e" + "0" * 5000, True),
        (f'"\\\\",{{"{LONG_DIGITS}":"{LONG_DIGITS}"}}', True),
        (f'"\\"{LONG_DIGITS}"', True),
        (f'"-",-{LONG_DIGITS}', False),
        (f'"e",{LONG_DIGITS}', False),
        (f'"\\\\",{LONG_DIGITS}', False),
        (f'{{"a":{LONG_DIGITS}}}', False),
        (f"0.5,{LONG_DIGITS}", False),
    ],
)
def test_only_integers_have_a_longest_length(text: str, fits: bool) -> None:
    if fits:
        assert isinstance(decode_value(f"[{text}]", 0, DEFAULT), list)
    else:
        assert refused(f"[{text}]") == "socketio-v5-value-digits"


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize("size", [LONG, 2 * LONG])
def test_what_is_read_in_one_go_is_not_looked_at_by_the_next_look_for_garbage(size: int) -> None:
    frozen = gc.get_freeze_count()
    items = decode_value("[" + "[]," * (size // 3) + "0]", 0, DEFAULT)
    kept = items, items[0], items[-2]
    young = {id(thing) for age in (0, 1) for thing in gc.get_objects(generation=age)}
    assert not young & set(map(id, kept))
    assert all(map(gc.is_tracked, kept))
    assert gc.get_freeze_count() == frozen


def test_objects_that_an_application_has_frozen_stay_so() -> None:
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        decode_value("[" + "[]," * LONG + "0]", 0, DEFAULT)
        assert gc.get_freeze_count() > count // 2
    finally:
        gc.unfreeze()
