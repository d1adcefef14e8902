"""`rawsio trace` as a process before a server of ours, and its options."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from rawsio import Client, Server
from rawsio.__main__ import main
from rawsio.commands import trace
from rawsio.tracing.badness import Badness
from tests.jobs import killed_at_last


@pytest.fixture
def port() -> Iterator[int]:
    server = Server()

    @server.on("echo")
    def echo(socket: object, *values: object) -> object:
        return values

    port = server.listen()[1]
    thread = threading.Thread(target=server.run)
    thread.start()
    yield port
    server.close()
    thread.join()


def options(*given: str) -> object:
    parser = ArgumentParser()
    trace.add_arguments(parser)
    return parser.parse_args(["--to", "http://a:1", *given])


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
def test_a_client_is_traced_and_the_files_are_complete(
    port: int, tmp_path: Path, transports: list[str]
) -> None:
    files = {name: tmp_path / f"a.{name}" for name in ("pcapng", "har", "jsonl")}
    command = [sys.executable, "-m", "rawsio", "trace", "--to", f"http://127.0.0.1:{port}"]
    command += [part for name, path in files.items() for part in (f"--{name}", str(path))]
    with killed_at_last(command, stdout=subprocess.PIPE, text=True) as tracing:
        assert tracing.stdout is not None
        url = tracing.stdout.readline().strip()
        page = tracing.stdout.readline().split(" ")[-1].strip()
        with urlopen(page, timeout=60) as answer:
            assert b"rawsio trace" in answer.read()
        with Client(url, transports=transports) as socket:
            reply = socket.emit_with_ack("echo", "hi", b"\x01").result(timeout=60)
        tracing.send_signal(signal.SIGTERM)
        out = tracing.stdout.read()
        assert tracing.wait(60) == 0
    assert reply == ("hi", b"\x01")
    assert 'EVENT "echo" in /, ack 0' in out
    packets = [p for line in files["jsonl"].read_text().split("\n") if line
               for p in json.loads(line)["packets"]]  # fmt: skip
    assert {"type": "Event", "namespace": "/", "args": ["echo", "hi", {"base64": "AQ=="}],
            "id": 0} in packets  # fmt: skip
    assert json.loads(files["har"].read_text())["log"]["entries"]
    done = subprocess.run(
        [sys.executable, "-m", "rawsio", "explain", str(files["pcapng"]), "--event", "echo"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "echo" in done.stdout
    assert "wrong" not in out


def test_a_bad_network_is_described_by_the_options() -> None:
    assert trace.badness_of(options()) == Badness()  # type: ignore[arg-type]
    given = options(
        "--delay", "200ms±50,10ms", "--rate", "64k", "--split", "0,1", "--cut", "10kB",
        "--reset", "1%", "--stall", "5s", "--seed", "7",
    )  # fmt: skip
    assert trace.badness_of(given) == Badness(  # type: ignore[arg-type]
        (0.2, 0.01), (0.05, 0.0), (64_000.0, 64_000.0), (0, 1), 10_000, 0.01, 5.0, 7
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--to", "nonsense://x"], "--to is a URL like http://localhost:3000"),
        (["--to", "http://a:99999"], "--to is a URL like http://localhost:3000"),
        (["--to", "http://a", "--delay", "fast"], "a time looks like 200ms"),
        (["--to", "http://a", "--rate", "1,2,3"], "one value, or two for up and down"),
        (["--to", "http://a", "--har", "a.txt"], "--har is a file that ends in .har"),
        (["--to", "http://a", "--cert", "/nowhere"], "No such file"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    given: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", *given]) in (1, 2)
    shown = capsys.readouterr().err
    assert words in shown
    assert shown.count("\n") == 1


def test_keys_pause_filter_and_open(capsys: pytest.CaptureFixture[str]) -> None:
    from rawsio.explain.conversation import Conversation
    from rawsio.layer import Role

    stopped: list[int] = []
    screen = trace.Screen(options(), lambda: stopped.append(1))  # type: ignore[arg-type]
    talk = Conversation()
    frames = [item for text in (b'42["a"]', b"2", b'42["b"]')
              for item in talk.feed(Role.SERVER, bytes((0x81, len(text))) + text)]  # fmt: skip
    for key, shown in (("h", ["a", "b"]), ("h", ["a", "2", "b"]), ("4", ["a", "b"]), ("1", []),
                       ("0", ["a", "2", "b"]), ("p", [])):  # fmt: skip
        screen.key(key)
        capsys.readouterr()
        for item in frames:
            screen.message(0, item)
        lines = capsys.readouterr().out.split("\n")[:-1]
        assert len(lines) == len(shown), (key, lines)
    screen.key("p")
    assert "3 messages passed" in capsys.readouterr().out
    screen.key("o")
    assert capsys.readouterr().out.startswith("frame: text, 7 bytes")
    screen.key("?")
    assert "q quit" in capsys.readouterr().out
    screen.key("q")
    assert stopped == [1]
