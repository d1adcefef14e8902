"""Requests that were answered before: from their bytes to the answer, past the layers.

A connection that stays asks for the same again.  Its HTTP layer remembers the last heads
(:mod:`rawsio.http.repeated`), and what the layers above make of a request for the application, or
for a file, follows from its head alone as well: that it is not Engine.IO's, that its host is
allowed, who is to be asked.  So :class:`Repeats` finds out once where the requests with a head go,
and keeps that with the head as its *way*: a function that takes the next one from its bytes to its
answer.

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

    from rawsio.engineio.server.registry import SessionRegistry
    from rawsio.http.messages import Response
    from rawsio.http.receive import Known
    from rawsio.stack import ServerStack

    from .answering import Answering

    Files = Callable[[Request], tuple[Response, bytes] | None]
    Way = Callable[[ServerStack, Known, bytes, float], bool]

__all__ = ["Repeats"]


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
            way = known.way = self._way(known)
        return way(stack, known, data, now)

    def _way(self, known: Known) -> Way:
        """Return where the requests with a head go."""
        asked = known.asked
        request = Request(asked.method, known.target, asked.headers, asked.version)
        if (
            asked.method == "CONNECT"
            or self._registry.serves(request)
            or not self._registry.allows_host(request)
        ):
            return _by_the_layers
        found = None if self._files is None else self._files(request)
        if found is not None:
            return partial(_respond, found)
        return partial(_respond, (answer(404), b"")) if self._application is None else self._ask

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
