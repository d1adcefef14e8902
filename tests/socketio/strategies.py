"""Packets, and what may arrive in their place: valid, nearly valid, and junk."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import strategies as st

from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event, encode_packet

__all__ = ["LIMITS", "events", "json_values", "packets", "values", "wire"]

LIMITS = Limits(
    attachments=3,
    attachment_bytes=40,
    json_depth=8,
    packet_id=999,
    namespaces=2,
    namespace_name=6,
)
"""Small bounds, so that short examples reach them."""

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
_bytes = st.binary(max_size=8)


def _nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
        max_leaves=6,
    )


json_values = _nested(_scalars)
values = _nested(_scalars | _bytes)

namespaces = st.sampled_from(["/", "/", "/a", "/b", "/c?x=1", "/d,", "no", "/toolong"])
names = st.sampled_from(["chat", "chat", "message", "", "error", "connect", "__x", 7, 1.5])
ids = st.none() | st.sampled_from([0, 7, 999, 1000, 2**53, -1])
_odd = st.sampled_from([float("nan"), [[[[[[[[[[1]]]]]]]]]], {"_placeholder": True, "num": 0}])


event_packets = st.builds(
    lambda name, args, namespace, number: Event(namespace, [name, *args], number),
    *(names, st.lists(values | _odd, max_size=2), namespaces, ids),
)
acks = st.builds(
    Ack,
    namespaces,
    st.lists(values, max_size=2),
    st.sampled_from([0, 5, 1000]),
)
connects = st.builds(
    Connect, namespaces, st.none() | st.dictionaries(st.text(max_size=3), json_values, max_size=2)
)
connect_errors = st.builds(
    ConnectError, namespaces, st.just({"message": "no"}) | st.text(max_size=3) | st.none()
)
disconnects = st.builds(Disconnect, namespaces)

packets = st.one_of(event_packets, acks, connects, connect_errors, disconnects)


@cache
def events(role: Role) -> st.SearchStrategy[Any]:
    """What this role may try to send; joining often, so that there is somewhere to send to."""
    answers = connect_errors if role is Role.SERVER else disconnects
    return st.one_of(event_packets, acks, connects, connects, answers, disconnects)


def _units(packet: Any) -> list[str | bytes]:
    try:
        return list(encode_packet(packet))
    except ValueError:
        return []


_texts = st.sampled_from(
    ['2["chat"]', '212["chat",1]', '3["x"]', "312[]", "0", "0{}", "0/a,", '0/b,{"x":1}', "0[]",
     "1", "1/a,", "1/b,", "1[]", '4"no"', "4/a,{}", "2{}", "2[]", "2", "3", "7", "x", "01",
     '51-["f",{"_placeholder":true,"num":0}]', '61-5[{"_placeholder":true,"num":0}]',
     '52-["f",{"_placeholder":true,"num":1}]', '51-["f",{"_placeholder":true,"num":-1}]',
     '50-["f"]', '5["f"]', '54-["f"]', '21-["a"]', '2["connect"]', "2[null]", "2[NaN]",
     "2[1e999]", "2[1]", '2["chat"]]', '2/a,["chat"]', '2/a,["chat"', '20001000["chat"]',
     '2/toolong,["chat"]']
)  # fmt: skip

_WAITING = '52-["f",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'


_changes = st.sampled_from(["cut", "drop", "insert"])
_inserted = st.text(max_size=2)


@st.composite
def near_misses(draw: Any) -> str:
    """A valid text with one change."""
    text = draw(_texts)
    at = draw(st.integers(0, len(text)))
    kind = draw(_changes)
    if kind == "cut":
        return str(text[:at])
    if kind == "drop":
        return str(text[:at] + text[at + 1 :])
    return str(text[:at] + draw(_inserted) + text[at:])


@cache
def wire(role: Role) -> st.SearchStrategy[list[Any]]:
    """What may reach the layer of this role."""
    valid = events(role.peer).map(_units)
    one = st.one_of(_texts, near_misses(), st.text(max_size=12), _bytes).map(lambda unit: [unit])
    nested = st.sampled_from([["2" + json.dumps(["chat", "[" * n])] for n in range(31)])
    lists = st.lists(st.one_of(valid, valid, valid, one, nested), max_size=12)
    ends = st.sampled_from([[], [], [_WAITING]])
    return st.builds(lambda lists, end: [u for units in [*lists, end] for u in units], lists, ends)
