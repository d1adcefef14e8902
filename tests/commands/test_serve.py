"""`rawsio serve`, as a process and as a function."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from rawsio.__main__ import main
from rawsio.commands import Stop
from rawsio.commands.serve import load_server
from tests.jobs import killed_at_last


def test_serve_serves_the_chat_until_a_signal() -> None:
    command = [sys.executable, "-m", "rawsio", "serve", "--port", "0"]
    with killed_at_last(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        line = serving.stdout.readline()
        url = line.split()[2]
        with urlopen(url, timeout=60) as page:
            assert b"rawsio" in page.read()
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(60) == 0


def test_a_port_that_is_taken_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("call", ["io.run(port=0)", "import asyncio; asyncio.run(io.serve())"])
def test_a_module_that_runs_its_server_when_it_is_imported_is_named(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs.py").write_text(f"import rawsio; io = rawsio.Server(); {call}", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for _ in range(2):
        with pytest.raises(Stop) as caught:
            load_server("runs:io")
        assert "runs runs its server when it is imported" in caught.value.message
        assert "__main__" in caught.value.message
