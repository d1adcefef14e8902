"""Noticing that the other host is gone, by the system's own means.

TCP says nothing while nobody sends, and repeats what is not acknowledged for a quarter of an hour,
at longer and longer intervals.  So a connection whose other end has lost its power or its network
looks alive for minutes, and one that was cut off for ten seconds may take ten more to find out
that it is not.  :func:`watch_silence` has the system ask when nothing comes, and give up soon.

This is about hosts.  A program that hangs is no matter of the system's: its host goes on to
acknowledge for it.
"""

from __future__ import annotations

import socket
from contextlib import suppress

__all__ = ["watch_silence"]

_IDLE = 1
"""Seconds without a packet after which the other host is asked, and between two questions."""


def watch_silence(sock: socket.socket, seconds: float) -> None:
    """End this TCP connection once its other host has acknowledged nothing for ``seconds``.

    Also an attempt to connect, if it has not begun.  Where the system has no such clock (it is
    Linux's) a silent host is asked all the same, and nine questions without an answer are the end.

    >>> watched = socket.socket()
    >>> watch_silence(watched, 2.0)
    >>> watched.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0
    True
    >>> watched.close()
    """
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *_tcp(("TCP_KEEPIDLE", "TCP_KEEPALIVE"), _IDLE),
        *_tcp(("TCP_KEEPINTVL",), _IDLE),
        *_tcp(("TCP_USER_TIMEOUT",), max(1, int(seconds * 1000))),
    ]
    for level, option, value in options:
        with suppress(OSError):  # a system that knows the name and not the option
            sock.setsockopt(level, option, value)


def _tcp(names: tuple[str, ...], value: int) -> list[tuple[int, int, int]]:
    """Return the first of these options that this system has."""
    found = [getattr(socket, name) for name in names if hasattr(socket, name)]
    return [(socket.IPPROTO_TCP, option, value) for option in found[:1]]
