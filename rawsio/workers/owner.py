"""Whose is a connection, given its first bytes.

The id of a session begins with three characters of base64url that are the number of its worker, so
the first line of a request tells: ``GET /socket.io/?EIO=4&transport=polling&sid=AABx... HTTP/1.1``.
A request without a ``sid`` begins a session, or is for the application, and anybody's; so is
whatever is no HTTP/1.1, TLS among it, whose requests nobody can see from outside.

Only the bytes decide, not how they were cut: the answer to a beginning of them is ``None``, or that
to all of them.
"""

from __future__ import annotations

__all__ = ["ANYBODY", "LONGEST_LINE", "WORKERS", "number_of", "owner_of", "prefix_of"]

ANYBODY = -1
"""The number of no worker: whoever gets the connection may serve it."""

WORKERS = 1 << 18
"""How many numbers there are; those of dead workers are used again, a long time later."""

LONGEST_LINE = 16_384
"""Bytes in which the first line has to end, to be read."""

_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_TLS = 22
"""The first byte of a TLS handshake; no HTTP request begins with it."""


def prefix_of(number: int) -> str:
    """Return what the ids of the sessions of a worker begin with.

    >>> prefix_of(0), prefix_of(1), prefix_of(64)
    ('AAA', 'AAB', 'ABA')
    """
    return str(bytes(_DIGITS[number >> shift & 63] for shift in (12, 6, 0)), "ascii")


def number_of(sid: bytes) -> int:
    """Return the number of the worker whose session has this id, or :data:`ANYBODY`.

    >>> number_of(b"AABxyz"), number_of(b"no"), number_of(b"%41AB")
    (1, -1, -1)
    """
    values = [_VALUES.get(digit, ANYBODY) for digit in sid[:3]]
    if len(values) < 3 or ANYBODY in values:
        return ANYBODY
    return values[0] << 12 | values[1] << 6 | values[2]


def owner_of(first: bytes) -> int | None:
    r"""Return the number of the worker whose connection this is, by its first bytes.

    :data:`ANYBODY` if it is nobody's, ``None`` while more bytes are needed to tell.

    >>> owner_of(b"GET /socket.io/?EIO=4&sid=AABx HTTP/1.1\r\n"), owner_of(b"GET / HTTP/1.1\r\n")
    (1, -1)
    >>> owner_of(b"GET /socket.io/?EIO=4&sid=AABx")
    """
    if first[:1] and first[0] == _TLS:
        return ANYBODY
    seen = first[:LONGEST_LINE]
    begin = len(seen) - len(seen.lstrip(b"\r\n"))  # 9112-2.2: empty lines before it are overlooked
    end = seen.find(b"\n", begin)
    if end < 0:
        return None if len(seen) < LONGEST_LINE else ANYBODY
    words = seen[begin:end].split(b" ", 2)
    query = words[1].partition(b"?")[2] if len(words) > 1 else b""
    for pair in query.split(b"&"):
        if pair.startswith(b"sid="):
            return number_of(pair[4:])
    return ANYBODY
