"""One line of log, wherever it goes, and never too many."""

from __future__ import annotations

import logging
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
