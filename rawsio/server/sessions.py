"""How a new Engine.IO session gets its Socket.IO side.

:class:`Sessions` makes, for each session that opens, what stands above it: the Socket.IO layer, the
port between the two (``socket.conn``), and the multiplexer, which has the sockets.
"""

from __future__ import annotations

from rawsio.app.multiplexer import Multiplexer
from rawsio.layer import Role
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Connect

from .session_port import Conn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.app.namespaces import Namespaces
    from rawsio.engineio.server.session import Session
    from rawsio.runtime import Runtime
    from rawsio.socketio.connection import Parser
    from rawsio.trace import Guarded, Traced

    from .session_port import BackPressure

__all__ = ["Sessions"]


class Sessions:
    """Makes what is above sessions; ``parser`` and ``trace`` are the server's."""

    __slots__ = ("_host", "_namespaces", "_pressure", "_parser", "_trace")

    def __init__(
        self,
        host: Runtime,
        namespaces: Namespaces,
        pressure: BackPressure,
        parser: Any = None,
        trace: Guarded | None = None,
    ) -> None:
        self._host = host
        self._namespaces = namespaces
        self._pressure = pressure
        self._parser: Parser | None = parser
        self._trace = trace

    def open(self, session: Session) -> None:
        """Give a session that has just begun its user."""
        parser, old, host = self._parser, session.revision == 3, self._host
        if old and parser is None:
            from rawsio.socketio.protocol_v4 import ProtocolV4Parser

            parser = ProtocolV4Parser()
        layer = SocketIOConnection(Role.SERVER, host.limits, parser=parser)
        protocol: SocketIOConnection | Traced = layer
        if self._trace is not None:
            from rawsio.trace import Traced

            report = self._trace.session(session.id)
            protocol = Traced(layer, "socketio", report)
            session.watch(report)
        multiplexer = Multiplexer(
            host,
            self._namespaces,
            Conn(session, self._pressure, watched=self._trace is not None),
            protocol,
            base_id=session.id if old else None,
            standard=parser is None,
        )
        session.bind(multiplexer)
        if old and parser is not None:
            # A client of Socket.IO v2 is in the main namespace without asking.
            multiplexer.receive(parser.encode(Connect("/"))[0])
