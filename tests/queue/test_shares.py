"""Requests about many messages are done in shares, and answered once."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.limits import Limits
from rawsio.queue.memory import MemoryStore
from rawsio.queue.messages import Rejected, Settled
from rawsio.queue.operations import Purge, Redrive, StoreError

from .contract import Driven

LIMITS = Limits(queue_batch=10)


def driven(count: int, **options: Any) -> Driven:
    made = Driven(MemoryStore(), limits=LIMITS, **options)
    for _ in range(count):
        made.publish()
    return made


@pytest.mark.rule("queue-share-bound")
def test_others_have_their_turn_between_two_shares_of_a_purge() -> None:
    made = driven(25)
    made.queue.purge("purge", ["ready"])
    made.queue.receive(made.store.apply(made.queue.operations()), made.store.counts("jobs"))
    made.queue.publish("later", b"2")
    operations = made.queue.operations()
    assert [op.__class__.__name__ for op in operations] == ["Purge", "Bodies"]
    made.queue.receive(made.store.apply(operations), made.store.counts("jobs"))
    assert Settled("purge", 25) in made.turn()
    assert made.queue.counts.ready == 1


@pytest.mark.parametrize("count", [0, 9, 10, 11, 20])
def test_a_purge_is_answered_once_with_all_that_went(count: int) -> None:
    made = driven(count)
    made.queue.purge("purge", ["ready"])
    assert made.turn() == [Settled("purge", count)]
    assert made.queue.counts.total == 0


@pytest.mark.parametrize(("asked", "given"), [(5, 5), (10, 10), (15, 15), (20, 20), (99, 25)])
def test_a_redrive_gives_as_many_as_were_asked_for(asked: int, given: int) -> None:
    made = driven(25)
    made.queue.consume("me", credit=100)
    for delivery in made.deliveries():
        made.queue.nack(delivery.token, dead=True)
    made.turn()
    made.queue.cancel("me")
    made.queue.redrive("redrive", asked)
    assert made.turn() == [Settled("redrive", given)]
    assert made.queue.counts.ready == given


@pytest.mark.parametrize("kind", [Purge, Redrive])
def test_a_store_that_fails_between_two_shares_fails_the_request(kind: type) -> None:
    made = driven(25)
    if kind is Purge:
        made.queue.purge("all", ["ready"])
        made.queue.receive(made.store.apply(made.queue.operations()), made.store.counts("jobs"))
    else:
        made.queue.redrive("all", 25)
    (operation,) = made.queue.operations()
    assert operation.__class__ is kind
    (event,) = made.queue.receive_failure(StoreError("gone"))
    assert isinstance(event, Rejected)
    assert (event.ticket, event.error.code) == ("all", "unavailable")
    assert made.advance(1) == []


@pytest.mark.rule("queue-share-bound")
def test_what_expires_at_once_goes_in_shares_and_none_is_delivered() -> None:
    made = Driven(MemoryStore(), limits=LIMITS)
    for _ in range(35):
        made.publish(expires=5)
    made.queue.tick(1005.0)
    made.queue.consume("me", credit=50)
    made.queue.publish("fresh", b"fresh")
    made.queue.receive(made.store.apply(made.queue.operations()), made.store.counts("jobs"))
    assert made.queue.counts.total == 26, "a share of them has gone"
    assert [delivery.body for delivery in made.deliveries()] == [b"fresh"]
    assert made.queue.totals["expired"] == 35
