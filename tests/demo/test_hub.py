"""The records of the live view: whose they are, what is left out, and that all is bounded."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest

from rawsio.demo import hub as tracing
from rawsio.demo.hub import TraceHub
from rawsio.engineio.packets import Message
from rawsio.http.headers import EMPTY, Headers
from rawsio.http.messages import Body, EndOfMessage, Request, answer
from rawsio.socketio.packets import Event
from rawsio.stack import prepare


class Looker:
    """A socket on ``/trace``, as far as the hub uses one."""

    def __init__(self, hub: TraceHub, sid: str) -> None:
        self.conn = self
        self.id = sid
        self.buffered_amount = 0
        self.batches: list[list[dict[str, Any]]] = []
        hub.subscribe(self)

    def emit(self, name: str, records: list[dict[str, Any]]) -> None:
        assert name == "trace"
        self.batches.append(records)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [record for batch in self.batches for record in batch]

    @property
    def units(self) -> list[bytes]:
        return [b64decode(record["data"]) for record in self.records if record["what"] == "unit"]


class Stage:
    """A hub, its virtual clock, and what it wants to be called later."""

    def __init__(self) -> None:
        self.now = 10.0
        self.calls: list[Callable[[], None]] = []
        self.hub = TraceHub(lambda: self.now, self.calls.append)

    def later(self) -> None:
        while self.calls:
            self.calls.pop(0)()

    def exchange(self, report: Any, target: str, body: bytes) -> None:
        """One request and its answer, as the layers report them."""
        self.ask(report, target)
        response = answer(200, body)
        report("http", "out", "event", response)
        report("http", "out", "event", Body(body))
        report("http", "out", "event", EndOfMessage(EMPTY))
        report("http", "out", "unit", b"HTTP/1.1 200 OK\r\n\r\n")
        report("http", "out", "unit", body)

    def ask(self, report: Any, target: str) -> None:
        report("http", "in", "unit", f"GET {target} HTTP/1.1\r\n\r\n".encode())
        report("http", "in", "event", Request("GET", target, Headers()))
        report("http", "in", "event", EndOfMessage(EMPTY))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_session_sees_its_own_records_and_nobody_elses(stage: Stage) -> None:
    mine, other = Looker(stage.hub, "mine"), Looker(stage.hub, "other")
    report = stage.hub.session("mine")
    stage.now += 1.5
    report("engineio", "in", "unit", '42["hi"]')
    report("engineio", "in", "event", Message('2["hi"]'))
    assert mine.records == []
    stage.later()
    assert other.records == []
    unit, event = mine.records
    assert unit == {
        **{"n": 1, "t": 1.5, "dir": "in", "layer": "engineio", "what": "unit", "text": None},
        **{"data": "NDJbImhpIl0=", "size": 8, "cut": False, "binary": False, "dropped": 0},
    }
    assert (event["n"], event["text"]) == (2, "Message(data='2[\"hi\"]')")


def test_what_came_before_the_page_looked_is_kept_for_it(stage: Stage) -> None:
    stage.exchange(stage.hub.connection(), "/socket.io/?EIO=4", b'0{"sid":"abc","upgrades":[]}')
    stage.later()
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert looker.units[-1] == b'0{"sid":"abc","upgrades":[]}'
    assert looker.records[0]["data"]


def test_exchanges_of_no_session_are_forgotten(stage: Stage) -> None:
    report = stage.hub.connection()
    stage.exchange(report, "/chat.css", b"body {}")
    stage.exchange(report, "/socket.io/?EIO=4&sid=abc", b"2")
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert [unit[:20] for unit in looker.units] == [
        b"GET /socket.io/?EIO=",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"2",
    ]


def test_a_websocket_belongs_to_the_session_that_its_request_names(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.hub.connection()
    stage.ask(report, "/socket.io/?EIO=4&transport=websocket&sid=abc")
    report("http", "out", "unit", b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    report("websocket", "in", "unit", b"\x81\x80\0\0\0\0")
    stage.later()
    assert [unit[:5] for unit in looker.units] == [b"GET /", b"HTTP/", b"\x81\x80\0\0\0"]


def test_a_websocket_that_opens_a_session_belongs_to_it(stage: Stage) -> None:
    report = stage.hub.connection()
    stage.ask(report, "/socket.io/?EIO=4&transport=websocket")
    report("http", "out", "unit", b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    report("websocket", "out", "unit", b'\x81\x0d0{"sid":"abc"}')
    report("websocket", "out", "unit", b"\x81\x012")
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert looker.units[-1] == b"\x81\x012"


def test_the_stream_itself_is_left_out_on_every_layer(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    session, connection = stage.hub.session("abc"), stage.hub.connection()
    packet = prepare(Event("/trace", ["trace", [{"n": 1}]]))
    session("socketio", "out", "event", packet)
    session("socketio", "out", "unit", packet)
    session("engineio", "out", "event", Message(packet.messages[0]))
    session("engineio", "out", "unit", packet)
    session("engineio", "out", "unit", packet.packets()[0])
    connection("websocket", "in", "event", Message("40/trace"))
    connection("websocket", "out", "unit", packet.frame)
    long = prepare(Event("/trace", ["trace", "x" * 200]))
    connection("websocket", "out", "unit", long.frame)
    target = "/socket.io/?EIO=4&sid=abc"
    stage.exchange(connection, target, (packet.payload + "\x1e" + packet.payload).encode())
    stage.later()
    assert looker.records == []


def test_a_polling_body_with_other_packets_is_shown_without_the_stream(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    own = b"42/trace,[" + b"x" * 100
    body = own + b"\x1e42[1]"
    stage.exchange(stage.hub.connection(), "/socket.io/?EIO=4&sid=abc", body)
    stage.later()
    assert looker.units[-1] == b"42/trace,\x1e42[1]"
    assert looker.records[-1]["elided"] == len(body) - len(looker.units[-1])


def test_a_prepared_packet_is_one_event_and_a_unit_for_each_message(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    packet = prepare(Event("/", ["file", b"\1\2"]))
    report = stage.hub.session("abc")
    report("socketio", "out", "event", packet)
    report("socketio", "out", "unit", packet)
    report("engineio", "out", "unit", packet)
    stage.later()
    assert looker.records[0]["text"] == repr(packet.event)
    assert looker.units[1] == looker.units[3] == b"\1\2"
    assert looker.units[2] == b"4" + looker.units[0]
    assert [record["binary"] for record in looker.records] == [False, False, True, False, True]


def test_long_units_and_events_are_cut(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.hub.session("abc")
    report("socketio", "in", "unit", "é" * 5000)
    report("socketio", "in", "event", Event("/", ["x" * 5000]))
    stage.later()
    unit, event = looker.records
    assert (len(b64decode(unit["data"])), unit["size"], unit["cut"]) == (4096, 10_000, True)
    assert (len(event["text"]), event["cut"]) == (4096, True)


def test_what_waits_is_bounded_and_the_page_learns_what_it_missed(stage: Stage) -> None:
    report = stage.hub.session("abc")
    for _ in range(tracing.KEPT + 7):
        report("engineio", "in", "unit", "2")
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert len(looker.records) == tracing.KEPT
    assert (looker.records[0]["n"], looker.records[0]["dropped"]) == (8, 7)
    assert max(len(batch) for batch in looker.batches) == tracing.BATCH


def test_what_waits_is_bounded_in_bytes_too(stage: Stage) -> None:
    connection = stage.hub.connection()
    stage.ask(connection, "/socket.io/?EIO=4&transport=polling&sid=abc")
    for _ in range(200):
        connection("http", "in", "unit", b"x" * 100_000)
    assert 0 < connection.__self__._held.size <= tracing.KEPT_BYTES
    for _ in range(200):
        stage.hub.session("abc")("engineio", "in", "unit", "4" * 100_000)
    looker = Looker(stage.hub, "abc")
    stage.later()
    shown = [len(record["data"]) for record in looker.records]
    assert 0 < sum(shown) <= tracing.KEPT_BYTES
    assert looker.records[0]["dropped"] == 200 - len(shown)


def test_a_slow_page_gets_no_records_until_it_has_taken_what_waits(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.hub.session("abc")
    looker.buffered_amount = tracing.UNSENT + 1
    report("engineio", "in", "unit", "2")
    stage.later()
    assert looker.records == []
    looker.buffered_amount = 0
    report("engineio", "in", "unit", "2")
    stage.later()
    assert looker.records[0]["dropped"] == 1


def test_sessions_are_bounded_and_those_that_somebody_looks_at_stay(stage: Stage) -> None:
    looker = Looker(stage.hub, "first")
    for number in range(tracing.SESSIONS + 10):
        stage.hub.session(f"s{number}")("engineio", "in", "unit", "2")
    stage.hub.session("first")("engineio", "in", "unit", "2")
    stage.later()
    assert len(looker.records) == 1
    late = Looker(stage.hub, "s0")
    stage.later()
    assert late.records == []


def test_a_page_that_looks_no_longer_gets_nothing(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    stage.hub.unsubscribe(looker)
    stage.hub.unsubscribe(looker)
    stage.hub.session("abc")("engineio", "in", "unit", "2")
    stage.later()
    assert looker.records == []
