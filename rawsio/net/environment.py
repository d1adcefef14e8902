"""What the environment of the process asks for.

It is read when it is needed, so a program may set it before it makes a server or a client.
"""

from __future__ import annotations

from os import environ

__all__ = ["setting"]


def setting(name: str) -> str | None:
    """Return a variable of the environment, ``None`` if it is not set or empty.

    >>> setting("RAWSIO_NO_SUCH_THING") is None
    True
    """
    return environ.get(name) or None
