"""Rows of the tables of a SQLite file: statements that insert many at once.

``executemany`` makes a step of each row, and gives the interpreter to other threads in each.  So
rows go in by statements of several.  Most messages are nothing but a body: their other columns are
the same, and their ids follow each other, so they cost one variable each.  Such a statement has a
size that is a power of two, and what is left of it is NULL: any number of messages up to 256 is one
statement, which SQLite has compiled before.
"""

from __future__ import annotations

from functools import cache
from itertools import chain

from .operations import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "COLUMNS",
    "INLINE",
    "STATEMENT",
    "are_short",
    "insert_bodies",
    "insert_messages",
    "read_rows",
]

COLUMNS = "id, state, body, size, deliveries, published, -rank, due, expires, grp, key, error"
"""What a :class:`~rawsio.queue.operations.Row` is made of, as SQL."""

INLINE = 1024
"""Longest body that stands in the row itself."""

_BODIES = (
    "INSERT INTO rawsio_message (id, queue, state, rank, due, published, size, body, lease,"
    " deliveries) SELECT ? + column1, ?, 0, 0, 0, ?, length(column2), column2, 0, 0"
    " FROM (VALUES {}) WHERE column2 IS NOT NULL"
)
_INSERT = (
    "INSERT INTO rawsio_message (id, queue, state, rank, due, published, expires, grp, key, size,"
    " body, lease, deliveries) VALUES "
)
_ROW = "(?,?,?,?,?,?,?,?,?,?,?,0,0)"
_INSERT_BODY = "INSERT INTO rawsio_body VALUES "
_PAIR = "(?,?)"
STATEMENT = 256
"""The most messages of a statement, if they are nothing but a body."""
_STEPS = (64, 8)
"""How many rows a statement inserts: at most 999 variables, the most that old versions of SQLite
allow."""


def read_rows(found: Any, room: int) -> list[Row]:
    """Return what a cursor gives, until bodies have ``room`` bytes; and close it."""
    rows: list[Row] = []
    for values in found:
        rows.append(Row(*values))
        room -= rows[-1].size
        if room <= 0:
            break
    found.close()
    return rows


def are_short(bodies: list[bytes]) -> bool:
    """Tell whether all of them stand in the rows themselves."""
    return max(map(len, bodies)) <= INLINE


def insert_bodies(
    connection: Any, first: int, queue: int, published: int, bodies: list[bytes]
) -> None:
    """Insert messages that are ready and nothing but a body; ``first`` is the id of the first."""
    for at in range(0, len(bodies), STATEMENT):
        part = bodies[at : at + STATEMENT]
        size = 1 << (len(part) - 1).bit_length()
        values = (first + at, queue, published, *part, *[None] * (size - len(part)))
        connection.execute(_bodies_statement(size), values)


@cache
def _bodies_statement(size: int) -> str:
    # The variables are the first id, the queue, the time, and the bodies.
    return _BODIES.format(",".join([f"({n},?)" for n in range(size)]))


def insert_messages(
    connection: Any, rows: list[tuple[Any, ...]], bodies: list[tuple[Any, ...]]
) -> None:
    """Insert messages of any kind, and the bodies that stand in a table of their own.

    A row is ``(id, queue, state, rank, due, published, expires, group, key, size, body)``, a body
    ``(id, data)``.  Both lists are empty afterwards.
    """
    for head, row, waiting in ((_INSERT, _ROW, rows), (_INSERT_BODY, _PAIR, bodies)):
        at = 0
        for size in _STEPS:
            sql = head + ",".join([row] * size)
            while len(waiting) - at >= size:
                connection.execute(sql, [*chain.from_iterable(waiting[at : at + size])])
                at += size
        if at < len(waiting):
            connection.executemany(head + row, waiting[at:])
        waiting.clear()
