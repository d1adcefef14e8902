"""Functions on an executor's threads: one submission and one wake-up for many.

Theory of operation
===================
To submit a function makes a future, a lock and perhaps a thread, wakes one, and costs as much as
an echo; so does each result that has to wake the loop.  :class:`Crew` puts the functions of a turn
into a queue, and submits *itself*: whoever of the executor's threads begins takes one after the
other until none is left.

*Nobody waits for a slow one.*  A thread that begins while more wait has the next called before it
goes to work, so as many work as the executor has threads, if there is enough to do.  After
``limits.turn_time`` it makes way for whatever else the executor was given, and is called again.

*Results come together*, when a thread has nothing left to do.  Should it be busy with the next for
longer, the loop fetches them: it looks once, :data:`PATIENCE` after it has called somebody.  From
then on each result is told at once.  What a function gave the loop by ``call_soon_threadsafe`` is
there before its result in any case, as every way that a result takes begins after that.

An executor that was shut down fails the functions that nobody has begun.  A function that ends when
the loop is closed has nobody to be told.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque

from rawsio.errors import leaves_the_loop
from rawsio.log import DEBUG, ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from typing import Any, Protocol

    from rawsio.limits import Limits
    from rawsio.log import Log

    from .loop_timers import AnyLoop

    Done = Callable[[Any, BaseException | None], None]

    class Host(Protocol):
        """What knows the loop, which may change."""

        @property
        def loop(self) -> AnyLoop: ...
        @property
        def limits(self) -> Limits: ...
        @property
        def log(self) -> Log: ...


__all__ = ["PATIENCE", "Crew"]

PATIENCE = 0.002
"""Seconds after which the loop fetches results, if their thread is still busy."""

_SHUT_DOWN = "the executor was shut down before the handler ran"


class Crew:
    """The threads of one executor, at work for one loop; see the module."""

    __slots__ = (
        *("_executor", "_host", "_jobs", "_ended", "_lock"),
        *("_scheduled", "_called", "_fetching"),
    )

    def __init__(self, executor: Executor, host: Host) -> None:
        self._executor = executor
        self._host = host
        self._jobs: deque[tuple[Callable[..., Any], tuple[Any, ...], Done]] = deque()
        # What the loop has not been told yet, and who may change that.
        self._ended: list[tuple[Done, Any, BaseException | None]] = []
        self._lock = allocate_lock()
        # Whether somebody is to be called at the end of the turn; is called, and has not begun.
        self._scheduled = self._called = False
        # Whether the loop is going to look for results.
        self._fetching = False

    # On the loop

    def begin(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Run a function on a thread; ``done(result, error)`` follows on the loop, once."""
        self._jobs.append((fn, args, done))
        if not self._scheduled:
            self._scheduled = True
            self._host.loop.call_soon(self._call)

    def moved(self) -> None:
        """Take note that there is another loop: nobody knows what became of the calls of one."""
        self._scheduled = self._fetching = False
        if self._jobs:
            self._scheduled = True
            self._host.loop.call_soon(self._call)

    def _call(self) -> None:
        self._scheduled = False
        if not self._fetching:
            self._fetching = True
            self._host.loop.call_later(PATIENCE, self._fetch)
        # Who was called and has not begun finds all that is in the queue by now.
        error = None if self._called else self._submit()
        if error is not None:
            self._fail(error)

    def _fetch(self) -> None:
        self._fetching = False
        ended = self._take()
        if ended:  # behind what their functions gave the loop
            self._host.loop.call_soon(self._tell, ended)

    def _tell(self, ended: list[tuple[Done, Any, BaseException | None]]) -> None:
        for number, (done, result, error) in enumerate(ended, 1):
            try:
                done(result, error)
            except BaseException as mistake:
                if leaves_the_loop(mistake):
                    self._host.loop.call_soon(self._tell, ended[number:])
                    raise
                self._host.log("net", ERROR, "what follows a handler raised", mistake)

    # On any thread

    def _submit(self) -> Exception | None:
        """Have somebody begin; return why nobody can."""
        self._called = True
        try:
            future = self._executor.submit(self._work)
        except Exception as error:  # noqa: BLE001 - it was shut down before the server, or is broken
            self._called = False
            return error
        future.add_done_callback(self._left)
        return None

    def _work(self) -> None:
        self._called = False
        jobs, time = self._jobs, self._host.loop.time
        end = time() + self._host.limits.turn_time
        while True:
            try:
                fn, args, done = jobs.popleft()
            except IndexError:
                return
            if jobs and not self._called:
                self._submit()
            result, error = None, None
            try:
                result = fn(*args)
            except BaseException as raised:  # noqa: BLE001 - told as what it is
                error = raised
            with self._lock:
                self._ended.append((done, result, error))
            if not jobs or not self._fetching:
                self._report()
            elif time() > end and (self._called or self._submit() is None):
                self._report()
                return

    def _take(self) -> list[tuple[Done, Any, BaseException | None]]:
        with self._lock:
            ended, self._ended = self._ended, []
        return ended

    def _report(self) -> None:
        ended = self._take()
        if not ended:
            return
        try:
            self._host.loop.call_soon_threadsafe(self._tell, ended)
        except RuntimeError as error:  # the loop is closed
            self._host.log("handler", DEBUG, "a handler ended after its server", error)

    def _fail(self, error: BaseException) -> None:
        jobs = self._jobs
        while jobs:
            try:
                done = jobs.popleft()[2]
            except IndexError:
                break
            with self._lock:
                self._ended.append((done, None, error))
        self._report()

    def _left(self, future: Future[Any]) -> None:
        if future.cancelled():
            self._called = False
            self._fail(RuntimeError(_SHUT_DOWN))
