"""Rows that go into the tables many at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.queue.database import SCHEMA
from rawsio.queue.rows import insert_bodies, insert_messages


@pytest.fixture
def connection() -> Iterator[Any]:
    made = sqlite3.connect(":memory:")
    made.executescript(SCHEMA)
    yield made
    made.close()


@pytest.mark.parametrize("many", [1, 2, 3, 7, 8, 9, 255, 256, 257, 700])
def test_any_number_of_bodies_goes_in_with_ids_that_follow_each_other(
    connection: Any, many: int
) -> None:
    bodies = [b"%d" % n * (n % 5) for n in range(many)]
    insert_bodies(connection, 11, 3, 99, bodies)
    found = connection.execute(
        "SELECT id, queue, state, rank, due, published, expires, grp, key, size, body, lease,"
        " deliveries, error FROM rawsio_message ORDER BY id"
    ).fetchall()
    assert found == [
        (11 + n, 3, 0, 0, 0, 99, None, None, None, len(body), body, 0, 0, None)
        for n, body in enumerate(bodies)
    ]


def test_a_body_with_zero_bytes_is_as_long_as_it_is(connection: Any) -> None:
    insert_bodies(connection, 1, 1, 0, [b"\0\1\0", b""])
    found = connection.execute("SELECT size, body FROM rawsio_message ORDER BY id").fetchall()
    assert found == [(3, b"\0\1\0"), (0, b"")]


@pytest.mark.parametrize("many", [0, 1, 7, 8, 9, 72, 137])
def test_any_number_of_messages_and_of_long_bodies_goes_in(connection: Any, many: int) -> None:
    rows = [(n, 1, n % 3, -n, n, 5, n or None, f"g{n}", f"k{n}", 2, b"xy") for n in range(many)]
    bodies = [(n, b"long") for n in range(many)]
    given = [*rows]
    insert_messages(connection, rows, bodies)
    assert (rows, bodies) == ([], [])
    found = connection.execute(
        "SELECT id, queue, state, rank, due, published, expires, grp, key, size, body"
        " FROM rawsio_message ORDER BY id"
    ).fetchall()
    assert found == given
    assert connection.execute("SELECT * FROM rawsio_body ORDER BY id").fetchall() == [
        (n, b"long") for n in range(many)
    ]
