"""Files that stand beside a module, read wherever the package is: in a zip, too."""

from __future__ import annotations

from os.path import dirname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = ["read_resource"]


def read_resource(spec: ModuleSpec, name: str) -> bytes:
    """Return the bytes of a file beside the module whose ``__spec__`` is given.

    Raises ``OSError``.

    >>> import rawsio.browser
    >>> read_resource(rawsio.browser.__spec__, "socket.io.js")[:2]
    b'/*'
    """
    loader = spec.loader
    if loader is None or not hasattr(loader, "get_data") or spec.origin is None:
        raise OSError(f"the package's loader cannot read {name}")
    data: bytes = loader.get_data(f"{dirname(spec.origin)}/{name}")
    return data
