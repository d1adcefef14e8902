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

*The loop waits itself* while they are quick: what a turn has begun ends in that turn, the events
that waited for it are begun, and all answers leave with one flush.  It waits for :data:`QUICK` at
a time, and for a quarter of a turn in all.  If that was in vain it does not wait the next time, nor
the next three, and so on: handlers that block, or wait for the loop, stop it seldom.

*Results come together*, when a thread has nothing left to do.  Should it be busy with the next for
longer, the loop fetches them: it looks once, :data:`PATIENCE` after it has called somebody.  From
then on each result is told at once.

*Order.*  What a function gave the loop comes before its result: every way that a result takes
begins after that, and where the loop has waited, ``posted`` says that it is to be let through.
Until it is, the loop does not wait again: another function may have given it something, too, and
end only now.

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
    Ended = tuple[Done, Any, BaseException | None]

    class Host(Protocol):
        """What knows the loop, which may change."""

        @property
        def loop(self) -> AnyLoop: ...
        @property
        def limits(self) -> Limits: ...
        @property
        def log(self) -> Log: ...
        def on_loop(self) -> bool: ...


__all__ = ["PATIENCE", "QUICK", "Crew"]

PATIENCE = 0.002
"""Seconds after which the loop fetches results, if their thread is still busy."""

QUICK = 0.0005
"""Seconds for which the loop waits for them at a time."""

_MOST_SKIPPED = 255
"""So often at most it does not wait after it did in vain."""

_SHUT_DOWN = "the executor was shut down before the handler ran"


class Crew:
    """The threads of one executor, at work for one loop; see the module."""

    __slots__ = (
        *("_executor", "_host", "_jobs", "_ended", "_lock", "_scheduled", "_called", "_fetching"),
        *("_open", "_odd", "_skip", "_awaited", "_free", "posted", "_behind"),
    )

    def __init__(self, executor: Executor, host: Host) -> None:
        self._executor = executor
        self._host = host
        self._jobs: deque[tuple[Callable[..., Any], tuple[Any, ...], Done]] = deque()
        # What the loop has not taken yet, how many there will be, and who may change that.
        self._ended: list[Ended] = []
        self._open = 0
        self._lock = allocate_lock()
        # Whether somebody is to be called at the end of the turn; is called, and has not begun.
        self._scheduled = self._called = False
        # Whether the loop is going to look for results.
        self._fetching = False
        # How often it waited in vain, about, and how often it therefore does not wait; whether it
        # does, and what lets it go on.
        self._odd = self._skip = 0
        self._awaited = False
        self._free = allocate_lock()
        self._free.acquire()
        self.posted = self._behind = False
        """Whether somebody gave the loop something since it looked last: set behind that."""

    # On the loop

    def begin(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Done) -> None:
        """Run a function on a thread; ``done(result, error)`` follows on the loop, once."""
        with self._lock:
            self._open += 1
        self._jobs.append((fn, args, done))
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._host.loop.call_soon(self._call)

    def moved(self) -> None:
        """Take note that there is another loop: nobody knows what became of the calls of one."""
        self._scheduled = self._fetching = self._behind = False
        if self._jobs:
            self._schedule()

    def _call(self) -> None:
        self._scheduled = False
        if self._skip:
            self._skip -= 1
        elif not self._behind and self._wait():
            return
        if not self._fetching:
            self._fetching = True
            self._host.loop.call_later(PATIENCE, self._fetch)
        # Who was called and has not begun finds all that is in the queue by now.
        error = None if self._called or not self._jobs else self._submit()
        if error is not None:
            self._fail(error)

    def _wait(self) -> bool:
        """Wait as long as they are quick; return whether nobody has anything to do any more."""
        time = self._host.loop.time
        end = time() + self._host.limits.turn_time / 4
        while self._open and time() < end:
            self._awaited = True
            try:
                error = None if self._called or not self._jobs else self._submit()
                let_go = error is None and self._free.acquire(timeout=QUICK)
            except BaseException:
                self._wait_no_more()
                raise
            if not let_go and self._wait_no_more():
                self._skip = self._odd = min(2 * self._odd + 1, _MOST_SKIPPED)
                return False
            ended = self._take()
            if self.posted:
                self.posted, self._behind = False, True
                self._host.loop.call_soon(self._tell_behind, ended)
                break
            self._tell(ended)
        self._odd = 0
        return not self._open

    def _tell_behind(self, ended: list[Ended]) -> None:
        self._behind = False
        self._tell(ended)

    def _wait_no_more(self) -> bool:
        """Return whether nobody has let the loop go on."""
        with self._lock:
            awaited, self._awaited = self._awaited, False
        return awaited or not self._free.acquire()

    def _fetch(self) -> None:
        self._fetching = False
        ended = self._take()
        if ended:  # behind what their functions gave the loop
            self._host.loop.call_soon(self._tell, ended)

    def _tell(self, ended: list[Ended]) -> None:
        for number, (done, result, error) in enumerate(ended, 1):
            try:
                done(result, error)
            except BaseException as mistake:
                if leaves_the_loop(mistake):
                    self._host.loop.call_soon(self._tell, ended[number:])
                    raise
                self._host.log("net", ERROR, "what follows a handler raised an exception", mistake)

    # On any thread

    def _submit(self) -> Exception | None:
        """Have somebody begin; return why nobody can."""
        self._called = True
        try:
            future = self._executor.submit(self._work)
        except Exception as error:  # noqa: BLE001 - it was shut down before the server, or is broken
            self._called = False
            return error
        except BaseException:
            # The program is being stopped; should it go on, so does this.
            self._called = False
            self._host.loop.call_soon_threadsafe(self._schedule)
            raise
        future.add_done_callback(self._left)
        return None

    def _work(self) -> None:
        self._called = False
        jobs, time = self._jobs, self._host.loop.time
        end = time() + self._host.limits.turn_time
        # An executor that calls at once, on our own thread, has no other.
        makes_way = not self._host.on_loop()
        while True:
            try:
                fn, args, done = jobs.popleft()
            except IndexError:
                return
            if jobs and makes_way and not self._called:
                self._submit()
            result, error = None, None
            try:
                result = fn(*args)
            except BaseException as raised:  # noqa: BLE001 - told as what it is
                error = raised
            with self._lock:
                self._ended.append((done, result, error))
            if not jobs or not (self._fetching or self._awaited):
                self._report()
            if jobs and makes_way and time() > end and (self._called or self._submit() is None):
                self._report()
                return

    def _take(self) -> list[Ended]:
        with self._lock:
            ended, self._ended = self._ended, []
            self._open -= len(ended)
        return ended

    def _report(self) -> None:
        """Let the loop have what has ended."""
        with self._lock:
            if self._awaited:
                self._awaited = False
                self._free.release()
                return
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
            error: BaseException | None = RuntimeError(_SHUT_DOWN)
        else:
            error = future.exception()  # its threads do not begin, or it has none
        if error is not None:
            self._called = False
            self._fail(error)
