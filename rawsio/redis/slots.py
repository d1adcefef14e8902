"""Which server of a Redis Cluster a key or a sharded channel belongs to.

There are 16,384 slots, and each server has a part of them.  Who asks the wrong server is told the
right one: ``MOVED 3999 127.0.0.1:6381``.  Source: the Redis Cluster specification.
"""

from __future__ import annotations

import re
from binascii import crc_hqx

__all__ = ["SLOTS", "moved_to", "slot_of"]

SLOTS = 16384
_MOVED = re.compile("[0-9]+ ([^ ]*):([0-9]{1,5})")


def slot_of(name: bytes) -> int:
    """Return the slot of a key or channel; where it has a ``{tag}``, of the tag alone.

    >>> slot_of(b"foo"), slot_of(b"user{foo}") == slot_of(b"foo"), slot_of(b"123456789")
    (12182, True, 12739)
    """
    start = name.find(b"{")
    if start >= 0:
        end = name.find(b"}", start + 1)
        if end > start + 1:
            name = name[start + 1 : end]
    return crc_hqx(name, 0) % SLOTS


def moved_to(message: str, asked: str) -> tuple[str, int] | None:
    """Return the host and port in the text of a ``MOVED``, ``None`` if there is none.

    A server that does not know its own name leaves it out: then it is that of who was ``asked``.

    >>> moved_to("3999 127.0.0.1:6381", "db"), moved_to("3999 :6381", "db"), moved_to("x", "db")
    (('127.0.0.1', 6381), ('db', 6381), None)
    """
    found = _MOVED.fullmatch(message)
    if found is None or not 0 < int(found[2]) < 65536:
        return None
    return found[1].strip("[]") or asked, int(found[2])
