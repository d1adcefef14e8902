"""``socket.conn``: one Engine.IO session, as the Socket.IO side and the application see it.

The one idea: it is the only door between the two.  The model above sends messages and prepared
packets through it and asks how much waits; it never sees links, streams or frames, and nothing
here raises for what the peer did: a session that is over takes no more and says nothing.

What is left out: receiving, which :mod:`rawsio.server` hands upwards.
"""

from __future__ import annotations

from rawsio.engineio.packets import Message
from rawsio.errors import LocalProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.engineio.session import Session
    from rawsio.http.messages import Request

__all__ = ["Conn"]


class Conn:
    """One connection of one client, which all its namespaces share.

    ``session`` is the Engine.IO session; the other names are for the application.
    """

    __slots__ = ("session",)

    def __init__(self, session: Session) -> None:
        self.session = session

    @property
    def id(self) -> str:
        """The Engine.IO session id.  It is a secret: who knows it can speak for the client."""
        return self.session.id

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``, as it is now."""
        return self.session.transport

    @property
    def address(self) -> str:
        """Where the client's first request came from."""
        return self.session.address

    @property
    def request(self) -> Request:
        """The first request of the session."""
        return self.session.request

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the client to take them."""
        return self.session.buffered_amount

    @property
    def writable(self) -> bool:
        """Whether little enough waits that a volatile packet may join it."""
        return self.session.writable

    def send(self, units: list[Any]) -> None:
        """Send Engine.IO messages: ``str``, ``bytes``, or a ``Prepared`` in place of several."""
        session = self.session
        try:
            for unit in units:
                if unit.__class__ is str or unit.__class__ is bytes:
                    session.send(Message(unit))
                else:
                    session.send_prepared(unit)
        except LocalProtocolError:
            # The session ended in this very turn; its end is on its way up.
            return

    def close(self, reason: str = "forced close") -> None:
        """End the session."""
        self.session.close(reason)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading from the client while ``paused``; it is held back by TCP."""
        stream = getattr(self.session.link, "stream", None)
        if stream is not None:
            (stream.pause if paused else stream.resume)()

    def __repr__(self) -> str:
        return f"<Conn {self.transport} from {self.address}>"
