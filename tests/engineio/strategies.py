"""Engine.IO events and wires: valid, nearly valid and junk."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rawsio.engineio.packets import Message, Opened, encode_base64, encode_open
from rawsio.layer import Closed

__all__ = ["texts", "binaries", "messages", "opened", "texts_for_polling", "EVENTS", "PACKETS"]

# Few characters, each with a reason: examples are cheap to draw, and collide.
texts = st.text("aé€😀\x1e\n\0:24b\u2028", max_size=8)
texts_for_polling = texts.filter(lambda text: "\x1e" not in text)
# Not st.binary: Hypothesis keeps what it drew in one dict, and under -bb b"" and "" may not meet.
binaries = st.lists(st.integers(0, 255), max_size=5).map(bytes)


def messages(text: st.SearchStrategy[str] = texts) -> st.SearchStrategy[Message]:
    return st.builds(Message, st.one_of(text, binaries))


opened = st.builds(
    Opened,
    st.text("abcXYZ019-_", min_size=1, max_size=24),
    st.sampled_from([(), ("websocket",), ("websocket", "webtransport")]),
    # Long enough for the laws, whose steps of time must not sum to a time-out.
    st.sampled_from([2.0, 25.0, 300.125]),
    st.sampled_from([60.0, 99.999]),
    st.integers(0, 10**9),
)

closed = st.builds(Closed, st.just(0), st.sampled_from(["", "forced close"]))


def _packets(revision: int) -> st.SearchStrategy[list[Any]]:
    """Return what may reach a connection."""
    binary = binaries if revision == 4 else binaries.map(lambda data: b"\x04" + data)
    base64 = binaries.map(encode_base64).map(lambda t: ("b" if revision == 4 else "b4") + t)
    good = st.one_of(
        texts.map(lambda text: "4" + text),
        binary,
        base64,
        st.sampled_from(["2", "3", "6", "2probe", "3probe"]),
    )
    near = st.one_of(
        good,
        opened.map(encode_open),
        binaries,
        st.sampled_from(["", "1", "5", "7", "0", "0{", "0[]", "0{}", "b", "b=", "b4", "bAQ", "x"]),
        st.text(max_size=8),
        st.text("0123456b", max_size=4),
        st.just('0{"sid":"' + "[" * 2000),
    )
    first = st.one_of(opened.map(encode_open), near)
    return st.one_of(
        st.builds(lambda a, b: [a, *b], first, st.lists(good, max_size=5)),
        st.lists(near, max_size=5),
        st.builds(lambda a, b, c: [a, *b, c], first, st.lists(good, max_size=5), near),
    )


EVENTS: st.SearchStrategy[Any] = st.one_of(opened, messages(), messages(), messages(), closed)
"""What a connection may try to send."""

PACKETS = {3: _packets(3), 4: _packets(4)}
"""What may reach a connection, by its protocol."""
