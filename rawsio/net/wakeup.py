"""A pair of sockets that ends a waiting ``select``.

The selector watches one end, and whoever has something for the loop writes a byte to the other:
another thread, the interpreter's signal handler, or the owner's own thread outside a turn, whose
host is about to wait in *its* loop for our descriptor.  One byte is enough for any number of
reasons, so a flag remembers that one is on its way.

The reason for waking stands in the loop's queue before the byte is sent, so the byte says nothing.
"""

from __future__ import annotations

import socket

__all__ = ["WakeUp"]


class WakeUp:
    """Both ends: register ``fileno()`` for reading with ``drain`` as its callback.

    >>> pair = WakeUp()
    >>> pair.wake()
    >>> pair.wake()
    >>> pair.drain()
    >>> pair.close()
    """

    __slots__ = ("_here", "_there", "_sent")

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make a new pair: in a child process the old one is shared with the parent."""
        # A pair of sockets and not a pipe: the only thing that every system's select() takes.
        self._here, self._there = socket.socketpair()
        # The reader must not block when a signal's byte was read together with ours.
        self._here.setblocking(False)
        # The writer must not block when the buffer is full: then enough bytes are on their way.
        self._there.setblocking(False)
        self._sent = False

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        return self._here.fileno()

    def writable_fileno(self) -> int:
        """Return the descriptor to write to, for ``signal.set_wakeup_fd``."""
        return self._there.fileno()

    def wake(self) -> None:
        """Make the descriptor readable: from any thread, or a signal handler."""
        if self._sent:
            return
        # Set before sending: a signal handler that interrupts us here need not send another.
        self._sent = True
        try:
            self._there.send(b"\0")
        except OSError:  # a full buffer wakes it as well, and a closed one has nobody to wake
            return

    def drain(self) -> None:
        """Take the bytes out again; the loop then looks at its queue."""
        try:
            self._here.recv(4096)  # several, when signals wrote theirs
        except (BlockingIOError, InterruptedError):
            return
        finally:
            # Only after the bytes are gone: who finds the flag still set has put its reason into
            # the queue before, and the queue is looked at after this.
            self._sent = False

    def close(self) -> None:
        """Close both ends."""
        self._here.close()
        self._there.close()
