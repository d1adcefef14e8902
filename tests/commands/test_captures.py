"""`rawsio explain FILE.pcap`: messages, filters, files that grow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rawsio.__main__ import main
from rawsio.layer import Role
from rawsio.websocket.frames import encode_frame
from tests.explain.packets import Talk, pcap, pcapng
from tests.jobs import killed_at_last

C, S = Role.CLIENT, Role.SERVER
ASK = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
ASK += b"Connection: Upgrade\r\n\r\n"
YES = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CHAT = encode_frame(1, b'42["chat","hi"]', mask=b"abcd")
OTHER = encode_frame(1, b'42["other"]', mask=b"abcd")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    talk = Talk().open().say(C, ASK).say(S, YES).say(C, CHAT, OTHER).close()
    path = tmp_path / "talk.pcapng"
    path.write_bytes(pcapng(talk.packets))
    return path


def test_every_message_is_a_line_and_every_connection_one(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(capture), "--width", "120"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert [line[17:] for line in lines[:4]] == [
        "0 → HTTP                          handshake over WebSocket: request head GET "
        "/socket.io/?EIO=4&transpo…",
        "0 ← HTTP                          answer to the handshake over WebSocket: response head "
        "101 S",
        '0 → WebSocket/Engine.IO/Socket.IO message: EVENT "chat" in /',
        '0 → WebSocket/Engine.IO/Socket.IO message: EVENT "other" in /',
    ]
    assert lines[4] == "10 packets, 1 TCP connection"
    assert lines[5].startswith("   0  10.0.0.1:50000 to 10.0.0.2:80  websocket, 10 packets")


def test_filters_choose_by_event_layer_and_stream(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, count in (
        (["--event", "chat"], 1), (["--layer", "socketio"], 2), (["--layer", "http"], 2),
        (["--stream", "1"], 0), (["--stream", "0"], 4),
    ):  # fmt: skip
        assert main(["explain", str(capture), *options, "--json"]) == 0
        assert len(capsys.readouterr().out.split("\n")) - 1 == count, options


def test_a_message_is_shown_through_all_its_layers(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(capture), "--event", "chat", "--tree"]) == 0
    out = capsys.readouterr().out
    places = [out.index(f"{name}:") for name in (
        "IPv4", "TCP", "frame", "Engine.IO packet", "Socket.IO packet"
    )]  # fmt: skip
    assert places == sorted(places)


def test_json_has_the_tree_with_its_bytes(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", str(capture), "--event", "chat", "--json"])
    message = json.loads(capsys.readouterr().out)
    assert bytes.fromhex(message["tree"]["data"]) == CHAT
    assert (message["stream"], message["packet"], message["sender"]) == (0, 6, "client")


def test_a_mistake_in_a_capture_gives_the_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = Talk().open().say(C, b"GET  / HTTP/1.1\r\n\r\n")
    path = tmp_path / "bad.pcap"
    path.write_bytes(pcap(talk.packets))
    assert main(["explain", str(path)]) == 3
    assert "wrong: not a request line" in capsys.readouterr().out


def test_a_capture_that_is_cut_is_explained_as_far_as_it_goes(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture.write_bytes(capture.read_bytes()[:-20])
    assert main(["explain", str(capture)]) == 1
    shown = capsys.readouterr()
    assert 'EVENT "other"' in shown.out
    assert "the file ends at byte" in shown.err


def test_a_file_is_followed_while_it_grows(capture: Path) -> None:
    data = capture.read_bytes()
    capture.write_bytes(data[:-400])
    command = [sys.executable, "-m", "rawsio", "explain", str(capture), "--follow"]
    command += ["--layer", "http"]
    with killed_at_last(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert "GET /socket.io" in following.stdout.readline()
        with capture.open("ab") as file:
            file.write(data[-400:])
        assert "101" in following.stdout.readline()
