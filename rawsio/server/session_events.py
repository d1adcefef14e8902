"""What an application can hear of a session below Socket.IO: ``socket.conn.on(name, fn)``.

=================  ==========================================================================
name               the function is called with
=================  ==========================================================================
``packet``         each Engine.IO packet that arrives: ``"42[...]"``, or bytes
``packet_create``  each Engine.IO packet that is sent
``message``        the data of each message that arrives
``heartbeat``      nothing; a ping or pong of the client is there
``upgrade``        the transport that the session goes on with: ``"websocket"``
``drain``          nothing; what waited to be sent has been taken
``close``          the reason; the session is over
=================  ==========================================================================

A function may take fewer parameters, as a handler may.  It cannot change what passes; one that
raises is logged.

The first function wraps the session's connection in :class:`rawsio.trace.Traced`; a session that
nobody looks at pays nothing.
"""

from __future__ import annotations

from rawsio.app.handlers import Handler, check_plain
from rawsio.engineio.packets import Message
from rawsio.errors import meant
from rawsio.log import ERROR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from rawsio.engineio.server.session import Session
    from rawsio.log import Log

    FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

__all__ = ["NAMES", "SessionEvents"]

NAMES = ("packet", "packet_create", "message", "heartbeat", "upgrade", "drain", "close")


class SessionEvents:
    """The functions that want to hear of one session."""

    __slots__ = ("_session", "_log", "_functions")

    def __init__(self, session: Session, log: Log) -> None:
        self._session = session
        self._log = log
        self._functions: dict[str, list[Handler]] = {}
        session.watch(self._report)

    def on(self, name: str, fn: FunctionT | None) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Register a function; without one, return a decorator."""
        if name not in NAMES:
            raise ValueError(f"conn.on: a session has no event {name!r}{meant(name, NAMES)}")
        functions = self._functions.setdefault(name, [])

        def add(function: FunctionT) -> FunctionT:
            check_plain(function, f"a function of conn.on({name!r})")
            functions.append(Handler(function))
            return function

        return add if fn is None else add(fn)

    def tell(self, name: str, *values: Any) -> None:
        """Call the functions of this name."""
        for handler in self._functions.get(name, ()):
            try:
                handler.fn(*handler.arguments(None, list(values)))
            except Exception as error:  # noqa: BLE001 - it is the user's
                self._log("handler", ERROR, f"a function for {name!r} of a session failed", error)

    def _report(self, _layer: str, direction: str, what: str, value: Any) -> None:
        if direction == "out" and what == "unit":
            whole = value.__class__ is str or value.__class__ is bytes
            for packet in (value,) if whole else value.packets(self._session.revision):
                self.tell("packet_create", packet)
        elif direction == "in" and what == "unit":
            self.tell("packet", value)
            answer = "3" if self._session.revision == 4 else "2"
            if isinstance(value, str) and value == answer:
                self.tell("heartbeat")
        elif direction == "in" and value.__class__ is Message:
            self.tell("message", value.data)
