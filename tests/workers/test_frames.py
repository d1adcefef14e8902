"""The stream between two workers: the laws of all layers, and its bound."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits
from rawsio.workers.frames import Frame, FrameConnection
from tests.laws import Subject, laws_for

LIMITS = Limits(worker_message=200)


def make() -> tuple[FrameConnection, FrameConnection]:
    return FrameConnection(LIMITS), FrameConnection(LIMITS)


def events(_role: Role) -> st.SearchStrategy[Any]:
    return st.binary(max_size=220).map(Frame) | st.just(Closed())


def wire(_role: Role) -> st.SearchStrategy[list[bytes]]:
    frame = st.binary(max_size=210).map(lambda data: len(data).to_bytes(4, "big") + data)
    return st.lists(frame | st.binary(max_size=20), max_size=6)


TestFrames = laws_for(
    Subject(make, events, wire, buffered=lambda layer: layer.buffered, bound=4096)
)


@given(wire(Role.SERVER), st.binary(max_size=3))
def test_bytes_are_whole_where_the_layer_would_keep_nothing_of_them(
    wires: list[bytes], begun: bytes
) -> None:
    data = b"".join(wires)
    layer, other = FrameConnection(LIMITS), FrameConnection(LIMITS)
    whole = layer.are_whole(data)
    events = other.receive(data)
    if whole:
        assert other.buffered == 0
        assert all(isinstance(event, Frame) for event in events)
    elif len(data) <= LIMITS.worker_message:
        assert other.buffered or any(isinstance(event, Failed) for event in events)
    assert not layer.receive(begun)
    assert not (begun and layer.are_whole(b"\0\0\0\0"))


def test_what_has_failed_takes_nothing_whole() -> None:
    layer = FrameConnection(LIMITS)
    layer.receive(b"\xff" * 4)
    assert not layer.are_whole(b"\0\0\0\0")


@pytest.mark.rule("cluster-frame-length")
def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    layer = FrameConnection(LIMITS)
    (failed,) = layer.receive(b"\x00\x00\x00\xc9")
    assert isinstance(failed, Failed)
    assert (failed.rule, layer.closing) == ("cluster-frame-length", Closing.NOW)
    assert layer.receive(b"\x00\x00\x00\x00") == layer.receive_eof() == []
