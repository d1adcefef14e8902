"""What a browser gets from us: the client in JavaScript, under the names that pages ask for."""

from __future__ import annotations

from rawsio.resources import read_resource

__all__ = ["CLIENT_NAMES", "client"]

CLIENT_NAMES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")
"""Names under which pages written for the reference ask for the client."""

_MODULE = b"""
export const { io, connect, Manager, Socket, protocol } = globalThis.io;
export default io;
"""


def client(name: str) -> bytes:
    """Return the browser client for one of its names: a script, or an ES module.

    Minified it is never; that name is only there so that such pages work.

    >>> client("socket.io.min.js") == client("socket.io.js")
    True
    >>> client("socket.io.esm.min.js").endswith(b"export default io;\\n")
    True
    """
    return read_resource(__spec__, "socket.io.js") + (_MODULE if ".esm." in name else b"")
