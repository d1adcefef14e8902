"""The laws of design, on the joined stack: from bytes to Socket.IO packets and back."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.errors import LocalProtocolError
from rawsio.layer import Role
from rawsio.prepared import Prepared, messages_in, prepare
from rawsio.socketio.packets import Connect, Event
from rawsio.socketio.values import Unsendable
from rawsio.websocket.frames import BINARY, CLOSE, PING, TEXT, decode_frame, encode_frame
from tests.laws import Subject, laws_for
from tests.socketio.strategies import LIMITS, events
from tests.socketio.strategies import wire as messages

from .joined import ClientEnd, ServerEnd, joined

SMALL = LIMITS.but(message=2000, body=2000, pipeline=1000)
KEY = b"\x01\x02\x03\x04"

_packets = st.sampled_from(["2", "3", "6", "1", "9", "", "5", "2probe", "bAQID", "b!", "40", "4"])
_junk = st.sampled_from(
    [
        b"\x81\x01",
        b"\x82\xfe\xff\xff" + KEY,
        b"\x82\x7e\xff\xff",
        b"\x88\x00",
        b"\xc1\x80abcd",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0",
    ]
)


def _frame(role: Role, opcode: int, payload: bytes) -> bytes:
    return encode_frame(opcode, payload, mask=KEY if role is Role.SERVER else None)


_some_packets = st.lists(_packets, max_size=2)


@st.composite
def _talk(draw: st.DrawFn, role: Role) -> list[bytes]:
    """Frames of packets of messages: well made below Socket.IO, or nearly."""
    frames = []
    for message in draw(messages(role)):
        if isinstance(message, str):
            frames.append(_frame(role, TEXT, f"4{message}".encode("utf-8", "replace")))
        else:
            frames.append(_frame(role, BINARY, message))
    for packet in draw(_some_packets):
        frame = _frame(role, TEXT, packet.encode())
        frames.insert(draw(st.integers(0, len(frames))), frame)
    return frames


def _noise(role: Role) -> st.SearchStrategy[list[bytes]]:
    """Events, and mistakes of the WebSocket among them, or else pings.

    Apart from :func:`_talk`, and pings apart from junk, because the WebSocket answers a ping of
    the same read before anybody above has seen the message in front of it, which may end the
    connection: ``81 01 00 89 00`` is answered with a pong whole, and without one when cut.
    """
    event = st.just(_frame(role, TEXT, b'42["chat"]'))
    close, ping = (st.just(_frame(role, opcode, b"")) for opcode in (CLOSE, PING))
    unlike_ping = st.binary(max_size=6).filter(lambda data: 0x80 | PING not in data)
    apart = st.one_of(event, close, ping), st.one_of(event, close, _junk, unlike_ping)
    return st.one_of(*(st.lists(parts, max_size=6) for parts in apart))


def wire(role: Role) -> st.SearchStrategy[list[bytes]]:
    return st.one_of(_talk(role), _noise(role))


def make() -> tuple[ClientEnd, ServerEnd]:
    client, server = joined(SMALL)
    client.send(Connect("/"))
    for unit in client.data_to_send():
        server.receive(unit)
    server.send(Connect("/", {"sid": "x"}))
    for unit in server.data_to_send():
        client.receive(unit)
    return client, server


def try_prepare(event: Any) -> Prepared | None:
    try:
        return prepare(event)
    except Unsendable:
        return None


TestLaws = laws_for(
    Subject(
        make=make,
        events=events,
        wire=wire,
        buffered=lambda layer: layer.buffered,
        bound=SMALL.message + 14 + SMALL.attachment_bytes,
        prepare=try_prepare,
        max_tick=0.5,
        steps=10,
    )
)


@given(events(Role.SERVER))
@example(Event("/", ["file", b"", b"\x00\xff"]))
def test_the_frames_of_a_prepared_packet_are_its_packets_and_can_be_read_again(event: Any) -> None:
    try:
        prepared = prepare(event)
    except LocalProtocolError:
        return
    at, found = 0, list[str | bytes]()
    while at < len(prepared.frame):
        whole = decode_frame(prepared.frame, at, False)
        assert whole is not None
        frame, at = whole
        assert (frame.fin, frame.rsv1) == (True, False)
        text = frame.opcode == TEXT
        assert text or frame.opcode == BINARY
        found.append(frame.payload.decode() if text else frame.payload)
    assert tuple(found) == prepared.packets()
    assert [*messages_in(prepared.frame)] == [prepared.messages]
