"""TCP as the kernel sees it: how long a round trip takes, what was lost, what is under way.

Linux tells it through ``getsockopt(IPPROTO_TCP, TCP_INFO)``, as the struct ``tcp_info`` of
``linux/tcp.h``, which only ever grew at its end.  Other systems have other structs or none: there
:func:`tcp_info` gives ``None``.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["TCPInfo", "decode", "peer_of", "tcp_info"]

# Eight bytes of flags, 24 fields of 32 bits, four of 64, then segments out, in, and unsent bytes.
_BEGIN = Struct("8x24I")
_SEGMENTS = Struct("2I")
_UNSENT = Struct("I")
_SEGMENTS_AT, _UNSENT_AT = 136, 144
_SIZE = 256


@record
class TCPInfo:
    """What the kernel knows of a connection.

    ``round_trip`` and ``variation`` are seconds, smoothed; ``congestion_window``, ``in_flight`` and
    ``unsent`` bytes: how much may be under way, how much is (not acknowledged yet), and how much
    waits in the kernel; ``retransmits`` counts segments that were sent again, ``segments_out`` and
    ``segments_in`` all.
    """

    round_trip: float
    variation: float
    congestion_window: int
    in_flight: int
    unsent: int
    retransmits: int
    segments_out: int
    segments_in: int


def tcp_info(sock: Any) -> TCPInfo | None:
    """Return what the kernel knows of a connected socket; ``None`` where it does not tell."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None or not sys.platform.startswith("linux"):
        return None
    try:
        return decode(sock.getsockopt(socket.IPPROTO_TCP, option, _SIZE))
    except (OSError, AttributeError):  # a unix socket, one that is closed, a wire in memory
        return None


def decode(raw: bytes) -> TCPInfo | None:
    """Return what a ``struct tcp_info`` says; ``None`` for one that is too short.

    >>> decode(bytes(256)).retransmits, decode(b"")
    (0, None)
    """
    if len(raw) < _BEGIN.size:
        return None
    fields = _BEGIN.unpack_from(raw)
    size, in_flight, window = fields[2], fields[4], fields[18]
    out = came = unsent = 0
    if len(raw) >= _SEGMENTS_AT + _SEGMENTS.size:
        out, came = _SEGMENTS.unpack_from(raw, _SEGMENTS_AT)
    if len(raw) >= _UNSENT_AT + _UNSENT.size:
        (unsent,) = _UNSENT.unpack_from(raw, _UNSENT_AT)
    return TCPInfo(
        fields[15] / 1e6, fields[16] / 1e6, window * size, in_flight * size, unsent, fields[23],
        out, came,
    )  # fmt: skip


def peer_of(sock: Any) -> str:
    """Return who is at the other end of a socket, as a line of the log names it.

    >>> here, there = socket.socketpair()
    >>> there.close(), peer_of(here), here.close(), peer_of(here)
    (None, 'unix', None, 'a peer that is gone')
    """
    try:
        name = sock.getpeername()
    except (AttributeError, OSError):  # a wire in memory, or gone
        return "a peer that is gone"
    return f"{name[0]} port {name[1]}" if isinstance(name, tuple) else name or "unix"
