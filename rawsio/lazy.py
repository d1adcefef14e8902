"""Names of a package that are loaded on first use (PEP 562).

The one idea: **importing one layer imports only that layer**.  A package lists where each of its
public names lives, and a module is loaded when somebody asks for one of its names.

What is left out: type checkers, which cannot follow this; a package imports its names for them
under ``TYPE_CHECKING``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["lazily"]


def lazily(
    space: dict[str, Any], homes: dict[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for the package whose ``globals()`` are given.

    ``homes`` is name -> module.

    >>> space = {"__name__": "shop"}
    >>> of, names = lazily(space, {"Role": "rawsio.layer"})
    >>> of("Role"), "Role" in space
    (<enum 'Role'>, True)
    >>> of("Rôle")
    Traceback (most recent call last):
    ...
    AttributeError: module 'shop' has no attribute 'Rôle'
    """

    def load(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {space['__name__']!r} has no attribute {name!r}")
        # Not by importlib, which costs a millisecond that a device may wait for.
        value: object = getattr(__import__(home, fromlist=[name]), name)
        space[name] = value
        return value

    return load, lambda: sorted({*space, *homes})
