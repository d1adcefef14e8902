"""Freed memory that the C library keeps for the next message.

malloc of glibc takes blocks from 128 KiB on from the system itself, and gives them back when they
are freed, as it does with the end of its heap.  A message of a megabyte then costs hundreds of page
faults, each time: more than to unmask it.  glibc learns: a block that was taken from the system and
is freed raises both limits, to its size and to twice that.  So one large block, made and freed at
the start and never touched, lets all messages below it have memory that is there already.

What that costs: after a peak, up to 8 MiB that are free stay with the process.  ``Server.run``
does it, for there the process is the server's; elsewhere it is the program's to decide.  Other C
libraries do as they always do.
"""

from __future__ import annotations

__all__ = ["keep_freed_memory"]

_LARGEST = 4 << 20
"""Twice this is kept: enough for several messages of a megabyte, little for a small machine."""


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, up to twice 4 MiB."""
    bytearray(_LARGEST)
