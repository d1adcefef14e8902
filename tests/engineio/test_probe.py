"""The probe of a candidate transport, on both sides."""

from __future__ import annotations

import pytest

from rawsio.engineio.packets import Probed, Upgraded
from rawsio.engineio.probe import Probe
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role


@pytest.mark.rule("engineio-v4-upgrade-probe")
def test_the_probe_goes_2probe_3probe_5() -> None:
    client, server = Probe(Role.CLIENT), Probe(Role.SERVER)
    assert client.data_to_send() == ["2probe"]
    assert server.receive("2probe") == [Probed()]
    assert server.data_to_send() == ["3probe"]
    assert client.receive("3probe") == [Probed()]
    client.send(Upgraded())
    assert client.data_to_send() == ["5"]
    assert server.receive("5") == [Upgraded()]
    assert (client.closing, server.closing) == (Closing.OPEN, Closing.OPEN)
    assert (client.deadline, server.deadline) == (None, None)
    assert server.receive("4x") == []


@pytest.mark.rule("engineio-v4-upgrade-probe")
@pytest.mark.parametrize("packet", ["2", "3probe", "5", "4x", "", "2probe ", b"2probe", "6"])
def test_anything_else_first_fails_the_probe(packet: str | bytes) -> None:
    probe = Probe(Role.SERVER)
    (failed,) = probe.receive(packet)
    assert isinstance(failed, Failed)
    assert failed.rule == "engineio-v4-upgrade-probe"
    assert probe.closing is Closing.NOW
    assert probe.receive("2probe") == []


@pytest.mark.parametrize("packet", ["2probe", "4x", b"5", "50"])
def test_a_probed_server_takes_the_upgrade_and_nothing_else(packet: str | bytes) -> None:
    probe = Probe(Role.SERVER)
    probe.receive("2probe")
    assert isinstance(probe.receive(packet)[0], Failed)


def test_a_probed_client_expects_silence() -> None:
    probe = Probe(Role.CLIENT)
    probe.receive("3probe")
    assert isinstance(probe.receive("3probe")[0], Failed)
    with pytest.raises(LocalProtocolError):
        probe.send(Upgraded())


@pytest.mark.rule("engineio-v4-upgrade-timeout")
@pytest.mark.parametrize("role", Role)
def test_a_probe_takes_no_longer_than_its_timeout(role: Role) -> None:
    probe = Probe(role, timeout=10.0)
    assert probe.deadline == 0.0
    assert probe.tick(5.0) == []
    assert probe.deadline == 15.0
    assert probe.tick(14.9) == []
    (failed,) = probe.tick(15.0)
    assert failed.rule == "engineio-v4-upgrade-timeout"
    assert probe.tick(16.0) == []


def test_a_candidate_that_goes_away_closes_the_probe_once() -> None:
    probe = Probe(Role.SERVER)
    assert probe.receive_eof() == [Closed(0, "transport close")]
    assert probe.receive_eof() == []
    assert probe.closing is Closing.NOW


def test_a_probe_can_be_given_up() -> None:
    probe = Probe(Role.CLIENT)
    probe.send(Closed(0, ""))
    assert probe.closing is Closing.NOW
    assert probe.receive("3probe") == []
