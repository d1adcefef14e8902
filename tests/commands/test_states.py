"""`rawsio states`: the tables as the layers have them."""

from __future__ import annotations

import pytest

from rawsio.__main__ import main
from rawsio.commands.states import LAYERS, as_mermaid
from rawsio.layer import Role
from rawsio.websocket.states import RECEIVING, SENDING


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("options", [[], ["--mermaid"], ["--role", "client"]])
def test_every_layer_has_a_table(
    layer: str, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["states", layer, *options]) == 0
    assert "client" in capsys.readouterr().out


def test_every_step_of_the_tables_is_there() -> None:
    steps = list(LAYERS["websocket"]())
    wanted = sum(len(events) for table in (SENDING, RECEIVING) for rows in table.values()
                 for events in rows.values())  # fmt: skip
    assert len(steps) == len(set(steps)) == wanted
    assert (Role.CLIENT, "receives", "closing", "Closed", "ending") in steps


def test_a_diagram_has_a_line_for_each_step() -> None:
    steps = list(LAYERS["socketio"]())
    lines = as_mermaid(steps).split("\n")
    assert sum("-->" in line for line in lines) == len(steps)
