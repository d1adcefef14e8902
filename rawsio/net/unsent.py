"""What the kernel did not take yet: parts in order, sent with as little copying as possible.

The one idea: parts are kept **as the references that they are**.  The same frame waits for a
thousand slow readers without a copy for each, nothing is appended to a growing buffer, and a part
that went out half is a view of its rest, so the work is linear in the bytes whatever the kernel
takes at a time.  Small parts are joined when their turn comes, at most 32 KiB at a time; long
ones go out by ``sendmsg``, unjoined.

What is left out: when to try, and what a failure means; that is the stream's.
"""

from __future__ import annotations

import socket
from collections import deque
from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Part = bytes | memoryview

__all__ = ["Unsent", "JOIN"]

JOIN = 32768
"""Up to this many bytes are joined into one ``send``; above, copying costs more than it saves."""

_PARTS = 256
"""Most parts given to one ``sendmsg``: below the limit (IOV_MAX) of every system that has it."""

_CALLS = 16
"""Most system calls in a row: other connections want a turn too."""

_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")


class Unsent:
    """A queue of parts; ``size`` is how many bytes they are together.

    >>> queue = Unsent([b"ab", b"cdef"])
    >>> here, there = socket.socketpair()
    >>> queue.send(here), queue.size, there.recv(10)
    (True, 0, b'abcdef')
    >>> here.close(), there.close()
    (None, None)
    """

    __slots__ = ("size", "_parts", "_taken")

    def __init__(self, parts: Iterable[Part]) -> None:
        self.size = self._taken = 0
        self._parts: deque[Part] = deque()
        self.extend(parts)

    def extend(self, parts: Iterable[Part]) -> None:
        """Put parts behind what is there; empty ones are dropped."""
        kept = [part for part in parts if len(part)]
        self._parts.extend(kept)
        self.size += sum(map(len, kept))

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
                self._parts.popleft()
            parts = [b"".join(parts)]
            self._parts.appendleft(parts[0])
        if len(parts) > 1 and _HAS_SENDMSG:
            sent = sock.sendmsg(parts)
        else:
            offered = len(parts[0])
            sent = sock.send(parts[0])
        self._drop(sent)
        return sent == offered

    def _drop(self, count: int) -> None:
        parts = self._parts
        self.size -= count
        self._taken += count
        while parts and len(parts[0]) <= count:
            count -= len(parts.popleft())
        if count:
            parts[0] = memoryview(parts[0])[count:]
