"""Operations as words for Redis, and its answers as results."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.queue.operations import (
    Bodies,
    Bury,
    Claim,
    Counts,
    Delete,
    Drop,
    Insert,
    Peek,
    Purge,
    Redrive,
    Release,
    Row,
    StoreError,
    Sweep,
)
from rawsio.queue.redis_script import PLAIN, SAVING, digest
from rawsio.queue.redis_store import RedisStore, failure

NONE = [0, 0, 0, 0, 0, 0, None, None, None]


def store() -> RedisStore:
    return RedisStore("jobs", max_deliveries=5, silence=10_000)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (Insert("jobs", b"{}", 5), [b"insert", b"{}", b"5", b"0", b"0", b"", b"", b"", b"0", b"0"]),
        (
            Insert("jobs", b"\0\r\n", 5, -1, 6, 7, "g", "k", 8, known_only=True),
            [b"insert", b"\0\r\n", b"5", b"-1", b"6", b"7", b"g", b"k", b"8", b"1"],
        ),
        (Claim("jobs", 3, 1 << 90), [b"claim", b"3", b"%d" % (1 << 90)]),
        (Delete("jobs", 1, 2, 3, "\ud800"), [b"delete", b"1", b"2", b"3", b"\xed\xa0\x80"]),
        (Release("jobs", 1, 2, 3, "why"), [b"release", b"1", b"2", b"3", b"why", b"1"]),
        (Release("jobs", 1, 2, counted=False), [b"release", b"1", b"2", b"0", b"", b"0"]),
        (Bury("jobs", 1, 2, "why"), [b"bury", b"1", b"2", b"why", b""]),
        (Drop("jobs", 1, 2), [b"drop", b"1", b"2"]),
        (Sweep("jobs", 9, 5), [b"sweep", b"9", b"5"]),
        (Purge("jobs", (0, 2), 9, 7), [b"purge", b"02", b"9", b"7"]),
        (Redrive("jobs", 4), [b"redrive", b"4"]),
        (Peek("jobs", None, 4, 2, 9), [b"peek", b"", b"4", b"2", b"9"]),
    ],
)
def test_each_operation_has_its_words(operation: Any, words: list[bytes]) -> None:
    assert store().request([operation])[10:] == words


def test_a_run_is_an_insert_for_each_body() -> None:
    inserts = [Insert("jobs", b"1", 5), Insert("jobs", b"2", 5)]
    assert store().request([Bodies("jobs", 5, [b"1", b"2"])]) == store().request(inserts)


def test_a_turn_names_its_script_its_queue_its_server_and_its_number() -> None:
    made = store()
    first = made.request([Insert("jobs", b"1", 0)])
    assert first[:6] == [
        b"EVALSHA",
        digest(PLAIN).encode(),
        *(b"1", b"{rawsio:queue:jobs}", b"", b"1"),
    ]
    made.take([], [[], NONE, b"77"])
    second = made.request([Sweep("jobs", 0, 9)])
    assert second[1] == digest(SAVING).encode()
    assert second[4:6] == [b"77", b"2"]
    assert made.in_full(second)[:2] == [b"EVAL", SAVING.encode()]
    assert made.in_full(second)[2:] == second[2:]
    assert made.channel == b"{rawsio:queue:jobs}:wake"


def test_an_answer_is_the_results_and_how_the_queue_stands() -> None:
    row = [b"4", 3, b"{}", 2, b"5", b"-1", b"0", None, b"g", None, b"why"]
    insert, delete = Insert("jobs", b"1", 0), Delete("jobs", 1, 1, 1)
    run = Bodies("jobs", 0, [b"1", b"2"])
    made, counts = store().take(
        [
            *(insert, insert, Claim("jobs", 1, 1), Sweep("jobs", 0, 9), run, delete, delete),
            Purge("jobs", (0,), 9),
        ],
        [
            [[b"3", 1], None, [row], 6, [b"8", 0], [b"9", 0], 1, 0, [b"7", 2]],
            [1, 2, 3, 4, 5, 6, b"1.5e3", None, b"8"],
            b"1",
        ],
    )
    expected = Row(4, 3, b"{}", 2, 2, 5, -1, 0, None, "g", None, "why")
    assert made == [(3, True), None, [expected], 6, [8, 9], True, False, (7, 2)]
    assert counts == Counts(1, 2, 3, 4, 5, 6, 1500, None, 8)


@pytest.mark.parametrize(
    "answer",
    [
        *(None, 7, [], [[], NONE], [[], [1], b"1"], [[1, 2], NONE, b"1"]),
        *([[b"x"], NONE, b"1"], [[["x"]], NONE, b"1"]),
    ],
)
def test_an_answer_that_no_script_gave_is_an_error_of_the_store(answer: Any) -> None:
    with pytest.raises(StoreError, match="never says"):
        store().take([Claim("jobs", 1, 1)], answer)


def test_no_memory_is_no_room_and_other_errors_are_themselves() -> None:
    assert failure("OOM", "command not allowed", "here").full
    other = failure("WRONGTYPE", "Operation against a key", "here")
    assert not other.full
    assert "here: WRONGTYPE Operation" in str(other)
