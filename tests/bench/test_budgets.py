"""Every row of the counts costs what it may, whatever is drawn, and answers as the layers do."""

from __future__ import annotations

import random

import pytest

from . import counts
from .budgets import AGREE, disagreements, moved, read

SEED = random.SystemRandom().randrange(10**6)


def test_no_count_has_left_its_budget() -> None:
    budgets = read()
    if budgets is None:
        return  # a Python that has no column
    lines = moved(counts.measure(SEED), budgets)
    assert not lines, f"seed {SEED}: python -m tests.bench.counts --write\n" + "\n".join(lines)


def test_the_short_ways_answer_as_the_layers_do() -> None:
    assert not disagreements(SEED)


def test_a_difference_between_the_ways_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([b"one", b"other"])

    def different(rig: counts.Rig) -> tuple[counts.Operation, int]:
        rig.heard = next(said)
        return (lambda _n: None), 1

    monkeypatch.setitem(counts.ROWS, AGREE[0], (different, False, 1))
    assert len(disagreements(1)) == 1


def test_a_count_that_rises_or_falls_is_named() -> None:
    budgets = {"http": {"calls": 100.0, "long": 0.0}}
    assert moved({"http": {"calls": 102.0, "long": 0.3}}, budgets) == []
    [more, new] = moved({"http": {"calls": 103.0, "long": 0.5}}, budgets)
    assert "103.0 calls" in more
    assert "0.5 long" in new
    [less] = moved({"http": {"calls": 90.0, "long": 0.0}}, budgets)
    assert "tighten" in less
    [unknown] = moved({"other": {"calls": 1.0}}, budgets)
    assert "has no budget" in unknown
    assert moved({"http": {"calls": 500.0}}, None) == []
