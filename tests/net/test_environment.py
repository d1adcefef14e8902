"""Variables of the environment."""

from __future__ import annotations

import pytest

from rawsio.net.environment import setting


def test_a_variable_that_is_empty_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAWSIO_TRACE", "")
    assert setting("RAWSIO_TRACE") is None
    monkeypatch.setenv("RAWSIO_TRACE", "a.jsonl")
    assert setting("RAWSIO_TRACE") == "a.jsonl"
