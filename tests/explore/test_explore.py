"""Every order of the small scenarios holds, and the explorer finds what does not."""

from __future__ import annotations

import shutil
from functools import partial

import pytest

from .__main__ import main
from .scenarios import SCENARIOS, Scenario
from .search import explore
from .world import World


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_of_a_small_scenario_holds(name: str) -> None:
    if name == "tls" and shutil.which("openssl") is None:
        pytest.skip("the openssl command makes the certificate")
    scenario = SCENARIOS[name]
    found = explore(scenario.make, scenario.depth)
    assert found.trace is None, f"{', '.join(found.trace or ())}: {found.why}"
    assert (found.depth, found.complete) == (scenario.depth, True)
    assert found.states > 2 * scenario.depth  # steps were possible at all


def careless() -> World:
    """A client whose handler fails for what the server says before the client has asked."""
    world = World()
    socket = world.client(transports=["websocket"])
    there = world.there_of(socket)
    asked = world.party("client").log

    def answered(_number: int) -> None:
        if not any(what == "sent" for what, _ in asked):
            raise LookupError("not asked yet")

    socket.on("n", answered)
    world.begin(
        client=[partial(world.emit, socket)],
        server=[partial(world.emit, there), partial(world.emit, there)],
    )
    return world


def test_a_failure_is_found_with_a_shortest_trace() -> None:
    found = explore(careless, depth=4)
    assert found.trace == ("server",)  # the rest arrives in quiet
    assert "LookupError: not asked yet" in found.why


def test_a_trace_is_repeated_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SCENARIOS, "careless", Scenario("careless", careless, 1))
    assert main(["--only", "careless", "--depth", "3"]) == 1
    assert '--only careless --replay "server"' in capsys.readouterr().out
    assert main(["--only", "careless", "--replay", "server"]) == 1
    assert "LookupError" in capsys.readouterr().out
    assert main(["--only", "careless", "--replay", "client, server"]) == 0
    assert "client/: sent 1" in capsys.readouterr().out


def test_an_emit_that_vanishes_is_found() -> None:
    def forgetful() -> World:
        world = World()
        socket = world.client(transports=["websocket"])
        world.begin(client=[partial(world.emit, socket)])
        world.party("client").sent(socket.id, 99)  # what nobody has put on the wire
        return world

    found = explore(forgetful, depth=1)
    assert found.trace == ()
    assert "[99] got lost" in found.why


def test_a_world_is_the_same_in_each_run() -> None:
    scenario = SCENARIOS["upgrade-kick"]

    def run() -> tuple[object, list[str]]:
        world = scenario.make()
        try:
            for step in ("server", "client", "t", "server"):
                world.step(step)
            return world.state(), world.steps()
        finally:
            world.close()

    assert run() == run()
