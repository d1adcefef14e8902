"""`rawsio rules`."""

from __future__ import annotations

import json

import pytest

from rawsio.__main__ import main


def test_a_rule_is_told_with_its_section_code_and_test(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["rules", "6455-5.1-mask"]) == 0
    out = capsys.readouterr().out
    for part in ("MUST", "section 5.1 Overview", "websocket.frames:", "websocket/test_frames.py"):
        assert part in out


def test_the_beginning_of_an_id_lists_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "6455-5.2", "--json"]) == 0
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) > 3
    assert all(json.loads(line)["id"].startswith("6455-5.2") for line in lines)


def test_without_an_id_the_documents_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    assert "RFC 9112, HTTP/1.1" in capsys.readouterr().out


def test_an_id_that_is_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "1234-nothing"]) == 1
    assert "no rule is called '1234-nothing'" in capsys.readouterr().err
