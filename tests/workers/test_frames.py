"""The stream between two workers: the laws of all layers, and its bound."""

from __future__ import annotations

from typing import Any

import pytest
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


@pytest.mark.rule("cluster-frame-length")
def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    layer = FrameConnection(LIMITS)
    (failed,) = layer.receive(b"\x00\x00\x00\xc9")
    assert isinstance(failed, Failed)
    assert (failed.rule, layer.closing) == ("cluster-frame-length", Closing.NOW)
    assert layer.receive(b"\x00\x00\x00\x00") == layer.receive_eof() == []
