"""From an event to its handlers, and from what they return to the acknowledgement.

An event passes the listeners of ``on_any``, the middleware of its socket, the handlers of its
namespace, then those of the socket.  All of them run; the first value that is not ``None`` is the
acknowledgement, sent once, after the last has ended.

An exception in a handler is logged with the names of the event and of the namespace, and never
stops the server or the handlers after it.  An event that failed is not acknowledged, unless another
handler gave a value, because an empty acknowledgement would say that all is well.  For the same
reason an event that nobody handles is not acknowledged.

The jobs stand in the queue of their connection (:mod:`rawsio.app.handler_queue`).  An event with
one plain handler, for which nothing waits, needs no job (:class:`EventQueue`): two dictionary
look-ups, the call and the acknowledgement, with the same outcome.
"""

from __future__ import annotations

from functools import partial

from rawsio.errors import LocalProtocolError, Refused, refusal_in
from rawsio.socketio.packets import Event

from .handler_queue import (
    HandlerChain,
    HandlerQueue,
    Step,
    log_event_failure,
    tell_surplus,
    too_few,
)
from .handlers import Handler, take_off
from .lifecycle_events import raise_library_event
from .reply import as_values
from .socket import Acknowledge
from .states import SocketState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .handler_queue import Pausing, PortT_co, Steps
    from .handlers import Listener
    from .listeners import HandlerSocket, Hooks
else:
    PortT_co = None

__all__ = [
    "COROUTINE",
    "EventQueue",
    "await_result",
    "handlers_of",
    "run_event",
    "run_on_thread",
]

_NONE: tuple[Handler, ...] = ()
_OPEN = SocketState.OPEN


async def _nothing() -> None:
    """Only its type is wanted."""


_made = _nothing()
COROUTINE = type(_made)
"""What a handler returned if it is to be awaited, though it is no coroutine function."""
_made.close()


def handlers_of(socket: Listener, name: str | int) -> tuple[Handler, ...]:
    """Return who handles an event: the namespace's first, then the socket's."""
    found = socket.namespace._handlers.events.get(name, _NONE)
    own = socket._handlers
    return found if own is None else found + own.events.get(name, _NONE)


class _EventRun(HandlerChain):
    __slots__ = (
        "_peer",
        "_socket",
        "_event",
        "_values",
        "_guards",
        "_ack",
        "_value",
        "_at",
        "_failed",
        "_ran",
        "_held",
    )

    def __init__(
        self, peer: HandlerQueue[Pausing], socket: HandlerSocket, event: Event, hooks: Hooks | None
    ) -> None:
        super().__init__(peer.host, [])
        self._peer = peer
        self._socket = socket
        self._event = event
        # Middleware may change this list; the event itself stays as it came.
        self._values = event.args[1:]
        self._guards = 0
        self._ack: Acknowledge | None = None
        self._value: Any = None
        self._at = -1
        self._failed = False
        self._ran = False
        # What it holds, if it goes on after it was begun.
        self._held = 0
        self._steps = [] if hooks is None else self._before(hooks)
        self._steps.append((Step.INTERNAL, self._add_handlers, ()))

    def _before(self, hooks: Hooks) -> Steps:
        args = self._event.args
        steps: Steps = [(Step.CALL, fn, tuple(args)) for fn in hooks.incoming]
        self._guards = len(steps)
        steps += [(Step.CALL, fn, (args[0], self._values)) for fn in hooks.middleware]
        return steps

    def _add_handlers(self) -> None:
        socket = self._socket
        if socket._state is SocketState.DISMISSED or socket._state is SocketState.GONE:
            return
        name, values = self._event.args[0], self._values
        for handler in handlers_of(socket, name):
            if handler.once and not take_off(socket, name, handler):
                continue
            self._ran = True
            if len(values) < handler.least:
                self._failed = True
                space = socket.namespace.name
                too_few(self.host, handler, name, space, len(values), socket)
                continue
            most = handler.most
            if most is not None and len(values) > most and not handler.told:
                tell_surplus(self.host, handler, name, socket.namespace.name, len(values))
            if handler.ack and self._ack is None:
                self._ack = Acknowledge(socket, self._event.id)
            kind = Step.CONCURRENT if handler.concurrent else Step.CALL
            self._steps.append((kind, handler.fn, handler.arguments(socket, values, self._ack)))

    def add_result(self, coroutine: Any, ack: Acknowledge | None) -> None:
        """Begin in the middle: a handler was called, and gave something to be awaited."""
        self._ran = True
        self._ack = ack
        self._steps = [(Step.CALL, _given, (coroutine,))]

    def took(self, position: int, result: Any, error: BaseException | None) -> bool:
        if self._ran:
            if error is not None:
                self._failed = True
                self._report("a handler of", error)
            elif result is not None and (self._at < 0 or position < self._at):
                self._value, self._at = result, position
            return True
        if position < self._guards:
            if error is not None:
                self._report("a listener of", error)
            return True
        if error is None:
            error = _objection(result)
        if error is None:
            return True
        self._failed = True
        heard = raise_library_event(self.host, self._socket, "error", error)
        if not heard and not isinstance(error, Refused):
            self._report("middleware of", error)
        return False

    def _report(self, what: str, error: BaseException) -> None:
        log_event_failure(self.host, what, self._socket, self._event, error)

    def begin(self) -> bool:
        """Run; ``True`` if the next event need not wait."""
        passed = self.run()
        if not self._over or self._aside:
            self._held = self._peer.work_begins(aside=passed)
        return passed

    def finished(self) -> None:
        if self._held:
            self._peer.work_ends(self._held)
        hooks, packet_id = self._socket._hooks, self._event.id
        if hooks is not None and hooks.handled is not None:
            hooks.handled(self._socket)
        if packet_id is None or not self._ran:
            return
        if self._ack is not None:
            if self._value is not None:
                self._answer(self._ack)
        elif self._value is not None or not self._failed:
            self._answer(Acknowledge(self._socket, packet_id))

    def _answer(self, ack: Acknowledge) -> None:
        try:
            ack(*as_values(self._value))
        except LocalProtocolError as error:
            self._report("the acknowledgement of", error)

    def proceeded(self) -> None:
        self._peer.proceed()


def _objection(result: object) -> BaseException | None:
    """Return why an event stops at a middleware that returned this."""
    try:
        return refusal_in(result, "a middleware of events")
    except TypeError as error:
        return error


def _given(value: Any) -> Any:
    return value


def run_event(
    peer: HandlerQueue[Pausing], socket: HandlerSocket, event: Event, hooks: Hooks | None = None
) -> bool:
    """Run an event through listeners, middleware and handlers: a job.

    ``hooks`` are the socket's, unless others are given.
    """
    if socket._state is SocketState.DISMISSED or socket._state is SocketState.GONE:
        return True
    return _EventRun(peer, socket, event, socket._hooks if hooks is None else hooks).begin()


def run_on_thread(peer: HandlerQueue[Pausing], socket: HandlerSocket, event: Event) -> bool:
    """Do what :func:`run_event` does, without its objects where one plain handler is all: a job.

    That is for hosts where plain handlers run on threads, so none has ended when this returns.
    """
    args = event.args
    handlers = handlers_of(socket, args[0])
    handler = handlers[0] if len(handlers) == 1 else None
    if (
        handler is None
        or not handler.plain
        or len(args) <= handler.least
        or socket._hooks is not None
        or socket._state is not SocketState.OPEN
    ):
        return run_event(peer, socket, event)
    most = handler.most
    if most is not None and len(args) > most + 1 and not handler.told:
        tell_surplus(peer.host, handler, args[0], event.namespace, len(args) - 1)
    held = peer.work_begins(aside=False)
    ended = partial(_end_on_thread, peer, socket, event, held)
    peer.host.start(handler.fn, handler.arguments(socket, args[1:]), ended)
    return False


def _end_on_thread(
    peer: HandlerQueue[Pausing],
    socket: HandlerSocket,
    event: Event,
    held: int,
    result: Any,
    error: BaseException | None,
) -> None:
    """Answer an event whose one handler has ended, and go on with what waits."""
    if error is not None:
        log_event_failure(peer.host, "a handler of", socket, event, error)
    peer.work_ends(held)
    hooks = socket._hooks
    if hooks is not None and hooks.handled is not None:
        hooks.handled(socket)
    if error is None and event.id is not None:
        try:
            socket._answer(as_values(result), event.id)
        except LocalProtocolError as wrong:
            what = "the acknowledgement of"
            log_event_failure(peer.host, what, socket, event, wrong)
    peer.proceed()


def await_result(
    peer: HandlerQueue[Pausing],
    socket: HandlerSocket,
    event: Event,
    coroutine: Any,
    ack: Acknowledge | None = None,
) -> bool:
    """Go on with an event whose only handler gave a coroutine, and was given ``ack``: a job."""
    run = _EventRun(peer, socket, event, None)
    run.add_result(coroutine, ack)
    return run.begin()


class EventQueue(HandlerQueue[PortT_co]):
    """A connection's queue, with the short cut for the commonest of its jobs.

    That is an event with one plain handler, nothing queued, handlers on the loop.
    """

    __slots__ = ()

    def run(self, socket: HandlerSocket, event: Event) -> None:
        """Run an event through its handlers, now or in its turn."""
        if not self.busy and socket._hooks is None and self.host.inline:
            handlers = handlers_of(socket, event.args[0])
            if len(handlers) == 1:
                (handler,) = handlers
                if handler.plain and len(event.args) > handler.least:
                    self._call(socket, event, handler)
                    return
                if handler.answers and len(event.args) > handler.least:
                    self._call(socket, event, handler, Acknowledge(socket, event.id))
                    return
            elif not handlers:
                self.arriving = 0
                return
        self.perform(run_event if self.host.inline else run_on_thread, self, socket, event)

    def _call(
        self, socket: HandlerSocket, event: Event, handler: Handler, ack: Acknowledge | None = None
    ) -> None:
        # The short cut: what `run_event` does for one synchronous handler, without its objects.
        args = event.args
        host, most = self.host, handler.most
        values = args[1:] if most is None else args[1 : most + 1]
        if most is not None and len(args) > most + 1 and not handler.told:
            tell_surplus(host, handler, args[0], event.namespace, len(args) - 1)
        if ack is not None:
            values = [*values, ack]
        began = host.time()
        self.busy = True
        try:
            result = handler.fn(socket, *values) if handler.takes_socket else handler.fn(*values)
        except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
            self.failed(socket, event, error)
        except BaseException:
            # The program is being stopped; should it go on, this connection does, too.
            self.interrupted()
            raise
        else:
            self.conclude(socket, event, handler, result, host.time() - began, ack)

    def conclude(
        self,
        socket: HandlerSocket,
        event: Event,
        handler: Handler,
        result: Any,
        seconds: float,
        ack: Acknowledge | None = None,
    ) -> None:
        """Do what follows a call of the one handler of an event: answer, or await what it gave."""
        host = self.host
        try:
            if seconds > host.slow_handler and host.watchdog is not None:
                host.watchdog.blocked_by(handler, event, seconds)
            if result.__class__ is COROUTINE:
                if await_result(self, socket, event, result, ack):
                    self.proceed()
                return
            if ack is not None:
                if result is not None:
                    ack(*as_values(result))
            elif event.id is not None and socket._state is _OPEN:
                socket._answer(as_values(result), event.id)
        except Exception as error:  # noqa: BLE001 - it has given what cannot be sent
            self.failed(socket, event, error)
            return
        except BaseException:
            self.interrupted()
            raise
        self.job_done()

    def failed(self, socket: HandlerSocket, event: Event, error: BaseException) -> None:
        """Tell of the error with which a handler has ended; who is told may stop the program."""
        try:
            log_event_failure(self.host, "a handler of", socket, event, error)
        except BaseException:
            self.interrupted()
            raise
        self.job_done()

    def job_done(self) -> None:
        """Take note that a handler that was called has ended: run those that wait."""
        self.arriving = 0
        if self._jobs is None:
            self.busy = False
        else:
            self.proceed()
