"""What parent and workers say to each other, each in one message of a channel.

==============  ======================================================================
:class:`Passed`   a connection, whose socket goes with it; a worker names who is to get it
:class:`Peer`     another worker, and the socket that leads there
:class:`Torn`     the stream to another worker has ended, and that may live on
:class:`Ready`    a worker serves
:class:`Stop`     a worker is to end, within so many seconds
:class:`Leaving`  a worker has no sessions any more, and wants no connections
:class:`Go`       it gets none from now on: it may end
==============  ======================================================================
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "MOST_BYTES",
    "Go",
    "Leaving",
    "Passed",
    "Peer",
    "Ready",
    "Stop",
    "Torn",
    "decode",
    "encode",
]

_HEAD = Struct("!ciihBBH")
MOST_BYTES = 60_000
"""The most bytes of what is passed on with a connection: its certificate, and what was read."""


@record
class Passed:
    """A connection, passed on."""

    number: int = -1
    """Whose it is, if somebody is to be found; -1 for anybody's."""
    place: int = -1
    """At which of the server's addresses it came in; -1: it was passed on before."""
    settled: bool = False
    """Whether the receiver serves the first request, whosever it is."""
    secure: bool = False
    """Whether the client speaks TLS, for a connection that was passed on before."""
    address: str = ""
    """Where the client is, for one that was passed on before."""
    certificate: bytes = b""
    """What the client has shown, for one that was passed on before; see :mod:`.certificates`."""
    first: bytes = b""
    """What was read of it."""


@record
class Peer:
    """Another worker."""

    number: int


@record
class Torn:
    """The stream to another worker has ended."""

    number: int


@record
class Ready:
    """A worker serves from now on."""


@record
class Stop:
    """End, within ``seconds``; with ``retire`` others go on: what is new goes to them."""

    seconds: float
    retire: bool = False


@record
class Leaving:
    """A worker ends, and has no sessions any more."""


@record
class Go:
    """Nothing follows: a worker that ends now leaves no connection in the channel."""


_BARE: dict[bytes, type] = {b"R": Ready, b"L": Leaving, b"G": Go}
_KINDS = {made: kind for kind, made in _BARE.items()}


def encode(message: Any) -> bytes:
    """Return a message as bytes.

    >>> decode(encode(Passed(2, 0, first=b"GET"))) == Passed(2, 0, first=b"GET")
    True
    """
    if isinstance(message, Passed):
        address = message.address.encode("utf-8", "surrogateescape")[:255]
        flags = message.settled | message.secure << 1
        shown = message.certificate
        head = _HEAD.pack(b"C", message.number, 0, message.place, flags, len(address), len(shown))
        return b"".join((head, address, shown, message.first))
    if isinstance(message, (Peer, Torn)):
        kind = b"P" if isinstance(message, Peer) else b"T"
        return _HEAD.pack(kind, message.number, 0, 0, 0, 0, 0)
    if isinstance(message, Stop):
        return _HEAD.pack(b"S", 0, int(message.seconds * 1000), 0, message.retire, 0, 0)
    return _HEAD.pack(_KINDS[type(message)], 0, 0, 0, 0, 0, 0)


def decode(data: bytes) -> Any:
    """Return the message; raises ``ValueError`` for what is none."""
    try:
        kind, number, milliseconds, place, flags, length, shown = _HEAD.unpack_from(data)
    except StructError:
        raise ValueError(f"a message of {len(data)} bytes: too short") from None
    if kind == b"C":
        end = _HEAD.size + length
        address = str(data[_HEAD.size : end], "utf-8", "surrogateescape")
        certificate, first = data[end : end + shown], data[end + shown :]
        return Passed(number, place, bool(flags & 1), bool(flags & 2), address, certificate, first)
    if kind in b"PT":
        return Peer(number) if kind == b"P" else Torn(number)
    if kind == b"S":
        return Stop(milliseconds / 1000, bool(flags))
    if kind in _BARE:
        return _BARE[kind]()
    raise ValueError(f"no message begins with {kind!r}")
