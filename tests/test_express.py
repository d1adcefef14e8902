"""The shortest way of events: what it reads, what it takes, and that nobody can tell.

That both ways say and do the same is also in :mod:`tests.test_routes`, whose conversations go this
way where it takes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from concurrent.futures import Executor, Future
from itertools import pairwise
from threading import Thread, get_ident
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.app.multiplexer import Multiplexer
from rawsio.app.socket import Socket
from rawsio.engineio.server.session import Session
from rawsio.express import Express
from rawsio.limits import DEFAULT, Limits
from rawsio.reading import ANSWER, Reading, event_in, events_in
from rawsio.routes import Direct
from rawsio.socketio.packets import RESERVED, Ack, Event, decode_packet
from rawsio.testing import TestKit
from rawsio.websocket.frames import BINARY, CLOSE, PING, TEXT, decode_frame, encode_frame
from tests.stack.joined import UPGRADE
from tests.test_routes import SMALL, Conversation, NobodyLooks, both

KEY = b"\x01\x9a\xff\x40"
READING = Reading(DEFAULT)
LOOSE = SMALL.but(
    events_per_second=20, high_water=20_000, low_water=4000, queue=60_000, attachment_bytes=1500
)
TIGHT = Limits(packet_id=1000, json_depth=3, message=300, body=300)


def masked(text: str, key: bytes = KEY) -> bytes:
    return encode_frame(TEXT, text.encode("utf-8", "surrogatepass"), mask=key)


def read_in(data: bytes, most: int, reading: Reading) -> list[Any]:
    return events_in(data, most, reading.main)


def frame(packet: str) -> bytes:
    return masked("4" + packet)


PLACE = '{"_placeholder":true,"num":0}'


def attached(number: str, name: str, data: bytes, rest: str = "]", opcode: int = BINARY) -> bytes:
    """Return an event with an attachment, the last of its arguments unless there is a rest."""
    binary = encode_frame(opcode, data, mask=KEY)
    return frame(f"51-{number}[{name},{PLACE}{rest}") + binary


# What is read

_keys = st.binary(min_size=4, max_size=4)
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**6) | st.floats(allow_nan=False, width=32)
    | st.text(max_size=20) | st.sampled_from(["x" * 118, "y" * 125, "z" * 300, "\ud800", "é" * 40])
    | st.sampled_from(["l" * 790, "é" * 500, "[" * 210, "{" * 900, "t" * 4350]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip
_ids = st.sampled_from(["", "0", "7", "07", "999", "1000", "1001", "9" * 15, "9" * 16, "²", "-1"])
_packets = st.one_of(
    st.builds(
        lambda number, name, args, dump: f"42{number}{dump([name, *args])}",
        _ids,
        st.sampled_from(["chat", "two", "connect", "", 5, None, ["x"], "né"]),
        st.lists(_values, max_size=3),
        st.sampled_from([json.dumps, lambda value: json.dumps(value, ensure_ascii=False)]),
    ),
    st.builds(lambda number, values: f"43{number}{json.dumps(values)}", _ids, _values),
    st.sampled_from(
        [
            *("42[]", "42", "4", "", "42[", '42["a"', '42["a"] ', '42["a"]x', "42{}", '42"["', "2"),
            *('43["a"]', '42/a,["a"]', '42["a",NaN]', '42["a",1e999]', '42["a",-Infinity]', "41"),
            '42["a",' + "[" * 101 + "]" * 101 + "]",
            '42["a","' + "[" * 150 + '"]',
            '42["a",' + "1" * 4400 + "]",
            '5["a"]',
            '42\0["a"]',
            '42["a\0"]',
        ]
    ),
)
_attached = st.builds(
    attached,
    st.sampled_from(["", "0", "7", "07", "1000", "1001", "/a,", "9" * 16]),
    st.sampled_from(
        [*('"chat"', '"né"', "5", '"a",1', '"[[["', '"connect"', f'"a",{PLACE}', "", '"\\u0061"')]
    ),
    st.binary(max_size=9) | st.sampled_from([b"x" * 126, b"y" * 301, b"z" * 66_000]),
    st.sampled_from(["]"] * 9 + [",1]", "] ", "]x", "", "}"]),
    st.sampled_from([BINARY] * 9 + [TEXT, PING]),
)
_frames = st.one_of(
    *[st.builds(masked, _packets, _keys)] * 4,
    _attached,
    st.sampled_from(
        [
            encode_frame(PING, b"!", mask=KEY),
            encode_frame(CLOSE, b"", mask=KEY),
            encode_frame(BINARY, b"42[]", mask=KEY),
            encode_frame(TEXT, b'42["a"]', mask=KEY, fin=False),
            encode_frame(TEXT, b'42["a"]'),
            b"\x81\xfe\0\x05" + KEY + b"12345",
            encode_frame(TEXT, b'42["\xff"]', mask=KEY),
        ]
    ),
)


def packet_of(data: bytes, at: int, limits: Limits) -> tuple[Any, int, int]:
    """Return what the layers make of the frames there, where they end, and how many there are."""
    packet: Any = None
    for count in range(1, 3):
        whole, at = decode_frame(data, at, True) or (None, 0)
        assert whole is not None
        assert (whole.fin, whole.rsv1) == (True, False)
        if packet is None:
            assert whole.opcode == TEXT
            packet = decode_packet(whole.payload.decode()[1:], limits)
        else:
            assert whole.opcode == BINARY
            packet = packet.add(whole.payload, limits)
        if isinstance(packet, (Event, Ack)):
            return packet, at, count
    raise AssertionError(packet)


_good = st.builds(
    lambda number, name, value, key: masked(f"42{number}{json.dumps([name, value])}", key),
    st.sampled_from(["", "7", "999"]),
    st.sampled_from(["chat", "two"]),
    st.sampled_from([1, "x", {"a": []}, "é" * 40, "z" * 250]),
    _keys,
)


@given(
    st.builds(
        list.__add__, st.lists(_good, max_size=2), st.lists(_frames | _good, min_size=1, max_size=3)
    ),
    st.just(0) | st.integers(0, 40),
    st.sampled_from([DEFAULT, TIGHT]),
)
@example([masked('42["a"]'), masked('4207["a"]')], 0, DEFAULT)
@example([masked('42["a",{"b":{"c":{"d":1}}}]')], 0, TIGHT)
@example([masked('42["a"]x')], 0, DEFAULT)
@example([attached("7", '"a"', b"xyz"), masked('42["a"]')], 12, DEFAULT)
@example([attached("7", '"a"', b"xyz")], 1, DEFAULT)
@example([masked('421001["a"]')], 0, TIGHT)
def test_what_it_reads_the_layers_read_as_well(
    frames: list[bytes], cut: int, limits: Limits
) -> None:
    data = b"".join(frames)
    data = data[: max(0, len(data) - cut)]
    begin = messages = 0
    for n, (digits, args, end, binaries) in enumerate(read_in(data, 9, Reading(limits))):
        if args[0] in RESERVED:  # for which there can be no handler
            return
        packet, after, more = packet_of(data, begin, limits)
        if args[0] is ANSWER:
            assert packet == Ack("/", args[1], int(digits))
        else:
            assert packet == Event("/", args, int(digits) if digits else None)
            assert digits.decode() == ("" if packet.id is None else str(packet.id))
        begin, messages = after, messages + more
        assert (begin, messages) == (end, n + 1 + binaries)


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (attached("", '"a"', b""), True),
        (attached("7", '"a"', b"x" * 300), True),
        (attached("7", '"a"', b"x" * 301), False),
        (attached("07", '"a"', b"x"), False),
        (attached("1000", '"a"', b"x"), False),
        (attached("/a,", '"a"', b"x"), False),
        (attached("", '"a",1', b"x"), False),
        (attached("", '"a"', b"x", ",1]"), False),
        (attached("", f'"a",{PLACE}', b"x"), False),
        (attached("", '"[["', b"x"), False),
        (attached("", "5", b"x"), False),
        (attached("", '"a"', b"x", "]]"), False),
        (attached("", '"a"', b"x", opcode=TEXT), False),
        (attached("", '"a"', b"xyz")[:-1], False),
        (attached("", '"a"', b"")[:-1], False),
        (frame(f'51-["a",{PLACE}]') + encode_frame(BINARY, b"x"), False),
        (frame(f'51-["a",{PLACE}]') + encode_frame(BINARY, b"x", mask=KEY, fin=False), False),
        (frame(f'52-["a",{PLACE}]') + encode_frame(BINARY, b"x", mask=KEY), False),
    ],
)
def test_it_reads_one_attachment_that_is_there(data: bytes, read: bool) -> None:
    assert len(read_in(data, 9, Reading(TIGHT))) == read


@pytest.mark.parametrize("limits", [TIGHT.but(attachments=0), TIGHT.but(json_depth=1)])
def test_it_reads_no_attachment_where_none_is_allowed(limits: Limits) -> None:
    assert read_in(attached("", '"a"', b"x"), 9, Reading(limits)) == []


def test_attachments_are_counted() -> None:
    one, plain = attached("7", '"a"', b"x"), masked('42["a"]')
    found = read_in(one + plain + one + one, 9, READING)
    assert [attached for _digits, _args, _end, attached in found] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    ("packet", "read"),
    [
        ('42["a"]', True),
        ('420["a"]', False),
        ('421["a"]', True),
        ('42999["a",{"b":[1]}]', True),
        ('421000["a"]', False),
        ('4207["a"]', False),
        ('42["a",[[[1]]]' + " " * 90 + "]", False),
        ('42["a","' + "x" * 290 + '"]', True),
        ('42["a","' + "x" * 300 + '"]', False),
        ('42["a"]\n', False),
        ("42[1]", False),
        ('42/a,["a"]', False),
        ('43["a"]', False),
        ('437["a"]', True),
        ("430[]", True),
        ("4307[]", True),
        ("431000[]", False),
        ("43²[]", False),
        ('437{"a":[]}', False),
        ("437[[[[1]]]]" + " " * 90, False),
        ("437[]x", False),
        ("43/a,7[]", False),
        ('463-7["a"]', False),
        ('42"a"', False),
    ],
)
def test_it_reads_what_is_plain(packet: str, read: bool) -> None:
    reading = Reading(TIGHT)
    assert len(read_in(masked(packet), 9, reading)) == read
    assert (event_in(masked(packet), reading.main) is not None) == read


def test_it_reads_no_more_events_than_asked_for_and_none_behind_another_frame() -> None:
    one = masked('42["a"]')
    assert [len(read_in(one * 5, most, READING)) for most in (0, 1, 5, 9)] == [0, 1, 5, 5]
    assert len(read_in(one * 2 + masked("2") + one, 9, READING)) == 2
    assert len(read_in(one * 2 + one[:-1], 9, READING)) == 2


@given(_frames, st.sampled_from([b"", b"", b"\x81", b"more"]), st.sampled_from([DEFAULT, TIGHT]))
@example(masked('42["a",NaN]'), b"", DEFAULT)
@example(masked('42["a",1e999]'), b"", DEFAULT)
@example(masked("437[-Infinity]"), b"", DEFAULT)
@example(masked('42["a",' + "[" * 2000 + "]"), b"", DEFAULT.but(json_depth=5000))
def test_one_event_alone_is_read_as_the_first_of_several(
    data: bytes, behind: bytes, limits: Limits
) -> None:
    data, reading = data + behind, Reading(limits)
    found = read_in(data, 1, reading)
    alone = [(digits, args) for digits, args, end, more in found if end == len(data) and not more]
    assert [event for event in [event_in(data, reading.main)] if event] == alone


@pytest.mark.parametrize("text", ['427["a",1]', '427["a","' + "x" * 200 + '"]', '437["a"]'])
def test_nothing_is_read_of_a_part_of_an_event(text: str) -> None:
    whole = masked(text)
    assert event_in(whole, READING.main)
    for end in range(len(whole)):
        assert event_in(whole[:end], READING.main) is None


@pytest.mark.parametrize("depth", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("kind", ['42["a",', "437["])
def test_what_is_nested_too_deeply_is_not_read(depth: int, opening: str, kind: str) -> None:
    mark = Reading(DEFAULT.but(json_depth=depth)).main
    for levels in range(max(depth - 2, 0), depth + 2):
        closing = "]" if opening == "[" else "}"
        data = masked(kind + opening * levels + "1" + closing * levels + "]")
        read = levels + 1 <= depth
        assert (event_in(data, mark) is not None) is read
        assert len(events_in(data, 1, mark)) is int(read)


@pytest.mark.parametrize(
    "limits", [DEFAULT.but(message=100, body=100), DEFAULT.but(high_water=500, low_water=100)]
)
def test_nothing_is_read_where_the_limits_are_less_than_what_is_not_counted(limits: Limits) -> None:
    reading = Reading(limits)
    assert reading.most == 0
    assert event_in(masked('42["a"]'), reading.main) is None
    assert event_in(masked("437[]"), reading.main) is None


# What it takes

BEFORE = {
    "watch": frame('2["watch"]'),
    "any": frame('2["any"]'),
    "own": frame('2["own"]'),
    "leave": frame('2["leave"]'),
    "coroutine": frame('2["wait"]'),
    "attachment": frame('51-["chat",{"_placeholder":true,"num":0}]'),
    "part of a frame": frame('2["chat"]')[:-1],
}


class Layers:
    """Counts what the layers were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets: list[Any] = []
        for owner, name in ((Session, "receive"), (Direct, "receive_packet")):
            self._watch(monkeypatch, owner, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        before = getattr(owner, name)

        def watched(way: Any, packet: Any) -> Any:
            self.packets.append(packet)
            return before(way, packet)

        monkeypatch.setattr(owner, name, watched)


def begin(way: Conversation) -> None:
    way.say(frame("0"))


def taken(way: Conversation, data: bytes, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the layers see nothing of this."""
    layers = Layers(monkeypatch)
    way.say(data)
    return layers.packets == []


@pytest.mark.parametrize(
    "packet",
    [
        *('2["chat"]', '27["chat","x",[1]]', '299["none"]', '2["none"]', '27["fails"]'),
        *('27["bytes"]', '27["deep"]', '27["no json"]', '27["much"]', '27["chat","é"]'),
        '27["chat","' + "x" * 500 + '"]',
    ],
)
def test_an_event_with_one_plain_handler_is_taken(
    packet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(LOOSE.but(events_per_second=999), traced=False, backpressure="pause")
    begin(way)
    assert taken(way, frame(packet) * 3, monkeypatch)
    way.kit.close()


SPACES = pytest.mark.parametrize(
    ("joined", "space"), [(("0/a,",), "/a,"), (("0", "0/a,"), "/a,"), (("0/a,", "0"), "")]
)


def join(way: Conversation, *packets: str, space: str) -> None:
    """Join namespaces; and as a read behind one without events is not looked at, say something."""
    for packet in packets:
        way.say(frame(packet))
    for _ in range(2):
        way.say(frame(f'2{space}["nobody listens"]'))


@SPACES
def test_an_event_of_any_namespace_is_taken(
    joined: tuple[str, ...], space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(LOOSE.but(json_depth=20), traced=False, backpressure="pause")
    join(way, *joined, space=space)
    assert taken(way, frame(f'2{space}7["fails"]') + frame(f'2{space}8["deep"]'), monkeypatch)
    assert f'43{space}8[[[[[[[[[["x"]]]]]]]]]]'.encode() in way.heard
    way.kit.close()


def test_a_client_of_two_namespaces_has_the_events_of_both_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Conversation(LOOSE, traced=False, backpressure="pause")
    join(way, "0", "0/a,", space="")
    layers = Layers(monkeypatch)
    for number in range(1, 5):
        way.say(frame(f'2/a,{number}["chat"]'))
        way.say(frame(f'2{number}["none"]'))
        assert f'43/a,{number}["a"]'.encode() in way.heard
        assert f"43{number}[]".encode() in way.heard
    assert layers.packets == []
    way.say(frame("1/a,"))
    layers.packets.clear()
    way.say(frame('2/a,9["chat"]'))
    assert len(layers.packets) > 0
    assert b"43/a,9" not in way.heard
    way.kit.close()


@pytest.mark.parametrize("name", ["/" + "n" * 60, "/é", "/a[b"])
def test_events_of_namespaces_with_odd_names_go_through_the_layers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    way.io.of(name).on("chat", lambda _socket: "odd")
    join(way, f"0{name},", space=f"{name},")
    assert not taken(way, frame(f'2{name},7["chat"]'), monkeypatch)
    assert f'43{name},7["odd"]'.encode() in way.heard
    way.kit.close()


@SPACES
def test_acknowledgements_are_taken_and_so_is_what_stands_between_them(
    joined: tuple[str, ...], space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(LOOSE, traced=False, backpressure="pause")
    listen(way)
    join(way, *joined, space=space)
    way.say(frame(f'2{space}["asks"]') * 3)
    answers = [frame(f'3{space}{number}["yes",{number}]') for number in (1, 0, 2, 9)]
    said = answers[0] + frame(f'2{space}7["a or b",1]') + answers[1] + frame(f'2{space}8["now"]')
    assert taken(way, said + frame(f'2{space}9["a or b",1]'), monkeypatch)
    assert taken(way, b"".join(answers), monkeypatch)
    assert way.calls.count(["told", ("yes", 2)]) == 1
    told = [call[1] for call in way.calls if call[0] == "told"]
    assert told == [("yes", 1), ("yes", 0), ("yes", 2)]
    for number in (7, 8, 9):
        assert f"43{space}{number}[".encode() in way.heard
    way.kit.close()


def test_an_acknowledgement_is_taken_for_which_a_handler_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Conversation(LOOSE, traced=False, backpressure="pause")
    listen(way)
    begin(way)
    way.say(frame('27["asks and waits"]'))
    assert way.peers[0].busy
    assert taken(way, frame('30["yes"]'), monkeypatch)
    assert not way.peers[0].busy
    assert b'437["yes"]' in way.heard
    way.kit.close()


@SPACES
def test_a_handler_that_answers_later_is_taken_and_so_is_one_that_answers_at_once(
    joined: tuple[str, ...], space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(LOOSE, traced=False, backpressure="pause")
    listen(way)
    join(way, *joined, space=space)
    names = ("later on", "now", "both ways", "later on")
    said = [frame(f'2{space}{number}["{name}"]') for number, name in enumerate(names, 1)]
    assert taken(way, b"".join(said), monkeypatch)
    way.kit.advance(0.02)
    way.listen()
    answers = [way.heard.find(f"43{space}{number}[".encode()) for number in (2, 3, 1, 4)]
    assert -1 not in answers
    assert answers == sorted(answers)
    assert way.heard.count(f"43{space}3".encode()) == 1, "the second answer is none"
    way.kit.close()


@pytest.mark.parametrize("name", ["chat", "same", "fails too"])
def test_an_event_with_an_attachment_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    way = Conversation(LOOSE.but(events_per_second=999), traced=False, backpressure="pause")
    begin(way)
    way.io.on("same", lambda _socket, data: data)
    way.io.on("fails too", lambda _socket, data: data / 0)
    data = attached("7", f'"{name}"', b"12345")
    assert taken(way, data * 2 + frame('2["none"]') + data, monkeypatch)
    if name == "same":
        assert way.heard.count(b'461-7[{"_placeholder":true,"num":0}]\x82\x0512345') == 3
    way.kit.close()


@pytest.mark.parametrize("before", BEFORE)
def test_nothing_is_taken_where_something_is_unusual(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    begin(way)
    listen(way)
    way.say(BEFORE[before])
    assert not taken(way, frame('2["none"]'), monkeypatch)
    way.kit.close()


def test_nothing_is_taken_before_a_client_is_in_the_namespace_or_on_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    assert not taken(way, frame('2["none"]'), monkeypatch)
    way.kit.close()
    io = Server(executor=AtOnce())
    routes: list[Any] = []
    io.on("connection", lambda socket: routes.append(socket._peer.route))
    with TestKit(io) as kit:
        kit.connect()
        assert type(routes[0]) is Express
        assert routes[0].read(frame('2["none"]'), 0.0) == 0


# Nobody can tell


def listen(way: Conversation) -> None:
    """Add the handlers that do something unusual."""
    io, calls = way.io, way.calls

    async def wait(seconds: float) -> str:
        calls.append(["begun", seconds])
        await asyncio.sleep(seconds)
        calls.append(["ended", seconds])
        return "late"

    def work(_socket: Any, *_args: Any) -> str:
        way.kit.board.now += 0.003
        return "done"

    def stop(_socket: Any) -> None:
        way.kit.board.now += 0.3

    def own(socket: Any) -> None:
        socket.on("chat", lambda value="": calls.append(["own", value]))

    io.on("own", own)
    io.of("/a").on("own", own)

    def later(_socket: Any, ack: Any) -> None:
        io.host.call_later(0.01, ack, "é")

    def both_ways(_socket: Any, ack: Any) -> str:
        ack("first")
        return "second"

    for space in (io, io.of("/a")):
        space.on("now", lambda _socket, ack: ack("now"), ack=True)
        space.on("later on", later, ack=True)
        space.on("by value", lambda _socket, _value, _ack: ["x" * 120], ack=True)
        space.on("both ways", both_ways, ack=True)
        space.on("fails with it", lambda _socket, ack: ack(object()), ack=True)
        space.on("waits with it", lambda _socket, ack: wait(0.01), ack=True)
    asking(way)
    io.of("/a").on("none", lambda _socket: None)
    io.of("/a").on("quotes", lambda _socket, text: text)
    io.of("/a").on("a or b", lambda _socket, a, b="b": [a, b])
    io.on("wait", lambda _socket, seconds=0.01: wait(seconds))
    io.on("at once", lambda _socket: wait(0))
    io.on("work", work)
    io.on("stop", stop)
    io.on("a or b", lambda _socket, a, b="b": [a, b])
    io.on("nothing", lambda: calls.append("nothing"))
    io.on("other", lambda socket: io.of("/a").disconnect_sockets() and None)
    io.on("off", lambda _socket: io.off("two"))
    io.on("on", lambda _socket: io.on("none", lambda _socket: calls.append("second") or "second"))
    io.on("big", lambda _socket: {"x": "é" * 70, "y": [None, 1.5, "\ud800"]})
    io.on("far too much", lambda socket: [socket.emit("x", "y" * 1900) for _ in range(9)] and "z")
    io.on("answers much", lambda _socket: "m" * 1900)
    io.on("bye", lambda socket: (socket.disconnect(), "bye")[1])
    io.on("quotes", lambda _socket, text: text)
    for space in (io, io.of("/a")):
        space.on("slowly", lambda _socket, data: wait(len(data) / 1000))
    io.on("long bytes", lambda _socket: b"x" * 1501)
    io.on_error(lambda error, _socket, name, args: calls.append([type(error), name, args]))


def asking(way: Conversation) -> None:
    """Add handlers that ask, and do all kinds of things when they are told."""
    io, calls = way.io, way.calls

    def told(reply: Any) -> None:
        error = reply.exception()
        calls.append(["told", str(error) if error else reply.result()])

    def ask(socket: Any, then: Any = told) -> None:
        socket.emit_with_ack("question", "é").add_done_callback(then)

    def again(socket: Any, reply: Any) -> None:
        told(reply)
        if not reply.exception() and len(calls) < 50:
            socket.emit("and then", reply.result())
            ask(socket, lambda reply: again(socket, reply))

    def stop(reply: Any) -> None:
        told(reply)
        way.kit.board.now += 0.3

    async def wait(socket: Any) -> Any:
        return await socket.timeout(2.0).emit_with_ack("question")

    for space in (io, io.of("/a")):
        space.on("asks", ask)
        space.on("asks again", lambda socket: ask(socket, lambda reply: again(socket, reply)))
        space.on("asks in time", lambda socket: ask(socket.timeout(0.5)))
        space.on("asks slowly", lambda socket: ask(socket, stop))
        space.on("asks and leaves", lambda socket: ask(socket, lambda _reply: socket.disconnect()))
        space.on("asks and ends", lambda socket: ask(socket, lambda _: socket.conn.close()))
        space.on("asks and fails", lambda socket: ask(socket, lambda _reply: 1 / 0))
        space.on("asks no more", lambda socket: socket.emit_with_ack("question").cancel() and None)
        space.on("asks and waits", wait)
        space.on("asks and listens", lambda s: ask(s, lambda _: s.on("chat", lambda: "own")))
        space.on("tells", lambda socket, *args: socket.emit(*args))
        space.on("asks for", lambda s, *args: s.emit_with_ack(*args).add_done_callback(told))

    def ask_all(_socket: Any) -> None:
        io.timeout(0.5).emit_with_ack("all of you").add_done_callback(told)

    io.on("asks all", ask_all)


class AtOnce(Executor):
    """An executor that has no threads."""

    def submit(self, fn: Any, /, *args: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **more))
        return done


_plain = st.sampled_from(
    [
        *('"none"', '"two"', '"work"', '"work",1', '"a or b",1', '"a or b",1,2', '"a or b"'),
        *('"a or b",1,2,3', '"nothing"', '"nothing",1', '"fails"', '"big"', '"quotes","\\n\\""'),
        *('"quotes","' + "q" * 120 + '\\\\"', '"quotes","' + "q" * 300 + '"', '"chat","é"'),
        '"quotes",' + "[" * 5 + '"x"' + "]" * 5,
        *('"now"', '"later on"', '"by value",1', '"both ways"', '"fails with it"'),
        *('"waits with it"', '"by value"', '"chat"'),
    ]
)
_unusual = st.sampled_from(
    [
        *('"wait"', '"wait",0', '"at once"', '"stop"', '"own"', '"other"', '"off"', '"on"'),
        *(
            '"far too much"',
            '"answers much"',
            '"bye"',
            '"leave"',
            '"watch"',
            '"any"',
            '"close"',
            '"end"',
            '"much"',
            '"no json"',
            '"ask"',
            '"long bytes"',
        ),
    ]
)
_numbers = st.sampled_from(["", "0", "1", "12", "999"])
_asks = st.sampled_from(
    [
        *('"asks"', '"asks again"', '"asks in time"', '"asks slowly"', '"asks and leaves"'),
        *('"asks and ends"', '"asks and fails"', '"asks no more"', '"asks and waits"'),
        *('"asks all"', '"asks and listens"', '"asks"', '"asks again"', '"asks in time"'),
        *('"tells","x","y"', '"tells","connect"', '"tells",5', '"asks for","é",[1]'),
    ]
)
_spaces = st.sampled_from(["", "", "/a,"])
_usual = st.builds(
    lambda space, number, rest: frame(f"2{space}{number}[{rest}]"), _spaces, _numbers, _plain
) | st.builds(
    lambda space, number, name, data: attached(space + number, name, data),
    _spaces,
    _numbers,
    st.sampled_from(['"quotes"', '"chat"', '"none"', '"a or b"', '"two"', '"slowly"', '"x"']),
    st.sampled_from([b"", b"123", b"a" * 90, b"b" * 300, b"c" * 1000, b"d" * 2500]),
)
_answers = st.builds(
    lambda space, number, values: frame(f"3{space}{number}[{values}]"),
    _spaces,
    st.sampled_from(["0", "0", "1", "1", "2", "3", "02", "", "999", "1000"]),
    st.sampled_from(["", "1", '"yes"', '"é",2', "[[1]]", "[[[[[[1]]]]]]", '"' + "x" * 300 + '"']),
)
_asked = st.builds(
    lambda space, number, rest: frame(f"2{space}{number}[{rest}]"), _spaces, _numbers, _asks
)
_odd = st.one_of(
    st.builds(
        lambda space, number, rest: frame(f"2{space}{number}[{rest}]"), _spaces, _numbers, _unusual
    ),
    st.sampled_from([frame("1"), frame("0"), frame("0/a,"), frame("30[1]"), frame("2[")]),
    st.sampled_from([frame("1/a,"), frame('2/b,["chat"]'), frame('2/a["chat"]'), frame("2/a,[")]),
    st.sampled_from(
        [
            encode_frame(PING, b"!", mask=KEY),
            encode_frame(CLOSE, b"", mask=KEY),
            encode_frame(BINARY, b"1", mask=KEY),
            encode_frame(TEXT, b"42[", mask=KEY, fin=False),
        ]
    ),
)
_talk = st.lists(st.one_of(*[_usual] * 5, _odd), min_size=1, max_size=12).map(b"".join)
_questions = st.lists(
    st.one_of(*[_asked] * 4, *[_answers] * 4, _usual, _odd), min_size=1, max_size=12
).map(b"".join)


NONE = frame('27["none"]')
MUCH = frame('27["quotes","' + "q" * 300 + '"]') * 20
OFTEN = LOOSE.but(events_per_second=9999)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the data at these places, as far as it goes."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(
    st.lists(
        st.tuples(_talk, st.lists(st.integers(0, 5000), max_size=3))
        | st.sampled_from(["silence", "listen", 0.6, 11.0]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([LOOSE, LOOSE, LOOSE.but(turn_frames=3), LOOSE.but(json_depth=2)]),
    st.sampled_from([("0", "0/a,"), ("0/a,",), ("0/a,", "0")]),
)
@example([(NONE, []), 11.0, (NONE, []), 6.0, (NONE, []), 4.5, 6.0], "pause", LOOSE, ("0",))
@example(["silence", *[(MUCH, [])] * 9, "listen"], "disconnect", OFTEN, ("0",))
@example([(frame('27["deep"]'), [])], "pause", LOOSE.but(json_depth=2), ("0",))
@example([(NONE + frame('26["bye"]') + NONE, [])], "pause", LOOSE, ("0",))
@example([(NONE + frame('26["own"]') + NONE, []), (NONE, [])], "pause", LOOSE, ("0",))
def test_nobody_can_tell_whether_the_layers_were_there(
    said: list[Any], backpressure: str, limits: Limits, joined: tuple[str, ...]
) -> None:
    steps: list[Any] = ["before", *map(frame, joined)]
    for one in said:
        steps += pieces(*one) if isinstance(one, tuple) else [one]
    both([*steps, "listen", 1.0], backpressure, limits, listen)


@given(
    st.lists(
        st.tuples(_questions, st.lists(st.integers(0, 5000), max_size=3))
        | st.sampled_from(["silence", "listen", 0.6, 11.0]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from(
        [LOOSE, LOOSE.but(turn_frames=3), LOOSE.but(json_depth=2), LOOSE.but(pending_acks=2)]
    ),
    st.sampled_from([("0", "0/a,"), ("0/a,",), ("0/a,", "0")]),
)
def test_nobody_can_tell_how_an_acknowledgement_came(
    said: list[Any], backpressure: str, limits: Limits, joined: tuple[str, ...]
) -> None:
    steps: list[Any] = ["before", *map(frame, joined)]
    for one in said:
        steps += pieces(*one) if isinstance(one, tuple) else [one]
    both([*steps, "listen", 3.0], backpressure, limits, listen)


@given(
    st.lists(
        st.one_of(
            *[_usual] * 2, *[_odd] * 3, *[_asked] * 2, _answers, st.sampled_from([0.6, 11.0])
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([LOOSE.but(events_per_second=99), LOOSE, LOOSE.but(json_depth=2)]),
    st.sampled_from([("0",), ("0", "0/a,"), ("0/a,",)]),
)
@example([frame('27["bye"]'), frame('28["chat"]')], "pause", LOOSE, ("0",))
@example([frame('27["leave"]'), frame('28["chat"]')], "pause", LOOSE, ("0",))
@example([frame('27["own"]'), frame('28["chat"]')], "pause", LOOSE, ("0",))
@example([frame('27["other"]'), frame('28["chat"]')], "pause", LOOSE, ("0",))
def test_nobody_can_tell_how_events_came_that_are_a_read_each(
    said: list[Any], backpressure: str, limits: Limits, joined: tuple[str, ...]
) -> None:
    # Of each name the first is taken as one of several, as its handler has to be looked for.
    steps = [step for one in said for step in ([one, one] if isinstance(one, bytes) else [one])]
    both(["before", *map(frame, joined), *steps, "listen", 3.0], backpressure, limits, listen)


LONG = [f'"{"z" * size}"' for size in (99, 100)]
_tells = st.builds(
    lambda asks, number, args: frame(f'2{number}["{asks}"{"".join("," + arg for arg in args)}]'),
    st.sampled_from(["tells", "tells", "asks for"]),
    _numbers,
    st.lists(
        st.sampled_from(['"x"', '"é"', '"q\\"\\u0007"', "5", '"connect"', '"disconnect"', "null"])
        | _values.map(json.dumps)
        | st.sampled_from(["[" * 9 + "]" * 9, *LONG, '"\\ud800"']),
        max_size=3,
    ),
)


@given(
    st.lists(
        st.lists(_tells, min_size=1, max_size=6).map(b"".join)
        | st.sampled_from(["silence", "listen", 0.6]),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([LOOSE, LOOSE.but(packet_id=1), LOOSE.but(high_water=900, queue=2000)]),
)
def test_nobody_can_tell_how_an_event_left(
    said: list[Any], backpressure: str, limits: Limits
) -> None:
    both([*said, "listen", 1.0], backpressure, limits, listen)


@pytest.mark.parametrize(
    "name",
    ["none", "fails", "work", "stop", "wait", "leave", "other", "on", "far too much", "long bytes"],
)
def test_nobody_can_tell_for_any_kind_of_handler_among_others(name: str) -> None:
    one, two = frame('27["chat","x"]') + frame('26["a or b",1]'), frame('2["two"]')
    both(
        [frame("0/a,"), one, one + frame(f'28["{name}"]') + one + two + one, 1.0, one],
        *("pause", LOOSE, listen),
    )


def test_what_stands_behind_an_interrupt_goes_on_later() -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    begin(way)

    @way.io.on("interrupt")
    def interrupt(_socket: Any) -> None:
        raise KeyboardInterrupt

    one, other = frame('21["a or b",1]'), frame('22["interrupt"]')
    way.io.on("a or b", lambda _socket, a: a)
    way.wire.send(one + other + one * 2)
    with pytest.raises(KeyboardInterrupt):
        way.kit.run()
    way.kit.run()
    way.listen()
    assert way.heard.count(b"431[1]") == 3
    assert not way.peers[0].busy
    way.say(one)
    assert way.heard.count(b"431[1]") == 4
    way.wire.send(other)  # alone
    with pytest.raises(KeyboardInterrupt):
        way.kit.run()
    assert not way.peers[0].busy
    way.say(one)
    assert way.heard.count(b"431[1]") == 5
    way.kit.close()


@pytest.mark.parametrize("takes_ack", [False, True])
@pytest.mark.parametrize("ends", [lambda: 1 / 0, object])
def test_who_stops_the_program_when_a_handler_has_ended_keeps_nothing_from_going_on(
    ends: Any, takes_ack: bool
) -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    begin(way)

    @way.io.on_error
    def stop(*_what: Any) -> None:
        raise KeyboardInterrupt

    def bad(socket: Any, *_ack: Any) -> Any:
        socket.emit("said")
        return ends()

    way.io.on("bad", bad, ack=takes_ack)
    way.io.on("good", lambda _socket, a: a)
    one, other = frame('21["good",1]'), frame('22["bad"]')
    for number, packet in enumerate([other, one + other + one * 2, other + one * 3, other]):
        way.wire.send(packet)
        with pytest.raises(KeyboardInterrupt):
            way.kit.run()
        way.kit.run()
        way.listen()
        assert not way.peers[0].busy
        assert way.heard.count(b'2["said"]') == number + 1
        assert way.heard.count(b"431[1]") == (0, 3, 6, 6)[number]
    way.kit.close()


# Broadcasts


class Crowd:
    """A server and three clients, of which each may fall silent."""

    def __init__(self, limits: Limits, *, traced: bool, backpressure: str) -> None:
        self.calls: list[Any] = []
        self.io = Server(
            limits=limits, trace=NobodyLooks() if traced else None, backpressure=backpressure
        )
        self.io.host.log = lambda *line: self.calls.append(["log", *map(str, line[1:3])])
        self.peers: list[Any] = []
        self.io.on("connection", lambda socket: self.peers.append(socket._peer))
        self.io.on("disconnect", lambda _socket, reason: self.calls.append([reason]))
        self.io.on(
            "say", lambda socket, size: self.io.emit("said", "x" * size) or (socket.id and 1)
        )
        self.io.on("watch out", lambda socket: socket.on_any_outgoing(self.calls.append) and 1)
        self.io.on("drain", lambda *_values: self.calls.append(["drain"]))
        self.kit = TestKit(self.io)
        self.wires = [self.kit.dial() for _ in range(3)]
        self.heard = [b""] * 3
        for wire in self.wires:
            wire.send(UPGRADE)
            self.kit.run()
            wire.send(frame("0"))
        self.listen()
        self.heard = [SECRET.sub(b"", heard) for heard in self.heard]

    def listen(self) -> None:
        for _ in range(3):
            self.kit.run()
            for at, wire in enumerate(self.wires):
                while not wire.stalled:
                    try:
                        heard = wire.recv(1 << 20)
                    except (BlockingIOError, ConnectionResetError):
                        break
                    if not heard:
                        break
                    self.heard[at] += heard
                    self.kit.run()

    def do(self, step: tuple[str, int, int]) -> None:
        what, who, size = step
        wire, io = self.wires[who], self.io
        if what in ("emit", "many"):
            for _ in range(1 + who if what == "emit" else 40):
                io.emit("news", "y" * size)
        elif what == "volatile":
            io.volatile.emit("news", "v" * size)
        elif what == "other":
            io.except_("nobody").emit("news", "z" * size, b"1")
        elif what == "silence":
            wire.stalled = True
        elif what == "listen":
            wire.stalled = False
        elif what == "wait":
            self.kit.advance(size / 100)
        elif not wire.closed:
            with contextlib.suppress(BrokenPipeError):
                wire.send(frame(f'27["{what}",{size}]'))
        self.listen()

    def state(self) -> Any:
        conns = [peer.sink for peer in self.peers]
        return [
            self.io.stats()["memory"]["unsent"],
            *[(conn._queue, conn.buffered_amount, conn.writable) for conn in conns],
            *[wire.closed for wire in self.wires],
        ]


SECRET = re.compile(rb'"sid":"[^"]*"|Sec-WebSocket-Accept: [^\r]*')
_does = st.sampled_from(
    [
        *("emit", "emit", "emit", "many", "say", "say", "volatile", "other", "silence", "silence"),
        *("listen", "wait", "watch out"),
    ]
)


@given(
    st.lists(
        st.tuples(_does, st.integers(0, 2), st.sampled_from([0, 5, 90, 200, 700, 3000])),
        min_size=1,
        max_size=14,
    ),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([1500, 4000, 20_000]),
)
@example([("silence", 1, 0), *[("emit", 0, 3000)] * 9, ("listen", 1, 0)], "pause", 4000)
@example([("silence", 1, 0), *[("emit", 2, 700)] * 9, ("listen", 1, 0)], "disconnect", 4000)
@example([("emit", 2, 3000), ("watch out", 0, 0), ("emit", 0, 5)], "drop-volatile", 1500)
@example([("silence", 1, 0), ("many", 0, 90), ("say", 1, 5), ("listen", 1, 0)], "pause", 1500)
def test_nobody_can_tell_how_a_broadcast_came(
    steps: list[tuple[str, int, int]], backpressure: str, high: int
) -> None:
    limits = SMALL.but(events_per_second=999, high_water=high, low_water=high // 4, queue=3 * high)
    ways = [Crowd(limits, traced=traced, backpressure=backpressure) for traced in (False, True)]
    try:
        for step in steps:
            for way in ways:
                way.do(step)
            direct, layered = ways
            assert direct.heard == layered.heard
            assert direct.calls == layered.calls
            assert direct.state() == layered.state()
    finally:
        for way in ways:
            way.kit.close()


def test_a_broadcast_calls_nothing_for_most_of_its_receivers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Crowd(DEFAULT, traced=False, backpressure="pause")
    delivered: list[Any] = []
    deliver = Socket._deliver
    monkeypatch.setattr(
        Socket, "_deliver", lambda *args: delivered.append(args[0]) or deliver(*args)
    )
    way.do(("emit", 0, 5))
    assert len(delivered) == 0
    assert [heard.count(b"news") for heard in way.heard] == [1, 1, 1]
    way.do(("watch out", 1, 0))
    way.do(("emit", 0, 5))
    assert len(delivered) == 1
    way.kit.close()


def test_what_a_handler_changes_is_so_for_the_next_event_of_the_same_read() -> None:
    chat, none = frame('2["chat","x"]'), frame('27["none"]')
    both([chat + frame('2["own"]') + chat, chat], "pause", LOOSE, listen)
    both([none, none + frame('2["on"]') + none, none], "pause", LOOSE, listen)
    both([none + frame('2["any"]') + none], "pause", LOOSE, listen)


def test_an_event_that_is_taken_tells_that_the_client_lives() -> None:
    none = frame('2["none"]')
    both([none, 11.0, none, 6.0, none, 4.5, 6.0], "pause", LOOSE, listen)


@pytest.mark.parametrize("backpressure", ["pause", "drop-volatile", "disconnect"])
@pytest.mark.parametrize("size", [700, 9000])
def test_a_client_that_takes_nothing_is_counted_the_same(backpressure: str, size: int) -> None:
    limits = SMALL.but(events_per_second=999, high_water=150_000, low_water=40_000, queue=400_000)
    ways = [Crowd(limits, traced=traced, backpressure=backpressure) for traced in (False, True)]
    steps = [("silence", 1, 0), *[("emit", 2, size)] * 60, *[("say", 1, size)] * 9]
    try:
        for step in [*steps, ("listen", 1, 0), ("emit", 2, 5), ("say", 1, 5)]:
            for way in ways:
                way.do(step)
            assert ways[0].heard == ways[1].heard
            assert ways[0].calls == ways[1].calls
            assert ways[0].state() == ways[1].state()
    finally:
        for way in ways:
            way.kit.close()


@pytest.mark.parametrize("backpressure", ["drop-volatile", "disconnect"])
def test_answers_to_a_client_that_takes_nothing_are_counted_the_same(backpressure: str) -> None:
    limits = LOOSE.but(events_per_second=9999, high_water=150_000, low_water=40_000, queue=400_000)
    asks = frame('27["quotes","' + "q" * 90 + '"]') * 40
    long = frame('27["quotes","' + "q" * 900 + '"]') * 40
    both(["silence", *[asks] * 30, *[long] * 8, "listen", asks], backpressure, limits, listen)


# The CONNECT

_FIRST = [
    *("40", "40{}", '40{"token":"x"}', '40{"a":', "40[]", "40/,", "40/a,", "40/b,", "40 ", "4", ""),
    *(
        "41",
        "42",
        '42["chat","x"]',
        '421["chat",1]',
        "43[]",
        "430[]",
        "45",
        "2",
        "3",
        "5",
        "6",
        "0",
    ),
    *('40{"t":"' + "x" * 90 + '"}', '40{"t":"' + "x" * 400 + '"}', "4\u00fc", "40\u00fc", "400"),
    *('40{"a":[[[[[[[[1]]]]]]]]}', '40{"a":1e999}', '40{"a":1}x', "140", " 40"),
]
_ODD = [
    encode_frame(PING, b"40", mask=KEY),
    encode_frame(BINARY, b"40", mask=KEY),
    encode_frame(TEXT, b"40", mask=KEY, fin=False),
    encode_frame(TEXT, b"40"),
    encode_frame(TEXT, b"40{}\xff", mask=KEY),
    encode_frame(TEXT, b'40{"a":"\xff"}', mask=KEY),
    encode_frame(CLOSE, b"", mask=KEY),
    b"\x81\xfe\0\x02" + encode_frame(TEXT, b"40", mask=KEY)[2:],
    b"\xc1" + encode_frame(TEXT, b"40", mask=KEY)[1:],
    b"\x81\x81" + encode_frame(TEXT, b"40", mask=KEY)[2:],
    b"\x81\x83" + encode_frame(TEXT, b"40", mask=KEY)[2:],
    b"\x81\x02" + encode_frame(TEXT, b"40", mask=KEY)[2:],
]
_firsts = st.one_of(
    st.builds(masked, st.sampled_from(["40", *_FIRST]), _keys), st.sampled_from(_ODD)
)


@pytest.mark.parametrize("first", [*map(masked, _FIRST), *_ODD])
def test_each_thing_that_a_client_may_say_first_is_taken_as_the_layers_take_it(
    first: bytes,
) -> None:
    strict = DEFAULT.but(credentials=10, json_depth=3)
    for limits in (DEFAULT, strict, DEFAULT.but(message=8, body=8), LOOSE):
        both(["before", first, masked('427["chat",1]'), masked("40"), 60.0], "pause", limits)


@given(
    st.lists(st.one_of(st.lists(_firsts, min_size=1, max_size=3), st.just([])), max_size=5),
    st.integers(0, 60),
    st.sampled_from(
        [
            *(SMALL, LOOSE, DEFAULT.but(connect_time=2.0), DEFAULT.but(credentials=10)),
            *(DEFAULT.but(json_depth=3), LOOSE.but(events_per_second=1)),
        ]
    ),
)
@example([[masked("40")], [], [masked("40")]], 0, DEFAULT)
@example([[masked("40")], [masked("41")], [masked("40")]], 0, DEFAULT)
@example([[masked("40"), masked('421["chat",1]')]], 0, DEFAULT)
@example([[masked('40{"token":"x"}')], []], 7, DEFAULT)
def test_what_a_client_says_first_is_taken_as_the_layers_take_it(
    reads: list[list[bytes]], cut: int, limits: Limits
) -> None:
    steps: list[Any] = ["before"]
    for read in reads:
        data = b"".join(read)
        steps += [data[:cut], data[cut:]] if 0 < cut < len(data) else [data or 1.5]
    both(steps, "pause", limits)


def test_a_connect_that_comes_alone_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    enter = Express._enter

    def entering(self: Express, data: bytes) -> int:
        taken.append(enter(self, data))
        return taken[-1]

    monkeypatch.setattr(Express, "_enter", entering)
    for first in (masked("40"), masked('40{"token":"x"}'), masked("40/a,"), masked("40") * 2):
        both(["before", first, masked('427["chat",1]')], "pause", DEFAULT)
    assert taken == [8, 21, 0, 0]


@pytest.mark.parametrize("backpressure", ["drop-volatile", "disconnect"])
def test_a_client_for_whom_much_waits_is_cut_off_by_short_answers_all_the_same(
    backpressure: str,
) -> None:
    limits = LOOSE.but(events_per_second=9999, high_water=150_000, low_water=40_000, queue=400_000)
    long = frame('27["quotes","' + "q" * 900 + '"]') * 40
    short = frame('27["quotes","' + "q" * 90 + '"]') * 40
    both(["silence", *[long] * 9, *[short] * 70, "listen"], backpressure, limits, listen)


@pytest.mark.parametrize("backpressure", ["pause", "drop-volatile", "disconnect"])
@pytest.mark.parametrize("many", [5, 20, 40])
def test_bytes_that_answer_one_read_are_counted_the_same(backpressure: str, many: int) -> None:
    limits = LOOSE.but(
        events_per_second=9999,
        high_water=150_000,
        low_water=40_000,
        queue=400_000,
        attachment_bytes=20_000,
    )

    def prepare(way: Conversation) -> None:
        listen(way)
        way.io.on("large", lambda _socket: b"x" * 15_000)

    both(["silence", frame('27["large"]') * many, "listen"], backpressure, limits, prepare)


def test_what_a_coroutine_holds_of_an_attachment_is_counted_the_same() -> None:
    held = frame('2["wait"]') + attached("7", '"slowly"', b"a" * 1400)
    both([attached("7", '"slowly"', b"a" * 1400), 0.5, held, 0.5, 3.0], "pause", LOOSE, listen)


@pytest.mark.parametrize("limits", [LOOSE.but(attachments=0), LOOSE.but(json_depth=1)])
def test_bytes_are_no_answer_where_no_attachment_is_allowed(limits: Limits) -> None:
    answer = frame('27["bytes"]') + frame('27["long bytes"]')
    both([answer, frame('27["none"]') + answer], "pause", limits, listen)


def test_the_answer_to_a_connect_is_sent_though_the_program_was_interrupted() -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")

    @way.io.on("connection")
    def interrupt(_socket: Any) -> None:
        raise KeyboardInterrupt

    way.wire.send(frame("0"))
    with pytest.raises(KeyboardInterrupt):
        way.kit.run()
    way.kit.run()
    way.listen()
    assert b'40{"sid"' in way.heard
    way.kit.close()


def test_what_is_said_to_a_client_as_it_enters_comes_behind_the_answer() -> None:
    def prepare(way: Conversation) -> None:
        way.io.on("connection", lambda socket: socket.emit("a") or way.io.emit("b"))

    both(["before", frame("0"), frame('27["none"]')], "pause", DEFAULT, prepare)


def test_the_data_of_a_connect_that_goes_the_short_way_is_counted() -> None:
    totals = []
    for traced in (False, True):
        way = Conversation(DEFAULT, traced=traced, backpressure="pause")
        way.kit.advance(0.1)  # the handshake is counted by then
        way.say(frame('0{"a":' + "[" * 40 + "]" * 40 + "}"))
        way.kit.advance(0.1)
        totals.append(way.io.net.budget.total)
        way.kit.close()
    assert totals[0] == totals[1] > 1024


def test_asking_on_another_thread_looks_at_nothing_that_the_loop_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Conversation(DEFAULT, traced=False, backpressure="pause")
    begin(way)
    (socket,) = way.io.sockets.values()
    looked: list[int] = []
    before = Multiplexer.awaited

    def awaited(self: Multiplexer) -> int:
        looked.append(get_ident())
        return before(self)

    monkeypatch.setattr(Multiplexer, "awaited", awaited)
    thread = Thread(target=socket.emit_with_ack, args=("question",))
    thread.start()
    thread.join()
    assert looked == []
    way.kit.run()
    assert set(looked) == {get_ident()}
    way.kit.close()
