"""What every store has to do, and a model of a queue that is driven over it.

:func:`store_tests` returns the tests of the contract, :func:`machine_for` a state machine of
hypothesis.  Both take a :class:`Bench`: how to make a store, and how to open it again after a
crash, which is nothing but dropping the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rawsio.limits import DEFAULT
from rawsio.queue.messages import (
    Buried,
    Deliver,
    Drained,
    Published,
    QueueError,
    QueueOptions,
    Rejected,
    Settled,
    Stored,
)
from rawsio.queue.operations import (
    BLOCKED,
    DEAD,
    DELAYED,
    LEASED,
    READY,
    STATES,
    Bodies,
    Bury,
    Claim,
    Delete,
    Drop,
    Insert,
    Peek,
    Purge,
    Redrive,
    Release,
    StoreError,
    Sweep,
)
from rawsio.queue.queue import Queue

__all__ = ["Bench", "Driven", "machine_for", "many", "store_tests"]


@dataclass
class Bench:
    """How to get a store: ``make()`` a new one, ``reopen(store)`` after a crash of its process.

    The times of a store that is ``shared`` by several processes are no one's own.
    """

    make: Callable[[], Any]
    reopen: Callable[[Any], Any] | None = None
    shared: bool = False


class Driven:
    """A queue on a store, with a clock that stands still until it is told."""

    def __init__(self, store: Any, now: float = 1000.0, **options: Any) -> None:
        self.store = store
        self.limits = options.pop("limits", DEFAULT)
        self.options = QueueOptions(**options)
        opened = store.open("jobs", self.options.max_deliveries, int(now * 1000))
        self.queue = Queue("jobs", *opened, self.options, self.limits)
        self.events: list[Any] = []
        self.advance_to(now)

    def turn(self) -> list[Any]:
        """Let the store do what is asked for, until nothing is; return all that happened."""
        happened, self.events = self.events, []
        while operations := self.queue.operations():
            results = self.store.apply(operations)
            happened += self.queue.receive(results, self.store.counts("jobs"))
        return one_by_one(happened)

    def advance_to(self, now: float) -> list[Any]:
        self.events += self.queue.tick(now)
        return self.turn()

    def advance(self, seconds: float) -> list[Any]:
        return self.advance_to(self.queue.now + seconds)

    def publish(self, body: bytes = b"1", **options: Any) -> Any:
        """Publish, and return what comes of it: the id if it is stored."""
        ticket = object()
        self.queue.publish(ticket, body, **options)
        happened = self.turn()
        (answer,) = (e for e in happened if getattr(e, "ticket", None) is ticket)
        self.events += [e for e in happened if e is not answer]
        return answer.value if isinstance(answer, Settled) else answer.error

    def deliveries(self, consumer: Any = None) -> list[Any]:
        """Return what was delivered since the last call."""
        found = [e for e in self.turn() if isinstance(e, Deliver)]
        return [d for e in found if consumer in (None, e.consumer) for d in e.deliveries]


def many(operations: list[Any]) -> int:
    """Count operations, each message of a run as one."""
    return sum(len(op.bodies) if isinstance(op, Bodies) else 1 for op in operations)


def one_by_one(events: list[Any]) -> list[Any]:
    """Return events with one for each message of a run, as if it had been published alone."""
    found: list[Any] = []
    for event in events:
        if isinstance(event, Stored):
            pairs = zip(event.tickets, event.ids, strict=True)
            found += [Settled(ticket, Published(number)) for ticket, number in pairs]
        else:
            found.append(event)
    return found


# The operations, one by one


def store_tests(bench: Bench) -> type:
    """Return the tests of the contract, as a class."""

    class TestStore:
        @pytest.fixture
        def store(self) -> Any:
            made = bench.make()
            made.open("jobs", 3, 0)
            yield made
            made.close()

        def test_a_run_of_bodies_is_so_many_messages_in_their_order(self, store: Any) -> None:
            long = bytes(5000)
            ((before, _), ids, (after, _)) = store.apply(
                [
                    Insert("jobs", b"before", 6, group="g"),
                    Bodies("jobs", 7, [b"0", long, b"2"]),
                    Insert("jobs", b"after", 8),
                ]
            )
            assert [before, *ids, after] == sorted({before, *ids, after})
            counts = store.counts("jobs")
            assert (counts.ready, counts.bytes, counts.head) == (5, 5013, 6)
            (rows,) = store.apply([Claim("jobs", 9, 1)])
            assert [row.id for row in rows] == [before, *ids, after]
            assert [row.body for row in rows] == [b"before", b"0", long, b"2", b"after"]
            assert [row.published for row in rows] == [6, 7, 7, 7, 8]
            assert {(row.priority, row.due, row.expires, row.key) for row in rows} == {
                (0, 0, None, None)
            }
            store.apply([Delete("jobs", row.id, 1, row.size, row.group) for row in rows])
            assert store.counts("jobs").bytes == 0

        def test_a_long_run_alone_is_stored_whole(self, store: Any) -> None:
            (ids,) = store.apply([Bodies("jobs", 0, [b"%d" % n for n in range(300)])])
            assert list(ids) == sorted(set(ids))
            assert len(ids) == store.counts("jobs").ready == 300
            (rows,) = store.apply([Claim("jobs", 300, 1)])
            assert [row.body for row in rows] == [b"%d" % n for n in range(300)]

        def test_messages_are_claimed_by_priority_then_by_age(self, store: Any) -> None:
            bodies = [(b"a", 0), (b"b", 5), (b"c", 0), (b"d", -1), (b"e", 5)]
            store.apply([Insert("jobs", body, 0, priority) for body, priority in bodies])
            (rows,) = store.apply([Claim("jobs", 10, 1)])
            assert b"".join(row.body for row in rows) == b"beacd"
            assert [row.deliveries for row in rows] == [1] * 5

        def test_ids_grow_and_are_never_given_twice(self, store: Any) -> None:
            first = store.apply([Insert("jobs", b"1", 0)])[0][0]
            store.apply([Claim("jobs", 1, 1), Delete("jobs", first, 1, 1)])
            assert store.apply([Insert("jobs", b"1", 0)])[0][0] > first

        def test_a_claim_takes_no_more_than_it_asks_for(self, store: Any) -> None:
            store.apply([Insert("jobs", b"1", 0)] * 5)
            assert len(store.apply([Claim("jobs", 2, 1)])[0]) == 2
            counts = store.counts("jobs")
            assert (counts.ready, counts.leased, counts.bytes) == (3, 2, 5)

        def test_an_operation_with_another_lease_does_nothing(self, store: Any) -> None:
            ((number, _),) = store.apply([Insert("jobs", b"1", 0)])
            store.apply([Claim("jobs", 1, 7)])
            before = store.counts("jobs")
            wrong = store.apply(
                [
                    Delete("jobs", number, 6, 1),
                    Release("jobs", number, 8),
                    Bury("jobs", number, 9, "no"),
                    Delete("jobs", number, 6, 1, "group"),
                ]
            )
            assert not any(wrong)
            assert store.counts("jobs") == before

        def test_a_known_key_gives_the_first_id_until_its_time(self, store: Any) -> None:
            ((first, known),) = store.apply([Insert("jobs", b"1", 0, key="k", until=50)])
            assert not known
            again = store.apply([Insert("jobs", b"2", 49, key="k", until=99)])
            assert again == [(first, True)]
            store.apply([Claim("jobs", 1, 1), Delete("jobs", first, 1, 1)])
            again = store.apply([Insert("jobs", b"2", 49, key="k", until=99)])
            assert again == [(first, True)], "known also after it is gone"
            ((second, known),) = store.apply([Insert("jobs", b"2", 50, key="k", until=99)])
            assert second != first
            assert not known

        def test_without_room_only_a_duplicate_is_accepted(self, store: Any) -> None:
            ((first, _),) = store.apply([Insert("jobs", b"1", 0, key="k", until=50)])
            full = [
                Insert("jobs", b"1", 1, key="k", until=50, known_only=True),
                Insert("jobs", b"1", 1, key="l", until=50, known_only=True),
            ]
            assert store.apply(full) == [(first, True), None]
            assert store.counts("jobs").total == 1

        def test_of_a_group_one_at_a_time_is_ready(self, store: Any) -> None:
            inserts = [Insert("jobs", b"%d" % i, 0, group="g") for i in range(3)]
            store.apply([*inserts, Insert("jobs", b"x", 0)])
            assert store.counts("jobs").blocked == 2
            (rows,) = store.apply([Claim("jobs", 10, 1)])
            assert [row.body for row in rows] == [b"0", b"x"]
            store.apply([Delete("jobs", rows[0].id, 1, 1, "g")])
            ((row,),) = store.apply([Claim("jobs", 10, 2)])
            assert row.body == b"1"
            store.apply([Release("jobs", row.id, 2, due=50)])
            assert store.apply([Claim("jobs", 10, 3)]) == [[]], "the others wait with it"
            store.apply([Sweep("jobs", 50, 100)])
            ((row,),) = store.apply([Claim("jobs", 10, 4)])
            assert (row.body, row.deliveries) == (b"1", 2)
            store.apply([Bury("jobs", row.id, 4, "poison", "g")])
            ((row,),) = store.apply([Claim("jobs", 10, 5)])
            assert row.body == b"2"

        def test_a_redriven_letter_waits_for_its_group(self, store: Any) -> None:
            store.apply([Insert("jobs", b"0", 0, group="g"), Insert("jobs", b"1", 0, group="g")])
            ((first,),) = store.apply([Claim("jobs", 1, 1)])
            store.apply([Bury("jobs", first.id, 1, "why", "g"), Redrive("jobs", 1)])
            store.apply([Insert("jobs", b"2", 0, group="g")])
            order = []
            for lease in range(2, 5):
                ((row,),) = store.apply([Claim("jobs", 5, lease)])
                order.append(row.body)
                store.apply([Delete("jobs", row.id, lease, 1, "g")])
            assert sorted(order) == [b"0", b"1", b"2"]
            assert store.counts("jobs").total == 0

        def test_a_delayed_message_is_ready_after_its_sweep(self, store: Any) -> None:
            store.apply([Insert("jobs", b"late", 0, due=90), Insert("jobs", b"soon", 0, due=20)])
            assert store.counts("jobs").due <= 20
            assert store.apply([Claim("jobs", 5, 1)]) == [[]]
            store.apply([Sweep("jobs", 20, 100)])
            ((row,),) = store.apply([Claim("jobs", 5, 2)])
            assert row.body == b"soon"
            assert store.counts("jobs").due <= 90

        def test_what_has_expired_is_deleted_unless_it_is_leased(self, store: Any) -> None:
            store.apply([Insert("jobs", b"%d" % i, 0, expires=10, group="g") for i in range(3)])
            ((row,),) = store.apply([Claim("jobs", 5, 1)])
            assert store.apply([Sweep("jobs", 10, 100)]) == [2]
            assert store.counts("jobs").total == 1
            store.apply([Release("jobs", row.id, 1)])
            assert store.counts("jobs").expires <= 10
            assert store.apply([Sweep("jobs", 10, 100)]) == [1]
            counts = store.counts("jobs")
            assert (counts.total, counts.bytes, counts.expires) == (0, 0, None)

        def test_the_next_of_a_group_follows_one_that_has_expired(self, store: Any) -> None:
            store.apply([Insert("jobs", b"0", 0, expires=5, group="g")])
            store.apply([Insert("jobs", b"1", 0, group="g"), Sweep("jobs", 5, 100)])
            assert store.apply([Claim("jobs", 5, 1)])[0][0].body == b"1"

        def test_a_redriven_letter_is_the_next_of_its_group(self, store: Any) -> None:
            store.apply([Insert("jobs", b"0", 0, group="g")])
            ((first,),) = store.apply([Claim("jobs", 1, 1)])
            store.apply([Bury("jobs", first.id, 1, "why", "g")])
            store.apply([Insert("jobs", b"%d" % i, 0, group="g") for i in range(1, 3)])
            store.apply([Redrive("jobs", 1)])
            order = []
            for lease in range(2, 5):
                ((row,),) = store.apply([Claim("jobs", 5, lease)])
                order.append(row.body)
                store.apply([Delete("jobs", row.id, lease, 1, "g")])
            assert order == [b"1", b"0", b"2"]

        def test_dead_letters_keep_their_error_and_come_back_by_redrive(self, store: Any) -> None:
            store.apply([Insert("jobs", b"1", 0)] * 3)
            (rows,) = store.apply([Claim("jobs", 3, 1)])
            store.apply([Bury("jobs", row.id, 1, f"error {row.id}") for row in rows])
            (dead,) = store.apply([Peek("jobs", DEAD, 2, rows[0].id)])
            assert [(row.id, row.error) for row in dead] == [
                (row.id, f"error {row.id}") for row in rows[1:]
            ]
            assert store.apply([Redrive("jobs", 2)]) == [2]
            (again,) = store.apply([Claim("jobs", 3, 2)])
            assert [row.id for row in again] == [row.id for row in rows[:2]]
            assert [row.deliveries for row in again] == [1, 1]

        def test_the_oldest_that_nobody_holds_are_dropped_dead_ones_first(self, store: Any) -> None:
            store.apply([Insert("jobs", b"123", 0)] * 5)
            (rows,) = store.apply([Claim("jobs", 2, 1)])
            store.apply([Bury("jobs", rows[1].id, 1, "")])
            assert store.apply([Drop("jobs", 1, 0), Drop("jobs", 0, 4)]) == [1, 2]
            (left,) = store.apply([Peek("jobs", None, 10)])
            assert [row.id for row in left] == [rows[0].id, rows[0].id + 4]
            assert store.apply([Drop("jobs", 5, 0)]) == [1]

        def test_purge_deletes_by_state(self, store: Any) -> None:
            store.apply([Insert("jobs", b"%d" % i, 0, group="g") for i in range(3)])
            store.apply([Insert("jobs", b"x", 0, due=5), Insert("jobs", b"y", 0)])
            store.apply([Claim("jobs", 1, 1)])
            assert store.apply([Purge("jobs", (READY, DELAYED, BLOCKED), 100)])[0][1] == 4
            counts = store.counts("jobs")
            assert (counts.total, counts.leased, counts.bytes) == (1, 1, 1)

        def test_a_purge_takes_the_newest_so_many_at_a_time(self, store: Any) -> None:
            inserts = [Insert("jobs", b"1", 0, group="g" if i % 2 else None) for i in range(6)]
            ids = [found[0] for found in store.apply(inserts)]
            states = (READY, BLOCKED)
            assert store.apply([Purge("jobs", states, 2)]) == [(ids[4], 2)]
            later = store.apply([Insert("jobs", b"2", 0)])[0][0]
            assert store.apply([Purge("jobs", states, 3, ids[4])]) == [(ids[1], 3)]
            assert store.apply([Purge("jobs", states, 3, ids[1])]) == [(ids[0], 1)]
            assert store.apply([Purge("jobs", states, 3, ids[0])])[0][1] == 0
            (left,) = store.apply([Peek("jobs", None, 9)])
            assert [row.id for row in left] == [later], "published since the purge began"

        def test_behind_a_sweep_that_was_not_the_last_nothing_is_claimed(self, store: Any) -> None:
            store.apply([Insert("jobs", b"%d" % i, 0, expires=10) for i in range(3)])
            assert store.apply([Sweep("jobs", 10, 2), Claim("jobs", 5, 1)]) == [2, []]
            assert store.counts("jobs").expires <= 10
            assert store.apply([Sweep("jobs", 10, 2), Claim("jobs", 5, 2)]) == [1, []]
            assert store.counts("jobs").expires is None
            store.apply([Insert("jobs", b"x", 0)])
            assert len(store.apply([Claim("jobs", 5, 3)])[0]) == 1

        def test_so_many_become_ready_in_one_sweep(self, store: Any) -> None:
            store.apply([Insert("jobs", b"1", 0, due=10 - i) for i in range(3)])
            store.apply([Sweep("jobs", 10, 2)])
            counts = store.counts("jobs")
            assert (counts.ready, counts.delayed, counts.due) == (2, 1, 10)

        def test_a_look_ends_where_bodies_are_long(self, store: Any) -> None:
            store.apply([Insert("jobs", bytes(2000), 0)] * 5)
            (rows,) = store.apply([Peek("jobs", READY, 5, 0, 3000)])
            assert [len(row.body) for row in rows] == [2000, 2000]
            assert len(store.apply([Peek("jobs", READY, 5, rows[1].id, 3000)])[0]) == 2

        def test_an_uncounted_release_takes_the_delivery_back(self, store: Any) -> None:
            store.apply([Insert("jobs", b"1", 0)])
            ((row,),) = store.apply([Claim("jobs", 1, 1)])
            store.apply([Release("jobs", row.id, 1, counted=False)])
            ((row,),) = store.apply([Claim("jobs", 1, 2)])
            assert row.deliveries == 1

        def test_long_bodies_are_whole(self, store: Any) -> None:
            bodies = [bytes([i]) * size for i, size in enumerate((0, 1, 1024, 1025, 100_000))]
            store.apply([Insert("jobs", body, 0) for body in bodies])
            (seen,) = store.apply([Peek("jobs", None, 10)])
            (rows,) = store.apply([Claim("jobs", 10, 1)])
            assert [row.body for row in rows] == [row.body for row in seen] == bodies
            store.apply([Delete("jobs", row.id, 1, row.size) for row in rows])
            assert store.counts("jobs").bytes == store.counts("jobs").total == 0

        def test_queues_of_a_store_are_apart(self, store: Any) -> None:
            store.open("other", 3, 0)
            store.apply([Insert("jobs", b"1", 0, key="k"), Insert("other", b"2", 0, key="k")])
            assert store.apply([Claim("other", 5, 1)])[0][0].body == b"2"
            assert store.counts("jobs").ready == 1

        def test_the_head_is_what_is_claimed_next(self, store: Any) -> None:
            assert store.counts("jobs").head is None
            store.apply([Insert("jobs", b"1", 10), Insert("jobs", b"2", 20, 1)])
            assert store.counts("jobs").head == 20
            store.apply([Insert("jobs", b"3", 30, 2, due=50)])
            assert store.counts("jobs").head == 20
            store.apply([Claim("jobs", 1, 7)])
            store.apply([Insert("jobs", b"4", 40)])
            assert store.counts("jobs").head == 10
            store.apply([Sweep("jobs", 50, 100)])
            assert store.counts("jobs").head == 30
            store.apply([Purge("jobs", (READY,), 100)])
            assert store.counts("jobs").head is None
            store.apply([Insert("jobs", b"5", 60)])
            assert store.counts("jobs").head == 60

    if bench.reopen is not None:
        for test in _restarts(bench):
            setattr(TestStore, test.__name__, test)
    return TestStore


def _restarts(bench: Bench) -> list[Callable[..., None]]:
    assert bench.reopen is not None
    reopen = bench.reopen

    def test_after_a_crash_leases_have_ended_and_numbers_are_new(self: Any, store: Any) -> None:
        _, run = store.open("jobs", 3, 0)
        inserts = [Insert("jobs", b"%d" % i, 0, group="g") for i in range(2)]
        store.apply([*inserts, Insert("jobs", b"x", 0, due=77), Insert("jobs", b"k", 0, key="k")])
        store.apply([Claim("jobs", 1, 1)])
        again = reopen(store)
        counts, later = again.open("jobs", 3, 0)
        assert later > run
        assert (counts.ready, counts.blocked, counts.delayed, counts.leased) == (2, 1, 1, 0)
        assert counts.due <= 77
        (rows,) = again.apply([Claim("jobs", 5, 1)])
        assert [(row.body, row.deliveries) for row in rows] == [(b"0", 2), (b"k", 1)]
        assert "process ended" in rows[0].error
        again.close()

    def test_what_crashes_each_time_ends_as_a_dead_letter(self: Any, store: Any) -> None:
        store.apply([Insert("jobs", b"poison", 0, group="g"), Insert("jobs", b"1", 0, group="g")])
        for _ in range(3):
            store.apply([Claim("jobs", 1, 1)])
            store = reopen(store)
            counts, _run = store.open("jobs", 3, 0)
        assert (counts.dead, counts.ready, counts.blocked) == (1, 1, 0)
        store.close()

    def test_a_clock_that_was_set_back_makes_no_delay_longer(self: Any, store: Any) -> None:
        now = 10_000_000
        store.apply([Insert("jobs", b"1", now, due=now + 5000, expires=now + 9000)])
        again = reopen(store)
        counts, _ = again.open("jobs", 3, 1_000_000)
        assert 1_004_000 <= counts.due <= 1_006_000
        assert 1_008_000 <= counts.expires <= 1_010_000
        again.close()

    return [
        test_after_a_crash_leases_have_ended_and_numbers_are_new,
        test_what_crashes_each_time_ends_as_a_dead_letter,
        *([] if bench.shared else [test_a_clock_that_was_set_back_makes_no_delay_longer]),
    ]


# The model


@dataclass
class Known:
    """What the model knows of a message."""

    id: int
    body: bytes
    group: str | None
    priority: int
    expires: float | None = None
    token: str | None = None
    holder: str | None = None
    deadline: float = 0.0
    deliveries: int = 0
    dead: bool = False


MAX_DELIVERIES = 3
MAX_CRASHES = 4
"""To open a file takes as long as twenty steps."""
LEASE = 10.0
NAMES = ["ann", "bob", "cy"]
PLACES = st.integers(0, 11)
"""Which one of a list, counted around: a draw that needs not know how long the list is."""


def choices(**values: list[Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for dicts with one value of each list, the first ones the simplest.

    It is one draw.  A draw costs hypothesis as much as a step costs the store.
    """
    return st.sampled_from(
        [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    )


def one_of(known: list[Any], place: int) -> Any:
    """Return the one in this place, counted around."""
    return known[place % len(known)]


def machine_for(bench: Bench) -> type[RuleBasedStateMachine]:
    """Return a state machine that drives a queue over the store, and compares it with a model."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.driven = self.begin(bench.make(), 1000.0)
            self.messages: dict[int, Known] = {}
            self.keys: dict[str, tuple[int, float]] = {}
            self.old_tokens: list[str] = []
            self.buried: list[int] = []
            self.consumers: list[str] = []
            self.count = self.published = self.acked = self.gone = self.expired = 0
            self.crashes = 0

        def begin(self, store: Any, now: float) -> Driven:
            return Driven(
                store, now, max_deliveries=MAX_DELIVERIES, lease=LEASE, dedup=20, max_messages=12
            )

        def teardown(self) -> None:
            self.driven.store.close()

        # What happens

        def see(self, happened: list[Any]) -> None:
            self.forget_expired()
            for event in happened:
                if isinstance(event, Deliver):
                    assert event.deliveries
                    for delivery in event.deliveries:
                        self.see_delivery(event.consumer, delivery)
                elif isinstance(event, Buried):
                    self.see_burial(event)
                else:
                    assert isinstance(event, (Settled, Rejected, Drained))

        def see_delivery(self, consumer: str, delivery: Any) -> None:
            known = self.messages[delivery.id]
            assert known.token is None, "held by two"
            assert not known.dead
            assert delivery.body == known.body
            assert delivery.deliveries == known.deliveries + 1 <= MAX_DELIVERIES
            for other in self.messages.values():
                if known.group is not None and other.group == known.group and not other.dead:
                    assert other.id >= known.id or other.id in self.buried, "overtaken in its group"
                    assert other.token is None, "two of a group at a time"
            known.deliveries = delivery.deliveries
            known.token, known.holder = delivery.token, consumer
            known.deadline = self.driven.queue.now + LEASE
            self.old_tokens.append(delivery.token)

        def see_burial(self, event: Buried) -> None:
            known = self.messages[event.id]
            assert not known.dead, "buried twice"
            known.dead, known.token = True, None
            self.buried.append(event.id)

        def let_go(self, known: Known) -> None:
            known.token = known.holder = None

        def held(self) -> list[Known]:
            return [known for known in self.messages.values() if known.token is not None]

        # What is done

        @rule(
            said=choices(
                group=[None, None, "g", "h"],
                key=[None, None, None, "k", "l"],
                priority=[0, 1],
                delay=[0, 0, 0, 1, 15],
                expires=[None, None, None, 3, 40],
            )
        )
        def publish(self, said: dict[str, Any]) -> None:
            self.count += 1
            body = b"%d" % self.count
            ticket = object()
            total, now = len(self.messages), self.driven.queue.now
            error: QueueError | None = None
            try:
                self.driven.queue.publish(ticket, body, **said)
            except QueueError as refused:
                error = refused
            if error is not None:
                assert error.code == "full"
                assert total >= 12
                return
            happened = self.driven.turn()
            (answer,) = (e for e in happened if getattr(e, "ticket", None) is ticket)
            key, expires = said["key"], said["expires"]
            known_id, until = self.keys.get(key, (0, 0.0))
            if isinstance(answer, Rejected):
                assert total >= 12
                assert until <= now
            elif until > now:
                assert answer.value == Published(known_id, duplicate=True)
            else:
                assert not answer.value.duplicate
                assert answer.value.id not in self.messages
                number = answer.value.id
                end = None if expires is None else now + expires
                self.messages[number] = Known(number, body, said["group"], said["priority"], end)
                self.published += 1
                if key is not None:
                    self.keys[key] = (number, now + 20)
            self.see(happened)

        @rule(count=st.integers(2, 4))
        def publish_several(self, count: int) -> None:
            """Of several at once each has its answer; those that find no room are refused."""
            room = 12 - len(self.messages)
            tickets: dict[object, bytes] = {}
            for _ in range(count):
                self.count += 1
                ticket, body = object(), b"%d" % self.count
                if len(tickets) < room:
                    self.driven.queue.publish(ticket, body)
                    tickets[ticket] = body
                else:
                    with pytest.raises(QueueError, match="is full"):
                        self.driven.queue.publish(ticket, body)
            happened = self.driven.turn()
            answers = [e for e in happened if getattr(e, "ticket", None) in tickets]
            assert [answer.ticket for answer in answers] == list(tickets)
            for answer in answers:
                number = answer.value.id
                assert number not in self.messages
                self.messages[number] = Known(number, tickets[answer.ticket], None, 0)
                self.published += 1
            self.see(happened)

        @precondition(lambda self: len(self.consumers) < len(NAMES))
        @rule(said=choices(credit=[1, 2, 3, 4], batch=[1, 2, 3]))
        def consume(self, said: dict[str, int]) -> None:
            name = next(name for name in NAMES if name not in self.consumers)
            self.consumers.append(name)
            self.driven.queue.consume(name, **said, linger=2 * (said["batch"] - 1))
            self.see(self.driven.turn())

        @precondition(lambda self: self.consumers)
        @rule(place=PLACES)
        def cancel(self, place: int) -> None:
            name = one_of(self.consumers, place)
            self.consumers.remove(name)
            self.driven.queue.cancel(name)
            for known in self.held():
                if known.holder == name:
                    self.let_go(known)
            self.see(self.driven.turn())

        @precondition(lambda self: self.held())
        @rule(place=PLACES)
        def ack(self, place: int) -> None:
            known = one_of(self.held(), place)
            self.driven.queue.ack(known.token, known.holder)
            del self.messages[known.id]
            self.acked += 1
            self.see(self.driven.turn())

        @precondition(lambda self: self.held())
        @rule(place=PLACES, said=choices(delay=[None, 0, 5], dead=[False, True]))
        def nack(self, place: int, said: dict[str, Any]) -> None:
            known = one_of(self.held(), place)
            self.driven.queue.nack(known.token, known.holder, error="no", **said)
            self.let_go(known)
            self.see(self.driven.turn())

        @precondition(lambda self: self.held())
        @rule(place=PLACES, seconds=st.sampled_from([0, 5, 60]))
        def extend(self, place: int, seconds: int) -> None:
            known = one_of(self.held(), place)
            until = self.driven.queue.extend(known.token, seconds, known.holder)
            assert until == self.driven.queue.now + seconds
            known.deadline = until
            if not seconds:
                self.let_go(known)
            self.see(self.driven.advance(0))

        @precondition(lambda self: self.old_tokens)
        @rule(place=PLACES)
        def stale_token(self, place: int) -> None:
            token = one_of(self.old_tokens[-12:], place)
            if any(known.token == token for known in self.held()):
                return
            for act in (self.driven.queue.ack, self.driven.queue.nack):
                with pytest.raises(QueueError, match="stale"):
                    act(token)

        @rule(seconds=st.sampled_from([0.5, 2, 9, 11, 30]))
        def wait(self, seconds: float) -> None:
            queue = self.driven.queue
            end = queue.now + seconds
            while (deadline := queue.deadline) is not None and deadline <= end:
                self.pass_time(max(deadline, queue.now))
            self.pass_time(end)

        def pass_time(self, now: float) -> None:
            for known in self.held():
                if known.deadline <= now:
                    self.let_go(known)
            self.see(self.driven.advance_to(now))

        def forget_expired(self) -> None:
            count = self.driven.queue.totals["expired"] - self.expired
            self.gone += count
            self.expired += count
            if not count:
                return
            now = self.driven.queue.now
            late = [
                known
                for known in self.messages.values()
                if known.expires is not None and known.expires <= now and not known.dead
            ]
            left = {row.id for row in self.rows()}
            for known in late:
                if known.id not in left:
                    del self.messages[known.id]
                    count -= 1
            assert count == 0, "expired before its time"

        @rule(count=st.integers(1, 3))
        def redrive(self, count: int) -> None:
            dead = sorted(known.id for known in self.messages.values() if known.dead)[:count]
            ticket = object()
            self.driven.queue.redrive(ticket, count)
            for number in dead:
                self.messages[number].dead = False
                self.messages[number].deliveries = 0
            happened = self.driven.turn()
            assert Settled(ticket, len(dead)) in happened
            self.see(happened)

        @rule(states=st.sampled_from([["dead"], ["blocked"], ["ready", "delayed", "blocked"]]))
        def purge(self, states: list[str]) -> None:
            wanted = {STATES.index(name) for name in states}
            gone = [row.id for row in self.rows() if row.state in wanted]
            ticket = object()
            self.driven.queue.purge(ticket, states)
            happened = self.driven.turn()
            assert Settled(ticket, len(gone)) in happened
            for number in gone:
                del self.messages[number]
            self.gone += len(gone)
            self.see(happened)

        def half_a_turn(self, place: int) -> tuple[Any, Known | None, list[Any]]:
            """Publish something, end what somebody holds, and stop before the store is asked."""
            ticket = None
            if len(self.messages) < 12:
                self.count += 1
                ticket = object()
                self.driven.queue.publish(ticket, b"%d" % self.count, group="g")
            ended = one_of(self.held(), place) if self.held() else None
            if ended is not None:
                self.driven.queue.ack(ended.token, ended.holder)
                self.let_go(ended)
            return ticket, ended, self.driven.queue.operations()

        @rule(place=PLACES, full=st.booleans())
        def store_fails(self, place: int, full: bool) -> None:
            """What is new is refused, and what was acknowledged is deleted a second later."""
            ticket, ended, operations = self.half_a_turn(place)
            if not operations:
                return
            events = self.driven.queue.receive_failure(StoreError("no", full=full))
            if ticket is not None:
                code = "full" if full else "unavailable"
                assert [e.error.code for e in events if isinstance(e, Rejected)] == [code]
            else:
                assert not events
            if ended is not None:
                del self.messages[ended.id]
                self.acked += 1
            self.wait(1.0)

        @precondition(lambda self: bench.reopen is not None and self.crashes < MAX_CRASHES)
        @rule(place=PLACES, done=st.booleans())
        def crash_in_a_turn(self, place: int, done: bool) -> None:
            """The process ends while the store is at work, before it does it, or behind that."""
            ticket, ended, operations = self.half_a_turn(place)
            if done and operations:
                self.driven.store.apply(operations)
                if ticket is not None:
                    new = [row for row in self.rows() if row.body == b"%d" % self.count]
                    self.messages[new[0].id] = Known(new[0].id, new[0].body, "g", 0)
                    self.published += 1
                if ended is not None:
                    del self.messages[ended.id]
                    self.acked += 1
                left = {row.id for row in self.rows()}
                for known in [k for k in self.messages.values() if k.id not in left]:
                    assert known.expires is not None
                    assert known.expires <= self.driven.queue.now
                    del self.messages[known.id]
                    self.gone += 1
            self.crash()

        @precondition(lambda self: bench.reopen is not None and self.crashes < MAX_CRASHES)
        @rule()
        def crash(self) -> None:
            assert bench.reopen is not None
            self.crashes += 1
            driven = self.driven
            self.driven = self.begin(bench.reopen(driven.store), driven.queue.now)
            self.consumers.clear()
            self.expired = 0
            for known in self.messages.values():
                self.let_go(known)
            self.forget_expired()
            rows = {row.id: row for row in self.rows()}
            for known in self.messages.values():
                row = rows[known.id]
                # What was claimed for a batch that was not full yet has counted.
                assert known.deliveries <= row.deliveries <= known.deliveries + 1
                known.deliveries = row.deliveries
                if row.state == DEAD and not known.dead:
                    assert known.deliveries == MAX_DELIVERIES
                    known.dead = True
                    self.buried.append(known.id)

        # What always holds

        def rows(self) -> list[Any]:
            return list(self.driven.store.apply([Peek("jobs", None, 1000)])[0])

        @invariant()
        def nothing_is_lost_and_the_counts_are_right(self) -> None:
            queue = self.driven.queue
            # Before the store looks at its rows for us: it remembers some of this.
            counts = self.driven.store.counts("jobs")
            rows = self.rows()
            assert {row.id: row.body for row in rows} == {
                known.id: known.body for known in self.messages.values()
            }
            states = [row.state for row in rows]
            assert counts == queue.counts
            heads = [(-row.priority, row.id, row.published) for row in rows if row.state == READY]
            assert counts.head == (min(heads)[2] if heads else None)
            assert [
                counts.ready,
                counts.delayed,
                counts.blocked,
                counts.leased,
                counts.dead,
            ] == [states.count(s) for s in (READY, DELAYED, BLOCKED, LEASED, DEAD)]
            assert counts.bytes == sum(len(row.body) for row in rows)
            assert counts.total == self.published - self.acked - self.gone
            assert {row.id for row in rows if row.state == DEAD} == {
                known.id for known in self.messages.values() if known.dead
            }
            held = {known.id for known in self.held()}
            assert held <= {row.id for row in rows if row.state == LEASED}

        @invariant()
        def nobody_waits_who_could_have_something(self) -> None:
            queue = self.driven.queue
            if queue.stats()["credit"]:
                assert not queue.counts.ready

    return Machine
