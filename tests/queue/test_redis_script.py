"""The script does what the store asks for; what it does is tried on a real Redis."""

from __future__ import annotations

import re

from rawsio.queue.redis_script import PLAIN, SAVING, digest
from rawsio.queue.redis_store import _FORMS


def test_the_script_knows_every_operation_and_takes_as_many_words_as_it_is_given() -> None:
    known = dict(re.findall(r"function DO\.(\w+)\(\)\n(.*?)\nend\n", PLAIN, re.S))
    assert set(known) == {cls.__name__.lower() for cls in _FORMS}
    for name, body in known.items():
        (form,) = [form for cls, form in _FORMS.items() if cls.__name__.lower() == name]
        (cls,) = [cls for cls in _FORMS if cls.__name__.lower() == name]
        made = cls("jobs", *[(1,) if name == "purge" else 1] * _needed(cls))
        for text in ("group", "error", "key"):
            if hasattr(made, text):
                setattr(made, text, "text")
        assert body.count("take()") == len(form(made)) - 1, name


def _needed(cls: type) -> int:
    return {"Redrive": 1, "Bury": 3, "Delete": 3}.get(cls.__name__, 2)


def test_only_turns_without_new_messages_go_on_without_memory() -> None:
    assert "allow-oom" in SAVING
    assert "allow-oom" not in PLAIN
    assert digest(SAVING) != digest(PLAIN)
