"""The collector sees young objects, and old ones only when memory has grown for no reason."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawsio import Server
from rawsio.net.collector import Collector

MANY = 10_000
"""More than an interpreter freezes by itself, and less than a program with a server has."""


class Thing:
    """May be part of a ring."""

    def __init__(self) -> None:
        self.other: object = None


def ring() -> weakref.ref[Thing]:
    """Make a ring that nobody holds."""
    one = Thing()
    one.other = one
    return weakref.ref(one)


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    made.start()
    yield made
    made.stop()


def test_what_survives_a_young_collection_is_out_of_sight(collector: Collector) -> None:
    kept = [Thing() for _ in range(1000)]
    before = gc.get_freeze_count()
    gc.collect(1)
    assert collector.working
    assert gc.get_freeze_count() >= before + len(kept)


@pytest.mark.usefixtures("collector")
def test_young_rings_are_collected_as_ever() -> None:
    gone = ring()
    gc.collect(1)
    assert gone() is None


def run(program: str) -> None:
    """Run a program that is small, so that its memory is soon doubled."""
    subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(program)],
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )


BEGIN = """
import gc, sys, weakref
from rawsio.net.collector import Collector

class Thing:
    other = None

def must(right):
    if not right:
        raise SystemExit("it is not so")

def grow():
    return [[n] for n in range(2 * sys.getallocatedblocks())]
"""


def test_an_old_ring_is_found_once_memory_has_doubled() -> None:
    run("""
    Collector().start()
    one = Thing()
    gone = weakref.ref(one)
    gc.collect(1)
    one.other = one
    del one
    gc.collect()
    must(gone() is not None)  # it is frozen
    much = grow()
    gc.collect(1)
    must(gc.get_freeze_count() == 0)
    gc.collect()
    must(gone() is None)
    must(gc.get_freeze_count() > len(much) // 2)
    """)


def test_memory_may_grow_with_the_sessions() -> None:
    run("""
    sessions = [0]
    Collector(lambda: sessions[0]).start()
    sessions[0] = 100_000
    much = grow()
    gc.collect(1)
    must(gc.get_freeze_count() > len(much) // 2)
    """)


def test_a_program_that_freezes_by_itself_is_left_alone() -> None:
    gc.freeze()
    try:
        collector = Collector()
        collector.start()
        assert not collector.working
        collector.stop()
        assert gc.get_freeze_count() > MANY
    finally:
        gc.unfreeze()


def test_without_a_collector_there_is_nothing_to_do() -> None:
    gc.disable()
    try:
        collector = Collector()
        collector.start()
        assert not collector.working
        assert gc.get_freeze_count() < MANY
    finally:
        gc.enable()


def test_the_second_one_does_nothing(collector: Collector) -> None:
    second = Collector()
    second.start()
    second.stop()
    assert not second.working
    assert collector.working
    assert gc.get_freeze_count() > MANY


def test_a_server_has_it_while_it_runs_by_itself_only() -> None:
    io = Server()
    io.listen(port=0)
    seen: list[int] = []

    def look() -> None:
        seen.append(gc.get_freeze_count())
        io.close()

    io.call_later(0.0, look)
    thread = threading.Thread(target=io.run)
    thread.start()
    thread.join(60)
    assert seen[0] > MANY
    assert gc.get_freeze_count() == 0


def test_a_server_that_somebody_else_steps_leaves_the_collector_alone() -> None:
    io = Server()
    io.listen(port=0)
    io.step(0)
    assert gc.get_freeze_count() < MANY
    io.close()
    while not io.closed:
        io.step(0.1)


def test_as_an_extension_it_works_from_the_first_step_to_the_end() -> None:
    collector = Collector()
    io = Server(extensions=[collector])
    io.listen(port=0)
    assert not collector.working
    io.step(0)
    assert collector.working
    io.close()
    while not io.closed:
        io.step(0.1)
    assert not collector.working
