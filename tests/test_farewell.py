"""The close frame of a client that leaves: what is taken past the layers, and that nobody can tell.

The sessions of a server that is traced are layered, so it is the judge (:mod:`tests.test_routes`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.limits import DEFAULT
from rawsio.testing import TestKit
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.frames import CLOSE, PING, TEXT, encode_close, encode_frame
from tests.stack.joined import UPGRADE
from tests.test_express import LOOSE, begin, frame, listen, masked
from tests.test_routes import Conversation, both

KEY = b"\x01\x9a\xff\x40"


def close(body: bytes = b"", key: bytes = KEY) -> bytes:
    return encode_frame(CLOSE, body, mask=key)


EMPTY, NORMAL, AWAY = close(), close(b"\x03\xe8"), close(b"\x03\xe9")
SHORT = {"no code": EMPTY, "1000": NORMAL, "1001": AWAY}
LONG = {
    "a reason": close(encode_close(1000, "bye")),
    "another code": close(b"\x03\xf0"),
    "a code of its own": close(b"\x0f\xa0"),
    "a code that may not be sent": close(b"\x03\xed"),
    "a code of nothing": close(b"\0\0"),
    "half of a code": close(b"\x03"),
    "a reason that is no text": close(b"\x03\xe8\xff"),
    "as much as it holds": close(b"\x03\xe8" + b"x" * 123),
    "a second one": NORMAL + EMPTY,
    "an event behind it": NORMAL + frame('2["chat"]'),
    "a byte behind it": EMPTY + b"\x81",
    "no mask": encode_frame(CLOSE, b"\x03\xe8"),
    "no mask, as long": encode_frame(CLOSE, b"\x03\xe8" + b"x" * 4),
    "not final": bytes([CLOSE]) + NORMAL[1:],
    "a reserved bit": bytes([0xC8]) + NORMAL[1:],
    "a length in two bytes": b"\x88\xfe\0\x00" + KEY,
    "a length that is too long": b"\x88\x83" + NORMAL[2:],
    "a length that is too short": b"\x88\x80" + NORMAL[2:],
    "a ping": encode_frame(PING, b"!", mask=KEY),
    "a text": encode_frame(TEXT, b"\x03\xe8", mask=KEY),
}
BEFORE = {
    "nothing": b"",
    "an event": frame('2["chat","x"]'),
    "a handler at work": frame('2["wait",0.5]'),
    "a reply that is owed": frame('2["ask"]'),
    "handlers of its own": frame('2["own"]'),
    "listeners": frame('2["any"]'),
    "watchers": frame('2["watch"]'),
    "another namespace": frame("0/a,"),
    "no namespace any more": frame("1"),
    "a missing attachment": frame('51-["chat",{"_placeholder":true,"num":0}]'),
    "half a frame": frame('2["chat"]')[:-1],
    "half a message": encode_frame(TEXT, b"42[", mask=KEY, fin=False),
    "things that are odd": frame("2[") * 2,
    "a ping": encode_frame(PING, b"!", mask=KEY),
}


class Ends:
    """Counts the closes that were taken past the layers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        end = WebSocketConnection.end

        def ending(websocket: WebSocketConnection) -> None:
            self.count += 1
            end(websocket)

        monkeypatch.setattr(WebSocketConnection, "end", ending)


def conversation(backpressure: str = "pause") -> Conversation:
    limits = LOOSE.but(high_water=600_000, low_water=4000, queue=900_000)
    way = Conversation(limits, traced=False, backpressure=backpressure)
    listen(way)
    begin(way)
    return way


@pytest.mark.parametrize("name", SHORT)
def test_a_client_that_leaves_is_answered_and_let_go(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, way = Ends(monkeypatch), conversation()
    way.say(SHORT[name])
    assert ends.count == 1
    assert way.heard.endswith(
        b"\x88\0" if name == "no code" else b"\x88\2" + int(name).to_bytes(2, "big")
    )
    assert way.wire.recv(1) == b""
    assert way.calls[-1] == ["disconnect", "transport close"]
    assert way.io.stats()["connections"] == 0
    way.kit.close()


@pytest.mark.parametrize("name", LONG)
def test_what_says_more_is_left_to_the_layers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ends, way = Ends(monkeypatch), conversation()
    way.say(LONG[name])
    assert ends.count == 0
    way.kit.close()


@pytest.mark.parametrize("behind", [EMPTY, NORMAL])
def test_what_comes_behind_an_event_in_the_same_read_is_left_to_the_layers(
    behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, way = Ends(monkeypatch), conversation()
    way.say(frame('2["chat"]') + behind)
    assert ends.count == 0
    assert way.io.stats()["connections"] == 0
    way.kit.close()


@pytest.mark.parametrize("before", ["an event", "handlers of its own"])
def test_nothing_is_taken_while_something_waits_to_be_sent(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, way = Ends(monkeypatch), conversation("drop-volatile")
    way.say(BEFORE[before])
    way.wire.stalled = True
    way.io.emit("news", "x" * 300_000)
    way.kit.run()
    way.wire.send(NORMAL)
    way.kit.run()
    assert ends.count == 0
    way.do("listen")
    assert way.heard.endswith(b"\x88\x02\x03\xe8")
    way.kit.close()


@pytest.mark.parametrize("listens", [False, True])
def test_what_another_client_caused_in_the_same_turn_is_told_before_the_answer(
    listens: bool,
) -> None:
    io = Server()
    io.on("say", lambda _socket: io.emit("said"))
    if listens:
        io.on("connection", lambda socket: socket.on("x", print))
    with TestKit(io) as kit:
        first, second = kit.dial(), kit.dial()
        for wire in (first, second):
            for said in (UPGRADE, frame("0")):
                wire.send(said)
                kit.run()
        first.send(frame('2["say"]'))  # it was dialled first, and is read first
        second.send(NORMAL)
        kit.run()
        assert second.recv(9999).endswith(b'42["said"]\x88\x02\x03\xe8')


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("name", [*SHORT, *LONG])
def test_nobody_can_tell_how_a_client_left(before: str, name: str) -> None:
    said = {**SHORT, **LONG}[name]
    for first in ([BEFORE[before]], []) if before != "nothing" else ([],):
        both([*first, said, 1.0, 60.0], "pause", LOOSE, listen)
        both([BEFORE[before] + said, 1.0, 60.0], "pause", LOOSE, listen)


@pytest.mark.parametrize("name", SHORT)
def test_nobody_can_tell_how_a_client_left_that_was_nowhere(name: str) -> None:
    for first in ([], [frame("0/a,")], [frame("0/unknown,")], [masked("2")]):
        both(["before", *first, SHORT[name], 60.0], "pause", DEFAULT, listen)


_closes = st.one_of(
    st.builds(
        close, st.sampled_from([b"", b"\x03\xe8", b"\x03\xe9"]), st.binary(min_size=4, max_size=4)
    ),
    st.sampled_from([*SHORT.values(), *LONG.values()]),
    st.builds(lambda code: close(code.to_bytes(2, "big")), st.integers(0, 0xFFFF)),
)
_before = st.lists(
    st.sampled_from([*BEFORE.values(), frame('2["end"]'), frame('2["leave"]'), frame('2["much"]')]),
    max_size=3,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut the data at these places, as far as it goes."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(
    _before,
    st.booleans(),
    _closes,
    _before,
    st.lists(st.integers(0, 400), max_size=3),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([(), (), ("silence",), (0.6,), (11.0,)]),
)
@example([], True, NORMAL, [], [1], "pause", ())
@example([], True, NORMAL, [], [6], "pause", ())
@example([frame('2["much"]')] * 3, True, EMPTY, [], [], "drop-volatile", ("silence",))
@example([frame('2["wait",0.5]')], True, AWAY, [], [], "pause", (0.6,))
def test_nobody_can_tell_where_the_input_is_cut(
    before: list[bytes],
    apart: bool,
    said: bytes,
    behind: list[bytes],
    cuts: list[int],
    backpressure: str,
    meanwhile: tuple[Any, ...],
) -> None:
    reads = [*before, said] if apart else [b"".join(before) + said]
    reads[-1] += b"".join(behind)
    steps = [*meanwhile, *reads[:-1], *pieces(reads[-1], cuts), "listen", 1.0, 60.0]
    both(steps, backpressure, LOOSE, listen)


def test_the_connection_is_closed_if_the_program_is_interrupted_on_the_way() -> None:
    way = conversation()

    @way.io.on("disconnecting")
    def interrupt(_socket: Any, _reason: str) -> None:
        raise KeyboardInterrupt

    way.wire.send(NORMAL)
    with pytest.raises(KeyboardInterrupt):
        way.kit.run()
    way.kit.run()
    way.listen()
    assert way.heard.endswith(b"\x88\x02\x03\xe8")
    assert way.io.stats()["connections"] == 0
    way.kit.close()


def test_the_answer_to_a_client_that_takes_nothing_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends, way = Ends(monkeypatch), conversation()
    stream = next(iter(way.io.net.driver.streams))
    refused = [BlockingIOError(), BlockingIOError()]
    send = stream.sock.send

    def reluctant(data: Any) -> int:
        if refused:
            raise refused.pop()
        return send(data)

    stream.sock.send = reluctant
    way.say(NORMAL)
    way.kit.run()
    way.listen()
    assert ends.count == 1
    assert refused == []
    assert way.heard.endswith(b"\x88\x02\x03\xe8")
    assert way.io.stats()["connections"] == 0
    way.kit.close()


def test_a_client_that_is_gone_already_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    ends, way = Ends(monkeypatch), conversation()
    way.wire.send(NORMAL)
    way.wire.close()
    way.kit.run()
    assert ends.count == 1
    assert way.io.stats()["connections"] == 0
    assert way.calls[-1] == ["disconnect", "transport close"]
    way.kit.close()


def test_a_client_whose_end_takes_long_is_no_burden_afterwards() -> None:
    way = conversation()

    @way.io.on("disconnect")
    def slowly(_socket: Any, _reason: str) -> None:
        way.kit.board.now += 0.3

    way.say(NORMAL)
    assert way.io.net.driver.burden == 0
    way.kit.close()
