"""Reading Redis streams from where we are, for as long as the server runs.

A reader asks once for the id of the last entry, and from then on for what comes behind the one that
it saw last, so nothing is missed between two questions, nor while Redis is away: what others wrote
meanwhile comes afterwards, in its order.  A stream that has become shorter than we know it was
lost (a Redis that kept nothing was started again), and is read from its beginning.

An answer of many large entries may be more than a connection takes (``Limits.resp_value``): after
a broken connection the reader asks for fewer, and for more again as they come.
"""

from __future__ import annotations

import re
from functools import partial

from rawsio.errors import ConnectionClosed
from rawsio.log import ERROR, WARNING
from rawsio.redis import RedisState

from .fields import ClusterError
from .stream_form import pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.redis import Answer, RedisClient

    Took = Callable[[str, dict[bytes, bytes]], object]

__all__ = ["BEGINNING", "StreamReader", "as_position"]

BEGINNING = "0-0"
"""The position before every entry."""

_ID = re.compile("([0-9]{1,20})-([0-9]{1,20})")

_AGAIN = 1.0
"""Seconds after which a refused command is tried again."""


def as_position(text: str) -> tuple[int, int] | None:
    """Return the id of an entry as two numbers, which compare as ids do; ``None`` if it is none.

    >>> as_position("1795897884819-0") < as_position("1795897884819-10"), as_position("5-x")
    (True, None)
    """
    found = _ID.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


class StreamReader:
    """Reads streams by a client of its own; ``took(id, fields)`` is called for each entry.

    ``positions`` has the id of the last entry that was read, by stream.  ``mark`` gives the fields
    of an entry to begin an empty stream with: with one there is a position to go back to.
    """

    def __init__(self, host: Any, took: Took, *, count: int, block: float, mark: list[str]) -> None:
        self.positions: dict[str, str] = {}
        self._host = host
        self._took = took
        self._client: RedisClient | None = None
        self._most = self._count = count
        self._block = block
        self._mark = mark
        self._fresh: set[str] = set()
        # Which question is asked: answers to earlier ones count no more.
        self._round = 0

    def use(self, client: RedisClient) -> None:
        """Read by this client, which is not started yet."""
        self._client = client

    def add(self, stream: str) -> None:
        """Read this stream, too."""
        if stream not in self.positions and stream not in self._fresh:
            self._fresh.add(stream)
            if self._is_ready():
                self.begin()

    def _is_ready(self) -> bool:
        return self._client is not None and self._client.state is RedisState.READY

    def begin(self) -> None:
        """Look where the streams are, and read on: there is a connection."""
        self._round += 1
        client = self._client
        streams = sorted({*self._fresh, *self.positions})
        if client is None or not streams:
            return
        missing = len(streams)

        def looked(stream: str, number: int, answer: Answer) -> None:
            nonlocal missing
            if number != self._round or not self._is_fine(answer, number, self.begin):
                return
            self._place(stream, answer.result())
            missing -= 1
            if not missing:
                self._read(number)

        for stream in streams:
            asked = client.execute("XREVRANGE", stream, "+", "-", "COUNT", 1)
            asked.add_done_callback(partial(looked, stream, self._round))

    def _place(self, stream: str, found: Any) -> None:
        last = BEGINNING
        if type(found) is list and found and type(found[0]) is list:
            last = str(found[0][0], "ascii", "replace")
        known = self.positions.get(stream)
        if known is None:
            self._fresh.discard(stream)
            self.positions[stream] = last
        elif (as_position(last) or (0, 0)) < (as_position(known) or (0, 0)):
            self._host.log("cluster", WARNING, f"the stream {stream!r} was lost, and began anew")
            self.positions[stream] = BEGINNING
        if last == BEGINNING and self._mark and self._client is not None:
            self._client.execute("XADD", stream, "*", *self._mark)

    def _is_fine(self, answer: Answer, number: int, again: Callable[[], object]) -> bool:
        """Tell whether a command worked; one that was refused is tried again later."""
        error = answer.error
        if error is None:
            return True
        if isinstance(error, ConnectionClosed):
            self._count = max(1, self._count // 2)  # READY begins anew
        else:
            self._host.log("cluster", ERROR, f"Redis refused to read a stream: {error}")
            self._host.call_later(_AGAIN, lambda: again() if number == self._round else None)
        return False

    def _read(self, number: int) -> None:
        client = self._client
        if client is None or number != self._round or not self._is_ready():
            return
        streams = list(self.positions)
        asked = client.execute(
            *("XREAD", "COUNT", self._count, "BLOCK", int(self._block * 1000), "STREAMS"),
            *(*streams, *(self.positions[stream] for stream in streams)),
            wait=self._block,
        )
        asked.add_done_callback(partial(self._came, number))

    def _came(self, number: int, answer: Answer) -> None:
        if number != self._round or not self._is_fine(answer, number, self.begin):
            return
        value = answer.result()
        # Version 2 has an array of pairs where version 3 has a map.
        found = value.items() if isinstance(value, dict) else value or ()
        for name, entries in found:
            for entry in entries:
                self._take(str(name, "utf-8", "replace"), entry)
        self._count = min(self._most, 2 * self._count)
        self._read(number)

    def _take(self, stream: str, entry: Any) -> None:
        last = str(entry[0], "ascii", "replace")
        self.positions[stream] = last
        try:
            self._took(last, pairs(entry[1]))
        except ClusterError as error:
            text = f"the entry {last} of {stream!r} was dropped: {error.message} [{error.rule}]"
            self._host.log("cluster", WARNING, text)

    def stop(self) -> None:
        """Read no more."""
        self._round += 1
        self._client = None
