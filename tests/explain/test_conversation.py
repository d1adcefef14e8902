"""Connections seen from outside: what is spoken, and each message through its layers."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.explain.conversation import Conversation, Item, Sessions
from rawsio.explain.fields import walk
from rawsio.explain.websocket import LOOKED
from rawsio.layer import Role
from rawsio.socketio.msgpack import pack
from rawsio.socketio.packets import Ack, Connect, Event
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import encode_frame

from .agreement import well_formed
from .strategies import frame_bytes, http_bytes

C, S = Role.CLIENT, Role.SERVER
KEY = b"abcd"


def get(query: str, more: str = "") -> bytes:
    return f"GET /socket.io/?EIO=4&{query} HTTP/1.1\r\nHost: a\r\n{more}\r\n".encode()


def post(query: str, body: bytes) -> bytes:
    head = f"POST /socket.io/?EIO=4&{query} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def answer(body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (more, len(body), body)


SWITCH = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%b\r\n"
WISH = "Upgrade: websocket\r\nConnection: Upgrade\r\n"


def talk(*said: tuple[Role, bytes], sessions: Sessions | None = None) -> list[Item]:
    conversation = Conversation(sessions)
    items: list[Item] = []
    for sender, data in said:
        items += conversation.feed(sender, data)
    for role in Role:
        items += conversation.end(role)
    for item in items:
        well_formed_item(item)
    return items


def well_formed_item(item: Item) -> None:
    root = item.tree
    assert root.data is not None
    assert root.end - root.start == len(root.data) or root.name in ("missing", "rest")
    start, root.start, root.end = root.start, 0, len(root.data)
    well_formed(root)
    root.start, root.end = start, start + len(root.data)


def packets(items: list[Item]) -> list[Any]:
    return [packet for item in items for packet in item.packets]


def test_a_session_over_polling_is_followed_over_its_connections() -> None:
    sessions = Sessions()
    opened = b'0{"sid":"abc","upgrades":[],"pingInterval":1,"pingTimeout":1}'
    first = talk((C, get("transport=polling")), (S, answer(opened)), sessions=sessions)
    assert first[-1].session == "abc"
    head = b'40\x1e451-["f",{"_placeholder":true,"num":0}]'
    polling = "transport=polling&sid=abc"
    talk((C, post(polling, head)), (S, answer(b"ok")), sessions=sessions)
    items = talk((C, post(polling, b"bAQI=")), (S, answer(b"ok")), sessions=sessions)
    assert packets(items) == [Event("/", ["f", b"\x01\x02"])]
    assert items[1].layers == ("HTTP", "Engine.IO", "Socket.IO")
    assert items[1].session == "abc"


def test_an_upgrade_leads_to_frames_with_compression_and_packets_in_them() -> None:
    agreement = Agreement()
    pack = agreement.compressor(C)
    frames = [
        encode_frame(1, pack.compress(text), rsv1=True, mask=KEY)
        for text in (b"40", b'42["chat","hi"]', b'42["chat","hi"]')
    ]
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    items = talk(
        (C, get("transport=websocket", WISH + offer)),
        (S, SWITCH % b"Sec-WebSocket-Extensions: permessage-deflate\r\n" + b"\x81\x0240"),
        (C, b"".join(frames)),
        (S, b'\x81\x0643["x"'[:4] + b"]" * 0),
    )
    assert packets(items) == [Connect("/"), Connect("/"), *[Event("/", ["chat", "hi"])] * 2]
    assert [item.layers for item in items][2:4] == [("WebSocket", "Engine.IO", "Socket.IO")] * 2
    assert [item.offset for item in items if item.sender is S] == [0, 105, 109]
    assert items[-1].summary.startswith("not whole")


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", None)])
def test_a_compressed_poll_is_inflated(coding: bytes, pack: Any) -> None:
    import zlib

    body = (pack or zlib.compress)(b'42["chat","hi"]')
    more = b"Content-Encoding: %b\r\n" % coding
    items = talk((C, get("transport=polling&sid=x")), (S, answer(body, more)))
    assert packets(items) == [Event("/", ["chat", "hi"])]


def test_pipelined_answers_belong_to_their_requests() -> None:
    items = talk(
        (C, get("transport=polling&sid=x") + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
            + get("transport=polling&sid=y")),
        (S, answer(b'43["no id"]') + answer(b"", b"") + answer(b'431["yes"]')),
    )  # fmt: skip
    bodies = [item for item in items if item.summary.startswith("body")]
    assert [(item.session, item.wrong != "") for item in bodies] == [("x", True), ("y", False)]
    assert packets(items) == [Ack("/", ["yes"], 1)]


def test_the_answer_to_a_post_is_no_payload() -> None:
    items = talk((C, post("transport=polling&sid=x", b"2")), (S, answer(b"OK")))
    assert [item.layers for item in items] == [
        ("HTTP",), ("HTTP", "Engine.IO"), ("HTTP",), ("HTTP",),
    ]  # fmt: skip
    assert not any(item.wrong for item in items if item.sender is S)


def test_a_websocket_whose_beginning_was_not_seen_is_known_by_its_frames() -> None:
    first = encode_frame(1, b'451-["f",{"_placeholder":true,"num":0}]', mask=KEY)
    items = talk((C, first), (C, encode_frame(2, b"\x01", mask=KEY)), (S, b"\x81\x012"))
    assert packets(items) == [Event("/", ["f", b"\x01"])]
    assert items[2].summary == "ping: are you there?"


def test_other_websockets_have_json_or_plain_messages() -> None:
    ask = b"GET /live HTTP/1.1\r\nHost: a\r\n%b\r\n" % WISH.encode()
    items = talk((C, ask), (S, SWITCH % b"" + b'\x81\x07{"a":1}' + b"\x81\x024x"))
    assert [item.layers for item in items[2:]] == [("WebSocket",)] * 2
    assert [field.name for field in walk(items[2].tree)][-1] == '"a"'


def test_tls_and_what_is_neither_are_told_apart() -> None:
    (record,) = talk((C, bytes.fromhex("1503030002 0100")))
    assert (record.layers, record.summary) == (("TLS",), "alert: close notify, 2 bytes")
    (other,) = talk((C, b"*3\r\n$3\r\nSET\r\n"))
    assert other.layers == ()


def test_a_direction_with_bytes_missing_is_not_followed_any_further() -> None:
    conversation = Conversation()
    conversation.feed(C, get("transport=polling"))
    items = conversation.missing(C, 100) + conversation.feed(C, b"rest") + conversation.end(C)
    assert [item.summary for item in items] == ["missing 100 bytes"]
    assert conversation.feed(S, answer(b"2"))


def test_http_goes_on_behind_a_hole_where_a_head_begins() -> None:
    conversation = Conversation()
    first = get("transport=polling&sid=x")
    conversation.feed(C, first)
    conversation.missing(C, 100)
    conversation.feed(S, answer(b"2"))
    (again,) = conversation.feed(C, get("transport=polling&sid=y"))
    assert (again.offset, again.session) == (len(first) + 100, "y")
    conversation.missing(S, 50)
    items = conversation.feed(S, answer(b'42["hi"]'))
    assert packets(items) == [Event("/", ["hi"])]
    assert not any(item.wrong for item in items)


def websocket(agreed: bytes = b"") -> Conversation:
    conversation = Conversation()
    offer = f"{WISH}Sec-WebSocket-Extensions: permessage-deflate\r\n" if agreed else WISH
    conversation.feed(C, get("transport=websocket&sid=x", offer))
    conversation.feed(S, SWITCH % (b"Sec-WebSocket-Extensions: " + agreed if agreed else b""))
    return conversation


DEFLATE = b"permessage-deflate%b\r\n"


def event(name: str, **how: Any) -> bytes:
    return encode_frame(1, f'42["{name}"]'.encode(), **how)


def test_frames_go_on_behind_the_frame_that_a_hole_is_in() -> None:
    conversation = websocket()
    long = event("x" * 5000)
    conversation.feed(S, long[:1000])
    *_, hole = conversation.missing(S, 1500)
    assert hole.tree.meaning.endswith("what follows is not explained before the end of this frame")
    assert conversation.feed(S, long[2500:4000]) == []
    assert conversation.missing(S, 500)[0].tree.value == "500 bytes"
    (item,) = conversation.feed(S, long[4500:] + event("after"))
    assert packets([item]) == [Event("/", ["after"])]
    well_formed_item(item)
    assert packets(conversation.feed(S, event("more"))) == [Event("/", ["more"])]


def test_frames_go_on_behind_a_hole_where_they_begin_a_segment() -> None:
    conversation = websocket()
    conversation.feed(C, event("a", mask=KEY))
    conversation.missing(C, 100)
    for middle in (b"x" * 20, b"\x81\x05hello", event("b", mask=KEY)[3:], b"\x81"):
        assert conversation.feed(C, middle) == []
    frames = encode_frame(10, b"", mask=KEY) + event("c", mask=KEY)
    items = conversation.feed(C, frames + event("d", mask=KEY)[:4])
    assert packets(items) == [Event("/", ["c"])]
    assert packets(conversation.feed(C, event("d", mask=KEY)[4:])) == [Event("/", ["d"])]


def test_attachments_behind_a_hole_are_nobodys_mistake() -> None:
    conversation = websocket()
    conversation.feed(S, encode_frame(1, b'451-["f",{"_placeholder":true,"num":0}]'))
    conversation.missing(S, 100)
    items = conversation.feed(S, encode_frame(2, b"abc") + event("a"))
    assert [item.wrong for item in items] == ["", ""]
    assert items[0].tree.fields[-1].fields[0].fields[0].meaning == "of a packet that was missed"
    assert packets(items) == [Event("/", ["a"])]


def test_a_window_that_began_before_a_hole_is_not_known() -> None:
    conversation = websocket(DEFLATE % b"")
    squeeze = Agreement().compressor(S)
    conversation.feed(S, encode_frame(1, squeeze.compress(b'42["a"]'), rsv1=True))
    conversation.missing(S, 100)
    squeezed = encode_frame(1, squeeze.compress(b'42["b"]'), rsv1=True)
    assert conversation.feed(S, squeezed) == []
    plain, lost = conversation.feed(S, event("plain") + squeezed + event("c"))
    assert packets([plain]) == [Event("/", ["plain"])]
    assert lost.tree.meaning == "compressed with a window that began before the hole"
    assert not lost.wrong
    assert packets(conversation.feed(S, event("d"))) == [Event("/", ["d"])]


def test_without_a_window_that_goes_on_compressed_frames_are_read_again() -> None:
    conversation = websocket(DEFLATE % b"; server_no_context_takeover")
    squeeze = Agreement(server_no_context_takeover=True).compressor(S)
    conversation.missing(S, 100)
    (item,) = conversation.feed(S, encode_frame(1, squeeze.compress(b'42["b"]'), rsv1=True))
    assert packets([item]) == [Event("/", ["b"])]


@given(st.lists(st.one_of(frame_bytes, st.integers(1, 300)), max_size=8), st.booleans())
def test_any_bytes_and_any_holes_give_items(parts: list[bytes | int], packed: bool) -> None:
    conversation = websocket(DEFLATE % b"" if packed else b"")
    for sender in Role:
        for part in parts:
            hole = isinstance(part, int)
            items = conversation.missing(sender, part) if hole else conversation.feed(sender, part)
            for item in items:
                well_formed_item(item)


def test_messagepack_is_known_by_its_first_bytes() -> None:
    packet = pack({"type": 2, "nsp": "/", "data": ["hi"]})
    conversation = websocket()
    (item,) = conversation.feed(S, encode_frame(2, packet))
    assert packets([item]) == [Event("/", ["hi"])]
    assert item.layers[-1] == "Socket.IO"
    assert item.summary == 'message: EVENT "hi" in /'


@example([(Role.CLIENT, b"CONNECT a:1 HTTP/1.1\r\n")], 1)
@example([(Role.CLIENT, b"GET / HTTP/1.1\r\n\rGET / HTTP/1.1\r\n")], 1)
@given(
    st.lists(st.tuples(st.sampled_from(Role), http_bytes | frame_bytes), max_size=4),
    st.integers(1, 30),
)
def test_any_bytes_give_items_and_cuts_change_nothing(
    said: list[tuple[Role, bytes]], size: int
) -> None:
    whole = talk(*said)
    cut = talk(*[(who, d[at : at + size]) for who, d in said for at in range(0, len(d), size)])
    assert [(i.sender, i.summary, i.offset, i.wrong) for i in cut if i.layers] == [
        (i.sender, i.summary, i.offset, i.wrong) for i in whole if i.layers
    ]


LONG = [
    b'42["e",[' + b"[]," * 100_000 + b"1]]",
    b'42["e",[' + b'{"a":1},' * 40_000 + b"1]]",
    b'42["e",[' + b"1," * 200_000,
    b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdd\0\3\r\x41\xa1e" + b"\x90" * 200_000,
    b'42["e","' + b"x" * 1_000_000 + b'"]',
]


@pytest.mark.rule("layers-turn-told")
@pytest.mark.parametrize("content", LONG, ids=lambda content: content[:14].hex())
def test_what_a_few_bytes_become_is_looked_at_in_steps(content: bytes) -> None:
    text = content[:1] == b"4"
    wire = Agreement().compressor(C).compress(content)
    frame = encode_frame(1 if text else 2, wire, rsv1=True, mask=KEY)
    conversation = websocket(DEFLATE % b"")
    *pauses, item = conversation.each(C, frame)
    # A step is 64 KB that are inflated, or some hundred values that are looked at.
    assert pauses.count(None) == len(pauses) >= 14
    assert item is not None
    assert len(frame) < 2000
    assert item.content == content
    assert item.summary.startswith("message: EVENT") or content[-1:] == b","
    (plain,) = websocket().feed(C, encode_frame(1 if text else 2, content, mask=KEY))
    assert (item.wrong, item.packets) == (plain.wrong, plain.packets)


@pytest.mark.rule("layers-turn-told")
def test_a_body_of_many_packets_is_looked_at_in_steps() -> None:
    body = b"\x1e".join([b"42[1]"] * 1000)
    pauses = list(Conversation().each(C, post("transport=polling&sid=a", body)))
    assert pauses.count(None) == 1000
    assert len(packets([item for item in pauses if item is not None])) == 1000


@pytest.mark.rule("layers-turn-told")
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_end_of_what_very_few_bytes_become_is_left_out(letter: str) -> None:
    compressor = Agreement().compressor(C)
    conversation = websocket(DEFLATE % b"")
    content = f'42["e","{letter * 2 * LOOKED}"]'.encode()
    bomb, after = (
        encode_frame(1, compressor.compress(data), rsv1=True, mask=KEY)
        for data in (content, b'42["after"]')
    )
    (item,) = conversation.feed(C, bomb)
    assert LOOKED <= len(item.content) < LOOKED + 65536
    assert content.startswith(item.content)
    assert item.left_out == len(content) - len(item.content)
    assert (item.wrong, item.packets) == ("", [])
    assert f"the first {len(item.content)} of {len(content)} bytes" in item.summary
    # The window of compression goes on behind what was left out.
    (item,) = conversation.feed(C, after)
    assert (item.packets, item.left_out) == ([Event("/", ["after"])], 0)


def test_the_end_of_what_a_compressed_body_becomes_is_left_out() -> None:
    content = b"x" * (LOOKED + 1)
    head = b"Content-Encoding: gzip\r\nContent-Type: text/plain\r\n"
    items = talk(
        (C, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (S, answer(gzip.compress(content), head))
    )
    assert items[-1].content == content[:LOOKED]
    assert items[-1].left_out
