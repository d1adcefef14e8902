"""Files that stand beside a module, read wherever the package is: in a zip, too."""

from __future__ import annotations

from os.path import dirname

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.machinery import ModuleSpec

__all__ = ["read_resource"]


def read_resource(spec: ModuleSpec, name: str) -> bytes:
    """Return the bytes of a file beside the module whose ``__spec__`` is given.

    Raises ``OSError``.

    >>> import rawsio.browser
    >>> read_resource(rawsio.browser.__spec__, "socket.io.js")[:2]
    b'/*'
    """
    read: Callable[[str], bytes] | None = getattr(spec.loader, "get_data", None)
    if read is None or spec.origin is None:
        raise OSError(f"the package's loader cannot read {name}")
    return read(f"{dirname(spec.origin)}/{name}")
