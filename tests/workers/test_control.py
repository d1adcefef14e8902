"""The messages of the channel between parent and workers."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.net.descriptors import LONGEST
from rawsio.workers.control import (
    MOST_BYTES,
    Go,
    Leaving,
    Passed,
    Peer,
    Ready,
    Stop,
    decode,
    encode,
)
from rawsio.workers.owner import WORKERS

NUMBERS = st.integers(-1, WORKERS)
MESSAGES = st.one_of(
    st.builds(
        Passed,
        NUMBERS,
        st.integers(-1, 1000),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "127.0.0.1", "::1", "unix", "fe80::1%eth0"]),
        st.binary(max_size=100),
    ),
    st.builds(Peer, NUMBERS),
    st.sampled_from([Ready(), Leaving(), Go()]),
    st.builds(Stop, st.integers(0, 1000).map(float), st.booleans()),
)


@given(message=MESSAGES)
def test_a_message_arrives_as_it_was(message: Any) -> None:
    assert decode(encode(message)) == message


def test_the_longest_message_fits_into_the_channel() -> None:
    assert len(encode(Passed(1, address="x" * 300, first=bytes(MOST_BYTES)))) <= LONGEST


@given(data=st.binary(max_size=40))
def test_what_is_no_message_is_said(data: bytes) -> None:
    with suppress(ValueError):
        assert type(decode(data)).__name__ in ("Passed", "Peer", "Ready", "Stop", "Leaving", "Go")


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="begins with b'X'"):
        decode(b"X" + encode(Ready())[1:])
