"""A thread that does one job after another, and tells a loop what came of each.

For work that may wait for a disk.  Whoever wants several steps without anything in between takes a
*turn*: the thread then does what comes by that turn, until it is given back.
"""

from __future__ import annotations

from _thread import allocate_lock
from functools import partial

from .forking import watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from queue import SimpleQueue
    from threading import Thread
    from typing import Any

    Done = Callable[[Any, BaseException | None], None]
    Post = Callable[..., object]
    Job = tuple[Callable[[], Any], Done, Post]

__all__ = ["Turn", "Worker"]

_START = 0.001
"""The most seconds that a thread waits for the worker to begin."""


class Worker:
    """A thread, started by the first job; a daemon, so it never keeps a program from its end.

    >>> worker = Worker("example")
    >>> answers = []
    >>> worker.submit(lambda: 6 * 7, lambda *answer: answers.append(answer), lambda fn, *a: fn(*a))
    >>> worker.stop()
    True
    >>> answers
    [(42, None)]
    """

    def __init__(self, name: str) -> None:
        from queue import SimpleQueue

        self._name = name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._stopped = False
        self._rests = False
        watch(self)

    def forked(self) -> None:
        """Begin anew in a child process: the thread, and what it was to do, are the parent's."""
        from queue import SimpleQueue

        self._jobs, self._thread, self._rests = SimpleQueue(), None, False

    def submit(self, job: Callable[[], Any], done: Done, post: Post) -> None:
        """Do a job after those before; then ``post(done, result, error)``, in this thread."""
        if self._stopped:
            raise RuntimeError("the worker has been stopped")
        if self._thread is None:
            from threading import Thread

            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._jobs.put((job, done, post))

    def begin(self, job: Callable[[], Any], done: Done, post: Post) -> None:
        """Submit a job, and let a worker that rests begin it before the caller goes on.

        A busy thread gives the interpreter away only when it waits, or after milliseconds, and the
        worker could not even begin to wait for the disk.
        """
        begun = allocate_lock()
        begun.acquire()
        rests = self._rests
        self.submit(partial(_begin, begun, job), done, post)
        if rests:
            begun.acquire(timeout=_START)

    def _run(self) -> None:
        while True:
            self._rests = True
            job = self._jobs.get()
            self._rests = False
            if job is None:
                return
            _do(*job)
            # A thread that waits keeps nothing of what it did.
            del job

    def stop(self, timeout: float | None = 10.0) -> bool:
        """Take no more jobs, and wait for those that were given; ``False`` if it takes longer."""
        if not self._stopped:
            self._stopped = True
            self._jobs.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def let_end(self) -> None:
        """Take no more jobs, and wait for nothing."""
        self._stopped = True
        self._jobs.put(None)


class Turn:
    """The undivided attention of a worker, from :meth:`take` to :meth:`give_back`.

    With ``left()``, which gives seconds, the worker waits no longer for a step.  Then it calls
    ``revoke()`` and goes on with others' jobs; steps that are still to come fail with what that
    returned.
    """

    def __init__(
        self,
        left: Callable[[], float] | None = None,
        revoke: Callable[[], BaseException] | None = None,
    ) -> None:
        from queue import SimpleQueue

        self._steps: SimpleQueue[Job | None] = SimpleQueue()
        self._left = left
        self._revoke = revoke
        self._revoked: BaseException | None = None

    def take(self, worker: Worker) -> None:
        """Get in line."""
        worker.submit(self._serve, _ignore, _nowhere)

    def _serve(self) -> None:
        from queue import Empty

        while True:
            try:
                step = self._steps.get(timeout=None if self._left is None else max(0, self._left()))
            except Empty:
                if self._left is not None and self._left() > 0:
                    continue  # it may take longer after all
                self._revoked = TimeoutError() if self._revoke is None else self._revoke()
                self._refuse_steps(self._revoked)
                return
            if step is None:
                return
            _do(*step)

    def _refuse_steps(self, error: BaseException) -> None:
        from queue import Empty

        while True:
            try:
                step = self._steps.get_nowait()
            except Empty:
                return
            if step is not None:
                _tell(step[1], step[2], None, error)

    def do(self, step: Callable[[], Any], done: Done, post: Post) -> None:
        """Do a step once the turn has come; as :meth:`Worker.submit`."""
        self._steps.put((step, done, post))
        if self._revoked is not None:
            self._refuse_steps(self._revoked)

    def wait(self) -> None:
        """Block until the turn has come; the worker does nothing until it is given back."""
        from threading import Event

        come = Event()
        self.do(_nowhere, lambda *_: come.set(), lambda done, *answer: done(*answer))
        come.wait()

    def give_back(self) -> None:
        """Let the worker go on with others' jobs."""
        self._steps.put(None)


def _do(job: Callable[[], Any], done: Done, post: Post) -> None:
    try:
        result, failed = job(), None
    except BaseException as error:  # noqa: BLE001 - it belongs to whoever gave the job
        result, failed = None, error
    _tell(done, post, result, failed)


def _tell(done: Done, post: Post, result: Any, error: BaseException | None) -> None:
    try:
        post(done, result, error)
    except RuntimeError:
        return  # the loop has been closed: nobody is left to be told


def _begin(begun: LockType, job: Callable[[], Any]) -> Any:
    begun.release()
    return job()


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return


def _nowhere(*_args: Any) -> None:
    return
