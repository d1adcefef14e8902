"""The contracts of the outside world are those that the tests' world keeps."""

from __future__ import annotations

import ast
import inspect
from typing import Any

import pytest

from rawsio.app import interfaces as host

from .world import World


def members(name: str) -> set[str]:
    """Return the names that a contract declares."""
    tree = ast.parse(inspect.getsource(host))
    (found,) = [
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name
    ]
    names = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    return names | {
        node.target.id
        for node in found.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def parts() -> list[tuple[str, Any]]:
    world = World()
    client = world.client()
    return [
        ("RuntimeLike", world),
        ("SessionPort", client),
        ("MultiplexerLike", client.peer),
        ("NamespaceLike", world.io),
        ("Prepared", world.prepare(client.take()[0])),
        ("Handle", world.call_later(1, print)),
    ]


@pytest.mark.parametrize(("name", "thing"), parts(), ids=lambda value: str(value)[:8])
def test_every_contract_is_kept(name: str, thing: Any) -> None:
    missing = [member for member in members(name) if not hasattr(thing, member)]
    assert members(name)
    assert not missing


def test_at_run_time_the_contracts_cost_nothing() -> None:
    assert all(getattr(host, name) is object for name in host.__all__)
