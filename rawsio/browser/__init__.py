"""What a browser gets from us: the client, and the pages of the demo.

The one idea: the files are read through the package's loader, so that they are found in a zip
archive as well.  What is left out: building anything; the files are served as they are.
"""

from __future__ import annotations

__all__ = ["CLIENT_NAMES", "client", "read"]

CLIENT_NAMES = ("socket.io.js", "socket.io.min.js", "socket.io.esm.min.js")
"""Names under which pages written for the reference ask for the client."""

_MODULE = b"""
export const { io, connect, Manager, Socket, protocol } = globalThis.io;
export default io;
"""


def client(name: str) -> bytes:
    """Return the browser client for one of its names: a script, or an ES module.

    Minified it is never; that name is only there so that such pages work.

    >>> client("socket.io.min.js") == read("socket.io.js")
    True
    >>> client("socket.io.esm.min.js").endswith(b"export default io;\\n")
    True
    """
    return read("socket.io.js") + (_MODULE if ".esm." in name else b"")


def read(name: str) -> bytes:
    """Return the bytes of a file of this package.

    >>> read("socket.io.js")[:2]
    b'/*'
    """
    spec = __spec__
    folder = (spec.submodule_search_locations or [""])[0]
    loader = spec.loader
    if loader is None or not hasattr(loader, "get_data"):
        raise OSError(f"the package's loader cannot read {name}")
    data: bytes = loader.get_data(f"{folder}/{name}")
    return data
