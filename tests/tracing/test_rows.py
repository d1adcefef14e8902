"""Rows and trees for the pages: what a row says, what is kept, and what is cut."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.explain.conversation import Conversation
from rawsio.explain.fields import walk
from rawsio.layer import Role
from rawsio.resources import read_resource
from rawsio.tracing import rows
from rawsio.tracing.rows import Rows, cut, row_of, rule_text
from rawsio.websocket.frames import encode_frame

C, S = Role.CLIENT, Role.SERVER


def frames(*texts: bytes | str, opcode: int = 1) -> list[Any]:
    talk = Conversation()
    wire = [t.encode() if isinstance(t, str) else t for t in texts]
    return [item for text in wire for item in talk.feed(S, encode_frame(opcode, text))]


def poll(target: str, body: bytes) -> list[Any]:
    talk = Conversation()
    head = f"GET /socket.io/?EIO=4&transport=polling{target} HTTP/1.1\r\nHost: a\r\n\r\n"
    items = talk.feed(C, head.encode())
    return items + talk.feed(S, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def said(item: Any) -> tuple[str, str, str]:
    row = row_of(1, 0, item)
    return row["kind"], row["title"], row["text"]


def test_a_row_says_what_is_in_it_and_what_belongs_together() -> None:
    (ask,) = frames('42/chat,7["hi",1]')
    row = row_of(5, 2, ask)
    assert (row["n"], row["connection"], row["sender"]) == (5, 2, "server")
    assert (row["events"], row["namespaces"]) == (["hi"], ["/chat"])
    assert (row["asks"], row["answers"]) == ({"/chat#7": "hi"}, [])
    (answer,) = frames('43/chat,7["ok"]')
    assert row_of(6, 2, answer)["answers"] == ["/chat#7"]


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ('42["say","é\u202e",{"a":1}]', ("event", "say", '"é\\u202e" {"a": 1}')),
        ('437["ok"]', ("ack", "ack 7", '"ok"')),
        ('40/chat,{"sid":"x"}', ("connect", "CONNECT /chat", '{"sid": "x"}')),
        ("41/chat,", ("leave", "DISCONNECT /chat", "")),
        ('44{"message":"no"}', ("refused", "CONNECT_ERROR /", '{"message": "no"}')),
        ("2", ("heartbeat", "ping", "are you there?")),
        ("5", ("engine", "upgrade", "I move to it")),
        ('451-["f",{"_placeholder":true,"num":0}]', ("event", 'EVENT "f" in /', "")),
        ('42["' + "x" * 300 + '"]', ("event", "x" * 60 + "... (300 long)", "")),
        ('42["a","' + "x" * 300 + '"]', ("event", "a", '"' + "x" * 159 + "…")),
    ],
)
def test_a_packet_is_told_by_its_kind_its_name_and_what_is_in_it(
    text: str, row: tuple[str, str, str]
) -> None:
    (item,) = frames(text)
    assert said(item) == row


def test_attachments_and_control_frames_have_kinds_of_their_own() -> None:
    talk = Conversation()
    wire = encode_frame(1, b'451-["f",{"_placeholder":true,"num":0}]') + encode_frame(2, b"abc")
    _, attachment = talk.feed(S, wire)
    assert said(attachment) == ("binary", "attachment", '3 bytes, the last of EVENT "f" in /')
    assert said(frames(b"\x03\xe8", opcode=8)[0]) == ("control", "close", "2 bytes")


def test_the_exchanges_of_polling_say_what_they_are_for() -> None:
    handshake, answer, body = poll(
        "", b'0{"sid":"x","upgrades":[],"pingInterval":1,"pingTimeout":1}'
    )
    assert said(handshake) == ("http", "handshake", "GET /socket.io/?EIO=4&transport=polling")
    assert said(answer) == ("http", "answer to the handshake", "200 OK")
    assert said(body) == ("engine", "open", "session x")
    ask, _, body = poll("&sid=x", b'42["a"]\x1e42["b",1]\x1e2')
    assert said(ask)[1] == "poll"
    assert said(body) == ("event", "3 packets", "a, b 1")


def test_the_oldest_messages_make_room_for_too_many_and_for_too_much() -> None:
    few, small = Rows(3, 10_000), Rows(100, 100)
    for item in frames(*[f'42["{n}"]' for n in range(5)]):
        few.add(0, item)
        small.add(0, item)
    assert [row["n"] for row in few.since(0)] == [3, 4, 5]
    assert [row["n"] for row in few.since(4)] == [5]
    assert "error" in few.opened(2)
    assert "error" in few.opened("3")
    assert 0 < small.bytes <= 100
    while len(small):
        small.drop()
    assert small.bytes == 0
    small.drop()


def test_of_a_long_message_every_layer_keeps_its_beginning() -> None:
    (item,) = frames('42["' + "x" * 30_000 + '"]')
    kept = Rows(10, 100_000)
    kept.add(0, item)
    tree = kept.opened(1)["tree"]
    assert len(tree["data"]) == 2 * rows.SHOWN_BYTES
    assert tree["meaning"] == "the first 4096 of 30010 bytes"
    assert len(item.tree.data) == 30_010  # the message itself is as it was
    small = cut(item.tree, 100)
    assert max(len(field.data) for field in walk(small) if field.data is not None) == 100
    assert [field.name for field in walk(small)].count("Socket.IO packet") == 1
    # A byte of the packet is still the same byte of the frame.
    for field in walk(small):
        if field.data is not None and field.name != "frame":
            assert field.end - field.start == len(field.data)


def test_a_rule_is_told_and_what_is_none_is_not() -> None:
    assert "section 5.1 Overview" in rule_text("6455-5.1-mask")
    assert rule_text("6455") == rule_text(["x"]) == ""


def test_the_files_of_the_pages_are_there_and_ask_for_nothing_elsewhere() -> None:
    for name in ("trace.html", "trace.js", "trace.css", "view.css", "tree.js", "messages.js"):
        text = read_resource(rows.__spec__, name).decode()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert "innerHTML" not in text
