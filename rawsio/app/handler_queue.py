"""One after another: users' functions in a sequence, and a connection's jobs in a queue.

A handler may run on the loop, on another thread or as a task, by the host's policy; so whatever
comes after it has to wait for a callback.  :class:`HandlerChain` runs functions one after another
that way.  :class:`HandlerQueue` is the queue of a connection: its jobs, which are mostly sequences,
start in order, each when the one before has ended.

A step that ends at once costs no stack.  ``done`` may be called before ``start`` has returned; the
loop that started the step notices and goes on, so a thousand handlers that run inline are a loop,
not a recursion.

What the functions are, and what becomes of their results, stands in :mod:`rawsio.app.dispatch` for
events and in :mod:`rawsio.app.lifecycle_events` for everything else.
"""

from __future__ import annotations

from functools import partial

from rawsio.errors import Refused, escaped, in_words
from rawsio.layer import Generic
from rawsio.log import DEBUG, ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from typing_extensions import TypeVar

    from rawsio.socketio.packets import Event

    from .handlers import Handler
    from .interfaces import Handle, RuntimeLike, SessionPort
    from .listeners import HandlerSocket

    Steps = list[tuple[int, Callable[..., Any], tuple[Any, ...]]]

    class Pausing(Protocol):
        """What stops reading while too many jobs wait."""

        def pause(self, paused: bool, /) -> None:  # noqa: FBT001
            """Stop or go on reading."""

    PortT_co = TypeVar("PortT_co", bound=Pausing, default=SessionPort, covariant=True)
else:
    PortT_co = None

__all__ = [
    "HandlerQueue",
    "HandlerChain",
    "Step",
    "log_event_failure",
    "log_failure",
    "report_failure",
    "tell_surplus",
    "too_few",
]


class Step:
    """The kinds of steps in a :class:`HandlerChain`."""

    CALL = 0
    """A handler: the next step waits for it, its result counts."""
    CONCURRENT = 1
    """A handler that the next step does not wait for."""
    INTERNAL = 2
    """A function of ours, run on the loop thread."""


class HandlerChain:
    """User's functions, one after another, by the host's policy.

    ``steps`` are ``(kind, function, arguments)``.  Three methods are for subclasses: ``took`` gets
    each result or error and returns whether to go on, ``finished`` is called when every step has
    ended, ``proceeded`` when a sequence that had to wait has passed its last waiting step.
    """

    __slots__ = ("host", "_steps", "_index", "_aside", "_waiting", "_inside", "_over")

    def __init__(self, host: RuntimeLike, steps: Steps) -> None:
        self.host = host
        self._steps = steps
        self._index = 0
        self._aside = 0
        self._waiting = False
        self._inside = False
        self._over = False

    def run(self) -> bool:
        """Go on; ``True`` once no step is left that somebody would have to wait for."""
        steps = self._steps
        while self._index < len(steps):
            position = self._index
            self._index += 1
            kind, fn, args = steps[position]
            if kind == Step.CALL:
                self._inside = self._waiting = True
                self.host.start(fn, args, self._ended)
                self._inside = False
                if self._waiting:
                    return False
            elif kind == Step.CONCURRENT:
                self._aside += 1
                self.host.start(fn, args, partial(self._ended_aside, position))
            else:
                fn(*args)
        self._over = True
        if not self._aside:
            self._conclude()
        return True

    def _ended(self, result: Any, error: BaseException | None) -> None:
        self._waiting = False
        try:
            if not self.took(self._index - 1, result, error):
                self._index = len(self._steps)
        except BaseException:  # who is told of an error may stop the program
            self._index = len(self._steps)
            if not self._inside:
                self.host.call_later(0.0, self._go_on)
            raise
        if not self._inside:
            self._go_on()

    def _go_on(self) -> None:
        if self.run():
            self.proceeded()

    def _ended_aside(self, position: int, result: Any, error: BaseException | None) -> None:
        self._aside -= 1
        try:
            self.took(position, result, error)
        finally:
            if self._over and not self._aside:
                self._conclude()

    def _conclude(self) -> None:
        self.finished()
        self._steps = []  # some of them are methods of this very chain

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        """Take the outcome of a step; ``False`` skips the steps that are left."""
        raise NotImplementedError

    def finished(self) -> None:
        """Every step has ended."""

    def proceeded(self) -> None:
        """The last step that had to be waited for has ended, later than ``run`` returned."""


_WORK = 2048
"""Bytes that a handler takes that has begun and not ended, beside its arguments."""


class HandlerQueue(Generic[PortT_co]):
    """The queue of one connection: jobs start in order, each when the last one has ended.

    A job is ``fn(*args) -> bool``: ``True`` if it has ended, else it will call :meth:`proceed`.
    More than ``limits.queued_events`` waiting jobs, or ``limits.queued_bytes`` of the messages that
    they are made of, make the queue ``paused``, and the sink stops reading until half of that is
    done.  ``arriving`` is how much is made of the message that is being taken, as far as it has
    come.

    A job that goes on after it was begun says so: :meth:`work_begins` and :meth:`work_ends`.  What
    it holds counts in ``queued_bytes``; where the next one does not wait for it, so many bytes
    pause reading as well.
    """

    __slots__ = (
        *("host", "sink", "paused", "busy", "arriving"),
        *("_jobs", "_held", "_working", "_running", "_watch"),
    )

    def __init__(self, host: RuntimeLike, sink: PortT_co) -> None:
        self.host = host
        self.sink = sink
        self.paused = False
        self.busy = False
        self.arriving = 0
        self._jobs: deque[tuple[Callable[..., bool], tuple[Any, ...], int]] | None = None
        self._held = 0
        self._working = 0
        # The arguments of the job that has begun last; and who looks whether it ends.
        self._running: tuple[Any, ...] = ()
        self._watch: Handle | None = None

    def perform(self, job: Callable[..., bool], *args: Any) -> None:
        """Run a job now, or when its turn comes."""
        if not self.busy:
            self.busy = True
            if self._start(job, args):
                self.proceed()
            self.arriving = 0
            return
        if self._jobs is None:
            from collections import deque

            self._jobs = deque()
            watchdog = self.host.watchdog
            if self._watch is None and watchdog is not None:
                self._watch = watchdog.watch(self)
        self._jobs.append((job, args, self.arriving))
        self._held += self.arriving
        self.arriving = 0
        limits = self.host.limits
        many = len(self._jobs) > limits.queued_events or self._held > limits.queued_bytes
        if many and not self.paused:
            self.paused = True
            self.sink.pause(True)

    def proceed(self) -> None:
        """The job has ended: run those that wait, ``limits.turn_time`` of them at a time."""
        jobs, time = self._jobs, self.host.time
        end = time() + self.host.limits.turn_time if jobs else 0.0
        while jobs:
            if time() > end:  # other connections have their turn first
                self.host.call_later(0.0, self.proceed)
                return
            coming = self.arriving
            job, args, self.arriving = jobs.popleft()
            self._held -= self.arriving
            self._let_come()
            ended = self._start(job, args)
            self.arriving = coming
            if not ended:
                return
        self.busy = False
        self._running = ()
        self._jobs = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    @property
    def running(self) -> tuple[Any, ...]:
        """The arguments of the job that has begun last; what tells it from the next."""
        return self._running

    def watched(self, watch: Handle | None) -> None:
        """Take note of who looks next whether the queue goes on."""
        self._watch = watch

    def _start(self, job: Callable[..., bool], args: tuple[Any, ...]) -> bool:
        self._running = args
        try:
            return job(*args)
        except BaseException:
            # Handlers' errors never come here: the program is being stopped.
            self.interrupted()
            raise

    def interrupted(self) -> None:
        """Go on later with what waits, in its order, should the program go on."""
        self.busy = bool(self._jobs)
        if self.busy:
            self.host.call_later(0.0, self.proceed)

    def work_begins(self, *, aside: bool) -> int:
        """The job that was begun goes on; ``aside``: and the next one does not wait for it.

        Returns what it holds, for :meth:`work_ends`.
        """
        size, self.arriving = self.arriving + _WORK, 0
        most = self.host.limits.queued_bytes
        if aside and self._working > most and not self.paused:
            self.paused = True
            self.sink.pause(True)
        self._working += size
        return size

    def work_ends(self, size: int) -> None:
        """A job has ended that had gone on."""
        self._working -= size
        self._let_come()

    def abandon(self) -> None:
        """Drop the events that wait: their client is gone.  What tells of its end stays."""
        if self._jobs is not None:
            kept = [job for job in self._jobs if not job[2]]
            self._jobs.clear()
            self._jobs.extend(kept)
            self._held = 0

    def _let_come(self) -> None:
        """Read again, if half of what may wait is done."""
        limits = self.host.limits
        if (
            self.paused
            and self.queued <= limits.queued_events // 2
            and max(self._held, self._working) <= limits.queued_bytes // 2
        ):
            self.paused = False
            self.sink.pause(False)

    @property
    def queued_bytes(self) -> int:
        """About how much memory they take, and those that have begun and not ended."""
        return self._held + self._working

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return 0 if self._jobs is None else len(self._jobs)


def log_failure(
    host: RuntimeLike,
    what: str,
    name: str | int,
    space: str,
    error: BaseException,
    *,
    socket: object = None,
    args: Iterable[Any] = (),
    meaning: str = "it has no meaning there",
) -> None:
    """Write the line about a function that failed at something with a name in a namespace."""
    shown = escaped(name) if isinstance(name, str) else str(name)
    where = f"{what} {shown} in {escaped(space)}"
    report_failure(host, where, error, socket=socket, name=name, args=args, meaning=meaning)


def report_failure(
    host: RuntimeLike,
    where: str,
    error: BaseException,
    *,
    socket: object = None,
    name: str | int | None = None,
    args: Iterable[Any] = (),
    meaning: str = "it has no meaning there",
) -> None:
    """Write the line about a function of the user's that failed, and tell ``on_error``.

    ``socket``, ``name`` and ``args`` are for those handlers.  A :class:`~rawsio.errors.Refused` is
    no mistake: ``meaning`` says what comes of it.
    """
    if isinstance(error, Refused):
        line = f"{where} raised Refused({escaped(error.message, 200)}): {meaning}"
        host.log("handler", WARNING, line)
    else:
        host.log("handler", ERROR, f"{where} failed: {in_words(error)}", error)
    for handler in host.error_handlers:
        values = handler.arguments(None, [error, socket, name, list(args)])
        host.start(handler.fn, values, partial(_error_told, host))


def log_event_failure(
    host: RuntimeLike, what: str, socket: HandlerSocket, event: Event, error: BaseException
) -> None:
    """Write the line about a function that failed at an event, which is not acknowledged."""
    name, *args = event.args
    log_failure(
        *(host, what, name, socket.namespace.name, error),
        # A client's handlers run in a stay, and its socket is the owner of that.
        socket=getattr(socket, "owner", socket),
        args=args,
        meaning="the event is not acknowledged",
    )


def _error_told(host: RuntimeLike, _result: object, error: BaseException | None) -> None:
    if error is not None:
        host.log(
            "handler", ERROR, f"a handler of errors (on_error) failed: {in_words(error)}", error
        )


def too_few(
    host: RuntimeLike,
    handler: Handler,
    name: str | int,
    space: str,
    given: int,
    socket: object = None,
) -> None:
    """Write the line about an event that has fewer arguments than its handler needs."""
    shown = escaped(name) if isinstance(name, str) else str(name)
    shake = getattr(socket, "handshake", None)
    sender = f"{shake.address}: " if shake is not None else ""
    host.log(
        "handler",
        WARNING,
        f"{sender}event {shown} in {escaped(space)} has arguments: {given}, and {handler!r} needs"
        f" {handler.least}: it is not called",
    )


def tell_surplus(
    host: RuntimeLike, handler: Handler, name: str | int, space: str, given: int
) -> None:
    """Write the line, once for a handler, about arguments that it leaves out."""
    handler.told = True
    shown = escaped(name) if isinstance(name, str) else str(name)
    message = (
        f"event {shown} in {escaped(space)} has arguments: {given}, and {handler!r} takes"
        f" {handler.most}: the others are left out"
    )
    host.log("handler", DEBUG, message)
