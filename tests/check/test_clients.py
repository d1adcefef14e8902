"""The cases about clients: our own client is not blamed, and wrong ones are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rawsio.__main__ import main
from rawsio.check.catalogue import client_cases
from rawsio.check.runner import counts

from .world import MemoryCaller, check_client


def test_no_case_fails_on_our_own_client() -> None:
    sample = client_cases()[::4]
    results = check_client(sample, fast=True)
    wrong = [f"{r.id}: {r.got} {r.note}" for r in results if r.verdict in ("FAILED", "ERROR")]
    assert not wrong, "\n".join(wrong)
    assert counts(results)["OK"] > len(sample) * 3 // 4


def test_a_client_that_reacts_to_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoryCaller, "saw", lambda _self: [])
    wrong = [case for case in client_cases() if case.id.startswith("client.sio.b")]
    verdicts = {r.verdict for r in check_client(wrong, fast=True, patience=0.2)}
    assert "FAILED" in verdicts


def test_the_command_starts_a_client_for_each_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert main(["check", "--driver", "rawsio"]) == 0
    path = tmp_path / "driver.py"
    path.write_text(capsys.readouterr().out)
    status = main(["check", "--client", "--case", "client.sio.ack", "--case", "client.ws.rsv",
                   "--tap", "-", "--", sys.executable, str(path)])  # fmt: skip
    shown = capsys.readouterr().out
    assert (status, shown.count("\nok ")) == (0, 2)


def test_a_command_that_is_none_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "--client", "--", "no-such-command-here"]) == 2
    assert main(["check", "--client"]) == 2
    assert "no-such-command-here is no command" in capsys.readouterr().err


def test_the_list_names_the_cases_for_clients(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--client", "--list", "--case", "client.http.*"]) == 0
    assert capsys.readouterr().out.count("\n") == 30
