"""A Redis in memory that has queues: what our script does there, done by the store in memory."""

from __future__ import annotations

from typing import Any

from rawsio.queue.memory import MemoryStore
from rawsio.queue.operations import (
    Bury,
    Claim,
    Delete,
    Drop,
    Insert,
    Peek,
    Purge,
    Redrive,
    Release,
    Row,
    Sweep,
)
from rawsio.redis import ErrorReply
from tests.redis.fake import FakeRedis

__all__ = ["QueueRedis"]

_KINDS: dict[str, tuple[type, str]] = {
    # name: the operation, and what its arguments are: whole numbers, texts, bytes, a truth
    "insert": (Insert, "biiiittib"),
    "claim": (Claim, "ii"),
    "delete": (Delete, "iiit"),
    "release": (Release, "iiitb"),
    "bury": (Bury, "iist"),
    "drop": (Drop, "ii"),
    "sweep": (Sweep, "ii"),
    "purge": (Purge, "pii"),
    "redrive": (Redrive, "i"),
    "peek": (Peek, "iiii"),
}


def _read(kind: str, word: bytes) -> Any:
    if kind == "i":
        return int(word) if word else None
    if kind == "t":
        return word.decode() or None
    if kind == "s":
        return word.decode()
    if kind == "p":
        return tuple(int(digit) for digit in word.decode())
    return word


def _operations(queue: str, words: list[bytes]) -> list[Any]:
    made = []
    rest = iter(words)
    for word in rest:
        name = word.decode()
        cls, kinds = _KINDS[name]
        values = [_read(kind, next(rest)) for kind in kinds]
        if name == "insert":
            values[8] = values[8] == b"1"
            values[7] = values[7] or 0
        elif name == "release":
            values[4] = values[4] == b"1"
        made.append(cls(queue, *values))
    return made


def _shown(result: Any) -> Any:
    if isinstance(result, tuple):
        return [b"%d" % result[0], int(result[1])]
    if isinstance(result, list):
        return [_row(row) for row in result]
    return int(result) if isinstance(result, bool) else result


def _row(row: Row) -> list[Any]:
    numbers = [b"%d" % n for n in (row.published, row.priority, row.due)]
    until = None if row.expires is None else b"%d" % row.expires
    texts = [None if text is None else text.encode() for text in (row.group, row.key, row.error)]
    return [b"%d" % row.id, row.state, row.body, row.deliveries, *numbers, until, *texts]


class _Script:
    """Who publishes from a script gets no answer."""

    def reply(self, _value: Any) -> None:
        return


class QueueRedis(FakeRedis):
    """Knows the two scripts only when it was sent them once."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.scripts: set[bytes] = set()
        self.opened: set[str] = set()
        self.given: list[bytes] = []
        self.runs = 0
        self.turns: list[list[Any]] = []
        self.last: dict[bytes, tuple[bytes, Any]] = {}

    def do_evalsha(self, client: Any, script: bytes, *args: bytes) -> None:
        if script not in self.scripts:
            client.reply(ErrorReply("NOSCRIPT", "No matching script."))
        else:
            self._turn(client, *args)

    def do_eval(self, client: Any, script: bytes, *args: bytes) -> None:
        from rawsio.queue.redis_script import digest

        self.scripts.add(digest(script.decode()).encode())
        self._turn(client, *args)

    def _turn(self, client: Any, _keys: bytes, key: bytes, *args: bytes) -> None:
        run, number, *self.given = args[:4]
        queue = key.decode()
        if queue not in self.opened:
            self.opened.add(queue)
            self.store.open(queue, 5, 0)
        if not run:
            self.runs += 1
            run = b"%d" % self.runs
        known = self.last.get(run)
        if known is None or known[0] != number:
            operations = _operations(queue, list(args[6:]))
            self.turns.append(operations)
            before = self.store.counts(queue).ready
            results = [_shown(result) for result in self.store.apply(operations)]
            if self.store.counts(queue).ready > before:
                self.do_publish(_Script(), key + b":wake", run)  # type: ignore[arg-type]
            self.last[run] = known = (number, results)
        counts = self.store.counts(queue)
        held = [getattr(counts, name) for name in counts.__match_args__]
        times = [None if time is None else b"%d" % time for time in held[6:]]
        client.reply([known[1], [*held[:6], *times], run])
