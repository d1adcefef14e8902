"""The plug-in: each case is a test."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from .world import UNHURRIED, contract


def test_each_case_is_a_test(tmp_path: Path) -> None:
    io = contract(**UNHURRIED)
    host, port = io.listen("127.0.0.1", 0)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            io.step(0.02)
        io.close(0.0)
        while not io.closed:
            io.step(0.1)

    thread = threading.Thread(target=serve)
    thread.start()
    command = [sys.executable, "-m", "pytest", "-p", "rawsio.check.pytest_plugin", "-p",
               "no:cacheprovider", "-v", "--rawsio-check", f"http://{host}:{port}",
               "--rawsio-case", "ws.mask.t*", "--rawsio-case", "ws.utf8.good-nul"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]),
           "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        over.set()
        thread.join()
    assert "ws.mask.text PASSED" in done.stdout, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout


def test_nothing_listens_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "rawsio.check.pytest_plugin", "-p",
               "no:cacheprovider", "--rawsio-check", "http://127.0.0.1:1/"]  # fmt: skip
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]),
           "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "--rawsio-check: cannot connect" in done.stdout + done.stderr
