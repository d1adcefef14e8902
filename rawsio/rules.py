"""The rules of ``rfc_notes/``, as the program itself can look them up.

Every error, every verdict of the conformance checker and every explained field names its rule by an
id such as ``6455-5.1-mask``.  :func:`find` gives the rule in our words, its level, its section of
the document, the code that keeps it and the test that shows it.  The table ``rules.tsv`` is made of
the tables of ``rfc_notes/`` by ``python -m tests.architecture.list_rules``.
"""

from __future__ import annotations

from .layer import record
from .resources import read_resource

__all__ = ["Rule", "find", "all_rules", "documents", "told"]


@record
class Rule:
    """One rule.

    ``level`` is MUST, MUST NOT, SHOULD, SHOULD NOT or MAY; ``who`` client, server or both;
    ``section`` the number and title of the section, empty for documents without numbers; ``code``
    and ``tests`` name places in ``rawsio`` and ``tests/``; ``status`` is done, caller (left to the
    program that uses rawsio), n/a, or why it is not done.
    """

    id: str
    level: str
    text: str
    who: str
    section: str
    code: str
    tests: str
    status: str

    @property
    def document(self) -> str:
        """The name of the document.

        >>> find("6455-5.1-mask").document
        'RFC 6455, The WebSocket Protocol'
        """
        return next(name for key, name in documents().items() if self.id.startswith(key + "-"))


_documents: dict[str, str] = {}
_rules: dict[str, Rule] = {}


def documents() -> dict[str, str]:
    """Return the name of each document by what its rules begin with.

    >>> documents()["9112"]
    'RFC 9112, HTTP/1.1'
    """
    all_rules()
    return _documents


def all_rules() -> dict[str, Rule]:
    """Return every rule by its id, in the order of the documents."""
    if not _rules:
        for line in read_resource(__spec__, "rules.tsv").decode().split("\n"):
            cells = line.split("\t")
            if len(cells) == 2:
                _documents[cells[0]] = cells[1]
            elif line:
                _rules[cells[0]] = Rule(*cells)
    return _rules


def find(id: str) -> Rule:
    """Return a rule; raises ``KeyError`` for an id that is none.

    >>> find("6455-5.1-mask").section
    '5.1 Overview'
    """
    return all_rules()[id]


def told(rule: Rule) -> str:
    """Return all that is known of a rule, as lines.

    >>> print(told(find("6455-5.1-mask")).split("\\n")[2])
    from     RFC 6455, The WebSocket Protocol, section 5.1 Overview
    """
    section = f", section {rule.section}" if rule.section else ""
    who = "client and server" if rule.who == "both" else f"a {rule.who}"
    lines = [
        rule.id,
        f"rule     {who} {rule.level}: {rule.text}",
        f"from     {rule.document}{section}",
        f"status   {rule.status}",
    ]
    if rule.code:
        lines.append(f"code     {rule.code}")
    if rule.tests:
        lines.append(f"test     {rule.tests}")
    return "\n".join(lines)
