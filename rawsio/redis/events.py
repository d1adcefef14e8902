"""What a RESP connection carries: commands one way, replies and pushes the other."""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Command", "Completed", "Push", "Reply"]


@record
class Command:
    """A request of the client: the name and its arguments, each a string of bytes.

    ``wait`` are seconds that the server may take on purpose, for commands that block
    (``XREAD BLOCK``): the time-out of the reply begins after them.

    >>> Command([b"PUBLISH", b"news", b"hi"])
    Command(args=[b'PUBLISH', b'news', b'hi'], wait=0.0)
    """

    args: list[bytes]
    wait: float = 0.0

    __uncompared__ = ("wait",)


@record
class Reply:
    """The answer to the oldest command that has none yet.

    Bulk strings are ``bytes``, simple strings ``str``, a null is ``None``, a map a ``dict``; an
    error is an :class:`~rawsio.redis.resp.ErrorReply`, which is a value and not an exception.
    """

    value: Any


@record
class Push:
    """What the server says unasked: ``kind`` is ``"message"``, ``"pmessage"``, ``"subscribe"``...

    ``items`` is the rest: for a message the channel and the payload, for the confirmation of a
    subscription the channel and how many there are now.
    """

    kind: str
    items: list[Any]


@record
class Completed:
    """A ``SUBSCRIBE`` or ``UNSUBSCRIBE`` is confirmed for its last channel.

    Such a command has no reply of its own, so this is what ends it: each command ends with either
    a ``Reply`` or a ``Completed``, in the order in which the commands were sent.
    """

    kind: str
