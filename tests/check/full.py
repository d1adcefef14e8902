"""Every case against our own server and client: ``python -m tests.check.full``.

Servers are cut behind every byte; what both say is late, and cut, in turn.  Then every mutant.
Longer than the suite may take: a section of ``.ci/full``.
"""

from __future__ import annotations

from rawsio.check.catalogue import client_cases, server_cases
from rawsio.check.runner import Result, counts

from .mutants.__main__ import main as mutants
from .mutants.run import run
from .mutants.taps import Mutant
from .world import check, check_client, contract

__all__ = ["main"]

_HARMLESS = (Mutant("cut behind every byte", cuts=True), Mutant("20 ms late", lags=0.02))


def _changed(role: str) -> list[str]:
    """Return the cases whose verdict changes when the right peer is slow or cut."""
    cases = server_cases() if role == "server" else client_cases()
    right = {result.id: result.verdict for result in run(Mutant("none"), cases, role)}
    lines = []
    for how in _HARMLESS:
        found = run(how, cases, role)
        changed = [result for result in found if result.verdict != right[result.id]]
        print(f"{role}, {how.how}: {len(found)} cases, {len(changed)} changed", flush=True)
        lines += [f"{how.how}: {r.id} {right[r.id]} -> {r.verdict}: {r.got}" for r in changed]
    return lines


def main() -> int:
    """Return 1 if a right peer is blamed, or a case has no mutant that fails it."""
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
    print("\n".join(lines))
    return mutants([]) or bool(lines)


if __name__ == "__main__":
    raise SystemExit(main())
