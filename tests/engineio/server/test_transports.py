"""The candidate of an upgrade, and its timers."""

from __future__ import annotations

import pytest

from rawsio.engineio.server.transports import NOOP_INTERVAL, Candidate, Polling
from rawsio.engineio.states import ProbeState

from .links import RecordingLink


def test_polling_begins_with_nothing_in_work() -> None:
    polling = Polling("3")
    assert (polling.jsonp, polling.poll, polling.post, polling.grace) == ("3", None, None, None)


@pytest.mark.rule("engineio-v4-upgrade-noop")
def test_noops_begin_one_interval_after_the_probe_and_not_before() -> None:
    link = RecordingLink()
    candidate = Candidate(link, 10.0)
    assert candidate.deadline == 0.0
    assert not candidate.tick(100.0)
    assert candidate.deadline == 110.0
    assert candidate.receive("2probe") is ProbeState.PROBED
    assert link.packets == ["3probe"]
    assert candidate.deadline == 0.0
    assert not candidate.tick(101.0)
    assert candidate.deadline == 101.0 + NOOP_INTERVAL
    assert not candidate.tick(101.05)
    assert candidate.tick(101.1)
    assert candidate.deadline == pytest.approx(101.2)


def test_the_probe_of_a_candidate_times_out() -> None:
    candidate = Candidate(RecordingLink(), 10.0)
    candidate.tick(100.0)
    candidate.tick(110.0)
    assert candidate.probe.state is ProbeState.CLOSED
    assert candidate.deadline is None


def test_junk_on_a_candidate_closes_its_probe() -> None:
    link = RecordingLink()
    assert Candidate(link, 10.0).receive("4x") is ProbeState.CLOSED
    assert link.packets == []
