"""Messages as they may be shown: no secret in any byte or word, and every byte explained."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.explain.conversation import Conversation, Item
from rawsio.explain.fields import walk
from rawsio.explain.plain import as_json
from rawsio.layer import Role
from rawsio.socketio.msgpack import pack
from rawsio.tracing.cleaning import Cleaner
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import encode_frame

C, S = Role.CLIENT, Role.SERVER
SECRETS = (b"s3cret", b"kS9", b"c00kie")
ASK = (
    b"GET /socket.io/?EIO=4&transport=websocket&sid=kS9 HTTP/1.1\r\nHost: a\r\nCookie: c00kie\r\n"
    b"Authorization: Bearer s3cret\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"
)
YES = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSet-Cookie: c00kie\r\n%b\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
OPEN = b'0{"sid":"kS9","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
CONNECT = b'40{"token":"s3cret"}'
PACKED = pack({"type": 0, "nsp": "/", "data": {"token": "s3cret"}})


def cleaned(*said: tuple[Role, bytes]) -> list[Item]:
    talk, cleaner = Conversation(), Cleaner()
    items = [item for who, data in said for item in talk.feed(who, data)]
    items += [item for who in Role for item in talk.end(who, ended=True)]
    return [cleaner.clean(1, item) for item in items]


def body(content: bytes, *, chunks: int = 0) -> bytes:
    if not chunks:
        return b"Content-Length: %d\r\n\r\n" % len(content) + content
    pieces = [content[at : at + chunks] for at in range(0, len(content), chunks)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n\r\n" + wire + b"0\r\n\r\n"


def tell(item: Item) -> bytes:
    """Return all that is told of a message, bytes and words."""
    data = b"".join(field.data or b"" for field in walk(item.tree))
    words = json.dumps(as_json(item.tree)) + item.summary + item.session + repr(item.packets)
    return data + words.encode() + repr(item.head).encode() + item.content


def masked(frame: bytes, *, key: bytes = b"abcd", **kind: Any) -> bytes:
    return encode_frame(1, frame, mask=key, **kind)


def test_nothing_told_of_a_handshake_lets_anybody_in() -> None:
    items = cleaned(
        (C, ASK % b""), (S, YES % b""), (S, encode_frame(1, OPEN)), (C, masked(CONNECT))
    )
    assert len(items) == 4
    for item in items:
        assert not any(secret in tell(item) for secret in SECRETS)
    assert items[0].summary.endswith("transport=websocket&sid=***")
    assert items[2].summary == "open: session ***"
    assert items[3].packets[0].data == {"token": "******"}
    assert {item.session for item in items} == {"#1"}


def test_a_masked_frame_keeps_its_mask_and_its_length() -> None:
    wire = masked(CONNECT)
    frame = cleaned((C, ASK % b""), (S, YES % b""), (C, wire))[2]
    assert frame.tree.data is not None
    assert frame.tree.data[:6] == wire[:6]
    assert len(frame.tree.data) == len(wire)
    plain = bytes(a ^ b for a, b in zip(frame.tree.data[6:], b"abcd" * 9, strict=False))
    assert plain == b'40{"token":"******"}'
    assert frame.summary == "message: CONNECT to /"


@pytest.mark.parametrize("chunks", [0, 3, 100])
def test_bodies_are_explained_anew(chunks: int) -> None:
    ask = b"POST /socket.io/?EIO=4&transport=polling&sid=kS9 HTTP/1.1\r\nHost: a\r\n"
    content = CONNECT + b'\x1e42["hi"]'
    item = cleaned((C, ask + body(content, chunks=chunks)))[1]
    assert not any(secret in tell(item) for secret in SECRETS)
    assert [type(packet).__name__ for packet in item.packets] == ["Connect", "Event"]
    assert item.summary.endswith('message: CONNECT to /; message: EVENT "hi" in /')


def test_a_compressed_body_is_looked_into() -> None:
    ask = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" + body(gzip.compress(OPEN))
    item = cleaned((C, ask), (S, answer))[2]
    assert not any(secret in tell(item) for secret in SECRETS)
    assert set(item.tree.data or b"") == {0x2A}
    assert item.content == OPEN.replace(b"kS9", b"***")
    assert item.summary.endswith("open: session ***")


def test_what_came_compressed_is_written_anew_and_says_so() -> None:
    frame = masked(Agreement().compressor(C).compress(CONNECT), rsv1=True)
    item = cleaned((C, ASK % DEFLATE), (S, YES % DEFLATE), (C, frame))[2]
    assert b"s3cret" not in tell(item)
    assert item.tree.meaning.startswith("written anew")
    assert item.packets[0].data == {"token": "******"}


def test_fragments_that_may_hold_a_secret_are_not_shown_and_others_are() -> None:
    secret = (masked(CONNECT[:15], fin=False), encode_frame(0, CONNECT[15:], mask=b"abcd"))
    items = cleaned((C, ASK % b""), (S, YES % b""), (C, secret[0]), (C, secret[1]))
    assert b"s3c" not in tell(items[2])
    assert b"s3cret" not in tell(items[3])
    assert items[3].summary == "message: CONNECT to /"
    plain = (masked(b'42["a', fin=False), encode_frame(0, b'b"]', mask=b"abcd"))
    items = cleaned((C, ASK % b""), (S, YES % b""), (C, plain[0]), (C, plain[1]))
    assert b'42["a' in tell(items[2])


def test_what_holds_no_secret_is_the_message_itself() -> None:
    talk, cleaner = Conversation(), Cleaner()
    (item,) = talk.feed(S, encode_frame(1, b'42["token","s3cret"]'))
    assert cleaner.clean(1, item).tree is item.tree


@pytest.mark.parametrize(
    "head",
    [
        b"GET  /socket.io/?sid=kS9 HTTP/1.1\r\nCookie: c00kie\r\n\r\n",
        b"GET /socket.io/?EIO=4&transport=polling&sid=kS9 HTTP/1.1\r\nHost: a\r\nHost: b\r\n"
        b"Cookie: c00kie\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a\r\n c00kie\r\n\r\nCookie: c00kie\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\nAuthorization: s3cret\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie c00kie\r\n\r\n",
    ],
)
def test_a_broken_head_tells_no_secret_either(head: bytes) -> None:
    for item in cleaned((C, head)):
        assert not any(secret in tell(item) for secret in SECRETS)


def test_sessions_have_numbers_and_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rawsio.tracing.cleaning.REMEMBERED", 2)
    cleaner = Cleaner()
    names = []
    for sid in ("a", "b", "a", "c", "a"):
        talk = Conversation()
        target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        (item,) = talk.feed(C, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        names.append(cleaner.clean(1, item).session)
    assert names == ["#1", "#2", "#1", "#3", "#4"]
    cleaner.forget(1)


@example(100, [1, 18], False, CONNECT)
@example(100, [3], False, PACKED)
@example(100, [], True, PACKED)
@given(
    st.integers(1, 40),
    st.lists(st.integers(1, 19), max_size=3),
    st.booleans(),
    st.sampled_from([CONNECT, OPEN, PACKED]),
)
def test_however_a_secret_is_cut_it_is_not_told(
    size: int, places: list[int], packed: bool, secret: bytes
) -> None:
    more = DEFLATE if packed else b""
    content = Agreement().compressor(C).compress(secret) if packed else secret
    places = [0, *sorted(set(places)), len(content)]
    pieces = [content[a:b] for a, b in pairwise(places)]
    wire = b"".join(
        encode_frame(
            0 if n else 2 if secret is PACKED else 1,
            piece,
            mask=b"abcd",
            fin=n == len(pieces) - 1,
            rsv1=packed and not n,
        )
        for n, piece in enumerate(pieces)
    )
    cuts = [(C, wire[at : at + size]) for at in range(0, len(wire), size)]
    told = b"".join(tell(item) for item in cleaned((C, ASK % more), (S, YES % more), *cuts))
    assert not any(word in told for word in SECRETS)
