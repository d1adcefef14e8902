"""The candidate of an upgrade, and its timers."""

from __future__ import annotations

import pytest

from rawsio.engineio.probe import ProbeState
from rawsio.engineio.server.candidate import NOOP_INTERVAL, Candidate
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.states import Stage

from .links import Bench, RecordingLink


def probing() -> tuple[Bench, Candidate, RecordingLink]:
    b = Bench(EngineOptions(upgrade_timeout=10.0))
    session = b.open()
    link = b.websocket(session.id)
    candidate = session.candidate
    assert candidate is not None
    return b, candidate, link


@pytest.mark.rule("engineio-v4-upgrade-noop")
def test_noops_begin_one_interval_after_the_probe_and_not_before() -> None:
    b, candidate, link = probing()
    poll = b.parked(candidate.session)
    assert candidate.deadline == b.now + 10.0
    candidate.receive_packet("2probe")
    assert candidate.probe.state is ProbeState.PROBED
    assert link.packets == ["3probe"]
    assert candidate.deadline == 0.0
    candidate.tick(b.now + 1.0)
    assert candidate.deadline == b.now + 1.0 + NOOP_INTERVAL
    candidate.tick(b.now + 1.05)
    assert poll.responses == []
    candidate.tick(b.now + 1.1)
    assert poll.answer() == (200, b"6")
    assert candidate.deadline == pytest.approx(b.now + 1.2)


def test_the_probe_of_a_candidate_times_out() -> None:
    b, candidate, link = probing()
    candidate.tick(b.now + 10.0)
    assert candidate.probe.state is ProbeState.CLOSED
    assert candidate.deadline is None
    assert candidate.session.candidate is None
    assert candidate.session.stage is Stage.STEADY
    assert link.closed == [(1005, "")]


def test_junk_on_a_candidate_ends_it() -> None:
    _b, candidate, link = probing()
    candidate.receive_packet("4x")
    assert candidate.probe.state is ProbeState.CLOSED
    assert link.packets == []
    assert link.closed == [(1005, "")]
    candidate.receive_packet("2probe")
    assert link.packets == []
