"""What a server has that several processes cannot share is refused before it serves, by name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rawsio import Recorder, Recovery, Server
from rawsio.cluster import StreamsAdapter
from rawsio.workers import check_shared

from .kit import ROOT


class Counter:
    """An extension that counts in this process."""

    alone = "the counter counts one process: leave it out"

    def start(self, _runtime: Any) -> None:
        """Nothing begins."""

    def stop(self, _deadline: float) -> None:
        """Nothing ends."""


def with_queue(**options: Any) -> Server:
    io = Server()
    io.queue("jobs", **options)
    return io


MAKERS: dict[str, tuple[Callable[[Path], Server], str]] = {
    "queue in memory": (lambda _: with_queue(), "'jobs' is in the memory of one process"),
    "queue in a file": (lambda folder: with_queue(path=folder / "a.db"), "a.db, which one process"),
    "recovery in memory": (
        lambda _: Server(connection_state_recovery=True),
        "keeps sessions in the memory .*StreamsAdapter",
    ),
    "recovery in a file": (
        lambda folder: Server(connection_state_recovery=Recovery(path=folder / "a.db")),
        "keeps sessions in .*a.db, which .*StreamsAdapter",
    ),
    "recording": (lambda folder: Server(trace=Recorder(folder / "a.har")), "a recording in a file"),
    "extension": (lambda _: Server(extensions=[Counter()]), "the counter counts one process"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_one_process_keeps_is_refused_before_anybody_listens(
    name: str, tmp_path: Path
) -> None:
    make, words = MAKERS[name]
    io = make(tmp_path)
    with pytest.raises(ValueError, match=f"workers: .*{words}"):
        io.run(workers=2)
    assert not io.net.listening
    io.close(0.0)
    io.run(port=0)
    assert io.closed
    recorder = io.core.config.hooks.trace
    if isinstance(recorder, Recorder):
        recorder.close()


def test_all_reasons_are_said_at_once() -> None:
    io = Server(connection_state_recovery=True, extensions=[Counter()])
    io.queue("a")
    io.queue("b")
    with pytest.raises(ValueError, match=r"sessions .*; the counter .*; .*'a'.*; .*'b'"):
        check_shared(io)


def test_what_all_processes_reach_is_shared() -> None:
    adapter = StreamsAdapter("redis://127.0.0.1:1")
    io = Server(
        adapter=adapter,
        connection_state_recovery=True,
        trace=Recorder(lambda _number, _item: None),
    )
    io.queue("jobs", store="redis://127.0.0.1:1")
    check_shared(io)


def test_a_worker_makes_no_queue_of_its_own_later() -> None:
    io = Server()
    io.host.worker = 3
    with pytest.raises(ValueError, match="workers: the queue 'jobs'"):
        io.queue("jobs")
    assert io.stats()["worker"] == 3


def test_the_command_says_what_cannot_be_shared_and_ends(tmp_path: Path) -> None:
    (tmp_path / "chat.py").write_text(
        "from rawsio import Server\nio = Server()\nio.queue('jobs', path='jobs.db')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "rawsio", "serve", "chat:io", "--workers", "2", "--port", "0"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "rawsio: workers: the queue 'jobs' is in jobs.db" in done.stderr
    assert "Traceback" not in done.stderr
