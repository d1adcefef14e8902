"""Runs cases against mutants, in memory, without real waiting."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rawsio import Server
from rawsio.check.case import FAILED, NON_STRICT, OK, Case
from rawsio.check.catalogue import client_cases, server_cases
from rawsio.check.probe import probe
from rawsio.check.runner import Options, Result, Runner
from rawsio.check.target import Target
from rawsio.testing import TestKit
from tests.check.world import MemoryCaller, MemoryTransport, MemoryWorld, contract, our_client

from .taps import Mutant, Mutated, Tap

__all__ = ["Row", "by_rule", "row", "run"]

_CUT = ("9112-2.2-octets",)
"""Rules that are about cuts: their cases are run in all of them, the others whole."""
_SOFT = (
    "ACC-S",
    "HREJ-S",
    "REJ-C",
    "REJ-S",
    "REJ501-S",
    "REJ505-S",
    "TWO-S",
    "SW-S",
    "HREJ426V-S",
    "DNEG-S",
    "CPASS-S",
    "CFAIL-S",
    "FAIL1002-S",
    "FAIL1007-S",
    "FAIL1009-S",
    "CLOSEn-S",
    "E400-S",
    "EBAD-S",
    "EEND-S",
    "FAIL1007-W",
    "ECHO-L",
    "ORIGIN",
    "E400END",
)
"""Expectations that call what breaks the rule NON-STRICT."""
_SOFT_IDS = ("client.sio.ack-cut", "client.sio.backoff-jitter")
"""Cases that do so: what they ask for is a habit of the reference."""


@cache
def _found() -> Target:
    """Return what the probes find at the right server."""
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        return probe(MemoryWorld(kit), Target("http://127.0.0.1"))


def by_rule(role: str) -> dict[str, list[Case]]:
    """Return the cases of a role (``server`` or ``client``) by their rule."""
    found: dict[str, list[Case]] = {}
    for case in server_cases() if role == "server" else client_cases():
        found.setdefault(case.rule, []).append(case)
    return found


def _whole(case: Case) -> Case:
    if case.rule in _CUT:
        return case
    marks = (*case.marks, "whole")
    return Case(
        case.id, case.rule, case.level, case.expect, case.text, case.send, case.judge, marks
    )


def run(mutant: Mutant, cases: Iterable[Case], role: str = "server") -> list[Result]:
    """Run cases against a mutant, each once and whole."""
    return (_servers if role == "server" else _clients)(mutant, [_whole(case) for case in cases])


def _servers(mutant: Mutant, cases: list[Case]) -> list[Result]:
    settings = Options(jobs=1, slow=True, patience=0.5)
    with TestKit(contract(**mutant.options), url="http://127.0.0.1") as kit:
        target = copy.copy(_found())
        target.seen, target.frames = [], []
        target.facts = {**target.facts, "clock": "virtual"}
        world = Mutated(mutant, MemoryWorld(kit))
        results = []
        for case in cases:
            world.shared.clear()
            results += Runner(target, world, settings).run([case])
        return results


class _Mutated(MemoryCaller):
    """Brings our own client, with a mutant on each of its connections."""

    mutant: Mutant
    shared: dict[str, Any]

    def accept(self, seconds: float) -> Any:
        storms = self.mutant.storms
        found = super().accept(0.0 if storms else seconds)
        if found is None and storms:
            found = MemoryTransport(self.kit, self.kit.board.pair()[0])
        if found is None:
            return None
        tap = Tap(self.mutant, found, MemoryWorld(self.kit))
        tap.shared = self.shared
        return tap

    def saw(self) -> list[dict[str, Any]]:
        changed = (self.mutant.tells(item) for item in super().saw())
        return [item for item in changed if item is not None]


def _clients(mutant: Mutant, cases: list[Case]) -> list[Result]:
    settings = Options(jobs=1, slow=True, patience=0.5)
    results = []

    def make(caller: MemoryCaller, options: dict[str, Any]) -> Any:
        return our_client(caller, {**options, **mutant.options})

    for case in cases:
        with TestKit(Server(), url="http://127.0.0.1") as kit:
            caller = _Mutated(kit, make)
            caller.mutant, caller.shared = mutant, {}
            target = Target("http://127.0.0.1")
            target.facts["nonces"] = set()
            runner = Runner(target, MemoryWorld(kit), settings, None, lambda _c, c=caller: c)
            results += runner.run([case])
    return results


@dataclass
class Row:
    """What became of the cases of one rule: by id, which mutant caught it, and with what."""

    rule: str
    cases: list[Case]
    caught: dict[str, tuple[str, str]] = field(default_factory=dict)
    missed: dict[str, str] = field(default_factory=dict)

    @property
    def left(self) -> list[Case]:
        """The cases that no mutant fails."""
        return [case for case in self.cases if case.id not in self.caught]


def row(
    rule: str, cases: list[Case], mutants: Iterable[Mutant], right: dict[str, str], role: str
) -> Row:
    """Run the cases of a rule against its mutants, until each is caught.

    A case is caught by FAILED; NON-STRICT will do where the expectation says so, and the right peer
    is OK (``right`` has its verdicts by id).
    """
    found = Row(rule, cases)
    for mutant in mutants:
        for result in run(mutant, found.left, role):
            soft = result.expect in _SOFT or result.id in _SOFT_IDS
            soft = soft and right.get(result.id) == OK
            if result.verdict == FAILED or (result.verdict == NON_STRICT and soft):
                found.caught[result.id] = (mutant.how, result.verdict)
            else:
                found.missed[result.id] = f"{result.verdict} {result.got} {result.note}"
    return found
