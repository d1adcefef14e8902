"""What the kernel did not take yet: parts in order, sent with as little copying as possible.

Parts are kept as the references that they are.  The same frame waits for a thousand slow readers
without a copy for each, nothing is appended to a growing buffer, and a part that went out half is a
view of its rest, so the work is linear in the bytes whatever the kernel takes at a time.  Small
parts are joined when their turn comes, at most 32 KiB at a time; long ones go out by ``sendmsg``,
unjoined.

The stream decides when to try, and what a failure means.
"""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Part = bytes | memoryview

__all__ = ["Pool", "WriteBuffer", "JOIN", "send_parts"]

JOIN = 32768
"""Up to this many bytes are joined into one ``send``; above, copying costs more than it saves."""

_PARTS = 256
"""Most parts given to one ``sendmsg``: below the limit (IOV_MAX) of every system that has it."""

_CALLS = 16
"""Most system calls in a row: other connections want a turn too."""

POOLED = 1024
"""From this length on, a part is looked for in the pool: it may be a broadcast's."""

_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")


class Pool:
    """Counts what waits in several queues once: ``size`` is how long all of it is together.

    >>> pool, part = Pool(), bytes(5000)
    >>> pool.add(part, 5000), pool.add(part, 5000), pool.size
    (None, None, 5000)
    >>> pool.remove(part, 5000), pool.remove(part, 5000), pool.size
    (None, None, 0)
    """

    __slots__ = ("size", "_counts")

    def __init__(self) -> None:
        self.size = 0
        # By identity; whoever adds a part keeps it, so its id stays its own.
        self._counts: dict[int, int] = {}

    def add(self, part: object, size: int) -> None:
        """Take note that one more queue has a part."""
        count = self._counts.get(id(part), 0)
        self._counts[id(part)] = count + 1
        if not count:
            self.size += size

    def remove(self, part: object, size: int) -> None:
        """Take note that one queue less has it."""
        count = self._counts.pop(id(part)) - 1
        if count:
            self._counts[id(part)] = count
        else:
            self.size -= size


def send_parts(sock: socket.socket, parts: list[Any]) -> int:
    """Send parts in one system call, unjoined; return how many bytes the kernel took."""
    if len(parts) == 1 or not _HAS_SENDMSG:
        return sock.send(parts[0])
    return sock.sendmsg(parts[:_PARTS])


class WriteBuffer:
    """A queue of parts; ``size`` is how many bytes they are together, ``own`` those of short parts.

    The others are in the ``pool``, where those of several queues count once.  The first ``sent``
    bytes went out already.

    >>> queue = WriteBuffer([b"ab", b"cdef"])
    >>> here, there = socket.socketpair()
    >>> queue.send(here), queue.size, there.recv(10)
    (True, 0, b'abcdef')
    >>> here.close(), there.close()
    (None, None)
    """

    __slots__ = ("size", "own", "_parts", "_taken", "_pool")

    def __init__(self, parts: Iterable[Part], pool: Pool | None = None, sent: int = 0) -> None:
        self.size = self.own = self._taken = 0
        self._parts: deque[Part] = deque()
        self._pool = Pool() if pool is None else pool
        self.extend(parts)
        if sent:
            self._drop(sent)

    def extend(self, parts: Iterable[Part]) -> None:
        """Put parts behind what is there; empty ones are dropped."""
        kept = [part for part in parts if len(part)]
        self._parts.extend(kept)
        self.size += sum(map(len, kept))
        for part in kept:
            self._count(part)

    def clear(self) -> None:
        """Drop everything."""
        while self._parts:
            self._uncount(self._parts.popleft())
        self.size = 0

    def _count(self, part: Part) -> None:
        whole = _whole(part)
        if len(whole) >= POOLED:
            self._pool.add(whole, len(whole))
        else:
            self.own += len(part)

    def _uncount(self, part: Part) -> None:
        whole = _whole(part)
        if len(whole) >= POOLED:
            self._pool.remove(whole, len(whole))
        else:
            self.own -= len(part)

    def send(self, sock: socket.socket) -> bool:
        """Send until the kernel takes no more; return whether it took anything.

        Raises the ``OSError`` of the socket, but not that it would block.
        """
        before = self.size
        try:
            for _ in range(_CALLS):
                if not self._parts or not self._send_once(sock):
                    break
        except (BlockingIOError, InterruptedError):
            return self.size < before
        return self.size < before

    def took(self, count: float) -> bool:
        """Return whether so many bytes were taken since the last time that this was so."""
        enough = self._taken >= count
        if enough:
            self._taken = 0
        return enough

    def _send_once(self, sock: socket.socket) -> bool:
        """Make one system call; return whether the kernel took all that it was given."""
        parts = list(islice(self._parts, _PARTS))
        offered = sum(map(len, parts))
        if len(parts) > 1 and offered <= JOIN:
            for _ in parts:
                self._uncount(self._parts.popleft())
            parts = [b"".join(parts)]
            self._parts.appendleft(parts[0])
            self._count(parts[0])
        if not _HAS_SENDMSG:
            offered = len(parts[0])
        sent = send_parts(sock, parts)
        self._drop(sent)
        return sent == offered

    def _drop(self, count: int) -> None:
        parts = self._parts
        self.size -= count
        self._taken += count
        while parts and len(parts[0]) <= count:
            part = parts.popleft()
            count -= len(part)
            self._uncount(part)
        if count:
            self._uncount(parts[0])
            parts[0] = memoryview(parts[0])[count:]
            self._count(parts[0])


def _whole(part: Any) -> bytes:
    """Return what a part is a view of: that stays as long as the view does."""
    # Views are made here, of bytes.
    viewed: Any = part.obj if isinstance(part, memoryview) else part
    whole: bytes = viewed
    return whole
