"""Engine.IO packets and payloads; verdicts are compared in tests/engineio, too."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.engineio import payloads_v3
from rawsio.explain import explain_engineio, explain_payload, mistake
from rawsio.layer import Role

from .agreement import agrees, well_formed
from .strategies import packet_texts


@pytest.mark.parametrize(
    ("packet", "value"),
    [
        ("1", "close: the sender ends the session"),
        ("2probe", "ping: does this transport work?"),
        ("3probe", "pong: it does"),
        ("5", "upgrade: I move to it"),
        ("6", "noop: ends a poll that waits"),
        ("bAQIDBA==", "binary message, 4 bytes"),
        (b"\x01\x02", "binary message, 2 bytes"),
        ('0{"sid":"kS9","upgrades":[],"pingInterval":1,"pingTimeout":1}', "open: session kS9"),
        ("40/admin,", "message: CONNECT to /admin"),
    ],
)
def test_every_packet_says_what_it_is(packet: str | bytes, value: str) -> None:
    tree = explain_engineio(packet)
    well_formed(tree)
    assert tree.value == value


def test_a_sender_that_may_not_say_this_is_told_so() -> None:
    agrees(explain_engineio("2", sender=Role.SERVER), None)
    agrees(explain_engineio("2", sender=Role.CLIENT), "engineio-v4-heartbeat-direction")


def test_the_packets_of_a_payload_stand_where_they_are() -> None:
    body = '42["é"]\x1e2\x1ebAQ=='.encode()
    tree = explain_payload(body)
    packets = [field for field in tree.fields if field.name == "Engine.IO packet"]
    assert b"\x1e".join(body[p.start : p.end] for p in packets) == body
    assert tree.value == "3 packets"


packets = st.lists(st.text(max_size=5).map(lambda t: "4" + t) | st.just(b"\x04\x01"), max_size=3)


@given(packets, st.booleans())
def test_the_packets_of_a_payload_of_protocol_3_stand_where_they_are(
    given_: list[str | bytes], base64: bool
) -> None:
    body, binary = payloads_v3.encode_payload(given_, base64=base64)
    tree = explain_payload(body, revision=3, binary=binary)
    well_formed(tree)
    spans = [(field.start, field.end) for field in tree.fields]
    assert [end for _, end in spans] == [*[start for start, _ in spans[1:]], len(body)]


def test_attachments_belong_to_the_packet_before_them() -> None:
    body = b'451-["f",{"_placeholder":true,"num":0}]\x1ebAQ==\x1ebAQ=='
    tree = explain_payload(body)
    texts = [field.value for field in tree.fields if field.name == "Engine.IO packet"]
    assert texts[1] == 'binary message, 1 bytes, the last of EVENT "f" in /'
    found = mistake(tree)
    assert found is not None
    assert found.rule == "socketio-v5-binary-unexpected"


@given(packet_texts, st.sampled_from([3, 4]), st.sampled_from([*Role, None]))
@example("4:4\U0001f600", 3, None)
def test_any_text_gives_a_tree(text: str, revision: int, sender: Role | None) -> None:
    well_formed(explain_engineio(text, sender=sender, revision=revision))
    body = text.encode("utf-8", "surrogatepass")
    well_formed(explain_payload(body, sender=sender, revision=revision))
    well_formed(explain_engineio(body, sender=sender, revision=revision))
