"""Where sessions meet TCP connections: the link, its user, and the verdict on a request.

A :class:`Link` is one TCP connection as sessions see it, an object with few names, so that our own
stack, an ASGI server or a test can be one.  Requests, responses and packets cross here, never
frames or bytes, and a link has no timers that a session would know.

Whoever owns the links calls ``SessionRegistry.receive_request`` with each request head, and does
as the :class:`Verdict` says.  From then on the link has a :class:`LinkUser`, usually a transport
(:mod:`rawsio.engineio.server.transport`), which is told what comes over it: the body, the packets
of a WebSocket, the end.
"""

from __future__ import annotations

from enum import Enum

from .polling import error_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.engineio.states import SessionState
    from rawsio.http.messages import Response
    from rawsio.layer import Taker

    class PacketSender(Protocol):
        """A WebSocket, or a session's queue, to which nothing has to be done but to put it there.

        Both return ``False``, and do nothing, where it is more than that.
        """

        def put_text(self, packet: str, /) -> bool:
            """Send an Engine.IO packet."""
            ...

        def put_prepared(self, prepared: Any, /) -> bool:
            """Send what was encoded once for many."""
            ...

    class Touched(Protocol):
        """What carries bytes."""

        def touch(self) -> None:
            """Have it flushed at the end of the turn."""

    class PlainWebSocket(PacketSender, Protocol):
        """A WebSocket that nothing lies before: the same bytes for all, one frame a packet."""

        outbox: list[Any]
        """The frames that it sends with this turn; whoever adds some has it flushed."""
        clear: bool
        """Whether what comes next is the beginning of a frame, and nothing else is to be done."""

        @property
        def below(self) -> Touched | None:
            """What carries it."""

        def put_off(self, data: bytes, /) -> None:
            """Keep input for the next share."""

        def end(self) -> None:
            """Take note of the peer's close frame, which somebody else has read and answers."""

    class Outlet(Protocol):
        """What prepared packets of a WebSocket are given to."""

        def send_prepared(self, prepared: Any, /) -> None:
            """Send the WebSocket messages of a prepared packet."""

    class LinkSession(Protocol):
        """A session, as the owner of a link may see it."""

        @property
        def id(self) -> str:
            """Its id."""
            ...

        @property
        def state(self) -> SessionState:
            """How far it is."""
            ...

        @property
        def held(self) -> int:
            """Bytes that are kept for it, beside what waits to be sent."""
            ...

        @property
        def reading(self) -> bool:
            """Whether more packets are of use: not while a long message is read in steps."""
            ...

        def read_on(self) -> None:
            """Read the next step of the long message."""

        def owns(self, link: Link, /) -> bool:
            """Whether a link carries everything of the session, as long as it lasts."""
            ...

        def cut_off(self, message: str, rule: str, /) -> None:
            """End it at once, whatever waits, with a line in the log."""

    class Link(Protocol):
        """One TCP connection."""

        user: LinkUser
        """Who is told what comes; set by :meth:`assign` and :meth:`release` only."""

        @property
        def address(self) -> str:
            """Where the peer is."""
            ...

        @property
        def secure(self) -> bool:
            """Whether TLS is below."""
            ...

        @property
        def certificate(self) -> dict[str, Any] | None:
            """The certificate that the peer has shown (mutual TLS), or ``None``."""
            ...

        @property
        def tcp_info(self) -> Any:
            """What the kernel knows of the connection, or ``None``."""

        @property
        def buffered_amount(self) -> int:
            """Bytes not sent yet."""
            ...

        @property
        def incoming(self) -> int:
            """Bytes received of what is not whole yet."""
            ...

        @property
        def outlet(self) -> Outlet:
            """What takes prepared packets, once it is a WebSocket: the link, or what is below."""
            ...

        @property
        def plain(self) -> PlainWebSocket | None:
            """The WebSocket, if nothing lies between it and us, and it is flushed by itself."""

        def offer(self, taker: Taker, /) -> None:
            """Offer what comes over this WebSocket to somebody before it is read there."""

        def assign(self, user: LinkUser, /) -> None:
            """Tell this user what comes from now on."""

        def release(self) -> None:
            """Tell nobody any more."""

        def defer(self) -> None:
            """Call the user's ``go_on`` when it is the connection's turn again."""

        def respond(self, response: Response, body: bytes, /) -> None:
            """Answer the request in work."""

        def begin(self, response: Response, /) -> bool:
            """Send the head of an answer; ``False`` if the connection is about to close."""
            ...

        def send_content(self, data: bytes, /) -> None:
            """Send more of the content of the answer that was begun."""

        def finish(self) -> None:
            """End the answer that was begun."""

        def send(self, packet: str | bytes, /) -> None:
            """Send one WebSocket message."""

        def send_prepared(self, prepared: Any, /) -> None:
            """Send the WebSocket messages of a prepared packet."""

        def close(self, code: int = 1005, reason: str = "") -> None:
            """Begin the closing handshake of the WebSocket."""

        def abort(self, reason: str, /) -> None:
            """Cut the connection, whatever waits."""

        def pause(self) -> None:
            """Read nothing more from the peer until ``resume``."""

        def resume(self) -> None:
            """Read from the peer again."""

        def await_drain(self) -> None:
            """Call the user's ``drained`` once little enough waits to be sent."""

    class LinkUser(Protocol):
        """Who is told what comes over a link."""

        @property
        def session(self) -> LinkSession | None:
            """The session that it belongs to."""

        def accepted(self, link: Link, /) -> None:
            """The link has become a WebSocket."""

        def receive_packet(self, packet: str | bytes, /) -> bool:
            """Take one packet; ``False`` if it was a mistake, which ends the session."""
            ...

        def receive_body(self, link: Link, body: bytes, /) -> None:
            """Take the body of a request whose verdict was ``BODY``."""

        def go_on(self, link: Link, /) -> None:
            """It is the connection's turn again, after ``defer``."""

        def lost(self, link: Link, reason: str, /) -> None:
            """The link is gone: ``"transport close"``, or what is wrong."""

        def drained(self, link: Link, /) -> None:
            """Little enough waits to be sent."""

else:
    # Names that annotations can use without importing typing.
    Link = LinkUser = LinkSession = PacketSender = PlainWebSocket = Outlet = object

__all__ = [
    "Link",
    "LinkUser",
    "ENDED",
    "NOBODY",
    "Verdict",
    "RESPONDED",
    "BODY",
    "WAITING",
    "UPGRADE",
]


class Verdict(Enum):
    """What becomes of a request."""

    RESPONDED = "responded"
    """It is answered."""
    BODY = "body"
    """Give the whole body to ``link.user.receive_body``."""
    WAITING = "waiting"
    """A poll that waits: the answer comes when there are packets."""
    UPGRADE = "upgrade"
    """Do the WebSocket handshake, then call ``link.user.accepted``, or ``refused`` if it fails."""


RESPONDED, BODY, WAITING, UPGRADE = (
    Verdict.RESPONDED,
    Verdict.BODY,
    Verdict.WAITING,
    Verdict.UPGRADE,
)


class _Nobody:
    """The user of a link that no session uses: drops what comes."""

    __slots__ = ()

    session: LinkSession | None = None

    def accepted(self, link: Link) -> None:
        """Close a WebSocket whose session ended during the handshake."""
        link.close()

    def receive_packet(self, packet: str | bytes) -> bool:
        """Drop a packet."""
        return True

    def receive_body(self, link: Link, _body: bytes) -> None:
        """Refuse a body: its session went to a WebSocket while it was on its way."""
        link.respond(*error_answer(400, 3))

    def go_on(self, link: Link) -> None:
        """Nobody has anything to do."""

    def lost(self, link: Link, reason: str) -> None:
        """Nobody misses it."""

    def drained(self, link: Link) -> None:
        """Nobody waits for it."""


class _Ended(_Nobody):
    """The user of a link whose session ended while a body was on its way."""

    __slots__ = ()

    def receive_body(self, link: Link, _body: bytes) -> None:
        """Say that the session is unknown, as every later request is told."""
        link.release()
        link.respond(*error_answer(400, 1))


NOBODY: LinkUser = _Nobody()
"""The user of every link at first, and after ``release``."""

ENDED: LinkUser = _Ended()
"""The user of a link that a session has left behind at its end."""
