"""Calls into a loop from other threads, and a loop in a thread of its own.

**One thread owns the loop**, and the others give it work by ``call_soon_threadsafe``, in order.
Nothing in this library takes a lock for that: a deque's ``append`` is atomic, and the wake-up
socket does the rest.

Who waits for a result waits in its own thread.  The owner's thread must not: it would wait for
itself, so it gets a ``RuntimeError`` at once instead of a hang.

``sys.exit()`` in a handler would end the loop's thread without a word.  It is logged instead, and
whoever has the loop is asked to come to an end (``interrupted``), for which the loop runs on.

``threading`` is imported here and when needed only.
"""

from __future__ import annotations

from _thread import allocate_lock

from rawsio import log
from rawsio.layer import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event, Thread
    from typing import Any, TypeVar

    from .loop import Loop

    T = TypeVar("T")
else:
    T = None

__all__ = ["Waiting", "call", "wait_until", "LoopThread"]

_HANGS = (
    "waiting in the thread that runs the loop would never end: use `await` there, on asyncio,"
    " or a callback"
)


class Waiting(Generic[T]):
    """A result that another thread waits for.

    ``owned()`` says whether the calling thread is the one that will deliver it.
    """

    __slots__ = ("_event", "_owned", "_value", "_error")

    def __init__(self, owned: Callable[[], bool]) -> None:
        from threading import Event

        self._event: Event = Event()
        self._owned = owned
        self._value: T
        self._error: BaseException | None = None

    def run(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> None:
        """Call the function and keep its result or its exception; in the owner's thread."""
        try:
            self._value = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - it belongs to the thread that waits
            self._error = error
        self._event.set()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result and return it, or raise its exception.

        Raises ``RuntimeError`` at once in the owner's thread, ``TimeoutError`` after ``timeout``
        seconds.
        """
        if self._owned() and not self._event.is_set():
            raise RuntimeError(_HANGS)
        if not self._event.wait(timeout):
            raise TimeoutError(f"no result within {timeout} s")
        if self._error is not None:
            raise self._error
        return self._value


def wait_until(
    arm: Callable[[Callable[..., object]], object],
    owned: Callable[[], bool],
    timeout: float | None = None,
) -> None:
    """Wait until the function that is given to ``arm`` has been called; once, in any thread.

    A bare lock: it costs a fifth of an event, which is made for several that wait.  Raises as
    :meth:`Waiting.result` does.
    """
    lock = allocate_lock()
    lock.acquire()
    # It releases the lock as ``release`` does, but takes what it is called with.
    arm(lock.__exit__)
    if owned():
        if lock.acquire(blocking=False):
            return
        raise RuntimeError(_HANGS)
    if not lock.acquire(timeout=-1 if timeout is None else timeout):
        raise TimeoutError(f"no result within {timeout} s")


def call(loop: Any, function: Callable[..., T], *arguments: Any, timeout: float | None = None) -> T:
    """Call ``function(*arguments)`` in the thread that owns ``loop``; wait for what it returns.

    Raises what the function raises, ``RuntimeError`` in the owner's thread, and ``TimeoutError``;
    a function that timed out here may still be called there.
    """
    if loop.owned():
        raise RuntimeError(_HANGS)
    waiting: Waiting[T] = Waiting(loop.owned)
    loop.call_soon_threadsafe(waiting.run, function, arguments)
    return waiting.result(timeout)


class LoopThread:
    """Runs ``loop`` in a thread of its own from ``start`` to ``stop``; a context manager.

    ``ended()`` is called in that thread when the loop has stopped, whoever stopped it.
    ``interrupted()`` is called there when something that is no ``Exception`` (``SystemExit``) left
    the loop, which then runs on until it is stopped; without it, that is its end.

    >>> from rawsio.net.loop import Loop
    >>> loop = Loop()
    >>> with LoopThread(loop):
    ...     call(loop, max, 3, 4)
    4
    >>> loop.close()
    """

    __slots__ = ("loop", "_ended", "_interrupted", "_thread")

    def __init__(
        self,
        loop: Loop,
        ended: Callable[[], object] | None = None,
        interrupted: Callable[[], object] | None = None,
    ) -> None:
        self.loop = loop
        self._ended = ended
        self._interrupted = interrupted
        self._thread: Thread | None = None

    def start(self) -> LoopThread:
        """Start the thread; return when it owns the loop."""
        from threading import Event, Thread

        if self._thread is not None:
            raise RuntimeError("the thread was started already")
        started = Event()
        self.loop.call_soon_threadsafe(started.set)
        # A daemon: a program that ends without stop() must not hang in its exit.
        self._thread = Thread(target=self._run, args=(started,), name="rawsio", daemon=True)
        self._thread.start()
        started.wait()
        return self

    def _run(self, started: Event) -> None:
        try:
            while not self._ran():
                if self._interrupted is None:
                    return
                self._interrupted()
        finally:
            started.set()  # if it failed in its first turn
            if self._ended is not None:
                self._ended()

    def _ran(self) -> bool:
        """Run the loop; return whether that ended as it should, or cannot go on."""
        try:
            self.loop.run()
        except Exception as error:  # noqa: BLE001 - the selector's: there is nobody to raise it to
            log.write("net", log.ERROR, "the loop failed, and its thread ends", error)
        except BaseException as error:  # noqa: BLE001 - the same
            message = f"a handler raised {type(error).__name__} in the loop's thread, which ends"
            log.write("handler", log.ERROR, message, error)
            return False
        return True

    def join(self, timeout: float) -> None:
        """Wait for the end of a thread whose loop stops by itself; ``TimeoutError``."""
        thread = self._thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                raise TimeoutError(f"the loop did not end within {timeout} s: a handler blocks it")

    def stop(self, timeout: float | None = None) -> None:
        """Make the loop return, and wait for the end of the thread; idempotent."""
        thread = self._thread
        if thread is None:
            return
        if self.loop.owned() and thread.is_alive():
            raise RuntimeError(_HANGS)
        self.loop.stop()
        thread.join(timeout)
        if not thread.is_alive():
            self._thread = None

    def __enter__(self) -> LoopThread:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()
