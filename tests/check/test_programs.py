"""The programs that the command prints: each keeps its word when it is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rawsio.__main__ import main
from rawsio.check import run
from tests.jobs import killed_at_last


def test_the_contract_that_is_printed_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--contract", "rawsio"]) == 0
    path = tmp_path / "contract.py"
    path.write_text(capsys.readouterr().out)
    with killed_at_last(
        [sys.executable, str(path), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, cwd=Path(__file__).parents[2], env={"PYTHONPATH": "."},
    ) as server:  # fmt: skip
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        results = run(url, ["sio.room.*", "sio.connect.refused", "sio.ack.call-me", "sio.v2.event"])
    assert {r.id: r.verdict for r in results if r.verdict != "OK"} == {}
    assert len(results) == 13
