"""Every case against our own server and client: ``python -m tests.check.full``.

Servers are cut behind every byte; what both say is late, and cut, in turn.  Two runs with the same
seed send the same.  Then every mutant.
Longer than the suite may take: a section of ``.ci/full``.
"""

from __future__ import annotations

import logging
import re

from rawsio.check.catalogue import client_cases, server_cases
from rawsio.check.runner import Result, counts

from .mutants.__main__ import main as mutants
from .mutants.run import run
from .mutants.taps import Mutant
from .world import check, check_client, contract

__all__ = ["main"]

_TOO_SLOW = {"sio.room.hundred": "a hundred clients, each 20 ms late, miss heartbeats of 0.5 s"}

_HARMLESS = (Mutant("cut behind every byte", cuts=True), Mutant("20 ms late", lags=0.02))


def _changed(role: str) -> list[str]:
    """Return the cases whose verdict changes when the right peer is slow or cut."""
    cases = server_cases() if role == "server" else client_cases()
    right = {result.id: result.verdict for result in run(Mutant("none"), cases, role)}
    lines = []
    for how in _HARMLESS:
        found = run(how, cases, role)
        changed = [
            result
            for result in found
            if result.verdict != right[result.id] and not (how.lags and result.id in _TOO_SLOW)
        ]
        print(f"{role}, {how.how}: {len(found)} cases, {len(changed)} changed", flush=True)
        lines += [f"{how.how}: {r.id} {right[r.id]} -> {r.verdict}: {r.got}" for r in changed]
    return lines


_GIVEN = re.compile(rb'(?<=sid=)[\w-]+|(?<="pid":")[\w-]+|(?<="offset":")[\w-]+')
"""What the server gave to the tester, in what the tester sends: ids, at random."""


def _sent(results: list[Result]) -> dict[str, tuple[str, list[bytes]]]:
    found = {}
    for result in results:
        sent = [_GIVEN.sub(b"", c.data) for c in result.wire if c.way == ">"]
        if result.id.startswith("sio.recovery."):  # what was given is masked there
            sent = [b"%d" % len(data) for data in sent]
        found[result.id] = result.verdict, sent
    return found


def _not_repeated() -> list[str]:
    """Return the cases that do not send the same, or end the same, in two runs with one seed."""
    lines = []
    for name, one, two in (
        ("server", *(_sent(check(contract(), server_cases(), seed=7)) for _ in range(2))),
        ("client", *(_sent(check_client(client_cases(), fast=True, seed=7)) for _ in range(2))),
    ):
        print(f"{name}, twice with one seed: {len(one)} cases, {list(one) == list(two)}")
        lines += [f"not the same twice: {case}" for case in one if one[case] != two.get(case)]
    return lines


def main() -> int:
    """Return 1 if a right peer is blamed, or a case has no mutant that fails it."""
    # Thousands of refusals, on purpose: with a handler, lines go to the logger, and no further.
    logging.getLogger("rawsio").addHandler(logging.NullHandler())
    wrong: list[Result] = []
    loaded = [case for case in server_cases() if "limit" not in case.marks]
    for name, results in (
        ("server, every cut", check(contract(), loaded, fast=False)),
        ("server, with time", check(contract(), loaded, slow=True)),
        ("client, with time", check_client(client_cases(), slow=True)),
    ):
        print(f"{name}: {len(results)} cases, {counts(results)}", flush=True)
        wrong += [r for r in results if r.verdict in ("FAILED", "ERROR")]
    lines = [f"{r.verdict} {r.id}: {r.got}; {r.note}" for r in wrong]
    lines += [line for role in ("server", "client") for line in _changed(role)]
    lines += _not_repeated()
    print("\n".join(lines))
    return mutants([]) or bool(lines)


if __name__ == "__main__":
    raise SystemExit(main())
