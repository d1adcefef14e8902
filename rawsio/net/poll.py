"""What is ready, from the kernel: one call a turn, and none for each descriptor.

``selectors`` makes an object for each registration and a call for each event; a loop that is busy
pays that for every message.  :class:`Epoll` is Linux's epoll as the loop needs it: descriptors and
masks, as the kernel gives them.  :class:`Selected` is the same around any selector of
``selectors``, for all other systems.

At most :data:`MOST` descriptors are handed out in one turn.  ``select`` makes room for as many
events as descriptors are registered, so with ten thousand idle ones each turn would pay for them.
The kernel goes through what is ready in a circle, so those that are left come next.

A mask has the bits of epoll: 1 for readable, 4 for writable, others for errors, which are both.
"""

from __future__ import annotations

import select
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from selectors import BaseSelector
    from typing import Protocol

    class Poll(Protocol):
        """What the loop needs of the kernel."""

        def ready(self, seconds: float, /) -> list[tuple[int, int]]:
            """Wait, and return the descriptors that are ready, with their masks."""
            ...

        def register(self, fd: int, mask: int, /) -> object:
            """Begin to watch a descriptor."""

        def modify(self, fd: int, mask: int, /) -> object:
            """Watch for something else; ``FileNotFoundError`` if it was closed meanwhile."""

        def unregister(self, fd: int, /) -> object:
            """Watch it no more; it may be closed already."""

        def fileno(self) -> int:
            """Return a descriptor that is readable when one of ours is ready, or raise."""
            ...

        def close(self) -> None:
            """Free the descriptor."""

else:
    Poll = object

__all__ = ["MOST", "READABLE", "WRITABLE", "Epoll", "Poll", "Selected", "best"]

READABLE, WRITABLE = 1, 4

MOST = 512
"""The most descriptors that are handed out in one turn."""


class Epoll:
    """epoll, level-triggered; see the module.

    >>> import socket
    >>> here, there = socket.socketpair()
    >>> poll = best()
    >>> poll.register(here.fileno(), READABLE)
    >>> poll.ready(0.0)
    []
    >>> there.send(b"x")
    1
    >>> poll.ready(0.0) == [(here.fileno(), READABLE)]
    True
    >>> poll.close(), here.close(), there.close()
    (None, None, None)
    """

    __slots__ = ("_epoll", "_poll", "register", "modify", "fileno", "close")

    def __init__(self) -> None:
        self._epoll = epoll = select.epoll()
        self._poll = epoll.poll
        self.register = epoll.register
        self.modify = epoll.modify
        self.fileno = epoll.fileno
        self.close = epoll.close

    def ready(self, seconds: float, /) -> list[tuple[int, int]]:
        """Wait, and return the descriptors that are ready, with their masks."""
        return self._poll(seconds, MOST)

    def unregister(self, fd: int, /) -> None:
        """Watch it no more; the kernel has forgotten what was closed."""
        try:
            self._epoll.unregister(fd)
        except OSError:
            return


class Selected:
    """A selector of ``selectors``; see the module."""

    __slots__ = ("_selector",)

    def __init__(self, selector: BaseSelector) -> None:
        self._selector = selector

    def ready(self, seconds: float, /) -> list[tuple[int, int]]:
        """Wait, and return the descriptors that are ready, with their masks."""
        return [
            (key.fd, (mask & EVENT_READ and READABLE) | (mask & EVENT_WRITE and WRITABLE))
            for key, mask in self._selector.select(seconds)
        ]

    def register(self, fd: int, mask: int, /) -> None:
        """Begin to watch a descriptor."""
        self._selector.register(fd, _events(mask))

    def modify(self, fd: int, mask: int, /) -> None:
        """Watch for something else, or anew: the descriptor may be another one by the number."""
        events, selector = _events(mask), self._selector
        if selector.get_key(fd).events == events:
            selector.unregister(fd)
            selector.register(fd, events)
        else:
            selector.modify(fd, events)

    def unregister(self, fd: int, /) -> None:
        """Watch it no more."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def fileno(self) -> int:
        """Return the descriptor of the selector; ``OSError`` where it has none."""
        descriptor = getattr(self._selector, "fileno", None)
        if descriptor is None:
            from io import UnsupportedOperation

            raise UnsupportedOperation("the selector of this system has no descriptor")
        return int(descriptor())

    def close(self) -> None:
        """Free the descriptor."""
        self._selector.close()


def _events(mask: int) -> int:
    return (mask & READABLE and EVENT_READ) | (mask & WRITABLE and EVENT_WRITE)


def best() -> Poll:
    """Return what is best on this system."""
    return Epoll() if hasattr(select, "epoll") else Selected(DefaultSelector())
