"""The events of a WebSocket: the same classes for what is received and for what is sent.

:class:`Message` is a whole message, whatever frames it came in.  :class:`Ping` and :class:`Pong`
are reported for those who measure; pings are answered without anybody's help.  The terminal
events, :class:`~rawsio.layer.Closed` and :class:`~rawsio.layer.Failed`, are those of every layer;
their ``code`` is here a close code of RFC 6455 section 7.4.

There is no event for a frame: nothing above this layer may depend on where a peer cuts its messages
(RFC 6455 section 5.4).
"""

from __future__ import annotations

from rawsio.layer import record

__all__ = ["Message", "Ping", "Pong"]


@record
class Message:
    """One message: ``str`` is a text message, ``bytes`` a binary one.

    ``compress=False`` sends it uncompressed where permessage-deflate is agreed (RFC 7692 section
    6 leaves the choice to the sender, message by message); it does not count for equality.

    >>> Message("hello") == Message("hello", False), Message("hello") == Message("bye")
    (True, False)
    """

    __uncompared__ = ("compress",)

    data: str | bytes
    compress: bool = True


@record
class Ping:
    """A ping with up to 125 bytes of application data (RFC 6455 section 5.5.2)."""

    data: bytes = b""


@record
class Pong:
    """The answer to a ping, or an unsolicited heartbeat (RFC 6455 section 5.5.3)."""

    data: bytes = b""
