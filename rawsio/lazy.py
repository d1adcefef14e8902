r"""What is loaded or compiled only when somebody needs it.

Start-up time and memory of small programs depend on it.  :func:`lazily` loads the names of a
package on first use (PEP 562), so importing one layer imports only that layer; a package imports
its names under ``TYPE_CHECKING`` for type checkers.  A :class:`Pattern` is a regular expression
that is compiled on first use: compiling the grammar of HTTP costs as much as everything else that a
server does to start.  A pattern has a slot for each method of a compiled expression.  The slots are
empty at first, so asking for one ends in ``__getattr__``, which compiles and fills them all; from
then on they are the bound methods themselves, and cost nothing more.

>>> DIGITS = Pattern("[0-9]+")
>>> DIGITS.fullmatch("123") is not None, DIGITS.sub("n", "a1b22")
(True, 'anbn')
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import compile as Pattern
    from typing import Any

__all__ = ["Pattern", "lazily"]


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


_METHODS = ("fullmatch", "match", "search", "sub", "finditer", "findall", "split")

if not TYPE_CHECKING:

    class Pattern:
        """An expression, ``str`` or ``bytes``, and the methods of ``re.Pattern`` by their names."""

        __slots__ = ("source", *_METHODS)

        def __init__(self, source):
            self.source = source

        def __getattr__(self, name):
            if name not in _METHODS:
                raise AttributeError(f"a pattern has no {name!r}")
            from re import compile as compiled

            expression = compiled(self.source)
            for method in _METHODS:
                setattr(self, method, getattr(expression, method))
            return getattr(self, name)
