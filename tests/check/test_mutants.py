"""That the tester bites: each rule has a peer that breaks it, and is found out."""

from __future__ import annotations

import pytest

from tests.check.mutants.run import by_rule
from tests.check.mutants.table import MUTANTS, ROLES, SURVIVORS, everything


@pytest.mark.parametrize(("role", "every"), [("server", 15), ("client", 29)])
def test_a_sample_of_the_cases_is_failed_by_the_mutants_of_their_rules(
    role: str, every: int
) -> None:
    left = {
        case.id: row.missed.get(case.id)
        for _count, row in everything(role, every=every)
        for case in row.left
        if case.id not in SURVIVORS
    }
    assert left == {}


@pytest.mark.parametrize("role", ROLES)
def test_every_rule_has_a_mutant_and_every_mutant_a_rule(role: str) -> None:
    assert set(MUTANTS[role]) == set(by_rule(role))
    assert all(MUTANTS[role].values())


def test_survivors_are_cases() -> None:
    ids = {case.id for role in ROLES for cases in by_rule(role).values() for case in cases}
    assert set(SURVIVORS) <= ids
