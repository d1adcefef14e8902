"""Runs a server and its clients through every order of steps, up to a depth.

A step is a delivery at one end of one wire (all that waits there, or half of it), a break of all
wires, a jump to the next timer, or a call that the scenario makes.  A world is made anew for each
trace and led through it; worlds with the same fingerprint are looked at once.  Behind each trace
the network is set free, two minutes go by, and the invariants are judged:

- nothing raises: no error in the log;
- what was emitted arrives at most once and in order, and without a gap while the connection lasted;
- every reply is over;
- both sides agree on who is connected, and the server keeps no other session;
- once everybody is closed no session and no socket is left.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rawsio.net.memory import CAPACITY
from rawsio.testing import TestKit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rawsio import Server

__all__ = ["Found", "World", "explore", "replay"]

QUIET = 120.0
"""Virtual seconds after which everything must have settled: heartbeats find every dead peer."""


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).strip().rsplit("\n", 1)[-1])


class World:
    """A kit whose network stands still, and what happened in it.

    A scenario connects, names its ``calls`` (each is made once, those of one tuple in their order),
    and notes in ``sent`` and ``got``, by stream, what was emitted and what arrived.  A stream that
    need not be complete, because its sender learned of an end, is in ``ended``.
    """

    def __init__(self, io: Server) -> None:
        self.io = io
        self.kit = TestKit(io)
        self.free = True
        self.ends: list[Any] = []
        self.calls: list[tuple[tuple[str, Callable[[], object]], ...]] = []
        self.sent: dict[str, list[Any]] = {}
        self.got: dict[str, list[Any]] = {}
        self.ended: set[str] = set()
        self.notes: list[str] = []
        self.wrong: list[str] = []
        self.disturbed = self.jumped = False
        self.replies: list[Any] = []
        self.sockets: list[Any] = []
        self.breaks = self.jumps = self.halves = 0
        self._pair = self.kit.board.pair
        self.kit.board.pair = self._made  # type: ignore[method-assign]

    def _made(self) -> Any:
        ends = self._pair()
        for end in ends:
            _portion(end)
            end.stalled = not self.free
            self.ends.append(end)
        return ends

    def freeze(self) -> None:
        """From now on bytes arrive when a step says so."""
        self.free = False
        for end in self.ends:
            end.stalled = True

    def _waiting(self, end: Any) -> bool:
        end.stalled = False
        waiting = end.readable and not end.closed
        end.stalled = True
        return waiting

    def steps(self) -> list[str]:
        """Return the names of what can happen next."""
        found = []
        for number, end in enumerate(self.ends):
            if self._waiting(end):
                found.append(f"deliver {number}")
                if self.halves and CAPACITY - end.peer.room > 1:
                    found.append(f"half {number}")
        found += [chain[0][0] for chain in self.calls if chain]
        if self.breaks:
            found.append("break")
        if self.jumps and self.kit.loop.next_deadline() is not None:
            found.append("jump")
        return found

    def take(self, step: str) -> None:
        """Let one step happen, and everything that follows at once at the same end."""
        kind, _, number = step.partition(" ")
        if kind in {"deliver", "half"} and number.isdigit():
            end = self.ends[int(number)]
            if kind == "half":
                self.halves -= 1
                end.budget = (CAPACITY - end.peer.room) // 2
            end.stalled = False
            self.kit.run()
            end.stalled, end.budget = True, None
        elif step == "break":
            self.breaks -= 1
            self.disturbed = True
            for end in self.ends:
                if not end.closed and not end.peer.closed:
                    end.reset()
        elif step == "jump":
            self.jumps -= 1
            self.disturbed |= self.jumped  # one jump is too short for a heartbeat to fail
            self.jumped = True
            due = self.kit.loop.next_deadline()
            assert due is not None
            self.kit.advance(max(0.0, due - self.kit.board.now))
        else:
            at = next(i for i, chain in enumerate(self.calls) if chain and chain[0][0] == step)
            call = self.calls[at][0][1]
            self.calls[at] = self.calls[at][1:]
            call()
            self.kit.run()

    def fingerprint(self) -> object:
        """Return what tells worlds apart: lengths on the wires, states, timers, what happened."""
        due = self.kit.loop.next_deadline()
        return (
            tuple((e.closed, CAPACITY - e.peer.room, self._waiting(e)) for e in self.ends),
            tuple((s.connected, str(s.client.state), s.client.transport) for s in self.sockets),
            repr((self.got, self.sent, sorted(self.ended), self.notes, self.io.stats())),
            tuple(reply.done() for reply in self.replies),
            None if due is None else round(due - self.kit.board.now, 3),
            (
                self.breaks,
                self.jumps,
                self.halves,
                tuple(len(chain) for chain in self.calls),
            ),
        )

    def settle(self) -> list[str]:
        """Set the network free, let time pass, and return which invariants do not hold."""
        self.free = True
        for end in self.ends:
            end.stalled = False
        self.kit.advance(QUIET)
        wrong = list(self.wrong)
        for stream, sent in self.sent.items():
            got = self.got.get(stream, [])
            rest = iter(sent)
            if not all(item in rest for item in got):
                wrong.append(f"{stream}: sent {sent}, got {got}: twice or out of order")
            elif got != sent and stream not in self.ended:
                wrong.append(f"{stream}: sent {sent}, got {got}, and nobody was told of an end")
        wrong += [f"reply {i} waits" for i, r in enumerate(self.replies) if not r.done()]
        here = {s.id for s in self.sockets if s.connected}
        there = {i for space in {s.namespace for s in self.sockets} for i in self._there(space)}
        if here != there:
            wrong.append(f"the clients are connected as {here}, for the server they are {there}")
        clients = {id(s.client): s.client for s in self.sockets if s.client.connected}
        wrong += self._left("sessions", len(clients))
        return wrong

    def _there(self, namespace: Any) -> list[str]:
        return list(self.io.of(getattr(namespace, "name", namespace)).sockets)

    def _left(self, name: str, expected: int) -> list[str]:
        count = self.io.stats()[name]
        return [] if count == expected else [f"{count} {name} are left, not {expected}"]

    def close(self) -> list[str]:
        """End everything; return what is left over."""
        for client in self.kit.clients:
            client.close(0.0)
        self.kit.advance(QUIET)
        wrong = self._left("sessions", 0) + self._left("sockets", 0)
        self.kit.close()
        return [f"after the end: {line}" for line in wrong]


def _portion(end: Any) -> None:
    recv = end.recv
    end.budget = None

    def portioned(size: int) -> bytes:
        if end.budget is None:
            return recv(size)  # type: ignore[no-any-return]
        data = recv(min(size, end.budget))
        end.budget -= len(data)
        end.stalled = end.budget <= 0
        return data  # type: ignore[no-any-return]

    end.recv = portioned


class Found(NamedTuple):
    """What an exploration saw: how many worlds, whether it ended, and the faults by trace."""

    states: int
    exhausted: bool
    faults: dict[tuple[str, ...], list[str]]


def replay(scenario: Callable[[], World], trace: tuple[str, ...]) -> tuple[World, list[str]]:
    """Return a world led through a trace, and what raised on the way."""
    world = scenario()
    for step in trace:
        try:
            world.take(step)
        except Exception as error:  # noqa: BLE001 - that nothing raises is what is judged
            return world, [f"{step}: {error!r}"]
    return world, []


def explore(
    scenario: Callable[[], World],
    depth: int,
    *,
    seconds: float = float("inf"),
    faults: int = 3,
) -> Found:
    """Try every trace of a scenario up to ``depth`` steps, the short ones first.

    The first fault has the shortest trace; the search ends after ``faults`` of them, or when
    ``seconds`` are used up (then ``exhausted`` is false).
    """
    errors = _Errors()
    logger = logging.getLogger("rawsio")
    logger.addHandler(errors)
    end = time.monotonic() + seconds
    seen: set[object] = set()
    found: dict[tuple[str, ...], list[str]] = {}
    traces: list[tuple[str, ...]] = [()]
    try:
        for trace in traces:  # it grows while it is walked: breadth first
            if time.monotonic() > end or len(found) >= faults:
                return Found(len(seen), False, found)
            errors.lines.clear()
            world, wrong = replay(scenario, trace)
            print_ = world.fingerprint()
            if print_ not in seen:
                seen.add(print_)
                if len(trace) < depth and not wrong:
                    traces += [(*trace, step) for step in world.steps()]
                wrong += world.settle()
            wrong += world.close() + errors.lines
            if wrong:
                found[trace] = wrong
    finally:
        logger.removeHandler(errors)
    return Found(len(seen), True, found)
