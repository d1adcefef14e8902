"""The mistakes of ``tests/mistakes.py`` are mistakes of today's program."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import ROOT
from tests.mistakes import MISTAKES, PROPERTIES, Mistake


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_what_a_mistake_replaces_is_once_in_its_file_and_leaves_a_program(mistake: Mistake) -> None:
    text = (ROOT / mistake.path).read_text("utf-8")
    assert text.count(mistake.stands) == 1
    made = text.replace(mistake.stands, mistake.wrong)
    assert ast.dump(ast.parse(made)) != ast.dump(ast.parse(text))


def test_every_short_way_has_mistakes_and_the_tests_that_notice_them_exist() -> None:
    assert {mistake.way for mistake in MISTAKES} == {*PROPERTIES}
    assert len(MISTAKES) >= 10
    for tests in PROPERTIES.values():
        for test in tests:
            path, _, name = test.partition("::")
            functions = ast.parse((ROOT / path).read_text("utf-8")).body
            assert any(isinstance(f, ast.FunctionDef) and f.name == name for f in functions)
