"""That the tester bites: each case has a wrong peer that fails it."""

from __future__ import annotations

from rawsio.check.catalogue import client_cases, server_cases
from tests.check import mutants


def test_every_case_is_failed_by_a_wrong_peer() -> None:
    left = mutants.survivors(server_cases()[::4])
    assert [case.id for case in left] == []


def test_the_list_of_cases_that_nobody_fails_is_needed() -> None:
    ids = {case.id for case in server_cases()}
    assert set(mutants.UNCAUGHT) <= ids


def test_a_deaf_client_fails_most_of_what_a_client_must_do() -> None:
    sample = client_cases()[::4]
    failed = [r for r in mutants.try_deaf_client(sample) if r.verdict == "FAILED"]
    assert len(failed) > len(sample) // 2
