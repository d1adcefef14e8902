"""A layer around a layer: it changes nothing, and misses nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closing, Role
from rawsio.log import Log
from rawsio.trace import Guarded, Traced
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message, Ping, Pong

Report = tuple[str, str, str, Any]


@pytest.fixture
def reports() -> list[Report]:
    return []


@pytest.fixture
def traced(reports: list[Report]) -> Traced:
    layer = WebSocketConnection(Role.CLIENT)
    return Traced(layer, "websocket", lambda *report: reports.append(report))


def test_units_and_events_are_reported_in_the_order_they_pass(
    traced: Traced, reports: list[Report]
) -> None:
    assert traced.receive(b"\x81\x02hi\x89\x00") == [Message("hi"), Ping(b"")]
    traced.send(Pong(b"x"))
    units = traced.data_to_send()
    assert reports == [
        ("websocket", "in", "unit", b"\x81\x02hi\x89\x00"),
        ("websocket", "in", "event", Message("hi")),
        ("websocket", "in", "event", Ping(b"")),
        ("websocket", "out", "event", Pong(b"x")),
        *(("websocket", "out", "unit", unit) for unit in units),
    ]


def test_an_event_that_the_layer_refused_is_not_reported(
    traced: Traced, reports: list[Report]
) -> None:
    traced.receive_eof()
    del reports[:]
    with pytest.raises(LocalProtocolError):
        traced.send(Message("too late"))
    assert reports == []


def test_the_contract_is_that_of_the_layer_inside(traced: Traced) -> None:
    assert traced.closing is Closing.OPEN
    assert traced.reading is traced.layer.reading
    assert traced.tick(1.0) == []
    assert traced.deadline == traced.layer.deadline
    assert traced.receive_eof()[0].code == 1006
    assert traced.closing is traced.layer.closing is not Closing.OPEN


def test_other_names_are_those_of_the_layer_inside(traced: Traced) -> None:
    assert traced.buffered == traced.layer.buffered  # type: ignore[attr-defined]


def test_a_trace_that_raises_is_logged_and_changes_nothing() -> None:
    lines: list[str] = []

    def broken(*_: Any) -> Any:
        raise ValueError("mine")

    hub = SimpleNamespace(connection=broken, session=lambda _sid: broken)
    guarded = Guarded(hub, Log(lambda: 0.0, lambda *line: lines.append(line[2])))
    for report in (guarded.connection(), guarded.session("sid")):
        report("http", "in", "unit", b"")
    assert lines == ["trace failed"] * 2
