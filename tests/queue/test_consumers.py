"""Turns, rests and batches of consumers."""

from __future__ import annotations

import pytest

from rawsio.queue.consumers import NEVER, Allowance, Consumer, Consumers, Lease, ended


def consumer(
    name: str, credit: int = 1, batch: int = 1, linger: float = 0.0, *, waits: bool = False
) -> Consumer:
    return Consumer(name, credit, 30.0, batch, linger, waits, {}, [])


def test_clients_are_sent_only_so_much_in_one_turn_and_handlers_get_what_they_have_room_for() -> (
    None
):
    table = Consumers()
    table.add(consumer("handler", credit=1000, waits=True))
    assert table.room_in_turn == 1000
    client = consumer("client", credit=1000)
    table.add(client)
    assert table.room == 2000
    assert table.room_in_turn == 200
    client.credit = 0
    table.remove(client)
    table.add(consumer("other", credit=5))
    assert table.room_in_turn == 200


def test_of_very_many_leases_that_end_at_once_some_end_in_a_turn() -> None:
    held = consumer("client", credit=1000)
    leases = {str(n): Lease(n, 1, 1, None, 1, held, float(n)) for n in range(1000)}
    assert ended(leases, 0.5) == ["0"]
    assert ended(leases, 600.0) == [str(n) for n in range(500)]


def test_those_with_room_take_turns() -> None:
    table = Consumers()
    for name in ("a", "b"):
        table.add(consumer(name))
    table.add(consumer("full", credit=0))
    assert table.room == 2
    first = table.take_turn()
    assert first is not None
    assert first.name == "a"
    table.feed(first)
    second = table.take_turn()
    assert second is not None
    assert second.name == "b"
    table.remove(first)
    table.feed(first)
    assert table.take_turn() is None


def test_the_only_one_never_rests() -> None:
    table = Consumers()
    alone = consumer("alone")
    table.add(alone)
    for _ in range(10):
        table.failed(alone, 0.0, lambda: 1.0)
    assert table.take_turn() is alone
    assert table.deadline == NEVER


def test_a_rest_grows_and_ends() -> None:
    table = Consumers()
    broken = consumer("broken")
    table.add(broken)
    table.add(consumer("sound"))
    for _ in range(3):
        table.failed(broken, 100.0, lambda: 1.0)
    assert table.deadline == 100.05
    table.feed(broken)
    assert "broken" not in table.hungry, "it rests"
    table.wake(100.05)
    assert "broken" in table.hungry
    table.failed(broken, 100.05, lambda: 1.0)
    assert round(table.deadline, 2) == 100.15


def test_a_batch_is_due_after_its_linger() -> None:
    table = Consumers()
    slow = consumer("slow", credit=9, batch=3, linger=2.0)
    table.add(slow)
    assert not table.fill(slow, "1", 10.0)
    assert not table.fill(slow, "2", 11.0)
    assert table.deadline == 12.0
    assert table.due(11.9) == []
    assert table.due(12.0) == [slow]
    assert table.drain(slow) == ["1", "2"]
    assert table.due(99.0) == []


def test_an_allowance_is_spent_and_comes_back() -> None:
    bucket = Allowance(100)
    assert bucket.at(5.0) == 10
    bucket.spend(10)
    assert bucket.at(5.0) == 0
    assert round(bucket.next, 3) == 5.01
    assert bucket.at(bucket.next) == 1
    assert Allowance(None).at(0.0) > 10**6


@pytest.mark.parametrize("rate", [0.5, 3.0, 200.0, 333.0, 1e6])
def test_when_the_next_delivery_is_allowed_there_is_one(rate: float) -> None:
    now, bucket = 1.8e9, Allowance(rate)
    bucket.at(now)
    for _ in range(1000):
        now = max(now, bucket.next)
        allowed = bucket.at(now)
        assert allowed, "or whoever waits for it waits without end"
        bucket.spend(allowed)
