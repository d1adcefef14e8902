"""Events that are posted: from an Engine.IO packet to the acknowledgement in the session's queue.

Nearly all that clients post is what they say over a WebSocket, too: short events of the main
namespace with one plain handler, whose answer is a short text.  :class:`Posted` is the route of a
session that polls, and takes such a packet in one step where its base,
:class:`~rawsio.routes.Direct`, asks each of its parts.

Everything that could forbid that is asked for before the handler is called, and nothing has changed
by then; :func:`rawsio.reading.posted_in` says what is such an event, by the rules of those on a
WebSocket (:mod:`rawsio.express`).  Where more than a short text answers, or the handler has changed
what follows, the multiplexer concludes as ever.  ``tests/test_posted.py`` holds it to the calls,
answers and states of the layers.
"""

from __future__ import annotations

from rawsio.app.dispatch import COROUTINE
from rawsio.app.states import SocketState
from rawsio.engineio.states import SessionState
from rawsio.reading import BRIEF, posted_in
from rawsio.routes import Direct
from rawsio.socketio.packets import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.handlers import Handler
    from rawsio.app.multiplexer import Multiplexer
    from rawsio.app.socket import Socket
    from rawsio.engineio.server.session import Session
    from rawsio.reading import Reading

    from .routes import Port

__all__ = ["Posted"]

_OPEN, _JOINED = SessionState.OPEN, SocketState.OPEN


class Posted(Direct):
    """The route of a session that polls; see the module."""

    __slots__ = ("_reading",)

    def __init__(
        self, multiplexer: Multiplexer, port: Port, session: Session, reading: Reading
    ) -> None:
        Direct.__init__(self, multiplexer, port, session, session)
        self._reading = reading

    def receive_packet(self, packet: str | bytes) -> bool:
        """Take one packet to the handlers; ``False`` if it was a mistake."""
        multiplexer, protocol = self._multiplexer, self._protocol
        socket = multiplexer._first
        if (
            socket is None
            or type(packet) is not str
            or packet[:2] != "42"
            or multiplexer.busy
            or multiplexer.allowance < 1
            or protocol._partial is not None
            or protocol._work is not None
            or protocol._behind is not None
            or self._engine.state is not _OPEN
            or socket.namespace is not multiplexer.namespaces.main
            or not self._is_usual(socket)
        ):
            return Direct.receive_packet(self, packet)
        found = posted_in(packet, self._reading.main)
        if found is None:
            return Direct.receive_packet(self, packet)
        digits, args = found
        handlers = socket.namespace._handlers
        handler = handlers.alone.get(args[0]) or handlers.only(args[0])
        if handler is None or not handler.least < len(args) <= handler.full:
            return Direct.receive_packet(self, packet)
        self._engine.heard()
        multiplexer.allowance -= 1
        self._call(socket, handler, packet, digits, args)
        return True

    def _call(
        self, socket: Socket, handler: Handler, packet: str, digits: str, args: list[Any]
    ) -> None:
        """Call the handler, and answer."""
        multiplexer = self._multiplexer
        host, name = multiplexer.host, args[0]
        args[0], began = socket, host.time()
        multiplexer.busy = True
        try:
            result = handler.fn(*args)
        except Exception as error:  # noqa: BLE001 - a handler's mistake never stops the server
            args[0] = name
            event = Event("/", args, int(digits) if digits else None)
            multiplexer.failed(socket, event, error)
            return
        except BaseException:
            multiplexer.interrupted()
            raise
        seconds = host.time() - began
        if (
            result.__class__ is str
            and digits
            and len(result) < BRIEF
            and seconds <= host.slow_handler
            and socket._state is _JOINED
            and multiplexer._jobs is None
            and multiplexer.route is self
            and self._queue(f"43{digits}[{self._reading.quoted(result)}]")
        ):
            multiplexer.busy = False
            return
        if result.__class__ is COROUTINE:
            multiplexer.weigh(packet[1:])
        args[0] = name
        event = Event("/", args, int(digits) if digits else None)
        multiplexer.conclude(socket, event, handler, result, seconds)

    def _queue(self, text: str) -> bool:
        """Queue a short answer, if that is all that there is to do; and count it."""
        port = self._port
        room = port.room - (port.OVERHEAD + len(text) - 1)
        if room < 0 or self._engine.state is not _OPEN or not self._outlet.put_text(text):
            return False
        port.room = room
        return True
