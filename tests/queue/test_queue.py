"""The rules of a queue, one by one; :mod:`tests.queue.contract` has the model."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.limits import DEFAULT
from rawsio.queue.memory import MemoryStore
from rawsio.queue.messages import Buried, Deliver, Drained, Published, QueueError, Rejected
from rawsio.queue.operations import Bodies, Claim, Delete, StoreError, Sweep

from .contract import Driven, many


def driven(**options: Any) -> Driven:
    return Driven(MemoryStore(), **options)


def bodies(deliveries: list[Any]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


def refusal(call: Any, *args: Any, **options: Any) -> str:
    with pytest.raises(QueueError) as caught:
        call(*args, **options)
    return caught.value.code


@pytest.mark.rule("queue-turn-one-commit")
def test_requests_collect_while_the_store_is_at_work() -> None:
    it = driven()
    it.queue.publish("a", b"1")
    first = it.queue.operations()
    it.queue.publish("b", b"2")
    it.queue.publish("c", b"3")
    assert it.queue.operations() == []
    it.queue.receive(it.store.apply(first), it.store.counts("jobs"))
    second = it.queue.operations()
    assert [op.bodies for op in second] == [[b"2", b"3"]]


def test_a_publish_and_its_delivery_take_one_commit() -> None:
    it = driven()
    it.queue.consume("me")
    it.turn()
    it.queue.publish("a", b"1")
    operations = it.queue.operations()
    assert [type(op) for op in operations] == [Bodies, Claim]
    events = it.queue.receive(it.store.apply(operations), it.store.counts("jobs"))
    assert [type(event) for event in events][1] is Deliver


def test_an_acknowledgement_and_the_next_delivery_take_one_commit() -> None:
    it = driven()
    it.publish()
    it.publish(b"2")
    it.queue.consume("me")
    (first,) = it.deliveries()
    it.queue.ack(first.token)
    assert [type(op) for op in it.queue.operations()] == [Delete, Claim]


@pytest.mark.rule("queue-credit-bound")
def test_a_consumer_never_holds_more_than_its_credit() -> None:
    it = driven()
    for _ in range(5):
        it.publish()
    it.queue.consume("me", credit=2)
    held = it.deliveries()
    assert len(held) == 2
    assert it.deliveries() == []
    it.queue.credit("me", 1)
    assert len(it.deliveries()) == 1
    it.queue.ack(held[0].token)
    assert len(it.deliveries()) == 1
    assert it.queue.stats()["credit"] == 0


def test_without_credit_nothing_is_delivered() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me", credit=0)
    assert it.deliveries() == []


def test_consumers_take_turns() -> None:
    it = driven()
    it.queue.consume("ann", credit=3)
    it.queue.consume("bob", credit=3)
    for number in range(4):
        it.publish(b"%d" % number)
    got = [(e.consumer, d.body) for e in it.events for d in getattr(e, "deliveries", ())]
    assert got == [("ann", b"0"), ("bob", b"1"), ("ann", b"2"), ("bob", b"3")]


@pytest.mark.rule("queue-token-current")
def test_only_the_token_of_the_latest_delivery_counts() -> None:
    it = driven(lease=10)
    it.publish()
    it.queue.consume("ann")
    (first,) = it.deliveries()
    it.queue.consume("bob")
    it.queue.cancel("ann")
    (second,) = it.deliveries("bob")
    assert second.token != first.token
    assert refusal(it.queue.ack, first.token) == "stale"
    assert refusal(it.queue.nack, first.token) == "stale"
    assert refusal(it.queue.extend, first.token, 5) == "stale"
    assert refusal(it.queue.ack, second.token, "ann") == "stale", "somebody else's"
    for junk in (None, 5, "", [], "x" * 10_000):
        assert refusal(it.queue.ack, junk, "bob") == "stale"
    it.queue.ack(second.token, "bob")
    assert refusal(it.queue.ack, second.token, "bob") == "stale", "twice"
    it.turn()
    assert it.queue.counts.total == 0


@pytest.mark.rule("queue-lease-redelivery")
def test_a_lease_that_ends_gives_the_message_to_somebody_else() -> None:
    it = driven(lease=10)
    it.publish()
    it.queue.consume("ann")
    (first,) = it.deliveries()
    assert it.queue.deadline == 1010.0
    it.queue.consume("bob")
    it.queue.extend(first.token, 20)
    it.advance(15)
    assert it.deliveries("bob") == []
    (again,) = [d for e in it.advance(5) for d in getattr(e, "deliveries", ())]
    assert again.deliveries == 2
    assert it.queue.stats()["lapsed"] == 1


def test_the_lease_of_one_who_waits_begins_with_the_work() -> None:
    it = driven(lease=10)
    it.publish()
    it.queue.consume("here", waits=True)
    (got,) = it.deliveries()
    it.advance(100)
    assert it.queue.lease_of(got.token) is not None
    assert it.queue.begin(got.token)
    assert it.queue.deadline == 1110.0
    it.advance(10)
    assert not it.queue.begin(got.token)


def test_a_wait_after_a_failure_doubles_up_to_the_cap() -> None:
    it = driven(backoff=(2, 5), max_deliveries=9)
    it.publish()
    it.queue.consume("me")
    (got,) = it.deliveries()
    for expected in (2, 4, 5, 5):
        it.queue.nack(got.token, error="no")
        it.turn()
        assert it.queue.deadline == it.queue.now + expected
        (event,) = it.advance(expected)
        (got,) = event.deliveries


@pytest.mark.rule("queue-dead-letter")
def test_a_message_that_fails_too_often_becomes_a_dead_letter_with_the_last_error() -> None:
    it = driven(max_deliveries=2)
    it.publish()
    it.queue.consume("me")
    for error in ("first", "last"):
        (got,) = it.deliveries()
        it.queue.nack(got.token, delay=0, error=error)
    assert Buried(got.id, "last") in it.turn()
    it.queue.peek("t", "dead")
    (row,) = it.turn()[0].value
    assert (row.error, row.deliveries) == ("last", 2)
    it.queue.redrive("t", 5)
    assert [d.deliveries for d in it.deliveries()] == [1]


def test_an_error_that_no_store_can_keep_is_kept_in_words() -> None:
    it = driven(max_deliveries=2)
    it.publish()
    it.queue.consume("me")
    for _ in range(2):
        (got,) = it.deliveries()
        it.queue.nack(got.token, delay=0, error="half \ud83d")
    events = it.turn()
    assert Buried(got.id, "half \\ud83d") in events


def test_whoever_goes_away_gives_back_what_he_was_given() -> None:
    it = driven()
    it.publish()
    it.publish(b"2", delay=3)
    it.queue.consume("gone", credit=2)
    it.turn()
    assert it.queue.cancel("gone") == 1
    assert refusal(it.queue.cancel, "gone") == "bad_request"
    it.queue.consume("next", credit=5)
    (again,) = it.deliveries()
    assert again.deliveries == 2, "the delivery counts: it may have been worked on"


def test_whoever_goes_away_may_keep_its_leases() -> None:
    it = driven(lease=10)
    it.publish()
    it.queue.consume("gone")
    (got,) = it.deliveries()
    it.queue.cancel("gone", keep=True)
    it.queue.consume("next")
    assert it.deliveries() == []
    it.queue.ack(got.token, "gone")
    it.turn()
    assert it.queue.counts.total == 0


@pytest.mark.rule("queue-batch-linger")
def test_a_batch_comes_when_it_is_full_or_has_waited() -> None:
    it = driven(lease=30)
    it.queue.consume("me", credit=10, batch=3, linger=0.5)
    it.publish(b"0")
    it.publish(b"1")
    assert it.deliveries() == []
    it.events.clear()
    assert it.queue.deadline == 1000.5
    (event,) = [e for e in it.advance(0.5) if isinstance(e, Deliver)]
    assert bodies(event.deliveries) == [b"0", b"1"]
    for number in range(3):
        it.publish(b"%d" % number)
    (event,) = [e for e in it.events if isinstance(e, Deliver)]
    assert len(event.deliveries) == 3


def test_a_batch_that_never_came_has_not_been_delivered() -> None:
    it = driven()
    it.queue.consume("me", credit=10, batch=3, linger=60)
    it.publish()
    assert it.queue.cancel("me") == 0
    it.queue.consume("next")
    (got,) = it.deliveries()
    assert got.deliveries == 1


def test_a_consumer_that_cannot_hold_a_batch_gets_what_it_can() -> None:
    it = driven()
    it.queue.consume("me", credit=2, batch=50, linger=60)
    it.publish()
    it.publish()
    (event,) = [e for e in it.events if isinstance(e, Deliver)]
    assert len(event.deliveries) == 2


@pytest.mark.rule("queue-flow-rate")
def test_a_rate_smooths_a_spike() -> None:
    it = driven(rate=20)
    it.queue.consume("me", credit=1000)
    for _ in range(100):
        it.queue.publish(None, b"1")
    times = [it.queue.now for e in it.turn() if isinstance(e, Deliver)]
    end = it.queue.now + 3.0
    while it.queue.now < end:
        happened = it.advance_to(min(end, it.queue.deadline or end))
        times += [it.queue.now for e in happened if isinstance(e, Deliver)]
    assert 60 <= len(times) <= 63
    assert max(times.count(t) for t in times) <= 2


def test_who_fails_again_and_again_rests_while_others_work() -> None:
    it = driven(max_deliveries=1)
    it.queue.consume("broken")
    it.queue.consume("sound", credit=1)
    handled = 0
    for _ in range(50):
        it.queue.publish(None, b"1")
    for _ in range(200):
        for event in it.turn():
            for delivery in getattr(event, "deliveries", ()):
                if event.consumer == "broken":
                    it.queue.nack(delivery.token)
                else:
                    handled += 1
                    it.queue.ack(delivery.token)
    assert it.queue.counts.total == it.queue.counts.dead <= 4
    assert handled >= 46
    assert it.queue.deadline is not None, "it is woken again"
    it.advance(6)
    it.queue.publish(None, b"1")
    it.queue.publish(None, b"1")
    assert {e.consumer for e in it.turn() if isinstance(e, Deliver)} == {"broken", "sound"}


@pytest.mark.rule("queue-full-policy")
def test_a_full_queue_refuses_but_knows_duplicates() -> None:
    it = driven(max_messages=2)
    first = it.publish(key="k")
    it.publish()
    assert refusal(it.queue.publish, None, b"1") == "full"
    assert it.publish(key="k") == Published(first.id, duplicate=True)
    assert it.publish(key="new").code == "full"
    assert it.queue.stats()["refused"] == 2
    it.queue.consume("me")
    (got,) = it.deliveries()
    it.queue.ack(got.token)
    it.turn()
    assert it.publish().duplicate is False


def test_publishes_that_wait_for_the_store_count() -> None:
    it = driven(max_messages=3)
    for _ in range(3):
        it.queue.publish(None, b"1")
    assert refusal(it.queue.publish, None, b"1") == "full"
    many = driven(limits=DEFAULT.but(queue_waiting=5))
    for _ in range(5):
        many.queue.publish(None, b"1")
    assert refusal(many.queue.publish, None, b"1") == "full"
    big = driven(limits=DEFAULT.but(queue_waiting_bytes=100))
    big.queue.publish(None, bytes(60))
    assert refusal(big.queue.publish, None, bytes(60)) == "full"
    big.turn()
    big.queue.publish(None, bytes(60))


def test_a_queue_is_bounded_in_bytes_too() -> None:
    it = driven(max_bytes=100)
    it.publish(bytes(60))
    assert refusal(it.queue.publish, None, bytes(41)) == "full"
    it.publish(bytes(40))


def test_drop_oldest_drops_what_nobody_holds_and_counts_it() -> None:
    it = driven(max_messages=3, policy="drop_oldest")
    it.queue.consume("me")
    for number in range(6):
        it.publish(b"%d" % number)
    it.queue.peek("t")
    rows = it.turn()[-1].value
    assert [row.body for row in rows] == [b"0", b"4", b"5"]
    assert it.queue.stats()["dropped"] == 3
    held = driven(max_messages=1, policy="drop_oldest")
    held.queue.consume("me")
    held.publish()
    assert refusal(held.queue.publish, None, b"1") == "full", "it is leased"


def test_what_cannot_be_right_is_refused_at_once() -> None:
    it = driven(max_message=10)
    publish = it.queue.publish
    assert refusal(publish, None, bytes(11)) == "too_large"
    for options in (
        {"key": ""},
        {"key": 5},
        {"key": "x" * 257},
        {"group": []},
        {"key": "half \ud83d"},
        {"group": "\udc00"},
        {"delay": -1},
        {"delay": "5"},
        {"delay": True},
        {"delay": float("nan")},
        {"delay": 1e12},
        {"priority": 1.5},
        {"priority": 2**40},
        {"expires": {}},
    ):
        assert refusal(publish, None, b"1", **options) == "bad_request", options
    for options in (
        {"credit": -1},
        {"credit": 10**6},
        {"credit": "1"},
        {"batch": 0},
        {"lease": 0},
        {"linger": None},
    ):
        assert refusal(it.queue.consume, "me", **options) == "bad_request", options
    assert refusal(it.queue.credit, "nobody", 1) == "bad_request"
    assert refusal(it.queue.peek, None, "gone") == "bad_request"
    assert refusal(it.queue.peek, None, None, 0) == "bad_request"
    assert refusal(it.queue.peek, None, None, 5, -1) == "bad_request"
    assert refusal(it.queue.purge, None, ["leased"]) == "bad_request"
    assert refusal(it.queue.redrive, None, -5) == "bad_request"
    assert it.queue.operations() == []


def test_there_is_an_end_to_consumers() -> None:
    it = driven(limits=DEFAULT.but(queue_consumers=2))
    it.queue.consume("a")
    it.queue.consume("b")
    assert refusal(it.queue.consume, "c") == "full"


def test_a_consumer_is_told_when_nothing_is_left() -> None:
    it = driven()
    it.publish()
    it.publish(delay=100)
    it.queue.consume("me")
    (got,) = it.deliveries()
    it.queue.ack(got.token)
    assert it.turn() == [Drained("me")]
    assert it.turn() == []


# When the store fails


@pytest.mark.rule("queue-store-failure")
def test_if_the_store_fails_publishes_are_refused_and_acknowledgements_kept() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me")
    (got,) = it.deliveries()
    it.queue.ack(got.token, ticket="done")
    it.queue.publish("new", b"2")
    it.queue.operations()
    (event,) = it.queue.receive_failure(StoreError("a disk broke"))
    assert isinstance(event, Rejected)
    assert (event.ticket, event.error.code) == ("new", "unavailable")
    assert it.queue.operations() == [], "not again at once"
    assert it.queue.deadline == 1001.0
    assert [e.ticket for e in it.advance(1) if hasattr(e, "ticket")] == ["done"]
    assert it.queue.counts.total == 0
    assert it.queue.stats()["waiting"] == 0


def test_on_a_full_disk_everything_but_publishes_goes_on_at_once() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me")
    (got,) = it.deliveries()
    it.queue.publish("new", b"2")
    it.queue.ack(got.token)
    it.queue.operations()
    (event,) = it.queue.receive_failure(StoreError("no room", full=True))
    assert event.error.code == "full"
    assert [type(op) for op in it.queue.operations()] == [Delete, Claim]


def test_a_claim_that_failed_is_made_again() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me")
    it.queue.operations()
    it.queue.receive_failure(StoreError("a disk broke"))
    assert [type(e) for e in it.advance(1)] == [Deliver]


def test_a_long_line_goes_to_the_store_in_bounded_batches() -> None:
    it = driven(limits=DEFAULT.but(queue_batch=10))
    for _ in range(25):
        it.queue.publish(None, b"1")
    sizes = []
    while operations := it.queue.operations():
        sizes.append(many(operations))
        it.queue.receive(it.store.apply(operations), it.store.counts("jobs"))
    assert sum(sizes) >= 25
    assert max(sizes) <= 12


def test_a_queue_that_closes_gives_everything_back_and_takes_nothing() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me")
    it.turn()
    it.queue.close()
    it.turn()
    assert (it.queue.counts.ready, it.queue.counts.leased) == (1, 0)
    assert refusal(it.queue.publish, None, b"1") == "closing"
    assert refusal(it.queue.consume, "me") == "closing"
    assert it.queue.operations() == []


def test_a_clock_that_goes_back_changes_nothing() -> None:
    it = driven(lease=10)
    it.publish()
    it.queue.consume("me")
    (got,) = it.deliveries()
    it.advance_to(5.0)
    assert it.queue.now == 1000.0
    assert it.queue.lease_of(got.token) is not None


def test_a_message_whose_time_comes_is_swept_and_delivered() -> None:
    it = driven()
    it.publish(b"late", delay=7)
    it.queue.consume("me")
    assert it.turn() == []
    assert it.queue.deadline == 1007.0
    (event,) = it.advance(7)
    assert bodies(event.deliveries) == [b"late"]


def test_the_time_of_the_store_is_looked_at_only_when_it_is_due() -> None:
    it = driven()
    it.publish(delay=100)
    it.queue.publish(None, b"1")
    assert not any(isinstance(op, Sweep) for op in it.queue.operations())


def test_a_claim_for_somebody_who_has_left_is_given_back_uncounted() -> None:
    it = driven()
    it.publish()
    it.queue.consume("me")
    operations = it.queue.operations()
    it.queue.cancel("me")
    it.queue.receive(it.store.apply(operations), it.store.counts("jobs"))
    it.turn()
    it.queue.consume("next")
    (got,) = it.deliveries()
    assert got.deliveries == 1


def test_somebody_else_may_have_deleted_the_message_in_his_own_transaction() -> None:
    it = driven()
    it.publish(group="g")
    it.publish(b"2", group="g")
    it.queue.consume("me")
    (got,) = it.deliveries()
    number, lease = it.queue.lease_of(got.token)
    it.store.apply([Delete("jobs", number, lease, 1, "g")])
    it.queue.finished(got.token, it.store.counts("jobs"))
    assert bodies(it.deliveries()) == [b"2"]
    it.queue.finished(got.token, it.store.counts("jobs"))
    assert it.queue.stats()["acked"] == 1


def test_very_many_leases_that_end_at_once_end_in_several_turns() -> None:
    it = Driven(MemoryStore(), lease=5, max_deliveries=9)
    for name in "ab":
        it.queue.consume(name, credit=600)
    it.queue.publish_bodies([None] * 1200, [b"1"] * 1200)
    assert len(it.deliveries()) == 1200
    it.queue.tick(1005.0)
    for lapsed in (500, 1000, 1200):
        assert it.queue.totals["lapsed"] == lapsed
        assert it.queue.deadline is not None
        assert it.queue.deadline <= 1005.0
        it.queue.tick(1005.0)
