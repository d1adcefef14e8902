"""The recorder: sinks by their names, taps, ends, what must never come back to a connection."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.explain.capture import read_capture
from rawsio.explain.traffic import Traffic
from rawsio.layer import Role
from rawsio.tracing.recorder import Recorder
from rawsio.websocket.frames import encode_frame
from tests.explain.strategies import frame_bytes, http_bytes

C, S = Role.CLIENT, Role.SERVER
ENDS = (("10.0.0.1", 5000), ("10.0.0.2", 443))
ASK = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
ASK += b"Connection: Upgrade\r\n\r\n"
YES = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
TALK = [
    (C, ASK),
    (S, YES),
    (C, encode_frame(1, b'40{"token":"x"}', mask=b"abcd")),
    (S, encode_frame(1, b'42["chat","hi"]')),
]


def heard(path: Path) -> tuple[list[str], list[str]]:
    """Return the messages of a recording, and its comments."""
    traffic, comments = Traffic(), []
    found: list[str] = []
    for captured in read_capture(io.BytesIO(path.read_bytes()).read):
        comments.append(captured.comment)
        found += [seen.item.summary for seen in traffic.packet(captured)]
    return found, [comment for comment in comments if comment]


@pytest.mark.parametrize("secrets", [True, False])
def test_a_recording_is_read_back_as_it_was(tmp_path: Path, secrets: bool) -> None:
    path = tmp_path / "talk.pcapng"
    recorder = Recorder(str(path), clock=lambda: 1.0, secrets=secrets)
    tap = recorder.connection(*ENDS, tls=True)
    for who, data in TALK:
        tap.data(who, data)
    tap.end(C)
    tap.end(S)
    found, comments = heard(path)
    assert found == [
        "request head GET /socket.io/?EIO=4&transport=websocket", "response head 101 S",
        "message: CONNECT to /", 'message: EVENT "chat" in /',
    ]  # fmt: skip
    assert comments == ["message: CONNECT to /", 'message: EVENT "chat" in /']
    assert (b'"x"' in path.read_bytes()) is False
    raw = b"".join(c.data[40:] for c in read_capture(io.BytesIO(path.read_bytes()).read))
    assert (raw == b"".join(data for _, data in TALK)) is secrets


def test_every_name_has_its_sink_and_others_are_refused(tmp_path: Path) -> None:
    names = [str(tmp_path / f"a.{ending}") for ending in ("pcapng", "har", "jsonl")]
    seen: list[int] = []
    recorder = Recorder(*names, lambda number, item: seen.append(number), clock=lambda: 1.0)
    for _ in range(2):
        tap = recorder.connection(*ENDS)
        tap.data(C, ASK)
    recorder.close()
    assert seen == [0, 1]
    assert all(Path(name).stat().st_size > 100 for name in names)
    with pytest.raises(ValueError, match=r"ends in \.pcapng, \.har or \.jsonl"):
        Recorder("a.txt", clock=lambda: 1.0)


def test_a_reset_ends_a_recording_and_late_calls_do_nothing() -> None:
    seen: list[str] = []
    recorder = Recorder(lambda _, item: seen.append(item.summary), clock=lambda: 1.0)
    tap = recorder.connection(*ENDS)
    tap.data(C, b"GET / HTTP")
    tap.reset(S)
    tap.end(C)
    tap.close()
    recorder.close()
    assert seen == ["data GET / HTTP"] or seen == ["request head 10 bytes"]


@given(st.lists(st.tuples(st.sampled_from(Role), http_bytes | frame_bytes), max_size=6))
def test_any_bytes_can_be_recorded(said: list[tuple[Role, bytes]]) -> None:
    recorder = Recorder(
        "/nowhere/a.pcapng", "/nowhere/a.jsonl", clock=lambda: 1.0, say=lambda text: None
    )
    tap = recorder.connection(*ENDS)
    for who, data in said:
        tap.data(who, data)
    tap.end(C)
    recorder.close()
