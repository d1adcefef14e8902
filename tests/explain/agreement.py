"""The explanation of broken bytes names the rule that the layer names: asked by every suite.

The helpers of the suites that feed a layer call :func:`agrees` with the tree of the same bytes, so
each refused example of a layer is an example here, and each accepted one, too.
"""

from __future__ import annotations

from rawsio.explain import Field, mistake
from rawsio.explain.fields import walk

__all__ = ["agrees", "well_formed"]


def agrees(tree: Field, rule: str | None) -> None:
    """Check that a tree is well formed, and has the layer's verdict: a rule, or none."""
    well_formed(tree)
    found = mistake(tree)
    assert (found.rule if found else None) == rule, (found, rule)


def well_formed(tree: Field) -> None:
    """Check that every field lies within the bytes that it refers to."""
    assert tree.data is not None
    waiting = [(tree, tree.data)]
    while waiting:
        above, data = waiting.pop()
        inside = data if above.data is None else above.data
        for field in above.fields:
            assert 0 <= field.start <= field.end <= len(inside), (field, len(inside))
            waiting.append((field, inside))
    assert list(Field(0, 0, "").fields) == []
    assert all(field.rule for field in walk(tree) if field.wrong)
