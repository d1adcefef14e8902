"""What publishers may ask for, and how much room is left to them."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.limits import DEFAULT
from rawsio.queue.intake import Intake
from rawsio.queue.messages import QueueError, QueueOptions
from rawsio.queue.operations import Bodies, Counts, Drop


def intake(counts: Counts | None = None, **options: Any) -> Intake:
    checked = QueueOptions(**options).checked(DEFAULT)
    return Intake("jobs", checked, DEFAULT, counts or Counts(), {"refused": 0})


def test_what_waits_counts_as_if_it_were_stored() -> None:
    made = intake(Counts(ready=1, bytes=10), max_messages=3)
    first = made.insert(b"1", 0, 0)
    made.insert(b"2", 0, 1)
    with pytest.raises(QueueError, match="1 messages, 10 bytes, 2 to come"):
        made.insert(b"3", 0, 2)
    made.forget(first)
    made.insert(b"3", 0, 1)


def test_a_full_queue_still_knows_duplicates() -> None:
    made = intake(Counts(ready=3), max_messages=3)
    assert made.insert(b"1", 0, 0, key="known").known_only
    assert made.incoming == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"priority": False},
        {"priority": 0.0},
        {"priority": ""},
        {"delay": False},
        {"delay": ""},
        {"delay": -1},
        {"key": ""},
        {"group": 7},
        {"expires": "soon"},
    ],
)
def test_what_is_nearly_nothing_is_refused_as_well(wrong: dict[str, Any]) -> None:
    with pytest.raises(QueueError) as caught:
        intake().insert(b"1", 0, 0, **wrong)
    assert caught.value.code == "bad_request"


def test_the_row_says_what_the_publisher_said() -> None:
    row = intake(dedup=2).insert(b"1", 1000, 0, "k", 1, -5, "g", 3)
    assert (row.key, row.due, row.priority, row.group, row.expires) == ("k", 2000, -5, "g", 4000)
    assert row.until == 3000
    assert intake(retention=9).insert(b"1", 1000, 0).expires == 10_000


def test_a_queue_that_drops_makes_room_for_what_is_sent() -> None:
    made = intake(Counts(ready=3, bytes=3), max_messages=3, policy="drop_oldest")
    sent = [(made.insert(b"1", 0, 0), None) for _ in range(2)]
    drop = made.drop_for(list(sent))
    assert isinstance(drop, Drop)
    assert drop.count == 2
    assert intake(max_messages=3).drop_for([]) is None


def test_bodies_that_find_room_are_taken_together_and_others_not_at_all() -> None:
    made = intake(Counts(ready=1, bytes=10), max_messages=4, max_message=5)
    assert made.admits([b"1", b"22"], 0)
    assert made.incoming == 2
    assert not made.admits([b"3", b"4"], 2), "one too many"
    assert not made.admits([b"666666"], 2), "too long"
    assert made.incoming == 2
    assert made.admits([b"3"], 2)
    made.forget_bodies([b"1", b"22"])
    assert made.incoming == 1
    waiting = DEFAULT.queue_waiting - 2
    assert not made.admits([b"1"] * 3, waiting), "too much waits for the store"
    assert made.admits([b"1"], waiting)


def test_bodies_have_to_find_room_in_bytes() -> None:
    made = intake(Counts(ready=1, bytes=10), max_bytes=13)
    assert not made.admits([b"12", b"34"], 0)
    assert made.admits([b"12", b"3"], 0)
    assert not made.admits([b"4"], 0)
    made.forget_bodies([b"12", b"3"])
    assert made.admits([b"4"], 0)


def test_oldest_messages_make_room_for_bodies() -> None:
    made = intake(Counts(ready=3, bytes=30), max_messages=3, policy="drop_oldest")
    assert made.admits([b"1", b"2"], 0)
    assert made.drop_for([(Bodies("jobs", 0, [b"1", b"2"]), [1, 2])]) == Drop("jobs", 2, 0)
