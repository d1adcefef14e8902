"""The search: breadth first through all orders of steps, each state once."""

from __future__ import annotations

import gc
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .invariants import Broken, check_end, check_now, check_quiet
from .world import World

Trace = tuple[str, ...]


@dataclass
class Found:
    """What a search has seen; ``trace`` and ``why`` of a shortest failure, if there is one."""

    states: int = 0
    depth: int = 0
    """The depth to which every trace was run."""
    complete: bool = True
    """Whether that depth was what was asked for."""
    seconds: float = 0.0
    trace: Trace | None = None
    why: str = ""


def explore(make: Callable[[], World], depth: int, seconds: float = float("inf")) -> Found:
    """Run every trace of up to ``depth`` steps, or as far as the time goes."""
    found, seen = Found(), set[int]()
    began = time.perf_counter()
    collected = gc.isenabled()
    gc.disable()  # a third of the time would go into looking at what is all alive
    try:
        _search(make, depth, began + seconds, seen, found)
    finally:
        if collected:
            gc.enable()
    found.seconds = time.perf_counter() - began
    return found


def _search(
    make: Callable[[], World], depth: int, end: float, seen: set[int], found: Found
) -> None:
    queue: deque[tuple[Trace, list[str]]] = deque()
    _visit(make, (), seen, queue, found)
    while queue and found.trace is None:
        trace, steps = queue.popleft()
        if len(trace) >= depth:
            found.depth = depth
            break
        found.depth = len(trace)
        if time.perf_counter() > end:
            found.complete = False
            break
        for step in steps:
            _visit(make, (*trace, step), seen, queue, found)
            if found.trace is not None:
                break
    else:
        found.depth = depth if found.trace is None else found.depth


def _visit(
    make: Callable[[], World],
    trace: Trace,
    seen: set[int],
    queue: deque[tuple[Trace, list[str]]],
    found: Found,
) -> None:
    world = make()
    try:
        for step in trace:
            world.step(step)
        check_now(world)
        state = hash(world.state())
        if state in seen:
            return
        seen.add(state)
        found.states += 1
        if found.states % 500 == 0:
            gc.collect()
        queue.append((trace, world.steps()))
        check_quiet(world)
        check_end(world)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was searched for
        found.trace, found.why = trace, explain(error)
    finally:
        world.close()


def explain(error: Exception) -> str:
    if isinstance(error, Broken):
        return str(error)
    return "".join(traceback.format_exception(error))


def replay(make: Callable[[], World], trace: Trace, say: Callable[[str], Any]) -> None:
    """Run one trace, and tell what happens in each step; raises what is wrong."""
    world = make()
    try:
        for step in trace:
            before = {name: len(party.log) for name, party in world.parties.items()}
            world.step(step)
            say(f"{step:<8} {world.kit.time:8.3f} s")
            for name, party in world.parties.items():
                for what, value in party.log[before.get(name, 0) :]:
                    say(f"{'':<8} {name}: {what} {'' if value is None else value}")
            check_now(world)
        say(f"then possible: {', '.join(world.steps())}")
        try:
            check_quiet(world)
            check_end(world)
        finally:
            say("after quiet:")
            for name, party in world.parties.items():
                say(f"  {name}: {party.log}")
    finally:
        world.close()
