"""One line of log, wherever it goes, and never too many."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys

import pytest

from rawsio import log
from rawsio.log import ERROR, INFO, WARNING, Log


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limited(lines: list[str], clock: Clock) -> Log:
    return Log(clock, lambda _channel, _level, message, _error: lines.append(message))


def test_ten_lines_pass_and_then_one_a_second(limited: Log, lines: list[str], clock: Clock) -> None:
    for second in range(5):
        clock.now = float(second)
        for _ in range(50):
            limited("http", WARNING, "line")
    assert len(lines) == 10 + 4


def test_the_next_line_says_how_many_were_held_back(
    limited: Log, lines: list[str], clock: Clock
) -> None:
    for _ in range(13):
        limited("http", WARNING, "line")
    clock.now = 1.0
    limited("http", WARNING, "next")
    assert lines[-1] == "next (and 3 lines held back)"


def test_one_loud_channel_does_not_silence_another(limited: Log, lines: list[str]) -> None:
    for _ in range(50):
        limited("http", WARNING, "loud")
    limited("net", WARNING, "heard")
    assert lines[-1] == "heard"


def test_quiet_time_earns_no_more_than_ten_lines(
    limited: Log, lines: list[str], clock: Clock
) -> None:
    limited("http", WARNING, "first")
    clock.now = 1e6
    for _ in range(50):
        limited("http", WARNING, "line")
    assert len(lines) == 11


def test_a_line_goes_to_logging_if_the_application_uses_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "rawsio"):
        log.write("http", INFO, "hello")
        log.write("handler", ERROR, "broken", ValueError("why"))
    assert [(r.name, r.levelno, r.message) for r in caplog.records] == [
        ("rawsio.http", logging.INFO, "hello"),
        ("rawsio.handler", logging.ERROR, "broken"),
    ]
    assert "ValueError: why" in caplog.text


def test_without_logging_warnings_go_to_standard_error_and_logging_stays_out() -> None:
    program = (
        "import sys; from rawsio import log\n"
        "log.write('http', log.INFO, 'unheard')\n"
        "log.write('http', log.WARNING, 'a warning')\n"
        "log.write('handler', log.ERROR, 'broken', ValueError('why'))\n"
        "sys.exit('logging' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stderr.startswith("rawsio.http warning: a warning\nrawsio.handler error: broken\n")
    assert "ValueError: why" in done.stderr
    assert "unheard" not in done.stderr


# What cannot be written is lost, and nobody waits for it

_UNWRITABLE = {
    "the reader of a pipe is gone": "r, w = os.pipe(); os.dup2(w, 2); os.close(w); os.close(r)",
    "the disk is full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    "the descriptor is closed": "os.close(2)",
    "the stream is closed": "sys.stderr.close()",
    "there is none": "sys.stderr = None",
    "a pipe that nobody reads is full": (
        "r, w = os.pipe(); os.dup2(w, 2); os.set_blocking(w, False)\n"
        "try:\n"
        "    while True: os.write(w, bytes(512))\n"
        "except BlockingIOError: os.set_blocking(w, True)"
    ),
    "a pipe that does not block is full": (
        "r, w = os.pipe(); os.dup2(w, 2); os.set_blocking(w, False)\n"
        "try:\n"
        "    while True: os.write(w, bytes(512))\n"
        "except BlockingIOError: pass"
    ),
    "a stream raises": "sys.stderr = type('S', (), {'write': lambda self, text: 1 / 0})()",
    "a stream exits": "sys.stderr = type('S', (), {'write': lambda self, text: sys.exit(1)})()",
    "logging without a handler and a full pipe": (
        "import logging; r, w = os.pipe(); os.dup2(w, 2); os.set_blocking(w, False)\n"
        "try:\n"
        "    while True: os.write(w, bytes(512))\n"
        "except BlockingIOError: os.set_blocking(w, True)"
    ),
    "a handler of logging raises": (
        "import logging\n"
        "class Broken(logging.Handler):\n"
        "    def emit(self, record): raise OSError('full')\n"
        "logging.getLogger().addHandler(Broken())"
    ),
}


@pytest.mark.rule("layers-log-lost")
@pytest.mark.skipif(sys.platform == "win32", reason="the ways to break a stream are POSIX's")
def test_a_line_that_cannot_be_written_is_lost_and_the_program_goes_on() -> None:
    names = list(_UNWRITABLE)
    program = "import os, sys; from rawsio import log\n{}\n" + (
        "for number in range(100):\n"
        "    log.write('http', log.WARNING, 'x' * 2000, ValueError('why'))\n"
        "os.write(1, b'went on')\n"
        "os._exit(0)"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program.format(_UNWRITABLE[name])],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for name in names
    ]
    said = [child.communicate(timeout=60)[0] for child in children]
    assert dict(zip(names, said, strict=True)) == dict.fromkeys(names, b"went on")


@pytest.mark.rule("layers-log-lost")
@pytest.mark.skipif(sys.platform == "win32", reason="it has no poll for pipes")
def test_the_next_line_that_can_be_written_says_how_many_could_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "logging", None)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with open(writing, "w") as stream, open(reading, "rb") as reader:
        monkeypatch.setattr(sys, "stderr", stream)
        log.write("http", WARNING, "first")
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(512))
        os.set_blocking(writing, True)
        log.write("http", WARNING, "second")
        log.write("http", WARNING, "third")
        log.write("http", INFO, "for nobody")
        reader.read1(1 << 20)
        log.write("http", WARNING, "fourth")
        log.write("http", WARNING, "fifth")
        lines = reader.read1(1 << 20).decode().splitlines()
    assert lines == [
        "rawsio.http warning: fourth (and 2 lines could not be written)",
        "rawsio.http warning: fifth",
    ]


def test_a_logging_that_another_thread_is_importing_is_not_used_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "logging", type(sys)("logging"))
    log.write("http", WARNING, "in between")
    assert "rawsio.http warning: in between\n" in capsys.readouterr().err
