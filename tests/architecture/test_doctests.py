"""The examples in docstrings, in the README and in rfc_notes run."""

from __future__ import annotations

import doctest
import importlib

import pytest

from .source import ROOT, Module, modules

DOCUMENTS = [
    "README.md",
    *sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "rfc_notes").rglob("*.md")),
]


def _run(test: doctest.DocTest) -> list[str]:
    output: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.REPORT_NDIFF)
    runner.run(test, out=output.append, clear_globs=False)
    return output


@pytest.mark.parametrize(
    "module",
    [m for m in modules() if m.name != "__main__" and ">>>" in m.text],
    ids=lambda m: m.name or "rawsio",
)
def test_the_examples_of_a_module_run(module: Module) -> None:
    loaded = importlib.import_module(".".join(filter(None, ["rawsio", module.name])))
    output: list[str] = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(loaded):
        output += _run(test)
    assert not output, "".join(output)


def examples(text: str, name: str) -> doctest.DocTest:
    """Return the examples of a Markdown file as one test: a fence ends what is expected."""
    lines = ["" if line.lstrip().startswith("```") else line for line in text.split("\n")]
    return doctest.DocTestParser().get_doctest("\n".join(lines), {}, name, name, 0)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_examples_of_a_document_run(name: str) -> None:
    output = _run(examples((ROOT / name).read_text("utf-8"), name))
    assert not output, "".join(output)


def test_a_fence_ends_the_output_that_is_expected() -> None:
    test = examples("```python\n>>> 1 + 1\n2\n```\ntext\n", "a")
    assert [example.want for example in test.examples] == ["2\n"]
    assert not _run(test)
    assert _run(examples("```\n>>> 1 + 1\n3\n```\n", "b"))
