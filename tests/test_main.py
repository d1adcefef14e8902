"""The command line: one command is loaded, and what stops it is told in one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rawsio import commands
from rawsio.__main__ import main
from rawsio.commands import serve


def test_without_a_command_the_usage_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_every_command_is_listed_with_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, line in commands.COMMANDS.items():
        assert f"{name} {line}" in shown


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"rawsio {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stopped", "status", "said"),
    [
        (commands.Stop("the file is no capture"), 1, "rawsio: the file is no capture\n"),
        (commands.Stop("5 rules broken", 3), 3, "rawsio: 5 rules broken\n"),
        (FileNotFoundError(2, "No such file", "a.pcap"), 1, "rawsio: a.pcap: No such file\n"),
        (OSError("no words of the system"), 1, "rawsio: no words of the system\n"),
        (BrokenPipeError(), 1, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_stops_a_command_is_one_line_and_a_status(
    stopped: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(options: object) -> int:
        raise stopped

    monkeypatch.setattr(serve, "run", run)
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert main(["serve"]) == status
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("coding", ["ascii", "cp1252", "utf-8"])
def test_what_a_terminal_has_no_letters_for_is_escaped(coding: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "rawsio",
            "explain",
            '42["\u00e9\u2192\U0001f600"]',
            "--as",
            "packet",
        ],
        capture_output=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": coding},
    )
    assert b"EVENT" in done.stdout
    assert done.stdout.decode(coding)


def test_only_the_module_of_the_command_is_loaded() -> None:
    program = (
        "import sys; from rawsio.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print([m for m in sys.modules if m.startswith('rawsio.commands.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")
