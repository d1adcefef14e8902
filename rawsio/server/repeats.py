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

from rawsio.http.messages import Request, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from rawsio.engineio.server.polling import Compression
    from rawsio.engineio.server.registry import SessionRegistry
    from rawsio.http.messages import Response
    from rawsio.http.receive import Known
    from rawsio.stack import ServerStack

    from .answering import Answering

    Files = Callable[[Request], tuple[Response, bytes] | None]
    Pairs = list[tuple[str, str]]
    Way = Callable[[ServerStack, Known, bytes, float], bool]

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
        known = stack.find_known(data)
        if known is None:
            return False
        way: Way | None = known.way
        if way is None:
            way = known.way = self._way(stack, known)
        return way(stack, known, data, now)

    def _way(self, stack: ServerStack, known: Known) -> Way:
        """Return where the requests with a head go."""
        asked = known.asked
        request = Request(asked.method, known.target, asked.headers, asked.version)
        if self._registry.serves(request):
            return self._polling(stack, request) or _by_the_layers
        if asked.method == "CONNECT" or not self._registry.allows_host(request):
            return _by_the_layers
        found = None if self._files is None else self._files(request)
        if found is not None:
            return partial(_respond, found)
        return partial(_respond, (answer(404), b"")) if self._application is None else self._ask

    def _polling(self, stack: ServerStack, request: Request) -> Way | None:
        registry = self._registry
        found = registry.find_polled(stack, request)
        transport = None if found is None else registry.polling(found[0])
        what = None if transport is None else transport.repeats(request)
        if found is None or what is None:
            return None
        polled = _Polled(registry, *found, *what)
        return polled.poll if request.method == "GET" else polled.post

    def _ask(self, stack: ServerStack, known: Known, data: bytes, now: float) -> bool:
        """Ask the application."""
        request = stack.begin_known(known, now)
        if self._application is not None:
            self._application.ask(stack, request, data[len(known.head) :])
        if stack.request is not None and stack.stream is not None:
            stack.stream.touch()  # it is still at work: what that holds is counted
        return True


def _respond(
    answer: tuple[Response, bytes], stack: ServerStack, known: Known, _data: bytes, now: float
) -> bool:
    """Answer as ever."""
    stack.begin_known(known, now)
    stack.respond(*answer)
    return True


def _by_the_layers(_stack: ServerStack, _known: Known, _data: bytes, _now: float) -> bool:
    """Leave it to the layers."""
    return False


class _Polled:
    """What the requests with one head mean for the session that they name."""

    __slots__ = ("_registry", "_sid", "_fields", "_compression", "_binary")

    def __init__(
        self,
        registry: SessionRegistry,
        sid: str,
        fields: Pairs,
        compression: Compression | None,
        binary: bool,  # noqa: FBT001 - as it is given
    ) -> None:
        self._registry = registry
        self._sid = sid
        self._fields = fields
        self._compression = compression
        self._binary = binary

    def poll(self, stack: ServerStack, known: Known, _data: bytes, now: float) -> bool:
        """Take a poll."""
        transport = self._registry.polling(self._sid)
        if transport is None or transport.ready:
            return False
        stack.begin_known(known, now)
        transport.poll_again(stack, self._fields, self._compression)
        if known.size >= _LONG and stack.request is not None and stack.stream is not None:
            stack.stream.touch()  # it waits: what its head takes is counted
        return True

    def post(self, stack: ServerStack, known: Known, data: bytes, now: float) -> bool:
        """Take a post."""
        transport = self._registry.polling(self._sid)
        if transport is None or transport.posting:
            return False
        stack.begin_known(known, now)
        transport.post_again(stack, self._fields, data[len(known.head) :], binary=self._binary)
        if stack.request is not None and stack.stream is not None:
            stack.stream.touch()  # its answer is held back: what it takes is counted
        return True
