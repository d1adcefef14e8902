"""The cases about clients: our own client is not blamed, and wrong ones are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import pytest

from rawsio.__main__ import main
from rawsio.check.callers import ClientGone, ProcessCaller
from rawsio.check.case import UNIMPLEMENTED, Case, Finding, fine
from rawsio.check.catalogue import client_cases
from rawsio.check.runner import MOST_AWAY, Options, Runner, counts
from rawsio.check.sockets import SocketWorld
from rawsio.check.talk import Talk
from rawsio.check.target import Target

from .mutants.run import run as run_mutant
from .mutants.taps import Mutant
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


@pytest.mark.parametrize("program", ["", "raise SystemExit(3)", "print('{}' * 100_000)"])
def test_a_client_that_never_connects_ends_the_run_with_status_2(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["check", "--client", "--fast", "--", sys.executable, "-c", program])
    assert status == 2
    assert "no client has said a word at the URL in RAWSIO_URL" in capsys.readouterr().err


def _await_call(caller: ProcessCaller) -> None:
    while caller.accept(0.01) is None:
        caller.saw()


def test_a_command_that_ends_without_a_connection_is_named_with_its_status() -> None:
    caller = ProcessCaller([sys.executable, "-c", "raise SystemExit(3)"])
    caller.start({})
    try:
        with pytest.raises(ClientGone, match=r"has ended \(status 3\) and has not connected"):
            _await_call(caller)
    finally:
        caller.stop()


class _Says:
    """A connection on which a byte has come."""

    def receive(self) -> bytes:
        return b"x"

    def close(self, *, reset: bool = False) -> None:
        """It is closed."""


class _Client:
    """A client that says something in the first case, if ever."""

    def stop(self) -> None:
        """It is over."""


@pytest.mark.parametrize(("comes", "results"), [(True, 20), (False, MOST_AWAY)])
def test_a_run_goes_on_without_a_client_only_if_it_came_once(*, comes: bool, results: int) -> None:
    def judge(talk: Talk, case: Case) -> Finding:
        if comes and case.id == "a.b.0":
            talk.adopt(cast("Any", _Says())).receive(0.0)
        return fine()

    cases = [Case(f"a.b.{n}", "rule", "MUST", "", "", judge, judge) for n in range(20)]
    caller = cast("Any", _Client())
    runner = Runner(
        Target("http://127.0.0.1"), SocketWorld({}), Options(jobs=1), None, lambda _case: caller
    )
    assert len(runner.run(cases)) == results


def test_the_list_names_the_cases_for_clients(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--client", "--list", "--case", "client.http.*"]) == 0
    assert capsys.readouterr().out.count("\n") == 30


def test_what_a_client_cannot_do_is_not_held_against_it() -> None:
    def unable(_item: dict[str, Any]) -> dict[str, Any]:
        return {"event": "unable", "what": "emit without a connection"}

    cases = [case for case in client_cases() if case.id == "client.sio.buffer-offline"]
    (result,) = run_mutant(Mutant("says so", tells=unable), cases, "client")
    assert (result.verdict, result.note) == (
        UNIMPLEMENTED,
        "the client cannot emit without a connection",
    )
