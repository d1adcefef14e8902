"""What a browser gets from us: the client, and the pages of the demo.

The one idea: the files are read through the package's loader, so that they are found in a zip
archive as well.  What is left out: building anything; the files are served as they are.
"""

from __future__ import annotations

__all__ = ["read"]


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
