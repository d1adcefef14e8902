"""The rules that the program can look up are those of rfc_notes."""

from __future__ import annotations

import pytest

from rawsio.rules import all_rules, documents, find
from tests.architecture.list_rules import TABLE, sections, written
from tests.architecture.rules import DOCUMENTS, rules


def test_the_table_in_the_package_is_that_of_the_documents() -> None:
    again = "run: python -m tests.architecture.list_rules"
    assert TABLE.read_text("utf-8") == written(), again


def test_every_rule_is_found_by_its_id() -> None:
    assert set(all_rules()) == {rule.id for rule in rules()}
    rule = find("6455-5.1-mask")
    assert (rule.level, rule.who, rule.section) == ("MUST", "both", "5.1 Overview")
    assert "websocket" in rule.code
    assert rule.tests.endswith(".py")


def test_every_document_has_a_name_and_every_title_is_needed() -> None:
    assert {rule.document for rule in all_rules().values()} == set(documents().values())
    assert set(documents()) == set(DOCUMENTS)
    used = {(rule.id.partition("-")[0], rule.section.partition(" ")[0])
            for rule in all_rules().values() if rule.section}  # fmt: skip
    assert set(sections()) == used


def test_an_id_that_is_none_is_no_rule() -> None:
    with pytest.raises(KeyError):
        find("6455-9.9-nothing")
