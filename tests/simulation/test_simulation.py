"""Two hundred seeds hold, a seed gives the same run each time, bugs that are put in are found."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawsio.cluster import fields
from rawsio.cluster.adapter import ClusterAdapter
from rawsio.cluster.sharded_adapter import RoomsAdapter
from rawsio.cluster.stream_reader import StreamReader
from rawsio.redis import RedisClient

from .__main__ import main
from .run import Run, Violation

SEEDS = 200
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Lost connections are what this is about: they need no lines in the log."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def run(*options: object) -> str:
    """Return what ``python -m tests.simulation`` writes; it fails if a seed does."""
    command = [sys.executable, "-m", "tests.simulation", *map(str, options)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # or it starts itself again, with that
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_whatever_breaks_the_invariants_hold() -> None:
    assert f"{SEEDS} seeds, 0 failed" in run("--seeds", SEEDS)


def test_a_seed_gives_the_same_run_each_time() -> None:
    first, second = run("--seed", 8), run("--seed", 8)
    assert first == second
    assert "fault" in first


def found(seeds: range) -> Violation | None:
    """Return what the first seed finds that finds something."""
    for seed in seeds:
        try:
            Run(seed).execute()
        except Violation as violation:
            return violation
    return None


def hears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server follows what it has said itself, a second time."""
    received: Any = ClusterAdapter._received

    def buggy(self: Any, message: Any) -> None:
        if getattr(message, "uid", "") == self.uid:
            message.uid = "somebody"
        received(self, message)

    monkeypatch.setattr(ClusterAdapter, "_received", buggy)


def forgets_a_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that connects again subscribes to all channels but one."""
    again: Any = RedisClient._subscribe_again

    def buggy(self: Any) -> None:
        if self._attempts and self._subscriptions:
            self._subscriptions.pop(next(iter(self._subscriptions)))
        again(self)

    monkeypatch.setattr(RedisClient, "_subscribe_again", buggy)


def begins_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage a stream is read from its end, and not from where it was left."""
    place: Any = StreamReader._place

    def buggy(self: Any, stream: str, answer: Any) -> None:
        self.positions.pop(stream, None)
        place(self, stream, answer)

    monkeypatch.setattr(StreamReader, "_place", buggy)


def answers_only_with_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without sockets leaves a request unanswered."""
    from rawsio.cluster import adapter
    from rawsio.cluster.messages import Fetch

    take = adapter._HANDLERS[Fetch]

    def buggy(self: Any, message: Any) -> None:
        if self.selected(message.targets):
            take(self, message)

    monkeypatch.setitem(adapter._HANDLERS, Fetch, buggy)


def forgets_who_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What excepts somebody is told to others without that."""
    options: Any = fields.options

    def buggy(targets: Any, **more: Any) -> Any:
        return {**options(targets, **more), "except": []}

    monkeypatch.setattr(fields, "options", buggy)


def does_not_wait_for_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who joins a room is told so before Redis has confirmed its channel."""
    monkeypatch.setattr(RoomsAdapter, "waits_for_rooms", False)


def keeps_its_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that is answered is not forgotten."""
    ended: Any = ClusterAdapter._question_ended

    def buggy(self: Any, request: str, reply: Any, question: Any) -> None:
        ended(self, request, reply, question)
        self._questions[request] = question

    monkeypatch.setattr(ClusterAdapter, "_question_ended", buggy)


@pytest.mark.parametrize(
    ("put_in", "complaint", "seeds"),
    [
        (hears_itself, "twice", range(60)),
        (forgets_a_channel, "reached", range(60)),
        (begins_at_the_end, "never got", range(60)),
        (answers_only_with_sockets, "found <Reply pending>|nobody was silent but", range(60)),
        (forgets_who_is_excepted, "got", range(60)),
        (does_not_wait_for_channels, "never got", range(1, 400, 4)),
        (keeps_its_questions, "still has {'_questions'", range(60)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bug_that_is_put_in_is_found(
    put_in: Any, complaint: str, seeds: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in(monkeypatch)
    violation = found(seeds)
    assert violation is not None, put_in.__doc__
    with pytest.raises(Violation, match=complaint):
        raise violation


def test_a_seed_that_fails_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hears_itself(monkeypatch)
    assert main(["--seeds", "8"]) == 1
    assert re.search("seed [0-9] .*twice", capsys.readouterr().out)
