"""Where the registry of sessions meets TCP connections: the link, and the verdict on a request.

A **link** is one TCP connection as the registry sees it, an object with few names, so that our own
stack, an ASGI server or a test can be one:

``respond(response, body)``
    Answers the request in work.
``send(packet)``, ``send_prepared(prepared)``
    WebSocket: one message.
``close(code=1005, reason="")``
    WebSocket: begins the closing handshake.
``buffered_amount``, ``incoming``, ``address``, ``secure``, ``certificate``
    Bytes not sent yet; bytes received of a message or body that is not whole; where the peer is;
    whether TLS is below.
``tcp_info``
    What the kernel knows of the connection; a link may lack it.
``session``
    A slot that belongs to the registry; ``None`` at first.

Whoever owns the links calls ``SessionRegistry.receive_request`` with each request head, and does
as the :class:`Verdict` says.

The one idea: requests, responses and packets cross here, never frames or bytes.  What is left out:
the clock; a link has no timers that the registry would know.
"""

from __future__ import annotations

from enum import Enum

from rawsio.errors import LocalProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.http.messages import Response

    class Link(Protocol):
        """One TCP connection; the module says what each name means."""

        session: Any

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
        def buffered_amount(self) -> int:
            """Bytes not sent yet."""
            ...

        @property
        def incoming(self) -> int:
            """Bytes received of what is not whole yet."""
            ...

        def respond(self, response: Response, body: bytes, /) -> None:
            """Answer the request in work."""

        def send(self, packet: str | bytes, /) -> None:
            """Send one WebSocket message."""

        def send_prepared(self, prepared: Any, /) -> None:
            """Send the WebSocket messages of a prepared packet."""

        def close(self, code: int = 1005, reason: str = "") -> None:
            """Begin the closing handshake of the WebSocket."""

else:
    # A name that annotations can use without importing typing.
    Link = object

__all__ = ["Link", "deliver", "Verdict", "RESPONDED", "BODY", "WAITING", "UPGRADE"]


class Verdict(Enum):
    """What becomes of a request."""

    RESPONDED = "responded"
    """It is answered."""
    BODY = "body"
    """Give the whole body to ``receive_body``."""
    WAITING = "waiting"
    """A poll that waits: the answer comes when there are packets."""
    UPGRADE = "upgrade"
    """Do the WebSocket handshake, then call ``accept_websocket``, or ``refused`` if it fails."""


RESPONDED, BODY, WAITING, UPGRADE = (
    Verdict.RESPONDED,
    Verdict.BODY,
    Verdict.WAITING,
    Verdict.UPGRADE,
)


def deliver(link: Link, packet: Any, revision: int) -> None:
    """Send a packet, or a prepared one in the form of this protocol, over a WebSocket link.

    A WebSocket that began to close in this very turn drops it: we are about to be told.
    """
    try:
        if packet.__class__ is str or packet.__class__ is bytes:
            link.send(packet)
        elif revision == 4:
            link.send_prepared(packet)
        else:
            for old in packet.packets(revision):
                link.send(old)
    except LocalProtocolError:
        return
