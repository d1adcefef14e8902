"""Every case against our own server and client: ``python -m tests.check.full``.

Servers are cut behind every byte.  Longer than the suite may take: a section of ``.ci/full``.
"""

from __future__ import annotations

from rawsio.check.catalogue import client_cases, server_cases
from rawsio.check.runner import Result, counts
from tests.check.mutants.__main__ import main as mutants

from .world import check, check_client, contract

__all__ = ["main"]


def main() -> int:
    """Return 1 if a right peer is blamed, or a case has no wrong peer that fails it."""
    wrong: list[Result] = []
    loaded = [case for case in server_cases() if "limit" not in case.marks]
    for name, results in (
        ("server, every cut", check(contract(), loaded, fast=False)),
        ("server, with time", check(contract(), loaded, slow=True)),
        ("client, with time", check_client(client_cases(), slow=True)),
    ):
        print(f"{name}: {len(results)} cases, {counts(results)}", flush=True)
        wrong += [r for r in results if r.verdict in ("FAILED", "ERROR")]
    for result in wrong:
        print(f"{result.verdict} {result.id}: {result.got}; {result.note}")
    return mutants([]) or bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
