"""Broadcasts as workers pass them to each other: to bytes and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.app.adapter import Targets
from rawsio.cluster.fields import ClusterError
from rawsio.limits import DEFAULT
from rawsio.prepared import Prepared, prepare
from rawsio.socketio.packets import Event
from rawsio.workers.shared import SharedForm

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.frozensets(st.text(max_size=6), max_size=4)


def there_and_back(
    prepared: Prepared, targets: Targets, before: bytes = b""
) -> tuple[Prepared, Targets]:
    form = SharedForm(DEFAULT)
    return form.decode(before + form.encode(prepared, targets), len(before))


@given(
    st.sampled_from(["/", "/chat", "/ä"]),
    st.lists(VALUES, max_size=3),
    NAMES,
    NAMES,
    st.booleans(),
    st.booleans(),
)
def test_what_arrives_is_what_was_sent_in_every_form(
    namespace: str,
    values: list[Any],
    rooms: frozenset[str],
    excluded: frozenset[str],
    volatile: bool,
    compress: bool,
) -> None:
    sent = prepare(Event(namespace, ["news", *values]), compress=compress)
    told = Targets(rooms, excluded, volatile=volatile, compress=compress)
    if len(sent.messages) > DEFAULT.attachments:
        return
    found, targets = there_and_back(sent, told, b"before")
    assert targets == told
    assert (found.messages, found.size, found.compress) == (sent.messages, sent.size, compress)
    assert (found.frame, found.payload) == (sent.frame, sent.payload)
    assert found.packets(3) == sent.packets(3)
    assert found.event == sent.event
    assert found.event is found.event, "it is read once"


def test_the_packet_is_not_read_before_somebody_asks() -> None:
    found, _targets = there_and_back(Prepared(None, ("2[broken",)), Targets())
    assert found.frame == b"\x81\x0942[broken"
    with pytest.raises(Exception, match="JSON"):
        print(found.event)


@pytest.mark.parametrize("args", [["a"], ["a", b"1", b"22"]])
def test_what_is_cut_is_no_broadcast(args: list[Any]) -> None:
    form = SharedForm(DEFAULT)
    whole = form.encode(prepare(Event("/", args)), Targets(frozenset(["r"])))
    head = len(form.encode(prepare(Event("/", ["a"])), Targets())) - len('2["a"]')
    assert form.decode(whole, 0)[0].event.args == args
    for size in range(len(whole) if args[1:] else head):
        with pytest.raises(ClusterError):
            form.decode(whole[:size], 0)


@pytest.mark.parametrize(
    "targets", [b"{}", b"[1]", b"[[],[],[]]", b'["a","b"]', b"[[", b"[[{}],[]]", b"\xff"]
)
def test_targets_that_are_none_are_refused(targets: bytes) -> None:
    form = SharedForm(DEFAULT)
    data = b"\x01\x02\x00\x00" + len(targets).to_bytes(4, "big") + targets + b'2["a"]'
    with pytest.raises(ClusterError):
        form.decode(data, 0)


def test_targets_are_remembered_and_not_without_bound() -> None:
    form = SharedForm(DEFAULT)
    packet = prepare(Event("/", ["a"]))
    first = form.decode(form.encode(packet, Targets(frozenset(["0"]))), 0)[1]
    assert form.decode(form.encode(packet, Targets(frozenset(["0"]))), 0)[1] is first
    for n in range(1000):
        form.decode(form.encode(packet, Targets(frozenset([str(n), "x" * (n % 300)]))), 0)
    assert len(form._targets) <= 256
