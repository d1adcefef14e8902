"""The classes that users hold show what users use, and the document says what that is."""

from __future__ import annotations

import pytest

from .list_interface import CLASSES, DOCUMENT, names, written


def test_the_document_has_every_public_name_and_no_other() -> None:
    message = "run: python -m tests.architecture.list_interface"
    assert written() == DOCUMENT.read_text("utf-8"), message


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_public_name_has_a_meaning(cls: type) -> None:
    assert [name for name, text in names(cls).items() if not text] == []
