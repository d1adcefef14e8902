"""``python -m tests.check.mutants [RULE ...]``: run every case against the mutants of its rule.

Prints how many cases each rule has and how many are caught, then those that no mutant fails: each
of them stands in ``SURVIVORS`` with its reason, or the exit status is 1.
"""

from __future__ import annotations

import sys

from tests.check.mutants.table import ROLES, SURVIVORS, everything

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Print the table; return 1 if a case survives that is not known to, or the other way."""
    surprises = 0
    for role in ROLES:
        totals = [0, 0]
        print(f"{role + ': rule':<40} mutants cases caught (FAILED) survive")
        for number, found in everything(role, arguments):
            failed = sum(verdict == "FAILED" for _how, verdict in found.caught.values())
            caught, left = len(found.caught), found.left
            totals = [totals[0] + len(found.cases), totals[1] + caught]
            print(
                f"{found.rule:<40} {number:>7} {len(found.cases):>5} {caught:>6} {failed:>8} "
                f"{len(left):>7}"
            )
            for case in left:
                reason = SURVIVORS.get(case.id)
                surprises += reason is None
                missed = f"NOT CAUGHT: {found.missed.get(case.id)}"
                print(f"    {case.id} ({case.expect}): {reason or missed}")
            for case_id in SURVIVORS.keys() & found.caught.keys():
                surprises += 1
                print(f"    {case_id}: caught, though it is listed as a survivor")
        print(f"{role}: {totals[0]} cases, {totals[1]} caught, {totals[0] - totals[1]} survive\n")
    return 1 if surprises else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
