"""Requests that were answered before: from their bytes to the answer, past the layers.

A connection that stays asks for the same again.  Its HTTP layer remembers the last heads
(:mod:`rawsio.http.repeated`), and what the layers above make of a request follows from its head
alone as well: whether it is Engine.IO's, and of which session, that its host and origin are
allowed, who is to be asked.  So :class:`Repeats` finds out once where the requests with a head go,
and keeps that with the head as its *way*: a function that takes the next one from its bytes to its
answer.  What depends on the moment is asked each time: whether the session is still there and
polls, and whether another poll or post is in work, which would be a mistake.

It is an offer before the layers (``TCPStream.offer``): it takes a whole read, or leaves it to them
and has done nothing.  It leaves what is cut, pipelined or new, and everything on a connection that
somebody watches, that has TLS below, or on which anything else waits.  What decides about requests
one by one (hooks, cookies, functions in ``cors``) has no way here.
``tests/server/test_repeats.py`` holds it to the answers, states and calls of the layers.
"""

from __future__ import annotations

from functools import partial

from rawsio.http.messages import RemoteAddress, answer
from rawsio.http.repeated import begin_known, find_known, request_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rawsio.engineio.server.polling import Compression
    from rawsio.engineio.server.registry import SessionRegistry
    from rawsio.http.connection import HTTPConnection
    from rawsio.http.messages import Request, Response
    from rawsio.http.receive import Known
    from rawsio.stack import ServerStack

    from .answering import Answering

    Files = Callable[[Request], tuple[Response, bytes] | None]
    Pairs = list[tuple[str, str]]
    Way = Callable[[ServerStack, HTTPConnection, Known, bytes, float], bool]

__all__ = ["Repeats"]

_LONG = 1024
"""Bytes of a request that are worth counting while it waits (:mod:`rawsio.server.budget`)."""


class Repeats:
    """The short way of one server; see the module.

    ``files`` and ``application`` are those of its :class:`~rawsio.server.router.Router`.
    """

    __slots__ = ("_registry", "_files", "_application")

    def __init__(
        self, registry: SessionRegistry, files: Files | None, application: Answering | None
    ) -> None:
        self._registry = registry
        self._files = files
        self._application = application

    def take(self, stack: ServerStack, data: bytes, now: float) -> bool:
        """Take what has come over a connection at this time; ``False`` if the layers have to."""
        http = stack.at_once
        known = None if http is None else find_known(http, data)
        if http is None or known is None:
            return False
        way: Way | None = known.way
        if way is None:
            way = known.way = self._way(stack, known)
        return way(stack, http, known, data, now)

    def _way(self, stack: ServerStack, known: Known) -> Way:
        """Return where the requests with a head go."""
        request = request_of(known)
        if self._registry.serves(request):
            return self._polling(stack, request) or _by_the_layers
        if request.method == "CONNECT" or not self._registry.allows_host(request):
            return _by_the_layers
        found = None if self._files is None else self._files(request)
        if found is not None:
            return partial(_respond, request, found)
        if self._application is None:
            return partial(_respond, request, (answer(404), b""))
        peer = RemoteAddress(stack.address, stack.secure, stack.certificate)
        return partial(_ask, self._application, peer)

    def _polling(self, stack: ServerStack, request: Request) -> Way | None:
        registry = self._registry
        found = registry.find_polled(stack, request)
        transport = None if found is None else registry.polling(found[0])
        what = None if transport is None else transport.repeats(request)
        if found is None or what is None:
            return None
        polled = _Polled(registry, request, *found, *what)
        return polled.poll if request.method == "GET" else polled.post


def _ask(
    application: Answering,
    peer: RemoteAddress,
    stack: ServerStack,
    http: HTTPConnection,
    known: Known,
    data: bytes,
    now: float,
) -> bool:
    """Ask the application."""
    begin_known(http, known, now)
    request = request_of(known)
    stack.request, stack.asked = request, known.asked.framing
    application.ask(stack, request, data[len(known.head) :], peer)
    if stack.request is not None and stack.stream is not None:
        stack.stream.touch()  # it is still at work: what that holds is counted
    return True


def _respond(
    request: Request,
    answer: tuple[Response, bytes],
    stack: ServerStack,
    http: HTTPConnection,
    known: Known,
    _data: bytes,
    now: float,
) -> bool:
    """Answer as ever."""
    begin_known(http, known, now)
    stack.request, stack.asked = request, known.asked.framing
    stack.respond(*answer)
    return True


def _by_the_layers(*_asked: object) -> bool:
    """Leave it to the layers."""
    return False


class _Polled:
    """What the requests with one head mean for the session that they name."""

    __slots__ = ("_registry", "_request", "_sid", "_fields", "_compression", "_binary")

    def __init__(
        self,
        registry: SessionRegistry,
        request: Request,
        sid: str,
        fields: Pairs,
        compression: Compression | None,
        binary: bool,  # noqa: FBT001 - as it is given
    ) -> None:
        self._registry = registry
        self._request = request
        self._sid = sid
        self._fields = fields
        self._compression = compression
        self._binary = binary

    def poll(
        self, stack: ServerStack, http: HTTPConnection, known: Known, _data: bytes, now: float
    ) -> bool:
        """Take a poll."""
        transport = self._registry.polling(self._sid)
        if transport is None or transport.ready:
            return False
        begin_known(http, known, now)
        stack.request, stack.asked = self._request, known.asked.framing
        transport.poll_again(stack, self._fields, self._compression)
        if known.size >= _LONG and stack.request is not None and stack.stream is not None:
            stack.stream.touch()  # it waits: what its head takes is counted
        return True

    def post(
        self, stack: ServerStack, http: HTTPConnection, known: Known, data: bytes, now: float
    ) -> bool:
        """Take a post."""
        transport = self._registry.polling(self._sid)
        if transport is None or transport.posting:
            return False
        begin_known(http, known, now)
        stack.request, stack.asked = self._request, known.asked.framing
        transport.post_again(stack, self._fields, data[len(known.head) :], binary=self._binary)
        if stack.request is not None and stack.stream is not None:
            stack.stream.touch()  # its answer is held back: what it takes is counted
        return True
