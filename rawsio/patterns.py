r"""Regular expressions that are compiled when they are first used.

Compiling the grammar of HTTP costs as much as everything else that a server does to start, and
``re`` itself is not free; a program that has not met its first client needs neither.

The one idea is how little that takes: a :class:`Pattern` has a slot for each method of a compiled
expression.  They are empty at first, so asking for one ends in ``__getattr__``, which compiles and
fills them all; from then on the slots are the bound methods themselves, and cost nothing more.

>>> DIGITS = Pattern("[0-9]+")
>>> DIGITS.fullmatch("123") is not None, DIGITS.sub("n", "a1b22")
(True, 'anbn')

What is left out: flags, which stand in the expression, and the rest of ``re``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import compile as Pattern

__all__ = ["Pattern"]

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
