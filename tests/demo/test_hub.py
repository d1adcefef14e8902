"""The live view: whose messages are, what is left out, and that all is bounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rawsio.demo import hub as hubs
from rawsio.demo.hub import TraceHub
from rawsio.layer import Closed
from rawsio.tracing.backlog import Backlog
from rawsio.websocket.frames import encode_frame

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket%b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n\r\n"
)
SWITCHING = b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
OPEN = b'0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}'


class Looker:
    """A socket on ``/trace``, as far as the hub uses one."""

    def __init__(self, hub: TraceHub, sid: str) -> None:
        self.conn = self
        self.id = sid
        self.buffered_amount = 0
        self.batches: list[list[dict[str, Any]]] = []
        hub.subscribe(self)

    def emit(self, name: str, rows: list[dict[str, Any]]) -> None:
        assert name == "rows"
        self.batches.append(rows)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch]

    @property
    def titles(self) -> list[str]:
        return [row["title"] for row in self.rows]


class Stage:
    """A hub, its virtual clock, and what it wants to be called later."""

    def __init__(self) -> None:
        self.now = 10.0
        self.calls: list[Callable[[], None]] = []
        self.hub = TraceHub(lambda: self.now, self.calls.append)

    def later(self) -> None:
        while self.calls:
            self.calls.pop(0)()

    def exchange(self, report: Any, target: str, body: bytes, posted: bytes = b"") -> None:
        """One request and its answer, as the layers report their bytes."""
        method = f"POST {target} HTTP/1.1\r\nContent-Length: {len(posted)}" if posted else (
            f"GET {target} HTTP/1.1"
        )  # fmt: skip
        report("http", "in", "unit", f"{method}\r\nHost: a\r\n\r\n".encode() + posted)
        report("http", "out", "unit", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        report("http", "out", "unit", body)

    def websocket(self, sid: bytes = b"&sid=abc") -> Any:
        """Return the reporter of a connection that has become a WebSocket."""
        report = self.hub.connection()
        report("http", "in", "unit", UPGRADE % sid)
        report("http", "out", "unit", SWITCHING)
        return report


def said(report: Any, *texts: str | bytes) -> None:
    for text in texts:
        data = text.encode() if isinstance(text, str) else text
        report("websocket", "out", "unit", encode_frame(1, data))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_session_sees_its_own_messages_and_nobody_elses(stage: Stage) -> None:
    mine, other = Looker(stage.hub, "abc"), Looker(stage.hub, "other")
    report = stage.websocket()
    stage.now += 1.5
    said(report, '42["hi",1]')
    assert mine.rows == []
    stage.later()
    assert other.rows == []
    assert mine.titles == ["upgrade to WebSocket", "answer to the upgrade to WebSocket", "hi"]
    assert (mine.rows[2]["n"], mine.rows[2]["time"]) == (3, 11.5)
    tree = stage.hub.opened(mine, 3)["tree"]
    assert bytes.fromhex(tree["data"]) == encode_frame(1, b'42["hi",1]')
    assert "error" in stage.hub.opened(other, 3)
    assert stage.hub.rule(mine, "6455-5.1-mask").startswith("6455-5.1-mask\n")


def test_what_came_before_the_page_looked_is_kept_for_it(stage: Stage) -> None:
    stage.exchange(stage.hub.connection(), "/socket.io/?EIO=4&transport=polling", OPEN)
    stage.later()
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert looker.titles == ["handshake", "answer to the handshake", "open"]


def test_exchanges_of_no_session_are_forgotten(stage: Stage) -> None:
    report = stage.hub.connection()
    stage.exchange(report, "/chat.css", b"body {}")
    stage.exchange(report, "/socket.io/?EIO=4&transport=polling&sid=abc", b'42["a"]')
    stage.exchange(report, "/view.css", b"body {}")
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert looker.titles == ["poll", "answer to the poll", "a"]


def test_a_poll_is_shown_once_its_answer_is_there(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.hub.connection()
    target = "/socket.io/?EIO=4&transport=polling&sid=abc"
    ask = f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    stage.exchange(report, target, b'42/trace,["rows",[]]')
    report("http", "in", "unit", ask)  # at once, before the exchange before it was looked at
    stage.later()
    assert looker.rows == []
    report("http", "out", "unit", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")
    stage.later()
    assert looker.titles == ["poll", "answer to the poll", "ping"]


def test_a_websocket_that_opens_a_session_belongs_to_it(stage: Stage) -> None:
    report = stage.websocket(b"")
    stage.later()
    said(report, OPEN, "2")
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert looker.titles[0] == "handshake over WebSocket"
    assert looker.titles[-2:] == ["open", "ping"]


def test_the_stream_itself_is_left_out(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.websocket()
    stage.later()
    looker.batches.clear()
    said(report, '42/trace,["rows",[{"n":1}]]', "40/trace,", '43/trace,7["x"]', "41/trace,")
    target = "/socket.io/?EIO=4&transport=polling&sid=abc"
    stage.exchange(stage.hub.connection(), target, b'42/trace,["rows"]\x1e42/trace,["rows"]')
    stage.exchange(stage.hub.connection(), target, b"ok", b'42/trace,5["open",7]')
    stage.later()
    assert looker.rows == []
    # A name that only looks like it is somebody's own.
    said(report, '42/traces,["a"]', '42["/trace,"]')
    stage.later()
    assert looker.titles == ["a", "/trace,"]


def test_a_polling_body_with_other_packets_is_shown_without_the_stream(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    body = b'42/trace,["rows",[]]\x1e42["a"]'
    stage.exchange(stage.hub.connection(), "/socket.io/?EIO=4&transport=polling&sid=abc", body)
    stage.later()
    assert looker.titles[-1] == "a"
    assert looker.rows[-1]["namespaces"] == ["/"]
    assert looker.rows[-1]["summary"] == 'body 28 bytes: message: EVENT "a" in /'
    [payload] = stage.hub.opened(looker, 3)["tree"]["fields"]
    assert [field["name"] for field in payload["fields"]] == [
        "packet of this view", "separator", "Engine.IO packet",
    ]  # fmt: skip


def test_what_is_kept_is_bounded_and_the_page_sees_what_it_missed(stage: Stage) -> None:
    report = stage.websocket()
    said(report, *["2"] * (hubs.KEPT + 5))
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert len(looker.rows) == hubs.KEPT
    assert looker.rows[0]["n"] == 8
    assert max(len(batch) for batch in looker.batches) == hubs.BATCH


def test_all_sessions_together_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "ALL_BYTES", 3000)
    first, second = stage.websocket(b"&sid=first"), stage.websocket(b"&sid=second")
    said(first, *['42["a"]'] * 50)
    said(second, *['42["a"]'] * 50)
    lookers = [Looker(stage.hub, "first"), Looker(stage.hub, "second")]
    stage.later()
    assert (len(lookers[0].rows) < 40, len(lookers[1].rows)) == (True, 52)


def test_a_slow_page_gets_its_rows_when_it_has_taken_what_waits(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.websocket()
    looker.buffered_amount = hubs.UNSENT + 1
    stage.later()
    assert looker.rows == []
    looker.buffered_amount = 0
    said(report, "2")
    stage.later()
    assert [row["n"] for row in looker.rows] == [1, 2, 3]


def test_sessions_are_bounded_and_those_that_somebody_looks_at_stay(stage: Stage) -> None:
    looker = Looker(stage.hub, "first")
    target = "/socket.io/?EIO=4&transport=polling&sid="
    report = stage.hub.connection()
    for number in range(hubs.SESSIONS + 10):
        stage.exchange(report, f"{target}s{number}", b"2")
    stage.exchange(report, f"{target}first", b"2")
    stage.later()
    assert looker.titles[-1] == "ping"
    late = Looker(stage.hub, "s0")
    stage.later()
    assert late.rows == []


def test_what_waits_for_its_session_is_bounded(stage: Stage) -> None:
    report = stage.websocket(b"")
    stage.later()
    said(report, *['42["a"]'] * 1000)  # no open packet: whose session it is, is never said
    said(report, OPEN)
    looker = Looker(stage.hub, "abc")
    stage.later()
    assert len(looker.rows) <= hubs.HELD


def test_the_end_of_a_connection_ends_what_it_said(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    report = stage.websocket()
    report("websocket", "out", "unit", b"\x81\x05ab")
    report("websocket", "in", "event", Closed())
    stage.later()
    assert looker.titles[-1] == "not whole: text"


def test_a_page_that_looks_no_longer_gets_nothing(stage: Stage) -> None:
    looker = Looker(stage.hub, "abc")
    stage.hub.unsubscribe(looker)
    stage.hub.unsubscribe(looker)
    assert "error" in stage.hub.opened(looker, 1)
    stage.websocket()
    stage.later()
    assert looker.rows == []


class _Turns:
    """A loop whose clock goes on by a millisecond whenever somebody looks at it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[Callable[[], object]] = []

    def time(self) -> float:
        self.now += 0.001
        return self.now

    def call_later(self, delay: float, fn: Callable[[], object]) -> None:
        assert delay == 0.0
        self.calls.append(fn)


@pytest.mark.rule("layers-turn-told")
def test_a_connection_that_says_much_is_looked_at_in_turns_and_as_far_as_there_is_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rawsio.tracing.backlog.HELD", 20_000)
    stage, loop = Stage(), _Turns()
    stage.hub.backlog = Backlog(loop)
    looker = Looker(stage.hub, "abc")
    report = stage.websocket()
    for _ in range(10):
        said(report, *['42["a"]'] * 1)
        report("websocket", "out", "unit", encode_frame(1, b'42["many"]') * 1000)
    turns = 0
    while loop.calls:
        loop.calls.pop(0)()
        turns += 1
        stage.later()
    assert turns > 100
    said(report, '42["after"]')
    while loop.calls:
        loop.calls.pop(0)()
    stage.later()
    assert looker.titles[-1] == "after"
    assert "missing" in looker.titles
