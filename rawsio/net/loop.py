"""A loop around one selector, with asyncio's method names, that fits into somebody else's loop.

Its methods are a subset of asyncio's event loop by the same names (``time``, ``add_reader``,
``remove_reader``, ``add_writer``, ``remove_writer``, ``call_soon``, ``call_soon_threadsafe``,
``call_later``), so everything above runs unchanged on either; and what asyncio does not have, it
has: ``step``, ``fileno`` and ``next_deadline``, with which a program that owns the main loop (Tk,
GLib, pygame, ``select`` on a few devices) gives us a turn when we need one.

One turn::

    select -> callbacks of readable and writable descriptors -> due timers -> call_soon

so what is scheduled with ``call_soon`` while reading (the flush of all touched connections) runs
in the same turn.  What a ``call_soon`` callback itself schedules runs in the same turn too, once;
the rest waits for the next, so that nobody can keep the loop from its sockets.

Waking
======
``call_soon_threadsafe`` and ``stop`` end a waiting ``select`` (:mod:`rawsio.net.wakeup`).  While
``run`` makes a turn nothing waits, and its next turn looks at the queue before it does: then they
cost no system call.
``call_soon`` and ``call_later`` do so as well outside a turn, though the owner's thread itself is
awake: the host may be about to wait in *its* loop for our ``fileno()``, and must find it readable.

Which thread
============
The owner is the thread that last called ``run`` or ``step`` (at first, the one that made the
loop).  Only ``call_soon_threadsafe`` and ``stop`` may be called from others.

A child process that was forked has a selector and a wake-up socket of its own, with the same
descriptors registered (:mod:`rawsio.net.forking`).  :meth:`check_process` is for those whose
connections may belong to the parent.

What ends a loop
================
An ``Exception`` of a callback is logged, and the loop goes on; so are ``GeneratorExit`` and
asyncio's ``CancelledError``, which mean nothing here.  ``SystemExit``, ``KeyboardInterrupt`` and
whatever else is no ``Exception`` leave ``step`` and ``run``: what they mean is for the host to
decide.

Time is a monotonic clock, so setting the system's clock changes nothing.  There is no name
resolution, no transports and no futures: layers need none of them.
"""

from __future__ import annotations

import os
import select
from _thread import get_ident
from collections import deque
from time import monotonic

from rawsio import log
from rawsio.errors import leaves_the_loop
from rawsio.limits import DEFAULT

from .forking import move_wakeup, watch
from .loop_timers import NEVER, TimerHandle, TimerQueue, bound
from .poll import READABLE, WRITABLE, Selected, best
from .wakeup import WakeUp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from selectors import BaseSelector
    from typing import Any, Protocol

    from .loop_timers import AnyLoop

    class Reader(Protocol):
        """What only waits for its descriptor to be readable."""

        def readable(self) -> object:
            """Read from it."""


__all__ = ["Loop"]

_LONGEST_WAIT = 86400.0
"""The most seconds given to a selector: some systems overflow at 24 days of milliseconds."""

_SLICE = DEFAULT.turn_time
"""Seconds of timers in a turn; those that are left come in the next, after its sockets."""

_ROUNDS = 2
"""How often a turn goes through the call_soon queue: callbacks, then what they scheduled."""


_READS, _WRITES = ~WRITABLE, ~READABLE
"""What else a mask has (errors, ends) is for whoever reads and for whoever writes."""


class _Channel:
    """The callbacks of one descriptor."""

    __slots__ = ("read", "write")

    def __init__(self) -> None:
        self.read: Callable[[], object] | None = None
        self.write: Callable[[], object] | None = None

    def mask(self) -> int:
        """Return the events that somebody wants."""
        wanted = READABLE if self.read is not None else 0
        return wanted | WRITABLE if self.write is not None else wanted


class Loop:
    """One selector and a turn of callbacks around it; see the module's essay.

    ``selector`` (one of ``selectors``) and ``clock`` are for tests, and for hosts that know better
    than :mod:`rawsio.net.poll` what to wait with.

    >>> loop = Loop()
    >>> loop.call_soon(print, "in the first turn")
    >>> loop.step(0)
    in the first turn
    >>> loop.close()
    """

    __slots__ = (
        *("time", "owner", "copied", "orphaned", "_poll", "_ready", "_timers", "_wakeup", "log"),
        *("_channels", "_fresh"),
        *("_turning", "_running", "_stopping", "_closed", "_awake", "__weakref__"),
    )

    def __init__(
        self, selector: BaseSelector | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.time = clock
        self.owner = get_ident()
        self.copied = False
        self.orphaned = False
        """Whether the thread that ran it stayed with the parent process."""
        self._poll = best() if selector is None else Selected(selector)
        # By descriptor; the many that only wait to be readable need no channel.
        self._channels: dict[int, _Channel | Reader] = {}
        # Descriptors that were registered in this turn.  The callback of one may close another of
        # the same batch, and its number be given to a third, whose event this is not.
        self._fresh: set[int] = set()
        self._ready: deque[Callable[[], object]] = deque()
        self._timers = TimerQueue()
        self._turning = False
        self._running = False
        self._stopping = False
        self._closed = False
        # Whether the queue will be looked at before the selector waits: nobody has to be woken.
        self._awake = False
        self.log = log.Log(clock)
        self._wakeup = WakeUp()
        self.add_reader(self._wakeup.fileno(), self._wakeup.drain)
        if selector is None:
            watch(self)

    def forked(self) -> None:
        """Make anew what a child process shares with its parent; called there."""
        if self._closed:
            return
        before = self._wakeup.writable_fileno()
        del self._channels[self._wakeup.fileno()]
        self._poll.close()
        self._poll = best()
        self._wakeup.close()
        self._wakeup.renew()
        move_wakeup(before, self._wakeup.writable_fileno())
        for fd, channel in self._channels.items():
            mask = channel.mask() if isinstance(channel, _Channel) else READABLE
            self._poll.register(fd, mask)
        self.add_reader(self._wakeup.fileno(), self._wakeup.drain)
        self.copied = True
        if self.owner != get_ident():  # the thread that runs it stayed with the parent
            self.orphaned = self._running
            self._turning = self._running = self._awake = False
        if self._ready:
            self._wakeup.wake()

    def check_process(self, connections: object) -> None:
        """Raise ``RuntimeError`` in a child that has copies of its parent's connections."""
        if self.copied:
            if connections:
                raise RuntimeError(
                    "this process was forked from one with open connections, which stay with it:"
                    " fork first, and connect or listen then"
                )
            self.copied = self.orphaned = False

    # Descriptors

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in every turn in which ``fd`` is readable.

        ``fd`` is a descriptor or has a ``fileno()``; a callback that was there is replaced.  Remove
        it before closing the descriptor.
        """
        fd, channel = self._channel(fd)
        channel.read = bound(callback, args)
        self._register(fd, channel)

    def add_readable(self, fd: int, reader: Reader) -> None:
        """Call ``reader.readable()`` in every such turn: ``add_reader`` without objects for it."""
        if fd in self._channels:
            self.add_reader(fd, reader.readable)
            return
        self._check_open()
        self._poll.register(fd, READABLE)
        self._channels[fd] = reader
        if self._turning:
            self._fresh.add(fd)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in every turn in which ``fd`` is writable."""
        fd, channel = self._channel(fd)
        channel.write = bound(callback, args)
        self._register(fd, channel)

    def remove_reader(self, fd: Any) -> bool:
        """Stop calling back for reading; return whether somebody was called."""
        reader = self._channels.get(fd)
        if reader is not None and reader.__class__ is not _Channel:
            del self._channels[fd]
            self._poll.unregister(fd)
            return True
        fd, channel = self._channel(fd)
        if channel.read is None:
            return False
        channel.read = None
        self._register(fd, channel)
        return True

    def remove_writer(self, fd: Any) -> bool:
        """Stop calling back for writing; return whether somebody was called."""
        fd, channel = self._channel(fd)
        if channel.write is None:
            return False
        channel.write = None
        self._register(fd, channel)
        return True

    def _channel(self, fileobj: Any) -> tuple[int, _Channel]:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        # After the end there are none: whatever is removed then is gone already.
        found = self._channels.get(fd)
        if isinstance(found, _Channel):
            return fd, found
        channel = _Channel()
        channel.read = None if found is None else found.readable
        return fd, channel

    def _register(self, fd: int, channel: _Channel) -> None:
        self._check_open()
        mask = channel.mask()
        if fd in self._channels:
            if not mask:
                del self._channels[fd]
                self._poll.unregister(fd)
                return
            # A callback that is replaced may mean that the descriptor was closed behind our back
            # and is a new one by the same number, of which the kernel knows nothing yet.
            try:
                self._poll.modify(fd, mask)
            except FileNotFoundError:
                del self._channels[fd]
            else:
                self._channels[fd] = channel
                return
        if mask:
            self._poll.register(fd, mask)
            self._channels[fd] = channel
            if self._turning:
                self._fresh.add(fd)

    # Callbacks

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in this turn, or outside one in the next; owner's thread only.

        Outside a turn this makes ``fileno()`` readable.
        """
        self._ready.append(bound(callback, args) if args else callback)
        if not self._turning:
            self._check_open()
            self._wakeup.wake()

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> None:
        """Call ``callback(*args)`` in the next turn: from any thread, or a signal handler.

        ``RuntimeError`` in a child process if the thread that makes turns stayed with the parent.
        """
        self._check_open()
        if self.orphaned:
            raise RuntimeError(
                "the thread that runs this stayed with the parent process: fork first, and start"
                " it in the process that uses it"
            )
        self._ready.append(bound(callback, args))
        if not self._awake:
            self._wakeup.wake()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> TimerHandle:
        """Call ``callback(*args)`` after ``delay`` seconds; owner's thread only."""
        self._check_open()
        when, before = self.time() + delay, self._timers.next
        handle = self._timers.push(when, callback, args)
        if not self._turning and when < before:
            self._wakeup.wake()
        return handle

    # Turns

    def run(self) -> None:
        """Make turns until ``stop`` is called."""
        if self._running:
            raise RuntimeError("the loop is running already")
        self._begin_turn()
        self._running, self._stopping, self.orphaned = True, False, False
        self._awake = True
        try:
            while not self._stopping:
                self._turn(None)
        finally:
            self._running = self._turning = self._awake = False
            if self._ready:
                self._wakeup.wake()

    def stop(self) -> None:
        """Make ``run`` return after this turn; from any thread, or a signal handler.

        Called before ``run``, it lets that make one turn.
        """
        self.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._stopping = True

    def step(self, timeout: float | None = None) -> None:
        """Make one turn; wait at most ``timeout`` seconds for something to do (``None``: no limit).

        The calling thread becomes the owner.  Raises ``RuntimeError`` inside a turn of this loop.
        """
        self._begin_turn()
        try:
            self._turn(timeout)
        finally:
            self._turning = False
        if self._ready and not self._running:
            self._wakeup.wake()

    def _begin_turn(self) -> None:
        """Make the calling thread the owner, if it may be."""
        if self._turning:
            raise RuntimeError(
                "step() was called inside a turn of the same loop: what runs on its thread cannot"
                " wait for what the loop has to bring; use add_done_callback(fn), or an executor"
            )
        self._check_open()
        self._turning = True
        self.owner = get_ident()

    def _turn(self, timeout: float | None) -> None:
        timers, queue, channels, fresh = self._timers, self._ready, self._channels, self._fresh
        if fresh:
            fresh.clear()
        try:
            ready = self._poll.ready(0.0) if queue or timeout == 0 else self._wait(timeout)
        except (OSError, ValueError) as error:
            ready = self._forget_closed(error)
        for fd, mask in ready:
            channel: Any = channels.get(fd)
            if channel is None or (fresh and fd in fresh):
                continue
            try:
                if channel.__class__ is not _Channel:
                    channel.readable()
                    continue
                if mask & _READS and channel.read is not None:
                    channel.read()
                if mask != READABLE and mask & _WRITES and channel.write is not None:
                    channel.write()
            except BaseException as error:  # noqa: BLE001 - one callback must not end the loop
                self._io_failed(fd, error)
        if timers.next is not NEVER and timers.next <= self.time():
            self._run_due()
        rounds = _ROUNDS
        while queue and rounds:
            rounds -= 1
            for _ in range(len(queue)):
                self._run(queue.popleft())

    def _run_due(self) -> None:
        end = self.time() + _SLICE
        for handle in self._timers.due(self.time()):
            self._run(handle.run)
            if self.time() > end:  # the others are the first of the next turn
                break

    def _wait(self, timeout: float | None) -> list[tuple[int, int]]:
        self._awake = False
        # Whoever found before that nobody had to be woken has put his reason into the queue.
        ready = self._poll.ready(0.0 if self._ready else self._patience(timeout))
        self._awake = self._running
        return ready

    def _patience(self, timeout: float | None) -> float:
        if timeout is None or timeout > _LONGEST_WAIT:
            timeout = _LONGEST_WAIT
        first = self._timers.next
        if first is not NEVER:
            until = first - self.time()
            timeout = until if until < timeout else timeout
        return timeout if timeout > 0.0 else 0.0

    def _run(self, callback: Callable[[], object]) -> None:
        try:
            callback()
        except BaseException as error:
            if leaves_the_loop(error):
                raise
            self.log("net", log.ERROR, "a callback of the loop raised an exception", error)

    def _io_failed(self, fd: int, error: BaseException) -> None:
        if leaves_the_loop(error):
            raise error
        self.log("net", log.ERROR, f"a callback for descriptor {fd} raised", error)
        if not _is_open(fd):
            self._forget(fd)

    def _forget_closed(self, error: Exception) -> list[tuple[int, int]]:
        """Drop what was closed without being removed: select() refuses to work with it."""
        closed = [fd for fd in self._channels if not _is_open(fd)]
        if not closed:
            raise error
        for fd in closed:
            self._forget(fd)
        self.log("net", log.ERROR, f"descriptors were closed while registered: {closed}")
        return []

    def _forget(self, fd: int) -> None:
        if self._channels.pop(fd, None) is not None:
            self._poll.unregister(fd)

    # For a host with a loop of its own

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``step(0)`` has something to do.

        Timers do not make it readable: see :meth:`next_deadline`.  Raises
        ``io.UnsupportedOperation`` (an ``OSError``) where the selector has no descriptor.
        """
        self._check_open()
        return self._poll.fileno()

    def next_deadline(self) -> float | None:
        """Return the time (of ``time()``) of the next timer, 0.0 for at once, ``None`` for never.

        >>> loop = Loop(clock=lambda: 100.0)
        >>> timer = loop.call_later(5, print)
        >>> loop.next_deadline()
        105.0
        >>> loop.close()
        """
        if self._ready:
            return 0.0
        first = self._timers.next
        return None if first is NEVER else first

    def deadlines(self) -> list[float]:
        """Return the times (of ``time()``) of all timers, the earliest first.

        >>> loop = Loop(clock=lambda: 100.0)
        >>> late, early = loop.call_later(5, print), loop.call_later(1, print)
        >>> loop.deadlines()
        [101.0, 105.0]
        >>> loop.close()
        """
        return self._timers.times()

    @property
    def turning(self) -> bool:
        """Whether a turn is being made: what runs now was called by the loop."""
        return self._turning

    def owned(self) -> bool:
        """Return whether the calling thread is the owner.

        >>> loop = Loop()
        >>> loop.owned()
        True
        >>> loop.close()
        """
        return get_ident() == self.owner

    def wakeup_fd(self) -> int:
        """Return the descriptor to write a byte to, for ``signal.set_wakeup_fd``."""
        return self._wakeup.writable_fileno()

    def hand_over(self, loop: AnyLoop) -> None:
        """Close, and let another loop call what ``call_soon`` was given; not inside a turn."""
        waiting = list(self._ready)
        self.close()
        for callback in waiting:
            loop.call_soon(callback)

    def close(self) -> None:
        """Free the descriptors; what is still scheduled is not called.  Not inside a turn."""
        if self._turning:
            raise RuntimeError("a loop cannot be closed inside its turn")
        if self._closed:
            return
        self._closed = True
        self._channels.clear()
        self._poll.close()
        self._wakeup.close()
        self._ready.clear()
        self._timers.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the loop is closed: make a new one")


def _is_open(fd: int) -> bool:
    try:
        if os.name == "posix":
            os.fstat(fd)
        else:
            select.select([fd], [], [], 0)
    except (OSError, ValueError):
        return False
    return True
