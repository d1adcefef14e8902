"""The queue of the demo: what its page is shown, and that nobody makes it grow without a bound."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from rawsio import Client, Server
from rawsio.demo import board
from rawsio.testing import TestKit


class Page:
    """A page that watches, in memory."""

    def __init__(self, kit: TestKit) -> None:
        self.kit = kit
        self.client: Client = kit.client()
        self.watching = self.client.socket("/board").connect()
        self.samples: list[Any] = []
        self.watching.on("samples", self.samples.extend)
        kit.run()

    def ask(self, *words: Any) -> Any:
        """Emit an event and return its acknowledgement."""
        reply = self.watching.emit_with_ack(*words)
        self.kit.run()
        return reply.result()

    def work(self, answer: Any = None, credit: int = 20) -> list[Any]:
        """Add a consumer on a connection of its own; return what it gets."""
        worker = self.kit.client().socket("/work").connect()
        got: list[Any] = []

        @worker.on("message")
        def work(message: Any) -> Any:
            got.append(message)
            return answer

        worker.emit("consume", "demo", {"credit": credit})
        self.kit.run()
        return got


@pytest.fixture
def kit() -> Iterator[TestKit]:
    io = Server()
    board.install(io)
    with TestKit(io) as kit:
        yield kit


def test_a_page_is_shown_how_the_queue_stands_over_time(kit: TestKit) -> None:
    page = Page(kit)
    assert page.ask("publish", "one") == {"published": 1}
    kit.advance(board.INTERVAL * 3)
    last = page.samples[-1]
    assert (last["ready"], last["leased"], last["consumers"]) == (1, 0, [])
    assert [sample["published"] for sample in page.samples] == [1, 1, 1], "so far, and not since"
    page.work()
    kit.advance(board.INTERVAL)
    last = page.samples[-1]
    assert (last["ready"], last["acked"]) == (0, 1)
    assert [(one["credit"], one["held"]) for one in last["consumers"]] == [(20, 0)]
    other = Page(kit)
    assert [sample["number"] for sample in other.samples] == [1, 2, 3, 4], "it sees what was before"


def test_nobody_is_sampled_for_when_nobody_looks(kit: TestKit) -> None:
    page = Page(kit)
    kit.advance(board.INTERVAL)
    page.client.close()
    kit.advance(5)
    assert not [s for s in kit.io.of("/board").sockets.values() if s.connected]
    before = kit.io.next_deadline()
    assert before is None or before > kit.board.now + board.INTERVAL


def test_a_spike_is_published_and_delivered_little_by_little(kit: TestKit) -> None:
    page = Page(kit)
    got = page.work()
    reply = page.watching.emit_with_ack("publish", "spike")
    kit.advance(1.0)
    assert reply.result() == {"published": board.SPIKE}
    kit.advance(10.0)
    assert board.RATE * 10 < len(got) < board.RATE * 12
    done = [sample["acked"] for sample in page.samples]
    assert all(after - before <= board.RATE for before, after in pairwise(done))


def test_a_message_that_fails_is_a_dead_letter_and_its_deliveries_are_known(kit: TestKit) -> None:
    page = Page(kit)
    page.work({"error": "it cannot be done"})
    page.ask("publish", "fails")
    kit.advance(30)
    [row] = page.ask("peek", "dead")
    assert (row["id"], row["deliveries"], row["error"]) == (1, 3, "it cannot be done")
    shown = page.ask("message", 1)
    assert shown["message"]["body"] == {"do": "fail"}
    assert [one["number"] for one in shown["deliveries"]] == [1, 2, 3]
    assert page.ask("redrive") == {"redriven": 1}
    kit.advance(30)
    assert page.ask("purge") == {"purged": 1}
    assert page.ask("message", 1)["message"] is None


def test_later_and_urgent_messages_come_later_and_earlier(kit: TestKit) -> None:
    page = Page(kit)
    for kind in ("one", "later", "urgent"):
        page.ask("publish", kind)
    got = page.work(credit=1)
    kit.run()
    assert [message["id"] for message in got] == [3, 1]
    kit.advance(11)
    assert [message["id"] for message in got] == [3, 1, 2]


def test_more_than_the_queue_holds_is_refused(kit: TestKit) -> None:
    page = Page(kit)
    for _ in range(board.MOST // board.SPIKE):
        page.watching.emit_with_ack("publish", "spike")
        kit.advance(1.0)
    assert "were refused" in page.ask("publish", "one")["error"]


@pytest.mark.parametrize(
    "words",
    [("publish",), ("publish", "none"), ("publish", ["one"]), ("message", "1"), ("message", -1)],
)
def test_what_makes_no_sense_is_answered_with_why(kit: TestKit, words: Any) -> None:
    assert "error" in Page(kit).ask(*words)


def test_a_state_that_there_is_not_means_all(kit: TestKit) -> None:
    page = Page(kit)
    page.ask("publish", "one")
    for state in ([], "none", None, {}):
        assert [row["id"] for row in page.ask("peek", state)] == [1]


def test_who_is_no_page_may_consume_and_nothing_else(kit: TestKit) -> None:
    page = Page(kit)
    page.ask("publish", "one")
    stranger = kit.client().socket("/work").connect()
    reply = stranger.emit_with_ack("purge", "demo")
    kit.run()
    assert reply.result()["code"] == "forbidden"


def test_deliveries_are_forgotten_in_the_end(kit: TestKit) -> None:
    made = board.Board(Server())
    for number in range(board.REMEMBERED + 10):
        made.delivered("worker", "messages", [{"id": number, "deliveries": 1}])
    for _ in range(board.DELIVERIES + 5):
        made.delivered("worker", "message", {"id": 5000, "deliveries": 1})
    made.delivered("worker", "drained", "demo")
    assert len(made.deliveries) == board.REMEMBERED
    assert len(made.deliveries[5000]) == board.DELIVERIES
