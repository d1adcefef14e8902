"""Requests that the application answers, from the question to the last byte of the answer.

The application runs where handlers run: on the loop, or on the threads of the server's executor.
It may block there, so an answer is often on its way for several turns, in which its client may
go, and everybody else is served.

An answer that is made piece by piece goes as fast as its client takes it: the next pieces are
fetched when the last ones are sent.  Fetching on the loop is fair: those that have
more to say take turns, and all of them together get :data:`_SHARE` seconds of each turn.  One that
blocks the loop all the same is named in the log.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.errors import escaped, leaves_the_loop
from rawsio.http.messages import answer
from rawsio.log import ERROR, WARNING

from .http_apps import RemoteAddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.http.messages import Request
    from rawsio.limits import Limits
    from rawsio.log import Log
    from rawsio.stack import ServerStack

    from .http_apps import Application
    from .streaming import Streaming

    Done = Callable[[Any, BaseException | None], None]
    Start = Callable[[Callable[..., Any], tuple[Any, ...], Done, "_Answer"], None]
    Later = Callable[[float, Callable[..., Any]], Any]

    class Caller(Protocol):
        """What runs functions (:class:`rawsio.runtime.Runtime`)."""

        inline: bool
        """Whether that is on the loop."""
        slow_handler: float
        """Seconds after which it wants to know of one."""
        time: Callable[[], float]
        """The clock."""

        def check_slow(self, what: Any, seconds: float, /) -> None:
            """Take note that a function took so long."""


__all__ = ["Answering"]

_SHARE = 0.01
"""Seconds of a turn of the loop in which pieces are fetched."""

_PAUSE = 0.02
"""Seconds until one that had nothing to say is asked again."""

_CLOSED_BY_ERROR = 1011


class _Answer:
    """One answer on its way.

    ``busy``: the application is at work; ``crowded``: its client has to take what was sent before
    it goes on; ``over``: nobody waits for it any more.
    """

    __slots__ = ("stack", "request", "app", "streaming", "over", "busy", "crowded", "seconds")

    def __init__(self, stack: ServerStack, request: Request, app: str) -> None:
        self.stack = stack
        self.request = request
        self.app = app
        self.streaming: Streaming | None = None
        self.over = False
        self.busy = True
        self.crowded = False
        self.seconds = 0.0

    @property
    def name(self) -> str:
        """What the log calls it."""
        return f"app {self.app} for {self.request.method} {escaped(self.request.target)}"


_AT_WORK: Any = _Answer(None, None, "")  # type: ignore[arg-type]  # of nobody in particular
"""Stands for the answer of an application that is being called, and will return at once."""


class Answering:
    """The answers of one application.

    ``start(fn, args, done, one)`` runs a function where handlers run, ``one.name`` says what
    it does; ``later(seconds, fn)`` calls one
    on the loop; ``clock`` gives seconds.  ``name`` is what the log calls the application.  Where a
    ``runtime`` runs functions on the loop, they are called without ``start``.
    """

    def __init__(
        self,
        application: Application,
        name: str,
        *,
        start: Start,
        later: Later,
        clock: Callable[[], float],
        limits: Limits,
        log: Log,
        runtime: Caller | None = None,
    ) -> None:
        self._application = application
        self._name = name
        self._start = start
        self._later = later
        self._clock = clock
        self._limits = limits
        self._log = log
        self._runtime = runtime
        self._answers: dict[ServerStack, _Answer] = {}
        self._ready: deque[_Answer] = deque()
        self._scheduled = False

    def ask(
        self, stack: ServerStack, request: Request, body: bytes, peer: RemoteAddress | None = None
    ) -> None:
        """Ask the application, and see to its answer; ``peer`` if that is known already."""
        if peer is None:
            peer = RemoteAddress(stack.address, stack.secure, stack.certificate)
        runtime = self._runtime
        if runtime is None or not runtime.inline:
            one = self._answers[stack] = _Answer(stack, request, self._name)
            answered = partial(self._answered_first, one)
            self._start(self._application, (request, body, peer), answered, one)
            return
        # What `start` does on the loop.  Nearly always the answer is there then, and all of it: no
        # object for its way is needed.
        answers, began = self._answers, runtime.time()
        error: BaseException | None = None
        answers[stack] = _AT_WORK
        try:
            result: Any = self._application(request, body, peer)
        except BaseException as raised:
            if leaves_the_loop(raised):
                raise
            result, error = None, raised
        seconds = runtime.time() - began
        there = answers.pop(stack, None) is _AT_WORK
        if there and result.__class__ is tuple and seconds <= runtime.slow_handler:
            try:
                stack.respond(*result)
            except Exception as raised:  # noqa: BLE001 - it is the user's
                error = raised
            else:
                return
        one = _Answer(stack, request, self._name)
        runtime.check_slow(one, seconds)
        if there:
            answers[stack] = one
        one.over = not there
        self._answered_first(one, result, error)

    def waiting(self, stack: ServerStack) -> bool:
        """Return whether an answer to this connection has not begun yet."""
        one = self._answers.get(stack)
        return one is not None and not (one.streaming is not None and one.streaming.sent)

    def lost(self, stack: ServerStack) -> None:
        """Take note that nobody waits for the answer to this connection any more."""
        one = self._answers.pop(stack, None)
        if one is not None:
            one.over = True
            if not one.busy:
                self._close(one)

    def drained(self, stack: ServerStack) -> None:
        """Take note that a connection has taken what was sent to it."""
        one = self._answers.get(stack)
        if one is not None and one.crowded:
            one.crowded = False
            self._go_on(one, idle=False)

    def _answered_first(self, one: _Answer, result: Any, error: BaseException | None) -> None:
        """Take what the application says; nearly always that is all of the answer."""
        if error is None and not one.over and not hasattr(result, "fetch"):
            try:
                one.stack.respond(*result)
                del self._answers[one.stack]
            except Exception as raised:  # noqa: BLE001 - it is the user's
                self._failed(one, raised)
        else:
            self._returned(one, self._answered, result, error)

    # Running it

    def _run(self, one: _Answer, fn: Callable[..., Any], args: tuple[Any, ...], done: Any) -> None:
        one.busy = True
        self._start(fn, args, partial(self._returned, one, done), one)

    def _returned(self, one: _Answer, done: Any, result: Any, error: BaseException | None) -> None:
        one.busy = False
        if error is None and hasattr(result, "fetch"):
            one.streaming = result
        if one.over:
            self._close(one)
            return
        if error is not None:
            self._failed(one, error)
            return
        try:
            done(one, result)
        except Exception as raised:  # noqa: BLE001 - it is the user's
            self._failed(one, raised)

    def _failed(self, one: _Answer, error: BaseException) -> None:
        self._log("handler", ERROR, f"{one.name} failed", error)
        self._answers.pop(one.stack, None)
        one.over = True
        if one.streaming is not None and one.streaming.sent:
            one.stack.close(_CLOSED_BY_ERROR)
        else:
            one.stack.respond(answer(500), b"")
        self._close(one)

    def _close(self, one: _Answer) -> None:
        """Tell the application that its answer is over."""
        streaming, one.streaming = one.streaming, None
        if streaming is not None:
            self._start(streaming.close, (), partial(self._closed, one), one)

    def _closed(self, one: _Answer, _result: Any, error: BaseException | None) -> None:
        if error is not None:
            self._log("handler", ERROR, f"{one.name} failed in close()", error)

    # Answers

    def _answered(self, one: _Answer, result: Any) -> None:
        self._fetch(one)

    def _fetch(self, one: _Answer) -> None:
        if one.streaming is None:
            return
        began = self._clock()
        self._run(one, one.streaming.fetch, (self._clock,), self._fetched)
        # What blocks for little each time, and every time, no limit for one call finds.
        before, one.seconds = one.seconds, one.seconds + self._clock() - began
        if before <= self._limits.slow_handler < one.seconds:
            message = f"{one.name} has blocked the loop for {one.seconds:.2f} s, piece by piece"
            self._log("handler", WARNING, message)

    def _fetched(self, one: _Answer, _result: Any) -> None:
        streaming, stack = one.streaming, one.stack
        if streaming is None:
            return
        pieces = streaming.take()
        if not streaming.sent and (streaming.ended or self._bodiless(one)):
            stack.respond(*streaming.whole(one.request, pieces))
            self._end(one)
            return
        if pieces and not streaming.sent:
            stack.begin(streaming.begun())
        for piece in pieces:
            stack.send_content(piece)
        if streaming.ended:
            stack.finish()
            self._end(one)
        else:
            self._go_on(one, idle=streaming.idle)

    @staticmethod
    def _bodiless(one: _Answer) -> bool:
        head = None if one.streaming is None else one.streaming.response
        return head is not None and (one.request.method == "HEAD" or head.status in (204, 304))

    def _end(self, one: _Answer) -> None:
        self._answers.pop(one.stack, None)
        self._close(one)

    # The next pieces

    def _go_on(self, one: _Answer, *, idle: bool) -> None:
        stream: Any = one.stack.stream
        if stream is not None and stream.buffered_amount:
            # It tells when some of that is sent (`drained`); then this is asked again.
            one.crowded = True
            stream.enter_high_water()
        elif idle:
            self._later(_PAUSE, partial(self._line_up, one))
        else:
            self._line_up(one)

    def _line_up(self, one: _Answer) -> None:
        self._ready.append(one)
        self._schedule()

    def _schedule(self) -> None:
        if self._ready and not self._scheduled:
            self._scheduled = True
            self._later(0.0, self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        end = self._clock() + _SHARE
        for _ in range(len(self._ready)):
            one = self._ready.popleft()
            if not one.over and not one.busy:
                self._fetch(one)
            if self._clock() >= end:
                break
        self._schedule()
