"""Broadcasts as workers pass them to each other: to bytes and back, one or several."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.app.adapter import Targets
from rawsio.cluster.fields import ClusterError
from rawsio.errors import LocalProtocolError
from rawsio.limits import DEFAULT, Limits
from rawsio.prepared import Prepared, prepare
from rawsio.socketio.packets import Event
from rawsio.workers.shared import Joined, Run, SharedForm

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


def encode(prepared: Prepared, targets: Targets, *more: Prepared) -> bytes:
    """Return a run as bytes."""
    run = Run(None, targets, DEFAULT, compress=prepared.compress)
    run.begin(prepared.frame)
    for packet in more:
        assert run.add(None, packet.frame, targets, compress=packet.compress)
    return run.encode()


def there_and_back(
    prepared: Prepared, targets: Targets, *more: Prepared, before: bytes = b""
) -> tuple[list[Prepared], Targets]:
    joined, told = SharedForm(DEFAULT).decode(
        before + encode(prepared, targets, *more), len(before)
    )
    assert joined.frame == b"".join(packet.frame for packet in (prepared, *more))
    return list(joined), told


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
    more = prepare(Event(namespace, ["then", b"1"]), compress=compress)
    (found, then), targets = there_and_back(sent, told, more, before=b"before")
    assert then.messages == more.messages
    assert targets == told
    assert (found.messages, found.size, found.compress) == (sent.messages, sent.size, compress)
    assert (found.frame, found.payload) == (sent.frame, sent.payload)
    assert found.packets(3) == sent.packets(3)
    assert found.event == sent.event
    assert found.event is found.event, "it is read once"


def test_the_packet_is_not_read_before_somebody_asks() -> None:
    (found,), _targets = there_and_back(Prepared(None, ("2[broken",)), Targets())
    assert found.frame == b"\x81\x0942[broken"
    with pytest.raises(Exception, match="JSON"):
        print(found.event)


@pytest.mark.parametrize("args", [["a"], ["a", b"1", b"22"]])
def test_what_is_cut_is_no_broadcast(args: list[Any]) -> None:
    form = SharedForm(DEFAULT)
    whole = encode(prepare(Event("/", args)), Targets(frozenset(["r"])))
    (packet,) = form.decode(whole, 0)[0]
    assert packet.event.args == args
    text = len(whole) - sum(2 + len(part) for part in args[1:])
    for size in range(len(whole)):
        if size in (text, text + 3) and args[1:]:
            continue  # a packet that lacks an attachment: whoever reads it finds that
        with pytest.raises(ClusterError):
            list(form.decode(whole[:size], 0)[0])


@pytest.mark.parametrize(
    "frames",
    [
        b"\x82\x01a",
        b"\x81\x0542[1]\x81\x012",
        b"\x81\x00",
        b"\x89\x00",
        b"\x81\x024\xff",
        b"\x81\x8142[1]",
        b"\xf1\x0542[1]",
    ],
)
def test_frames_that_are_no_packets_are_refused_by_whoever_reads_them(frames: bytes) -> None:
    joined = Joined(frames, DEFAULT)
    for _ in range(2):
        with pytest.raises(ClusterError):
            list(joined)


def test_a_run_takes_what_is_for_the_same_clients_of_the_same_namespace_and_not_too_long() -> None:
    bus, other, to = object(), object(), Targets(frozenset(["a"]))
    run = Run(bus, to, DEFAULT, compress=True)
    run.begin(b"one")
    assert not run.add(other, b"no", to, compress=True)
    assert not run.add(bus, b"no", to, compress=False)
    assert not run.add(bus, b"no", Targets(frozenset(["a"]), volatile=True), compress=True)
    assert not run.add(bus, b"x" * 65536, to, compress=True)
    assert run.add(bus, b"two", Targets(frozenset(["a"])), compress=True)
    assert run.frames == [b"one", b"two"]


def test_one_broadcast_may_be_as_long_as_a_message_and_no_longer() -> None:
    limits = Limits(worker_message=100_000)
    run = Run(None, Targets(), limits, compress=True)
    with pytest.raises(LocalProtocolError, match=r"Limits\.worker_message"):
        run.begin(b"x" * 100_000)
    run.begin(b"x" * 99_000)
    assert not run.add(None, b"x", Targets(), compress=True)
    assert len(run.encode()) <= limits.worker_message


@pytest.mark.parametrize(
    "targets", [b"{}", b"[1]", b"[[],[],[]]", b'["a","b"]', b"[[", b"[[{}],[]]", b"\xff"]
)
def test_targets_that_are_none_are_refused(targets: bytes) -> None:
    form = SharedForm(DEFAULT)
    data = b"\x01\x02" + len(targets).to_bytes(4, "big") + targets + b'2["a"]'
    with pytest.raises(ClusterError):
        form.decode(data, 0)


def test_targets_are_remembered_and_not_without_bound() -> None:
    form = SharedForm(DEFAULT)
    packet = prepare(Event("/", ["a"]))
    first = form.decode(encode(packet, Targets(frozenset(["0"]))), 0)[1]
    assert form.decode(encode(packet, Targets(frozenset(["0"]))), 0)[1] is first
    for n in range(1000):
        form.decode(encode(packet, Targets(frozenset([str(n), "x" * (n % 300)]))), 0)
    assert len(form._targets) <= 256
