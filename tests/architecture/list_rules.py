"""Write ``rawsio/rules.tsv`` anew, from the tables of ``rfc_notes/``.

``python -m tests.architecture.list_rules``
"""

from __future__ import annotations

import re

from .rules import DOCUMENTS, NOTES, Rule, rules
from .source import ROOT

__all__ = ["TABLE", "names_of_documents", "sections", "written"]

TABLE = ROOT / "rawsio" / "rules.tsv"


def sections() -> dict[tuple[str, str], str]:
    """Return the titles of ``rfc_notes/sections.md`` by document and section."""
    found = {}
    for line in (NOTES / "sections.md").read_text("utf-8").split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[0] in DOCUMENTS:
            found[cells[0], cells[1]] = cells[2]
    return found


def names_of_documents() -> dict[str, str]:
    """Return the name of each document with rules, as ``rfc_notes/README.md`` has it."""
    found = re.findall(
        r"^\| `([\w-]+)\.md` \| (.*) \|$", (NOTES / "README.md").read_text("utf-8"), re.M
    )
    return {document: name for document, name in found if document in DOCUMENTS}


def _document(rule: Rule) -> str:
    return next(d for d in DOCUMENTS if rule.id.startswith(d + "-"))


def _section(rule: Rule, titles: dict[tuple[str, str], str]) -> str:
    document = _document(rule)
    number = rule.id.removeprefix(document + "-").partition("-")[0]
    if not document[0].isdecimal():
        return ""
    return f"{number} {titles[document, number]}"


def written() -> str:
    """Return the table as it should be: a line for each rule, cells separated by tabs."""
    titles = sections()
    lines = [
        "\t".join(
            (
                rule.id, rule.level, rule.text, rule.who, _section(rule, titles),
                ", ".join(rule.code), ", ".join(rule.tests), rule.status,
            )
        )
        for rule in sorted(rules(), key=lambda rule: DOCUMENTS.index(_document(rule)))
    ]  # fmt: skip
    names = [f"{document}\t{name}" for document, name in names_of_documents().items()]
    return "".join(line + "\n" for line in [*names, *lines])


if __name__ == "__main__":
    TABLE.write_text(written(), "utf-8")
