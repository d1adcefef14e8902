"""The recorder: sinks by their names, taps, ends, what must never come back to a connection."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio import Client, Server
from rawsio.explain.capture import read_capture
from rawsio.explain.traffic import Traffic
from rawsio.layer import Role
from rawsio.testing import TestKit
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
    tap = recorder.tap(*ENDS, tls=True)
    for who, data in TALK:
        tap.data(who, data)
    tap.end(C)
    tap.end(S)
    found, comments = heard(path)
    assert found == [
        "handshake over WebSocket: request head GET /socket.io/?EIO=4&transport=websocket",
        "answer to the handshake over WebSocket: response head 101 S",
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
        tap = recorder.tap(*ENDS)
        tap.data(C, ASK)
    recorder.close()
    assert seen == [0, 1]
    assert all(Path(name).stat().st_size > 100 for name in names)
    with pytest.raises(ValueError, match=r"ends in \.pcapng, \.har or \.jsonl"):
        Recorder("a.txt", clock=lambda: 1.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_once_a_file_and_everything_goes_on(tmp_path: Path) -> None:
    paths = [tmp_path / f"a.{ending}" for ending in ("pcapng", "har", "jsonl")]
    for path in paths:
        path.symlink_to("/dev/full")
    said: list[str] = []
    heard: list[str] = []
    places = [str(path) for path in paths]
    recorder = Recorder(*places, lambda _, item: heard.append(item.summary), say=said.append)
    for number in range(3):
        tap = recorder.tap(("10.0.0.1", 5000 + number), ("10.0.0.2", 80))
        tap.data(C, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        tap.data(S, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        tap.end(C)
        tap.end(S)
    recorder.close()
    assert len(heard) == 9
    assert sorted(said) == sorted(
        f"{path}: No space left on device: nothing more is recorded there" for path in places
    )


def test_a_reset_ends_a_recording_and_late_calls_do_nothing() -> None:
    seen: list[str] = []
    recorder = Recorder(lambda _, item: seen.append(item.summary), clock=lambda: 1.0)
    tap = recorder.tap(*ENDS)
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
    tap = recorder.tap(*ENDS)
    for who, data in said:
        tap.data(who, data)
    tap.end(C)
    recorder.close()


class Heard:
    """A recorder, and how often it heard each message from each side."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.recorder = Recorder(lambda _, item: self.hear(item.sender.value, item.summary))

    def hear(self, sender: str, summary: str) -> None:
        self.counts[sender, summary] += 1

    def packets(self) -> Counter[tuple[str, str]]:
        """Return what was said by Socket.IO, and by the probe."""
        words = ("CONNECT", "EVENT", "ACK", "probe")
        return Counter({w: n for w, n in self.counts.items() if any(x in w[1] for x in words)})


def echo(_socket: Any, *values: Any) -> Any:
    return values


WAYS = (["polling"], ["websocket"], ["polling", "websocket"])


def test_a_server_and_a_client_record_the_same_from_within() -> None:
    server, client = Heard(), Heard()
    io = Server(trace=server.recorder)
    io.on("echo", echo)
    with TestKit(io) as kit:
        for transports in WAYS:
            socket = kit.connect(transports=transports, trace=client.recorder)
            kit.advance(1.0)
            assert socket.emit_with_ack("echo", "hi", b"\x01").result(5) == ("hi", b"\x01")
            kit.run()
            socket.client.close()
            kit.run()
    server.recorder.close()
    client.recorder.close()
    assert server.counts == client.counts
    assert server.counts["client", 'message: EVENT "echo" in /, ack 0'] == 2
    assert not any("not whole" in text for _, text in server.counts)


def test_they_record_the_same_packets_over_sockets() -> None:
    server, client = Heard(), Heard()
    io = Server(trace=server.recorder)
    io.on("echo", echo)
    port = io.listen()[1]
    thread = threading.Thread(target=io.run)
    thread.start()
    try:
        for transports in WAYS:
            url = f"http://127.0.0.1:{port}"
            with Client(url, transports=transports, trace=client.recorder) as socket:
                reply = socket.emit_with_ack("echo", "hi", b"\x01").result(timeout=60)
                assert reply == ("hi", b"\x01")
    finally:
        io.close()
        thread.join()
    server.recorder.close()
    client.recorder.close()
    # Answers to polls that wait when the client leaves are read by nobody: they are no packets.
    assert server.packets() == client.packets()
    said = sum(n for (_, text), n in server.packets().items() if 'message: EVENT "echo"' in text)
    assert said == 3
    assert not any("not whole" in text for _, text in server.counts)


def test_the_environment_asks_for_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    program = (
        "from rawsio import Server\nfrom rawsio.testing import TestKit\n"
        "io = Server()\n"
        "io.on('x', lambda socket: 'y')\n"
        "with TestKit(io) as kit:\n"
        "    assert kit.connect().emit_with_ack('x').result(5) == 'y'\n"
    )
    env = {**os.environ, "RAWSIO_TRACE": str(path)}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)
    assert '"Event"' in path.read_text()


def test_what_is_no_recorder_is_refused_when_it_is_given() -> None:
    with pytest.raises(TypeError, match=r"rawsio\.Recorder"):
        Server(trace=print)
    with pytest.raises(TypeError, match=r"rawsio\.Recorder"):
        Client("http://127.0.0.1:1", trace=print)


def test_a_function_that_fails_stops_no_connection() -> None:
    def fails(number: int, item: Any) -> None:
        raise RuntimeError("mine")

    io = Server(trace=Recorder(fails))
    io.on("x", lambda socket: "y")
    with TestKit(io) as kit:
        assert kit.connect().emit_with_ack("x").result(timeout=5) == "y"
