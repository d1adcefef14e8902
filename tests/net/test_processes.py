"""Processes made by fork: what they end with, what they keep, how they are watched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rawsio.net.loop import Loop
from rawsio.net.processes import Child, check_forking
from tests.jobs import killed_at_last

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux has pidfd")
ROOT = Path(__file__).parents[2]

# Forked from a process of its own: that of the tests has threads.
PROGRAM = """
import os, signal, sys, time
from rawsio.net.loop import Loop
from rawsio.net.processes import fork
def ends(): return 3
def leaves(): sys.exit(4)
def says(): sys.exit("why")
def raises(): raise KeyError("lost")
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def hangs(): time.sleep(60)
def ignores():
    os.kill(os.getpid(), signal.SIGHUP)
    print("hung up", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
signal.signal(signal.SIGTERM, lambda *_: print("the parent's handler"))
print("once")
loop = Loop()
child = fork(globals()[sys.argv[1]])
statuses = []
child.watch(loop, lambda: statuses.append(child.status))
if sys.argv[1] == "hangs":
    child.kill()
while not statuses:
    loop.step(5)
child.kill()
child.release()
loop.close()
print(statuses)
"""


@pytest.mark.parametrize(
    ("main", "status", "errors"),
    [
        ("ends", 3, ""),
        ("leaves", 4, ""),
        ("says", 1, ""),
        ("raises", 1, "KeyError: 'lost'"),
        ("killed", -9, ""),
        ("hangs", -9, ""),
    ],
)
def test_the_status_of_a_child_is_known_when_it_ends(main: str, status: int, errors: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, main],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"once\n[{status}]\n"
    assert errors in done.stderr


def test_a_child_that_cannot_be_watched_is_not_left_behind() -> None:
    program = """
import os, resource, time
from rawsio.net.processes import fork
free = os.dup(0)
os.close(free)
resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
try:
    fork(lambda: time.sleep(600))
except OSError as error:
    print(error.strerror)
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child")
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("Too many open files\nno child\n", "")


def test_a_child_has_no_handler_of_its_parent_and_ignores_its_terminals_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "ignores"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "once\nhung up\n[-15]\n"


def test_a_child_that_is_released_is_watched_no_more() -> None:
    with killed_at_last([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        loop = Loop()
        child = Child(process.pid)
        ended: list[bool] = []
        child.watch(loop, lambda: ended.append(True))
        child.release()
        process.kill()
        process.wait()
        loop.step(0)
        assert not ended
        loop.close()


def test_where_workers_cannot_be_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    thread = threading.Thread(target=waiting.wait, name="pump")
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="pump"):
            check_forking()
    finally:
        waiting.set()
        thread.join()
    monkeypatch.delattr(os, "pidfd_open")
    with pytest.raises(RuntimeError, match="workers need Linux"):
        check_forking()
