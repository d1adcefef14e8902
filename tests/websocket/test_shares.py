"""A share for each call: how much is taken at a time, and that nothing of the rest is lost."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT, Limits
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.events import Message, Ping
from rawsio.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode_close

from .feeding import frame, work_off

both = pytest.mark.parametrize("role", Role)
SHARE = DEFAULT.turn_frames
SIX = Limits(turn_frames=6)


def shares(layer: WebSocketConnection, data: bytes) -> list[list[Any]]:
    """Return the events of each call that it takes to work the data off."""
    found = [layer.receive(data)]
    while layer.deadline == 0.0:
        found.append(layer.tick(1.0))
    return found


def texts(role: Role, count: int) -> bytes:
    return b"".join(frame(role, TEXT, b"%d" % n) for n in range(count))


@both
@pytest.mark.rule("layers-turn-share")
@pytest.mark.parametrize(
    ("opcode", "payload"),
    [(TEXT, b"x"), (TEXT, b"x" * 126), (BINARY, b"x"), (PING, b""), (PONG, b"x")],
)
def test_a_share_has_so_many_frames_whatever_they_are(
    role: Role, opcode: int, payload: bytes
) -> None:
    layer = WebSocketConnection(role)
    taken = shares(layer, frame(role, opcode, payload) * (3 * SHARE + 7))
    assert [len(events) for events in taken] == [SHARE, SHARE, SHARE, 7]


@both
@pytest.mark.rule("layers-turn-share")
def test_frames_that_give_no_event_count_as_well(role: Role) -> None:
    layer = WebSocketConnection(role, Limits(fragments=10_000))
    data = frame(role, TEXT, b"", fin=False) + frame(role, CONTINUATION, b"", fin=False) * 999
    taken = shares(layer, data + frame(role, CONTINUATION, b"x"))
    assert taken == [[], [], [], [Message("x")]]


@both
@pytest.mark.rule("layers-turn-share")
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [1000, 20_000, 65_535, 65_536, 200_000])
def test_a_share_ends_with_the_frame_that_makes_it_so_many_bytes(
    role: Role, opcode: int, size: int
) -> None:
    layer = WebSocketConnection(role)
    taken = shares(layer, frame(role, opcode, b"x" * size) * 200)
    counts = [len(events) for events in taken]
    assert sum(counts) == 200
    for count in counts[:-1]:
        assert (count - 1) * size < DEFAULT.turn_bytes <= count * size


@both
@pytest.mark.rule("layers-turn-share")
def test_of_compressed_data_those_bytes_count_that_come_of_it(role: Role) -> None:
    agreed = Agreement(threshold=0)
    layer, peer = (
        WebSocketConnection(role, deflate=agreed),
        WebSocketConnection(role.peer, deflate=agreed),
    )
    for _ in range(60):
        peer.send(Message("a" * 900_000))
    data = b"".join(peer.data_to_send())
    assert len(data) < DEFAULT.receive_size
    taken = shares(layer, data)
    assert [len(events) for events in taken] == [1] * 60


@pytest.mark.rule("layers-turn-share")
def test_what_nearly_all_reads_bring_is_one_share() -> None:
    layer = WebSocketConnection(Role.SERVER)
    assert len(layer.receive(texts(Role.SERVER, 100))) == 100
    assert layer.deadline is None
    assert layer.reading


@both
@pytest.mark.rule("layers-turn-order")
def test_while_input_waits_the_layer_does_not_read_and_asks_for_a_tick(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    layer.receive(texts(role, 7))
    assert (layer.reading, layer.deadline, layer.buffered > 0) == (False, 0.0, True)
    assert layer.tick(1.0) == [Message("6")]
    assert (layer.reading, layer.deadline, layer.buffered) == (True, None, 0)


@both
@pytest.mark.rule("layers-turn-order")
def test_what_is_fed_all_the_same_comes_behind_what_waits(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    wire = texts(role, 50)
    events = layer.receive(wire[:101])
    for at in range(101, len(wire), 7):
        assert layer.receive(wire[at : at + 7]) == []
    assert events + work_off(layer) == [Message(str(n)) for n in range(50)]


@both
@pytest.mark.rule("layers-turn-order")
def test_the_end_of_input_comes_behind_what_waits(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    events = layer.receive(texts(role, 20))
    assert layer.receive_eof() == layer.receive_eof() == []
    assert layer.closing is Closing.OPEN
    events += work_off(layer)
    assert events[:-1] == [Message(str(n)) for n in range(20)]
    assert isinstance(events[-1], Failed)
    assert events[-1].rule == "6455-7.1.5-eof"
    assert layer.closing is Closing.NOW
    assert layer.receive_eof() == []


@both
@pytest.mark.rule("layers-turn-order")
@pytest.mark.parametrize("count", [6, 20])
def test_a_close_frame_behind_what_waits_ends_the_connection_in_its_turn(
    role: Role, count: int
) -> None:
    layer = WebSocketConnection(role, SIX)
    wire = texts(role, count) + frame(role, CLOSE, encode_close(1000, "bye"))
    events = layer.receive(wire + frame(role, TEXT, b"dropped"))
    assert layer.receive_eof() == []
    assert layer.data_to_send() == []
    events += work_off(layer)
    assert events == [*(Message(str(n)) for n in range(count)), Closed(1000, "bye")]
    assert layer.receive(b"more") == []


@both
@pytest.mark.rule("layers-turn-order")
def test_a_mistake_behind_what_waits_is_found_in_its_turn(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    events = layer.receive(texts(role, 20) + frame(role, 0x83, b"") + texts(role, 3))
    assert all(isinstance(event, Message) for event in events)
    events += work_off(layer)
    assert events[:-1] == [Message(str(n)) for n in range(20)]
    assert isinstance(events[-1], Failed)
    assert layer.buffered == 0


@both
@pytest.mark.rule("layers-turn-order")
def test_pings_are_answered_with_the_share_that_they_are_in(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    assert layer.receive(texts(role, 8) + frame(role, PING, b"late")) != []
    assert layer.data_to_send() == []
    assert layer.tick(1.0) == [Message("6"), Message("7"), Ping(b"late")]
    assert len(layer.data_to_send()) == 1


@both
def test_our_own_closing_handshake_has_its_time_while_input_waits(role: Role) -> None:
    layer = WebSocketConnection(role, SIX)
    layer.receive(texts(role, 60))
    layer.send(Closed(1000))
    assert all(isinstance(event, Message) for event in layer.tick(10.0))
    assert layer.deadline == 0.0
    (end,) = layer.tick(10.0 + DEFAULT.close_time)
    assert isinstance(end, Failed)
    assert (layer.deadline, layer.closing, layer.buffered) == (None, Closing.NOW, 0)


@both
@pytest.mark.rule("layers-turn-read-ahead")
def test_who_feeds_on_and_on_is_stopped_at_a_limit(role: Role) -> None:
    layer = WebSocketConnection(role, Limits(message=1000, read_ahead=5000))
    layer.receive(texts(role, 300))
    events: list[Any] = []
    for _ in range(20):
        events += layer.receive(texts(role, 300)[:500])
        assert layer.buffered <= 6500
    assert [event.rule for event in events] == ["layers-turn-read-ahead"]
    assert layer.closing is Closing.HALF
    assert layer.deadline is None


@both
@pytest.mark.rule("layers-turn-share")
def test_a_frame_that_began_in_an_earlier_read_counts_as_well(role: Role) -> None:
    layer = WebSocketConnection(role)
    wire = frame(role, TEXT, b"x" * 200_000) * 3
    assert layer.receive(wire[:50_000]) == []
    assert [len(events) for events in shares(layer, wire[50_000:])] == [1, 1, 1]


@pytest.mark.rule("layers-turn-share")
def test_final_blocks_count_for_what_they_cost() -> None:
    layer = WebSocketConnection(Role.SERVER, deflate=Agreement())
    block = b"\x01\x01\x00\xfe\xff"
    message = frame(Role.SERVER, TEXT, b"".join([block + b"x"] * 20) + b"\x00", rsv1=True)
    taken = shares(layer, message * 10)
    assert [len(events) for events in taken] == [1] * 10
