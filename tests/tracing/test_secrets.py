"""What is replaced in a recording, with everything where it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.conversation import Conversation
from rawsio.layer import Role
from rawsio.socketio.msgpack import pack
from rawsio.tracing.secrets import hidden, hidden_content
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import decode_frame, encode_frame

C, S = Role.CLIENT, Role.SERVER
MANY = pack({"type": 0, "nsp": "/", "data": [*range(3000), "secret"]})
MANY_FIRST = pack({"data": [*range(30_000), "secret"], "type": 0, "nsp": "/"})
ASK = (
    b"GET /socket.io/?EIO=4&transport=websocket&sid=kS9 HTTP/1.1\r\nHost: a\r\nCookie: id=1\r\n"
    b"Authorization: Bearer xyz\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
YES = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: io=kS9\r\n%b\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"


def written(*said: tuple[Role, bytes]) -> list[bytes]:
    conversation = Conversation()
    return [hidden(i) for who, data in said for i in conversation.feed(who, data)]


@pytest.mark.parametrize("content", [MANY, MANY_FIRST])
def test_what_is_too_long_to_be_told_apart_is_hidden_whole(content: bytes) -> None:
    hid = hidden_content(content)
    assert len(hid) == len(content)
    assert b"secret" not in hid
    event = content.replace(b"\xa4type\x00", b"\xa4type\x02")
    assert content is MANY_FIRST or b"secret" in hidden_content(event)


def test_credentials_and_the_id_in_a_head_become_asterisks() -> None:
    (head,) = written((C, ASK))
    assert len(head) == len(ASK)
    assert b"sid=*** HTTP/1.1" in head
    assert not any(secret in head for secret in (b"id=1", b"xyz", b"kS9", b"Bearer"))
    assert b"Host: a\r\n" in head


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b'40{"token":"a\\"b","n":12}', b'40{"token":"****","n":00}'),
        (b'40/admin,{"a":["x","y"]}', b'40/admin,{"a":["*","*"]}'),
        (b'40{"sid":"abc","pid":"def"}', b'40{"sid":"***","pid":"***"}'),
        (b'2\x1e40{"a":"b"}\x1e42["c","d"]', b'2\x1e40{"a":"*"}\x1e42["c","d"]'),
        (b'13:40{"a":"b"}2:40', b'13:40{"a":"*"}0:00'),
        (b'42["sid","40{"]', b'42["sid","40{"]'),
        (
            b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x82\xa5token\xa3abc\xa1n\x07",
            b"\x83\xa4type\x00\xa3nsp\xa1/\xa4data\x82\xa5token\xa3***\xa1n\x00",
        ),
        (
            b"2\x1ebg6R0eXBlAKNuc3ChL6RkYXRhgaV0b2tlbqNhYmM=",
            b"2\x1ebg6R0eXBlAKNuc3ChL6RkYXRhgaV0b2tlbqMqKio=",
        ),
        (
            b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a",
            b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1a",
        ),
    ],
)
def test_what_lets_somebody_in_is_hidden_in_content(content: bytes, shown: bytes) -> None:
    assert hidden_content(content) == shown


@given(st.binary(max_size=50), st.sampled_from([b"", b"40{", b'0{"sid":"', b'40/a,{"x":"']))
def test_content_stays_as_long_as_it_is(data: bytes, start: bytes) -> None:
    assert len(hidden_content(start + data)) == len(start + data)


@pytest.mark.parametrize("compressed", [True, False])
def test_frames_are_written_anew_without_mask_and_compression(compressed: bool) -> None:
    text = b'40{"token":"secret"}'
    pack = Agreement().compressor(C)
    frame = encode_frame(1, pack.compress(text) if compressed else text, rsv1=compressed,
                         mask=b"abcd")  # fmt: skip
    made = written((C, ASK), (S, YES % (DEFLATE if compressed else b"")), (C, frame))
    decoded = decode_frame(made[2], 0, True)
    assert decoded is not None
    assert (decoded[0].payload, decoded[0].rsv1) == (b'40{"token":"******"}', False)
    assert b"kS9" not in b"".join(made)


def test_fragments_become_one_frame_and_control_frames_stay() -> None:
    wire = encode_frame(1, b"42[", fin=False) + encode_frame(9, b"") + encode_frame(0, b'"a"]')
    made = written((C, ASK), (S, YES % b""), (S, wire))
    assert made[2:] == [b"", b"\x89\x00", encode_frame(1, b'42["a"]')]
