"""Names that are loaded on first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rawsio.engineio
import rawsio.socketio
import rawsio.websocket
from rawsio.lazy import lazily

PACKAGES = [rawsio, rawsio.websocket, rawsio.engineio, rawsio.socketio]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_public_name_of_a_package_is_there_and_listed(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
        assert name in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        package.no_such_name  # type: ignore[attr-defined]  # noqa: B018 - the access is the test


def test_a_name_is_looked_up_once() -> None:
    space = {"__name__": "shop"}
    load, names = lazily(space, {"Role": "rawsio.layer"})
    assert "Role" in names()
    assert load("Role") is space["Role"]


@pytest.mark.parametrize("layer", ["websocket", "engineio", "socketio"])
def test_asking_for_a_package_loads_none_of_its_modules(layer: str) -> None:
    program = (
        f"import sys, rawsio.{layer}\n"
        f"print([name for name in sys.modules if name.startswith('rawsio.{layer}.')])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "[]\n"
