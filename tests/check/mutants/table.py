"""All mutants, and the cases that none can fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from . import clients, engineio, http, socketio, websocket
from .run import Row, by_rule, row, run
from .taps import Mutant

__all__ = ["MUTANTS", "ROLES", "SURVIVORS", "everything"]

ROLES = ("server", "client")
MUTANTS: dict[str, dict[str, list[Mutant]]] = {
    "server": {
        **http.MUTANTS,
        **websocket.MUTANTS,
        **engineio.MUTANTS,
        **socketio.MUTANTS,
    },
    "client": clients.MUTANTS,
}
"""Role -> rule -> the ways in which it is broken."""
SURVIVORS: dict[str, str] = {
    "ws.utf8.good-nul": "not judged in memory: no endpoint there echoes frames as they are",
}
"""Cases that no mutant can fail, and why."""


def everything(role: str, rules: Sequence[str] = (), every: int = 1) -> Iterator[tuple[int, Row]]:
    """Run the cases of a role, rule by rule; yield how many mutants a rule has, and its row.

    ``every`` takes one case in so many.
    """
    number = 0
    for rule, found in by_rule(role).items():
        cases = [case for at, case in enumerate(found, number) if at % every == 0]
        number += len(found)
        if not cases or (rules and not any(fnmatchcase(rule, glob) for glob in rules)):
            continue
        right = {r.id: r.verdict for r in run(Mutant("none"), cases, role)}
        mutants = MUTANTS[role].get(rule, [])
        yield len(mutants), row(rule, cases, mutants, right, role)
