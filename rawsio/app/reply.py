"""The answer that an emit is waiting for.

``emit_with_ack`` returns a :class:`Reply` at once.  It is over exactly once: with a result (the
other end acknowledged), with an error (``TimeoutError``, ``ConnectionClosed``), or cancelled.
Whoever will end it has it as a :class:`Promise`.

A reply holds no lock, event or future, because most replies are never waited for.  It is a result
and a list of callbacks.  Each way of waiting brings along what it needs: ``result()`` blocks in the
runtime's ``wait``, ``await`` makes a future of the running asyncio loop.  Adding a callback while
another thread ends the reply is safe: each callback is taken off the list by exactly one side, and
run by it.

A broadcast with acknowledgements ends with :class:`Responses`, a list that also knows who
answered what, and who did not.
"""

from __future__ import annotations

import sys
from _thread import get_ident

from rawsio.errors import ConnectionClosed
from rawsio.layer import Generic, is_async
from rawsio.log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from typing import Any, Protocol

    from typing_extensions import TypeVar

    from .interfaces import Handle, RuntimeLike

    T = TypeVar("T", default=Any)

    class Asking(Protocol):
        """Who has asked."""

        def _forget(self, packet_id: int, /) -> None:
            """Stop waiting for an acknowledgement."""

else:
    T = None

__all__ = [
    "Promise",
    "Question",
    "Reply",
    "Responses",
    "Collected",
    "Gathering",
    "as_values",
    "check_seconds",
    "value_of",
]

_PENDING = 0
_DONE = 1
_CANCELLED = 2


def value_of(args: list[Any]) -> Any:
    """Return what an acknowledgement means: none is ``None``, one itself, several a tuple.

    >>> value_of([]), value_of(["ok"]), value_of([1, 2])
    (None, 'ok', (1, 2))
    """
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None


def as_values(result: Any) -> list[Any]:
    """Return the arguments of the acknowledgement that a returned value means.

    >>> as_values("ok"), as_values((1, 2)), as_values((None,)), as_values(None)
    (['ok'], [1, 2], [None], [])
    """
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]


def check_seconds(seconds: object) -> None:
    """Refuse a time to wait that is none; ``None`` is the default.

    >>> check_seconds("5")
    Traceback (most recent call last):
    TypeError: a timeout is a number of seconds, not '5'
    """
    if seconds is None:
        return
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool):
        raise TypeError(f"a timeout is a number of seconds, not {seconds!r}")
    try:
        float(seconds)
    except OverflowError:
        raise ValueError("a timeout is a number of seconds that a float can hold") from None
    if not seconds >= 0:
        raise ValueError(f"a timeout is not below zero seconds, as {seconds!r} is")


class Reply(Generic[T]):
    """What the other end will answer; ``T`` is the type of the answer, ``Any`` if it is left out.

    ``result()`` gives the value that was acknowledged: ``None`` for an empty acknowledgement, a
    tuple for several values.  It raises ``TimeoutError`` when the time given to ``timeout(...)``
    was over, ``ConnectionClosed`` when the socket ended first or the reply was cancelled.
    """

    __slots__ = ("_host", "_state", "_value", "_error", "_callbacks", "_timer")

    def __init__(self, host: RuntimeLike) -> None:
        self._host = host
        self._state = _PENDING
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Reply[T]], object]] = []
        self._timer: Handle | None = None

    def done(self) -> bool:
        """Tell whether the reply is over: answered, failed or cancelled."""
        return self._state != _PENDING

    def cancelled(self) -> bool:
        """Tell whether :meth:`cancel` ended it."""
        return self._state == _CANCELLED

    def result(self, timeout: float | None = None) -> T:
        """Return the answer; block until it is there, at most ``timeout`` seconds.

        ``TimeoutError`` if it was not there in time (the reply goes on waiting).  On the thread
        that runs the loop an answer could never arrive while blocked: there, a reply that is not
        done raises ``RuntimeError`` at once.
        """
        if timeout is not None:
            check_seconds(timeout)
        if self._state == _PENDING:
            self._host.wait(self, timeout)
        if self._error is not None:
            raise self._error
        answer: T = self._value
        return answer

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the error it ended with, or ``None``; waits as :meth:`result` does."""
        check_seconds(timeout)
        if self._state == _PENDING:
            self._host.wait(self, timeout)
        return self._error

    def add_done_callback(self, callback: Callable[[Reply[T]], object]) -> None:
        """Call ``callback(reply)`` when it is over: on the loop thread, or now if it is."""
        if is_async(callback):
            name = getattr(callback, "__qualname__", "a callback")
            raise TypeError(f"{name} is `async def`, and nobody awaits a callback: await the reply")
        self._callbacks.append(callback)
        if self._state != _PENDING:
            self._run_callbacks()

    def cancel(self) -> bool:
        """Stop waiting; a later answer is ignored.  ``False`` if the reply was over already."""
        if self._state != _PENDING:
            return False
        self._finish(_CANCELLED, None, ConnectionClosed("the reply was cancelled"))
        return True

    def __await__(self) -> Generator[Any, None, T]:
        if self._state == _PENDING:
            # Whoever awaits is a task of asyncio, so it has been imported by somebody.
            loop = sys.modules["asyncio"].get_running_loop()
            future = loop.create_future()
            thread = get_ident()

            def over(_: Reply[T]) -> None:
                if get_ident() == thread:
                    _wake(future)
                else:  # which costs the loop a call of the system
                    loop.call_soon_threadsafe(_wake, future)

            self.add_done_callback(over)
            try:
                yield from future
            except BaseException:
                self.cancel()
                raise
        return self.result()

    def _finish(self, state: int, value: Any, error: BaseException | None) -> None:
        self._value = value
        self._error = error
        self._state = state
        timer, self._timer = self._timer, None  # at once: another thread may end it, too
        if timer is not None:
            self._host.call(timer.cancel)
        if self._callbacks:
            self._run_callbacks()

    def _run_callbacks(self) -> None:
        callbacks = self._callbacks
        while callbacks:
            try:
                callback = callbacks.pop(0)
            except IndexError:
                return
            try:
                callback(self)
            except Exception as error:  # noqa: BLE001 - it is the user's, like a handler
                self._host.log("handler", ERROR, "a callback of a reply failed", error)

    def __repr__(self) -> str:
        states = ("pending", "done", "cancelled")
        return f"<Reply {states[self._state]}>"


class Promise(Reply[T]):
    """A reply, for whoever will end it: on the loop's thread, once; further calls do nothing."""

    __slots__ = ()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it, or will be called."""
        return bool(self._callbacks)

    def resolve(self, value: T) -> None:
        """End it with a value; does nothing if it is over."""
        if self._state != _PENDING:
            return
        if self._timer is not None:
            self._finish(_DONE, value, None)
            return
        self._value = value  # as _finish() would: most replies end here
        self._state = _DONE
        if self._callbacks:
            self._run_callbacks()

    def fail(self, error: BaseException) -> None:
        """End it with an error; does nothing if it is over."""
        if self._state == _PENDING:
            self._finish(_DONE, None, error)

    def expire_after(self, seconds: float) -> None:
        """Fail with ``TimeoutError`` after ``seconds``."""
        self.set_timer(seconds, self._expire)

    def expire_with(self, place: Handle) -> None:
        """Fail with ``TimeoutError`` when this place in a queue is late: it calls :meth:`late`."""
        self._timer = place

    def late(self) -> None:
        """Take note that the time is over."""
        self._timer = None
        self._expire()

    def set_timer(self, seconds: float, fn: Callable[[], None]) -> None:
        """Call ``fn`` after ``seconds`` unless the reply is over before."""
        self._timer = self._host.call_later(seconds, fn)

    def answered(self, _sid: str, args: list[Any]) -> None:
        """Take the acknowledgement of the one socket that was asked."""
        self.resolve(value_of(args))

    def lost(self, _sid: str, reason: str) -> None:
        """Take note that the socket ended before it answered."""
        self.fail(ConnectionClosed(f"the socket ended before it answered: {reason}"))

    def _expire(self) -> None:
        self.fail(TimeoutError("no acknowledgement arrived in time"))


class Question(Promise[T]):
    """The reply to one event for one socket, which forgets it when the reply ends in another way.

    The owner has ``_forget(packet_id)``, for the loop's thread.
    """

    __slots__ = ("_owner", "_packet_id")

    def __init__(self, host: RuntimeLike, owner: Asking, packet_id: int) -> None:
        Reply.__init__(self, host)  # super() makes an object, for each
        self._owner = owner
        self._packet_id = packet_id

    def answered(self, _sid: str, args: list[Any]) -> None:
        """Take the acknowledgement, for which nobody waits any more."""
        if self._state != _PENDING:
            return
        timer, self._timer = self._timer, None  # at once: another thread may cancel the reply
        if timer is not None:
            timer.cancel()
        self._value = args[0] if len(args) == 1 else value_of(args)
        self._state = _DONE
        if self._callbacks:
            self._run_callbacks()

    def _finish(self, state: int, value: Any, error: BaseException | None) -> None:
        self._host.call(self._owner._forget, self._packet_id)
        Promise._finish(self, state, value, error)


def _wake(future: Any) -> None:
    if not future.done():
        future.set_result(None)


class Responses(list[T]):
    """What the sockets answered to a broadcast, in the order in which they did.

    ``answers`` maps the id of a socket to its answer, ``missing`` names those that did not answer
    in time, or ended first.  Empty ``missing`` means everybody did.

    >>> r = Responses({"a": 1, "b": None}, ["c"])
    >>> r, r.answers["a"], r.missing
    ([1, None], 1, ['c'])
    """

    def __init__(self, answers: dict[str, T], missing: Iterable[str] = ()) -> None:
        super().__init__(answers.values())
        self.answers = answers
        self.missing = list(missing)


class Collected(list[T]):
    """What the servers of a cluster gave; ``missing`` names those that did not answer in time.

    >>> result = Collected([1, 2], ["aB3xY9"])
    >>> result, result.missing
    ([1, 2], ['aB3xY9'])
    """

    def __init__(self, items: Iterable[T] = (), missing: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.missing = list(missing)


class Gathering:
    """Collects the acknowledgements of one broadcast into one :class:`Reply`.

    ``expect`` names sockets that were asked (other servers' too), ``complete`` says that one of the
    ``parts`` of the broadcast has named all of its own.  The reply ends when every part is complete
    and every socket has answered or is gone.
    """

    __slots__ = ("reply", "_parts", "_waiting", "_missing", "_answers")

    def __init__(self, reply: Promise[Responses[Any]], parts: int = 1) -> None:
        self.reply = reply
        self._parts = parts
        # Dicts, not sets: they keep the order in which sockets were asked.
        self._waiting: dict[str, None] = {}
        self._missing: dict[str, None] = {}
        self._answers: dict[str, Any] = {}

    def expect(self, sids: Iterable[str]) -> None:
        """Wait for these sockets, too."""
        self._waiting.update(dict.fromkeys(sids))

    def complete(self) -> None:
        """One part has named everybody whom it asked."""
        self._parts -= 1
        self._check()

    def answered(self, sid: str, args: list[Any]) -> None:
        """Take one socket's acknowledgement."""
        if sid in self._waiting:
            del self._waiting[sid]
            self._answers[sid] = value_of(args)
            self._check()

    def lost(self, sid: str, _reason: str) -> None:
        """Take note that a socket will not answer."""
        if sid in self._waiting:
            del self._waiting[sid]
            self._missing[sid] = None
            self._check()

    def expire(self) -> None:
        """The time is over: end with what there is."""
        self.reply.resolve(Responses(self._answers, [*self._missing, *self._waiting]))

    @property
    def waiting(self) -> tuple[str, ...]:
        """The sockets that have not answered yet."""
        return tuple(self._waiting)

    def _check(self) -> None:
        if self._parts <= 0 and not self._waiting:
            self.expire()
