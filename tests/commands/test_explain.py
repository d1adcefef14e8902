"""`rawsio explain`: what is given, how it is read, how it is shown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from rawsio.__main__ import main


def test_a_packet_is_explained_and_how_it_was_read_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", '42["hi"]']) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith('Engine.IO packet: message: EVENT "hi" in /\n')
    assert shown.err == "read as packet: an Engine.IO packet, with what it carries\n"


def test_several_words_are_one_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "81", "02", "68", "69", "--json"]) == 0
    shown = capsys.readouterr()
    tree = json.loads(shown.out)
    assert (tree["data"], tree["fields"][0]["value"]) == ("81026869", "text, 2 bytes")
    assert "given in hex" in shown.err


def test_a_mistake_gives_the_status_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "81", "00", "--as", "frames", "--from", "client"]) == 3
    assert "[6455-5.1-mask]" in capsys.readouterr().out


def test_other_readings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "1"]) == 0
    assert "also fits: --as message (text)\n" in capsys.readouterr().err


def test_a_file_and_standard_input_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = tmp_path / "request.txt"
    request.write_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert main(["explain", str(request)]) == 0
    assert "request head: GET /" in capsys.readouterr().out
    packet = tmp_path / "packet.txt"
    packet.write_bytes(b'42["hi"]\n')
    assert main(["explain", str(packet)]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x81\x02hi\xff")))
    assert main(["explain", "-", "--as", "frames"]) == 0
    assert "not whole" in capsys.readouterr().out


def test_compressed_frames_are_inflated_when_it_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "c107f248cdc9c90700", "--deflate"]) == 0
    assert "message: Hello" in capsys.readouterr().out


def test_what_needs_bytes_is_not_taken_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "not hex", "--as", "dns"]) == 1
    assert capsys.readouterr().err == (
        "rawsio: dns is given in hexadecimal, in base64, or as a file\n"
    )
    assert main(["explain", "nofile.pcap", "--follow"]) == 1


@pytest.mark.parametrize(("colour", "escapes"), [("always", True), ("auto", False)])
def test_colours_are_for_terminals(
    colour: str, escapes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["explain", "2", "--colour", colour, "--width", "60"])
    out = capsys.readouterr().out
    assert ("\x1b[" in out) is escapes
