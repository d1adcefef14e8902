"""Messages in Redis: operations as the arguments of a script, and its answer as results.

There is no input or output here: :class:`~rawsio.queue.far.FarStore` sends what
:class:`RedisStore` makes, and gives it the answers.  The script is
:mod:`rawsio.queue.redis_script`.
"""

from __future__ import annotations

from .operations import (
    INTERRUPTED,
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
from .redis_script import PLAIN, SAVING, digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["RedisStore", "failure"]

_ROOM = 8_000_000
"""Bytes of bodies after which a claim gives no more messages: an answer has a bound."""
_DIGESTS = {script: digest(script) for script in (PLAIN, SAVING)}


class RedisStore:
    """One queue in Redis, as one server sees it.

    ``run`` is this server's number among those that ever served the queue; ``b""`` until
    :meth:`take` has read the first answer.  A server that says nothing for ``silence``
    milliseconds loses its leases.

    >>> store = RedisStore("jobs", max_deliveries=5, silence=10_000)
    >>> store.request([Delete("jobs", 7, 1, 10)])[2:5]
    [b'1', b'{rawsio:queue:jobs}', b'']
    """

    durable = True

    def __init__(self, name: str, *, max_deliveries: int, silence: int) -> None:
        self.key = b"{rawsio:queue:%b}" % name.encode()
        self.run = b""
        self._head = [b"%d" % silence, b"%d" % max_deliveries, INTERRUPTED.encode(), b"%d" % _ROOM]
        self._number = 0

    @property
    def channel(self) -> bytes:
        """Where servers tell each other that messages have become ready."""
        return self.key + b":wake"

    def request(self, operations: list[Any]) -> list[bytes]:
        """Return the command for a new turn; it may be sent again until it is answered.

        Where Redis does not know the script (``NOSCRIPT``), :meth:`in_full` does.
        """
        self._number += 1
        new = any(op.__class__ in (Insert, Bodies) for op in operations)
        args = [b"EVALSHA", _DIGESTS[PLAIN if new else SAVING].encode(), b"1", self.key]
        args += [self.run, b"%d" % self._number, *self._head]
        for op in _apart(operations):
            args += _FORMS[op.__class__](op)
        return args

    @staticmethod
    def in_full(request: list[bytes]) -> list[bytes]:
        """Return a request with its script."""
        named = {name.encode(): script for script, name in _DIGESTS.items()}
        return [b"EVAL", named[request[1]].encode(), *request[2:]]

    def take(self, operations: list[Any], answer: Any) -> tuple[list[Any], Counts]:
        """Return the result of each operation, and how the queue stands.

        Raises :class:`StoreError` for what the script cannot have said.
        """
        try:
            results, numbers, run = answer
            self.run = bytes(run)
            made = iter(
                [
                    _RESULTS.get(op.__class__, int)(result)
                    for op, result in zip(_apart(operations), results, strict=True)
                ]
            )
            found = [
                [next(made)[0] for _ in op.bodies] if op.__class__ is Bodies else next(made)
                for op in operations
            ]
            return found, _counts(numbers)
        except (TypeError, ValueError, IndexError) as error:
            raise StoreError(f"Redis answered what our script never says: {error}") from None


def failure(code: str, message: str, shown: str) -> StoreError:
    """Return what an error of Redis means.

    >>> failure("OOM", "command not allowed when used memory > 'maxmemory'.", "localhost").full
    True
    """
    if code == "OOM":
        return StoreError(f"no memory left in Redis at {shown} (maxmemory)", full=True)
    return StoreError(f"Redis at {shown}: {code} {message}")


def _apart(operations: list[Any]) -> list[Any]:
    """Return operations of which each is one for the script: a run is an insert for each body."""
    found: list[Any] = []
    for op in operations:
        if op.__class__ is Bodies:
            found += [Insert(op.queue, body, op.published) for body in op.bodies]
        else:
            found.append(op)
    return found


def _counts(numbers: list[Any]) -> Counts:
    *held, due, expires, head = numbers
    times = [None if time is None else int(float(time)) for time in (due, expires, head)]
    return Counts(*map(int, held), *times)


def _text(value: str | None) -> bytes:
    return b"" if value is None else value.encode("utf-8", "surrogatepass")


def _number(value: int | None) -> bytes:
    return b"" if value is None else b"%d" % value


def _insert(op: Insert) -> list[bytes]:
    numbers = (op.published, op.priority, op.due)
    return [
        *(b"insert", op.body, *map(_number, numbers), _number(op.expires)),
        *(_text(op.group), _text(op.key), _number(op.until), _number(int(op.known_only))),
    ]


def _delete(op: Delete) -> list[bytes]:
    return [b"delete", *map(_number, (op.id, op.lease, op.size)), _text(op.group)]


def _release(op: Release) -> list[bytes]:
    numbers = map(_number, (op.id, op.lease, op.due))
    return [b"release", *numbers, _text(op.error), _number(int(op.counted))]


def _bury(op: Bury) -> list[bytes]:
    return [b"bury", *map(_number, (op.id, op.lease)), _text(op.error), _text(op.group)]


def _purge(op: Purge) -> list[bytes]:
    states = b"".join(map(_number, op.states))
    return [b"purge", states, _number(op.count), _number(op.before)]


_FORMS: dict[type, Callable[[Any], list[bytes]]] = {
    Insert: _insert,
    Claim: lambda op: [b"claim", _number(op.count), _number(op.lease)],
    Delete: _delete,
    Release: _release,
    Bury: _bury,
    Drop: lambda op: [b"drop", _number(op.count), _number(op.bytes)],
    Sweep: lambda op: [b"sweep", _number(op.now), _number(op.count)],
    Purge: _purge,
    Redrive: lambda op: [b"redrive", _number(op.count)],
    Peek: lambda op: [b"peek", *map(_number, (op.state, op.count, op.after, op.room))],
}


def _rows(found: list[Any]) -> list[Row]:
    return [_row(*values) for values in found]


def _row(
    number: bytes,
    state: int,
    body: bytes,
    deliveries: int,
    published: bytes,
    priority: bytes,
    due: bytes,
    expires: bytes | None,
    *texts: bytes | None,
) -> Row:
    group, key, error = (None if t is None else t.decode("utf-8", "surrogatepass") for t in texts)
    until = None if expires is None else int(expires)
    times = (int(published), int(priority), int(due), until)
    return Row(int(number), state, body, len(body), deliveries, *times, group, key, error)


def _inserted(result: Any) -> tuple[int, bool] | None:
    return None if result is None else (int(result[0]), bool(result[1]))


def _purged(result: Any) -> tuple[int, int]:
    return int(result[0]), int(result[1])


def _done(result: int) -> bool:
    return result == 1


_RESULTS: dict[type, Callable[[Any], Any]] = {
    Insert: _inserted,
    Claim: _rows,
    Peek: _rows,
    Purge: _purged,
    **dict.fromkeys((Delete, Release, Bury), _done),
}
