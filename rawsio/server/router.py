"""The server without its sockets: what TCP connections say, carried to sessions, and back.

A :class:`Router` stands where the pipeline forks.  Below it is one
:class:`~rawsio.stack.ServerStack` for each TCP connection; above it are sessions, which belong to
the Engine.IO registry and live longer than connections.  It decides where a request goes
(Engine.IO, the application, nobody), does the WebSocket handshake once Engine.IO has agreed to it,
and carries events up.

It is sans-IO.  ``receive(stack, events)`` is told what a stack gave, ``lost(stack)`` that a
connection is gone; everything that results is in the outboxes.  The server adds sockets and a
clock, a test adds neither.  A hook that is ``async def`` is run by ``drive``, which the server has
from its loop; its request is judged again when it has answered, and the body is collected
meanwhile.
"""

from __future__ import annotations

from functools import partial

from rawsio.engineio.server.checks import HookPending, HookResults
from rawsio.engineio.server.links import BODY, NOBODY, UPGRADE
from rawsio.errors import HTTPError, escaped, in_words
from rawsio.http.messages import Body, EndOfMessage, RemoteAddress, Request, answer
from rawsio.layer import Closed, Failed
from rawsio.log import DEBUG, ERROR, WARNING
from rawsio.stack import EndOfInput, GoOn, Recognised
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import accept, refusal_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.engineio.server.registry import SessionRegistry
    from rawsio.engineio.server.session import Session
    from rawsio.http.messages import Response
    from rawsio.log import Log
    from rawsio.stack import ServerStack
    from rawsio.websocket.deflate import DeflateOptions
    from rawsio.websocket.handshake import Accepted

    from .answering import Answering
    from .handshakes import Handshakes

    Done = Callable[[Any, BaseException | None], None]

__all__ = ["Router"]


class _Asking:
    """A request that a hook is asked about: whether its body is whole, and the hook's task.

    The task is cancelled when nobody waits for its answer any more.
    """

    __slots__ = ("whole", "task")

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.task: Any = None


_FEW = 2
"""Events of a read that are handled without a look at the clock: a request is two."""

_PATIENCE = 0.1
"""Seconds for which a long message may pause before another one is read on."""


def _nobody(_gateway: Router, _stack: ServerStack, _event: Any) -> None:
    """Do nothing about what concerns the WebSocket layer alone: pings, pongs."""


class Router:
    """Joins connections and the registry of sessions.

    ``clock`` gives seconds; ``files(request)`` gives an answer that needs no asking,
    ``application`` answers what else is not Engine.IO's; ``deflate`` is what compression a
    WebSocket may have; ``drive(coroutine, done)`` runs a coroutine and calls
    ``done(result, error)``.
    """

    def __init__(
        self,
        registry: SessionRegistry,
        log: Log,
        clock: Callable[[], float],
        *,
        files: Callable[[Request], tuple[Response, bytes] | None] | None = None,
        application: Answering | None = None,
        deflate: DeflateOptions | None = None,
        drive: Callable[[Any, Done], Any] | None = None,
    ) -> None:
        self.registry = registry
        self.log = log
        self.clock = clock
        self.files = files
        self.application = application
        self.deflate = deflate
        self.drive = drive
        self._asking: dict[ServerStack, _Asking] = {}
        # Seconds of handlers after which the other connections have their turn.
        self._share = registry.limits.turn_time
        # Whose long message is being read, and until when the others wait for its next step.
        self._reader: ServerStack | None = None
        self._reads_until = 0.0
        self._hooked = registry.options.hooked()
        self.known: Handshakes | None = None
        """The handshakes that are known; made when there is one."""

    @property
    def asking(self) -> int:
        """How many requests wait for a hook's answer."""
        return len(self._asking)

    def receive(self, stack: ServerStack, events: list[Any]) -> None:
        """Take what a connection's stack gave, or a share of it: the rest is put back."""
        if len(events) == 2 and events[0].__class__ is Request:
            self._whole_request(stack, events[0], events[1])
            return
        rest, handlers = iter(events), self._HANDLERS
        many = len(events) > _FEW
        end = self.clock() + self._share if many else 0.0
        try:
            for event in rest:
                if event.__class__ is not Message:
                    handlers.get(event.__class__, _nobody)(self, stack, event)
                else:
                    stack.user.receive_packet(event.data)
                if stack.early or (many and self.clock() >= end):
                    break
            else:
                return
        except BaseException:
            # Should the program go on, so do the events behind the one that was interrupted.
            stack.put_back(list(rest))
            raise
        left = list(rest)
        if left:
            stack.put_back(left)

    def lost(self, stack: ServerStack, reason: str = "transport close") -> None:
        """Take note that a TCP connection is gone, or as good as gone."""
        if stack.user is NOBODY and stack.upgraded and self._reader is not stack:
            return  # that was known before the TCP connection ended
        if self._reader is stack:
            self._end_reading()
        stack.user.lost(stack, reason)
        stack.body = stack.request = None
        if self.application is not None:
            self.application.lost(stack)
        asking = self._asking.pop(stack, None) if self._asking else None
        if asking is not None and asking.task is not None:
            asking.task.cancel()

    # HTTP

    def _whole_request(self, stack: ServerStack, request: Request, second: Any) -> None:
        """Take a request and what came with it, which is its end if it has no body."""
        try:
            self._request(stack, request)
        except BaseException:
            stack.put_back([second])
            raise
        if stack.early:
            stack.put_back([second])
        elif second.__class__ is EndOfMessage:
            self._end(stack)
        else:
            self._HANDLERS.get(second.__class__, _nobody)(self, stack, second)

    def _request(self, stack: ServerStack, request: Request) -> None:
        stack.request, stack.asked = request, 0
        if request.method == "CONNECT":
            # We are no proxy, and no application may open a tunnel by answering 200.
            stack.respond(answer(501), b"")
            return
        if not self.registry.serves(request):
            # engineio-v4-http-host: a page that a name leads here would be of our origin.
            if not self.registry.refuses_host(stack, request):
                stack.body = bytearray()
            return
        if self._hooked:
            request.came_from(RemoteAddress(stack.address, stack.secure, stack.certificate))
        self._judge(stack, request)

    def _judge(
        self, stack: ServerStack, request: Request, answers: HookResults | None = None
    ) -> None:
        asking = self._asking.pop(stack, None)
        whole = asking is not None and asking.whole
        try:
            verdict = self.registry.receive_request(stack, request, self.clock(), answers)
        except HookPending as question:
            self._wait(stack, request, question, whole=whole)
            return
        except Exception as error:  # noqa: BLE001 - it is a hook's, which is the user's
            self._hook_failed(stack, request, error)
            return
        if verdict is BODY:
            stack.body = stack.body or bytearray()
        else:
            stack.body = None
        if verdict is UPGRADE:
            self._upgrade(stack, request)
        if whole and verdict is BODY:
            self._end(stack)

    def _wait(
        self, stack: ServerStack, request: Request, question: HookPending, *, whole: bool
    ) -> None:
        stack.body = stack.body or bytearray()
        asking = self._asking[stack] = _Asking(whole=whole)
        answered = partial(self._answered, stack, request, question.answers)
        if self.drive is not None:
            asking.task = self.drive(question.coroutine, answered)
            return
        question.coroutine.close()
        answered(None, RuntimeError("nobody runs coroutines here"))

    def _answered(
        self,
        stack: ServerStack,
        request: Request,
        answers: HookResults,
        answer: Any,
        error: BaseException | None,
    ) -> None:
        if stack.request is request:  # else the client is gone
            answers.took(answer, error)
            self._judge(stack, request, answers)

    def _upgrade(self, stack: ServerStack, request: Request) -> None:
        try:
            accepted = accept(request, deflate=self.deflate)
            fields = self.registry.upgrade_headers(stack, request)
        except HTTPError as error:
            self.registry.refuse(stack, request, error, refusal_fields(error))
            return
        except Exception as error:  # noqa: BLE001 - it is a hook's, which is the user's
            self.registry.refused(stack)
            self._hook_failed(stack, request, error)
            return
        if fields:
            accepted.response.headers = accepted.response.headers.plus(*fields)
        new = self.registry.begun(stack) if stack.trace is None else None
        if new is not None:
            self._remember(request, accepted, new)
        stack.upgrade(accepted)
        stack.user.accepted(stack)

    def _remember(self, request: Request, accepted: Accepted, session: Session) -> None:
        if self.known is None:
            from .handshakes import Handshakes

            self.known = Handshakes()
        self.known.remember(request, accepted, session)

    def _recognised(self, stack: ServerStack, found: Recognised) -> None:
        if not self.welcome(stack, found, self.clock()):  # the long way refuses it
            self.receive(stack, stack.read(found))

    def welcome(self, stack: ServerStack, found: Recognised, now: float) -> bool:
        """Open the session of a connection that is recognised; ``False`` if there is no place."""
        registry = self.registry
        session = registry.begin(stack, found, now)
        if session is None:
            return False
        stack.switch(found, session.take())
        registry.carry(stack, session)
        if not stack.settle(session, session.deadline):
            registry.touched(session)
        return True

    def _hook_failed(self, stack: ServerStack, request: Request, error: Exception) -> None:
        # The target has the session id in it, which no log should see.
        message = (
            f"a hook failed for a {escaped(request.method)} of {request.path}: {in_words(error)}"
        )
        self.log("handler", ERROR, message, error)
        stack.respond(answer(500), b"")

    def _body(self, stack: ServerStack, event: Body) -> None:
        if stack.body is not None:
            stack.body += event.data

    def _end(self, stack: ServerStack, _event: EndOfMessage | None = None) -> None:
        request, collected = stack.request, stack.body
        if request is None or collected is None:
            return
        asking = self._asking.get(stack)
        if asking is not None:
            asking.whole = True
            return
        stack.body, stack.asked = None, len(collected)
        if self.registry.serves(request):
            stack.user.receive_body(stack, bytes(collected))
        else:
            self._ask(stack, request, bytes(collected))

    def _ask(self, stack: ServerStack, request: Request, body: bytes) -> None:
        found = None if self.files is None else self.files(request)
        if found is not None:
            stack.respond(*found)
        elif self.application is None:
            stack.respond(answer(404), b"")
        else:
            self.application.ask(stack, request, body)

    def _go_on(self, stack: ServerStack, event: GoOn) -> None:
        session = stack.user.session
        if session is not None and not session.reading:
            now = self.clock()
            # One long message after the other: what is half read, the garbage collector goes over.
            if self._reader is stack or now >= self._reads_until:
                self._reader, self._reads_until = stack, now + _PATIENCE
                session.read_on()
            if not session.reading:
                stack.put_back([event])
                return
        if self._reader is stack:
            self._end_reading()
        stack.user.go_on(stack)

    def _end_reading(self) -> None:
        self._reader, self._reads_until = None, 0.0

    # Ends

    def _end_of_input(self, stack: ServerStack, _event: EndOfInput) -> None:
        # A client that gives up a poll, or content without an end, ends like this.  One that only
        # has no more questions gets its answer.
        if self.application is not None and self.application.waiting(stack):
            return
        self.lost(stack)
        stack.close()

    def _closed(self, stack: ServerStack, event: Closed) -> None:
        self.log("net", DEBUG, f"{stack.address} closed: {event.code} {escaped(event.reason)}")
        self.lost(stack)

    def _failed(self, stack: ServerStack, event: Failed) -> None:
        message = f"{stack.address}: {event.message} [{event.rule}, {event.code}]"
        if event.code == 1006:  # a WebSocket whose TCP connection just ended: everyday life
            self.log(event.layer, DEBUG, message)
            self.lost(stack)
        else:
            self.log(event.layer, WARNING, message)
            self.lost(stack, event.message)

    _HANDLERS: dict[type, Callable[[Router, ServerStack, Any], None]] = {
        Recognised: _recognised,
        Request: _request,
        Body: _body,
        EndOfMessage: _end,
        GoOn: _go_on,
        EndOfInput: _end_of_input,
        Closed: _closed,
        Failed: _failed,
    }
