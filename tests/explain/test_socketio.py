"""Socket.IO packets; verdicts are compared in tests/socketio, too."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain import explain_msgpack, explain_socketio
from rawsio.limits import Limits
from rawsio.socketio.msgpack import pack

from .agreement import agrees, well_formed
from .strategies import packet_texts


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0", ["type"]),
        ('0/admin,{"token":1}', ["type", "namespace", "payload"]),
        ('3/é,7["x"]', ["type", "namespace", "id", "payload"]),
        ('51-/a,12["f",{"_placeholder":true,"num":0}]',
         ["type", "attachments", "namespace", "id", "payload"]),
    ],
)  # fmt: skip
def test_the_parts_of_a_packet_cover_it(text: str, names: list[str]) -> None:
    tree = explain_socketio(text)
    well_formed(tree)
    assert [field.name for field in tree.fields] == names
    ends = [field.end for field in tree.fields]
    assert ends[-1] == len(text.encode())
    # Only the dash behind a count and the comma behind a namespace belong to no part.
    gaps = [field.start - end for field, end in zip(tree.fields[1:], ends, strict=False)]
    assert sum(gaps) == ("attachments" in names) + ("namespace" in names)


def test_attachments_are_joined_and_one_too_many_is_a_mistake() -> None:
    text = '52-["f",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    tree = explain_socketio(text, [b"1", b"22"])
    assert [field.meaning for field in tree.fields if field.name == "attachment"] == [
        "more follow", 'the last of EVENT "f" in /',
    ]  # fmt: skip
    agrees(explain_socketio(text, [b"1", b"22", b"3"]), "socketio-v5-binary-unexpected")
    agrees(explain_socketio(text, [b"1" * 9], limits=Limits(attachment_bytes=8)),
           "socketio-v5-binary-size")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"),
    [('2/a,99999999999999999999["x"]', "id"), ("3[]", "type"), ("2{}", "payload"), ("50-[]",
      "attachments"), ('2["x"', "payload")],
)  # fmt: skip
def test_a_mistake_is_put_on_the_part_that_it_is_in(text: str, name: str) -> None:
    assert [f.name for f in explain_socketio(text).fields if f.wrong] == [name]


def test_messagepack_is_shown_value_by_value() -> None:
    wire = pack({"type": 2, "nsp": "/", "data": ["hi", b"\x01"], "id": 3})
    tree = explain_msgpack(wire)
    well_formed(tree)
    assert tree.value == 'EVENT "hi" in /, ack 3'
    assert [field.name for field in tree.fields] == ["type", "nsp", "data", "id"]
    assert tree.fields[2].fields[1].value == "1 bytes"


@given(packet_texts, st.binary(max_size=12))
def test_any_text_and_any_bytes_give_a_tree(text: str, data: bytes) -> None:
    well_formed(explain_socketio(text, [data]))
    well_formed(explain_socketio(data))
    well_formed(explain_msgpack(data))
