"""What a child process makes anew after a fork.

A child shares the descriptors of its parent.  Two loops that wait for one wake-up socket take each
other's bytes, and an ``epoll`` set is one object for all processes that have it: what one of them
registers, the others wait for.  So everything that owns such descriptors is told in the child, in
:meth:`Forked.forked`, before anything else runs there.

The hook is the interpreter's (``os.register_at_fork``), so it covers ``os.fork`` and
``multiprocessing``; where it does not exist, processes do not fork.
"""

from __future__ import annotations

import os
import sys
from _weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Forked(Protocol):
        """What has something to make anew."""

        def forked(self) -> None:
            """Called in the child, once for each fork."""


__all__ = ["move_wakeup", "watch"]

_watched: set[Any] = set()


def watch(target: Forked) -> None:
    """Have ``target.forked()`` called in every child process, as long as the target lives."""
    _watched.add(ref(target, _watched.discard))


def _in_child() -> None:
    for reference in list(_watched):
        target = reference()
        if target is not None:
            target.forked()


def move_wakeup(old: int, new: int) -> None:
    """Let signals wake the new descriptor, if they woke the old one."""
    signal = sys.modules.get("signal")
    if signal is None:
        return
    try:
        current = signal.set_wakeup_fd(-1)
    except ValueError:  # not the main thread
        return
    if current >= 0:
        descriptor = new if current == old else current
        signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
