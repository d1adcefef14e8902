"""Programs of others have bounds: who is late, hangs or ends unasked is named, and ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import jobs
from tests.jobs import Stuck, first_line, free_port, run, serving

PYTHON = [sys.executable, "-c"]
HANGS = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + HANGS
LEAVES_A_CHILD = (
    "import subprocess, sys; "
    f"child = subprocess.Popen([sys.executable, '-c', {HANGS!r}]); "
    "open(sys.argv[1], 'w').write(str(child.pid)); " + HANGS
)


def is_alive(pid: int) -> bool:
    """Say whether a process runs; one that waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_that_ends_gives_its_exit_code() -> None:
    assert run([*PYTHON, "raise SystemExit(7)"], 60) == 7


def test_a_program_that_hangs_is_named_when_its_time_is_over() -> None:
    with pytest.raises(Stuck, match=r"signal\.pause\(\)` did not end within 0 s"):
        run([*PYTHON, HANGS], 0.2)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc")
def test_what_a_hanging_program_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    with serving([*PYTHON, LEAVES_A_CHILD + "#", str(note)]) as child:
        while not (note.exists() and note.read_text()):
            assert child.poll() is None
        assert is_alive(int(note.read_text()))
    until = time.monotonic() + 60
    while is_alive(int(note.read_text())):
        assert time.monotonic() < until


def test_a_free_port_is_none_that_a_connection_may_take_meanwhile() -> None:
    given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    least = int(given.read_text("ascii").split()[0]) if given.exists() else 32_768
    assert all(free_port() < least for _ in range(20))


def test_a_free_port_is_none_that_somebody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(jobs, "PORTS", range(port, port + 1))
    assert free_port() == port
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", port))
        with pytest.raises(Stuck, match="were all taken"):
            free_port()


def test_the_first_line_is_read_and_no_byte_more() -> None:
    with serving([*PYTHON, "print('http://x\\nmore', flush=True); " + HANGS]) as child:
        assert first_line(child) == "http://x"
        assert child.stdout is not None
        assert child.stdout.readline() == b"more\n"


def test_a_server_that_says_nothing_is_named() -> None:
    with pytest.raises(Stuck, match="said nothing within 0 s"), serving([*PYTHON, HANGS]) as child:
        first_line(child, 0.1)


def test_a_server_that_ends_at_once_is_named_with_its_exit_code() -> None:
    with (
        pytest.raises(Stuck, match="ended with 3 and said nothing"),
        serving([*PYTHON, "raise SystemExit(3)"]) as child,
    ):
        first_line(child)


def test_a_server_that_ends_while_it_is_needed_is_named_with_its_last_words() -> None:
    with (
        pytest.raises(Stuck, match="ended with 1, unasked: ValueError: no more"),
        serving([*PYTHON, "raise ValueError('no more')"]) as child,
    ):
        child.wait(60)


def test_an_error_of_the_work_is_not_hidden_by_the_end_of_the_server() -> None:
    def work() -> None:
        with serving([*PYTHON, "raise SystemExit(3)"]) as child:
            child.wait(60)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()


def test_a_server_that_does_not_listen_to_sigterm_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.jobs.PATIENCE", 0.2)
    with serving([*PYTHON, "print('here', flush=True); " + DEAF]) as child:
        first_line(child)
    assert child.returncode in {-signal.SIGTERM, -signal.SIGKILL}


def test_output_goes_where_it_is_sent(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        run([*PYTHON, "print('out'); import os; print(os.environ['A'])"], 60, stdout=log,
            stderr=subprocess.STDOUT, env={"A": "b"})  # fmt: skip
    assert (tmp_path / "log").read_text() == "out\nb\n"
