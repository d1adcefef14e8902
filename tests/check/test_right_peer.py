"""A right peer is not blamed: our own server, in memory, case by case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import rawsio
from rawsio import Server
from rawsio.check.case import FAILED, NON_STRICT, UNIMPLEMENTED, Case, Finding, fine, lax
from rawsio.check.catalogue import SERVER_FAMILIES, server_cases
from rawsio.check.probe import probe
from rawsio.check.runner import Options, Result, Runner, counts
from rawsio.check.talk import Talk
from rawsio.check.target import Target
from rawsio.testing import TestKit
from tests.architecture.rules import rules

from .mutants.run import run as run_mutant
from .mutants.table import MUTANTS
from .mutants.taps import Mutant, answers, takes
from .world import MemoryWorld, check, contract


def test_no_case_fails_on_our_own_server() -> None:
    sample = server_cases()[::7]
    results = check(contract(), sample)
    wrong = [f"{r.id}: {r.got} {r.note}" for r in results if r.verdict in ("FAILED", "ERROR")]
    assert not wrong, "\n".join(wrong)
    assert counts(results)["OK"] > len(sample) * 3 // 4


def _files(folder: Path) -> Server:
    (folder / "index.html").write_text("<h1>It runs</h1>", "utf-8")
    return Server(app=rawsio.folder(folder))


@pytest.mark.parametrize(
    "make",
    [
        lambda _folder: Server(),
        lambda _folder: Server(app=lambda request: request.path),
        lambda _folder: Server(transports=["polling"]),
        lambda _folder: Server(transports=["websocket"]),
        _files,
    ],
    ids=["nothing", "a function", "no WebSocket", "no polling", "files"],
)
def test_no_case_fails_on_a_server_that_knows_nothing_of_the_contract(
    make: Callable[[Path], Server], tmp_path: Path
) -> None:
    cases = [case for case in server_cases() if case.layer in ("http", "ws")]
    results = check(make(tmp_path), [*cases[::3], *server_cases()[::9]])
    wrong = [f"{r.id}: {r.got} {r.note}" for r in results if r.verdict in ("FAILED", "ERROR")]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("how", [Mutant("cut", cuts=True), Mutant("slow", lags=0.02)])
def test_a_right_peer_that_is_slow_or_cut_is_judged_as_before(how: Mutant) -> None:
    found = {r.id: r.verdict for r in run_mutant(how, server_cases()[::9])}
    assert {name: v for name, v in found.items() if v != right()[name]} == {}


@cache
def right() -> dict[str, str]:
    """Return the verdicts on a peer that is neither."""
    return {r.id: r.verdict for r in run_mutant(Mutant("none"), server_cases()[::9])}


def test_two_runs_with_the_same_seed_send_the_same() -> None:
    def run() -> list[tuple[str, str, list[bytes]]]:
        cases = [case for case in server_cases() if case.id.startswith(("http.version", "ws.pong"))]
        return [
            (r.id, r.verdict, [c.data for c in r.wire if c.way == ">"])
            for r in check(contract(), cases, seed=7)
        ]

    assert run() == run()


def test_every_id_stands_once() -> None:
    ids = [case.id for case in server_cases()]
    assert len(set(ids)) == len(ids)


def test_every_rule_of_a_case_stands_in_the_notes() -> None:
    known = {rule.id for rule in rules()} | {"features-1.8"}
    assert not {case.rule for case in server_cases()} - known


def test_every_family_has_the_ids_of_its_prefix() -> None:
    layers = {name.partition("_")[0] for name in SERVER_FAMILIES}
    assert {case.layer for case in server_cases()} == layers


def test_an_interrupt_keeps_what_ran() -> None:
    cases = [case for case in server_cases() if case.id.startswith("http.version.")]
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        world = MemoryWorld(kit)
        target = probe(world, Target("http://127.0.0.1"))
        runner = Runner(target, world, Options(jobs=1, fast=True))
        heard: list[str] = []

        def told(result: Result) -> None:
            heard.append(result.id)
            if len(heard) == 3:
                raise KeyboardInterrupt

        results = runner.run(cases, told)
    assert [result.id for result in results] == heard
    assert runner.stopped


_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
_BOTH = rb"(?s)\APOST.*chunked"


@pytest.mark.parametrize(
    ("case_id", "peer", "verdict"),
    [
        ("http.line.two-spaces", Mutant("blanks are blanks", asks=takes(rb"\A\S+  ")), NON_STRICT),
        ("http.version.2.0", Mutant("any version", asks=takes(rb"HTTP/2")), NON_STRICT),
        ("http.field.fold-space", Mutant("folds are blanks", asks=takes(rb"\r\n ")), NON_STRICT),
        ("http.field.value-nul", Mutant("so is NUL", asks=takes(rb"\0")), NON_STRICT),
        ("http.coding.cl-first", Mutant("then closes", asks=answers(_BOTH, _CLOSED)), NON_STRICT),
        ("http.coding.cl-first", Mutant("then goes on", asks=takes(_BOTH)), FAILED),
        ("http.field.space-colon", Mutant("any colon", asks=takes(rb"X :")), FAILED),
        ("http.host.userinfo", Mutant("any host", asks=takes(rb"u@h")), FAILED),
    ],
    ids=lambda value: getattr(value, "how", None),
)
def test_only_what_a_rule_forbids_is_failed(case_id: str, peer: Mutant, verdict: str) -> None:
    cases = [case for case in server_cases() if case.id == case_id]
    assert [result.verdict for result in run_mutant(peer, cases)] == [verdict]


def test_heartbeats_do_not_hold_up_a_verdict() -> None:
    cases = [case for case in server_cases() if case.id == "ws.length.126-for-5"]
    (lenient,) = MUTANTS["server"][cases[0].rule][:1]
    quick = replace(lenient, options={"ping_interval": 0.3, "ping_timeout": 0.4})
    (result,) = run_mutant(quick, cases)
    assert (result.verdict, result.seconds < 5.0) == (NON_STRICT, True), result.got


@pytest.mark.parametrize(("expect", "verdict"), [("REJ-S", NON_STRICT), ("REJ", FAILED)])
def test_a_cut_that_shows_what_is_tolerated_is_no_fault(expect: str, verdict: str) -> None:
    def judge(talk: Talk, _case: Case) -> Finding:
        return lax("accepted") if talk.cut == 0 else fine()

    case = Case("http.a.b", "rule", "SHOULD", expect, "", b"abc", judge)
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        runner = Runner(Target("http://127.0.0.1"), MemoryWorld(kit), Options(jobs=1))
        assert runner.one(case).verdict == verdict


def test_a_server_of_websockets_only_is_not_judged_as_one_of_http() -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(MemoryWorld(kit), Target("http://127.0.0.1"))
        target.control = {"GET": 426}
        cases = [case for case in server_cases() if case.id.startswith("http.host.")]
        results = Runner(target, MemoryWorld(kit), Options(jobs=1, fast=True)).run(cases)
    assert {result.verdict for result in results} == {UNIMPLEMENTED}


def test_answers_are_kept_without_their_bodies() -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(MemoryWorld(kit), Target("http://127.0.0.1"))
    assert target.seen
    assert not any(answer.body for answer in target.seen)
