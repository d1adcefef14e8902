"""The only package that knows sockets, clocks and threads.

=============  ==================================================================================
``loop``       one selector, one wake-up socket: asyncio's method names, and ``step`` to embed it
``deadlines``  one lazy heap for everything with a ``deadline`` and a ``tick``
``driver``     the layers' side of a loop: flushes what was touched, once a turn
``tcp``        a socket that drives any layer which keeps the contract of :mod:`rawsio.layer`
``veil``       TLS in the place of a stream's socket, once its handshake is done
``listener``   accepts, and makes listening sockets
``connecting`` makes TCP connections: looks names up, and tries their addresses
``attempts``   which address of a name to try, and when
``liveness``   noticing that the other host is gone
``unix``       listening at a path, and the file that is there then
``forking``    what child processes make anew
``signals``    SIGINT and SIGTERM as callbacks of a loop
``thread``     calls from other threads, and a loop in a thread of its own
``aio``        the same driver on asyncio's loop, or uvloop's
=============  ==================================================================================

All layers have one contract, so the IO is written once and knows no protocol.
``rfc_notes/layers.md`` says in prose how a byte travels.  Nothing is imported here, so that asking
for one module loads that module only.
"""

from __future__ import annotations

__all__: list[str] = []
