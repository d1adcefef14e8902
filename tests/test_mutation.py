"""The mutants that ``tests/mutation.py`` draws: each is a program, and another one than before."""

from __future__ import annotations

import ast

from tests.architecture.source import ROOT, modules
from tests.mutation import EQUIVALENT, Mutant, _shuffled, apply, mutants_of, steps_for

SMALL = {"uri", "http.grammar", "engineio.probe", "net.deadlines"}


def test_every_mutant_is_a_program_that_differs_in_one_place() -> None:
    for module in modules():
        if module.name not in SMALL:
            continue
        before = ast.dump(module.tree)
        made = mutants_of(module)
        assert len(made) > 10
        for mutant in made:
            assert ast.dump(ast.parse(apply(module.text, mutant))) != before, mutant


def test_the_tests_that_judge_a_module_exist() -> None:
    for module in modules():
        if not module.is_package:
            for step in steps_for(module.name):
                files = [path.partition("::")[0] for path in step]
                assert all((ROOT / path).exists() for path in files), (module.name, step)


def test_the_examples_of_a_module_judge_it_too() -> None:
    mirror, examples = steps_for("http.framing")[0]
    assert mirror == "tests/http/test_framing.py"
    assert examples.endswith("::test_the_examples_of_a_module_run[http.framing]")


def test_a_change_of_one_module_draws_no_other_mutants_in_the_rest() -> None:
    mutants = [Mutant("m", f"m{n}.py", 1, 0, 1, str(n), str(n + 1)) for n in range(100)]
    drawn = _shuffled(mutants, 1)
    assert drawn != mutants
    assert drawn != _shuffled(mutants, 2)
    more = [mutants[0], Mutant("m", "m.py", 5, 0, 1, "a", "b"), *mutants[1:]]
    assert [m for m in _shuffled(more, 1) if m.path != "m.py"] == drawn


def test_each_mutant_that_counts_as_equivalent_is_one_of_todays_program() -> None:
    made = {
        (mutant.path, module.text.split("\n")[mutant.line - 1].strip(), mutant.is_now)
        for module in modules()
        if any(str(module.path).endswith(path) for path, _, _ in EQUIVALENT)
        for mutant in mutants_of(module)
    }
    assert set(EQUIVALENT) <= made
