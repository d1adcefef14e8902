"""JSON read step by step: the same values and refusals as at once, in steps that are short."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.errors import SocketIOError
from rawsio.layer import Closed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.long_values import value_in_steps
from rawsio.socketio.msgpack import MsgpackParser, unpack
from rawsio.socketio.packets import Connect, Event
from rawsio.socketio.values import check_placeholders, decode_value, fill_placeholders

from .strategies import json_values

TINY = Limits(turn_bytes=16)
"""Pieces of four characters."""


def taken(steps: Generator[None, None, Any]) -> tuple[Any, int]:
    """Return the value, and how many steps it took."""
    count = 1
    try:
        while True:
            next(steps)
            count += 1
    except StopIteration as done:
        return done.value, count


def outcome(read: Any) -> Any:
    try:
        return repr(read())
    except SocketIOError:
        return "refused"


@st.composite
def texts(draw: Any) -> str:
    """JSON with blanks anywhere, and sometimes with a mistake."""
    value = draw(st.lists(json_values, max_size=6))
    indent = draw(st.sampled_from([None, 0, 1, "\t"]))
    text = json.dumps(value, indent=indent, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        at, junk = (
            draw(st.integers(0, len(text))),
            draw(st.sampled_from([*'[]{},:"\\0-eN ', ""])),
        )
        text = text[:at] + junk + text[at + draw(st.integers(0, 2)) :]
    return text


@pytest.mark.rule("layers-turn-long")
@given(texts(), st.integers(8, 80))
@example('[[],{"a":[1,2],"b":"x,]}"},[],0]', 16)
@example('["a,","b],",{"c":"},"}, 1 , 2]', 16)
@example("[1,]", 16)
@example("[[1],]", 16)
@example('{"a":1,}', 16)
@example("[1e400]", 16)
@example("[1 2]", 16)
@example(" []", 16)
@example("[", 16)
@example("[" + "9" * 400 + ".0e-390]", 16)
def test_what_is_read_in_steps_is_what_is_read_at_once(text: str, share: int) -> None:
    limits = Limits(turn_bytes=share)
    at_once = outcome(lambda: decode_value(text, 0, limits))
    assert outcome(lambda: taken(value_in_steps(text, 0, limits))[0]) == at_once


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize("depth", [3, 4, 5, 6])
@pytest.mark.parametrize("text", ['[[],[[],[{"a":[]}]],[]]', '[1,2,3,4,5,6,7,8,9,{"a":[[[]]]}]'])
def test_depth_is_counted_across_pieces(text: str, depth: int) -> None:
    limits = TINY.but(json_depth=depth)
    at_once = outcome(lambda: decode_value(text, 0, limits))
    assert outcome(lambda: taken(value_in_steps(text, 0, limits))[0]) == at_once


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize("share", [16, 64, 100_000])
def test_placeholders_are_counted_once_however_often_a_piece_is_tried(share: int) -> None:
    limits = Limits(turn_bytes=share, attachments=10)
    mark = '{"_placeholder":true,"num":0}'
    text = f'["e",[[{mark}],{{"a":{mark}}}],{",".join([mark] * 8)}]'
    taken(value_in_steps(text, 0, limits, check_placeholders(1, limits)))
    fill = fill_placeholders([b"x"], limits)
    assert taken(value_in_steps(text, 0, limits, fill))[0][1:] == [
        [[b"x"], {"a": b"x"}],
        *[b"x"] * 8,
    ]
    escaped = '["e",' + ",".join(['{"\\u005fplaceholder":true,"num":0}'] * 11) + "]"
    with pytest.raises(SocketIOError, match="more than 10 placeholders"):
        taken(value_in_steps(escaped, 0, limits, check_placeholders(1, limits)))


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize(
    "item",
    ["[1]", "0", '{"a":1}', '""', "0.5", '{"a":[{"b":2}]}', '[{"x":1},{"y":[2,[3]]}]', '"],},"'],
)
def test_a_long_text_has_as_many_steps_as_its_length_asks_for(item: str) -> None:
    count = 400_000 // (len(item) + 1)
    text = f'["z",[{",".join([item] * count)}]]'
    value, steps = taken(value_in_steps(text, 0, DEFAULT))
    assert value == ["z", [json.loads(item)] * count]
    assert len(text) // (2 * 32_768) <= steps <= 4 * (len(text) // 32_768 + 1)


@pytest.mark.rule("layers-turn-long")
def test_what_is_read_in_vain_is_no_more_than_what_is_read() -> None:
    # Each of these is just longer than a piece, and so is what is in it, ninety times over.
    text = "[" + ",".join("[" * 90 + "1," * 9000 + "1" + "]" * 90 for _ in range(10)) + "]"
    value, steps = taken(value_in_steps(text, 0, DEFAULT))
    assert value == json.loads(text)
    assert steps < 20 * (len(text) // 32_768 + 1)


@pytest.mark.rule("socketio-v5-limit-containers")
@pytest.mark.parametrize("read", [decode_value, lambda *a: taken(value_in_steps(*a))[0]])
def test_a_packet_has_so_many_arrays_and_objects_and_those_in_strings_are_none(read: Any) -> None:
    limits = Limits(containers=5)
    assert read('["[[[[{{{{",[],{},[{}]]', 0, limits) == ["[[[[{{{{", [], {}, [{}]]
    with pytest.raises(SocketIOError, match="containers"):
        read('["[[[[{{{{",[],{},[{}],[]]', 0, limits)


@pytest.mark.rule("socketio-v5-limit-containers")
def test_a_packet_in_messagepack_has_so_many_arrays_and_maps() -> None:
    limits, parser = Limits(containers=6), MsgpackParser()
    (fits,) = parser.encode(Event("/", ["e", [[], [], {}, {}]]))
    (more,) = parser.encode(Event("/", ["e", [[], [], {}, {}, []]]))
    assert parser.decode(fits, limits.but(containers=7)) == Event("/", ["e", [[], [], {}, {}]])
    with pytest.raises(SocketIOError, match="containers"):
        parser.decode(more, limits)
    with pytest.raises(SocketIOError, match="containers"):
        taken(parser.decode_in_steps(more, limits))


def test_messagepack_that_is_read_without_a_limit_has_as_many_as_it_has() -> None:
    many = b"\xdd" + (1_000_000).to_bytes(4, "big") + b"\x90" * 1_000_000
    assert len(unpack(many)) == 1_000_000


# The layer


LONG = '2["long",' + "[1]," * 40_000 + "0]"


def joined(limits: Limits = DEFAULT, parser: Any = None) -> SocketIOConnection:
    layer = SocketIOConnection(Role.SERVER, limits, parser=parser)
    layer.receive("0" if parser is None else parser.encode(Connect("/"))[0])
    layer.send(Connect("/", {"sid": "x"}))
    layer.data_to_send()
    return layer


@pytest.mark.rule("layers-turn-long")
def test_a_layer_reads_a_long_message_when_it_is_ticked_and_nothing_else_meanwhile() -> None:
    layer = joined()
    assert layer.receive(LONG) == []
    assert (layer.reading, layer.deadline, layer.held) == (False, 0.0, len(LONG))
    assert layer.receive('2["next"]') == layer.receive('2["last"]') == []
    events, ticks = [], 0
    while layer.deadline == 0.0:
        found = layer.tick(float(ticks))
        assert len(found) <= 1
        events += found
        ticks += 1
    assert [event.args[0] for event in events] == ["long", "next", "last"]
    assert len(events[0].args) == 40_002
    assert 3 < ticks < 20
    assert (layer.reading, layer.held) == (True, 0)


@pytest.mark.rule("layers-turn-long")
def test_a_mistake_in_a_long_message_ends_the_connection_and_what_is_behind_is_dropped() -> None:
    layer = joined()
    layer.receive(LONG + "]")
    layer.receive('2["next"]')
    events: list[Any] = []
    while layer.deadline == 0.0:
        events += layer.tick(1.0)
    assert [event.rule for event in events] == ["socketio-v5-value-json"]
    assert (layer.held, layer.reading) == (0, True)


@pytest.mark.rule("layers-turn-long")
def test_a_connection_that_ends_reads_no_further() -> None:
    layer = joined()
    layer.receive(LONG)
    assert layer.receive_eof() == [Closed(0, "transport close")]
    assert (layer.deadline, layer.held, layer.tick(1.0)) == (None, 0, [])


@pytest.mark.rule("layers-turn-read-ahead")
def test_who_feeds_on_behind_a_long_message_is_stopped_at_a_limit() -> None:
    layer = joined(Limits(message=200_000, read_ahead=100_000))
    layer.receive(LONG)
    events: list[Any] = []
    for _ in range(10):
        events += layer.receive('2["next","' + "x" * 50_000 + '"]')
        assert layer.held <= 550_100
    assert [event.rule for event in events] == ["layers-turn-read-ahead"]


@pytest.mark.rule("layers-turn-long")
def test_the_text_of_a_packet_with_attachments_is_read_in_steps_before_and_after_them() -> None:
    layer = joined()
    text = '51-["long",{"_placeholder":true,"num":0},' + "[1]," * 40_000 + "0]"
    ticks = [0, 0]
    events: list[Any] = []
    for part, unit in enumerate((text, b"12")):
        events += layer.receive(unit)
        while layer.deadline == 0.0:
            events += layer.tick(1.0)
            ticks[part] += 1
    assert min(ticks) > 3
    (event,) = events
    assert event.args[:3] == ["long", b"12", [1]]


@pytest.mark.rule("layers-turn-long")
def test_messagepack_is_read_in_steps_as_well() -> None:
    parser = MsgpackParser()
    layer = joined(parser=parser)
    (message,) = parser.encode(Event("/", ["long", [{"a": 1}] * 30_000]))
    assert layer.receive(message) == []
    events, ticks = [], 0
    while layer.deadline == 0.0:
        events += layer.tick(1.0)
        ticks += 1
    assert ticks > 20
    assert events == [Event("/", ["long", [{"a": 1}] * 30_000])]
